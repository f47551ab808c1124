"""The page of one key (W53): its figures are those of the rows that they lead to, and whoever may
not write is offered nothing to write."""

import datetime as dt
import html
import re
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest
from django.test import Client

from accounts.access.actors import SYSTEM
from accounts.models import Key, Role
from lib import clock
from lib.ids import id_text
from tests.support import cast
from tests.support.lists import file_of
from tests.support.markup import squeezed
from tests.usage.rows import credit, happen, refuse
from usage.keys.views import _first_command, badge_of
from usage.limits import budget_simulation

pytestmark = pytest.mark.django_db


def page_of(client: Client, key: Key) -> str:
    answer = client.get(f"/o/acme/keys/{id_text(key.id)}")
    assert answer.status_code == 200
    return squeezed(answer.content.decode())


def stat(page: str, label: str) -> tuple[str, str]:
    """Where a figure leads, and what it is to the last digit."""
    match = re.search(
        rf'>{label}</div><a class="stat-value"[^>]* href="([^"]+)"(?: title="([^"]+)")?>([^<]+)<',
        page,
    )
    assert match is not None, page
    return html.unescape(match[1]), match[2] or match[3]


def limit(page: str, label: str) -> str:
    match = re.search(rf"<dt>{label}</dt><dd>(.*?)</dd>", page)
    assert match is not None, label
    return re.sub(r"<[^>]*>", "", match[1])


def test_figures_match_the_rows_they_link(
    people: cast.Cast, key: Key, sum_up: Callable[[], None]
) -> None:
    """I17."""
    now = clock.now()
    other, _ = cast.make_key(people.core, "other", user=people.bob)
    for charge_nano in (10**9, 2 * 10**9, 3 * 10**9):
        happen(key, now, charge_nano)
    for _ in range(2):
        refuse(key, now)
    refuse(other, now)
    happen(other, now, 5 * 10**9)
    happen(key, now - dt.timedelta(days=45), 7 * 10**9)
    sum_up()
    alice = cast.signed_in(people.alice)
    page = page_of(alice, key)

    def rows(label: str) -> tuple[list[dict[str, str]], str]:
        href, exact = stat(page, label)
        return file_of(alice, f"{href}&export=csv&cols=status,cost"), exact

    requests, count = rows("Requests, last 30 days")
    assert (len(requests), count) == (5, "5")
    assert sum(Decimal(row["cost_usd"]) for row in requests) == 6
    errors, count = rows("Errors, last 30 days")
    assert (len(errors), count) == (2, "2")
    href, exact = stat(page, "Spend this month")
    assert exact == "$6.00"
    assert "$6.00" in alice.get(href).content.decode()
    assert f"key={id_text(key.id)}" in href


def test_each_limit_stands_under_its_own_name(people: cast.Cast) -> None:
    limits: dict[str, Any] = {"rpm": 1601, "tpm": 1702, "parallel": 1803}
    key, _ = cast.make_key(
        people.core,
        "ci",
        user=people.bob,
        model_patterns=["gpt-*", "o3"],
        networks=["10.0.0.0/8"],
        **limits,
    )
    free, _ = cast.make_key(people.core, "free", user=people.bob)
    budget = budget_simulation.create_budget(
        SYSTEM, people.acme, scope="key", subject=str(key.id), amount_nano=10**10, period="month"
    )
    alice = cast.signed_in(people.alice)
    page, without = page_of(alice, key), page_of(alice, free)
    wanted = {
        "Models": "gpt-*, o3", "Requests/min": "1,601", "Tokens/min": "1,702",
        "Concurrency": "1,803", "IP addresses": "10.0.0.0/8", "Expires": "Never", "Owner": "Bob",
        "Team": people.core.name,
    }  # fmt: skip
    assert {label: limit(page, label) for label in wanted} == wanted
    assert f'href="/o/acme/budgets/{budget.id}"' in page
    for label in ("Requests/min", "Tokens/min", "Concurrency"):
        assert limit(without, label) == "No limit"
    assert limit(without, "Models") == "All"
    assert "<dt>IP addresses</dt>" not in without


