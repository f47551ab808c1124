"""The fake's deterministic answers and its own rule of counting.

Rule: a word is a token. In a prompt every word between white space counts, and every part that is
not text counts one. In an answer every piece that is sent counts one; content pieces are joined by
one space, so that `len(text.split(" "))` gives the count again.
"""

import hashlib
import json
from collections.abc import Iterable, Iterator
from functools import lru_cache
from itertools import chain, count, islice
from typing import Any, NamedTuple

from tests.fakes.directives import Directives

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
    """One token of the answer; `kind` is the delta field that carries it."""

    choice: int
    kind: str  # content | reasoning_content | call | arguments
    text: str
    call: int = 0

    def delta(self, seed: str) -> dict[str, Any]:
        if self.kind == "call":
            call = {
                "index": self.call,
                "id": f"call_{seed}_{self.choice}_{self.call}",
                "type": "function",
                "function": {"name": self.text, "arguments": ""},
            }
            return {"tool_calls": [call]}
        if self.kind == "arguments":
            return {"tool_calls": [{"index": self.call, "function": {"arguments": self.text}}]}
        return {self.kind: self.text}


_encode = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode


def compact(value: Any) -> bytes:
    """JSON as providers send it: no spaces, text as UTF-8."""
    return _encode(value).encode()


@lru_cache(4096)
def text_delta(kind: str, text: str) -> bytes:
    """The delta of a piece of text; the vocabulary is small and the load is not."""
    return compact({kind: text})


def last_user_text(messages: list[Any]) -> str:
    """The text of the last user message; parts are joined by a space."""
    for message in reversed(messages):
        if message.get("role") == "user":
            return " ".join(_texts(message.get("content")))
    return ""


def _texts(content: Any) -> Iterator[str]:
    if isinstance(content, str):
        yield content
    elif isinstance(content, list):
        for part in content:
            if isinstance(part, dict) and isinstance(part.get("text"), str):
                yield part["text"]


def count_prompt(messages: list[Any], tools: list[Any]) -> int:
    """Input tokens: the words of all texts, calls and tool descriptions; other parts are one."""
    total = 0
    for message in messages:
        content = message.get("content")
        total += sum(len(text.split()) for text in _texts(content))
        if isinstance(content, list):
            total += sum(not isinstance(part.get("text"), str) for part in content)
        for call in message.get("tool_calls") or ():
            total += len(call["function"]["arguments"].split())
    for tool in tools:
        about = tool.get("function", {})
        total += len(f"{about.get('name', '')} {about.get('description', '')}".split())
    return total


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


def _call(choice: int, number: int, name: str, source: Iterator[str], args: int) -> Iterator[Piece]:
    """A tool call: its name is one token, its arguments are `args` + 2 more."""
    yield Piece(choice, "call", name, number)
    yield Piece(choice, "arguments", '{"city":"上海', number)
    for word in islice(source, args):
        yield Piece(choice, "arguments", json.dumps(f" {word}", ensure_ascii=False)[1:-1], number)
    yield Piece(choice, "arguments", f'","n":{number}}}', number)


def pieces(
    wish: Directives, name: str, user_text: str, choice: int, tools: list[Any]
) -> Iterator[Piece]:
    """An iterator of the pieces of one choice, before any cap."""
    source = words(name, user_text, wish.lang, choice)
    yield from _spaced("reasoning_content", choice, islice(source, wish.reasoning))
    if wish.echo:
        spoken = [word for word in user_text.split() if not word.startswith("#")]
        yield from _spaced("content", choice, spoken)
        return
    if wish.fault and wish.fault.code == "F18":
        yield from _spaced("content", choice, source)
    odd = ODD_WORDS if wish.fault and wish.fault.code == "F31" else []
    tokens = wish.tokens if wish.tokens is not None else (0 if wish.tools else 16)
    yield from _spaced("content", choice, chain(odd, islice(source, tokens)))
    names = [tool["function"]["name"] for tool in tools if "function" in tool] or ["get_weather"]
    for number in range(wish.tools):
        yield from _call(choice, number, names[number % len(names)], source, wish.args)


def message_of(mine: list[Piece], seed: str) -> dict[str, Any]:
    """The pieces of one choice as the message of a plain answer."""
    content = "".join(p.text for p in mine if p.kind == "content")
    reasoning = "".join(p.text for p in mine if p.kind == "reasoning_content")
    calls: list[dict[str, Any]] = []
    for piece in mine:
        if piece.kind == "call":
            call: dict[str, Any] = piece.delta(seed)["tool_calls"][0]
            del call["index"]
            calls.append(call)
        elif piece.kind == "arguments":
            calls[-1]["function"]["arguments"] += piece.text
    message: dict[str, Any] = {"role": "assistant", "content": content or None, "refusal": None}
    if not calls:
        message["content"] = content
    if reasoning:
        message["reasoning_content"] = reasoning
    if calls:
        message["tool_calls"] = calls
    return message


def usage_of(prompt: int, completion: int, cached: int, reasoning: int) -> dict[str, Any]:
    """The usage object of an honest answer."""
    return {
        "prompt_tokens": prompt,
        "completion_tokens": completion,
        "total_tokens": prompt + completion,
        "prompt_tokens_details": {"cached_tokens": cached, "audio_tokens": 0},
        "completion_tokens_details": {"reasoning_tokens": reasoning, "audio_tokens": 0},
    }


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
