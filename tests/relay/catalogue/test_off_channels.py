"""A model whose channels are all off exists: it is unavailable, with the cause, and a time where it
comes back by itself; what the caller can change is told first."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from relay.catalogue.off_channels import OffChannel
from tests.fakes.upstream import FakeUpstream
from tests.relay.asking import ask
from tests.relay.catalogue.test_snapshot import channel, price, snapshot
from tests.support.hub import Answer, Hub, Tenant

OFF = "its channel is turned off"
RESTS = "its channel rests by a rule of the operator"


def _taken_out(cause: str) -> str:
    taken = json.dumps({"cause": cause, "what": "", "at": ""})
    return f"enabled = false, taken_out = '{taken}'"


CAUSES = {
    "turned off": ("enabled = false", OFF, None),
    "archived": ("enabled = false, archived_at = now()", OFF, None),
    "low balance": (
        _taken_out("balance") + ", next_balance_at = now() + interval '300 s'",
        RESTS, range(290, 332),
    ),
    "a failed test": (
        _taken_out("key")
        + """, testing = '{"every_min": 2}', next_test_at = now() + interval '100 s'""",
        RESTS, range(90, 112),
    ),
    "a failed test that no other follows": (_taken_out("success"), RESTS, None),
    "unreadable settings": (
        "provider = 'nobody'", "the settings of its channel cannot be used", None
    ),
}  # fmt: skip


def change(hub: Hub, model: str, columns: str) -> None:
    """Write columns of the model's channels, and wait until the hub has heard of it."""
    hub.connection.execute(
        f"UPDATE gateway_channel c SET {columns} FROM gateway_route r "
        "WHERE r.channel_id = c.id AND r.model = %s",
        [model],
    )
    hub.bump()
    hub.wait(lambda: model not in listed(hub), "the hub does not hear of the change")


def listed(hub: Hub) -> set[str]:
    return {row["id"] for row in hub.get("/v1/models", hub.tenant("0")).json()["data"]}


def check_unavailable(answer: Answer, cause: str, wait_s: range | None) -> None:
    assert (answer.status, answer.error["code"]) == (503, "no_channel_available")
    assert cause in answer.error["message"]
    if wait_s is None:
        assert answer.headers["x-should-retry"] == "false"
        assert "retry-after" not in answer.headers
    else:
        assert "x-should-retry" not in answer.headers
        assert int(answer.headers["retry-after"]) in wait_s


@pytest.mark.parametrize("why", CAUSES)
def test_model_of_a_disabled_channel_is_unavailable(hub: Hub, fake: FakeUpstream, why: str) -> None:
    columns, cause, wait_s = CAUSES[why]
    tenant, model = hub.tenant(), hub.model(fake)
    change(hub, model, columns)
    answer = hub.post(tenant, ask(model))
    check_unavailable(answer, cause, wait_s)
    (record,) = hub.records(answer.headers["x-request-id"])
    assert (record["kind"], record["model"]) == ("no_channel", model)
    check_unavailable(hub.get(f"/v1/models/{model}", tenant), cause, wait_s)


def test_model_without_an_enabled_key_is_unavailable(hub: Hub, fake: FakeUpstream) -> None:
    tenant, model = hub.tenant(), hub.model(fake)
    hub.connection.execute(
        "UPDATE gateway_channelkey k SET disabled_at = now() FROM gateway_route r "
        "WHERE r.channel_id = k.channel_id AND r.model = %s",
        [model],
    )
    change(hub, model, "weight = 1")
    check_unavailable(hub.post(tenant, ask(model)), OFF, None)


def _messages(hub: Hub, tenant: Tenant, model: str) -> tuple[Answer, int, str]:
    body = {"model": model, "max_tokens": 5, "messages": [{"role": "user", "content": "x"}]}
    return hub.post(tenant, body, path="/v1/messages"), 529, "overloaded_error"


def _gemini(hub: Hub, tenant: Tenant, model: str) -> tuple[Answer, int, str]:
    body = {"contents": [{"role": "user", "parts": [{"text": "x"}]}]}
    path = f"/v1beta/models/{model}:generateContent"
    return hub.post(tenant, body, path=path), 503, "UNAVAILABLE"


