"""The name of a chat: its first words, or a name that a model generates from its first turn."""

import datetime as dt
from typing import Any, Final

from gateway.providers.capabilities import Capabilities
from playground.side_requests.side_request_rules import aside_request

CHEAPEST: Final = "*"
"""The choice of the cheapest model, whichever it is. No model has this name."""

TITLE_MAX: Final = 120
NAMED_WITHIN: Final = dt.timedelta(minutes=2)
"""How long a page waits for the name that a model generates."""
MADE_TITLE_MAX: Final = 80
"""The maximum length of a title that no person wrote."""
QUESTION_MAX: Final = 2_000
ANSWER_MAX: Final = 1_000
"""How many characters of the question and of the answer the naming model reads."""

CHEAP_MAX_NANO: Final = 1_000_000
"""A model counts as cheap if a title is expected to cost at most a tenth of a cent."""
TURN_SHARE: Final = 10
"""A title may cost at most this part of its chat's first turn."""
_INPUT_TOKENS: Final = 750
_OUTPUT_MAX: Final = 40
_ASKED: Final = (
    "Name the conversation below in at most six words, in its own language. "
    "Answer with the name alone: no quotation marks, no full stop."
)


def first_words(text: str) -> str:
    """Return the first line with text, without the Markdown marks before it."""
    lines = (line.strip().lstrip("#>*-` ") for line in text.splitlines())
    return next((line for line in lines if line), text.strip())[:MADE_TITLE_MAX]


def title_request(
    model: str, question: str, answer: str, capabilities: Capabilities
) -> dict[str, Any]:
    """Return the body of the request for a name."""
    turn = f"User: {question[:QUESTION_MAX]}\n\nAssistant: {answer[:ANSWER_MAX]}"
    return aside_request(model, _ASKED, turn, capabilities, output_max=_OUTPUT_MAX)


def expected_nano(input_rate: int, output_rate: int, call_nano: int) -> int:
    """Return the expected cost of a title in nano. The rates are in nano per million tokens."""
    return (_INPUT_TOKENS * input_rate + _OUTPUT_MAX * output_rate) // 10**6 + call_nano


def title_in(answer: str) -> str:
    """Extract the conversation's title from a model's answer; "" if it has none. Invisible
    characters, such as direction marks, are removed."""
    visible = "".join(sign for sign in answer if sign.isprintable() or sign == "\n")
    return first_words(visible).strip("\"'“”«»「」 .。")
