"""A saved prompt that a request names, filled into its body before anything else reads it.

    {"prompt": {"id": "refund-bot", "version": "3" | "production", "variables": {"who": "Ann"}}, …}

What the body has itself stays: it wins over the prompt's model and members. The prompt's
instructions precede the client's. A prompt of OpenAI's own is left to the provider.
"""

from collections.abc import Mapping
from typing import Any, Final

import msgspec

from content.prompts.rules import OPENAI_ID, values_of
from content.prompts.settings import Settings, members_of
from content.prompts.sql import find_version
from content.prompts.variables import FILLED_MAX, fill
from dialects.chat.chat import Dialect
from dialects.errors.errors import RequestFault
from dialects.errors.masking import quote_value
from dialects.json.body import Body, check_nested_names, read_body
from dialects.translation import translate
from gateway.providers.models import capabilities_of
from relay.context.context import PromptUse, RequestContext

PROMPTED: Final = ("chat_completions", "responses")
"""The operations whose body can name a prompt."""

_CAPS: Final = ("max_tokens", "max_completion_tokens")
_OF_TOOLS: Final = ("tools", "tool_choice", "parallel_tool_calls")
# What a translation of the members alone adds, or needs and the body has.
_NOT_OURS: Final = ("model", "input", "store", "include")


class _InputText(msgspec.Struct, tag_field="type", tag="input_text"):
    text: str


class _Reference(msgspec.Struct, forbid_unknown_fields=True):
    """`prompt` in a body."""

    id: str
    version: str | int | None = None
    variables: dict[str, str | _InputText] | None = None


_reference = msgspec.json.Decoder(_Reference)
_Members = Mapping[str, Any]


async def fill_prompt(context: RequestContext, raw: bytes) -> bytes:
    """Return the body with the saved prompt that it names filled in, and note the prompt in the
    context; the same bytes if it names none of ours. Raises RequestFault, DatabaseFailed."""
    body = read_body(raw)
    named = body.value("prompt")
    if named is None or not named.startswith(b"{"):
        return raw
    id_ = msgspec.json.decode(named).get("id")
    if not isinstance(id_, str) or id_.startswith(OPENAI_ID):
        return raw
    check_nested_names(raw)
    reference = _read_reference(named)
    version = "" if reference.version is None else str(reference.version)
    principal = context.principal
    statement = find_version(principal.organisation_id, principal.user_id, id_, version)
    (rows,) = await context.parts.states.run([statement])
    if not rows:
        raise _unusable("prompt.id", f"{quote_value(id_)} is no prompt that this key may use")
    ((slug, number, model, stored),) = rows
    if number is None:
        what = f"{quote_value(version)} is no version or label of prompt {id_}"
        raise _unusable("prompt.version", what)
    context.prompt = PromptUse(slug or "", int(number))
    settings = Settings.from_stored(msgspec.json.decode(stored or "{}"))
    text = _fill_text(settings, reference)
    target = context.invocation.target.model
    name = _model_named(body) or target or model or ""
    edits = _edits(body, settings, text, _flags(context, name), context.invocation.codec.name)
    if not target and body.value("model") is None:
        edits["model"] = msgspec.json.encode(model)
    return body.splice({"prompt": None, **edits})


def _read_reference(named: bytes) -> _Reference:
    try:
        return _reference.decode(named)
    except msgspec.ValidationError as error:
        what = (
            "prompt must be an object with id, and if need be version (a number or a label) and"
            f" variables (texts by their names): {error}"
        )
        raise RequestFault("invalid_type", "prompt", what) from None


def _fill_text(settings: Settings, reference: _Reference) -> str:
    """Return the instructions with their variables filled in. Raises RequestFault."""
    passed = {
        name: value if isinstance(value, str) else value.text
        for name, value in (reference.variables or {}).items()
    }
    values, unknown, unfilled, too_long = values_of(settings, passed)
    if unknown:
        what = f"prompt {reference.id} has no variable {quote_value(unknown[0])}"
        raise _unusable(f"prompt.variables.{unknown[0]}", what)
    if unfilled:
        what = f"prompt {reference.id} needs a value for {', '.join(unfilled)} in prompt.variables"
        raise RequestFault("missing_parameter", f"prompt.variables.{unfilled[0]}", what)
    if too_long:
        what = f"prompt {reference.id} would be longer than {FILLED_MAX} characters"
        raise _unusable("prompt.variables", what)
    return fill(settings.system, values)


def _unusable(param: str, what: str) -> RequestFault:
    return RequestFault("unsupported_capability", param, what)


def _model_named(body: Body) -> str:
    named = body.value("model") or b""
    return str(msgspec.json.decode(named)) if named.startswith(b'"') else ""


def _flags(context: RequestContext, model: str) -> frozenset[str]:
    """Return the flags of a model at its first channel; none for an unknown one."""
    snapshot = context.snapshot
    model = snapshot.aliases.get(model, model)
    for route in snapshot.routes_of(model):
        channel = snapshot.channels[route.channel_id]
        return capabilities_of(route.upstream_model or model, channel.provider, model).flags
    return frozenset()


def _edits(
    body: Body, settings: Settings, text: str, flags: frozenset[str], dialect: Dialect
) -> dict[str, bytes | None]:
    """Return the members that the prompt adds to a body, as its dialect writes them. Raises
    RequestFault."""
    members: _Members = members_of(settings, flags)
    if dialect == "responses":
        members = _as_responses(members)
        edits = _instructions(body, text)
    else:
        edits = _messages(body, settings, text)
    left = {name for name in members if body.value(name) is not None}
    if any(body.value(name) is not None for name in _CAPS):
        left.update(_CAPS)
    if body.value("tools") is not None:
        left.update(_OF_TOOLS)
    added = {name: value for name, value in members.items() if name not in left}
    return {**{name: msgspec.json.encode(value) for name, value in added.items()}, **edits}


def _as_responses(members: _Members) -> _Members:
    """Return the members of a chat request as those of a responses request. Raises RequestFault for
    one that the dialect cannot express."""
    chat = {name: value for name, value in members.items() if name != "max_cost"}
    whole = {"model": "prompt", "messages": [{"role": "user", "content": "."}], **chat}
    translated = translate(msgspec.json.encode(whole), "openai", "responses", "prompt")
    if translated.dropped:
        names = ", ".join(translated.dropped)
        raise _unusable("prompt", f"/v1/responses cannot express the prompt's {names}")
    result: dict[str, Any] = msgspec.json.decode(translated.body)
    own = {name: value for name, value in result.items() if name not in _NOT_OURS}
    return {**own, "max_cost": members["max_cost"]} if "max_cost" in members else own


def _instructions(body: Body, text: str) -> dict[str, bytes | None]:
    named = body.value("instructions")
    if not text.strip() or (named is not None and not named.startswith(b'"')):
        return {}
    own = "" if named is None else msgspec.json.decode(named, type=str)
    return {"instructions": msgspec.json.encode(f"{text}\n\n{own}" if own else text)}


def _messages(body: Body, settings: Settings, text: str) -> dict[str, bytes | None]:
    own = body.value("messages") or b"[]"
    if not text.strip() or not own.startswith(b"["):
        return {}
    content: Any = text
    if settings.raw is None and settings.params.get("cache") == "on":
        mark = {"type": "ephemeral"}
        content = [{"type": "text", "text": text, "cache_control": mark}]
    first = msgspec.json.encode({"role": "system", "content": content})
    rest = own[1:].lstrip()
    comma = b"" if rest.startswith(b"]") else b","
    return {"messages": b"".join((b"[", first, comma, rest))}
