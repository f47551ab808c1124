"""The context of conversations and answers, for whole pages and for the frames of a run."""

import datetime as dt
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import ROUND_HALF_EVEN, Decimal
from functools import lru_cache
from types import MappingProxyType
from typing import Any
from uuid import UUID

import msgspec
from django.template.loader import render_to_string
from django.urls import reverse
from django.utils import timezone
from django.utils.formats import date_format
from django.utils.html import escape
from django.utils.safestring import SafeString, mark_safe
from django.utils.translation import gettext, pgettext

from billing.currency.words import charge_text
from content.prompts.settings import Settings
from dialects.errors.errors import detail_of
from lib.ids import id_text, new_id
from lib.numbers import formatting
from lib.sentences import join_sentences
from playground.answers.events import PartialAnswer
from playground.answers.late_charges import late_charges, stored_outcome
from playground.conversations.tree import Tree
from playground.messages.tool_calls import calls_context
from playground.models import Conversation, Message, MessageRole, Run, RunState
from playground.panel.json_schema import check_answer
from playground.panel.json_text import InvalidJson, parse_json
from playground.payers.budget_words import lacked_text, lacking_text
from playground.rendering.html_changes import partial
from playground.rendering.markdown import MarkdownLabels, render_whole
from playground.rendering.open_block import render_so_far
from playground.rendering.render import AnswerLabels, growing_call_html, reasoning_html
from playground.rendering.source_links import describe_source
from playground.rendering.structured import is_structured
from relay.hold_sizes.bound import Bound
from relay.requests.outcome import Outcome
from usage.feedback.rules import GOOD_FROM, Opinion
from usage.requests.budget_refusals import BUDGET_LINK, budget_id_of


@dataclass(frozen=True)
class Chat:
    """A conversation in the list; `stop_url` stops the answer in progress."""

    id: str
    title: str
    url: str
    stop_url: str = ""
    pinned: bool = False
    folder: str = ""


@dataclass(frozen=True)
class ChatGroup:
    """The conversations last used in one period."""

    name: str
    chats: list[Chat]


def answer_labels() -> AnswerLabels:
    """Return the labels inside an answer, in the page's language."""
    return AnswerLabels(gettext("Thinking…"), _icon("chevron-right"), _markdown_labels())


def _markdown_labels() -> MarkdownLabels:
    return MarkdownLabels(
        image_from=gettext("Image from %s · Open"),
        copy=gettext("Copy"),
        copy_code=gettext("Copy code"),
        copy_icon=_icon("copy"),
        preview=gettext("Preview"),
        footnote=gettext("Footnote %s"),
    )


def _icon(name: str) -> str:
    return render_to_string("playground/rendering/_icon.html", {"name": name}).strip()


# Whole page -------------------------------------------------------------------------------------


def chat_groups(
    conversations: Iterable[Conversation], running: Mapping[UUID, Run], slug: str
) -> list[ChatGroup]:
    """Group the list of conversations: pinned ones, folders, then days and months, newest first."""
    today = timezone.localdate()
    groups: dict[tuple[int, str], ChatGroup] = {}
    for conversation in conversations:
        if conversation.pinned:
            place = (0, gettext("Pinned"))
        elif conversation.folder:
            place = (1, conversation.folder)
        else:
            place = (2, _span_name(today, timezone.localdate(conversation.updated_at)))
        id = id_text(conversation.id)
        run = running.get(conversation.id)
        stop_url = reverse("batch_stop", args=[slug, id_text(run.batch)]) if run else ""
        chat = Chat(id, conversation.title, conversation_url(slug, id), stop_url,
                    conversation.pinned, conversation.folder)  # fmt: skip
        groups.setdefault(place, ChatGroup(place[1], [])).chats.append(chat)
    return [groups[place] for place in sorted(groups, key=lambda place: place[0])]


def _span_name(today: dt.date, day: dt.date) -> str:
    days = (today - day).days
    if days <= 0:
        return gettext("Today")
    if days == 1:
        return gettext("Yesterday")
    if days <= 7:
        return gettext("Last 7 days")
    return date_format(day, "YEAR_MONTH_FORMAT")


