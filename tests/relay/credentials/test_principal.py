"""What a key may do, by table: carriers, labels, budgets, and each column of its row."""

import asyncio
import datetime as dt
import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from ipaddress import ip_network
from typing import Any, Final, cast
from uuid import UUID, uuid4

import pytest
from django.db import connection

from accounts.access.actors import SYSTEM
from accounts.keys import keys as account_keys
from accounts.limits.data_policy import NO_POLICY, DataPolicy
from accounts.models import Key, Membership, Organisation, Team
from billing.models import Account
from content.policies import limits
from dialects.errors.errors import RequestFault
from lib.id_types import KeyId, OrganisationId, TeamId
from relay.credentials import keys
from relay.credentials.keys import (
    KEY_PROTOCOL,
    ApplicableBudget,
    Authenticator,
    Credentials,
    Principal,
    read_credentials,
)
from relay.credentials.revocation import EndReason, Running, _check_callers
from relay.database.database import Row
from relay.requests.labels import NO_LABELS, Labels
from tests.support.cast import Cast, make_key

ID: Final = UUID(int=7)
PLAIN: Final = Principal(KeyId(ID), OrganisationId(ID), TeamId(ID), None, "relay", (), None, False)


def principal_with(**over: Any) -> Principal:
    return replace(PLAIN, **over)


# Carriers ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("headers", "query", "protocols", "expected"),
    [
        ([], b"", [f"{KEY_PROTOCOL}k"], Credentials("k", False)),
        ([], b"", ["realtime", "openai-beta.realtime-v1"], Credentials(None, False)),
        ([], b"", [f"{KEY_PROTOCOL}k", f"{KEY_PROTOCOL}l"], Credentials(None, True)),
        ([(b"x-api-key", b"k")], b"", [f"{KEY_PROTOCOL}l"], Credentials(None, True)),
        ([(b"x-api-key", b" k ")], b"", [f"{KEY_PROTOCOL}k"], Credentials("k", False)),
        ([(b"x-api-key", b"")], b"key=k", [], Credentials("k", False)),
        ([(b"authorization", b"Bearer"), (b"x-api-key", b"k")], b"", [], Credentials("k", False)),
        ([(b"authorization", b"Bearer k"), (b"cookie", b"l")], b"", [], Credentials("k", False)),
        ([(b"authorization", b"Basic l")], b"key=k", [], Credentials(None, False)),
        ([], b"token=k", [], Credentials(None, False)),
        ([(b"x-api-key", b"a"), (b"x-goog-api-key", b"b")], b"key=c", [], Credentials(None, True)),
    ],
)
def test_a_key_is_read_from_each_carrier_and_from_nothing_else(
    headers: list[tuple[bytes, bytes]], query: bytes, protocols: list[str], expected: Credentials
) -> None:
    assert read_credentials(headers, query, b"", protocols) == expected


# What a key may do -------------------------------------------------------------------------------


def test_key_without_restrictions_may_call_all_and_is_no_operator() -> None:
    assert PLAIN.may_come_from("203.0.113.7")
    assert PLAIN.may_call("embeddings")
    assert PLAIN.may_use("any")
    assert PLAIN.missing_labels(NO_LABELS) == []
    flags = (PLAIN.operator, PLAIN.include_cost, PLAIN.postpaid, PLAIN.limited,
             PLAIN.keeps_addresses, PLAIN.disabled)  # fmt: skip
    assert not any(flags)
    assert PLAIN.guards == 0


LABELS: Final = {
    "none": NO_LABELS,
    "project": Labels("search", (), ""),
    "tags": Labels("", ("eu",), ""),
    "customer": Labels("", (), "c-1"),
}


@pytest.mark.parametrize("required", ["project", "tags", "customer"])
@pytest.mark.parametrize("given", LABELS)
def test_required_label_may_come_from_request_or_key(required: str, given: str) -> None:
    asking = principal_with(required_labels=(required,))
    has = given == required
    assert asking.missing_labels(LABELS[given]) == ([] if has else [required])
    own = principal_with(required_labels=(required,), project="own", tags=("own",))
    assert own.missing_labels(LABELS[given]) == (
        ["customer"] if required == "customer" and not has else []
    )


