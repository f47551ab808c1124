"""Admission by budgets and limits, by the statement itself (I5, I23, P2)."""

import datetime as dt
import time
import uuid
from typing import Any

import msgspec
import pytest
from django.db import transaction

from accounts.models import Key, Membership, Organisation, Role, Team, User
from billing.balances.balances import add_opening_credit, balance
from billing.holds.resolve_holds import HoldResolved, resolve_holds
from billing.ledger.accounts import WALLET_KINDS, lock_accounts, open_accounts
from billing.ledger.ledger import execute
from billing.limits.budget_rules import FOREVER, UNBOUNDED_NANO
from billing.limits.budget_windows import WindowOpened, open_windows
from billing.limits.enforcement import HoldRequest, count_request, place_holds
from billing.models import Account, Budget, BudgetWindow, Hold, RateSecond
from lib import clock
from lib.id_types import AttemptId, KeyId, OrganisationId
from lib.ids import new_id

pytestmark = pytest.mark.django_db


@pytest.fixture
def key() -> Key:
    organisation = Organisation.objects.create(name="Acme", slug="acme")
    add_opening_credit(organisation, 1_000)
    execute(open_accounts([organisation.id], WALLET_KINDS))
    team = Team.objects.create(organisation=organisation, name="core", slug="core")
    return another(team, "k")


def another(team: Team, name: str, **fields: Any) -> Key:
    return Key.objects.create(
        organisation=team.organisation, team=team, name=name, digest=uuid.uuid4().bytes,
        prefix="", last4="", **fields,
    )  # fmt: skip


def budget(key: Key, scope: str, amount_nano: int, subject: str = "") -> BudgetWindow:
    """A budget of the key, its team or its organisation; of this model; of a person without a name
    here."""
    subjects = {"key": str(key.id), "team": str(key.team_id), "user": "1", "organisation": ""}
    budget_row = Budget.objects.create(
        organisation=key.organisation, scope=scope, subject=subjects.get(scope, subject),
        amount_nano=amount_nano, period="total", anchor=0,
    )  # fmt: skip
    return BudgetWindow.objects.create(
        budget=budget_row, starts_at=FOREVER.start_at, ends_at=FOREVER.end_at, cap_nano=amount_nano
    )


def asked(key: Key, amount_nano: int = 0, *under: BudgetWindow, **over: Any) -> HoldRequest:
    hold = HoldRequest(
        attempt_id=AttemptId(new_id()),
        organisation_id=OrganisationId(key.organisation_id),
        key_id=KeyId(key.id),
        amount_nano=amount_nano,
        ttl_seconds=60,
        guarded=True,
        budget_ids=tuple(one.budget_id or 0 for one in under),
    )
    return msgspec.structs.replace(hold, **over)


def place(*batch: HoldRequest) -> list[tuple[Any, ...]]:
    with transaction.atomic():
        execute(lock_accounts(hold.organisation_id for hold in batch))
        return execute(place_holds(batch))


def words(*batch: HoldRequest) -> list[str]:
    return [word for word, *_ in place(*batch)]


def window_state(one: BudgetWindow) -> tuple[int, int]:
    one.refresh_from_db()
    return one.held_nano, one.spent_nano


def pass_by(seconds: int) -> None:
    """Let time pass: what was counted lies that much further back."""
    for rate in RateSecond.objects.all():
        RateSecond.objects.filter(subject_id=rate.subject_id, second=rate.second).update(
            second=rate.second - seconds
        )


# Budgets ----------------------------------------------------------------------------------------


def test_every_budget_of_a_request_holds_it(key: Key) -> None:
    """I23."""
    small, large, other = budget(key, "key", 300), budget(key, "team", 900), budget(key, "user", 9)
    hold = asked(key, 200, small, large)
    # Its holder is told of the key's own budget, which never resets.
    assert place(hold) == [("admitted", 100, {"budget": [300, 300, None]})]
    assert (window_state(small), window_state(large), window_state(other)) == (
        (200, 0),
        (200, 0),
        (0, 0),
    )
    assert set(Hold.objects.get(id=hold.attempt_id).window_ids or ()) == {small.id, large.id}
    assert balance(key.organisation) == (800, 200, 0)


