"""What a request says, whatever its dialect: the fake's own reading of it.

Rule of counting: every word between white space is a token, every part that is not text counts
one, and so do tool descriptions and the arguments of earlier calls by their words.
"""

import base64
import binascii
import hashlib
import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from tests.fakes.directives import Directives, Fault


@dataclass(frozen=True, slots=True)
class Problem:
    """Why a request is refused, in OpenAI's words; the other dialects make their own of it."""

    status: int
    message: str
    kind: str = "invalid_request_error"
    code: str | None = None
    param: str | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    fault: Fault | None = None


class Wrong(Exception):
    """The request breaks a rule of its dialect."""

    def __init__(self, status: int, message: str, **words: Any) -> None:
        super().__init__(message)
        self.problem = Problem(status, message, **words)


@dataclass(frozen=True, slots=True)
class Medium:
    """A picture, a sound or a file in the request; `bytes` is None for what came by URL or id."""

    kind: str  # image | audio | video | file
    type: str | None
    bytes: int | None = None
    sha256: str | None = None
    url: str | None = None


_DATA_URL = re.compile(r"data:([^;,]*)(?:;[^;,]*)*;base64,(.*)", re.DOTALL)


def from_base64(kind: str, media_type: str | None, data: Any) -> Medium:
    """A medium with its bytes; Wrong for what is no base64."""
    try:
        raw = base64.b64decode(data, validate=True)
    except (TypeError, ValueError, binascii.Error) as error:
        raise Wrong(400, f"Invalid base64 data of the {kind}.", code="invalid_value") from error
    return Medium(kind, media_type, len(raw), hashlib.sha256(raw).hexdigest())


def from_url(kind: str, url: Any) -> Medium:
    """A medium by its URL, a data URL with its bytes."""
    if not isinstance(url, str) or not url:
        raise Wrong(400, f"Invalid URL of the {kind}.", code="invalid_value")
    if result := _DATA_URL.fullmatch(url):
        return from_base64(kind, result[1] or None, result[2])
    return Medium(kind, None, url=url)


@dataclass(slots=True)
class Turn:
    """One message; `user` is set when it holds words of the user."""

    user: bool = False
    role: str = ""
    texts: list[str] = field(default_factory=list)
    results: list[str] = field(default_factory=list)


@dataclass(slots=True)
class Conversation:
    """Takes in a conversation turn by turn and counts it.

    `lines` tells it again in words that are the same for every dialect: `system: …`, `user: …`,
    `assistant: …`, `call: name {arguments}`, `result: …`; thinking and media are not in it.
    """

    tokens: int = 0
    lines: list[str] = field(default_factory=list)
    media: list[Medium] = field(default_factory=list)
    turns: list[Turn] = field(default_factory=list)
    seals: int = 0  # valid ones that came back
    names: list[str] = field(default_factory=list)  # of tools that were called
    name_max: int = 64  # characters of a tool's name

    def turn(self, user: bool = False, role: str = "") -> Turn:
        turn = Turn(user, role)
        self.turns.append(turn)
        return turn

    def say(self, text: str) -> None:
        self.tokens += len(text.split())
        self.turns[-1].texts.append(text)
        if text:
            self.lines.append(f"{self.turns[-1].role}: {text}")

    def system(self, text: str) -> None:
        self.tokens += len(text.split())
        self.lines.append(f"system: {text}")

    def called(self, name: str, arguments: str) -> None:
        """A call of an earlier turn, its arguments as JSON text."""
        self.names.append(name)
        self.tokens += len(arguments.split())
        message = json.dumps(json.loads(arguments or "{}"), ensure_ascii=False, sort_keys=True)
        self.lines.append(f"call: {name} {message}")

    def count(self, text: str) -> None:
        """Words that are counted and no more: those of tools."""
        self.tokens += len(text.split())

    def result(self, text: str) -> None:
        self.tokens += len(text.split())
        self.turns[-1].results.append(text)
        self.lines.append(f"result: {text}")

    def see(self, medium: Medium) -> None:
        self.tokens += 1
        self.media.append(medium)

    @property
    def last(self) -> tuple[str, list[str]]:
        """The user's last text, and the tool results that came with it or after it."""
        results: list[str] = []
        for turn in reversed(self.turns):
            results = turn.results + results
            if turn.user:
                return " ".join(turn.texts), results
        return "", results


@dataclass(slots=True)
class Question:
    """One request in neutral words."""

    model: str
    user_text: str
    prompt: int
    stream: bool = False
    include_usage: bool = True
    choices: int = 1
    cap: int | None = None
    tools: list[str] = field(default_factory=list)
    results: list[str] = field(default_factory=list)
    form: dict[str, Any] | None = None  # the JSON schema the answer must fit; {} = any object
    media: list[Medium] = field(default_factory=list)
    unknown: list[str] = field(default_factory=list)
    stops: list[str] = field(default_factory=list)
    seals: int = 0
    lines: list[str] = field(default_factory=list)  # see `Conversation`

    @classmethod
    def of(cls, model: str, received: Conversation, **more: Any) -> "Question":
        text, results = received.last
        for name in (*more.get("tools", ()), *received.names):
            if len(name) > received.name_max:
                raise Wrong(400, f"Invalid tool name: above {received.name_max} characters.")
        return cls(
            model,
            text,
            received.tokens,
            results=results,
            media=received.media,
            seals=received.seals,
            lines=received.lines,
            **more,
        )

    def calls(self, wish: Directives) -> int:
        """How many tools are called now: none once their results are there (`#again`: still)."""
        if wish.call:
            return len(json.loads(wish.call))
        return wish.tools if wish.again or not self.results else 0


def seal_of(kind: str, text: str) -> str:
    """The seal of a reasoning text; `kind` keeps the seals of two providers apart."""
    sealed = hashlib.sha256(f"{kind} seal\n{text}".encode()).digest()
    return base64.b64encode(kind[:1].encode() + b"fake" + sealed).decode()


def looks_sealed(kind: str, seal: Any) -> bool:
    """Whether the seal has the shape of one of ours, where its text is not known any more."""
    try:
        raw = base64.b64decode(seal, validate=True)
    except (TypeError, ValueError, binascii.Error):
        return False
    return len(raw) == 37 and raw.startswith(kind[:1].encode() + b"fake")


def unknown_in(body: Mapping[str, Any], known: Iterable[str], path: str = "") -> list[str]:
    """The fields that the dialect does not have, with their path."""
    return sorted(f"{path}{name}" for name in body.keys() - set(known))


def positive(body: Mapping[str, Any], *names: str) -> None:
    """Wrong unless each is absent, null or an integer of at least 1."""
    for name in names:
        value = body.get(name)
        if value is not None and (type(value) is not int or value < 1):
            raise Wrong(400, f"Invalid value for '{name}'.", param=name)
