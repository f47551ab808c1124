"""Read a form of the media pages into a `media.MediaOrder`, and compute its maximum cost."""

import base64
import json
from collections.abc import Callable, Mapping
from typing import Any, Final

from django.http import Http404
from django.utils.translation import gettext

from accounts.access.actors import Actor
from dialects.json.forms import PartHead
from dialects.media.file_types import HEAD_BYTES, Kind, detect_type, type_of
from lib.database.async_database import run_in_database
from lib.ids import new_id, parse_id
from lib.refusal import Refused
from playground.attachments.attachments import add_bytes
from playground.attachments.rules import BYTES_MAX
from playground.conversations.conversations import access_attachment
from playground.media.media import MediaColumn, MediaOrder, visible_media
from playground.media.rules import (
    build_request,
    is_in_body,
    pictures_in,
    supported_values,
)
from playground.media.service import InvalidMedia
from playground.media.task_services import MEDIA_SERVICES
from playground.media.words import label_of
from playground.models import Attachment, MediaKind
from playground.models_offered.media_model import MediaModel
from playground.models_offered.offered_models import media_models
from playground.payers.paying import Payer, checked_default, read_payer
from playground.relaying.relaying import ChatRelay
from relay.hold_sizes.bound import Bound
from relay.requests.uploads import Form

COMPARED_MAX: Final = 2
# The input roles of each kind, and the file types that they accept.
ROLES: Final[Mapping[str, Mapping[str, Kind]]] = {
    "image": {"picture": "image", "mask": "image"},
    "speech": {},
    "transcription": {"sound": "audio"},
    "video": {"picture": "image"},
    **{kind: service.roles for kind, service in MEDIA_SERVICES.items()},
}
# The form field names of the roles in requests to a provider.
_PARTS: Final = {"picture": "image", "mask": "mask", "sound": "file"}
# Placeholder values for the cost before anything is typed, where the cost does not depend on the
# text.
_NO_WORDS_YET: Final = "…"


def read_order(
    actor: Actor, kind: str, form: Mapping[str, str], *, draft: bool = False
) -> MediaOrder:
    """Read the form. A `draft` is read with placeholder text. Raises Refused."""
    service = MEDIA_SERVICES.get(kind)
    if service is not None and (model := service.model_of(form)):
        # A button below a result selects an action.
        form = {**form, "model": model}
    offered = {model.name: model for model in media_models(actor, kind)}
    names = [form.get("model", ""), form.get("compare", "")]
    chosen = [offered[name] for name in dict.fromkeys(names) if name in offered]
    if names[0] not in offered:
        raise Refused("model", gettext("Choose a model."))
    files = _files(actor, kind, form)
    # A form sends a newline as two characters; the model gets what was typed.
    prompt = form.get("prompt", "").replace("\r\n", "\n")
    if draft and kind not in (MediaKind.SPEECH, MediaKind.TRANSCRIPTION):
        prompt = prompt.strip() or _NO_WORDS_YET
    try:
        columns = [_column(kind, model, prompt, form, files) for model in chosen[:COMPARED_MAX]]
    except InvalidMedia as invalid:
        raise Refused(invalid.field, invalid_media_text(invalid)) from invalid
    token = parse_id(form.get("token", "")) or new_id()
    if service is not None and service.titled_by_source and not prompt:
        prompt = _prompt_of(actor, form.get("source", ""))
    return MediaOrder(kind, prompt, columns, read_media_payer(actor, form), token, files)


def _prompt_of(actor: Actor, task: str) -> str:
    """Return the prompt of the image that a new one is based on."""
    run = visible_media(actor).filter(task=task).first() if task else None
    return "" if run is None else run.prompt


def _column(
    kind: str,
    model: MediaModel,
    prompt: str,
    form: Mapping[str, str],
    files: Mapping[str, Attachment],
) -> MediaColumn:
    values = supported_values(kind, model, form)
    return MediaColumn(model.name, build_request(kind, model, prompt, values, tuple(files)), values)