def conversation_url(slug: str, id: str) -> str:
    return reverse("conversation", args=[slug, id])


def composer_context(
    slug: str, conversation: Conversation | None, run: Run | None
) -> dict[str, Any]:
    """Build the context of the form: its target, and the run that it can stop."""
    return {
        "slug": slug,
        "runs_url": reverse("run_create", args=[slug]),
        "conversation_id": id_text(conversation.id) if conversation else "",
        "visit": id_text(conversation.visit) if conversation and conversation.visit else "",
        "token": id_text(new_id()),
        "running": run is not None,
        "stop_url": reverse("batch_stop", args=[slug, id_text(run.batch)]) if run else "",
    }


@dataclass(frozen=True)
class Versions:
    """The position of a message among its versions, and its neighbours; ids as text, "" for
    none."""

    number: int = 1
    count: int = 1
    before: str = ""
    after: str = ""


def versions_of(tree: Tree, id: UUID) -> Versions:
    """Return the position of a message among its siblings."""
    all = tree.versions(id)
    at = all.index(id) if id in all else 0
    return Versions(
        at + 1,
        len(all),
        id_text(all[at - 1]) if at > 0 else "",
        id_text(all[at + 1]) if at + 1 < len(all) else "",
    )


def message_context(
    message: Message,
    slug: str,
    answer: PartialAnswer | None,
    versions: Versions | None = None,
    opinion: Opinion | None = None,
    late: Mapping[UUID, Mapping[str, Any]] = MappingProxyType({}),
) -> dict[str, Any]:
    """Build the context of a message. `answer` is the text so far of an answer in progress;
    `opinion` is what the reader said about it; `late` has the charges that the books had only
    after the answers' ends."""
    same = {"message": message, "id": message.text_id, "slug": slug,
            "versions": versions or Versions()}  # fmt: skip
    if message.role == MessageRole.USER:
        return same | {"user": True, "files": message.parts.get("files", ())}
    if message.role == MessageRole.TOOL:
        return same | {"tool": True, "results": message.parts.get("results", ())}
    if answer is not None and message.run is not None:
        return same | _growing_context(message, message.run, slug, answer)
    outcome = stored_outcome(message)
    if message.request_id is not None:
        outcome = {**late.get(message.request_id, {}), **outcome}
    finished = _finished_context(message, message.run, slug, outcome)
    return same | finished | rating_context(message, slug, opinion)


def _growing_context(
    message: Message, run: Run, slug: str, answer: PartialAnswer
) -> dict[str, Any]:
    id, labels = message.text_id, answer_labels()
    thinking = ""
    if answer.reasoning:
        head = gettext("Thought") if answer.text else labels.thinking
        thinking = reasoning_html(head, answer.reasoning, labels.chevron, id)
    events = reverse("run_events", args=[slug, run.text_id])
    calls = "".join(
        growing_call_html(id, index, call["name"], call["arguments"])
        for index, call in enumerate(answer.calls)
    )
    return {
        "running": True,
        "thinking": mark_safe(thinking),  # noqa: S308 - made by reasoning_html, which escapes
        "growing_calls": mark_safe(calls),  # noqa: S308 - made by growing_call_html, which escapes
        "blocks": mark_safe(  # noqa: S308 - behind the sanitiser
            render_so_far(answer.text, labels.markdown, id, structured=is_structured(run.settings))
        ),
        "events_url": f"{events}?after={answer.seq}",
        "stops_unwatched": run.unwatched_ms is not None,
    }


def _finished_context(
    message: Message, run: Run | None, slug: str, outcome: Mapping[str, Any]
) -> dict[str, Any]:
    id = message.text_id
    thinking = ""
    if message.reasoning:
        head = thought_text(outcome.get("thought_ms"), outcome)
        thinking = reasoning_html(head, message.reasoning, _icon("chevron-right"), id)
    return {
        "running": False,
        "thinking": mark_safe(thinking),  # noqa: S308 - made by reasoning_html, which escapes
        "blocks": _answer_html(message.content, _markdown_labels(), id, _is_json(run)),
        **_ending(message, run, slug, outcome),
    }


