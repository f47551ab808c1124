"""Whatever stands in a query or a path of the management API, it is answered and not broken by."""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Literal, get_args, get_origin
from urllib.parse import quote

import pytest
from django.test import Client
from ninja.operation import Operation

from accounts.models import KeyKind
from config.api.api import api
from lib.ids import id_text, new_id
from tests.support.cast import Cast, make_key, with_key
from tests.support.pairwise import draw_pairs

HOSTILE = (
    "", "\x00", "a" * 10_000, "-1", "9" * 30, "1e400", "NaN", "é\u202e\U0001f600'\"\\%_",
    "0001-01-01", "9999-12-31", "0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00",
    "2026-02-30", "2026-01-01T00:00:00+23:59", "0000000000000000000000000Z", "team",
)  # fmt: skip


def gets() -> Iterator[tuple[str, Operation]]:
    for prefix, router in api._routers:
        for path, view in router.path_operations.items():
            for operation in view.operations:
                if "GET" in operation.methods:
                    yield f"/api/v1{prefix}{path}", operation


def fields_of(operation: Operation) -> dict[str, Any]:
    """The parameters of an operation's query, with what each may be."""
    results: dict[str, Any] = {}
    for model in operation.models:
        if model.__ninja_param_source__ == "query":
            for outer in model.model_fields.values():
                inner = getattr(outer.annotation, "model_fields", None)
                for name, field in (inner or {}).items():
                    results[field.alias or name] = field.annotation
    return results


@dataclass(frozen=True)
class HostileQuery:
    """One parameter has a hostile value, or both ends of a time have it, in an extreme zone."""

    path: str
    place: str
    value: int
    fields: dict[str, str]

    @property
    def name(self) -> str:
        return f"{self.path} {self.place} {HOSTILE[self.value][:40]!a}"


def queries_of(path: str, operation: Operation) -> Iterator[HostileQuery]:
    fields = fields_of(operation)
    for number, value in enumerate(HOSTILE):
        for name in fields:
            yield HostileQuery(path, name, number, {name: value})
        if {"from", "to", "tz"} <= fields.keys():
            for zone in ("Pacific/Kiritimati", "Etc/GMT+12", "Asia/Kathmandu"):
                times = {"from": value, "to": value, "tz": zone}
                yield HostileQuery(path, zone, number, times)


QUERIES = {one.name: one for path, operation in gets() for one in queries_of(path, operation)}
# Each parameter of each operation, and each name of a parameter with each value.
DRAWN = draw_pairs(QUERIES, lambda query: (query.path, query.place)) | draw_pairs(
    QUERIES, lambda query: (query.place, query.value)
)
GETS = [pytest.param(path, operation, id=path) for path, operation in gets()]


@pytest.fixture
def operator(people: Cast) -> Client:
    """Whoever may ask the most: an owner who runs the installation too."""
    people.alice.operator = True
    people.alice.save(update_fields=["operator"])
    return with_key(make_key(people.core, "m", user=people.alice, kind=KeyKind.MANAGEMENT)[1])


@pytest.mark.parametrize(("path", "operation"), GETS)
def test_hostile_queries_are_answered(operator: Client, path: str, operation: Operation) -> None:
    """Each parameter of the operation, and each value in one of its name."""
    ask(operator, path, [one for one in queries_of(path, operation) if one.name in DRAWN])


@pytest.mark.slow
@pytest.mark.parametrize(("path", "operation"), GETS)
def test_all_hostile_queries_are_answered(
    operator: Client, path: str, operation: Operation
) -> None:
    ask(operator, path, queries_of(path, operation))


def ask(operator: Client, path: str, queries: Iterable[HostileQuery]) -> None:
    place = re.sub(r"\{[^}]*\}", id_text(new_id()), path)
    for query in queries:
        answer = operator.get(place, query.fields)
        assert answer.status_code < 500, query.name


WITH_PLACES = [path for path, _ in gets() if "{" in path]


@pytest.mark.parametrize(("turn", "path"), list(enumerate(WITH_PLACES)), ids=WITH_PLACES)
def test_hostile_paths_are_answered(operator: Client, turn: int, path: str) -> None:
    """A quarter of the values at each, in turn."""
    ask_in_place(operator, path, HOSTILE[turn % 4 :: 4])


@pytest.mark.slow
@pytest.mark.parametrize("path", WITH_PLACES)
def test_all_hostile_paths_are_answered(operator: Client, path: str) -> None:
    ask_in_place(operator, path, HOSTILE)


def ask_in_place(operator: Client, path: str, values: Iterable[str]) -> None:
    before, _, rest = path.partition("{")
    after = rest.partition("}")[2]
    for value in values:
        answer = operator.get(before + quote(value, safe="") + after)
        assert answer.status_code < 500, value[:40]


@pytest.mark.parametrize(("path", "operation"), GETS)
def test_unknown_words_are_rejected(operator: Client, path: str, operation: Operation) -> None:
    """Nothing is dropped in silence: an unknown grouping, state or parameter is named."""
    place = re.sub(r"\{[^}]*\}", id_text(new_id()), path.replace("{n}", "1"))
    for name, annotation in fields_of(operation).items():
        kinds = [annotation, *get_args(annotation)]
        if any(get_origin(kind) is Literal for kind in kinds):
            answer = operator.get(place, {name: "no-such"})
            assert answer.status_code == 422, name
            assert answer.json()["error"]["param"] == name
    answer = operator.get(place, {"no_such_parameter": "1"})
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, "no_such_parameter")


@pytest.mark.parametrize(
    "query",
    [
        {"from": "0001-01-01"},
        {"to": "9999-12-31"},
        {"from": "0001-01-01T00:00:00+14:00"},
        {"to": "9999-12-31T23:45:00-14:00"},
        {"from": "2201-01-01", "to": "2201-01-02"},
    ],
)
@pytest.mark.parametrize("path", ["/api/v1/usage", "/api/v1/requests"])
def test_impossible_times_are_named(operator: Client, path: str, query: dict[str, str]) -> None:
    answer = operator.get(path, query)
    assert answer.status_code == 422
    error = answer.json()["error"]
    assert error["param"] in query
    assert "years 1900 to 2200" in error["message"]
