"""Files of a message: uploaded by form, paste or drop, or fetched from a URL."""

import asyncio
import re
from collections.abc import Sequence
from urllib.parse import quote
from uuid import UUID

from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import render
from django.utils.translation import gettext
from django.views.decorators.http import require_POST, require_safe

from accounts.access.actors import Actor, slug_of
from accounts.guards.guards import organisation_page
from lib.database.async_database import run_in_database
from lib.ids import id_text
from lib.network.egress import EgressError
from playground.attachments import attachments
from playground.attachments.rules import UnsupportedFile
from playground.chats.chips import Chip, chip_of
from playground.conversations.conversations import access_attachment, access_message
from playground.models import Attachment
from playground.panel.words import file_text, unfetched_text
from playground.rendering.markdown import PREVIEWED, code_in

# Types that browsers display; all others are downloaded.
_SHOWN = ("image/png", "image/jpeg", "image/gif", "image/webp", "audio/wav", "audio/mpeg",
          "audio/ogg", "audio/webm", "audio/mp4", "audio/flac", "audio/aac")  # fmt: skip
_RANGE = re.compile(r"bytes=([0-9]{1,12})-([0-9]{0,12})")


@organisation_page("playground.use")
@require_POST
def file_add(request: HttpRequest, actor: Actor) -> HttpResponse:
    added, errors = [], []
    for upload in request.FILES.getlist("files"):
        try:
            added.append(chip_of(attachments.add_file(actor, upload.name or "", upload.read())))
        except UnsupportedFile as refused:
            errors.append(file_text(refused, upload.name or ""))
    return _chips(request, actor, added, errors)


@organisation_page("playground.use")
@require_POST
async def file_fetch(request: HttpRequest, actor: Actor) -> HttpResponseBase:
    added, errors = [], []
    try:
        async with asyncio.timeout(attachments.FETCH_S):
            name, data = await attachments.fetch_file(request.POST.get("url", "").strip())
        added.append(chip_of(await run_in_database(attachments.add_file, actor, name, data)))
    except UnsupportedFile as refused:
        errors.append(file_text(refused, name))
    except EgressError as error:
        errors.append(unfetched_text(error))
    except TimeoutError:
        errors.append(gettext("The URL did not respond in time."))
    return await run_in_database(_chips, request, actor, added, errors)


@organisation_page("playground.read")
@require_safe
def media_show(request: HttpRequest, actor: Actor, id: UUID) -> HttpResponse:
    """Return a file by the id that a message has for it."""
    return _file(request, access_attachment(actor, id_text(id)))


@organisation_page("playground.read")
@require_safe
def file_show(request: HttpRequest, actor: Actor, id: str) -> HttpResponse:
    return _file(request, access_attachment(actor, id))


def _file(request: HttpRequest, file: Attachment) -> HttpResponse:
    inline = file.media_type in _SHOWN
    kind = file.media_type if inline else "application/octet-stream"
    data, part = bytes(file.data), _part(request.headers.get("range", ""), file.size)
    response = HttpResponse(data[part.start : part.stop] if part else data, content_type=kind)
    # A player needs this to seek within a sound.
    response["Accept-Ranges"] = "bytes"
    if part:
        response.status_code = 206
        response["Content-Range"] = f"bytes {part.start}-{part.stop - 1}/{file.size}"
    how = "inline" if inline else "attachment"
    response["Content-Disposition"] = (
        f"{how}; filename=\"file\"; filename*=UTF-8''{quote(file.name, safe='')}"
    )
    # The file may not run scripts, whoever wrote it.
    response["Content-Security-Policy"] = "default-src 'none'; sandbox"
    response["X-Content-Type-Options"] = "nosniff"
    return response


def _part(value: str, size: int) -> range | None:
    """Parse the single range of a `Range` header. Return None when the whole file is sent."""
    match = _RANGE.fullmatch(value)
    if match is None or int(match[1]) >= size:
        return None
    last = min(int(match[2]), size - 1) if match[2] else size - 1
    return range(int(match[1]), last + 1) if last >= int(match[1]) else None


@organisation_page("playground.read")
@require_safe
def code_preview(
    request: HttpRequest, actor: Actor, id: str, block: int, number: int
) -> HttpResponse:
    """Render a block of HTML or SVG for a frame without network access."""
    code = code_in(access_message(actor, id).content, block, number)
    if code is None or code[0] not in PREVIEWED:
        raise Http404
    response = HttpResponse(code[1], content_type=f"{PREVIEWED[code[0]]}; charset=utf-8")
    response["Content-Security-Policy"] = _PREVIEW_POLICY
    response["X-Frame-Options"] = "SAMEORIGIN"
    response["X-Content-Type-Options"] = "nosniff"
    response["Cache-Control"] = "private, no-store"
    return response


# Scripts are disabled: a script could send the chat away by means that no policy blocks, such as
# WebRTC. The empty sandbox also gives the page an opaque origin, without our cookies.
_PREVIEW_POLICY = (
    "sandbox; default-src 'none'; style-src 'unsafe-inline'; img-src data:; font-src data:; "
    "form-action 'none'; base-uri 'none'; frame-ancestors 'self'"
)


def _chips(
    request: HttpRequest, actor: Actor, added: Sequence[Chip], errors: list[str]
) -> HttpResponse:
    context = {"chips": added, "errors": errors, "slug": slug_of(actor)}
    return render(
        request, "playground/attachments/_chips.html", context, status=200 if added else 422
    )
