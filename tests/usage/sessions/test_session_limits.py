"""What limits a session, as pages and the API show it, and who ends one."""

import re
from typing import Any
from uuid import UUID

import pytest
from django.http import Http404

from accounts.access.access import AccessDenied
from accounts.models import AuditEvent, Epoch, Key, KeyKind, Role
from billing.ledger.accounts import WALLET_KINDS
from billing.ledger.ledger import execute, open_and_lock
from billing.limits.budgets import BudgetRefused, current_usage
from billing.models import Budget, BudgetWindow, EndedSession, Hold
from lib.ids import id_text, new_id
from tests.support import cast
from tests.usage.rows import admit
from tests.usage.sessions.test_sessions import SESSIONS, api, page_of, turn
from usage.limits import budget_simulation
from usage.sessions import endings
from usage.sessions.limits import read_limits
from usage.sessions.windows import SessionWindow, open_session_windows

# A tenth of a USD.
NANO = 10**8


def session_budget(people: cast.Cast, usd: int = 5, **over: Any) -> Budget:
    values = {"scope": "organisation", "subject": "", "period": "session"} | over
    return budget_simulation.create_budget(
        cast.actor(people.alice, people.acme), people.acme, amount_nano=usd * NANO, **values
    )


def open_window(key: Key, session: UUID, *budget_ids: int | None) -> None:
    open_and_lock([key.organisation_id], WALLET_KINDS)
    execute(
        open_session_windows(
            [SessionWindow(key.organisation_id, session, budget) for budget in budget_ids]
        )
    )


# Windows ------------------------------------------------------------------------------------------


def test_window_starts_with_its_sessions_usage(people: cast.Cast, key: Key) -> None:
    """I23: what is spent and what runs, once, for a budget and for the client's own limit."""
    session, other = new_id(), new_id()
    turn(key, session, 0, 2 * NANO)
    turn(key, session, 60, NANO)
    turn(key, other, 0, 7 * NANO)
    attempt = admit(key, session_id=session, hold_nano=NANO)
    budget = session_budget(people)
    assert not BudgetWindow.objects.exists(), "a session opens its own"
    for _ in range(2):
        open_window(key, session, budget.id, None)
    of_budget, of_client = BudgetWindow.objects.order_by("budget_id")
    for window in (of_budget, of_client):
        assert (window.spent_nano, window.brought_nano) == (3 * NANO, 3 * NANO)
        assert window.held_nano == NANO
    assert (of_budget.cap_nano, of_client.cap_nano) == (5 * NANO, 4 * NANO)
    assert sorted(Hold.objects.get(id=attempt.id).window_ids or ()) == sorted(
        [of_budget.id, of_client.id]
    )


def test_changed_budget_applies_to_all_its_sessions(people: cast.Cast, key: Key) -> None:
    budget, sessions = session_budget(people), [new_id(), new_id()]
    for session in sessions:
        turn(key, session, 0, 2 * NANO)
        open_window(key, session, budget.id)
    alice = cast.actor(people.alice, people.acme)
    budget_simulation.change_budget(alice, budget, amount_nano=9 * NANO)
    assert set(BudgetWindow.objects.values_list("cap_nano", flat=True)) == {9 * NANO}
    budget_simulation.change_budget(alice, budget, enabled=False)
    assert not BudgetWindow.objects.exists()
    budget_simulation.change_budget(alice, budget, enabled=True)
    open_window(key, sessions[0], budget.id)
    assert BudgetWindow.objects.get().spent_nano == 2 * NANO


def test_a_session_budget_shows_the_session_that_used_most(people: cast.Cast, key: Key) -> None:
    budget = session_budget(people)
    for nano in (NANO, 3 * NANO, 2 * NANO):
        session = new_id()
        turn(key, session, 0, nano)
        open_window(key, session, budget.id)
    (usage,) = current_usage([budget])
    assert (usage.spent_nano, usage.left_nano) == (3 * NANO, 2 * NANO)
    assert (usage.resets_at, usage.forecast_at) == (None, None)
    told = budget_simulation.would_have(Budget(
        organisation=people.acme, scope="organisation", amount_nano=2 * NANO, period="session",
    ))  # fmt: skip
    assert told is not None
    assert told.of == 3
    page = cast.signed_in(people.alice).get(f"/o/acme/budgets/{budget.id}").content.decode()
    assert "Of the session that has used the most." in page
    assert "Send a test" not in page


@pytest.mark.parametrize(
    ("field", "over"),
    [
        ("scope", {"scope": "model", "subject": "gpt-5"}),
        ("scope", {"scope": "tag", "subject": "eu"}),
        ("action", {"action": "slow"}),
        ("action", {"action": "warn"}),
        ("anchor", {"anchor": 1}),
    ],
)
def test_invalid_session_budget_is_rejected(
    people: cast.Cast, field: str, over: dict[str, Any]
) -> None:
    with pytest.raises(BudgetRefused) as refused:
        session_budget(people, **over)
    assert refused.value.field == field


# Pages and the API --------------------------------------------------------------------------------


