"""A version of a price while it is edited, without a page."""

import datetime as dt
from typing import Any

import pytest
from django.http import QueryDict

from billing.prices.conditions import PriceKey
from gateway.prices.forms import PriceEdit, edit_from, edit_of


@pytest.mark.parametrize(
    ("typed", "start"),
    [("", None), ("2026-01-02T03:04", dt.datetime(2026, 1, 2, 3, 4, tzinfo=dt.UTC))],
)
def test_empty_start_is_the_publication(typed: str, start: dt.datetime | None) -> None:
    edit = PriceEdit(PriceKey("m"), [], valid_from=typed)
    assert (edit.begins_at(), edit.problems) == (start, False)


def test_start_that_is_no_time_is_reported() -> None:
    edit = PriceEdit(PriceKey("m"), [], valid_from="soon")
    assert (edit.begins_at(), edit.errors) == (None, ["The start must be a date and time."])


def sent(*rows: tuple[str, str, str], **more: Any) -> QueryDict:
    """A submitted form with rows of meter, tier and rate."""
    query = QueryDict(mutable=True)
    for name, column in zip(("meter", "over", "rate"), zip(*rows, strict=True), strict=False):
        query.setlist(name, list(column))
    for name, value in {"model": "m", **more}.items():
        query.setlist(name, value if isinstance(value, list) else [value])
    return query


def conditions(*rows: tuple[str, str, str, str, str]) -> dict[str, list[str]]:
    """Rows of kind, value, meter, tier and number."""
    names = ("kind", "value", "meter", "over", "number")
    columns = zip(*rows, strict=True)
    return {f"condition_{name}": list(column) for name, column in zip(names, columns, strict=True)}


BASE = ("in_text", "", "1")
STORED = {"meters": {"in_text": 1_000_000_000}}


@pytest.mark.parametrize(
    ("query", "stored"),
    [
        (sent(BASE), STORED),
        (sent(BASE, ("out_text", "", " ")), STORED),
        (sent(BASE, ("out_text", "", "0")), {"meters": {"in_text": 10**9, "out_text": 0}}),
        (
            sent(BASE, ("in_text", "200", "3"), ("in_text", "100", "2")),
            STORED
            | {
                "tiers": [
                    {"input_over": 100, "mode": "whole", "meters": {"in_text": 2 * 10**9}},
                    {"input_over": 200, "mode": "whole", "meters": {"in_text": 3 * 10**9}},
                ]
            },
        ),
        (
            sent(BASE, ("in_text", "0", "2"), mode="marginal"),
            STORED
            | {"tiers": [{"input_over": 0, "mode": "marginal", "meters": {"in_text": 2 * 10**9}}]},
        ),
        (
            sent(BASE, **conditions(("speed", "fast", "", "", " 0.5 "))),
            STORED
            | {"conditions": [{"kind": "speed", "value": "fast", "multiplier_ppm": 500_000}]},
        ),
        (
            sent(
                BASE,
                **conditions(
                    ("speed", "fast", "in_text", "", "2"),
                    ("speed", "fast", "in_text", "9", "3"),
                    ("speed", "fast", "out_text", "", ""),
                ),
            ),
            STORED
            | {
                "conditions": [
                    {
                        "kind": "speed",
                        "value": "fast",
                        "meters": {"in_text": 2 * 10**9},
                        "tiers": [
                            {"input_over": 9, "mode": "whole", "meters": {"in_text": 3 * 10**9}}
                        ],
                    }
                ]
            },
        ),
    ],
)
def test_rows_are_stored_as_a_price(query: QueryDict, stored: dict[str, Any]) -> None:
    edit = edit_from(query)
    assert (edit.stored(), edit.problems) == (stored, False)
    again = edit_of(edit.key, stored)
    assert (again.stored(), again.mode, again.problems) == (stored, edit.mode, False)


TWICE = "This rate is listed twice."
ALONE = "A condition either has one multiplier or replaces rates. Remove one of them."
RATE = "Enter a rate of 0 or more, such as 0.15, with up to 9 decimal places."
TIER = "A tier's threshold must be a whole number of input tokens."
FACTOR = "Enter a number from 0 to 1000, such as 1.07."
WORD = "Enter a value as the request or the answer says it, such as fast or us."