def test_the_most_limiting_budget_is_named_with_its_numbers(key: Key) -> None:
    small, large = budget(key, "model", 300, "gpt-*"), budget(key, "team", 500)
    place(asked(key, 250, small, large))
    ((word, available, message),) = place(asked(key, 400, small, large))
    assert (word, available) == ("insufficient", 50)
    assert message == {
        "gate": "budget", "budget": small.budget_id, "window": small.id, "wait_ms": None,
        "scope": "model", "subject": "gpt-*", "policy": "", "period": "total", "limit": 300,
        "spent": 0, "held": 250, "reset": int(FOREVER.end_at.timestamp()),
    }  # fmt: skip
    ((word, _, message),) = place(asked(key, 5_000))
    assert (word, message) == ("insufficient", {"gate": "wallet", "owed": 0})
    assert window_state(small) == (250, 0)


def test_batch_fills_a_budget_and_no_more(key: Key) -> None:
    """P2: together they are more than there is; the smallest come first."""
    one = budget(key, "key", 500)
    result = place(*(asked(key, 100 + n, one) for n in range(10)))
    assert [word for word, *_ in result].count("admitted") == 4
    assert {available for _, available, _ in result} == {500 - 100 - 101 - 102 - 103}
    assert window_state(one) == (406, 0)


def test_rejected_request_blocks_no_one_else(key: Key) -> None:
    """Two keys of a team: what one key's own budget refuses takes nothing of the team's."""
    mine, yours, ours = budget(key, "key", 50), budget(key, "user", 90), budget(key, "team", 100)
    hopeless = [asked(key, 60, mine, ours) for _ in range(5)]
    assert words(*hopeless, asked(key, 90, yours, ours)) == ["insufficient"] * 5 + ["admitted"]


def test_request_fitting_after_rejections_is_asked_again(key: Key) -> None:
    mine, ours = budget(key, "key", 50), budget(key, "team", 100)
    first, second = asked(key, 30, mine, ours), asked(key, 31, mine, ours)
    third = asked(key, 65, ours)
    assert words(first, second, third) == ["admitted", "insufficient", "again"]
    assert words(third) == ["admitted"]
    assert window_state(ours) == (95, 0)


def test_concurrently_changed_budget_is_read_again(key: Key) -> None:
    Account.objects.filter(kind="customer:available").update(guards=7)
    assert words(asked(key, 10)) == ["stale"]
    assert words(msgspec.structs.replace(asked(key, 10), guarded=False)) == ["stale"]
    assert words(asked(key, 10, guards=7)) == ["admitted"]
    assert words(msgspec.structs.replace(asked(key, 10, guards=7), guarded=False)) == ["admitted"]


def test_disabled_budget_limits_nothing(key: Key) -> None:
    one = budget(key, "key", 5)
    Budget.objects.update(enabled=False)
    assert words(asked(key, 10, one)) == ["admitted"]
    assert window_state(one) == (0, 0)


def test_ended_or_missing_window_is_requested(key: Key) -> None:
    one = budget(key, "key", 500)
    Budget.objects.update(period="day", anchor=6, timezone="Asia/Tokyo")
    BudgetWindow.objects.update(ends_at=dt.datetime(2020, 1, 1, tzinfo=dt.UTC))
    ((word, _, message),) = place(asked(key, 10, one))
    assert word == "no_window"
    assert message["windows"] == [[one.budget_id, "day", 6, "Asia/Tokyo", ""]]
    opened = WindowOpened(one.budget_id or 0, message["now"] - 60, message["now"] + 60)
    execute(open_windows([opened]))
    execute(open_windows([opened._replace(starts_at=opened.starts_at - 1)]))
    assert words(asked(key, 10, one)) == ["admitted"]
    assert list(BudgetWindow.objects.values_list("held_nano", "cap_nano").order_by("id")) == [
        (0, 500), (10, 500),
    ]  # fmt: skip


def test_windows_tile_time_after_a_zone_rule_change(key: Key) -> None:
    """P17: what was made by the former rules stays, and the next one begins where it ended."""
    one = budget(key, "key", 500)
    former = clock.now() - dt.timedelta(minutes=10)
    BudgetWindow.objects.update(ends_at=former)
    ((_, _, message),) = place(asked(key, 10, one))
    hour = message["now"] - 3600
    execute(open_windows([WindowOpened(one.budget_id or 0, hour, message["now"] + 60)]))
    assert words(asked(key, 10, one)) == ["admitted"]
    assert BudgetWindow.objects.latest("id").starts_at == former


