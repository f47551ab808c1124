"""A changed filter changes every link that carries it, also those outside of the list, which htmx
replaces alone."""

from html.parser import HTMLParser

import pytest

from accounts.models import Role
from config.shell.navigation import all_links
from tests.support.cast import Cast, actor, member, signed_in

QUERY = "?range=7d&q=zz"
_VOID = {"area", "base", "br", "col", "embed", "hr", "img", "input", "link", "meta", "source"}
# The list itself, and what a form of the shell names: ui.js writes where it stands.
_INSIDE = ("results", "language", "appearance")


class _Links(HTMLParser):
    """The addresses of a page that are in none of the elements of `skipped`."""

    def __init__(self, text: str, *skipped: str) -> None:
        super().__init__()
        self.skipped, self.depth, self.found = skipped, 0, set[str]()
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = dict(attrs)
        if tag not in _VOID and (self.depth or values.get("id") in self.skipped):
            self.depth += 1
        if not self.depth:
            self.found |= {str(values[name]) for name in ("href", "action") if values.get(name)}

    def handle_endtag(self, tag: str) -> None:
        self.depth -= bool(self.depth) and tag not in _VOID


@pytest.mark.django_db(transaction=True)  # a page asks from a thread of its own
def test_links_beside_a_list_follow_its_filters(people: Cast) -> None:
    olive = member(people.acme, "olive", Role.OWNER)
    olive.operator = True
    olive.save(update_fields=["operator"])
    client = signed_in(olive)
    followed: dict[str, int] = {}
    for link in all_links(actor(olive, people.acme)):
        filtered = client.get(link.url + QUERY).content.decode()
        if 'id="results"' not in filtered:
            continue
        part = client.get(link.url + QUERY, headers={"HX-Request": "true"}).content.decode()
        carrying = {
            href
            for href in _Links(filtered, *_INSIDE).found
            if "range=7d" in href or "q=zz" in href
        }
        assert carrying <= _Links(part, "results").found, link.url
        followed[link.address] = len(carrying)
    assert len(followed) > 25
    assert {name for name, n in followed.items() if n} >= {"usage", "explore", "sessions"}
