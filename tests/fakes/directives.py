"""What a request asks of the fake: parsed from its model name and its last user message.

The language is described at the top of `upstream.py`.
"""

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, fields, replace

_MODES = (
    "auto always finish none open twice early start cumulative zero null "
    "groq behind negative float string nan huge context cached"
)
USAGE_MODES = frozenset(_MODES.split())
LANGUAGES = frozenset(("en", "cjk", "emoji", "mixed"))

# Fault -> the variants that it knows; the first one is meant when none is named.
FAULTS: dict[str, tuple[str, ...]] = {
    "F5": ("401", "403"),
    "F6": ("400", "413", "422", "context", "content"),
    "F7": ("404",),
    "F8": ("seconds", "date", "junk", "ms", "none", "huge"),
    "F9": ("429", "402"),
    "F10": ("500", "502", "503", "504", "529"),
    "F11": ("headers", "content"),
    "F12": ("trickle",),
    "F13": ("stall", "comments"),
    "F14": ("eof", "close", "short", "chunk"),
    "F15": ("json",),
    "F16": ("utf8",),
    "F17": ("line",),
    "F18": ("endless",),
    "F19": ("html", "json", "sse"),
    "F20": ("gzip", "deflate", "bomb"),
    "F21": ("302", "301", "303", "307", "308"),
    "F22": ("flood", "giant"),
    "F23": ("error", "body"),
    "F24": ("200", "204", "stream"),
    "F25": ("none",),
    "F26": ("twice", "cumulative"),
    "F27": ("negative", "float", "string", "nan", "huge", "context", "cached"),
    "F28": ("zero",),
    "F29": ("cut",),
    "F30": ("after",),
    "F31": ("fields",),
    "F32": ("reused", "idle"),
    "F33": ("reset",),
    "F34": ("big",),
    "F35": ("413",),
    "F37": ("both", "1xx", "trailers"),
    "F38": ("eof", "closed"),
    "F39": ("404", "500"),
}


@dataclass(frozen=True, slots=True)
class Fault:
    """One row of the fault table; `at` = tokens emitted before it strikes, None = at the start."""

    code: str
    variant: str
    at: int | None

    @property
    def text(self) -> str:
        where = "" if self.at is None else f"@{self.at}"
        return f"{self.code}:{self.variant}{where}"


@dataclass(frozen=True, slots=True)
class Directives:
    """Every wish with its default. Times are milliseconds, sizes bytes, counts tokens."""

    tokens: int | None = None
    prompt: int | None = None
    cached: int = 0
    caches: bool = False
    cache_write: int = 0
    cache_write_1h: int = 0
    searches: int = 0
    found: int = 8000
    cold: bool = False
    reasoning: int = 0
    hidden: int = 0
    tools: int = 0
    args: int = 4
    arg: str = "city"
    call: str = ""
    again: bool = False
    silent: bool = False
    finish: str | None = None
    lang: str = "en"
    echo: bool = False
    uncapped: bool = False
    first_ms: int = 0
    delay_ms: int = 0
    chunk_bytes: int = 0
    gap_ms: int = 0
    batch: int = 1
    chunked: bool = False
    crlf: bool = False
    nospace: bool = False
    comments: bool = False
    nodone: bool = False
    usage: str = "auto"
    hold: int | None = None
    linger: bool = False
    cut: int | None = None
    rst: int | None = None
    times: bool = False
    keep: bool = False
    seals: bool = False
    strict: bool = False
    dims: int = 8
    retry_after: str = "2"
    wait_ms: int = 3_600_000
    every_ms: int = 1000
    bytes: int | None = None
    location: str | None = None
    fault: Fault | None = None


_WISH = re.compile(r"#([A-Za-z0-9_.\-]+)(?:=(\S+))?")
_FAULT = re.compile(r"(F\d+)(?::([a-z0-9]+))?(?:@(\d+))?")
_MODEL = re.compile(r"fake(?:-(\d+))?")
_CHECKED = frozenset(("usage", "lang", "fault"))
_FLAGS = frozenset(wish.name for wish in fields(Directives) if wish.type is bool)
_NUMBERS = frozenset(wish.name for wish in fields(Directives) if wish.type in (int, int | None))
_TEXTS = frozenset(wish.name for wish in fields(Directives)) - _FLAGS - _NUMBERS - _CHECKED


def parse_fault(text: str) -> Fault:
    """`F14`, `F14:chunk`, `F14:chunk@20`; ValueError for a fault the fake does not have."""
    match = _FAULT.fullmatch(text)
    if match is None or match[1] not in FAULTS:
        raise ValueError(f"unknown fault {text!r}")
    variants = FAULTS[match[1]]
    variant = match[2] or variants[0]
    if variant not in variants:
        raise ValueError(f"fault {match[1]} has the variants {', '.join(variants)}")
    return Fault(match[1], variant, int(match[3]) if match[3] else None)


def _one_of(names: frozenset[str]) -> Callable[[str], str]:
    def check(text: str) -> str:
        if text not in names:
            raise ValueError(f"{text!r} is none of {', '.join(sorted(names))}")
        return text

    return check


def _value(key: str, text: str) -> object:
    if key in _FLAGS:
        return text not in ("0", "no")
    if key in _NUMBERS:
        return int(text)
    if key in _TEXTS:
        return text
    if key == "usage":
        return _one_of(USAGE_MODES)(text)
    if key == "lang":
        return _one_of(LANGUAGES)(text)
    if key == "fault":
        return parse_fault(text)
    raise ValueError(f"unknown directive {key!r}")


def _known(key: str) -> bool:
    return key in _FLAGS or key in _NUMBERS or key in _TEXTS or key in _CHECKED


def wishes_in_model(model: str) -> str:
    """The directives inside a model name: `fake-64+delay_ms=5` -> `#tokens=64 #delay_ms=5`."""
    first, *more = model.split("+")
    match = _MODEL.fullmatch(first)
    if match is None:
        return ""
    results = [f"#tokens={match[1]}"] if match[1] else []
    return " ".join(results + [f"#{wish}" for wish in more])


def parse(texts: Iterable[str], name: str, sighting: int) -> Directives:
    """Read the texts in order, later ones win.

    `name` is the server's name and `sighting` says how often this body has been seen (1 = now for
    the first time): a wish with a prefix counts only where the prefix is true. ValueError for a
    wish that cannot be read; a word such as `#1` that is no wish is left alone.
    """
    chosen: dict[str, object] = {}
    for text in texts:
        for match in _WISH.finditer(text):
            *conditions, key = match[1].split(".")
            if match[2] is None and not _known(key):
                continue
            value = _value(key, match[2] or ("1" if key in _FLAGS else ""))
            if all(
                int(when) == sighting if when.isdigit() else when == name for when in conditions
            ):
                chosen[key] = value
    return _with_faults(Directives(**chosen))  # type: ignore[arg-type]


def _with_faults(wish: Directives) -> Directives:
    """Faults that are only a shape of the answer become the directives that make that shape."""
    fault = wish.fault
    match fault:
        case Fault("F25" | "F26" | "F27" | "F28", variant, _):
            return replace(wish, usage=variant)
        case Fault("F29"):
            return replace(wish, chunk_bytes=wish.chunk_bytes or 1, crlf=True, lang="mixed")
        case Fault("F38"):
            return replace(wish, tools=wish.tools or 1)
    return wish