def _files(actor: Actor, kind: str, form: Mapping[str, str]) -> dict[str, Attachment]:
    """Return the files that a form refers to. Raises Refused for a file that no longer exists."""
    files = {}
    for role in ROLES[kind]:
        if form.get(role):
            try:
                files[role] = access_attachment(actor, form[role])
            except Http404 as error:
                message = gettext("The file is no longer kept. Add it again.")
                raise Refused(role, message) from error
    if kind == MediaKind.IMAGE and "mask" in files and "picture" not in files:
        del files["mask"]
    return files


def read_media_payer(actor: Actor, form: Mapping[str, str]) -> Payer:
    """Return the payer of the request. Raises Refused."""
    if "key" in form:
        return read_payer(actor, form["key"], form.get("project", ""))
    return checked_default(actor)


def add_media_file(actor: Actor, kind: str, role: str, name: str, data: bytes) -> Attachment:
    """Store a file for a form. An image is shown on the page, so its type must be known; an unknown
    sound is passed to its provider to judge. Raises Refused."""
    wanted, head = ROLES[kind].get(role), data[:HEAD_BYTES]
    if wanted == "audio" and data:
        media_type = detect_type(head, name, wanted)
    else:
        media_type = None if wanted is None else type_of(head, wanted)
    if len(data) > BYTES_MAX:
        message = gettext("%(name)s is too large. The limit is %(n)s MB.")
        raise Refused(role, message % {"name": name, "n": BYTES_MAX // 2**20})
    if wanted is None or media_type is None:
        message = (
            gettext("%(name)s is not an audio file that can be transcribed.")
            if wanted == "audio"
            else gettext("%(name)s is not a PNG, JPEG, WebP or GIF image.")
        )
        raise Refused(role, message % {"name": name})
    return add_bytes(actor, name, data, wanted, media_type[0] or "application/octet-stream")


def invalid_media_text(invalid: InvalidMedia) -> str:
    """Return the error message: what is wrong, and what is expected."""
    return _INVALID[invalid.code]() % {"field": label_of(invalid.field), **invalid.detail}


_INVALID: Final[Mapping[str, Callable[[], str]]] = {
    "no_prompt": lambda: gettext("Enter a prompt."),
    "no_sound": lambda: gettext("Record something, or choose an audio file."),
    "no_edits": lambda: gettext("This model cannot edit pictures. Remove the picture."),
    "no_masks": lambda: gettext("This model takes no mask. Clear the mask."),
    "no_picture": lambda: gettext("Add a picture."),
    "few_pictures": lambda: gettext("Add at least %(low)s pictures."),
    "no_number": lambda: gettext("%(field)s: enter a value from %(low)s to %(high)s."),
    "no_language": lambda: gettext("%(field)s: enter a code such as en or zh."),
    "too_long": lambda: gettext("%(field)s: at most %(high)s characters."),
}


# Order for the relay ----------------------------------------------------------------------------


def form_of(operation: str, files: Mapping[str, Attachment]) -> Form | None:
    """Return the request's files as form parts, which the caller must close. Return None if it has
    none, or has them in its body. Raises RequestFault."""
    if not files or is_in_body(operation):
        return None
    form = Form()
    for role, file in files.items():
        form.add(PartHead(_PARTS[role], file.name), bytes(file.data))
    return form


def body_of(body: Mapping[str, Any], operation: str, files: Mapping[str, Attachment]) -> bytes:
    """Return the body to send, with the pictures that belong in it."""
    urls = {role: _url(file) for role, file in files.items()} if is_in_body(operation) else {}
    return json.dumps({**body, **pictures_in(operation, urls)}).encode()


def _url(file: Attachment) -> str:
    return f"data:{file.media_type};base64,{base64.b64encode(bytes(file.data)).decode()}"


async def bounds_of(actor: Actor, relay: ChatRelay, order: MediaOrder) -> list[tuple[str, Bound]]:
    """Return the maximum cost of each column. Raises RequestFault, DatabaseAway."""
    principal = await order.payer.principal(actor, relay)
    bounds = []
    for column in order.columns:
        operation = column.ask.operation
        form = await run_in_database(form_of, operation, order.files)
        try:
            bound = await relay.bound(
                principal,
                await run_in_database(body_of, column.ask.body, operation, order.files),
                operation=operation,
                labels=order.payer.labels,
                form=form,
            )
        finally:
            if form is not None:
                form.close()
        bounds.append((column.model, bound))
    return bounds
