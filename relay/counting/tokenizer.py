"""Count tokens with the model's own vocabulary, or the most similar public one.

Used only if nobody reported the usage (F25, F27, P27). A vocabulary is loaded when first needed,
which blocks the process for 100 to 200 ms, and takes 20 to 55 MB. The most common one is loaded
when the process starts, because the first cut stream must not delay all others (P11).
"""

import re
from bisect import bisect_right
from collections.abc import Sequence
from functools import cache
from typing import TYPE_CHECKING, Any, Final

import msgspec

from dialects.json.not_json import NOT_JSON
from relay.counting.prompt_text import count_prompt, read_prompt, words_of
from relay.counting.vocabularies import EXACT, UNKNOWN, Family, Vocabulary

if TYPE_CHECKING:
    from splintr import AnyTokenizer

# A longer text is counted by samples spread evenly over it. A text of words takes at most 35 ms of
# one core (Gemini; 6 ms in most vocabularies).
_CHARACTERS_MAX: Final = 192 * 1024
_PIECE: Final = 4 * 1024
# No token crosses the space before a word. A longer piece without spaces would take
# disproportionate time.
_PIECES: Final = re.compile(r"(?s).{1,512}(?=\s|\Z)|.{1,512}")
# Decoding a larger body would block the event loop too long.
_BODY_BYTES_MAX: Final = 32 * 1024 * 1024

_CJK = re.compile("[\u2e80-\u9fff\uac00-\ud7af\uf900-\ufaff\uff00-\uffef]+")
_DIGITS = re.compile(r"[0-9]{2,}")
_IDEOGRAPHS = re.compile("[\u3400-\u9fff]")
_MARKS = re.compile(r"[!-/:-@\[-`{-~]+")
_BLANKS = re.compile(r" {2,}|\t+")
_ACCENTS = re.compile("[\u00c0-\u024f\u1e00-\u1eff]")
# The highest numbers of the common tokens of a vocabulary, and of those that are not rare.
_UNCOMMON: Final = 4_000
_RARE: Final = 20_000


def read_vocabulary() -> None:
    """Load the most common vocabulary, with the tables that it builds at the first unknown word."""
    _tokens("zqxjk", UNKNOWN.vocabulary)


def count_text(text: str, family: Family) -> int:
    """Return how many tokens a text has for the models of a family. Special tokens count as
    text."""
    if len(text) <= _CHARACTERS_MAX:
        return _count(text, family)
    step = len(text) * _PIECE // _CHARACTERS_MAX
    sample = "".join(text[at : at + _PIECE] for at in range(0, len(text), step))
    return -(-_count(sample, family) * len(text) // len(sample))


def count_texts(texts: Sequence[str], family: Family) -> int:
    """Return how many tokens texts have in all for the models of a family, each read on its own."""
    if sum(map(len, texts)) <= _CHARACTERS_MAX:
        return sum(_count(text, family) for text in texts)
    return count_text("\n".join(texts), family)


def count_request(raw: bytes, family: Family) -> int | None:
    """Count the tokens of a request for the family's models. Return None if the body is too large,
    or has a number that no parser accepts."""
    if not raw or len(raw) > _BODY_BYTES_MAX:
        return None
    try:
        body: Any = msgspec.json.decode(raw)
    except NOT_JSON:
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
    weights = family.weights
    if weights == EXACT:
        return len(_tokens(text, family.vocabulary))
    cjk = "".join(_CJK.findall(text))
    hundredths = _count_other(_CJK.sub("", text), family)
    if cjk:
        hundredths += len(_tokens(cjk, family.cjk)) * weights.cjk
        hundredths += len(_IDEOGRAPHS.findall(cjk)) * weights.ideograph
    return max((hundredths + 50) // 100, 1 if text else 0)


def _count_other(text: str, family: Family) -> int:
    """Count text that is not Chinese, Japanese or Korean, in hundredths of a token."""
    weights = family.weights
    # Token numbers in a vocabulary are ordered from common to rare.
    tokens = sorted(_tokens(text, family.vocabulary))
    hundredths = len(tokens) * weights.word
    for least, weight in ((_UNCOMMON, weights.uncommon), (_RARE, weights.rare)):
        hundredths += (len(tokens) - bisect_right(tokens, least)) * weight
    if weights.digit:
        # OpenAI's vocabularies have tokens of up to three digits.
        shared = sum(len(run) - -(-len(run) // 3) for run in _DIGITS.findall(text))
        hundredths += shared * weights.digit
    for pattern, weight in ((_MARKS, weights.marks), (_BLANKS, weights.indent),
                            (_ACCENTS, weights.accent)):  # fmt: skip
        if weight:
            hundredths += len(pattern.findall(text)) * weight
    return hundredths


def _tokens(text: str, vocabulary: Vocabulary) -> list[int]:
    """Return the numbers of a text's tokens. Text that looks like a special token is counted as
    text.
    """
    tokenizer = _tokenizer(vocabulary)
    # Gemma's vocabulary contains HTML tags, which the library takes for special tokens.
    encode = tokenizer.encode_raw if vocabulary == "gemma3" else tokenizer.encode_ordinary
    return [token for piece in _PIECES.findall(text) for token in encode(piece)]


@cache
def _tokenizer(vocabulary: Vocabulary) -> "AnyTokenizer":
    # Imported here, because most processes that import this module never count.
    from splintr import Tokenizer

    return Tokenizer.from_pretrained(vocabulary)
