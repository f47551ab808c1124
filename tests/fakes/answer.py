"""The fake's deterministic answers and its own rule of counting.

Rule: a word is a token (of a prompt: see question.py). In an answer every piece that is sent counts
one; content pieces are joined by one space, so that `len(text.split(" "))` gives the count again.
"""

import hashlib
import json
from collections.abc import Iterable, Iterator
from functools import lru_cache
from itertools import chain, count, islice
from typing import Any, NamedTuple

from tests.fakes.directives import Directives
from tests.fakes.form import text_for
from tests.fakes.question import Question

_ENGLISH = (
    "river weir water stone bridge mill meadow otter heron willow current level measure gauge "
    "sluice bank flood quiet deep narrow bright morning evening boat rope lantern path valley "
    'field barley "quoted" back\\slash <b>bold</b> 3.14 naive'
)
_CJK = "你好 世界 河流 水坝 测量 石桥 清晨 灯笼 山谷 麦田 ありがとう 안녕 船 光"
VOCABULARY: dict[str, list[str]] = {
    "en": _ENGLISH.split(),
    "cjk": _CJK.split(),
    "emoji": ["👩‍🚀", "🌊", "🏞️", "👨‍👩‍👧‍👦", "🇨🇳", "🦦", "é", "🧪", "❤️‍🔥", "𝛑"],
}
VOCABULARY["mixed"] = [
    word
    for trio in zip(*(islice(VOCABULARY[lang], 10) for lang in ("en", "cjk", "emoji")), strict=True)
    for word in trio
]

# F31: words that would break a stream if they were copied into it instead of encoded.
ODD_WORDS = [
    "odd",
    "event:message_stop",
    "id:7",
    "a\r\nb",
    "c\n\ndata:[DONE]\n\nd",
    "e\u2028f\u0085g",
]


class Piece(NamedTuple):
    """One token of the answer; `kind` says what it is part of."""

    choice: int
    kind: str  # content | reasoning_content | call | arguments
    text: str
    call: int = 0


class Block(NamedTuple):
    """Neighbouring pieces of one kind; of a call `name` is its function and `text` its JSON."""

    choice: int
    kind: str  # content | reasoning_content | call
    text: str
    name: str = ""
    call: int = 0


_encode = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode


def compact(value: Any) -> bytes:
    """JSON as providers send it: no spaces, text as UTF-8."""
    return _encode(value).encode()


@lru_cache(1024)
def seed_of(name: str, user_text: str) -> str:
    """Eight hex digits; other servers and other questions get other answers."""
    return hashlib.sha256(f"{name}\n{user_text}".encode()).hexdigest()[:8]


def words(name: str, user_text: str, lang: str = "en", choice: int = 0) -> Iterator[str]:
    """The endless text of an answer, word by word; the first word names the server."""
    seed = seed_of(name, user_text)
    vocabulary = VOCABULARY[lang]
    start, step = int(seed[:4], 16) + choice, 1 + int(seed[4:], 16) % (len(vocabulary) - 1)
    yield f"{name}-{seed}-{choice}"
    for i in count():
        yield vocabulary[(start + i * step) % len(vocabulary)]


def expected_text(name: str, user_text: str, tokens: int, lang: str = "en") -> str:
    """What a server called `name` says to `user_text` in that many tokens."""
    return " ".join(islice(words(name, user_text, lang), tokens))


def _spaced(kind: str, choice: int, texts: Iterable[str]) -> Iterator[Piece]:
    for i, text in enumerate(texts):
        yield Piece(choice, kind, text if i == 0 else f" {text}")


def _call(
    choice: int, number: int, name: str, source: Iterator[str], wish: Directives
) -> Iterator[Piece]:
    """A tool call: its name is one token, its arguments are `args` + 2 more."""
    yield Piece(choice, "call", name, number)
    yield Piece(choice, "arguments", f'{{"{wish.arg}":"上海', number)
    for word in islice(source, wish.args):
        yield Piece(choice, "arguments", json.dumps(f" {word}", ensure_ascii=False)[1:-1], number)
    yield Piece(choice, "arguments", f'","n":{number}}}', number)


