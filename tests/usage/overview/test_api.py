"""The management API of usage and requests: shapes, scopes, and figures that tie to the books."""

import datetime as dt
import random
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest
from django.test import Client

from accounts.access.actors import SYSTEM
from accounts.members import members
from accounts.models import Key, KeyKind, Role
from billing.models import Account
from lib.ids import id_text, new_id
from tests.support import cast
from tests.support.books import assert_books_balance
from tests.usage.rows import CHANNEL, NOON, admit, credit, happen, price_version, refuse
from usage.overview import api

DAY = "from=2026-11-18&to=2026-11-18"
REQUEST_FIELDS = {
    "id",
    "created_at",
    "organisation",
    "team",
    "key",
    "user",
    "model",
    "channel",
    "dialect",
    "stream",
    "status",
    "kind",
    "finish_reason",
    "meters",
    "charge",
    "basis",
    "saved_by_cache",
    "paid_to_provider",
    "price_version",
    "ttft_ms",
    "total_ms",
    "attempts",
    "cost",
    "project",
    "tags",
    "customer",
    "end_user",
    "end_user_verified",
    "app",
    "session",
    "dropped_params",
    "upstream_request_id",
    "prompt",
    "prompt_version",
}


def get(client: Client, path: str, status: int = 200) -> Any:
    response = client.get(f"/api/v1/{path}")
    assert response.status_code == status, response.content
    return response.json()


def everything(client: Client, query: str = "") -> list[Any]:
    items: list[Any] = []
    cursor = ""
    while True:
        page = get(client, f"requests?limit=7&{query}{cursor}")
        items += page["items"]
        if page["next"] is None:
            return items
        cursor = f"&cursor={page['next']}"


def management(people: cast.Cast, role: Role = Role.OWNER) -> Client:
    user = people.alice if role == Role.OWNER else cast.member(people.acme, role.value, role)
    _, text = cast.make_key(people.core, role.value, user=user, kind=KeyKind.MANAGEMENT)
    return cast.with_key(text)


def test_a_request(people: cast.Cast, key: Key) -> None:
    version = price_version()
    record = happen(key, price_version_id=version.id)
    client = management(people)
    page_text = get(client, "requests")["items"][0]
    assert set(page_text) == REQUEST_FIELDS
    assert page_text == {
        "id": id_text(record.request_id),
        "created_at": "2026-11-18T12:00:00Z",
        "organisation": "acme",
        "team": "core",
        "key": id_text(key.id),
        "user": "bob@example.org",
        "model": "gpt-5",
        "channel": None,
        "dialect": "openai",
        "stream": True,
        "status": 200,
        "kind": None,
        "finish_reason": "stop",
        "meters": {"in_text": 1000, "out_text": 100},
        "charge": "0.00021",
        "basis": "measured",
        "saved_by_cache": "0.00",
        "paid_to_provider": None,
        "price_version": version.id,
        "ttft_ms": 400,
        "total_ms": 2000,
        "attempts": 1,
        "cost": None,
        "project": None,
        "tags": [],
        "customer": None,
        "end_user": None,
        "end_user_verified": False,
        "app": None,
        "session": None,
        "prompt": None,
        "prompt_version": None,
        "dropped_params": [],
        "upstream_request_id": None,
    }
    more = {"asked_model": None, "client_address": None, "route": None}
    assert get(client, f"requests/{page_text['id']}") == {**page_text, **more}


def test_a_running_request_has_no_status(people: cast.Cast, key: Key) -> None:
    attempt = admit(key)
    client = management(people)
    response = get(client, f"requests/{id_text(attempt.request_id)}")
    assert (response["status"], response["charge"], response["attempts"]) == (None, "0.00", 1)
    early = client.get(f"/api/v1/requests/{id_text(attempt.request_id)}/receipt")
    assert (early.status_code, early.json()["error"]["code"]) == (409, "conflict")
    assert early.headers["Retry-After"] == "1"


