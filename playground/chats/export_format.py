"""A conversation as a file: JSON with every branch, which can be imported, or Markdown with the
current one.

    one     {"weir_chat": 1, "title", "model", "settings", "leaf", "messages": […], "files": {…}, …}
    many    {"weir_chats": 1, "chats": [one, …]}

Unusable    the file was not exported by Weir; `path` is the place of the error
"""

import base64
import binascii
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

VERSION: Final = 1
MESSAGES_MAX: Final = 20_000
CHATS_MAX: Final = 5_000
IMPORT_BYTES_MAX: Final = 64 * 1024 * 1024
_ROLES: Final = ("user", "assistant", "tool")
_COUNTS: Final = (
    "status", "charge_nano", "hold_nano", "expected_nano", "ttft_ms", "total_ms", "thought_ms"
)  # fmt: skip
_WORDS: Final = ("kind", "finish_reason", "basis")
# The texts that each item of a part has, and those that are texts wherever they stand.
_PART_TEXTS: Final[Mapping[str, tuple[str, ...]]] = {
    "calls": ("id", "name", "arguments"),
    "results": ("call_id", "name", "content"),
    "summary": ("text",),
}
_PART_LINKS: Final = frozenset({"id", "url"})
_STATES: Final = ("done", "stopped", "failed", "interrupted", "refused")


class Unusable(ValueError):
    """The file cannot be imported."""

    def __init__(self, path: str, reason: str) -> None:
        super().__init__(f"{path}: {reason}")
        self.path = path
        self.reason = reason


@dataclass(frozen=True)
class ExportedMessage:
    """One message. `outcome` has its usage and cost (`meters`, `charge_nano`, `basis`)."""

    id: str
    parent: str | None
    role: str
    content: str
    reasoning: str = ""
    model: str = ""
    state: str = "done"
    parts: Mapping[str, Any] = field(default_factory=dict)
    edited: bool = False
    column: int = 0
    created_at: str = ""
    outcome: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class ExportedConversation:
    """A whole conversation. Parents come before their children. `files` has name and bytes by id.
    `columns` are those of a comparison. Times are ISO 8601, or "" if unknown."""

    title: str
    model: str
    settings: Mapping[str, Any]
    leaf: str | None
    turns: tuple[ExportedMessage, ...]
    files: Mapping[str, tuple[str, bytes]] = field(default_factory=dict)
    columns: Sequence[Mapping[str, Any]] = ()
    folder: str = ""
    pinned: bool = False
    archived: bool = False
    created_at: str = ""
    updated_at: str = ""


_PLACES: Final = ("folder", "pinned", "archived", "created_at", "updated_at")


def write_file(chat: ExportedConversation) -> dict[str, Any]:
    """Return the JSON form."""
    return {
        "weir_chat": VERSION,
        "title": chat.title,
        "model": chat.model,
        "settings": dict(chat.settings),
        "leaf": chat.leaf,
        **({"columns": list(chat.columns)} if chat.columns else {}),
        **{name: value for name in _PLACES if (value := getattr(chat, name))},
        "messages": [_write_message(turn) for turn in chat.turns],
        "files": {
            id: {"name": name, "data": base64.b64encode(data).decode()}
            for id, (name, data) in chat.files.items()
        },
    }


def _write_message(turn: ExportedMessage) -> dict[str, Any]:
    members = {name: getattr(turn, name) for name in ExportedMessage.__dataclass_fields__}
    return {name: value for name, value in members.items() if value or name in ("id", "content")}


def read_files(raw: Any) -> list[ExportedConversation]:
    """Parse the JSON form of one conversation or of many. Raises Unusable."""
    if not isinstance(raw, dict) or "weir_chats" not in raw:
        return [read_file(raw)]
    if raw["weir_chats"] != VERSION:
        raise Unusable("/weir_chats", f"expected {VERSION}")
    chats = raw.get("chats")
    if not isinstance(chats, list) or not 0 < len(chats) <= CHATS_MAX:
        raise Unusable("/chats", f"expected 1 to {CHATS_MAX} conversations")
    conversations = []
    for number, chat in enumerate(chats):
        try:
            conversations.append(read_file(chat))
        except Unusable as fault:
            raise Unusable(f"/chats/{number}{fault.path}", fault.reason) from fault
    return conversations


def read_file(raw: Any) -> ExportedConversation:
    """Parse the JSON form of one conversation. Raises Unusable."""
    if not isinstance(raw, dict) or raw.get("weir_chat") != VERSION:
        raise Unusable("/weir_chat", f"expected {VERSION}")
    messages = raw.get("messages")
    # A chat whose messages were all deleted has none.
    if not isinstance(messages, list) or len(messages) > MESSAGES_MAX:
        raise Unusable("/messages", f"expected at most {MESSAGES_MAX} messages")
    ids: set[str] = set()
    turns = []
    for number, message in enumerate(messages):
        turn = _read_message(message, f"/messages/{number}", ids)
        ids.add(turn.id)
        turns.append(turn)
    leaf = raw.get("leaf")
    columns = raw.get("columns", [])
    if not isinstance(columns, list) or len(columns) > 4 or not all(map(_is_column, columns)):
        raise Unusable("/columns", "expected at most 4 models")
    return ExportedConversation(
        title=_text(raw, "title", "", 120) or (turns[0].content[:80] if turns else "") or "–",
        model=_text(raw, "model", "", 200),
        settings=_object(raw, "settings", ""),
        leaf=leaf if isinstance(leaf, str) and leaf in ids else None,
        turns=tuple(turns),
        files={id: _file(file, f"/files/{id}") for id, file in _object(raw, "files", "").items()},
        columns=tuple(columns),
        folder=_text(raw, "folder", "", 80),
        pinned=raw.get("pinned") is True,
        archived=raw.get("archived") is True,
        created_at=_text(raw, "created_at", "", 40),
        updated_at=_text(raw, "updated_at", "", 40),
    )