def test_budget_lowered_below_its_spending_admits_nothing(key: Key) -> None:
    one = budget(key, "key", 500)
    place(asked(key, 400, one))
    Budget.objects.update(amount_nano=100)
    ((word, available, message),) = place(asked(key, 1, one))
    assert (word, available) == ("insufficient", 0)
    assert (message["limit"], message["held"]) == (100, 400)
    assert words(asked(key, 0, one)) == ["admitted"]


def test_warning_budget_counts_and_rejects_nothing(key: Key) -> None:
    """W53: what is held and spent under it is exact, above its limit as well."""
    one, wall = budget(key, "key", 100), budget(key, "team", 900)
    Budget.objects.filter(id=one.budget_id or 0).update(action="warn")
    BudgetWindow.objects.filter(id=one.id).update(cap_nano=UNBOUNDED_NANO)
    assert words(asked(key, 300, one, wall), asked(key, 301, one, wall)) == ["admitted"] * 2
    assert window_state(one) == (601, 0)
    ((word, _, message),) = place(asked(key, 300, one, wall))
    assert (word, message["scope"]) == ("insufficient", "team")


def test_slow_budget_lets_one_at_a_time_through_above_its_limit(key: Key) -> None:
    """W53: up to the limit as many as fit; above it the next waits until nothing is held."""
    one = budget(key, "key", 100)
    Budget.objects.update(action="slow")
    BudgetWindow.objects.update(cap_nano=UNBOUNDED_NANO)
    first = [asked(key, 50, one), asked(key, 50, one)]
    assert words(*first) == ["admitted", "admitted"]
    ((word, _, message),) = place(asked(key, 10, one))
    assert (word, message["gate"], message["wait_ms"]) == ("limited", "slow", 1000)
    assert (message["budget"], message["held"], message["limit"]) == (one.budget_id, 100, 100)

    def end(holds: list[HoldRequest]) -> None:
        with transaction.atomic():
            execute(lock_accounts([key.organisation_id]))
            execute(
                resolve_holds(
                    [
                        HoldResolved(
                            attempt_id=hold.attempt_id,
                            posting_id=new_id(),
                            organisation_id=OrganisationId(key.organisation_id),
                            state="settled",
                            charge_nano=hold.amount_nano,
                        )
                        for hold in holds
                    ]
                )
            )

    end(first)
    assert window_state(one) == (0, 100)
    batch = [asked(key, 20, one), asked(key, 21, one)]
    assert words(*batch) == ["admitted", "limited"]
    assert words(asked(key, 1, one)) == ["limited"]
    end(batch[:1])
    assert words(asked(key, 21, one)) == ["admitted"]
    assert window_state(one) == (21, 120)


def test_increased_budget_has_more_room_until_its_end(key: Key) -> None:
    one = budget(key, "key", 100)
    BudgetWindow.objects.update(cap_nano=150)
    later = dt.datetime(2999, 1, 1, tzinfo=dt.UTC)
    Budget.objects.update(raised_nano=50, raised_until=later)
    ((word, _, message),) = place(asked(key, 151, one))
    assert (word, message["limit"]) == ("insufficient", 150)
    assert words(asked(key, 120, one)) == ["admitted"]
    Budget.objects.update(raised_until=dt.datetime(2020, 1, 1, tzinfo=dt.UTC))
    ((word, available, message),) = place(asked(key, 1, one))
    assert (word, available, message["limit"]) == ("insufficient", 0, 100)


# Limits -----------------------------------------------------------------------------------------


def ms_since(began: float) -> int:
    """What has really passed, which `pass_by` does not know of."""
    return int((time.monotonic() - began) * 1000) + 1


def test_requests_per_minute_slide(key: Key) -> None:
    """Sixty seconds never hold more than the limit, and the sixty-second-old are forgotten."""
    key.rpm = 3
    key.save()
    began = time.monotonic()
    result = place(*(asked(key) for _ in range(5)))
    assert [word for word, *_ in result] == ["admitted"] * 3 + ["limited"] * 2
    limit, left, reset_ms = result[0][2]["requests"]
    assert (limit, left) == (3, 0)
    assert 60_000 <= reset_ms <= 61_000
    message = result[4][2]
    assert (message["gate"], message["scope"], message["limit"], message["used"]) == (
        "requests",
        "key",
        3,
        3,
    )
    assert 60_000 <= message["wait_ms"] <= 61_000
    pass_by(30)
    wait_ms = place(asked(key))[0][2]["wait_ms"]
    assert 30_000 - ms_since(began) <= wait_ms <= 31_000
    pass_by(29)
    assert words(asked(key)) == ["limited"]
    pass_by(2)
    assert words(*(asked(key) for _ in range(4))) == ["admitted"] * 3 + ["limited"]


