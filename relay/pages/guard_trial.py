"""What guards that make a call make of texts that are tried on a page. Their requests to models are
charged like those of a request of the key."""

from collections.abc import Sequence
from functools import partial

from content.guards.rules import GuardRule
from content.policies.rules import Tried
from lib.ids import id_text
from relay.attempts.guard_models import ask_model
from relay.attempts.run import Run
from relay.context.context import RequestContext
from relay.guarding.asking import Caller
from relay.guarding.guarding import Guarding
from relay.guarding.refusals import GuardFailed, GuardRefused
from relay.guarding.rule_set import KeyRules

_FLAG = "guard:"


async def try_calls(context: RequestContext, rules: Sequence[GuardRule], tried: Tried) -> Tried:
    """Return what the guards of rules that make a call make of a text in its place."""
    principal, requests = context.principal, list[str]()
    caller = Caller(
        id_text(context.request_id), "", id_text(principal.key_id), id_text(principal.team_id)
    )
    ask_one = partial(ask_model, context, Run, requests)
    ask = partial(context.parts.guard_calls.ask, caller, ask_one)
    guarding = Guarding(KeyRules(rules), ask, requests)
    guarding.masks.reserve(tried.text)
    text = refused_by = message = failure = ""
    try:
        text = await guarding.ask(tried.text, lambda text, check: check(tried.place, text))
    except GuardRefused as refused:
        refused_by, message = refused.code, refused.what
    except GuardFailed as failed:
        failure = failed.message
    flags = (flag.removeprefix(_FLAG) for flag in guarding.flags if flag.startswith(_FLAG))
    return tried._replace(
        text=text,
        refused_by=refused_by,
        message=message,
        flags=(*tried.flags, *flags),
        failure=failure,
        requests=tuple(requests),
    )
