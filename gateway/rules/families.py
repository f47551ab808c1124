"""In which vocabulary a model reads and writes, and what its chat template puts around the words.

Vocabularies are those of the bpe-openai package: o200k_base and cl100k_base are OpenAI's, and
voyage3_base is Qwen's (Voyage AI took it over; the counts of both are the same over every text that
was compared). Where a model's own is not among them, the nearest stands for it: `other_ppm` and
`cjk_ppm` say how many of its tokens one of the nearest is, in millionths, for Chinese, Japanese and
Korean characters and for all else. They were measured in November 2026 over this product's
documents, code and translations, with the vocabularies of meta-llama/llama-models on GitHub and
with SmolLM2's own /tokenize; a million stands where nothing was measured.

Templates: OpenAI's is that of its cookbook ("How to count tokens with tiktoken"), Claude's tools
that of its documentation ("Tool use", tokens of the system prompt), the others' those that are
published with their weights.
"""

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import Final, Literal

Vocabulary = Literal["o200k_base", "cl100k_base", "voyage3_base"]

PPM: Final = 1_000_000


@dataclass(frozen=True, slots=True)
class Family:
    """How models of one make count. The numbers are tokens.

    `cjk` is the nearest vocabulary for Chinese, Japanese and Korean characters where these have a
    factor of their own. `single_digits`: each digit is a token. `message` stands around each
    message, its role included; `start` once; `unsaid_system` where the client gives no system
    message. Tools are told as `functions` in OpenAI's own notation, as `json`, or not at all;
    `tools` stands around all of them, `call` and `result` around each call and each result.
    """

    vocabulary: Vocabulary = "o200k_base"
    cjk: Vocabulary = "o200k_base"
    other_ppm: int = PPM
    cjk_ppm: int = PPM
    single_digits: bool = False
    message: int = 4
    start: int = 3
    unsaid_system: int = 0
    tools_as: Literal["functions", "json", "none"] = "json"
    tools: int = 0
    call: int = 6
    result: int = 0


_OPENAI: Final = Family(tools_as="functions", tools=12)
# <|im_start|>role\n … <|im_end|>\n, and <|im_start|>assistant\n at the end.
_QWEN: Final = Family("voyage3_base", message=5, tools=90, call=12, result=6)
# Its system message always begins with two dates.
_LLAMA: Final = Family(
    "cl100k_base", cjk="o200k_base", cjk_ppm=1_040_000, message=5, start=25, unsaid_system=5
)

_FAMILIES: Final[tuple[tuple[Family, re.Pattern[str]], ...]] = (
    (_OPENAI, re.compile(r"(chat)?gpt-(4o|4\.1|4\.5|5|oss)|o[134](-|$)")),
    (
        Family("cl100k_base", tools_as="functions", tools=12),
        re.compile(r"gpt-(4|3\.5)(-|$)"),
    ),
    (_QWEN, re.compile(r"qwen|qwq|qvq")),
    # No vocabulary of theirs is at hand; Qwen's is the nearest of makers who write Chinese.
    (
        Family("voyage3_base", message=3, tools=90, call=12, result=6),
        re.compile(r"deepseek|glm-|chatglm|kimi|moonshot|doubao|seed-|minimax|hunyuan|ernie"),
    ),
    (
        Family(cjk_ppm=860_000, message=5, start=5),
        re.compile(r"(meta-)?llama-?4"),
    ),
    (_LLAMA, re.compile(r"(meta-)?llama-?3")),
    (
        Family(
            other_ppm=1_060_000,
            cjk_ppm=2_250_000,
            single_digits=True,
            message=5,
            unsaid_system=22,
            tools_as="none",
            call=0,
        ),
        re.compile(r"smollm"),
    ),
    (Family(tools=346), re.compile(r"claude-")),
)
UNKNOWN: Final = Family()


@lru_cache(maxsize=1024)
def family_of(model: str) -> Family:
    """The family of a model, by its provider's name for it; what is not known counts as most do."""
    name = model.rpartition("/")[2].lower()
    return next((family for family, names in _FAMILIES if names.match(name)), UNKNOWN)