def test_a_refused_request(people: cast.Cast, key: Key) -> None:
    refused = refuse(key)
    response = get(management(people), f"requests/{id_text(refused.request_id)}")
    assert (response["status"], response["kind"], response["attempts"]) == (
        402,
        "insufficient_balance",
        0,
    )
    assert (response["charge"], response["finish_reason"], response["price_version"]) == (
        "0.00",
        None,
        None,
    )


def test_pages_hold_every_request_once(people: cast.Cast, key: Key) -> None:
    results = [happen(key, NOON + dt.timedelta(minutes=n)) for n in range(15)]
    client = management(people)
    first = get(client, "requests?limit=7")
    happen(key, NOON + dt.timedelta(minutes=20))
    second = get(client, f"requests?limit=7&cursor={first['next']}")
    third = get(client, f"requests?limit=7&cursor={second['next']}")
    assert third["next"] is None
    listed = [item["id"] for page in (first, second, third) for item in page["items"]]
    assert listed == [id_text(record.request_id) for record in reversed(results)]


def test_filters(people: cast.Cast, key: Key) -> None:
    other, _ = cast.make_key(people.core, "other", user=people.alice)
    happen(key, model="claude")
    happen(key, status=500, charge_nano=0)
    happen(other, NOON + dt.timedelta(days=1))
    happen(key, NOON - dt.timedelta(days=1), flags=["unpriced_meter", "quarantine"])
    client = management(people)
    assert len(everything(client, "status=review&")) == 1
    assert len(everything(client, "model=claude&")) == 1
    assert len(everything(client, "model=claude&model=gpt-5&")) == 4
    assert len(everything(client, f"key={id_text(other.id)}&")) == 1
    assert len(everything(client, "status=error&")) == 1
    assert len(everything(client, "status=ok&")) == 3
    assert len(everything(client, f"{DAY}&")) == 2
    assert len(everything(client, "from=2026-11-18T12:00:00Z&to=2026-11-18T12:00:00.5Z&")) == 2
    assert len(everything(client, "from=2026-11-19&tz=Asia/Shanghai&")) == 1


@pytest.mark.parametrize(
    ("query", "status", "param"),
    [
        ("requests?limit=201", 422, "limit"),
        ("requests?limit=x", 400, "limit"),
        ("requests?cursor=nonsense", 422, "cursor"),
        ("requests?from=yesterday", 422, "from"),
        ("requests?from=2026-11-18T12:00:00", 422, "from"),
        ("requests?status=broken", 422, "status"),
        ("requests?key=1", 422, "key"),
        ("requests?model=gpt%00", 422, "model"),
        ("requests?models=gpt-5", 400, "models"),
        ("usage?group_by=teams", 400, "group_by"),
        ("usage?group_by=team,team", 400, "group_by"),
        ("usage?group_by=team,model,key", 400, "group_by"),
        ("usage?tz=Mars/Olympus", 422, "tz"),
        ("usage?to=2026-11-18T12:01:00Z", 422, "to"),
        ("usage?from=2026-11-19&to=2026-11-17", 422, "from"),
        ("usage?from=0001-01-01&to=2026-11-17", 422, "from"),
        ("usage?from=9999-12-31", 422, "from"),
        ("usage?status=ok", 400, "status"),
        ("balance?currency=EUR", 400, "currency"),
    ],
)
def test_empty_query_is_rejected(people: cast.Cast, query: str, status: int, param: str) -> None:
    error = get(management(people), query, status)["error"]
    assert error["param"].split(".")[0] == param


