"""The menu: two sides, few entries, and tabs that open for whom they are shown."""

import re

import pytest
from django.test import Client

from accounts.access.actors import SYSTEM, Actor
from accounts.custom_roles import custom_roles
from accounts.members import members
from accounts.models import Role, User
from accounts.roles.rules import PERMISSIONS
from config.shell.navigation import all_links, menu
from tests.support.cast import BUILT_IN, Cast, actor, member, signed_in
from tests.support.markup import squeezed

pytestmark = pytest.mark.django_db
ENTRIES_MAX = 13
SIDES = {"organisation": "/o/acme/", "installation": "/admin/channels"}


def everything(people: Cast) -> Actor:
    """An operator who owns the organisation."""
    owner = member(people.acme, "olive", Role.OWNER)
    owner.operator = True
    owner.save(update_fields=["operator"])
    return actor(owner, people.acme)


def tabs(visitor: Client, url: str) -> dict[str, str]:
    """The tabs of a page: their names and addresses."""
    page = squeezed(visitor.get(url).content.decode())
    found = re.search(r'<nav class="tabs".*?</nav>', page)
    # The playground has tabs of its own, which stay on the page.
    rows = re.findall(r'<a href="(/[^"]*)"[^>]*>([^<]*)', found[0]) if found else []
    return {name.strip(): address for address, name in rows}


def test_each_side_has_few_entries_with_distinct_names(people: Cast) -> None:
    olive = everything(people)
    names: list[str] = []
    for path in SIDES.values():
        side = [str(link.name) for _, links in menu(olive, path).sections for link in links]
        assert len(side) <= ENTRIES_MAX
        names += side
    assert sorted(set(names)) == sorted(names)


@pytest.mark.parametrize("side", SIDES)
def test_operators_alone_choose_a_side(people: Cast, side: str) -> None:
    operator = menu(everything(people), SIDES[side])
    assert operator.side == side
    assert [link.current for link in operator.sides] == [name == side for name in SIDES]
    alice = menu(actor(people.alice, people.acme), SIDES[side])
    assert (alice.side, alice.sides) == ("organisation", [])


def test_the_open_page_is_marked_in_the_menu_and_in_its_tabs(people: Cast) -> None:
    olive = everything(people)
    for link in all_links(olive):
        if link.group == "Account" or link.address in ("start", "view_as"):
            continue
        shown = menu(olive, link.url)
        marked = [str(one.name) for _, links in shown.sections for one in links if one.current]
        assert len(marked) == 1, link
        if shown.tabs:
            assert [tab.url for tab in shown.tabs if tab.current] == [link.url]


# Whoever opens page after page: each built-in role, and an operator who is no member. Who may open
# a page at all is asked of everybody in tests/isolation.
READERS = (*BUILT_IN, None)


@pytest.mark.django_db(transaction=True)  # a page asks from a thread of its own
@pytest.mark.parametrize("role", READERS, ids=str)
def test_every_tab_opens_for_its_audience(people: Cast, role: Role | None) -> None:
    """For a role, and for an operator who is no member."""
    user: User = people.dora if role is None else member(people.acme, "vic", role)
    visitor = signed_in(user)
    entries = menu(actor(user, people.acme), SIDES["organisation"]).sections
    entries += menu(actor(user, people.acme), SIDES["installation"]).sections if not role else []
    for url in {link.url for _, links in entries for link in links}:
        for name, address in tabs(visitor, url).items():
            answer = visitor.get(address)
            assert answer.status_code == 200, (name, address)
            assert f'href="{address}" aria-current="page"' in squeezed(answer.content.decode())


@pytest.mark.django_db(transaction=True)  # a page asks from a thread of its own
def test_every_role_begins_on_a_page_that_it_may_open(people: Cast) -> None:
    """Signing in and *Go to Home* lead to `/`. Where a permission opens no page of the menu, Home
    says so."""
    role = custom_roles.create_role(people.acme, "Narrow", PERMISSIONS[:1], actor=SYSTEM)
    members.add_member(
        people.acme, "nora@acme.example", Role.CUSTOM, actor=SYSTEM, custom_role=role
    )
    nora = User.objects.get(email="nora@acme.example")
    visitor = signed_in(nora)
    opens, wrong = 0, set[tuple[str, str]]()
    for permission in PERMISSIONS:
        custom_roles.change_role(role, name="Narrow", permissions=[permission], actor=SYSTEM)
        address = visitor.get("/")["Location"]
        reader = actor(nora, people.acme)
        sections = menu(reader, address).sections
        offered = {link.url for _, links in sections for link in links if "/o/acme" in link.url}
        assert (address in offered) == bool(offered), permission
        offered |= {link.url for link in all_links(reader)}
        wrong |= {(permission, url) for url in offered if visitor.get(url).status_code >= 400}
        opens += bool(offered)
    assert sorted(wrong) == []
    assert opens > len(PERMISSIONS) // 3
    both = ["usage.read", "requests.read"]
    custom_roles.change_role(role, name="Narrow", permissions=both, actor=SYSTEM)
    assert visitor.get("/")["Location"] == "/o/acme/usage"
