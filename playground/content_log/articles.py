"""Kept texts, rendered as a chat of the playground. They are untrusted, as answers are."""

import json
from collections.abc import Iterable, Sequence
from itertools import groupby
from typing import Any, Final

from django.utils.functional import Promise
from django.utils.safestring import mark_safe
from django.utils.translation import gettext, pgettext_lazy

from content.log.conversation import Piece
from content.log.kept import Kept
from content.log.story import Item
from playground.messages.page import answer_labels
from playground.rendering.markdown import render_whole
from playground.rendering.source_links import describe_source

FORMATTED_MAX: Final = 500_000
"""How many characters of one page are formatted as Markdown; the rest is shown as it is."""
SHOWN_MAX: Final = 20_000
"""How many characters of a text are shown that is not formatted."""
_LINE_MAX: Final = 200
_ROLES: Final[dict[str, Promise]] = {
    "system": pgettext_lazy("who said it", "System"),
    "developer": pgettext_lazy("who said it", "Developer"),
    "user": pgettext_lazy("who said it", "User"),
    "assistant": pgettext_lazy("who said it", "Answer"),
    "tool": pgettext_lazy("who said it", "Tool"),
}
_MEDIA: Final[dict[str, Promise]] = {
    "Image": pgettext_lazy("kind of media", "Image"),
    "Audio": pgettext_lazy("kind of media", "Audio"),
    "File": pgettext_lazy("kind of media", "File"),
    "Video": pgettext_lazy("kind of media", "Video"),
}


class Articles:
    """Renders the texts of one page."""

    def __init__(self) -> None:
        self._labels = answer_labels().markdown
        self._left = FORMATTED_MAX
        self._number = 0

    def of(self, items: Iterable[Item]) -> list[dict[str, Any]]:
        """Return the items for `_articles.html`; those of one side in a row are one article."""
        return [
            {
                "role": role,
                "title": _ROLES.get(role, role),
                "parts": [part for item in side for part in self._parts(item)],
            }
            for role, side in groupby(items, key=lambda item: item.role)
        ]

    def _parts(self, item: Item) -> Iterable[dict[str, Any]]:
        for thought in item.thoughts:
            yield {"kind": "reasoning", **shortened(thought)}
        piece = item.piece
        if piece.kind == "media":
            yield {"kind": "media", **_media(piece)}
        elif piece.kind == "tool_call":
            yield {"kind": "tool_call", "name": piece.name, **shortened(_indented(piece.text))}
        elif piece.kind == "tool_result":
            yield {"kind": "tool_result", "name": piece.name, "failed": piece.failed,
                   **shortened(piece.text)}  # fmt: skip
        elif piece.kind == "other":
            yield {"kind": "other"}
        elif piece.kind != "reasoning":
            yield self._text(item.role, piece)

    def _text(self, role: str, piece: Piece) -> dict[str, Any]:
        """Return a text: of an answer formatted, else as it was sent, as the playground does."""
        if role != "assistant" or len(piece.text) > self._left:
            return {"kind": "text", "name": piece.name, **shortened(piece.text)}
        self._left -= len(piece.text)
        self._number += 1
        html = render_whole(piece.text, self._labels, f"kept-{self._number}")
        return {"kind": "prose", "html": mark_safe(html)}  # noqa: S308 - behind the sanitiser


def shortened(text: str) -> dict[str, Any]:
    """Return the beginning of a text, its first words for a line, and how many of its characters
    are not shown."""
    return {
        "text": text[:SHOWN_MAX],
        "line": " ".join(text[:_LINE_MAX].split()),
        "more": max(0, len(text) - SHOWN_MAX),
    }


def bodies_of(kept: Kept, prefix: str) -> Iterable[dict[str, Any]]:
    """Return the bodies of a request that is no chat, as far as they are text. Their ids begin with
    the prefix."""
    for id, title, body in (
        ("request", gettext("Request"), kept.request),
        ("answer", gettext("Answer"), kept.answer),
        ("final", gettext("How its task ended"), kept.final),
    ):
        if body:
            text = shortened(body.decode(errors="replace"))
            yield {"id": f"{prefix}-{id}", "title": title, **text}


def remarks_of(kept: Kept) -> list[str]:
    """Return what a reader should know of how an answer came about, and of what is not here."""
    remarks = [
        gettext("Attempt %(n)s failed: %(error)s") % {"n": number, "error": error}
        for number, error in enumerate(kept.failures, 1)
    ]
    if kept.broken:
        remarks.append(gettext("The answer broke off. This is what had arrived."))
    if "request" in kept.left_out:
        remarks.append(gettext("The request was not kept, because it could not be masked."))
    if "answer" in kept.left_out:
        remarks.append(gettext("The answer was not kept, because it could not be masked."))
    return remarks


def instructions_of(items: Sequence[Item]) -> list[dict[str, Any]]:
    """Return system prompts, each with its role."""
    return [
        {"title": _ROLES.get(item.role, item.role), **shortened(item.piece.text)} for item in items
    ]


def _media(piece: Piece) -> dict[str, Any]:
    """Return a picture, sound or file by what is known of it. Nothing is loaded from its
    address."""
    known = describe_source({"url": piece.text})
    icon = "image" if piece.name == "Image" else "file-text"
    return {
        **known,
        "icon": icon,
        "name": _MEDIA.get(piece.name, piece.name),
        "type": piece.media_type,
        "size": piece.size,
    }


def _indented(arguments: str) -> str:
    """Return JSON over several lines, and what is none as it is."""
    if len(arguments) > SHOWN_MAX:
        return arguments
    try:
        return json.dumps(json.loads(arguments or "{}"), indent=2, ensure_ascii=False)
    except (ValueError, RecursionError):
        return arguments
