"""Organisations, and their teams and members, as the choices of operators' forms."""

import re
from html import unescape

import pytest
from django.test import Client

from accounts.models import Organisation, Team
from tests.support.cast import Cast, signed_in
from tests.support.hostile import EVERYTHING

pytestmark = pytest.mark.django_db

ORGANISATIONS, HOLDERS = "/admin/_f/choices/organisations", "/admin/_f/choices/holders"


def chosen(client: Client, url: str, **sent: str) -> list[tuple[str, str]]:
    answer = client.get(url, sent)
    assert answer.status_code == 200
    rows = re.findall(r'data-value="([^"]*)".*?<span class="cut"[^>]*>([^<]*)<', answer.text, re.S)
    return [(unescape(value), unescape(label)) for value, label in rows]


def test_organisations_are_found_by_name_and_slug(people: Cast) -> None:
    Organisation.objects.create(slug="odd", name='"><b>שלום 🦊')
    dora = signed_in(people.dora)
    assert chosen(dora, ORGANISATIONS) == [
        ("odd", '"><b>שלום 🦊'), ("acme", "Acme"), ("stranger", "Stranger"),
    ]  # fmt: skip
    assert chosen(dora, ORGANISATIONS, q="ACM") == [("acme", "Acme")]
    assert chosen(dora, ORGANISATIONS, q="b>ש") == [("odd", '"><b>שלום 🦊')]
    assert chosen(dora, ORGANISATIONS, q="a\x00" + EVERYTHING) == []
    assert signed_in(people.alice).get(ORGANISATIONS).status_code == 404


def test_teams_and_members_belong_to_the_chosen_organisation(people: Cast) -> None:
    Team.objects.create(organisation=people.stranger, slug="theirs", name="core of others")
    dora = signed_in(people.dora)
    assert chosen(dora, HOLDERS, slug="acme", q="core") == [("core", "core")]
    assert chosen(dora, HOLDERS, slug="acme", q="bob") == [("bob@example.org", "Bob")]
    assert chosen(dora, HOLDERS, slug="acme", q="charlie") == []
    assert "Choose an organisation first." in dora.get(HOLDERS, {"q": "core"}).text
    assert signed_in(people.alice).get(HOLDERS, {"slug": "acme"}).status_code == 404
