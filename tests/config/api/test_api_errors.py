"""An argument that the management API does not take is named, with what is wrong with it."""

import json
from typing import Any

import pytest
from django.test import RequestFactory
from ninja.errors import ValidationError

from config.api.api import _invalid


@pytest.mark.parametrize(
    ("kind", "where", "status", "code", "param", "words"),
    [
        ("extra_forbidden", ("body", "body", "nmae"), 400, "unknown_parameter", "nmae",
         "Unknown parameter: nmae."),
        ("missing", ("body", "body", "name"), 400, "missing_required_parameter", "name",
         "Missing required parameter: name."),
        ("missing", ("body", "body"), 400, "missing_required_parameter", "body",
         "Missing required parameter: body."),
        ("string_type", ("body", "body", "limits", "rpm"), 400, "invalid_type", "limits.rpm",
         "Invalid value for limits.rpm: it must be a string in quotes."),
        ("int_parsing", ("query", "limit"), 400, "invalid_type", "limit",
         "Invalid value for limit: why."),
        ("value_error", ("body", "body", "keys", 0), 422, "invalid_value", "keys.0",
         "Invalid value for keys.0: why."),
        ("too_short", ("query",), 422, "invalid_value", None, "Invalid value for None: why."),
    ],
)  # fmt: skip
def test_invalid_argument_is_named(
    kind: str, where: tuple[Any, ...], status: int, code: str, param: str | None, words: str
) -> None:
    later = {"type": "missing", "loc": ("body", "later"), "msg": "no"}
    first = {"type": kind, "loc": where, "msg": "Value error, why"}
    answer = _invalid(RequestFactory().post("/api/v1/keys"), ValidationError([first, later]))
    assert answer.status_code == status
    assert json.loads(answer.content)["error"] == {
        "message": words, "type": "invalid_request_error", "param": param, "code": code,
    }  # fmt: skip