def test_usage(people: cast.Cast, key: Key, sum_up: Callable[[], None]) -> None:
    happen(key, model="claude", charge_nano=3_000_000_001)
    happen(key, charge_nano=1, status=500)
    happen(key, NOON - dt.timedelta(days=1))
    sum_up()
    response = get(management(people), f"usage?{DAY}")
    assert set(response) == {
        "from", "to", "complete_to", "group_by", "items", "more", "total", "detached_months",
    }  # fmt: skip
    assert response["detached_months"] == []
    assert (response["from"], response["to"]) == ("2026-11-18T00:00:00Z", "2026-11-19T00:00:00Z")
    assert response["complete_to"] is not None
    meters = {"in_text": 1000, "out_text": 100}
    # The middles of the buckets of 400 and 2,000 milliseconds; 100 tokens in the time between.
    times = {
        "ttft_ms": dict.fromkeys(("p50", "p95", "p99"), 394),
        "total_ms": dict.fromkeys(("p50", "p95", "p99"), 2000),
        "tokens_per_second": "62.5",
    }
    assert response["items"] == [
        {
            "group": "claude",
            "subgroup": None,
            "requests": 1,
            "errors": 0,
            "meters": meters,
            "charge": "3.000000001",
            "saved_by_cache": "0.00",
            "paid_to_provider": None,
            "times": times,
        },
        {
            "group": "gpt-5",
            "subgroup": None,
            "requests": 1,
            "errors": 1,
            "meters": meters,
            "charge": "0.000000001",
            "saved_by_cache": "0.00",
            "paid_to_provider": None,
            "times": dict.fromkeys(times),
        },
    ]
    assert response["total"] == {
        "requests": 2,
        "errors": 1,
        "meters": {"in_text": 2000, "out_text": 200},
        "charge": "3.000000002",
        "saved_by_cache": "0.00",
        "paid_to_provider": None,
    }


def test_provider_payments_are_shown_beside_the_charge(
    people: cast.Cast, key: Key, sum_up: Callable[[], None]
) -> None:
    happen(key, model="claude", charge_nano=5_000, own_nano=3_000_000_001)
    happen(key, model="claude", charge_nano=7, own_nano=None)
    happen(key, charge_nano=1)
    sum_up()
    response = get(management(people), f"usage?{DAY}")
    paid = {item["group"]: (item["charge"], item["paid_to_provider"]) for item in response["items"]}
    assert paid == {"claude": ("0.000005007", "3.000000001"), "gpt-5": ("0.000000001", None)}
    assert response["total"]["charge"] == "0.000005008"
    assert response["total"]["paid_to_provider"] == "3.000000001"


def test_usage_by_every_group(people: cast.Cast, key: Key, sum_up: Callable[[], None]) -> None:
    happen(key)
    happen(key, user_id=None)
    happen(key, NOON + dt.timedelta(hours=9))
    refuse(key)
    sum_up()
    client = management(people)

    def groups(by: str, who: Client = client) -> dict[str, int]:
        response = get(who, f"usage?from=2026-11-17&to=2026-11-20&group_by={by}")
        assert (
            sum(item["requests"] for item in response["items"])
            == response["total"]["requests"]
            == 4
        )
        return {item["group"]: item["requests"] for item in response["items"]}

    assert groups("key") == {id_text(key.id): 4}
    assert groups("user") == {"bob@example.org": 3, "": 1}
    assert groups("day") == {"2026-11-18": 4}
    assert groups("day&tz=Asia/Shanghai") == {"2026-11-18": 3, "2026-11-19": 1}
    get(client, "usage?group_by=channel", 403)
    dora = cast.signed_in(people.dora)
    dora.get("/o/acme/")
    _, text = cast.make_key(people.core, "ops", user=people.dora, kind=KeyKind.MANAGEMENT)
    members.set_member(people.acme, people.dora.email, Role.VIEWER, actor=SYSTEM)
    assert groups("channel", cast.with_key(text)) == {id_text(CHANNEL): 3, "": 1}


