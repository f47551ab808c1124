"""The vocabulary of each model family, and the tokens that its chat template adds.

The vocabularies are those of the splintr-rs package: OpenAI's, and those published with the weights
of Qwen up to 3, Llama 3, DeepSeek V3 (V4 counts the same), Mistral since Nemo, GLM 4.5 and Kimi K2.
Gemini counts like Gemma 3, which Google's SDK uses for it. A family without a vocabulary is
estimated from the nearest one by `Weights`. They were fitted in November 2026 by least squares over
708 texts (this product's and Django's documents, code and translations, licences, settings,
numbers) with the counter named in `tests/golden/counting/README.md`.
`tests/relay/counting/test_own_counts.py` prints the errors of all families over texts that were not
used for fitting. Not measured are Grok, Doubao, MiniMax, Hunyuan, Ernie, Llama 4, and GLM since
4.7, which has a few thousand tokens more than 4.5: their vocabularies are published with their
weights only, or not at all. Unknown models count like OpenAI's.

Templates: those of models that are not known by name are data of their provider
(`Provider.chat_template`). OpenAI's is that of its cookbook ("How to count tokens with tiktoken").
Claude's is the frame that its own counter adds to one message, with the tools of its documentation
("Tool use", tokens of the system prompt). Gemini's is that of Google's SDK (`LocalTokenizer`: the
bare texts), Mistral's that of mistral-common. The others are published with the weights.
"""

import re
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Final, Literal, NamedTuple

from dialects.chat.cloud_names import bare_names
from gateway.providers.provider import ChatTemplate
from relay.counting.image_tokens import PictureRule

# The names of the vocabularies in splintr-rs.
Vocabulary = Literal[
    "o200k_base", "cl100k_base", "qwen3", "llama3", "deepseek_v3", "mistral_v3", "gemma3", "glm4",
    "kimi_k2",
]  # fmt: skip


class Weights(NamedTuple):
    """Weights for tokens and characters of a text, in hundredths of a token.

    `word` is for each token of the vocabulary outside Chinese, Japanese and Korean; `cjk` for each
    token of the CJK vocabulary. The others are added: for each token beyond the 4,000 and the
    20,000 most common (`uncommon`, `rare`), digit that shares its token (`digit`), run of
    punctuation (`marks`), run of blanks (`indent`), accented letter (`accent`), Chinese character
    (`ideograph`).
    """

    word: int = 100
    cjk: int = 100
    uncommon: int = 0
    rare: int = 0
    digit: int = 0
    marks: int = 0
    indent: int = 0
    accent: int = 0
    ideograph: int = 0


EXACT: Final = Weights()


@dataclass(frozen=True, slots=True)
class Family:
    """How models of one family count; numbers are tokens.

    `cjk` is the vocabulary for Chinese, Japanese and Korean if `weights` separates them. `message`
    is added to each message with its role, `start` once, `unsaid_system` without a system message.
    Tools are written as `functions` in OpenAI's notation, as `json`, as `compact` JSON without
    blanks, as their bare `texts`, or not at all; `tools` is added to all of them, `call` and
    `result` to each call and result. `picture` is the rule for images. `percent_off` is how far a
    count of an answer may exceed the model's own.
    """

    vocabulary: Vocabulary = "o200k_base"
    cjk: Vocabulary = "qwen3"
    weights: Weights = EXACT
    message: int = 4
    start: int = 3
    unsaid_system: int = 0
    tools_as: Literal["functions", "json", "compact", "texts", "none"] = "json"
    tools: int = 0
    call: int = 6
    result: int = 0
    picture: PictureRule = "gpt-4o"
    percent_off: int = 2


