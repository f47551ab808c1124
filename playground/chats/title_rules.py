"""The name of a chat: its first words, or a name that a model generates from its first turn."""

from typing import Any, Final

from gateway.providers.models import Capabilities
from playground.turns.side_request_rules import aside_request

TITLE_MAX: Final = 120
MADE_TITLE_MAX: Final = 80
"""Of one that no person wrote."""
QUESTION_MAX: Final = 2_000
ANSWER_MAX: Final = 1_000
"""Of question and answer a model that names a chat reads so many characters."""

_OUTPUT_MAX: Final = 40
_ASKED: Final = (
    "Name the conversation below in at most six words, in its own language. "
    "Answer with the name alone: no quotation marks, no full stop."
)


def first_words(text: str) -> str:
    """The first line that says something, without the marks of Markdown before it."""
    lines = (line.strip().lstrip("#>*-` ") for line in text.splitlines())
    return next((line for line in lines if line), text.strip())[:MADE_TITLE_MAX]


def title_request(
    model: str, question: str, answer: str, capabilities: Capabilities
) -> dict[str, Any]:
    """The body of the request for a name."""
    turn = f"User: {question[:QUESTION_MAX]}\n\nAssistant: {answer[:ANSWER_MAX]}"
    return aside_request(model, _ASKED, turn, capabilities, output_max=_OUTPUT_MAX)


def title_in(answer: str) -> str:
    """Extract the name from a model's answer, or ""."""
    return first_words(answer).strip("\"'“”«»「」 .。")
