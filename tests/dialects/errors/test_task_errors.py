"""Errors in the forms of the services of tasks."""

import json

import pytest

from dialects.errors.kinds import ErrorKind
from dialects.errors.task_errors import render
from extensions.jimeng import dialect as jimeng
from extensions.kling import dialect as kling
from extensions.midjourney import dialect as midjourney
from extensions.suno import dialect as suno

MESSAGE = "API request failed: Unknown request URL: /x"
FAMILIES = {
    family.name: family for family in (midjourney.FAMILY, suno.FAMILY, kling.FAMILY, jimeng.FAMILY)
}
ERROR = {"message": MESSAGE, "type": "invalid_request_error", "param": None, "code": "unknown_url"}


@pytest.mark.parametrize(
    ("family", "body"),
    [
        ("mj", {"code": 3, "description": MESSAGE, "type": "invalid_request_error", "result": "",
                "request_id": "R"}),
        ("suno", {"code": "unknown_url", "message": MESSAGE, "data": None, "request_id": "R"}),
        ("kling", {"code": 1203, "message": MESSAGE, "request_id": "R", "error": ERROR}),
        ("jimeng", {"code": 50400, "message": MESSAGE, "data": None, "request_id": "R",
                    "status": 50400, "error": ERROR}),
    ],
)  # fmt: skip
def test_missing_path(family: str, body: dict[str, object]) -> None:
    assert json.loads(render(FAMILIES[family], "route_not_found", MESSAGE, "R")) == body


def test_guards_code_replaces_ours_where_a_service_has_words() -> None:
    told = {
        name: json.loads(render(family, "guard_refused", MESSAGE, "R", None, "own"))
        for name, family in FAMILIES.items()
    }
    assert told["suno"]["code"] == told["kling"]["error"]["code"] == "own"
    assert told["jimeng"]["error"]["code"] == "own"
    assert (told["mj"]["code"], told["kling"]["code"], told["jimeng"]["code"]) == (4, 1201, 50400)


@pytest.mark.parametrize(
    ("family", "wrong", "failed"),
    [("mj", 4, 9), ("kling", 1201, 5001), ("jimeng", 50400, 50500)],
)
def test_other_faults_have_codes_of_their_own(family: str, wrong: int, failed: int) -> None:
    assert json.loads(render(FAMILIES[family], "headers_too_large", "m", "R"))["code"] == wrong
    assert json.loads(render(FAMILIES[family], "overloaded", "m", "R"))["code"] == failed


@pytest.mark.parametrize(
    ("family", "blocked", "other", "relayed"),
    [
        ("mj", 4, 4, 4),
        ("suno", "content_filter", "invalid_value", "987654"),
        ("kling", 1301, 1201, 987_654),
        ("jimeng", 50412, 50400, 987_654),
    ],
)
def test_blocked_content_and_numbers_of_providers(
    family: str, blocked: object, other: object, relayed: object
) -> None:
    """Blocked content has a number of its own where the service has one, and a provider's number
    replaces ours where clients know those."""

    def code(kind: ErrorKind, told: str | None = None) -> object:
        return json.loads(render(FAMILIES[family], kind, "m", "R", told))["code"]

    assert (code("content_filtered"), code("invalid_value")) == (blocked, other)
    assert code("provider_rejected", "987654") == relayed