@lru_cache(maxsize=200)
def _answer_html(text: str, labels: MarkdownLabels, id: str, structured: bool) -> SafeString:
    html = render_whole(text, labels, id, structured=structured)
    return mark_safe(html)  # noqa: S308 - behind the sanitiser


def _is_json(run: Run | None) -> bool:
    return run is not None and is_structured(run.settings)


def _ending(
    message: Message, run: Run | None, slug: str, outcome: Mapping[str, Any]
) -> dict[str, Any]:
    """Describe an ended answer: tokens, charge, errors, and the next step."""
    meters: Mapping[str, int] = outcome.get("meters") or {}
    request_id = id_text(message.request_id) if message.request_id else ""
    head = outcome.get("head") or {}
    return {
        "id": message.text_id,
        "slug": slug,
        "message": message,
        "state": message.state,
        "outcome": outcome,
        "left": bool(run and run.left),
        "together": run is not None and (run.settings.get("params") or {}).get("n", 1) > 1,
        "tokens": bool(message.parts.get("tokens")),
        "known": "basis" in outcome,
        # A message without a request, such as an imported one, waits for no charge.
        "pending": bool(request_id) and "basis" not in outcome,
        "basis": basis_label(outcome.get("basis", "")),
        "out_tokens": sum(n for name, n in meters.items() if name.startswith("out_")),
        "in_tokens": sum(n for name, n in meters.items() if name.startswith("in_")),
        "cached_tokens": sum(meters.get(name, 0) for name in _CACHED),
        "saved_nano": _saved_nano(message, outcome),
        "dropped": head.get("dropped") or (),
        "output_cap": head.get("output_cap"),
        "speed": _speed(meters, outcome),
        "error": error_text(outcome) if message.state in _UNANSWERED else "",
        "error_detail": detail_of(outcome.get("kind") or "", outcome.get("message", "")),
        "ask_href": ask_href(outcome) if message.state in _UNANSWERED else "",
        "editable": _is_prompt_refused(message),
        "request_id": request_id,
        "request_url": reverse("request", args=[slug, request_id]) if request_id else "",
        "run_id": run.text_id if run else "",
        "retry_id": id_text(message.parent_id) if message.parent_id else "",
        "conversation_id": id_text(message.conversation_id),
        "runs_url": reverse("run_create", args=[slug]),
        "token": id_text(new_id()),
        "model": message.model,
        "sources": [describe_source(source) for source in message.parts.get("sources", ())],
        "media": message.parts.get("media", ()),
        **calls_context(message, run),
        "verdict": _verdict(message, run),
        **_column_context(message),
        **rating_context(message, slug, None),
    }


def is_rateable(message: Message) -> bool:
    """Return whether a message is a whole answer of a model, which its reader may rate."""
    ended = message.state in (RunState.DONE, RunState.STOPPED)
    return message.request_id is not None and ended and not message.edited


def rating_context(message: Message, slug: str, opinion: Opinion | None) -> dict[str, Any]:
    """Return the thumbs under an answer of a model: where they are sent, and which one is
    pressed."""
    score, url = None if opinion is None else opinion.score, ""
    if is_rateable(message):
        url = reverse("message_rate", args=[slug, message.text_id])
    return {
        "rate_url": url,
        "rated": "" if score is None else "good" if score >= GOOD_FROM else "bad",
        "rated_comment": "" if opinion is None else opinion.comment,
    }


def _is_prompt_refused(message: Message) -> bool:
    """Return whether the prompt was refused and may be edited in place. In a comparison it may not,
    because all columns share the question."""
    return (
        message.state == RunState.REFUSED
        and not message.conversation.columns
        and message.parent is not None
        and message.parent.role == MessageRole.USER
    )


def _column_context(message: Message) -> dict[str, Any]:
    """Return whether the message is in a column of a comparison, and whether its model is
    hidden."""
    columns = message.conversation.columns
    return {
        "in_column": bool(columns),
        "blind": any(column.get("blind") for column in columns),
    }


_UNANSWERED = (RunState.FAILED, RunState.REFUSED)
_BY_BUDGET = ("insufficient_balance", "rate_limited")
_CACHED = ("in_cache_read", "in_audio_cached", "in_image_cached")


