"""The rows of a channel's models, without a page: what was typed, what it would change."""

from typing import Any

import pytest
from django.http import QueryDict

from gateway.channel_setup.route_table import (
    RouteRow,
    digest_of,
    mark_unlisted,
    read_routes,
    rows_from,
)


def sent(*rows: tuple[str, ...], **more: list[str]) -> QueryDict:
    query = QueryDict(mutable=True)
    names = ("name", "upstream", "priority", "weight", "timeouts")
    for name, column in zip(names, zip(*rows, strict=True), strict=False):
        query.setlist(name, list(column))
    for name, values in more.items():
        query.setlist(name, values)
    return query


def test_each_column_is_read_into_its_field() -> None:
    rows = rows_from(
        sent((" a ", " b ", " 1 ", " 2 ", " 3 "), ("c", "", "", "", ""), remove=["1"], add=["d"])
    )
    assert rows == [
        RouteRow("a", "b", "1", "2", "3"),
        RouteRow("c", removed=True),
        RouteRow("d"),
        RouteRow(),
        RouteRow(),
    ]
    # Rows that are empty already stay, and no more come.
    assert rows_from(sent(("", "", "", "", ""), ("a", "", "", "", "")))[2:] == [RouteRow()]


def fields(**over: Any) -> dict[str, Any]:
    return {"models": {}, "priorities": {}, "weights": {}, "model_timeouts": {}, **over}


TIMES = "Enter seconds as first content/between chunks/total."


@pytest.mark.parametrize(
    ("row", "expected", "error"),
    [
        (RouteRow("a"), fields(models={"a": ""}), ""),
        (RouteRow("a", "a"), fields(models={"a": ""}), ""),
        (RouteRow("a", "b"), fields(models={"a": "b"}), ""),
        (RouteRow("", "b"), fields(models={"b": ""}), ""),
        (RouteRow("a", removed=True), fields(), ""),
        (RouteRow("", "", "1", "1"), fields(), ""),
        (
            RouteRow("a", "", "-3", "0", "1.5//60"),
            fields(
                models={"a": ""},
                priorities={"a": -3},
                weights={"a": 0},
                model_timeouts={"a": {"first_content": 1.5, "total": 60.0}},
            ),
            "",
        ),
        (
            RouteRow("a", "", "-1000000", "1000000"),
            fields(models={"a": ""}, priorities={"a": -1000000}, weights={"a": 1000000}),
            "",
        ),
        (
            RouteRow("a", "", "1000001"),
            fields(models={"a": ""}),
            "Enter a number from -1000000 to 1000000.",
        ),
        (
            RouteRow("a", "", "", "-1"),
            fields(models={"a": ""}),
            "Enter a number from 0 to 1000000.",
        ),
        (
            RouteRow("a", "", "１"),
            fields(models={"a": ""}),
            "Enter a number from -1000000 to 1000000.",
        ),
        (RouteRow("a", timeouts="1/2/3/4"), fields(models={"a": ""}), TIMES),
        (RouteRow("a", timeouts="x"), fields(models={"a": ""}), TIMES),
        (RouteRow("a", timeouts="1.2345"), fields(models={"a": ""}), TIMES),
    ],
)
def test_row_is_read_into_fields(row: RouteRow, expected: dict[str, Any], error: str) -> None:
    assert (read_routes([row]), row.error) == (expected, error)


def test_name_of_two_rows_is_an_error_of_the_second() -> None:
    rows = [RouteRow("a", "b"), RouteRow("a", "c"), RouteRow("c")]
    read_routes(rows)
    assert [row.error for row in rows] == ["", "Two models have the name a.", ""]


def test_unlisted_models_are_marked_and_unused_names_returned() -> None:
    rows = [RouteRow("a"), RouteRow("b", "up"), RouteRow("gone"), RouteRow("x*"), RouteRow()]
    assert mark_unlisted(rows, ["a", "up", "b", "more"]) == ["b", "more"]
    assert [row.gone for row in rows] == [False, False, True, False, False]


def test_different_changes_have_different_digests() -> None:
    assert digest_of([("a", "b", "c")]) == digest_of([("a", "b", "c")])
    others: list[list[tuple[str, ...]]] = [
        [],
        [("a", "b", "d")],
        [("a", "bc", "")],
        [("a", "b"), ("c",)],
    ]
    assert len({digest_of(one) for one in others}) == 4