def test_wait_is_until_there_is_room(key: Key) -> None:
    key.tpm = 100
    key.save()
    began = time.monotonic()
    assert words(asked(key, tokens=60)) == ["admitted"]
    pass_by(20)
    assert words(asked(key, tokens=30)) == ["admitted"]
    pass_by(10)
    ((word, _, message),) = place(asked(key, tokens=11))
    assert (word, message["used"], message["need"]) == ("limited", 90, 11)
    assert 30_000 - ms_since(began) <= message["wait_ms"] <= 31_000
    ((_, _, message),) = place(asked(key, tokens=95))
    assert 50_000 - ms_since(began) <= message["wait_ms"] <= 51_000
    assert words(asked(key, tokens=10)) == ["admitted"]


def test_wait_beside_an_admitted_request_counts_only_earlier_ones(key: Key) -> None:
    """Whoever is admitted in the same batch counts; as soon as an earlier one is forgotten there
    is room beside it, and not before where those admitted now fill the limit."""
    key.rpm = 2
    key.save()
    began = time.monotonic()
    place(asked(key))
    pass_by(30)
    _, (word, _, message) = place(asked(key), asked(key))
    assert word == "limited"
    assert 30_000 - ms_since(began) <= message["wait_ms"] <= 31_000
    RateSecond.objects.all().delete()
    *_, (word, _, message) = place(asked(key), asked(key), asked(key))
    assert word == "limited"
    assert 60_000 <= message["wait_ms"] <= 61_000


def test_team_and_key_limits_name_the_longer_wait(key: Key) -> None:
    key.rpm = 10
    key.save()
    Team.objects.update(rpm=2)
    neighbour = another(key.team, "other")
    assert words(asked(neighbour), asked(key)) == ["admitted", "admitted"]
    ((word, _, message),) = place(asked(key))
    assert (word, message["scope"], message["limit"]) == ("limited", "team", 2)


@pytest.mark.parametrize("scope", ["organisation", "user"])
@pytest.mark.parametrize("limits", [{"rpm": 2}, {"tpm": 20}, {"parallel": 2}])
def test_organisation_and_person_limits_span_their_keys(
    key: Key, scope: str, limits: dict[str, int]
) -> None:
    person = User.objects.create_user("bob@example.org")
    member = Membership.objects.create(
        user=person, organisation=key.organisation, role=Role.DEVELOPER
    )
    limited = Organisation if scope == "organisation" else Membership
    limited.objects.update(**limits)
    other = another(Team.objects.create(organisation=key.organisation, name="b", slug="b"), "o")
    batch = [asked(one, tokens=10, user_id=person.id) for one in (key, other, key)]
    assert words(*batch) == ["admitted", "admitted", "limited"]
    ((word, _, message),) = place(asked(other, tokens=10, user_id=person.id))
    assert (word, message["scope"]) == ("limited", scope)
    # Somebody else is bound by the organisation's alone.
    nobody = place(asked(other, tokens=10))[0][0]
    assert nobody == ("limited" if scope == "organisation" else "admitted")
    held = Hold.objects.get(id=batch[0].attempt_id)
    leased = (held.leased_organisation_id, held.leased_member_id)
    expected = (key.organisation_id, None) if scope == "organisation" else (None, member.limit_id)
    assert leased == (expected if "parallel" in limits else (None, None))


def test_the_most_limiting_of_four_is_named(key: Key) -> None:
    """Key, team, person and organisation at once."""
    person = User.objects.create_user("bob@example.org")
    Membership.objects.create(
        user=person, organisation=key.organisation, role=Role.DEVELOPER, rpm=1
    )
    Organisation.objects.update(rpm=4)
    Team.objects.update(rpm=3)
    Key.objects.update(rpm=2)
    result = place(*(asked(key, user_id=person.id) for _ in range(2)))
    assert (result[1][0], result[1][2]["scope"]) == ("limited", "user")
    Membership.objects.update(rpm=None)
    result = place(*(asked(key, user_id=person.id) for _ in range(2)))
    assert (result[1][0], result[1][2]["scope"]) == ("limited", "key")


def test_further_attempt_of_a_request_is_not_counted_again(key: Key) -> None:
    key.rpm = 1
    key.save()
    assert words(asked(key)) == ["admitted"]
    assert words(asked(key, counted=False)) == ["admitted"]
    assert words(asked(key)) == ["limited"]