def _saved_nano(message: Message, outcome: Mapping[str, Any]) -> int:
    """Return the maximum amount that stopping saved."""
    if message.state != RunState.STOPPED or "hold_nano" not in outcome:
        return 0
    return max(0, int(outcome["hold_nano"]) - int(outcome.get("charge_nano", 0)))


@dataclass(frozen=True)
class Verdict:
    """Whether an answer that should be JSON is valid, and matches its schema if it has one. `rows`
    is the answer as a table if it is a list of objects."""

    faults: Sequence[tuple[str, str]]
    has_schema: bool
    columns: Sequence[str] = ()
    rows: Sequence[Sequence[str]] = ()


def _verdict(message: Message, run: Run | None) -> Verdict | None:
    if not _is_json(run) or message.state != RunState.DONE or not message.content:
        return None
    schema = Settings.from_stored(run.settings if run else {}).schema
    try:
        answer = parse_json(message.content)
    except InvalidJson as fault:
        reason = gettext("Not valid JSON: line %(line)s, column %(column)s, %(reason)s") % {
            "line": fault.line, "column": fault.column, "reason": fault.reason}  # fmt: skip
        return Verdict([("/", reason)], schema is not None)
    faults = [] if schema is None else check_answer(answer, schema)
    columns, rows = _table(answer)
    return Verdict([(at.path, at.reason) for at in faults], schema is not None, columns, rows)


def _table(answer: Any) -> tuple[list[str], list[list[str]]]:
    """Return the first list of objects in an answer as columns and rows."""
    inner = answer
    if isinstance(answer, dict):
        inner = next((value for value in answer.values() if _is_table(value)), None)
    if not _is_table(inner):
        return [], []
    columns = list(dict.fromkeys(name for row in inner for name in row))[:12]
    cells = [[_cell(row.get(name)) for name in columns] for row in inner[:200]]
    return columns, cells


def _is_table(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(row, dict) for row in value)


def _cell(value: Any) -> str:
    if value is None:
        return formatting.MISSING
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _speed(meters: Mapping[str, int], outcome: Mapping[str, Any]) -> str:
    tokens = sum(n for name, n in meters.items() if name in ("out_text", "out_reasoning"))
    first, total = outcome.get("ttft_ms"), outcome.get("total_ms")
    if not tokens or first is None or total is None:
        return ""
    if total - first < formatting.SPEED_FROM_MS:
        return ""
    return _per_second(tokens, total - first)


def _per_second(tokens: int, milliseconds: int) -> str:
    rate = Decimal(tokens * 1000) / milliseconds
    step = Decimal("0.1") if rate < 100 else Decimal(1)
    return f"{rate.quantize(step, rounding=ROUND_HALF_EVEN):,}"


# Frames of a run --------------------------------------------------------------------------------


def slow_html(run: Run, seconds: int) -> str:
    """Show that the model has been silent for `seconds`; after a while offer alternatives."""
    slug = run.conversation.organisation.slug
    context = {
        "seconds": seconds,
        "stop_url": reverse("run_stop", args=[slug, run.text_id]) if seconds >= 20 else "",
        "alone": not run.conversation.columns,
    }
    html = render_to_string("playground/rendering/_slow.html", context).strip()
    return partial(f"stats-{id_text(run.assistant_message_id)}", html, "innerHTML")


def stats_html(
    message: str,
    *,
    ttft_ms: int,
    tokens: int,
    milliseconds: int,
    cost_nano: int | None,
    bound: Bound | None = None,
) -> str:
    """Return the line under an answer in progress. Count and cost are estimates until the end."""
    parts = [gettext("TTFT %(time)s") % {"time": _duration(ttft_ms)}]
    if milliseconds >= 500:
        parts.append(gettext("%(n)s tok/s") % {"n": _per_second(tokens, milliseconds)})
    parts.append(gettext("≈ %(n)s out") % {"n": formatting.group_digits(tokens)})
    if cost_nano is not None:
        parts.append(f"≈ {charge_text(cost_nano)}")
    parts += _amount_parts(bound)
    return partial(f"stats-{message}", escape(" · ".join(parts)), "innerHTML")