@pytest.mark.parametrize(
    ("query", "errors", "of_rows", "of_conditions"),
    [
        (sent(("out_text", "5", "1")), ["Enter at least one rate without a tier."], [""], []),
        (sent(BASE, model=" "), ["Enter a model name, or a pattern such as gpt-5*."], [""], []),
        (sent(BASE, BASE), [], ["", TWICE], []),
        (sent(BASE, ("in_text", "7", "1"), ("in_text", "7", "1")), [], ["", "", TWICE], []),
        (sent(BASE, ("out_text", "", "x")), [], ["", RATE], []),
        (sent(BASE, ("out_text", "", "-1")), [], ["", RATE], []),
        (sent(BASE, ("nothing", "", "1")), [], ["", "Choose a meter."], []),
        (sent(BASE, ("in_text", "x", "1")), [], ["", TIER], []),
        (sent(BASE, ("in_text", "-1", "1")), [], ["", TIER], []),
        (sent(BASE, ("in_text", "１", "1")), [], ["", TIER], []),
        (sent(BASE, ("in_text", "1" * 13, "1")), [], ["", TIER], []),
        (
            sent(BASE, conditions="no JSON"),
            ["The conditions could not be read. Reload the page."],
            [""],
            [],
        ),
        (
            sent(BASE, **conditions(("planet", "mars", "", "", "2"))),
            [],
            [""],
            ["Choose what the condition is about."],
        ),
        (sent(BASE, **conditions(("speed", "a b", "", "", "2"))), [], [""], [WORD]),
        (
            sent(BASE, **conditions(("speed", "standard", "", "", "2"))),
            [],
            [""],
            ["standard is the standard, whose rates are above."],
        ),
        (sent(BASE, **conditions(("speed", "fast", "", "", "x"))), [], [""], [FACTOR]),
        (
            sent(BASE, **conditions(("speed", "fast", "in_text", "", "x"))),
            [],
            [""],
            [RATE],
        ),
        (
            sent(BASE, **conditions(("speed", "fast", "", "5", "2"))),
            [],
            [""],
            ["A multiplier applies to all tokens, without a tier."],
        ),
        (
            sent(
                BASE,
                **conditions(
                    ("speed", "fast", "", "", "2"),
                    ("speed", "fast", "in_text", "", "1"),
                ),
            ),
            [],
            [""],
            [ALONE, ""],
        ),
        (
            sent(
                BASE,
                **conditions(
                    ("speed", "fast", "in_text", "", "1"),
                    ("speed", "fast", "in_text", "", "2"),
                ),
            ),
            [],
            [""],
            ["", TWICE],
        ),
    ],
)
def test_what_is_wrong_is_said_beside_its_row(
    query: QueryDict, errors: list[str], of_rows: list[str], of_conditions: list[str]
) -> None:
    edit = edit_from(query)
    edit.stored()
    assert edit.errors == errors
    assert [row.error for row in edit.rows] == of_rows
    assert [row.error for row in edit.condition_rows] == of_conditions
    assert edit.problems


def test_submitted_form_is_read_into_its_own_fields() -> None:
    edit = edit_from(
        sent(BASE, model=" m\0 ", kind="cost", channel="east", service_tier="flex", region="eu",
             hours="night", mode="marginal", valid_from="2026-01-02T03:04", note=" why ")
    )  # fmt: skip
    assert edit.key == PriceKey(
        model="m", kind="cost", channel="east", service_tier="flex", region="eu", hours="night"
    )
    assert (edit.mode, edit.valid_from, edit.note) == ("marginal", "2026-01-02T03:04", "why")
    other = edit_from(sent(BASE, kind="else", mode="else"))
    assert (other.key.kind, other.mode) == ("charge", "whole")


def test_new_price_begins_with_rows_of_usual_meters() -> None:
    edit = edit_of(PriceKey("m"), None)
    assert [row.meter for row in edit.rows] == ["in_text", "in_cache_read", "out_text"]
    for what, rows, others in (("meter", 4, 0), ("condition", 4, 1), ("else", 4, 1)):
        edit.add_row(what)
        assert (len(edit.rows), len(edit.condition_rows)) == (rows, others)
    assert (edit.rows[-1].added, edit.condition_rows[-1].added) == (True, True)
    for _ in range(100):
        edit.add_row("meter")
        edit.add_row("condition")
    assert (len(edit.rows), len(edit.condition_rows)) == (100, 100)
