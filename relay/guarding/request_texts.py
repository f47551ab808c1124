"""The texts of a request's body, in any dialect and of any operation.

Every text is checked except those that only name something, such as roles, types and ids: a member
that nobody knows is not passed unchecked. Arguments and results of tools are checked as JSON, their
names included, so that an escape in them hides nothing.
"""

import binascii
import re
from base64 import b64decode, b64encode
from collections.abc import Mapping
from typing import Any, Final

import msgspec

from content.guards.rules import Place
from dialects.errors.errors import RequestFault
from dialects.json.body import Body
from relay.guarding.asking import CheckText

# The members whose texts are words of the API, ids, or secrets of providers that nobody can read.
_NAMING: Final = frozenset({
    "type", "role", "id", "call_id", "callId", "tool_call_id", "tool_use_id", "toolUseId",
    "item_id", "model", "models", "object", "status", "format", "detail", "effort", "mode",
    "service_tier", "tool_choice", "truncation", "verbosity", "reasoning_effort",
    "encoding_format", "voice", "size", "quality", "media_type", "mime_type", "mimeType",
    "signature", "thoughtSignature", "thought_signature", "encrypted_content", "redactedContent",
    "ttl", "include", "modalities", "responseModalities", "previous_response_id",
    "previous_interaction_id", "file_id", "phase", "$schema", "$ref",
})  # fmt: skip
_RESULTS: Final = ("functionResponse", "function_response", "toolResult")
_CALLS: Final = ("functionCall", "function_call", "toolUse", "tool_calls")
_DECLARED: Final = frozenset({
    "tools", "functions", "toolConfig", "tool_config", "tool_choice", "function",
    "functionCall", "functionResponse", "function_call", "function_response", "toolUse",
    "response_format", "json_schema", "text",
})  # fmt: skip
# The members with what a tool is called with, and with what it returned.
_FREE: Final = ("arguments", "args", "input", "output", "response", "json", "content", "result")
_BINARY: Final = ("bytes", "b64_json")
_KINDS: Final = ("media_type", "mime_type", "mimeType")
_BASE64: Final = re.compile(r"[A-Za-z0-9+/_-]*+={0,2}+")
# A name as APIs and schemas have them; another one is a text of the caller's.
_NAME: Final = re.compile(r"[A-Za-z_$][A-Za-z_$.-]*[0-9]{0,3}")
_DIGITS_MIN: Final = 6


def check_texts(body: Body, check: CheckText) -> bytes:
    """Return the body with its texts as `check` returns them; its own bytes if it changes none.
    Raises what `check` raises, and RequestFault for a value that cannot be read."""
    edits: dict[str, bytes | None] = {}
    texts = _Texts(check)
    for name in body.members:
        raw = body.value(name)
        if raw is None or b'"' not in raw:
            continue
        try:
            value = msgspec.json.decode(raw)
        except (msgspec.DecodeError, ValueError):
            what = f"{name[:64]} has a number that guards cannot read"
            raise RequestFault("malformed_json", None, what) from None
        changed = texts.member(name, value, "request", {})
        if changed != value:
            edits[name] = msgspec.json.encode(changed)
    return body.splice(edits) if edits else body.raw


def has_texts_as_written(raw: bytes) -> bool:
    """Return whether each text that `check_texts` checks in a body stands in its bytes as it is:
    without an escape, and not in base64."""
    return not (
        b"\\" in raw or b";base64," in raw or b'"text/' in raw or b'"application/json' in raw
    )