BUDGETS: Final = (
    ApplicableBudget(1, "organisation", ""), ApplicableBudget(2, "model", "*"),
    ApplicableBudget(3, "user", "7"), ApplicableBudget(4, "tag", "own"),
    ApplicableBudget(5, "tag", "eu"), ApplicableBudget(6, "project", "search"),
    ApplicableBudget(7, "customer", "c-1"), ApplicableBudget(8, "project", "own"),
    ApplicableBudget(9, "team", "t"), ApplicableBudget(10, "key", "k"),
    ApplicableBudget(11, "customer", ""),
)  # fmt: skip


@pytest.mark.parametrize(
    ("over", "labels", "falls_under"),
    [
        ({}, "none", {1, 2, 9, 10, 11}),
        ({"user_id": 7}, "none", {1, 2, 3, 9, 10, 11}),
        ({"tags": ("own",)}, "none", {1, 2, 4, 9, 10, 11}),
        ({"tags": ("own",)}, "tags", {1, 2, 4, 5, 9, 10, 11}),
        ({"project": "own"}, "none", {1, 2, 8, 9, 10, 11}),
        ({"project": "own"}, "project", {1, 2, 6, 9, 10, 11}),
        ({}, "customer", {1, 2, 7, 9, 10}),
    ],
)
def test_a_request_falls_under_the_budgets_of_its_labels(
    over: dict[str, Any], labels: str, falls_under: set[int]
) -> None:
    asking = principal_with(budgets=BUDGETS, **over)
    assert set(asking.budget_ids_for("m", LABELS[labels])) == falls_under
    if labels == "none":
        # Budgets of a model are those of no request before its model is known.
        assert set(asking.unconditional_budget_ids()) == falls_under - {2}


def test_policies_judge_a_model_and_an_address_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """The policies of one organisation must not cost the requests of all others their time."""
    compared: list[str] = []

    def counted(judge: Callable[[Any, Any], bool]) -> Callable[[Any, Any], bool]:
        def judged(first: Any, second: Any) -> bool:
            compared.append(judge.__name__)
            return judge(first, second)

        return judged

    for name in ("matches", "is_address_in"):
        monkeypatch.setattr(limits, name, counted(getattr(limits, name)))
    models = [f"m{n}-*" for n in range(300)]
    policies = (
        limits.read_limits("Names", ["exact", *models], [], None),
        limits.read_limits("Office", [], ["10.0.0.0/8"], None),
    )
    principal = principal_with(policies=policies)
    assert principal.may_use("exact")
    assert compared == []
    for _ in range(3):
        assert not principal.may_use("other")
        assert "the policy Names" in principal.explain_model("other")
        assert principal.may_come_from("10.1.1.1")
        assert not principal.may_come_from("192.0.2.1")
    assert len(compared) == len(models) + 2
    # No more is remembered than this many models of usual length.
    for n in range(2 * keys._JUDGED_MAX):
        principal.may_use(f"m1-{n}")
        principal.may_use(str(n) * keys._JUDGED_LENGTH_MAX)
    assert 0 < len(principal._judged) <= keys._JUDGED_MAX


# Look-ups ----------------------------------------------------------------------------------------


def row_of(**over: Any) -> Row:
    """A row as the database's text protocol gives it."""
    told = {"endpoints": [], "networks": [], "tags": [], "limited": False, "tpm": None,
            "guards": 0, "budgets": []}  # fmt: skip
    columns = {
        "key": str(ID), "organisation": str(UUID(int=8)), "team": str(UUID(int=9)), "user": None,
        "kind": "relay", "patterns": None, "expires": None, "disabled": "f", "plan": None,
        "hours": None, "policy": json.dumps({**told, **over.pop("told", {})}),
    }  # fmt: skip
    return tuple({**columns, **over}.values())