def test_rejected_request_uses_no_limit(key: Key) -> None:
    key.rpm = 2
    key.save()
    assert words(asked(key, 5_000)) == ["insufficient"]
    assert words(asked(key)) == ["admitted"]
    # Where the limit has room for one more, only the money is lacking.
    assert words(asked(key, 5_000)) == ["insufficient"]
    assert words(asked(key), asked(key)).count("admitted") == 1


def test_open_holds_are_the_leases_of_parallel_requests(key: Key) -> None:
    """A dead process gives its places back when its holds' time is over."""
    key.parallel = 2
    key.save()
    batch = [asked(key) for _ in range(3)]
    assert words(*batch) == ["admitted", "admitted", "limited"]
    ((_, _, message),) = place(asked(key))
    assert (message["gate"], message["used"], message["wait_ms"]) == ("parallel", 2, 1000)
    with transaction.atomic():
        execute(lock_accounts([key.organisation_id]))
        execute(
            resolve_holds(
                [
                    HoldResolved(
                        attempt_id=batch[0].attempt_id,
                        posting_id=new_id(),
                        organisation_id=OrganisationId(key.organisation_id),
                        state="settled",
                        charge_nano=0,
                    )
                ]
            )
        )
    assert words(asked(key), asked(key)) == ["admitted", "limited"]
    Hold.objects.update(expires_at=dt.datetime(2020, 1, 1, tzinfo=dt.UTC))
    assert words(asked(key), asked(key)) == ["admitted", "admitted"]


def test_team_has_its_own_leases(key: Key) -> None:
    Team.objects.update(parallel=1)
    assert words(asked(key), asked(another(key.team, "other"))) == ["admitted", "limited"]


def test_old_seconds_are_removed(key: Key) -> None:
    key.rpm = 5
    key.save()
    place(asked(key))
    pass_by(200)
    place(asked(key))
    assert RateSecond.objects.count() == 1


NOW = 1_790_000_000


@pytest.mark.parametrize(
    ("ago", "wait_ms"),
    [
        ({}, None),
        ({0: 1}, None),
        ({61: 2}, None),
        # The minute begins with the second that is sixty seconds back, and goes on to its end.
        ({60: 2}, 750),
        ({60: 1, 0: 1}, 750),
        ({59: 1, 0: 1}, 1_750),
        ({60: 1, 30: 1, 0: 1}, 30_750),
    ],
)
def test_rate_limited_free_request_waits_for_an_old_second(
    key: Key, ago: dict[int, int], wait_ms: int | None
) -> None:
    """A quarter of a second after its second began."""
    key.rpm = 2
    key.save()
    for seconds, count in ago.items():
        RateSecond.objects.create(subject_id=key.id, second=NOW - seconds, requests=count, tokens=0)
    text, parameters = count_request(KeyId(key.id), None)
    stopped = text.replace("clock_timestamp()", "to_timestamp(%(now)s::float8)")
    assert stopped != text
    with transaction.atomic():
        execute(lock_accounts([key.organisation_id]))
        found = execute((stopped, {**parameters, "now": f"{NOW}.25"}))
    assert [row["wait_ms"] for (row,) in found] == ([] if wait_ms is None else [wait_ms])
    counted = RateSecond.objects.filter(subject_id=key.id, second=NOW).first()
    assert (counted.requests if counted else 0) == ago.get(0, 0) + (wait_ms is None)


def test_an_unlimited_request_is_judged_by_the_wallet_alone(key: Key) -> None:
    key.rpm = 1
    key.save()
    free = another(key.team, "free")
    batch = [
        asked(key, 10),
        asked(key, 10),
        msgspec.structs.replace(asked(free, 10), guarded=False),
    ]
    assert words(*batch) == ["admitted", "limited", "admitted"]
    hold = Hold.objects.get(id=batch[2].attempt_id)
    assert (hold.window_ids, hold.rated_ids, hold.tokens) == (None, None, None)


def test_missing_key_and_missing_wallet_are_reported_as_before(key: Key) -> None:
    key.disabled = True
    key.save()
    fresh = Organisation.objects.create(name="Fresh", slug="fresh")
    team = Team.objects.create(organisation=fresh, name="core", slug="core")
    assert words(asked(key, 5), asked(another(team, "k"), 0)) == ["key_gone", "no_wallet"]
