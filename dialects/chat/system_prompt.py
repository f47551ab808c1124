"""Insert an operator's system prompt into an outgoing request of any dialect.

prepend    before the client's system texts
append     after them
replace    in their place

openai        the first of `messages` that are system or developer
responses     `instructions`; `replace` also removes such items from `input`
anthropic     `system`
gemini        `systemInstruction`
interactions  `system_instruction`
"""

from collections.abc import Callable, Mapping, Sequence
from itertools import takewhile
from types import MappingProxyType
from typing import Any, Final, Literal

import msgspec

from dialects.chat.chat import Dialect
from dialects.json.camel_case import camel_name
from dialects.json.raw_json import starts

PromptMode = Literal["prepend", "append", "replace"]
Members = dict[str, Any]
"""The top-level members of a body: raw, or the new values."""

_SYSTEM_ROLES: Final = frozenset({"system", "developer"})
_BETWEEN: Final = "\n\n"
_list_of_raws = msgspec.json.Decoder(list[msgspec.Raw])
_members = msgspec.json.Decoder(dict[str, msgspec.Raw])


def set_prompt(dialect: Dialect, members: Members, text: str, mode: PromptMode) -> None:
    """Insert the text into a body. The provider refuses invalid shapes."""
    _PUT[dialect](members, text, mode)


def _openai(members: Members, text: str, mode: PromptMode) -> None:
    turns = _items(members.get("messages"))
    if turns is None:
        return
    roles = [_role(turn) for turn in turns]
    # Some providers refuse both names in one request.
    role = next((role for role in roles if role in _SYSTEM_ROLES), "system")
    own = {"role": role, "content": text}
    if mode == "replace":
        rest = [turn for turn, role in zip(turns, roles, strict=True) if role not in _SYSTEM_ROLES]
        members["messages"] = [own, *rest]
        return
    leading = len(list(takewhile(_SYSTEM_ROLES.__contains__, roles)))
    at = 0 if mode == "prepend" else leading
    members["messages"] = [*turns[:at], own, *turns[at:]]


def _responses(members: Members, text: str, mode: PromptMode) -> None:
    if mode != "replace":
        members["instructions"] = _join(_text(members.get("instructions")), text, mode)
        return
    members["instructions"] = text
    items = _items(members.get("input"))
    if items is not None:
        members["input"] = [item for item in items if _role(item) not in _SYSTEM_ROLES]


def _anthropic(members: Members, text: str, mode: PromptMode) -> None:
    theirs = None if mode == "replace" else members.get("system")
    blocks = _items(theirs)
    if blocks is None:
        members["system"] = _join(_text(theirs), text, mode)
    else:
        members["system"] = _insert(blocks, {"type": "text", "text": text}, mode)


def _gemini(members: Members, text: str, mode: PromptMode) -> None:
    name = "systemInstruction"
    spelling = next((member for member in members if camel_name(member) == name), name)
    theirs = None if mode == "replace" else members.get(spelling)
    content = _object(theirs)
    # A single object means a list of one, and a text means a whole instruction.
    parts: list[Any] | None = _items(content.get("parts"))
    if parts is None:
        parts = [content["parts"]] if "parts" in content else []
    if prompt := _text(theirs):
        parts = [{"text": prompt}]
    members[spelling] = {**content, "parts": _insert(parts, {"text": text}, mode)}


def _interactions(members: Members, text: str, mode: PromptMode) -> None:
    name = "system_instruction"
    members[name] = _join(_text(members.get(name)), text, mode)


def _converse(members: Members, text: str, mode: PromptMode) -> None:
    blocks = None if mode == "replace" else _items(members.get("system"))
    members["system"] = _insert(blocks or [], {"text": text}, mode)


_PUT: Final[Mapping[Dialect, Callable[[Members, str, PromptMode], None]]] = MappingProxyType(
    {
        "openai": _openai,
        "responses": _responses,
        "anthropic": _anthropic,
        "gemini": _gemini,
        "interactions": _interactions,
        "converse": _converse,
    }
)


def _join(theirs: str, text: str, mode: PromptMode) -> str:
    if not theirs or mode == "replace":
        return text
    return f"{text}{_BETWEEN}{theirs}" if mode == "prepend" else f"{theirs}{_BETWEEN}{text}"


def _insert(parts: Sequence[Any], own: Any, mode: PromptMode) -> list[Any]:
    return [own, *parts] if mode == "prepend" else [*parts, own]


def _items(raw: msgspec.Raw | None) -> list[msgspec.Raw] | None:
    """Return the items of a list; None if the value is not a list."""
    return _list_of_raws.decode(raw) if raw is not None and starts(raw, b"[") else None


def _role(turn: msgspec.Raw) -> str:
    role = _object(turn).get("role")
    return _text(role)


def _text(raw: msgspec.Raw | None) -> str:
    """Return a text; "" if the value is not a text."""
    return msgspec.json.decode(raw, type=str) if raw is not None and starts(raw, b'"') else ""


def _object(raw: msgspec.Raw | None) -> dict[str, msgspec.Raw]:
    """Return the members of an object; none if the value is not an object."""
    return _members.decode(raw) if raw is not None and starts(raw, b"{") else {}