def asked_for(row: Row | None) -> tuple[Authenticator, list[Mapping[str, object]]]:
    asked: list[Mapping[str, object]] = []

    async def query(statement: tuple[str, Mapping[str, object]]) -> Sequence[Row]:
        asked.append(statement[1])
        return [] if row is None else [row]

    return Authenticator("pepper", query), asked


async def test_each_column_of_a_row_is_taken_as_it_is() -> None:
    told = {
        "endpoints": ["messages"], "networks": ["10.0.0.0/8"], "tags": ["beta"], "limited": True,
        "tpm": 900, "guards": 3, "budgets": [[1, "organisation", ""]], "operator": True,
        "role": "admin", "include_cost": True, "postpaid": True, "project": "search",
        "required_labels": ["tags"], "keeps_addresses": True,
        "data": [{"zero_retention": True, "regions": []}, {"zero_retention": False,
                                                           "regions": ["eu"]}],
    }  # fmt: skip
    full = row_of(user="5", patterns="gpt-*\no1", expires="2000.5", disabled="t", plan="4",
                  hours="24", told=told)  # fmt: skip
    found = keys._principal(full, b"d")
    assert (found.key_id, found.organisation_id, found.team_id) == (
        ID, UUID(int=8), UUID(int=9),
    )  # fmt: skip
    assert (found.user_id, found.kind, found.model_patterns) == (5, "relay", ("gpt-*", "o1"))
    assert (found.expires_at, found.disabled, found.price_plan_id) == (2000.5, True, 4)
    assert (found.retention_hours, found.digest) == (24, b"d")
    assert (found.operator, found.role, found.include_cost) == (True, "admin", True)
    assert (found.postpaid, found.project, found.keeps_addresses) == (True, "search", True)
    assert (found.required_labels, found.limited, found.tpm) == (("tags",), True, 900)
    assert (found.endpoints, found.tags, found.guards) == (("messages",), ("beta",), 3)
    assert found.networks == (ip_network("10.0.0.0/8"),)
    assert found.data_policy == DataPolicy(True, (("eu",),))


async def test_empty_row_grants_nothing() -> None:
    found = keys._principal(row_of(kind=None))
    assert (found.user_id, found.kind, found.model_patterns) == (None, "", ())
    assert (found.expires_at, found.disabled, found.price_plan_id) == (None, False, None)
    assert (found.retention_hours, found.role, found.project) == (0, "", "")
    flags = (found.operator, found.include_cost, found.postpaid, found.keeps_addresses)
    assert not any(flags)
    assert found.data_policy is NO_POLICY


@pytest.mark.parametrize(
    ("credentials", "kind"),
    [
        (Credentials(None, True), "key_conflict"),
        (Credentials(None, False), "authentication"),
        (Credentials("no key", False), "authentication"),
    ],
)
async def test_request_without_a_key_needs_no_look_up(credentials: Credentials, kind: str) -> None:
    authenticator, asked = asked_for(row_of())
    with pytest.raises(RequestFault) as fault:
        await authenticator.principal(credentials, 0.0)
    assert (fault.value.kind, asked) == (kind, [])


async def test_a_management_key_calls_no_model() -> None:
    authenticator, _ = asked_for(row_of(kind="management"))
    with pytest.raises(RequestFault) as fault:
        await authenticator.principal(Credentials("k" * 30, False), 0.0)
    assert fault.value.kind == "permission"


@pytest.mark.parametrize(
    ("row", "stands"),
    [
        (row_of(), True),
        (row_of(expires="10.5"), True),
        (row_of(expires="10"), False),
        (row_of(disabled="t"), False),
        (row_of(disabled="t", expires="10.5"), False),
        (None, False),
    ],
)
async def test_keyless_principal_is_valid_as_long_as_its_key(row: Row | None, stands: bool) -> None:
    authenticator, asked = asked_for(row)
    if stands:
        assert (await authenticator.principal_of_key(ID, 10.0, 5)).key_id == ID
    else:
        with pytest.raises(RequestFault) as fault:
            await authenticator.principal_of_key(ID, 10.0, 5)
        assert fault.value.kind == "authentication"
    assert asked == [{"id": ID, "digest": None, "user": 5}]


