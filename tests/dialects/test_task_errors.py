"""Errors in the forms of the services of tasks."""

import json

import pytest

from dialects.errors import RequestFault
from dialects.task_errors import Family, render

MESSAGE = "API request failed: Unknown request URL: /x"
ERROR = {"message": MESSAGE, "type": "invalid_request_error", "param": None, "code": "unknown_url"}


@pytest.mark.parametrize(
    ("family", "body"),
    [
        ("mj", {"code": 3, "description": MESSAGE, "type": "invalid_request_error", "result": ""}),
        ("suno", {"code": "unknown_url", "message": MESSAGE, "data": None}),
        ("kling", {"code": 1203, "message": MESSAGE, "request_id": "R", "error": ERROR}),
        ("jimeng", {"code": 50400, "message": MESSAGE, "data": None, "request_id": "R",
                    "status": 50400, "error": ERROR}),
    ],
)  # fmt: skip
def test_a_path_that_is_not_there(family: Family, body: dict[str, object]) -> None:
    assert json.loads(render(family, RequestFault("route_not_found", None, "/x"), "R")) == body