def waiting_html(message: str, bound: Bound) -> str:
    """Return the line under an answer whose first token has not arrived."""
    parts = [gettext("Waiting for the first token"), *_amount_parts(bound)]
    return partial(f"stats-{message}", escape(" · ".join(parts)), "innerHTML")


def _amount_parts(bound: Bound | None) -> list[str]:
    """Return what is expected and reserved; nothing for a free model."""
    if bound is None or bound.price_version_id is None:
        return []
    parts = []
    if bound.expected_nano is not None:
        parts.append(
            gettext("expected %(expected)s") % {"expected": charge_text(bound.expected_nano)}
        )
    parts.append(gettext("≤ %(amount)s reserved") % {"amount": charge_text(bound.hold_nano)})
    return parts


def thinking_html(message: str, milliseconds: int, tokens: int) -> str:
    """Show that the model is still reasoning: for how long, and the approximate number of
    tokens."""
    text = gettext("Thinking… %(time)s · ≈ %(n)s tokens") % {
        "time": f"{milliseconds // 1000} {pgettext('unit', 's')}",
        "n": formatting.group_digits(tokens),
    }
    return partial(f"think-head-{message}", escape(text), "innerHTML")


def thought_html(message: str, milliseconds: int, tokens: int) -> str:
    """Show that the model has begun to answer, and how long it reasoned."""
    text = thought_text(milliseconds, {})
    if tokens:
        text += " · " + gettext("≈ %(n)s tokens") % {"n": formatting.group_digits(tokens)}
    return partial(f"think-head-{message}", escape(text), "innerHTML")


def head_html(message: str, dropped: Sequence[str], output_cap: int | None) -> str:
    """Show which parameters were not sent to the upstream, and the output cap that the balance
    required."""
    html = render_to_string(
        "playground/rendering/_dropped.html", {"dropped": dropped, "output_cap": output_cap}
    )
    return partial(f"note-{message}", html.strip(), "innerHTML") if html.strip() else ""


def thought_text(milliseconds: int | None, outcome: Mapping[str, Any]) -> str:
    """Return the heading of the reasoning: its duration, and its tokens if known."""
    if milliseconds is None:
        return gettext("Thought")
    text = gettext("Thought for %(time)s") % {"time": _duration(milliseconds)}
    tokens = (outcome.get("meters") or {}).get("out_reasoning")
    if tokens:
        text += " · " + gettext("%(n)s tokens") % {"n": formatting.group_digits(tokens)}
    return text


def ended_html(
    run: Run,
    state: RunState,
    outcome: Mapping[str, Any],
    answer: PartialAnswer,
    parts: Mapping[str, Any],
    further_choices: Sequence[str] = (),
) -> str:
    """Return the last frame: the answer's notes and footer, and the composer ready again. With
    `further_choices`, which are now versions, the page reloads the branch."""
    slug = run.conversation.organisation.slug
    message = run.assistant_message
    text, reasoning = answer.text, answer.reasoning
    message.state, message.content, message.reasoning = state, text, reasoning
    message.parts = dict(parts)
    ending = _ending(message, run, slug, outcome)
    context = {
        **composer_context(slug, run.conversation, None),
        "ending": ending,
        "id": message.text_id,
        "message": message,
        "state": message.state,
        "thought": thought_text(outcome.get("thought_ms"), outcome) if reasoning else "",
        "words": len(text.split()),
        "chat_id": id_text(run.conversation_id),
        "alone": not run.conversation.columns,
        "column": run.column,
        "slug": slug,
        "versions_new": bool(further_choices),
    }
    return render_to_string("playground/rendering/_ended.html", context)


def access_ended_html(batch: Iterable[Run]) -> str:
    """Return the last message for a page whose reader may no longer read."""
    ids = [id_text(run.assistant_message_id) for run in batch]
    return render_to_string("playground/rendering/_access_ended.html", {"ids": ids})


def rewritten_html(run: Run, text: str) -> str:
    """Render the whole text again, because it is unknown which of its blocks was open."""
    id = id_text(run.assistant_message_id)
    return partial(
        f"blocks-{id}", _answer_html(text, _markdown_labels(), id, _is_json(run)), "innerHTML"
    )


