"""A wrong key that its provider answers like a rejected request, with 400 (F5, F9): another channel
answers, the key rests, and the client hears nothing of it."""

import secrets
from typing import Any

import pytest

from tests.fakes.upstream import FakeUpstream
from tests.relay.asking import ask
from tests.relay.canned import canned
from tests.support.hub import RATES, Hub

pytestmark = pytest.mark.usefixtures("balanced_books")

KEY = "AIza-wrong-key-0123456789"
GOOGLE: dict[str, Any] = {
    "code": 400, "message": "API key not valid. Please pass a valid API key.",
    "status": "INVALID_ARGUMENT",
    "details": [{"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": "API_KEY_INVALID"}],
}  # fmt: skip
ANSWERS: dict[str, tuple[Any, str]] = {
    "google": ({"error": GOOGLE}, "F5"),
    "xai": ({"code": "Client specified an invalid argument",
             "error": "Incorrect API key provided: AI***89."}, "F5"),
    "qwen": ({"error": {"code": "Arrearage", "type": "Arrearage", "message": "Denied."}}, "F9"),
}  # fmt: skip


@pytest.mark.parametrize("form", ANSWERS)
def test_wrong_key_leads_to_the_next_channel_and_rests(
    hub: Hub, fake: FakeUpstream, form: str
) -> None:
    body, _ = ANSWERS[form]
    with canned() as wrong:
        wrong.status, wrong.answer = 400, body
        model, tenant = f"m-{secrets.token_hex(6)}", hub.tenant()
        hub.price(model, RATES)
        hub.channel(model, f"{wrong.url}/v1", KEY, priority=0)
        hub.channel(model, fake.url, fake.key, priority=1)
        hub.know(model)
        for _ in range(4):
            answer = hub.post(tenant, ask(model, "#tokens=3"))
            assert answer.status == 200, answer.body
        first = hub.records(answer.headers["x-request-id"])
        assert all(row["flags"] == [] for row in first), "the last one did not ask the wrong key"
        assert 1 <= len(wrong.asked) <= 3


@pytest.mark.parametrize("form", ANSWERS)
def test_wrong_key_of_the_only_channel_is_502(hub: Hub, form: str) -> None:
    """Never 400 or 401: the client's request and its key are fine."""
    body, fault = ANSWERS[form]
    with canned() as wrong:
        wrong.status, wrong.answer = 400, body
        model, tenant = f"m-{secrets.token_hex(6)}", hub.tenant()
        hub.price(model, RATES)
        hub.channel(model, f"{wrong.url}/v1", KEY)
        hub.know(model)
        answer = hub.post(tenant, ask(model))
        assert answer.status == 502
        assert b"key" not in answer.body.lower()
        records = hub.records(answer.headers["x-request-id"])
        assert {flag for row in records for flag in row["flags"]} == {fault}
        assert hub.balance(tenant).get("revenue", 0) == 0