class _Texts:
    def __init__(self, check: CheckText) -> None:
        self._check = check

    def member(self, name: str, value: Any, place: Place, around: Mapping[str, Any]) -> Any:
        """Return the value of a member of `around`."""
        if isinstance(value, str):
            return self._text(name, value, place, around)
        if isinstance(value, list):
            return [self.member(name, item, place, around) for item in value]
        if isinstance(value, dict):
            return self._object(name, value, place)
        return value

    def _object(self, name: str, value: dict[str, Any], place: Place) -> dict[str, Any]:
        place = _place_of(value, place)
        changed = {}
        for inner, item in value.items():
            at: Place = "tool_result" if inner in _RESULTS else place
            at = "tool_call" if inner in _CALLS else at
            if inner == "name" and (at != "request" or name in _DECLARED):
                changed[inner] = item
            elif at in ("tool_call", "tool_result") and inner in _FREE:
                changed[inner] = self.free(item, at)
            else:
                changed[self._name(inner, at)] = self.member(inner, item, at, value)
        return changed

    def _name(self, name: str, place: Place) -> str:
        return name if _NAME.fullmatch(name) else self._check(place, name)

    def _text(self, name: str, text: str, place: Place, around: Mapping[str, Any]) -> str:
        if name in _NAMING:
            return text
        if text.startswith("data:") and ";base64," in text[:200]:
            head, _, data = text.partition(",")
            kind = head.removeprefix("data:")
            return f"{head},{self._encoded(data, kind, place)}"
        if name in _BINARY or (name == "data" and _is_binary(around)):
            kind = next((around[kind] for kind in _KINDS if kind in around), "")
            return self._encoded(text, str(kind), place)
        return self._check(place, text)

    def _encoded(self, data: str, kind: str, place: Place) -> str:
        """Return base64 data; that of a text is checked, and so is what is no base64."""
        if not _BASE64.fullmatch(data):
            return self._check(place, data)
        if not kind.startswith(("text/", "application/json")):
            return data
        try:
            text = b64decode(data).decode()
        except (binascii.Error, ValueError):
            return self._check(place, data)
        checked = self._check(place, text)
        return data if checked == text else b64encode(checked.encode()).decode()

    def free(self, value: Any, place: Place) -> Any:
        """Return a value of any form, such as what a tool returned: its names are texts too."""
        if isinstance(value, str):
            return self._free_text(value, place)
        if isinstance(value, list):
            return [self.free(item, place) for item in value]
        if isinstance(value, dict):
            if isinstance(value.get("data"), str) and _is_binary(value):
                return self._object("", value, place)
            return {
                self._check(place, name): item
                if name in ("type", "id", "signature") and isinstance(item, str)
                else self.free(item, place)
                for name, item in value.items()
            }
        if isinstance(value, int) and not isinstance(value, bool) and value >= 10**_DIGITS_MIN:
            checked = self._check(place, str(value))
            return value if checked == str(value) else checked
        return value

    def _free_text(self, text: str, place: Place) -> str:
        if text.startswith("data:") and ";base64," in text[:200]:
            return self._text("", text, place, {})
        if text.lstrip()[:1] in ("{", "["):
            try:
                value = msgspec.json.decode(text)
            except (msgspec.DecodeError, ValueError):
                return self._check(place, text)
            changed = self.free(value, place)
            if changed != value:
                text = msgspec.json.encode(changed).decode()
        return self._check(place, text)


def _place_of(value: Mapping[str, Any], place: Place) -> Place:
    kind, role = value.get("type"), value.get("role")
    if role in ("tool", "function"):
        return "tool_result"
    if not isinstance(kind, str):
        return place
    if kind.endswith(("tool_result", "_output", "function_result")) and kind != "text_output":
        return "tool_result"
    return "tool_call" if kind.endswith(("_call", "tool_use")) else place


def _is_binary(value: Mapping[str, Any]) -> bool:
    """Return whether the data of an object is a file, not a text."""
    if value.get("type") == "text":
        return False
    return (
        value.get("type") == "base64" or "format" in value or any(kind in value for kind in _KINDS)
    )


def check_json(text: str, place: Place, check: CheckText) -> str:
    """Return the JSON text of a tool's arguments; a text that is no JSON is checked as it is."""
    return _Texts(check)._free_text(text, place)
