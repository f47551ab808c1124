"""Parts of the gemini dialect, as both ends write them: data, addresses, calls."""

from typing import Any

import msgspec

from dialects.chat.chat import JsonObject
from dialects.json.lone_surrogates import make_readable

_objects = msgspec.json.Decoder(dict[str, msgspec.Raw])


def write_data(data: str, media_type: str) -> JsonObject:
    """Data in base64."""
    return {"inlineData": {"mimeType": media_type, "data": data}}


def write_address(url: str, media_type: str) -> JsonObject:
    """Data behind an address; its type is left out where it is not known."""
    typed = {"mimeType": media_type} if media_type else {}
    return {"fileData": typed | {"fileUri": url}}


def write_call(name: str, arguments: str, id_: str = "") -> JsonObject:
    """A function call. Arguments that are no object are put into one, as `_raw`."""
    head: dict[str, Any] = {"id": id_} if id_ else {}
    args = object_of(arguments or "{}")
    return {"functionCall": head | {"name": name, "args": args or {"_raw": arguments}}}


def object_of(text: str) -> msgspec.Raw | None:
    """A JSON object as it is written, in one line; None when the text is none."""
    try:
        raw = make_readable(text.encode())
        _objects.decode(raw)
        return msgspec.Raw(msgspec.json.format(raw, indent=-1))
    except (msgspec.DecodeError, RecursionError, UnicodeEncodeError):
        return None
