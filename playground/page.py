"""What the pages show of conversations and answers, for whole pages and for the frames of a run."""

import datetime as dt
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from decimal import ROUND_HALF_EVEN, Decimal
from functools import lru_cache
from typing import Any

from django.template.loader import render_to_string
from django.urls import reverse
from django.utils import timezone
from django.utils.formats import date_format
from django.utils.html import escape
from django.utils.safestring import SafeString, mark_safe
from django.utils.translation import gettext, pgettext

from lib import formatting
from lib.ids import id_text, new_id
from playground.events import SoFar
from playground.models import Conversation, Message, MessageRole, Run, RunState
from playground.rules.markdown import MarkdownWords, render_so_far, render_whole
from playground.rules.render import AnswerWords, partial, reasoning_html


@dataclass(frozen=True)
class Chat:
    """A conversation as a line of the list."""

    id: str
    title: str
    url: str
    running: bool


@dataclass(frozen=True)
class ChatGroup:
    """The conversations last used in one span of days."""

    name: str
    chats: list[Chat]


def answer_words() -> AnswerWords:
    """The words of the page's language that stand inside an answer."""
    return AnswerWords(gettext("Thinking…"), _icon("chevron-right"), _markdown_words())


def _markdown_words() -> MarkdownWords:
    return MarkdownWords(
        image_from=gettext("Image from %s · Open"),
        copy=gettext("Copy"),
        copy_code=gettext("Copy code"),
        copy_icon=_icon("copy"),
    )


def _icon(name: str) -> str:
    return render_to_string("playground/_icon.html", {"name": name}).strip()


# Whole page -------------------------------------------------------------------------------------


def chat_groups(
    conversations: Iterable[Conversation], running: set[Any], slug: str
) -> list[ChatGroup]:
    """The list of conversations, newest first, cut into days and then months."""
    today = timezone.localdate()
    groups: list[ChatGroup] = []
    for conversation in conversations:
        name = _span_name(today, timezone.localdate(conversation.updated_at))
        if not groups or groups[-1].name != name:
            groups.append(ChatGroup(name, []))
        id = id_text(conversation.id)
        groups[-1].chats.append(
            Chat(id, conversation.title, conversation_url(slug, id), conversation.id in running)
        )
    return groups


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
    """What the form needs: where it goes, and the run that it may stop."""
    return {
        "runs_url": reverse("run_create", args=[slug]),
        "conversation_id": id_text(conversation.id) if conversation else "",
        "token": id_text(new_id()),
        "running": run is not None,
        "stop_url": reverse("run_stop", args=[slug, run.text_id]) if run else "",
    }


def message_context(message: Message, slug: str, written: SoFar | None) -> dict[str, Any]:
    """One message for its template. `written` is the text so far of an answer in progress."""
    if message.role == MessageRole.USER:
        return {"message": message, "id": message.text_id, "user": True}
    if written is not None and message.run is not None:
        return _growing_context(message, message.run, slug, written)
    outcome = (message.run.outcome if message.run else None) or {}
    return _ended_context(message, message.run, slug, outcome)


def _growing_context(message: Message, run: Run, slug: str, written: SoFar) -> dict[str, Any]:
    id, words = message.text_id, answer_words()
    thinking = ""
    if written.reasoning:
        head = gettext("Thought") if written.text else words.thinking
        thinking = reasoning_html(head, written.reasoning, words.chevron, id)
    events = reverse("run_events", args=[slug, run.text_id])
    return {
        "message": message,
        "id": id,
        "running": True,
        "thinking": mark_safe(thinking),  # noqa: S308 - made by reasoning_html, which escapes
        "blocks": mark_safe(  # noqa: S308 - behind the sanitiser
            render_so_far(written.text, words.markdown, id)
        ),
        "events_url": f"{events}?after={written.seq}",
    }


def _ended_context(
    message: Message, run: Run | None, slug: str, outcome: Mapping[str, Any]
) -> dict[str, Any]:
    id = message.text_id
    thinking = ""
    if message.reasoning:
        head = thought_text(outcome.get("thought_ms"), outcome)
        thinking = reasoning_html(head, message.reasoning, _icon("chevron-right"), id)
    return {
        "message": message,
        "id": id,
        "running": False,
        "thinking": mark_safe(thinking),  # noqa: S308 - made by reasoning_html, which escapes
        "blocks": _whole(message.content, _markdown_words(), id),
        **_ending(message, run, slug, outcome),
    }


@lru_cache(maxsize=200)
def _whole(text: str, words: MarkdownWords, id: str) -> SafeString:
    return mark_safe(render_whole(text, words, id))  # noqa: S308 - behind the sanitiser


def _ending(
    message: Message, run: Run | None, slug: str, outcome: Mapping[str, Any]
) -> dict[str, Any]:
    """What an ended answer says of itself: tokens, charge, errors, and what to do next."""
    meters: Mapping[str, int] = outcome.get("meters") or {}
    request_id = id_text(message.request_id) if message.request_id else ""
    return {
        "id": message.text_id,
        "message": message,
        "state": message.state,
        "outcome": outcome,
        "known": "basis" in outcome,
        "basis": basis_word(outcome.get("basis", "")),
        "out_tokens": sum(n for name, n in meters.items() if name.startswith("out_")),
        "in_tokens": sum(n for name, n in meters.items() if name.startswith("in_")),
        "speed": _speed(meters, outcome),
        "error": error_text(outcome) if message.state == RunState.FAILED else "",
        "request_id": request_id,
        "request_url": reverse("request", args=[slug, request_id]) if request_id else "",
        "retry_id": id_text(message.parent_id) if message.parent_id else "",
        "conversation_id": id_text(message.conversation_id),
        "runs_url": reverse("run_create", args=[slug]),
        "token": id_text(new_id()),
        "model": message.model,
    }