def _is_column(column: Any) -> bool:
    return (
        isinstance(column, dict)
        and isinstance(column.get("model"), str)
        and isinstance(column.get("settings", {}), dict)
        and set(column) <= {"model", "settings", "preset", "blind"}
    )


def _read_message(raw: Any, path: str, ids: set[str]) -> ExportedMessage:
    if not isinstance(raw, dict):
        raise Unusable(path, "expected an object")
    unknown = sorted(set(raw) - set(ExportedMessage.__dataclass_fields__))
    if unknown:
        raise Unusable(f"{path}/{unknown[0]}", "is not known")
    id, parent = _text(raw, "id", path, 64), raw.get("parent")
    if not id or id in ids:
        raise Unusable(f"{path}/id", "expected an id of its own")
    if parent is not None and not (isinstance(parent, str) and parent in ids):
        raise Unusable(f"{path}/parent", "expected a message before it")
    role, state = raw.get("role"), raw.get("state", "done")
    if role not in _ROLES:
        raise Unusable(f"{path}/role", f"expected one of {', '.join(_ROLES)}")
    column = raw.get("column", 0)
    return ExportedMessage(
        id=id,
        parent=parent,
        role=role,
        content=_text(raw, "content", path, 1_000_000),
        reasoning=_text(raw, "reasoning", path, 1_000_000),
        model=_text(raw, "model", path, 200),
        # A run that was active at the export is not active here.
        state=state if state in _STATES else "interrupted",
        parts=_parts(raw, path),
        edited=raw.get("edited") is True,
        column=column if type(column) is int and 0 <= column < 4 else 0,
        created_at=_text(raw, "created_at", path, 40),
        outcome=_outcome(raw, path),
    )


def _parts(raw: Mapping[str, Any], path: str) -> dict[str, Any]:
    """Validate the parts that are not text: lists of objects, by name, with the texts that pages
    need."""
    parts = _object(raw, "parts", path)
    for name, value in parts.items():
        if not isinstance(value, list) or not all(isinstance(item, dict) for item in value):
            raise Unusable(f"{path}/parts/{name}", "expected a list of objects")
        for number, item in enumerate(value):
            texts = [*_PART_TEXTS.get(name, ()), *(_PART_LINKS & item.keys())]
            wrong = [text for text in texts if not isinstance(item.get(text), str)]
            if wrong:
                raise Unusable(f"{path}/parts/{name}/{number}/{wrong[0]}", "expected a text")
    return parts


def _outcome(raw: Mapping[str, Any], path: str) -> dict[str, Any]:
    """Validate the usage and cost: counts and amounts are integers."""
    written = _object(raw, "outcome", path)
    unknown = sorted(written.keys() - {"meters", *_COUNTS, *_WORDS})
    if unknown:
        raise Unusable(f"{path}/outcome/{unknown[0]}", "is not known")
    outcome = {
        name: value for name, value in written.items() if value is not None or name == "kind"
    }
    for name in _WORDS:
        if outcome.get(name) is not None:
            _text(outcome, name, f"{path}/outcome", 200)
    meters = _object(outcome, "meters", f"{path}/outcome")
    counts = {f"meters/{name}": value for name, value in meters.items()}
    counts |= {name: outcome[name] for name in _COUNTS if name in outcome}
    for name, value in counts.items():
        if type(value) is not int or not 0 <= value < 2**63:
            raise Unusable(f"{path}/outcome/{name}", "expected a whole number")
    return outcome


def _text(raw: Mapping[str, Any], name: str, path: str, longest: int) -> str:
    value = raw.get(name, "")
    if not isinstance(value, str) or len(value) > longest:
        raise Unusable(f"{path}/{name}", f"expected a text of at most {longest} characters")
    return value.replace("\x00", "")


def _object(raw: Mapping[str, Any], name: str, path: str) -> dict[str, Any]:
    value = raw.get(name, {})
    if not isinstance(value, dict):
        raise Unusable(f"{path}/{name}", "expected an object")
    return value


def _file(raw: Any, path: str) -> tuple[str, bytes]:
    if not isinstance(raw, dict):
        raise Unusable(path, "expected an object")
    try:
        data = base64.b64decode(_text(raw, "data", path, 40_000_000), validate=True)
    except (binascii.Error, ValueError) as error:
        raise Unusable(f"{path}/data", "expected base64") from error
    return _text(raw, "name", path, 200), data


def write_markdown(title: str, turns: Iterable[ExportedMessage], costs: Mapping[str, str]) -> str:
    """Write one branch as Markdown. `costs` are the costs below the answers, by id."""
    pieces = [f"# {title}"]
    for turn in turns:
        if turn.role == "user":
            names = [file.get("name", "") for file in turn.parts.get("files", ())]
            pieces.append("## You" + (f"\n\n[{', '.join(names)}]" if names else ""))
            pieces.append(turn.content)
        elif turn.role == "tool":
            for result in turn.parts.get("results", ()):
                pieces.append(f"## Tool {result['name']}\n\n{_fence_code(result['content'])}")
        else:
            pieces.append(f"## {turn.model}" + (" (edited)" if turn.edited else ""))
            if turn.content:
                pieces.append(turn.content)
            for call in turn.parts.get("calls", ()):
                pieces.append(f"Calls `{call['name']}`:\n\n{_fence_code(call['arguments'])}")
            if turn.id in costs:
                pieces.append(f"*{costs[turn.id]}*")
    return "\n\n".join(pieces) + "\n"


def _fence_code(text: str) -> str:
    fence = "```"
    while fence in text:
        fence += "`"
    return f"{fence}\n{text}\n{fence}"
