"""A session of the content log as one conversation, with what each step cost."""

from collections.abc import Iterator
from typing import Any
from uuid import UUID

from django.http import Http404
from django.urls import reverse
from django.utils.translation import gettext

from accounts.access.access import AccessDenied
from accounts.access.actors import Actor, slug_of
from content.log.conversation import Exchange, exchange_of
from content.log.session_log import BYTES_MAX, ENTRIES_MAX, SessionLog
from content.log.story import Step, fold_story
from lib.ids import id_text
from playground.content_log.articles import Articles, bodies_of, instructions_of, remarks_of
from usage.log.log_views import status_badge
from usage.sessions.sessions import Turn, read_turns


def story_context(actor: Actor, session_id: UUID, read: SessionLog) -> dict[str, Any]:
    """Return the steps of a session, one for each request."""
    chats = list[int]()
    folded = iter(fold_story(_exchanges(read, chats)))
    turns = _turns(actor, session_id, read)
    articles, steps = Articles(), list[dict[str, Any]]()
    for number, (entry, kept) in enumerate(read.entries, 1):
        turn = turns.get(entry.request_id)
        url = reverse("request", args=[slug_of(actor), id_text(entry.request_id)]) if turn else ""
        step: dict[str, Any] = {
            "number": number,
            "at": entry.created_at,
            "model": entry.model,
            "badge": status_badge(entry.status, None),
            "error": kept.error,
            "remarks": remarks_of(kept),
            "turn": turn,
            "url": url,
        }
        if number in chats:
            part = next(folded)
            step |= {
                "note": _note(part, chats, number),
                "after": None if part.after is None else chats[part.after],
                "instructions": instructions_of(part.instructions),
                "articles": articles.of(part.asked),
                "answers": [articles.of(answer) for answer in part.answered],
            }
        else:
            step |= {"bodies": list(bodies_of(kept, f"kept-{number}"))}
        steps.append(step)
    return {
        "opened": True,
        "steps": steps,
        "older": read.older,
        "unreadable": read.unreadable,
        "entries_max": ENTRIES_MAX,
        "bytes_max": BYTES_MAX,
        "charge_nano": sum(turn.charge_nano for turn in turns.values()) if turns else None,
    }


def _exchanges(read: SessionLog, chats: list[int]) -> Iterator[Exchange]:
    """Yield the chats among the requests, and note their numbers."""
    for number, (entry, kept) in enumerate(read.entries, 1):
        exchange = exchange_of(kept, entry.dialect, entry.model)
        if exchange is not None:
            chats.append(number)
            yield exchange


def _note(step: Step, chats: list[int], number: int) -> str:
    """Return what a reader should know of a step that does not simply continue the one before."""
    if step.after is None:
        return "" if number == chats[0] else gettext("A conversation of its own begins")
    after = chats[step.after]
    if step.kind == "repeats":
        return gettext("The same request as step %(n)s, sent again") % {"n": after}
    if step.kind == "branches":
        return gettext("The history was changed: a branch from step %(n)s begins") % {"n": after}
    if after != number - 1:
        return gettext("Continues step %(n)s") % {"n": after}
    return ""


def _turns(actor: Actor, session_id: UUID, read: SessionLog) -> dict[UUID, Turn]:
    """Return the figures of the steps, none for a reader who may not see requests."""
    try:
        return read_turns(actor, session_id, [entry.request_id for entry, _ in read.entries])
    except (AccessDenied, Http404):
        return {}