def test_usage_says_that_groups_are_left_out(
    people: cast.Cast, key: Key, sum_up: Callable[[], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever adds up the items would otherwise have a wrong sum."""
    for model, nano in (("a", 3), ("b", 2), ("c", 1)):
        happen(key, model=model, charge_nano=nano)
    sum_up()
    client = management(people)
    for most, more in ((2, True), (3, False)):
        monkeypatch.setattr(api, "_ITEMS_MAX", most)
        usage = get(client, f"usage?{DAY}")
        groups = [item["group"] for item in usage["items"]]
        assert (groups, usage["more"]) == (["a", "b", "c"][:most], more)
        assert (usage["total"]["requests"], usage["total"]["charge"]) == (3, "0.000000006")


def test_figures_tie_to_the_books(people: cast.Cast, key: Key, sum_up: Callable[[], None]) -> None:
    chance = random.Random(16)
    for _ in range(40):
        at = NOON + dt.timedelta(seconds=chance.randrange(-86_400 * 3, 86_400 * 3))
        happen(
            key,
            at,
            chance.randrange(10**9),
            model=chance.choice(["a", "b", "c"]),
            status=chance.choice([200, 200, 500]),
        )
    sum_up()
    client = management(people)
    zones = ("UTC", "Asia/Kolkata", "America/New_York")
    for zone in zones:
        response = get(client, f"usage?from=2026-11-14&to=2026-11-22&tz={zone}&group_by=day")
        for day in response["items"]:
            rows = everything(client, f"from={day['group']}&to={day['group']}&tz={zone}&")
            assert sum(Decimal(row["charge"]) for row in rows) == Decimal(day["charge"])
            assert len(rows) == day["requests"]
        revenue = Account.objects.get(organisation=people.acme, kind="revenue").balance_nano
        assert Decimal(response["total"]["charge"]) * 10**9 == revenue
    assert_books_balance()


def test_a_developer_sees_only_their_own(
    people: cast.Cast, key: Key, sum_up: Callable[[], None]
) -> None:
    alices, _ = cast.make_key(people.core, "alices", user=people.alice)
    mine, hers = happen(key), happen(alices)
    sum_up()
    _, text = cast.make_key(people.core, "bobs", user=people.bob, kind=KeyKind.MANAGEMENT)
    bob = cast.with_key(text)
    assert [row["id"] for row in everything(bob)] == [id_text(mine.request_id)]
    get(bob, f"requests/{id_text(hers.request_id)}", 404)
    assert get(bob, f"usage?{DAY}")["total"]["requests"] == 1
    assert get(bob, f"usage?{DAY}&key={id_text(alices.id)}")["total"]["requests"] == 0
    get(bob, "balance", 403)


def test_a_model_key_sees_only_itself(people: cast.Cast, sum_up: Callable[[], None]) -> None:
    one, text = cast.make_key(people.core, "one", user=people.bob)
    two, _ = cast.make_key(people.core, "two", user=people.bob)
    credit(one)
    mine, other = happen(one), happen(two)
    sum_up()
    client = cast.with_key(text)
    assert [row["id"] for row in everything(client)] == [id_text(mine.request_id)]
    get(client, f"requests/{id_text(other.request_id)}", 404)
    assert get(client, f"usage?{DAY}&group_by=key")["total"]["requests"] == 1
    get(client, "balance", 403)


def test_stranger_finds_nothing(people: cast.Cast, key: Key, sum_up: Callable[[], None]) -> None:
    record = happen(key)
    sum_up()
    theirs, text = cast.make_key(
        people.stranger.teams.get(), "c", user=people.charlie, kind=KeyKind.MANAGEMENT
    )
    assert theirs.organisation == people.stranger
    charlie = cast.with_key(text)
    assert everything(charlie) == []
    missing = get(charlie, f"requests/{id_text(new_id())}", 404)
    foreign = get(charlie, f"requests/{id_text(record.request_id)}", 404)
    assert missing["error"] == foreign["error"]
    get(charlie, "requests/nonsense", 404)
    assert get(charlie, f"usage?{DAY}&key={id_text(key.id)}")["items"] == []


def test_anonymous_request_is_rejected(db: None) -> None:
    for path in ("usage", "requests", "requests/x", "balance"):
        get(Client(), path, 401)


def test_channels_are_for_operators(people: cast.Cast, key: Key) -> None:
    happen(key)
    members.set_member(people.acme, people.dora.email, Role.VIEWER, actor=SYSTEM)
    dora = cast.signed_in(people.dora)
    dora.get("/o/acme/")
    _, text = cast.make_key(people.core, "ops", user=people.dora, kind=KeyKind.MANAGEMENT)
    assert everything(cast.with_key(text))[0]["channel"] == "openai-east"
    assert everything(management(people))[0]["channel"] is None
