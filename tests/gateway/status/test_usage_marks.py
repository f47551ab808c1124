"""What happened beside the usage: each reader learns of what is theirs, and of nothing else."""

import datetime as dt
import html
import re

import pytest

from accounts.access.actors import SYSTEM, Actor
from accounts.members import members
from accounts.models import AuditEvent, KeyKind, Role
from accounts.organisations import teams
from billing.prices import prices
from gateway.channels.channel_tests.rules import TakenOut
from gateway.channels.channels import create_channel, take_in, take_out
from gateway.status.announcements import publish_announcement
from gateway.status.usage_marks import marks_of
from lib import clock
from lib.refusal import Refused
from tests.isolation.kinds.gateway import CHANNEL
from tests.support import cast, hostile
from usage.buckets.buckets import Span
from usage.filters.filters import EVERYTHING, Scope
from usage.overview.chart_notes import add_note, visible_notes, writable_notes

DAY = dt.timedelta(days=1)
RATES = {"meters": {"in_text": 150_000_000, "out_text": 600_000_000}}
DEARER = {"meters": {"in_text": 250_000_000, "out_text": 600_000_000}}


def list_marks(actor: Actor, scope: Scope = EVERYTHING) -> list[tuple[str, str]]:
    span = Span(clock.now() - 2 * DAY, clock.now() + DAY)
    return [(mark.kind, mark.text) for mark in marks_of(actor, span, scope)]


@pytest.fixture
def happened(people: cast.Cast) -> None:
    """A price that changed, an incident, a channel that went and came; notes of two teams and of
    all, and of another organisation."""
    now = clock.now()
    for name in ("gpt-5", "qwen"):
        prices.set_price(SYSTEM, name, now - 30 * DAY, RATES, source="test")
    prices.set_price(SYSTEM, "gpt-5", now, DEARER, source="test")
    publish_announcement(
        SYSTEM, title="Slow answers", text="", tone="bad", starts_at=now, ends_at=None
    )
    publish_announcement(
        SYSTEM, title="Not yet", text="", tone="bad", starts_at=now + DAY / 2, ends_at=None
    )
    east = create_channel(SYSTEM, "east", {**CHANNEL, "models": {"gpt-5": "", "qwen": ""}})
    take_out(east, TakenOut("status", "503"))
    take_in(east, {"status"})
    alice = cast.actor(people.alice, people.acme)
    teams.create_team(people.acme, "Second", actor=SYSTEM)
    cast.make_key(people.core, user=people.bob)
    for team, text in (("core", "Of core"), ("second", "Of second"), ("", "Of all")):
        add_note(alice, now, text, team)
    charlie = cast.actor(people.charlie, people.stranger)
    add_note(charlie, now, "Of strangers")


PRICES = [("price", "New price of gpt-5")]
TOLD = [("announcement", "Slow answers")]
NOTES = [("note", "Of all"), ("note", "Of core"), ("note", "Of second")]


@pytest.mark.usefixtures("happened")
def test_each_reader_sees_their_own_notes(people: cast.Cast) -> None:
    of = {name: cast.actor(getattr(people, name), people.acme) for name in ("alice", "bob")}
    assert sorted(list_marks(of["alice"])) == sorted(PRICES + TOLD + NOTES)
    # Of teams in which they have a key.
    assert sorted(list_marks(of["bob"])) == sorted(PRICES + TOLD + NOTES[:2])
    # Limited to a team.
    member = members.set_member(
        people.acme, "eve@example.org", Role.ADMIN, actor=SYSTEM, teams=[people.core]
    )
    eve = cast.actor(member.user, people.acme)
    assert sorted(list_marks(eve)) == sorted(PRICES + TOLD + NOTES[:2])
    assert {note.text for note in writable_notes(eve)} == {"Of core"}
    stranger = cast.actor(people.charlie, people.stranger)
    assert sorted(list_marks(stranger)) == sorted([*PRICES, *TOLD, ("note", "Of strangers")])
    channels_told = [("channel", "east turned off"), ("channel", "east turned on")]
    dora = list_marks(cast.actor(people.dora, people.acme))
    assert sorted(dora) == sorted(PRICES + TOLD + NOTES + channels_told)