def replaced_html(message: Message, slug: str, conversation: Conversation) -> str:
    """Return an ended answer as a whole, for a page whose frames have expired."""
    late = late_charges(conversation.organisation_id, [message])
    context = {
        **composer_context(slug, conversation, None),
        "article": message_context(message, slug, None, late=late),
        "id": message.text_id,
        "chat_id": id_text(conversation.id),
        "alone": not conversation.columns,
    }
    return render_to_string("playground/rendering/_replaced.html", context)


def _duration(milliseconds: int) -> str:
    # The units are those of the template filter `duration`, where they are marked for translation.
    parts = formatting.duration(milliseconds)
    return " ".join(f"{figure} {pgettext('unit', unit)}" for figure, unit in parts)


# Words ------------------------------------------------------------------------------------------


def basis_label(basis: str) -> str:
    """Return the label for the source of a charge's quantities."""
    return {
        "measured": gettext("measured"),
        "drained": gettext("measured after disconnect"),
        "estimated": gettext("estimated"),
        "absorbed": gettext("covered by the operator"),
        "held": gettext("reserved"),
        "free": gettext("free"),
    }.get(basis, "")


def error_text(outcome: Mapping[str, Any]) -> str:
    """Return a plain message for the error, or the error's own message if that says more."""
    kind, message = outcome.get("kind") or "", outcome.get("message", "")
    if ask_href(outcome):
        return _budget_words(lacked_text, outcome) or BUDGET_LINK.sub("", message)
    detail = detail_of(kind, message)
    if kind == "provider_rejected" and detail:
        return gettext("The provider rejected the request: %(detail)s") % {"detail": detail}
    return _reason(kind) or detail or _reason("internal")


def _reason(kind: str) -> str:
    """Return what went wrong in plain words; empty if the kind has none."""
    return {
        "insufficient_balance": gettext("The balance is too low for this message."),
        "max_cost_exceeded": gettext("This message could cost more than its limit."),
        "model_unpriced": gettext("This model has no price, so requests to it are rejected."),
        "model_not_found": gettext("No channel can serve this model right now."),
        "model_retired": gettext("This model has been retired. Choose another one."),
        "permission": gettext("The key that pays is not allowed to use this model."),
        "authentication": gettext("The key that pays is no longer active. Choose another one."),
        "rate_limited": gettext("You have reached the rate limit. Try again shortly."),
        "upstream_rate_limited": gettext(
            "The provider's rate limit was reached. Try again shortly."
        ),
        "context_length_exceeded": gettext("The conversation is too long for this model."),
        "upstream_truncated": gettext("The answer was cut off. The text so far is kept."),
        "upstream_malformed": gettext("The provider's answer could not be read to the end."),
        "upstream_unreachable": gettext("The provider could not be reached."),
        "upstream_auth": gettext("The provider rejected the channel's key."),
        "no_channel": gettext("No channel can serve this model right now."),
        "overloaded": gettext("The service is overloaded. Try again shortly."),
        "server_shutting_down": gettext("The service is restarting. Try again shortly."),
        "timeout": gettext("The model did not answer in time."),
        "internal": gettext("The server encountered an error."),
    }.get(kind, "")


def ask_href(outcome: Mapping[str, Any]) -> str:
    """Return the address for requesting more of the budget that refused a turn, or empty. An
    outcome stored before budgets were named there has it in its message."""
    budget_id = outcome.get("budget_id")
    if budget_id is None and outcome.get("kind") in _BY_BUDGET:
        budget_id = budget_id_of(outcome.get("message", ""))
    return reverse("budget_link", args=[budget_id]) if budget_id is not None else ""


def _budget_words(say: Callable[[int], str], outcome: Mapping[str, Any]) -> str:
    """Describe the budget that ran out; empty for other refusals."""
    budget_id = outcome.get("budget_id")
    if budget_id is None or outcome.get("kind") != "insufficient_balance":
        return ""
    return say(budget_id)


def refusal_text(outcome: Outcome) -> str:
    """Return why a request beside a turn, such as for a title, was refused, and that it cost
    nothing."""
    facts = msgspec.structs.asdict(outcome)
    budget_text = ask_href(facts) and _budget_words(lacking_text, facts)
    return join_sentences(budget_text or error_text(facts), gettext("You were not charged."))
