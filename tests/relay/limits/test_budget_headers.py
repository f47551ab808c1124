"""Answers of /v1/messages say how full the budget of their caller is, as Claude Code reads it from
its gateway."""

from collections.abc import Iterator
from typing import Any, Final

import pytest

from lib import clock
from tests.fakes.upstream import FakeUpstream
from tests.relay.asking import ask
from tests.support.hub import Hub, Tenant, running_hub

UNIFIED: Final = "anthropic-ratelimit-unified-"


@pytest.fixture(scope="module")
def lonely() -> Iterator[Hub]:
    """A hub whose windows say what these tests write into them, and not what was spent."""
    with running_hub({}) as hub:
        yield hub


def told(
    hub: Hub,
    tenant: Tenant,
    model: str,
    *,
    path: str = "/v1/messages",
    stream: bool = False,
    session: str = "",
    cap: str = "",
) -> dict[str, str]:
    """The headers about the budget in an answer."""
    headers = {"x-claude-code-session-id": session} if session else {}
    headers |= {"x-weir-session-budget": cap} if cap else {}
    body = ask(model, "#tokens=2", max_tokens=50, stream=stream)
    answer = hub.post(tenant, body, path=path, headers=headers)
    assert answer.status == 200, answer.body
    return {
        name.removeprefix(UNIFIED): value
        for name, value in answer.headers.items()
        if name.startswith(UNIFIED)
    }


def spend(hub: Hub, budget: int, percent: int) -> int:
    """Let so much of the present window be spent; return when it resets, in Unix seconds."""
    (row,) = hub.rows(
        "UPDATE billing_budgetwindow SET spent_nano = cap_nano / 100 * %s WHERE budget_id = %s "
        "RETURNING extract(epoch FROM ends_at)::bigint AS reset",
        percent, budget,
    )  # fmt: skip
    reset: int = row["reset"]
    return reset


@pytest.mark.parametrize("stream", [False, True])
def test_the_fullest_budget_is_told(lonely: Hub, fake: FakeUpstream, stream: bool) -> None:
    hub = lonely
    tenant, model = hub.tenant(), hub.model(fake)
    assert told(hub, tenant, model, stream=stream) == {}
    day = hub.budget(tenant, "5.00", period="day")
    month = hub.budget(tenant, "5.00", period="month", anchor=1)
    first = told(hub, tenant, model, stream=stream)
    assert (first["status"], first["overage-utilization"]) == ("allowed", "0.00")
    spend(hub, month, 40)
    reset = spend(hub, day, 80)
    assert reset > clock.now().timestamp()
    assert told(hub, tenant, model, stream=stream) == {
        "status": "allowed_warning",
        "reset": str(reset),
        "representative-claim": "overage",
        "overage-status": "allowed_warning",
        "overage-reset": str(reset),
        "overage-utilization": "0.80",
        "overage-surpassed-threshold": "0.75",
    }
    reset = spend(hub, month, 96)
    later = told(hub, tenant, model, stream=stream)
    assert (later["overage-surpassed-threshold"], later["reset"]) == ("0.95", str(reset))
    # Other dialects have no such headers.
    assert told(hub, tenant, model, path="/v1/chat/completions", stream=stream) == {}


@pytest.mark.parametrize(
    "over",
    [
        {"period": "day", "action": "warn"},
        {"period": "session", "action": "warn"},
        {"period": "day", "action": "slow"},
        {"period": "day", "scope": "team"},
        {"period": "day", "scope": "organisation"},
    ],
)
def test_only_the_callers_rejecting_budgets_are_reported(
    lonely: Hub, fake: FakeUpstream, over: dict[str, Any]
) -> None:
    hub = lonely
    tenant, model = hub.tenant(), hub.model(fake)
    budget = hub.budget(tenant, "5.00", **over)
    told(hub, tenant, model, session="one")
    spend(hub, budget, 80)
    assert told(hub, tenant, model, session="one") == {}


@pytest.mark.parametrize(
    "over",
    [
        {"period": "total"},
        {"period": "session"},
        {"period": "session", "scope": "team"},
        {"period": "session", "scope": "organisation"},
    ],
)
def test_unending_budget_is_reported_without_a_time(
    lonely: Hub, fake: FakeUpstream, over: dict[str, Any]
) -> None:
    """A budget of each session is the caller's own, whoever has it."""
    hub = lonely
    tenant, model = hub.tenant(), hub.model(fake)
    budget = hub.budget(tenant, "5.00", **over)
    told(hub, tenant, model, session="one")
    spend(hub, budget, 80)
    assert told(hub, tenant, model, session="one") == {
        "status": "allowed_warning",
        "representative-claim": "overage",
        "overage-status": "allowed_warning",
        "overage-utilization": "0.80",
        "overage-surpassed-threshold": "0.75",
    }
    other = told(hub, tenant, model, session="another")
    assert other["overage-utilization"] == ("0.80" if over == {"period": "total"} else "0.00")


def test_hourly_budget_is_reported(lonely: Hub, fake: FakeUpstream) -> None:
    hub = lonely
    tenant, model = hub.tenant(), hub.model(fake)
    budget = hub.budget(tenant, "5.00", period="hour")
    told(hub, tenant, model)
    reset = spend(hub, budget, 96)
    later = told(hub, tenant, model)
    assert (later["overage-surpassed-threshold"], later["reset"]) == ("0.95", str(reset))


def test_clients_own_session_cap_is_reported(lonely: Hub, fake: FakeUpstream) -> None:
    hub = lonely
    tenant, model = hub.tenant(), hub.model(fake)
    first = told(hub, tenant, model, session="one", cap="5.00")
    assert first["overage-utilization"] == "0.00"
    hub.rows(
        "UPDATE billing_budgetwindow SET spent_nano = 4000000000 "
        "WHERE budget_id IS NULL RETURNING id"
    )
    assert told(hub, tenant, model, session="one", cap="5.00")["overage-utilization"] == "0.80"
    assert told(hub, tenant, model, session="another", cap="5.00")["overage-utilization"] == "0.00"
    assert told(hub, tenant, model, session="one") == {}


def test_a_raised_budget_is_emptier(lonely: Hub, fake: FakeUpstream) -> None:
    hub = lonely
    tenant, model = hub.tenant(), hub.model(fake)
    budget = hub.budget(tenant, "1.00", period="day")
    told(hub, tenant, model)
    spend(hub, budget, 90)
    hub.rows(
        "UPDATE billing_budget SET raised_nano = amount_nano, raised_until = now() + "
        "interval '1 day' WHERE id = %s RETURNING id",
        budget,
    )
    assert told(hub, tenant, model)["overage-utilization"] == "0.45"