async def test_key_without_a_person_belongs_to_itself() -> None:
    authenticator, asked = asked_for(row_of())
    await authenticator.principal_of_key(ID, 10.0)
    assert asked == [{"id": ID, "digest": None, "user": ""}]


async def test_remembered_keys_are_bounded_and_looked_up_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(keys, "_CACHED_MAX", 2)
    authenticator, asked = asked_for(row_of())
    for n in (1, 2, 1, 2):
        await authenticator.principal(Credentials(f"{n}" * 30, False), 0.0)
    assert len(asked) == 2
    # The third takes the room of all.
    await authenticator.principal(Credentials("3" * 30, False), 0.0)
    for n in (1, 3):
        await authenticator.principal(Credentials(f"{n}" * 30, False), 0.0)
    assert len(asked) == 4


# The statements ----------------------------------------------------------------------------------


def text_of(value: object) -> str | None:
    """A column as the text protocol has it."""
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "t" if value else "f"
    return json.dumps(value) if isinstance(value, dict | list) else str(value)


def principal_of(key: Key) -> Principal:
    with connection.cursor() as cursor:
        cursor.execute(keys._BY_ID, {"id": key.id, "digest": None, "user": ""})
        return keys._principal(tuple(map(text_of, cursor.fetchone())))


@pytest.fixture
def key(people: Cast) -> Key:
    made, _ = make_key(people.core, user=people.alice)
    return made


@pytest.mark.parametrize("limit", ["rpm", "tpm", "parallel"])
@pytest.mark.parametrize("place", ["key", "team", "organisation", "member"])
def test_limit_at_any_level_makes_a_key_limited(key: Key, place: str, limit: str) -> None:
    assert (principal_of(key).limited, principal_of(key).tpm) == (False, None)
    rows: dict[str, Any] = {
        "key": Key.objects, "team": Team.objects, "organisation": Organisation.objects,
        "member": Membership.objects,
    }  # fmt: skip
    rows[place].update(**{limit: 1})
    found = principal_of(key)
    assert (found.limited, found.tpm) == (True, 1 if limit == "tpm" else None)


def test_addresses_are_stored_from_one_day_of_retention(key: Key) -> None:
    for days, keeps in ((0, False), (1, True)):
        Organisation.objects.update(client_address_days=days)
        assert principal_of(key).keeps_addresses is keeps


def test_an_organisation_with_an_overdraft_is_postpaid(key: Key) -> None:
    account = Account.objects.create(organisation=key.organisation, kind="customer:available")
    for overdraft_nano, postpaid in ((0, False), (1, True)):
        Account.objects.filter(id=account.id).update(overdraft_nano=overdraft_nano)
        assert principal_of(key).postpaid is postpaid


ENDS: Final[dict[str, Callable[[dt.datetime], dt.datetime]]] = {
    "before": lambda now: now - dt.timedelta(microseconds=1),
    "now": lambda now: now,
    "after": lambda now: now + dt.timedelta(microseconds=1),
}


@pytest.mark.parametrize("end", ENDS)
def test_requests_of_a_key_or_former_secret_end_at_its_instant(people: Cast, end: str) -> None:
    """P11: at the instant itself nothing is let in any more."""
    key, text = make_key(people.core, user=people.alice)
    with connection.cursor() as cursor:
        cursor.execute("SELECT now()")
        at = ENDS[end](cursor.fetchone()[0])
    digest = account_keys.digest_of(text)
    asked = [(key.id, people.alice.id, digest, None), (key.id, None, b"", None)]
    Key.objects.filter(id=key.id).update(expires_at=at)
    assert len(fallen(asked)) == (0 if end == "after" else 2)
    assert ends(asked) == {1: at, 2: at}
    Key.objects.filter(id=key.id).update(expires_at=None)
    account_keys.rotate_key(SYSTEM, key, 1)
    key.former_secrets.update(until=at)
    assert fallen(asked) == ([] if end == "after" else [1])
    # What was asked with the text ends with it, while its key goes on.
    assert ends(asked) == {1: at}


