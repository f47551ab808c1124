"""Pages of the URL map × roles: no form or button leads to where its reader may not go, and the
names of channels and what they cost are the operator's alone (accounts/roles/rules.py)."""

import datetime as dt
import inspect
import re
from collections.abc import Iterator

import pytest
from django.urls import Resolver404, get_resolver, resolve, reverse

from accounts.access.actors import SYSTEM
from accounts.models import Role
from accounts.roles import rules as roles
from billing.limits import budget_increases
from lib import clock
from lib.ids import id_text
from tests.house.test_access import addresses
from tests.support.cast import Cast, actor, make_key, member, signed_in
from tests.usage.rows import NOON, credit, happen
from usage.limits import budget_simulation

pytestmark = pytest.mark.django_db

USD = 10**9
_WRITE = re.compile(r'(?:formaction|hx-post|hx-put|hx-delete)="(/[^"?]*)')
_FORM = re.compile(r'<form\b[^>]*\bmethod="post"[^>]*>')
_ACTION = re.compile(r'\baction="(/[^"?]*)')


@pytest.fixture
def pages(people: Cast) -> tuple[list[str], list[str]]:
    """Every page of an organisation that needs no id, and those of what bob has."""
    key, _ = make_key(people.core, "ci", user=people.bob)
    credit(key)
    record = happen(key, NOON, channel_name="east-secret", cost_nano=123_456_789)
    budget = budget_simulation.create_budget(
        SYSTEM, people.acme, scope="team", subject=str(people.core.id), amount_nano=10 * USD,
        period="month", timezone="UTC",
    )  # fmt: skip
    until = clock.now() + dt.timedelta(days=2)
    bob, alice = actor(people.bob, people.acme), actor(people.alice, people.acme)
    budget_increases.ask_for_more(bob, budget, amount_nano=USD, until=until, reason="a launch")
    budget_increases.approve(alice, budget_increases.visible_raises(alice).get())
    budget_increases.ask_for_more(bob, budget, amount_nano=USD, until=until, reason="another")
    named = [
        reverse(name, args=["acme"])
        for where, name, view in addresses(get_resolver())
        if where.startswith("o/") and where.count("<") == 1
        if not inspect.iscoroutinefunction(view)
    ]
    request = reverse("request", args=["acme", id_text(record.request_id)])
    columns = reverse("requests", args=["acme"]) + "?cols=time,upstream,channel,cost"
    return named, [request, columns, reverse("budget", args=["acme", budget.id])]


def read(people: Cast, role: str, pages: list[str]) -> dict[str, str]:
    """The pages that open to that role."""
    known = {"owner": people.alice, "developer": people.bob, "operator": people.dora}
    user = known.get(role) or member(people.acme, role, Role(role))
    client = signed_in(user)
    answers = {page: client.get(page) for page in pages}
    return {
        page: answer.content.decode()
        for page, answer in answers.items()
        if answer.status_code == 200 and answer["Content-Type"].startswith("text/html")
    }


def written_actions(html: str) -> Iterator[tuple[str, str]]:
    """Where the forms and buttons of a page write to, and the action that it takes."""
    forms = [path for form in _FORM.findall(html) for path in _ACTION.findall(form)]
    for path in {*forms, *_WRITE.findall(html)}:
        try:
            view = resolve(path).func
        except Resolver404:
            continue
        kind, _, action = getattr(view, "access_class", "").partition(":")
        if kind == "organisation":
            yield path, action


ROLES = ("owner", "admin", "billing", "developer", "viewer", "operator")


@pytest.mark.usefixtures("bare_errors")
@pytest.mark.parametrize("role", ROLES)
def test_pages_hide_what_a_role_may_not_do_or_know(
    people: Cast, pages: tuple[list[str], list[str]], role: str
) -> None:
    """No form leads to where its reader may not go; names of channels and what they cost are the
    operator's. Who may only read reads every page; each other role every third, so that two read
    each."""
    named, owned = pages
    part = named if role == "viewer" else named[ROLES.index(role) % 3 :: 3]
    look(people, role, [*part, *owned])


@pytest.mark.usefixtures("bare_errors")
def test_names_of_channels_and_costs_are_shown_to_operators_alone(
    people: Cast, pages: tuple[list[str], list[str]]
) -> None:
    request, columns, _ = pages[1]
    for role in ("owner", "operator"):
        texts = read(people, role, [request, columns])
        assert len(texts) == 2
        assert any("east-secret" in html for html in texts.values()) is (role == "operator")
        assert role == "operator" or not any("0.1234" in html for html in texts.values())


@pytest.mark.slow
@pytest.mark.usefixtures("bare_errors")
@pytest.mark.parametrize("role", ROLES)
def test_every_page_hides_what_a_role_may_not_do_or_know(
    people: Cast, pages: tuple[list[str], list[str]], role: str
) -> None:
    look(people, role, [*pages[0], *pages[1]])


def look(people: Cast, role: str, pages: list[str]) -> None:
    page_text = read(people, role, pages)
    offered = {
        path: action for html in page_text.values() for path, action in written_actions(html)
    }
    assert len(page_text) >= 5
    assert offered or role in ("viewer", "operator")
    assert {
        path: action
        for path, action in offered.items()
        if roles.scope_of(role, action) is None  # type: ignore[arg-type]
    } == {}
    named = [page for page, html in page_text.items() if "east-secret" in html]
    assert any("/requests/" in page for page in page_text)
    assert bool(named) is (role == "operator")
    if role != "operator":
        assert [page for page, html in page_text.items() if "0.1234" in html] == []
