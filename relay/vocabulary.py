"""Tokens counted in the model's own vocabulary, or in the nearest that is public.

Asked only where nobody told the usage (F25, F27, P27); a vocabulary is read when it is first
needed, which takes a sixth of a second and 35 MB.
"""

import importlib.util
import re
from functools import cache
from importlib.machinery import EXTENSION_SUFFIXES, ExtensionFileLoader, FileFinder
from typing import Any, Final, Protocol

import msgspec

from gateway.rules.families import PPM, Family, Vocabulary
from gateway.rules.prompt import count_prompt, read_prompt, words_of

_PACKAGE: Final = "bpe_openai"
# A longer text is counted by pieces that are spread over it evenly: 25 ms of one core at most.
_CHARACTERS_MAX: Final = 256 * 1024
_PIECE: Final = 4 * 1024
# Decoding a larger body would keep everybody else waiting.
_BODY_BYTES_MAX: Final = 32 * 1024 * 1024

_CJK = re.compile("[\u2e80-\u9fff\uac00-\ud7af\uf900-\ufaff\uff00-\uffef]+")
_DIGITS = re.compile(r"[0-9]{2,}")


class _Counter(Protocol):
    def count(self, text: str) -> int: ...


def count_text(text: str, family: Family) -> int:
    """How many tokens a model of the family has for a text; special tokens count as text."""
    if len(text) <= _CHARACTERS_MAX:
        return _count(text, family)
    step = len(text) * _PIECE // _CHARACTERS_MAX
    sample = "".join(text[at : at + _PIECE] for at in range(0, len(text), step))
    return -(-_count(sample, family) * len(text) // len(sample))


def count_request(raw: bytes, family: Family) -> int | None:
    """How many tokens a model of the family reads of a request; None for what is too large, or has
    a number that no parser makes."""
    if not raw or len(raw) > _BODY_BYTES_MAX:
        return None
    try:
        body: Any = msgspec.json.decode(raw)
    except (msgspec.DecodeError, RecursionError):
        return None
    prompt = read_prompt(body)
    size = sum(map(len, words_of(prompt)))
    if size <= _CHARACTERS_MAX:
        return count_prompt(prompt, family, lambda text: _count(text, family))
    around = prompt._replace(
        messages=tuple(message._replace(texts=()) for message in prompt.messages), bare=()
    )
    counted = count_prompt(around, family, lambda text: _count(text, family))
    return counted + count_text("\n".join(words_of(prompt)), family)


def _count(text: str, family: Family) -> int:
    counter = _counter(family.vocabulary)
    if family.cjk_ppm == family.other_ppm == PPM and not family.single_digits:
        return counter.count(text)
    other = _CJK.sub("", text)
    ppm = counter.count(other) * family.other_ppm
    if len(other) < len(text):
        ppm += _counter(family.cjk).count("".join(_CJK.findall(text))) * family.cjk_ppm
    tokens = -(-ppm // PPM)
    if family.single_digits:
        # The vocabularies have up to three digits in a token.
        tokens += sum(len(run) - -(-len(run) // 3) for run in _DIGITS.findall(text))
    return tokens


@cache
def _counter(vocabulary: Vocabulary) -> _Counter:
    # The package itself reads all its vocabularies once more in Python when it is imported: a
    # second, and twice the memory. Its compiled part alone is all that is needed.
    package = importlib.util.find_spec(_PACKAGE)
    if package is None or not package.submodule_search_locations:
        raise ImportError(f"{_PACKAGE} is not installed")
    finder = FileFinder(
        package.submodule_search_locations[0], (ExtensionFileLoader, EXTENSION_SUFFIXES)
    )
    spec = finder.find_spec("_bindings")
    if spec is None or spec.loader is None:
        raise ImportError(f"{_PACKAGE} has no compiled part for this Python")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    counter: _Counter = module.tokenizer_for_encoding(vocabulary)
    return counter