@pytest.mark.usefixtures("happened")
def test_filter_excludes_notes_that_do_not_match(people: cast.Cast) -> None:
    alice = cast.actor(people.alice, people.acme)
    assert list_marks(alice, Scope(models=("qwen",))) == [
        one for one in list_marks(alice) if one not in PRICES
    ]
    result = list_marks(alice, Scope(teams=("second",)))
    assert ("note", "Of core") not in result
    assert ("note", "Of second") in result
    # What is for everyone concerns each team.
    assert ("note", "Of all") in result


def test_first_price_of_a_model_is_no_news_beside_older_ones(people: cast.Cast) -> None:
    now = clock.now()
    prices.set_price(SYSTEM, "gpt-5", now - 30 * DAY, RATES, source="test")
    prices.set_price(SYSTEM, "qwen", now - DAY, RATES, source="test")
    create_channel(SYSTEM, "east", {**CHANNEL, "models": {"gpt-5": "", "qwen": ""}})
    assert list_marks(cast.actor(people.alice, people.acme)) == []


def test_notes_by_api_and_on_the_page(people: cast.Cast) -> None:
    _, text = cast.make_key(people.core, "api", user=people.alice, kind=KeyKind.MANAGEMENT)
    api = cast.with_key(text)
    path = "/api/v1/usage/annotations"
    note = {"at": clock.now().isoformat(), "text": "Campaign <b>", "team": "core"}
    response = api.post(path, note, content_type="application/json")
    assert response.status_code == 201
    own = f"{path}/{response.json()['id']}"
    changed = api.patch(own, {"text": "Campaign <i>"}, content_type="application/json")
    assert (changed.status_code, api.get(own).json()["text"]) == (200, "Campaign <i>")
    api.patch(own, {"text": "Campaign <b>"}, content_type="application/json")
    assert [one["text"] for one in api.get(path).json()["items"]] == ["Campaign <b>"]
    assert api.post(path, {**note, "x": 1}, content_type="application/json").status_code == 400
    foreign = {**note, "team": people.stranger.teams.get().slug + "-none"}
    assert api.post(path, foreign, content_type="application/json").status_code == 404
    alice, bob = cast.signed_in(people.alice), cast.signed_in(people.bob)
    page = alice.get("/o/acme/usage/_f/marks").content.decode()
    assert "Campaign &lt;b&gt;" in page
    (delete,) = re.findall(r'action="(/o/acme/usage/notes/[^"]+/delete)"', page)
    assert 'action="/o/acme/usage/notes' not in bob.get("/o/acme/usage/_f/marks").content.decode()
    assert bob.post(html.unescape(delete)).status_code == 403
    assert alice.post(html.unescape(delete)).status_code == 303
    assert api.get(path).json() == {"items": [], "next": None}
    form = {"at": f"{clock.now():%Y-%m-%dT%H:%M}", "text": "By form", "team": ""}
    assert alice.post("/o/acme/usage/notes/new", form).status_code // 100 == 3
    (kept,) = visible_notes(cast.actor(people.bob, people.acme))
    assert kept.text == "By form"
    done = AuditEvent.objects.filter(action__startswith="note.").order_by("id")
    assert [one.action for one in done] == [
        "note.added", "note.changed", "note.changed", "note.deleted", "note.added",
    ]  # fmt: skip


def test_invalid_notes(people: cast.Cast) -> None:
    alice = cast.actor(people.alice, people.acme)
    for text in ("", "  ", "x" * 201, "a\0b"):
        with pytest.raises(Refused):
            add_note(alice, clock.now(), text)
    for at in (clock.now() + DAY, dt.datetime(1999, 1, 1, tzinfo=dt.UTC)):
        with pytest.raises(Refused):
            add_note(alice, at, "text")
    member = members.set_member(
        people.acme, "eve@example.org", Role.ADMIN, actor=SYSTEM, teams=[people.core]
    )
    with pytest.raises(Refused):
        add_note(cast.actor(member.user, people.acme), clock.now(), "for everyone")
    for text in hostile.STORABLE:
        assert add_note(alice, clock.now(), text[:200]).text == text[:200].strip()