def test_the_limits_of_a_session_are_shown_tightest_first(people: cast.Cast, key: Key) -> None:
    session, budget = new_id(), session_budget(people)
    turn(key, session, 0, 2 * NANO)
    open_window(key, session, budget.id, None)
    BudgetWindow.objects.filter(budget=None).update(cap_nano=3 * NANO)
    assert [limit.left_nano for limit in read_limits([session])[session]] == [NANO, 3 * NANO]
    client = api(people)
    (row,) = client.get("/api/v1/sessions").json()["items"]
    assert (row["limit"], row["left"], row["ended_at"]) == ("0.30", "0.10", None)
    detail = client.get(f"/api/v1/sessions/{id_text(session)}").json()
    assert [(one["budget"], one["limit"], one["left"]) for one in detail["limits"]] == [
        (None, "0.30", "0.10"), (str(budget.id), "0.50", "0.30"),
    ]  # fmt: skip
    alice = cast.signed_in(people.alice)
    page = page_of(alice, f"/{id_text(session)}")
    assert "<code>x-weir-session-budget</code>" in page
    assert f'href="/b/{budget.id}"' in page
    assert "$0.10" in page_of(alice)
    link = alice.get(f"/session/{id_text(session)}")
    assert (link.status_code, link["Location"]) == (302, f"{SESSIONS}/{id_text(session)}")
    dora = cast.signed_in(people.dora)
    assert dora.get(f"/session/{id_text(session)}", follow=True).status_code == 200
    assert alice.get(f"/session/{id_text(new_id())}").status_code == 404
    assert cast.signed_in(people.charlie).get(f"/session/{id_text(session)}").status_code == 404


def test_each_limit_of_a_session_shows_what_is_spent_reserved_and_left(
    people: cast.Cast, key: Key
) -> None:
    session, budget = new_id(), session_budget(people, usd=70)
    turn(key, session, 0)
    open_window(key, session, budget.id, None)
    of_budget, of_client = BudgetWindow.objects.filter(budget=budget), BudgetWindow.objects.all()
    of_client.update(spent_nano=11 * NANO, held_nano=4 * NANO, cap_nano=39 * NANO)
    of_budget.update(spent_nano=21 * NANO, held_nano=8 * NANO)
    page = page_of(cast.signed_in(people.alice), f"/{id_text(session)}")
    table = page.partition('"limits-title"')[2].partition("<table>")[2].partition("</table>")[0]
    rows = [re.sub(r"(<[^>]+>)+", "|", row).strip("|").split("|") for row in table.split("</tr>")]
    assert rows[:3] == [
        ["Set by", "Spent", "Reserved", "Limit", "Left"],
        ["x-weir-session-budget", "$1.10", "$0.40", "$3.90", "$2.40"],
        ["Budget, Organisation", "$2.10", "$0.80", "$7.00", "$4.10"],
    ]


def test_a_session_is_ended_and_reopened_on_its_page(people: cast.Cast, key: Key) -> None:
    session, epoch = new_id(), Epoch.objects.filter(id=1).values_list("n", flat=True).first() or 0
    turn(key, session, 0)
    alice, path = cast.signed_in(people.alice), f"{SESSIONS}/{id_text(session)}"
    assert "End session" in page_of(alice, f"/{id_text(session)}")
    ended = alice.post(f"{path}/end", follow=True)
    assert "Session ended." in ended.content.decode()
    assert EndedSession.objects.get().session_id == session
    assert Epoch.objects.get(id=1).n > epoch, "relays are told"
    page = page_of(alice, f"/{id_text(session)}")
    assert "Reopen session" in page
    assert "End session" not in page
    assert "Ended" in page_of(alice)
    alice.post(f"{path}/end")
    alice.post(f"{path}/reopen")
    alice.post(f"{path}/reopen")
    assert not EndedSession.objects.exists()
    acts = AuditEvent.objects.filter(action__startswith="agent_session.").order_by("id")
    assert [event.action for event in acts] == ["agent_session.ended", "agent_session.reopened"]


def test_the_api_ends_a_session_whose_first_turn_runs(people: cast.Cast, key: Key) -> None:
    session = new_id()
    admit(key, session_id=session, session={"name": "Fix the parser"})
    client, path = api(people), f"/api/v1/sessions/{id_text(session)}"
    answer = client.post(f"{path}/end", {}, "application/json")
    assert answer.status_code == 200, answer.content
    body = answer.json()
    assert (body["id"], body["name"]) == (id_text(session), "Fix the parser")
    again = client.post(f"{path}/end", {}, "application/json").json()
    assert again == body, "repeating it changes nothing"
    assert client.post(f"{path}/reopen", {}, "application/json").json()["ended_at"] is None
    for unknown in (id_text(new_id()), "x"):
        gone = client.post(f"/api/v1/sessions/{unknown}/end", {}, "application/json")
        assert gone.status_code == 404


def test_members_end_their_own_sessions_alone(people: cast.Cast, key: Key) -> None:
    """P12: bob's session; leads, admins and operators are in the isolation matrix."""
    session = new_id()
    turn(key, session, 0)
    other = cast.member(people.acme, "erin", Role.DEVELOPER)
    viewer = cast.member(people.acme, "vera", Role.VIEWER)
    assert endings.access_endable(cast.actor(people.bob, people.acme), session).id == session
    with pytest.raises(Http404):
        endings.access_endable(cast.actor(other, people.acme), session)
    with pytest.raises(AccessDenied):
        endings.access_endable(cast.actor(viewer, people.acme), session)
    assert "End session" not in page_of(cast.signed_in(viewer), f"/{id_text(session)}")
    _, text = cast.make_key(people.core, "model", user=people.alice, kind=KeyKind.RELAY)
    path = f"/api/v1/sessions/{id_text(session)}/end"
    assert cast.with_key(text).post(path, {}, "application/json").status_code == 403
    assert not EndedSession.objects.exists()
