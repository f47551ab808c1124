"""The settings an answer was requested with, read without a database."""

from typing import Any

import pytest

from playground.conversations.message_runs import settings_of
from playground.models import Conversation, Message, Run

_OWN: Any = {"settings": {"n": 1}}


@pytest.mark.parametrize(
    ("columns", "column", "run", "settings"),
    [
        ([], 0, None, {"shared": 1}),
        ([_OWN, {"settings": {"n": 2}}], 0, None, {"n": 1}),
        ([_OWN, {"settings": {"n": 2}}], 1, None, {"n": 2}),
        # A chat that had more columns then.
        ([_OWN], 1, None, {"shared": 1}),
        ([_OWN], 0, Run(settings={"sent": 1}), {"sent": 1}),
    ],
)
def test_answer_without_a_run_has_the_settings_of_its_place(
    columns: list[Any], column: int, run: Run | None, settings: dict[str, int]
) -> None:
    chat = Conversation(columns=columns, settings={"shared": 1})
    message = Message(conversation=chat, column=column, run=run)
    assert settings_of(message) == settings
