"""An operator's overview: what needs attention, traffic, money, channels, jobs."""

import re

import pytest
from django.urls import reverse

from accounts.access.actors import SYSTEM
from config.home.overview import OVERVIEW
from gateway.channels.channels import create_channel
from gateway.health.traffic import count_new_records
from lib import clock
from lib.ids import id_text
from tests.config.home.test_home import sum_up
from tests.support import cast
from tests.support.cast import Cast
from tests.usage.rows import credit, happen

pytestmark = pytest.mark.django_db


def _text(html: str) -> str:
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", html))


def test_installation_overview_shows_its_activity(people: Cast) -> None:
    """Of all organisations: the figures of each panel, and where each matter is settled."""
    channel = create_channel(
        SYSTEM, "east", {"provider": "openai_compatible", "base_url": "https://api.example.com",
                         "models": {"new": ""}},
    )  # fmt: skip
    now = clock.now()
    for organisation in (people.acme, people.stranger):
        key, _ = cast.make_key(organisation.teams.get(), "one")
        credit(key)
        for _ in range(2):
            happen(key, now, 30_000_000, channel_id=channel.id, ended_at=now, hold_nano=10**9)
        wrong = {"status": 502, "kind": "upstream_error", "meters": {}}
        for _ in range(3):
            happen(key, now, 0, channel_id=channel.id, ended_at=now, **wrong)
    count_new_records()
    sum_up()
    dora = cast.signed_in(people.dora)
    page = dora.get("/admin/").content.decode()
    panels = {}
    for name in OVERVIEW:
        path = reverse("installation_panel", args=[name])
        assert f'hx-get="{path}"' in page
        panels[name] = dora.get(path).content.decode()
        assert f'id="home-{name}"' in panels[name]
        assert "Could not load" not in panels[name]
    assert "Requests 10" in _text(panels["traffic"])
    assert "60.0%" in panels["traffic"]
    assert "Charged to customers $0.12" in _text(panels["money"])
    assert "Failing" in panels["channels"]
    attention = panels["attention"]
    assert "Channel east is failing" in attention
    assert "1 model has no price" in attention
    assert f'href="/admin/channels/{id_text(channel.id)}/prices/set"' in attention
    inline = dora.get("/admin/?panels=all").content.decode()
    assert "Charged to customers" in inline
    assert 'aria-current="page"' in page or 'aria-current="true"' in page


def test_overview_panels_are_only_for_operators(people: Cast) -> None:
    alice, dora = cast.signed_in(people.alice), cast.signed_in(people.dora)
    for path in ("/admin/", "/admin/_f/overview/money"):
        assert alice.get(path).status_code == 404
    assert dora.get("/admin/_f/overview/none").status_code == 404
