"""Parts of the gemini dialect in requests and answers: data, addresses, calls."""

from typing import Any

import msgspec

from dialects.chat.chat import JsonObject
from dialects.json.lone_surrogates import make_readable

_objects = msgspec.json.Decoder(dict[str, msgspec.Raw])


def write_data(data: str, media_type: str) -> JsonObject:
    """Return data in base64."""
    return {"inlineData": {"mimeType": media_type, "data": data}}


def write_address(url: str, media_type: str) -> JsonObject:
    """Return a part with data at a URL. An unknown type is omitted."""
    typed = {"mimeType": media_type} if media_type else {}
    return {"fileData": typed | {"fileUri": url}}


def write_call(name: str, arguments: str, id_: str = "") -> JsonObject:
    """Return a function call. Arguments that are not an object are wrapped as `_raw` in one."""
    head: dict[str, Any] = {"id": id_} if id_ else {}
    args = object_of(arguments or "{}")
    return {"functionCall": head | {"name": name, "args": args or {"_raw": arguments}}}


def object_of(text: str) -> msgspec.Raw | None:
    """Return a JSON object on one line; None if the text is not an object."""
    try:
        raw = make_readable(text.encode())
        _objects.decode(raw)
        return msgspec.Raw(msgspec.json.format(raw, indent=-1))
    except (msgspec.DecodeError, RecursionError, UnicodeEncodeError):
        return None