# The weights of a family that were fitted on its own counter. Other families were not measured.
_FITTED: Final = 15
_NOT_MEASURED: Final = 100
_OPENAI: Final = Family(tools_as="functions", tools=12)
# OpenAI's models with their own rules for pictures.
_OPENAI_PICTURES: Final[tuple[tuple[PictureRule, str], ...]] = (
    ("gpt-4o-mini", r"gpt-4o-mini"),
    ("nano", r"gpt-(4\.1|5)-nano"),
    ("mini", r"gpt-(4\.1|5)-mini"),
    ("o4-mini", r"o4-mini"),
    ("gpt-5", r"(chat)?gpt-5"),
    ("o1", r"o[13](-|$)"),
)
# <|im_start|>role\n … <|im_end|>\n, and <|im_start|>assistant\n at the end.
_QWEN: Final = Family("qwen3", message=5, tools=90, call=12, result=6, picture="qwen")
_QWEN_3_5: Final = Family(
    weights=Weights(98, 70, digit=95, marks=12, indent=46, ideograph=19),
    message=5, tools=90, call=12, result=6, picture="qwen", percent_off=_FITTED,
)  # fmt: skip
# Llama's system message always begins with two dates.
_LLAMA: Final = Family("llama3", message=5, start=25, unsaid_system=5)
# One vocabulary up to Opus 4.6, another since. The frame grew with Opus 4.7 and shrank after it.
_CLAUDE_3: Final = Family(
    weights=Weights(88, 143, 27, 39, digit=-6, marks=23, indent=83, accent=78, ideograph=20),
    tools=346, picture="claude", percent_off=_FITTED,
)  # fmt: skip
_CLAUDE_4_7: Final = Family(
    weights=Weights(97, 144, 115, 42, digit=-42, marks=8, indent=64, accent=-8, ideograph=14),
    start=7, tools=346, picture="claude-large", percent_off=_FITTED,
)  # fmt: skip
_DEEPSEEK: Final = Family("deepseek_v3", message=1, start=2, tools=90, call=12, result=6)
_GEMINI: Final = Family("gemma3", message=0, start=0, tools_as="texts", call=0, picture="gemini-2")
# [gMASK]<sop>, <|role|>\n before each message, and <|assistant|> at the end.
_GLM: Final = Family("glm4", message=2, start=3, tools=110, call=12, result=6, percent_off=_FITTED)
# <|im_role|>role<|im_middle|> … <|im_end|>, and <|im_assistant|>assistant<|im_middle|> at the end.
# Its system message is "You are Kimi, an AI assistant created by Moonshot AI.".
_KIMI: Final = Family(
    "kimi_k2", start=3, unsaid_system=18, tools_as="compact", tools=6, call=8, result=8
)

_FAMILIES: Final[tuple[tuple[Family, re.Pattern[str]], ...]] = (
    *((replace(_OPENAI, picture=rule), re.compile(names)) for rule, names in _OPENAI_PICTURES),
    (_OPENAI, re.compile(r"(chat)?gpt-(4o|4\.1|4\.5|5|oss)|o[134](-|$)")),
    (
        Family("cl100k_base", tools_as="functions", tools=12),
        re.compile(r"gpt-(4|3\.5)(-|$)|text-embedding-"),
    ),
    (_QWEN_3_5, re.compile(r"qwen-?3\.[5-9]")),
    (_QWEN, re.compile(r"qwen|qwq|qvq")),
    (_DEEPSEEK, re.compile(r"deepseek")),
    (_GLM, re.compile(r"glm-|chatglm")),
    (_KIMI, re.compile(r"kimi|moonshot")),
    # The overhead of these models was not measured.
    (
        Family("qwen3", message=3, tools=90, call=12, result=6, percent_off=_NOT_MEASURED),
        re.compile(r"doubao|seed-|minimax|hunyuan|ernie"),
    ),
    (
        Family(
            cjk="o200k_base", weights=Weights(cjk=86), message=5, start=5,
            percent_off=_NOT_MEASURED,
        ),
        re.compile(r"(meta-)?llama-?v?4"),
    ),
    (_LLAMA, re.compile(r"(meta-)?llama-?v?3")),
    (
        Family(
            weights=Weights(84, 294, 26, 49, digit=85, marks=34, indent=-21, accent=200,
                            ideograph=-30),
            message=5, unsaid_system=22, tools_as="none", call=0, percent_off=_FITTED,
        ),
        re.compile(r"smollm"),
    ),
    (_CLAUDE_4_7, re.compile(r"claude-opus-4[-.]7")),
    (
        replace(_CLAUDE_4_7, start=2),
        re.compile(r"claude-(opus-4[-.][89]|(opus|sonnet|haiku)-[5-9]|fable)"),
    ),
    (_CLAUDE_3, re.compile(r"claude-")),
    (
        _GEMINI,
        re.compile(r"gemini-[12]|gemma-?3"),
    ),
    (replace(_GEMINI, picture="gemini-3"), re.compile(r"gemini-")),
    (
        Family("mistral_v3", message=2, start=1, tools=2, call=12, result=12),
        re.compile(r"(open-)?(mistral|ministral|magistral|devstral|codestral|pixtral)-"),
    ),
)  # fmt: skip
UNKNOWN: Final = Family(percent_off=_NOT_MEASURED)


@lru_cache(maxsize=1024)
def family_of(model: str, template: ChatTemplate | None = None) -> Family:
    """Return the family of a model, by the name that its provider gives it. Unknown models have the
    vocabulary of OpenAI's, and the chat template of their provider; None for OpenAI's."""
    bare = bare_names(model)
    family = next((family for family, names in _FAMILIES if any(map(names.match, bare))), UNKNOWN)
    if family is not UNKNOWN or template is None:
        return family
    return replace(family, start=template.start, message=template.message)
