"""Providers' bills by the management API."""

import json
from typing import Any

import pytest
from django.test import Client

from tests.support.cast import Cast, signed_in
from tests.usage.rows import CHANNEL

URL = "/api/v1/provider-bills"


def send(client: Client, method: str, path: str, body: dict[str, Any] | None = None) -> Any:
    data = b"" if body is None else json.dumps(body).encode()
    return client.generic(method, path, data, "application/json")


@pytest.fixture
def bill(people: Cast) -> dict[str, Any]:
    dora = signed_in(people.dora)
    channel = send(
        dora, "POST", "/api/v1/channels",
        {"provider": "openai", "name": "first", "keys": ["sk-0123456789"]},
    ).json()  # fmt: skip
    return {
        "provider": "openai", "channels": [channel["id"]], "first_on": "2026-11-03",
        "last_on": "2026-11-03", "day_column": "Date", "model_column": "Model",
        "amount_column": "Cost", "csv": "Date,Model,Cost\n2026-11-03,gpt-4o,1.50\n",
    }  # fmt: skip


def test_a_bill_is_compared_and_its_differences_are_settled(
    people: Cast, bill: dict[str, Any]
) -> None:
    dora = signed_in(people.dora)
    response = send(dora, "POST", URL, bill)
    assert response.status_code == 201, response.content
    body = response.json()
    assert (body["billed"], body["ours"], body["lines"]) == ("1.50", "0.00", 1)
    assert (body["differences"], body["open"]) == (1, 1)
    one = f"{URL}/{body['id']}/differences/1"
    (listed,) = dora.get(f"{URL}/{body['id']}/differences?state=open").json()["items"]
    assert listed == dora.get(one).json()
    assert (listed["kind"], listed["model"], listed["billed"]) == ("not_recorded", "gpt-4o", "1.50")
    settled = send(dora, "POST", f"{one}/settle", {"note": "A test of theirs"}).json()
    assert (settled["note"], settled["settled_by"]) == ("A test of theirs", "dora@example.org")
    assert dora.get(f"{URL}/{body['id']}").json()["open"] == 0
    assert send(dora, "POST", f"{one}/reopen").json()["settled_by"] is None
    assert dora.get(f"{URL}?provider=anthropic").json()["items"] == []
    for n in ("2", "x"):
        assert dora.get(f"{URL}/{body['id']}/differences/{n}").status_code in (400, 404, 422)


@pytest.mark.parametrize(
    ("change", "status", "param"),
    [
        ({"day_column": ""}, 422, "day_column"),
        ({"csv": "Date,Model\n"}, 422, "amount_column"),
        ({"csv": "Date,Model,Cost\n"}, 422, "file"),
        ({"last_on": "2026-11-02"}, 422, "last_on"),
        ({"tolerance": "-1"}, 422, "tolerance"),
        ({"channels": [str(CHANNEL)]}, 404, None),
    ],
)
def test_malformed_bills(
    people: Cast, bill: dict[str, Any], change: dict[str, Any], status: int, param: str | None
) -> None:
    refused = send(signed_in(people.dora), "POST", URL, {**bill, **change})
    assert (refused.status_code, refused.json()["error"]["param"]) == (status, param)
    assert send(signed_in(people.alice), "POST", URL, bill).status_code == 403
