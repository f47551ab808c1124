"""Each member of a request, absent or with a wrong value: what is rejected, and by which name.
`faults.txt` has what came of them when it was recorded."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final, get_args

import pytest

from dialects.chat.chat import Dialect
from dialects.codec import Target
from dialects.endpoints.codecs import CODECS
from dialects.errors.errors import RequestFault
from tests.dialects.full_requests import REQUESTS
from tests.support.golden_texts import GoldenTexts

TEXTS: Final = GoldenTexts(Path(__file__).with_name("faults.txt"))
TARGET: Final = Target("m")
WRONG: Final = {"object": {"x": 1}, "text": "x", "-1": -1, "2**40": 2**40}
# What is inside of these is the client's own.
_OPAQUE: Final = re.compile(
    r"(parameters|input_schema|schema|json|metadata|requestMetadata|labels|logit_bias|args|arguments"
    r"|input|\$defs|safetySettings|prediction|responseSchema|parametersJsonSchema"
    r"|responseJsonSchema|response)$"
)
Path_ = tuple[str | int, ...]


def places(value: Any, path: Path_ = ()) -> Iterator[Path_]:
    if path:
        yield path
    if len(path) > 1 and isinstance(path[-1], str) and _OPAQUE.search(path[-1]):
        return
    if isinstance(value, dict):
        for name, inner in value.items():
            yield from places(inner, (*path, name))
    elif isinstance(value, list):
        for at, inner in enumerate(value):
            yield from places(inner, (*path, at))


def kind_of(value: Any, path: Path_) -> str:
    """A path without the numbers of items, which have their `type` instead."""
    words = list[str]()
    for step in path:
        value = value[step]
        named = value.get("type") if isinstance(value, dict) else None
        words.append(f"[{named or ''}]" if isinstance(step, int) else f".{step}")
    return "".join(words).removeprefix(".")


def changed(body: dict[str, Any], path: Path_, wrong: Any) -> bytes:
    holder: Any = body
    for step in path[:-1]:
        holder = holder[step]
    right = holder[path[-1]]
    holder[path[-1]] = wrong
    raw = json.dumps(body).encode()
    holder[path[-1]] = right
    return raw


def without(body: dict[str, Any], path: Path_) -> bytes:
    holder: Any = body
    for step in path[:-1]:
        holder = holder[step]
    rest = holder.copy()
    del rest[path[-1]]
    return changed(body, path[:-1], rest) if path[:-1] else json.dumps(rest).encode()


def fate(client: Dialect, raw: bytes) -> str:
    codec = CODECS[client]
    step = "read"
    try:
        facts = codec.read(raw, TARGET)
        step = "decode"
        codec.decode(facts, TARGET, "01K0", 0)
    except RequestFault as fault:
        return f"{step}: {fault.kind} {fault.param}"
    return ""


def lines(client: Dialect) -> Iterator[str]:
    """Each place of a kind once, with those values that are rejected."""
    seen = set[str]()
    for body in REQUESTS[client].values():
        for path in places(body):
            kind = kind_of(body, path)
            if kind in seen:
                continue
            seen.add(kind)
            rejected = dict[str, list[str]]()
            others = {name: changed(body, path, wrong) for name, wrong in WRONG.items()}
            for name, raw in {"absent": without(body, path), **others}.items():
                if why := fate(client, raw):
                    rejected.setdefault(why, []).append(name)
            shown = "; ".join(f"{', '.join(names)} ({why})" for why, names in rejected.items())
            yield f"{kind}: {shown or 'anything'}"


@pytest.mark.parametrize("client", get_args(Dialect))
def test_wrong_member_of_a_request_is_rejected_by_its_name(client: Dialect) -> None:
    TEXTS.check(client, {client: "\n".join(sorted(lines(client)))})