@pytest.mark.parametrize("role", [Role.BILLING, Role.VIEWER, Role.DEVELOPER, Role.ADMIN])
def test_only_key_writers_see_the_actions(people: cast.Cast, role: Role) -> None:
    """On its page and in the list, by the menu and by what is done to several."""
    key, _ = cast.make_key(people.core, "of-bob", user=people.bob)
    credit(key)
    reader = cast.member(people.acme, role.value, role)
    own, _ = cast.make_key(people.core, "own", user=reader)
    client = cast.signed_in(reader)
    for target, offered in ((key, role == Role.ADMIN), (own, role in (Role.ADMIN, Role.DEVELOPER))):
        answer = client.get(f"/o/acme/keys/{id_text(target.id)}")
        if role == Role.DEVELOPER and target == key:
            assert answer.status_code == 404
            continue
        page, listed = answer.content.decode(), client.get("/o/acme/keys").content.decode()
        for act in ("edit", "rotate", "revoke"):
            href = f'href="/o/acme/keys/{id_text(target.id)}/{act}"'
            assert (href in page) is (href in listed) is offered, act
    may_write = role in (Role.ADMIN, Role.DEVELOPER)
    listed = client.get("/o/acme/keys").content.decode()
    assert ('class="bulk"' in listed) is ("data-tick-all" in listed) is may_write


def test_list_of_expiring_keys_covers_the_days_that_its_filter_names(people: cast.Cast) -> None:
    """The badge *Expires soon* is for the last three of these seven days."""
    for days in (2, 5, 8):
        expires_at = clock.now() + dt.timedelta(days=days)
        cast.make_key(people.core, f"in-{days}-days", user=people.alice, expires_at=expires_at)
    page = squeezed(cast.signed_in(people.alice).get("/o/acme/keys?stale=soon").content.decode())
    assert set(re.findall(r"in-\d-days", page)) == {"in-2-days", "in-5-days"}
    assert page.count("Expires soon") == 1


def names(people: cast.Cast, query: str) -> list[str]:
    """The keys that the list has, by name."""
    file = file_of(cast.signed_in(people.alice), f"/o/acme/keys?{query}&export=csv")
    return sorted(row["name"] for row in file)


def test_key_is_found_by_its_whole_secret(people: cast.Cast) -> None:
    _, text = cast.make_key(people.core, "wanted")
    cast.make_key(people.core, "other")
    assert names(people, f"q={text}") == ["wanted"]


def test_key_that_ended_is_listed_as_expired_even_if_disabled(people: cast.Cast) -> None:
    past, soon = (clock.now() + dt.timedelta(days=n) for n in (-1, 1))
    for name, over in (
        ("ended", {"expires_at": past}),
        ("ended-off", {"expires_at": past, "disabled": True}),
        ("off", {"expires_at": soon, "disabled": True}),
        ("on", {"expires_at": soon}),
    ):
        key, _ = cast.make_key(people.core, name)
        Key.objects.filter(id=key.id).update(**over)
    listed = {state: names(people, f"state={state}") for state in ("expired", "disabled", "active")}
    assert listed == {"expired": ["ended", "ended-off"], "disabled": ["off"], "active": ["on"]}


def test_disabled_key_that_expires_soon_is_shown_as_disabled() -> None:
    soon = clock.now() + dt.timedelta(days=1)
    badges = [badge_of(Key(expires_at=soon, disabled=off)) for off in (False, True)]
    assert [str(badge.text) for badge in badges] == ["Expires soon", "Disabled"]


@pytest.mark.parametrize(
    ("kind", "model", "path", "body"),
    [
        ("relay", "", "/v1/models", False), ("relay", "m", "/v1/chat/completions", True),
        ("management", "m", "/api/v1/keys", False),
    ],
)  # fmt: skip
def test_first_command_is_one_that_the_key_can_do(
    settings: Any, kind: str, model: str, path: str, body: bool
) -> None:
    command = _first_command(Key(kind=kind), "sk-1", model)
    assert command.startswith(f"curl {settings.PUBLIC_URL}{path} ")
    assert 'Authorization: Bearer sk-1"' in command
    assert ('"model": "m"' in command) is ("Content-Type" in command) is body


def test_new_key_is_not_listed_as_unused(people: cast.Cast) -> None:
    for name, days in (("new", 1), ("month", 31), ("quarter", 91)):
        key, _ = cast.make_key(people.core, name)
        created_at = clock.now() - dt.timedelta(days=days)
        Key.objects.filter(id=key.id).update(created_at=created_at)
    assert names(people, "stale=30") == ["month", "quarter"]
    assert names(people, "stale=90") == ["quarter"]