Callers = Sequence[tuple[UUID, int | None, bytes, UUID | None]]


def fallen(callers: Callers) -> list[int]:
    return sorted(place for place, key_ended, *_ in states(callers) if key_ended)


def ends(callers: Callers) -> dict[int, dt.datetime]:
    return {
        place: dt.datetime.fromtimestamp(float(at), dt.UTC)
        for place, _, _, at in states(callers)
        if at is not None
    }


def states(callers: Callers) -> list[Any]:
    with connection.cursor() as cursor:
        text, parameters = _check_callers(callers)
        cursor.execute(text, cast(Any, parameters))
        return list(cursor.fetchall())


# What runs ---------------------------------------------------------------------------------------


class Run:
    session_id = None

    def __init__(self) -> None:
        self.ended = 0

    def revoke(self, reason: EndReason = "revoked") -> None:
        self.ended += 1


def running(*places: str | None) -> tuple[Running, list[Any]]:
    asked: list[Any] = []

    async def ask(statement: tuple[str, Mapping[str, object]]) -> Sequence[Row]:
        asked.append(statement[1])
        return [(place, "t", "f", None) for place in places]

    return Running(ask), asked


def test_timed_requests_end_when_their_time_is_over() -> None:
    all_of_them, _ = running()
    runs = {at: Run() for at in (None, 9.0, 10.0, 10.5)}
    for at, run in runs.items():
        all_of_them.enter(run, principal_with(expires_at=at))
    all_of_them.end_expired(10.0)
    assert {at: run.ended for at, run in runs.items()} == {None: 0, 9.0: 1, 10.0: 1, 10.5: 0}


async def test_later_expiry_applies_to_running_requests() -> None:
    """P11: a rotation with grace, or a date of expiry, is known from its change on; so is that it
    was taken back."""
    told: list[Row] = []
    run, other = Run(), Run()

    async def ask(statement: tuple[str, Mapping[str, object]]) -> Sequence[Row]:
        if other not in all_of_them._principals:
            # It begins meanwhile, and nothing is asked about it.
            all_of_them.enter(other, principal_with(key_id=uuid4(), expires_at=10.0))
        return told

    all_of_them = Running(ask)
    all_of_them.enter(run, principal_with(key_id=uuid4()))
    told.append(("1", "f", "f", "10.0"))
    await all_of_them.end_revoked()
    all_of_them.end_expired(9.9)
    assert (run.ended, other.ended) == (0, 0)
    all_of_them.end_expired(10.0)
    assert (run.ended, other.ended) == (1, 1)
    all_of_them.leave(other)
    told.clear()
    await all_of_them.end_revoked()
    all_of_them.leave(other)
    all_of_them.end_expired(10.0)
    assert (run.ended, other.ended) == (1, 1)


def test_only_requests_under_revoked_keys_end() -> None:
    """P11"""
    all_of_them, asked = running("2")
    callers = [principal_with(key_id=uuid4(), user_id=n or None) for n in range(3)]
    runs = [Run() for _ in range(4)]
    # Two requests of one caller are asked for once.
    for run, principal in zip(runs, [*callers, callers[0]], strict=True):
        all_of_them.enter(run, principal)
    asyncio.run(all_of_them.end_revoked())
    (sent,) = asked
    assert sent["users"].count("NULL") == 1
    second = UUID(re.findall("[0-9a-f-]{32,36}", sent["keys"])[1])
    expected = [int(caller.key_id == second) for caller in [*callers, callers[0]]]
    assert [run.ended for run in runs] == expected
    for run in runs:
        all_of_them.leave(run)
    asyncio.run(all_of_them.end_revoked())
    assert len(asked) == 1, "nothing runs, so nobody is asked"