def _speed(meters: Mapping[str, int], outcome: Mapping[str, Any]) -> str:
    tokens = sum(n for name, n in meters.items() if name in ("out_text", "out_reasoning"))
    first, total = outcome.get("ttft_ms"), outcome.get("total_ms")
    if not tokens or first is None or total is None or total <= first:
        return ""
    return _per_second(tokens, total - first)


def _per_second(tokens: int, milliseconds: int) -> str:
    rate = Decimal(tokens * 1000) / milliseconds
    step = Decimal("0.1") if rate < 100 else Decimal(1)
    return f"{rate.quantize(step, rounding=ROUND_HALF_EVEN):,}"


# Frames of a run --------------------------------------------------------------------------------


def slow_html(message: str, seconds: int) -> str:
    """The model has not said a word for so many seconds."""
    text = gettext("Still waiting for the first token · %(n)s s") % {"n": seconds}
    if seconds >= 20:
        text += " · " + gettext("Stop, or try another model.")
    return partial(f"stats-{message}", escape(text), "innerHTML")


def stats_html(message: str, *, ttft_ms: int, tokens: int, milliseconds: int) -> str:
    """The line under an answer that grows; its count is an estimate until the end."""
    parts = [gettext("TTFT %(time)s") % {"time": _duration(ttft_ms)}]
    if milliseconds >= 500:
        parts.append(gettext("%(n)s tok/s") % {"n": _per_second(tokens, milliseconds)})
    parts.append(gettext("≈ %(n)s out") % {"n": formatting.grouped(tokens)})
    return partial(f"stats-{message}", escape(" · ".join(parts)), "innerHTML")


def thought_html(message: str, milliseconds: int) -> str:
    """The model has begun to answer: how long it thought."""
    return partial(f"think-head-{message}", escape(thought_text(milliseconds, {})), "innerHTML")


def thought_text(milliseconds: int | None, outcome: Mapping[str, Any]) -> str:
    """The head of the reasoning: how long it took, and its tokens when they are known."""
    if milliseconds is None:
        return gettext("Thought")
    text = gettext("Thought for %(time)s") % {"time": _duration(milliseconds)}
    tokens = (outcome.get("meters") or {}).get("out_reasoning")
    if tokens:
        text += " · " + gettext("%(n)s tokens") % {"n": formatting.grouped(tokens)}
    return text


def ended_html(
    run: Run, state: RunState, outcome: Mapping[str, Any], text: str, reasoning: str
) -> str:
    """The last frame: the answer's notes and footer, the composer ready again."""
    slug = run.conversation.organisation.slug
    message = run.assistant_message
    message.state, message.content, message.reasoning = state, text, reasoning
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
    }
    return render_to_string("playground/_ended.html", context)


def rewritten_html(run: Run, text: str) -> str:
    """The whole text anew, where nobody knows any more which of its blocks was open."""
    id = id_text(run.assistant_message_id)
    return partial(f"blocks-{id}", _whole(text, _markdown_words(), id), "innerHTML")


def replaced_html(message: Message, slug: str, conversation: Conversation) -> str:
    """An ended answer whole, for a page whose frames have expired."""
    context = {
        **composer_context(slug, conversation, None),
        "article": message_context(message, slug, None),
        "id": message.text_id,
        "chat_id": id_text(conversation.id),
    }
    return render_to_string("playground/_replaced.html", context)


def _duration(milliseconds: int) -> str:
    # The units are those of the template filter `duration`, which names them for translation.
    parts = formatting.duration(milliseconds)
    return " ".join(f"{figure} {pgettext('unit', unit)}" for figure, unit in parts)


# Words ------------------------------------------------------------------------------------------


def basis_word(basis: str) -> str:
    """Where a charge's quantities come from."""
    return {
        "measured": gettext("measured"),
        "drained": gettext("drained"),
        "estimated": gettext("estimated"),
        "absorbed": gettext("absorbed"),
        "free": gettext("free"),
    }.get(basis, "")


def error_text(outcome: Mapping[str, Any]) -> str:
    """What happened, in plain words; the kind's own message where it says more."""
    kind, message = outcome.get("kind"), outcome.get("message", "")
    words = {
        "upstream_truncated": gettext("The answer broke off. The text so far is kept."),
        "upstream_malformed": gettext("The provider's answer could not be read to its end."),
        "upstream_unreachable": gettext("The provider cannot be reached."),
        "upstream_auth": gettext("The provider refused the channel's key."),
        "no_channel": gettext("No channel serves this model now."),
        "overloaded": gettext("The service is overloaded. Try again shortly."),
        "server_shutting_down": gettext("The service is restarting. Try again shortly."),
        "timeout": gettext("The model gave no answer in time."),
        "internal": gettext("The server failed to answer."),
    }
    return words.get(kind or "", "") or message or gettext("The server failed to answer.")


def refusal_text(outcome: Any) -> str:
    """Why a turn was not begun, for the composer: what happened, and that it cost nothing."""
    words = {
        "insufficient_balance": gettext("The balance does not cover this turn."),
        "max_cost_exceeded": gettext("This turn could cost more than its limit."),
        "model_unpriced": gettext("This model has no price, so requests to it are refused."),
        "model_not_found": gettext("No channel serves this model now."),
        "permission": gettext("The playground may not use this model."),
        "rate_limited": gettext("The rate limit is reached. Try again shortly."),
        "upstream_rate_limited": gettext(
            "The provider's rate limit is reached. Try again shortly."
        ),
        "context_length_exceeded": gettext("The conversation is too long for this model."),
    }
    said = words.get(outcome.kind or "", "") or outcome.message
    return f"{said} {gettext('You were not charged.')}"