def pieces(wish: Directives, name: str, question: Question, choice: int) -> Iterator[Piece]:
    """An iterator of the pieces of one choice, before any cap."""
    user_text = question.user_text
    source = words(name, user_text, wish.lang, choice)
    yield from _spaced("reasoning_content", choice, islice(source, wish.reasoning))
    if wish.echo:
        spoken = [word for word in user_text.split() if not word.startswith("#")]
        yield from _spaced("content", choice, spoken)
        return
    if wish.fault and wish.fault.code == "F18":
        yield from _spaced("content", choice, source)
    calls = question.calls(wish)
    if question.form is not None and not calls:
        text = text_for(question.form, source, question.results)
        yield from _spaced("content", choice, text.split(" "))
        return
    odd = ODD_WORDS if wish.fault and wish.fault.code == "F31" else []
    results = () if wish.silent else question.results
    messages = [word for result in results for word in result.split()]
    if messages and not calls:
        messages.insert(0, next(source))
    natural = 0 if calls or messages else 16
    tokens = wish.tokens if wish.tokens is not None else natural
    yield from _spaced("content", choice, chain(odd, messages, islice(source, tokens)))
    if wish.call:
        for number, (name, inputs) in enumerate(json.loads(wish.call)):
            yield Piece(choice, "call", name, number)
            yield Piece(choice, "arguments", compact(inputs).decode(), number)
        return
    names = question.tools or ["get_weather"]
    for number in range(calls):
        yield from _call(choice, number, names[number % len(names)], source, wish)


def blocks(text: Iterable[Piece]) -> list[Block]:
    """The pieces as whole texts and calls, in order."""
    results: list[Block] = []
    texts: list[list[str]] = []
    choice, kind = -1, ""
    for piece in text:
        if piece.kind == "call":
            choice, kind = piece.choice, "arguments"
            results.append(Block(choice, "call", "", piece.text, piece.call))
            texts.append([])
        else:
            if piece.kind != kind or piece.choice != choice:
                choice, kind = piece.choice, piece.kind
                results.append(Block(choice, kind, ""))
                texts.append([])
            texts[-1].append(piece.text)
    return [block._replace(text="".join(mine)) for block, mine in zip(results, texts, strict=True)]


def usage_of(
    prompt: int, completion: int, cached: int, reasoning: int, written: int = 0
) -> dict[str, Any]:
    """The usage object of an honest answer; `written` tokens went into the cache."""
    usage: dict[str, Any] = {
        "prompt_tokens": prompt,
        "completion_tokens": completion,
        "total_tokens": prompt + completion,
        "prompt_tokens_details": {"cached_tokens": cached, "audio_tokens": 0},
        "completion_tokens_details": {"reasoning_tokens": reasoning, "audio_tokens": 0},
    }
    if written:
        usage["prompt_tokens_details"]["cache_write_tokens"] = written
    return usage


def minus(whole: Any, *parts: Any) -> Any:
    """The rest of a count; a lie that is no number stays what it is."""
    if isinstance(whole, str):
        return whole
    return whole - sum(part for part in parts if not isinstance(part, str))


def lie(mode: str, honest: dict[str, Any]) -> dict[str, Any] | None:
    """The usage object as `#usage=mode` reports it; an honest mode changes nothing."""
    prompt, completion = honest["prompt_tokens"], honest["completion_tokens"]
    match mode:
        case "null":
            return None
        case "zero":
            return usage_of(0, 0, 0, 0)
        case "negative":
            return honest | {"completion_tokens": -completion - 1, "total_tokens": -1}
        case "float":
            return honest | {"completion_tokens": completion + 0.5}
        case "string":
            return honest | {"completion_tokens": str(completion), "prompt_tokens": "many"}
        case "nan":
            return honest | {"completion_tokens": float("nan")}
        case "huge":
            return honest | {"completion_tokens": 10**18, "total_tokens": 10**18 + prompt}
        case "context":
            return honest | {"prompt_tokens": 50_000_000, "total_tokens": 50_000_000 + completion}
        case "cached":
            return honest | {"prompt_tokens_details": {"cached_tokens": prompt * 2 + 1}}
    return honest