def _responses(hub: Hub, tenant: Tenant, model: str) -> tuple[Answer, int, str]:
    answer = hub.post(tenant, {"model": model, "input": "x"}, path="/v1/responses")
    return answer, 503, "no_channel_available"


def _embeddings(hub: Hub, tenant: Tenant, model: str) -> tuple[Answer, int, str]:
    answer = hub.post(tenant, {"model": model, "input": "x"}, path="/v1/embeddings")
    return answer, 503, "no_channel_available"


@pytest.mark.parametrize("asked", [_messages, _gemini, _responses, _embeddings])
def test_every_dialect_reports_unavailability(
    hub: Hub, fake: FakeUpstream, asked: Callable[[Hub, Tenant, str], tuple[Answer, int, str]]
) -> None:
    tenant, model = hub.tenant(), hub.model(fake)
    change(hub, model, "enabled = false")
    answer, status, word = asked(hub, tenant, model)
    assert (answer.status, OFF in answer.body.decode(), word in answer.body.decode()) == (
        status,
        True,
        True,
    )


def test_fixable_errors_come_before_a_disabled_channel(hub: Hub, fake: FakeUpstream) -> None:
    model = hub.model(fake)
    poor, kept_away, bound = hub.tenant("0"), hub.tenant(patterns=("other-*",)), hub.tenant()
    hub.budget(bound, "0.000000001")
    change(hub, model, "enabled = false")
    assert hub.post(poor, ask(model, max_tokens=1000)).status == 402
    assert hub.post(bound, ask(model, max_tokens=1000)).status == 402
    assert hub.post(kept_away, ask(model)).status == 403
    assert hub.post(hub.tenant(), ask(f"{model}-x")).status == 404


def test_alias_of_a_disabled_model_is_unavailable(hub: Hub, fake: FakeUpstream) -> None:
    tenant, model = hub.tenant(), hub.model(fake)
    hub.connection.execute(
        "INSERT INTO gateway_modelalias (name, target) VALUES (%s, %s)", [f"{model}-alias", model]
    )
    change(hub, model, "enabled = false")
    check_unavailable(hub.post(tenant, ask(f"{model}-alias")), OFF, None)


def test_a_fallback_answers_for_a_model_that_is_off(hub: Hub, fake: FakeUpstream) -> None:
    tenant, model, other = hub.tenant(), hub.model(fake), hub.model(fake)
    change(hub, model, "enabled = false")
    answer = hub.post(tenant, ask(model, models=[other]))
    assert (answer.status, answer.json()["model"]) == (200, other)


# ---- the catalogue


def off(*models: str) -> dict[str, Any]:
    return {"models": models, "reason": "disabled", "next_check_at": None, "every_s": None}


def test_disabled_pattern_covers_priced_names_only() -> None:
    prices = [price(1, "gpt-4", 1, 0, None), price(2, "*", 1, 0, None)]
    result = snapshot([channel("a", "on")], prices, off=[off("gpt-*", "mine")])
    known = {name: len(result.off_channels(name)) for name in ("gpt-4", "mine", "gpt-x", "on")}
    assert known == {"gpt-4": 1, "mine": 1, "gpt-x": 0, "on": 0}


def test_model_served_elsewhere_is_available() -> None:
    result = snapshot([channel("a", "m")], off=[off("m")])
    assert (len(result.routes_of("m")), result.off_channels("m")) == (1, ())


@pytest.mark.parametrize(
    ("next_check_at", "every_s", "expected_s"),
    [
        (None, None, None), (130.0, None, None), (130.0, 600.0, 30.0), (None, 600.0, 60.0),
        # Checked since then: the next one follows by the interval, at the latest in a turn of it.
        (90.0, 600.0, 650.0), (-1100.0, 600.0, 60.0),
    ],
)  # fmt: skip
def test_disabled_channel_returns_with_its_next_check(
    next_check_at: float | None, every_s: float | None, expected_s: float | None
) -> None:
    resting = OffChannel(("m",), "resting", next_check_at, every_s)
    assert resting.back_in_s(100.0) == expected_s
