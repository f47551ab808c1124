"""What a form of the playground says, field by field."""

from typing import Any

import pytest
from django.http import QueryDict

from playground.models import Message
from playground.turns.form import form_values, read_results
from playground.turns.turns import ConversationBusy, TurnRefused

ASKED = Message(parts={"calls": [{"id": "c1", "name": "f"}, {"id": "c2", "name": "g"}]})


def results(form: str) -> list[dict[str, Any]]:
    return read_results(ASKED, QueryDict(form))


@pytest.mark.parametrize(
    ("form", "read"),
    [
        ("result.c1=a&result.c2=b", [("a", False), ("b", False)]),
        ("result.c1=a&result.c2=b&failed.c2=on", [("a", False), ("b", True)]),
        ("result.c1=a&failed.c1=on&result.c2=b", [("a", True), ("b", False)]),
        ("failed.c1=&result.c2=b", [("error", True), ("b", False)]),
        ("result.c1=a%0D%0Ab%00&result.c2= b ", [("a\nb", False), (" b ", False)]),
    ],
)
def test_each_call_has_its_own_result(form: str, read: list[tuple[str, bool]]) -> None:
    given = results(form)
    assert [(one["content"], one["failed"]) for one in given] == read
    assert [(one["call_id"], one["name"]) for one in given] == [("c1", "f"), ("c2", "g")]


@pytest.mark.parametrize(
    ("form", "name"),
    [
        ("", "f"),
        ("result.c1=a", "g"),
        ("result.c1=a&result.c2= ", "g"),
        ("result.c2=b", "f"),
        ("result.c1=a&failed.c1=on", "g"),
        ("result.c1=a&failed=on", "g"),
    ],
)
def test_missing_result_is_asked_for_by_its_tool(form: str, name: str) -> None:
    with pytest.raises(TurnRefused) as refused:
        results(form)
    assert (refused.value.field, f"for {name}," in refused.value.message) == ("results", True)


def test_of_several_values_the_last_counts() -> None:
    assert form_values(QueryDict("a=1&a=2&b=x%00y")) == {"a": "2", "b": "xy"}


def test_message_to_a_busy_chat_is_refused_at_its_text() -> None:
    assert ConversationBusy().field == "text"
