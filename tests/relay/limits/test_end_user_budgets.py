"""P2, I23: a budget of each end user is one amount for each, exact for every one of them, and one
end user's spending never counts for another's."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from billing.currency.money import parse_usd
from tests.fakes.upstream import FakeUpstream
from tests.relay.asking import ask
from tests.support.hub import Answer, Hub, Tenant

pytestmark = pytest.mark.usefixtures("balanced_books")
HEADER = "x-openwebui-user-email"
ALICE, BOB = "alice@example.org", "bob@example.org"
# A request is one token, and costs 1 USD.
RATES = {"in_text": 0, "out_text": 1_000_000_000_000_000}


@pytest.fixture
def application(hub: Hub) -> Tenant:
    tenant = hub.tenant("1000")
    hub.limit(tenant, end_user_header=HEADER, end_user_networks=["127.0.0.0/8"])
    hub.bump()
    return tenant


def send(hub: Hub, tenant: Tenant, model: str, end_user: str, **over: Any) -> Answer:
    headers = {HEADER: end_user} if end_user else {}
    body = ask(model, "#tokens=1", max_tokens=1, **over)
    return hub.post(tenant, body, headers=headers)


def windows(hub: Hub, tenant: Tenant) -> dict[str, tuple[int, int, int]]:
    """What each end user has spent, what is held, and the cap."""
    hub.settled(tenant)
    rows = hub.rows(
        "SELECT w.* FROM billing_budgetwindow w JOIN billing_budget b ON b.id = w.budget_id"
        " WHERE b.organisation_id = %s", tenant.organisation_id,
    )  # fmt: skip
    return {row["end_user"]: (row["spent_nano"], row["held_nano"], row["cap_nano"]) for row in rows}


def own_amount(hub: Hub, budget: int, end_user: str, usd: str) -> None:
    hub.connection.execute(
        "UPDATE billing_budget SET own_amounts = own_amounts || jsonb_build_object(%s::text,"
        " %s::bigint) WHERE id = %s", [end_user, parse_usd(usd), budget],
    )  # fmt: skip


def test_each_end_user_has_the_amount_alone(
    hub: Hub, fake: FakeUpstream, application: Tenant
) -> None:
    model = hub.model(fake, rates=RATES)
    hub.budget(application, "2", "end_user", "", period="month", anchor=1)
    assert [send(hub, application, model, ALICE).status for _ in range(3)] == [200, 200, 402]
    assert send(hub, application, model, BOB).status == 200
    one = 10**9
    assert windows(hub, application) == {ALICE: (2 * one, 0, 2 * one), BOB: (one, 0, 2 * one)}


def test_the_refusal_names_the_end_users_budget(
    hub: Hub, fake: FakeUpstream, application: Tenant
) -> None:
    model = hub.model(fake, rates=RATES)
    budget = hub.budget(application, "0", "end_user", "", period="day")
    answer = send(hub, application, model, ALICE)
    assert (answer.status, answer.error["code"]) == (402, "insufficient_quota")
    assert f"end_user budget {ALICE} is used up" in answer.error["message"]
    record = hub.record(answer.headers["x-request-id"])
    assert record["end_user"] == ALICE
    rows = hub.rows(
        "SELECT refused_at IS NOT NULL AS refused FROM billing_budgetwindow WHERE budget_id = %s",
        budget,
    )
    assert rows == [{"refused": True}]


def test_an_amount_of_ones_own_replaces_the_default(
    hub: Hub, fake: FakeUpstream, application: Tenant
) -> None:
    model = hub.model(fake, rates=RATES)
    budget = hub.budget(application, "1", "end_user", "", period="month", anchor=1)
    own_amount(hub, budget, BOB, "3")
    assert [send(hub, application, model, BOB).status for _ in range(4)] == [200, 200, 200, 402]
    assert [send(hub, application, model, ALICE).status for _ in range(2)] == [200, 402]


@pytest.mark.parametrize("headers", [{}, {HEADER: "\u202e"}])
def test_a_request_without_a_believed_name_is_under_no_end_users_budget(
    hub: Hub, fake: FakeUpstream, application: Tenant, headers: dict[str, str]
) -> None:
    """Its body's `user` is anybody's word."""
    model = hub.model(fake, rates=RATES)
    hub.budget(application, "0", "end_user", "", period="month", anchor=1)
    sent = {name: value.encode().decode("latin-1") for name, value in headers.items()}
    body = ask(model, "#tokens=1", max_tokens=1, user=ALICE)
    assert hub.post(application, body, headers=sent).status == 200
    assert windows(hub, application) == {}


def test_concurrent_requests_never_exceed_anyones_amount(
    hub: Hub, fake: FakeUpstream, application: Tenant
) -> None:
    """All of them arrive before the first windows exist."""
    model = hub.model(fake, rates=RATES)
    hub.budget(application, "3", "end_user", "", period="hour")
    people = [f"person-{n}" for n in range(5)]
    with ThreadPoolExecutor(20) as pool:
        sent = [(who, pool.submit(send, hub, application, model, who)) for who in people * 6]
    answered = {who: [one.result().status for name, one in sent if name == who] for who in people}
    assert {who: sorted(statuses) for who, statuses in answered.items()} == {
        who: [200] * 3 + [402] * 3 for who in people
    }
    assert windows(hub, application) == dict.fromkeys(people, (3 * 10**9, 0, 3 * 10**9))


def test_hostile_names_have_windows_of_their_own(
    hub: Hub, fake: FakeUpstream, application: Tenant
) -> None:
    model = hub.model(fake, rates=RATES)
    hub.budget(application, "1", "end_user", "", period="month", anchor=1)
    names = ["a\\", 'a"', "a'", "{a,b}", "null", "NULL", "%s", "\u05d3\u05d5\u05d3", "\U0001f600"]
    for name in names:
        assert send(hub, application, model, name.encode().decode("latin-1")).status == 200
    assert set(windows(hub, application)) == set(names)


def test_a_name_made_to_collide_with_another_has_a_window_of_its_own(
    hub: Hub, fake: FakeUpstream, application: Tenant
) -> None:
    """Postgres hashes both names alike."""
    names = ["ann@team.org", "[7bS7F/,[#lW"]
    rows = hub.rows("SELECT hashtextextended(t, 0) AS hash FROM unnest(%s::text[]) t", names)
    assert rows[0] == rows[1]
    model = hub.model(fake, rates=RATES)
    hub.budget(application, "1", "end_user", "", period="month", anchor=1)
    for name in names:
        assert [send(hub, application, model, name).status for _ in range(2)] == [200, 402]


def test_a_window_that_cannot_be_opened_refuses_with_503(
    hub: Hub, fake: FakeUpstream, application: Tenant
) -> None:
    """A window that begins later lies where the end user's would be."""
    model = hub.model(fake, rates=RATES)
    budget = hub.budget(application, "1", "end_user", "", period="month", anchor=1)
    hub.connection.execute(
        "INSERT INTO billing_budgetwindow (budget_id, end_user, starts_at, ends_at, cap_nano)"
        " SELECT %s, %s, next - interval '1 microsecond', next + interval '1 month', 1"
        " FROM (SELECT date_trunc('month', now(), 'UTC') + interval '1 month' AS next) month",
        [budget, ALICE],
    )
    answer = send(hub, application, model, ALICE)
    assert (answer.status, answer.error["code"]) == (503, "server_overloaded")
    assert send(hub, application, model, BOB).status == 200
