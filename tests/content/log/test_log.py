"""Reading and searching the content log: who, why, and how far (P31)."""

import datetime as dt
import json
from collections.abc import Iterator
from typing import Any

import pytest
from django.http import Http404

from accounts.access.access import AccessDenied
from accounts.access.actors import SYSTEM, Actor
from accounts.custom_roles import custom_roles
from accounts.members import members
from accounts.models import AuditEvent, Role, Team
from accounts.organisations import teams
from content.access import visible_entries
from content.log import log
from content.log.kept import Kept
from content.models import DataKey, Entry
from lib import clock
from lib.ids import id_text
from lib.refusal import Refused
from lib.tables.keyset import BadCursor
from tests.content.log.entries import REQUEST, keep
from tests.support.cast import Cast, actor, make_key
from tests.usage.rows import credit, happen

pytestmark = pytest.mark.django_db


def reader(people: Cast, *, within: list[Team] | None = None) -> Actor:
    role = custom_roles.create_role(
        people.acme, "Reader", ["content.read", "requests.read"], actor=SYSTEM
    )
    members.set_member(
        people.acme, people.bob.email, Role.CUSTOM, custom_role=role, teams=within, actor=SYSTEM
    )
    return actor(people.bob, people.acme)


def asking(text: str) -> Kept:
    request = REQUEST | {"messages": [{"role": "user", "content": text}]}
    return Kept(json.dumps(request).encode(), error="No channel answered.")


def kept(team: Team, *texts: str, **over: Any) -> list[Entry]:
    """Entries of a key of the team, the last one is the newest."""
    key, _ = make_key(team, f"ci {Entry.objects.count()}")
    credit(key)
    ago = [dt.timedelta(minutes=len(texts) - number) for number in range(len(texts))]
    return [
        keep(happen(key, clock.now() - past), asking(text), **over)
        for past, text in zip(ago, texts, strict=True)
    ]


def hits_of(result: log.Search) -> list[Entry]:
    return [hit.entry for hit in result.hits]


def test_a_reading_is_one_audit_event_with_its_reason(people: Cast) -> None:
    bob = reader(people)
    (entry,) = kept(people.core, "Hello")
    _, read = log.read_entry(bob, entry.request_id, " a complaint ")
    assert b"Hello" in read.request
    event = AuditEvent.objects.get(action="content.read")
    assert (event.actor_user, event.reason) == (people.bob, "a complaint")
    assert event.object_id == id_text(entry.request_id)


def test_nothing_is_read_or_searched_without_a_reason(people: Cast) -> None:
    bob = reader(people)
    (entry,) = kept(people.core, "Hello")
    with pytest.raises(Refused, match="Say why"):
        log.read_entry(bob, entry.request_id, " ")
    with pytest.raises(Refused, match="Say why"):
        log.search(bob, visible_entries(bob), "hello", "")
    with pytest.raises(Refused, match="text to search for"):
        log.search(bob, visible_entries(bob), " ", "why")
    assert not AuditEvent.objects.filter(action__startswith="content.").exists()


def test_expired_entry_is_read_no_longer(people: Cast) -> None:
    bob = reader(people)
    (entry,) = kept(people.core, "Hello", expires_at=clock.now())
    with pytest.raises(Http404):
        log.read_entry(bob, entry.request_id, "why")
    assert log.search(bob, visible_entries(bob), "hello", "why").looked_at == 0


def test_owner_and_other_organisations_read_nothing(people: Cast) -> None:
    """P12"""
    bob = reader(people)
    (theirs,) = kept(people.stranger.teams.get(), "Hello")
    with pytest.raises(Http404):
        log.read_entry(bob, theirs.request_id, "why")
    (ours,) = kept(people.core, "Hello")
    alice = actor(people.alice, people.acme)
    with pytest.raises(AccessDenied):
        log.read_entry(alice, ours.request_id, "why")
    with pytest.raises(AccessDenied):
        log.search(alice, Entry.objects.all(), "hello", "why")
    with pytest.raises(AccessDenied):
        log.download(alice, Entry.objects.all(), "why")


def test_reader_of_a_team_searches_that_team(people: Cast) -> None:
    """P12"""
    side = teams.create_team(people.acme, "Side", actor=SYSTEM)
    bob = reader(people, within=[side])
    (hidden,) = kept(people.core, "Hello core")
    (entry,) = kept(side, "Hello side")
    with pytest.raises(Http404):
        log.read_entry(bob, hidden.request_id, "why")
    assert hits_of(log.search(bob, visible_entries(bob), "hello", "why")) == [entry]


def test_search_ignores_case_and_is_audited(people: Cast) -> None:
    bob = reader(people)
    first, _, last = kept(people.core, "The STRASSE", "an avenue", "die straße")
    result = log.search(bob, visible_entries(bob), " Straße ", "a complaint")
    assert hits_of(result) == [last, first]
    assert [hit.excerpt.match for hit in result.hits] == ["straße", "STRASSE"]
    assert (result.looked_at, result.back_to, result.next) == (3, first.created_at, None)
    event = AuditEvent.objects.get(action="content.searched")
    assert (event.reason, event.detail["text"]) == ("a complaint", "Straße")
    assert (event.detail["looked_at"], event.detail["hits"]) == (3, 2)
    assert event.detail["requests"] == [id_text(entry.request_id) for entry in (last, first)]


def test_search_says_how_far_it_looked(people: Cast, monkeypatch: pytest.MonkeyPatch) -> None:
    bob = reader(people)
    first, second, third = kept(people.core, "needle", "hay", "hay")
    monkeypatch.setattr(log, "LOOKED_AT_MAX", 2)
    result = log.search(bob, visible_entries(bob), "needle", "why")
    assert (result.hits, result.looked_at, result.back_to) == ([], 2, second.created_at)
    further = log.search(bob, visible_entries(bob), "needle", "why", result.next or "")
    assert (hits_of(further), further.looked_at, further.next) == ([first], 1, None)
    monkeypatch.setattr(log, "HITS_MAX", 1)
    result = log.search(bob, visible_entries(bob), "hay", "why")
    assert (hits_of(result), result.looked_at) == ([third], 1)
    further = log.search(bob, visible_entries(bob), "hay", "why", result.next or "")
    assert hits_of(further) == [second]


def test_a_search_says_how_far_it_has_looked_if_a_filter_fits_little(
    people: Cast, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It passes only so many entries that the filter leaves out, and goes on behind them."""
    bob = reader(people)
    oldest, second, third, _ = kept(people.core, *["hello"] * 4)
    monkeypatch.setattr(log, "_FIRST_PASSED", 1)
    monkeypatch.setattr(log, "PASSED_MAX", 2)
    among = visible_entries(bob)

    def search(wanted: Entry, cursor: str = "") -> log.Search:
        entries = among.filter(request_id=wanted.request_id)
        return log.search(bob, entries, "hello", "why", cursor, among=among)

    result = search(oldest)
    assert (result.hits, result.looked_at, result.back_to) == ([], 0, third.created_at)
    further = search(oldest, result.next or "")
    assert (hits_of(further), further.back_to, further.next) == (
        [oldest], oldest.created_at, None
    )  # fmt: skip
    # A hit on the way is one, and the next look begins behind all that were passed.
    result = search(third)
    assert (hits_of(result), result.looked_at, result.back_to) == ([third], 1, third.created_at)
    assert search(third, result.next or "").hits == []
    assert hits_of(search(second, result.next or "")) == [second]
    lines = [*log.download(bob, among.filter(request_id=oldest.request_id), "why", among=among)]
    (last,) = map(json.loads, lines)
    assert last["next"]
    lines = [
        *log.download(
            bob, among.filter(request_id=oldest.request_id), "why", cursor=last["next"], among=among
        )
    ]
    assert [json.loads(line).get("next", "text") for line in lines] == ["text", None]


def test_entries_of_one_instant_are_looked_at_once(
    people: Cast, monkeypatch: pytest.MonkeyPatch
) -> None:
    bob = reader(people)
    monkeypatch.setattr(log, "LOOKED_AT_MAX", 1)
    at = clock.now() - dt.timedelta(minutes=1)
    entries = kept(people.core, "needle", "needle", "needle", created_at=at)
    cursor, hits = "", list[Entry]()
    for _ in entries:
        result = log.search(bob, visible_entries(bob), "needle", "why", cursor)
        hits += hits_of(result)
        cursor = result.next or ""
    assert cursor == ""
    assert {hit.request_id for hit in hits} == {entry.request_id for entry in entries}


def test_search_stops_at_many_bytes_but_looks_at_one(
    people: Cast, monkeypatch: pytest.MonkeyPatch
) -> None:
    bob = reader(people)
    kept(people.core, "needle", "hay")
    monkeypatch.setattr(log, "LOOKED_AT_BYTES_MAX", 1)
    result = log.search(bob, visible_entries(bob), "needle", "why")
    assert (result.hits, result.looked_at) == ([], 1)
    assert log.search(bob, visible_entries(bob), "needle", "why", result.next or "").hits


def test_cursor_of_nobody_is_refused(people: Cast) -> None:
    bob = reader(people)
    with pytest.raises(BadCursor):
        log.search(bob, visible_entries(bob), "needle", "why", "made-up")
    assert not AuditEvent.objects.filter(action="content.searched").exists()


@pytest.mark.parametrize(
    "text", ["'; DROP TABLE x; --", "%_\\", "👩‍👩‍👧", "שלום \u202e‮", "x" * 500]
)
def test_search_takes_any_text_literally(people: Cast, text: str) -> None:
    bob = reader(people)
    (entry,) = kept(people.core, f"before {text} after")
    assert hits_of(log.search(bob, visible_entries(bob), text, "why")) == [entry]
    assert not log.search(bob, visible_entries(bob), f"{text[:-1]}ö", "why").hits


@pytest.mark.parametrize("text", ["\x00", "x" * 501, "x" * 10_000])
def test_texts_that_cannot_be_searched_for_are_refused(people: Cast, text: str) -> None:
    bob = reader(people)
    for values in ((text, "why"), ("why", text)):
        with pytest.raises(Refused):
            log.search(bob, visible_entries(bob), *values)
    assert not AuditEvent.objects.filter(action="content.searched").exists()


def test_error_and_name_of_a_tool_are_searched(people: Cast) -> None:
    bob = reader(people)
    (entry,) = kept(people.core, "hello")
    assert hits_of(log.search(bob, visible_entries(bob), "channel answered", "why")) == [entry]


def lines_of(pieces: Iterator[bytes]) -> list[dict[str, Any]]:
    return [json.loads(line) for line in b"".join(pieces).splitlines()]


def test_download_is_recorded_before_its_first_line(people: Cast) -> None:
    bob = reader(people)
    first, last = kept(people.core, "one", "two")
    pieces = log.download(bob, visible_entries(bob), "an audit")
    event = AuditEvent.objects.get(action="content.downloaded")
    assert (event.actor_user, event.reason, event.detail) == (
        people.bob, "an audit", {"entries": 2},
    )  # fmt: skip
    *lines, end = lines_of(pieces)
    assert [line["request_id"] for line in lines] == [
        id_text(entry.request_id) for entry in (last, first)
    ]
    assert end == {"next": None}
    line = lines[0]
    assert (line["team"], line["key_name"], line["person"]) == ("core", "ci 0", None)
    assert json.loads(line["request"])["messages"][0]["content"] == "two"
    assert (line["answer"], line["error"]) == ("", "No channel answered.")


def test_file_has_the_hits_and_says_where_the_next_begins(
    people: Cast, monkeypatch: pytest.MonkeyPatch
) -> None:
    bob = reader(people)
    first, _, _ = kept(people.core, "needle one", "hay", "needle three")
    monkeypatch.setattr(log, "DOWNLOADED_MAX", 2)
    hit, end = lines_of(log.download(bob, visible_entries(bob), "why", "NEEDLE"))
    assert "three" in hit["request"]
    detail = AuditEvent.objects.get(action="content.downloaded").detail
    assert detail == {"entries": 2, "text": "NEEDLE"}
    hit, last = lines_of(log.download(bob, visible_entries(bob), "why", "needle", end["next"]))
    assert (hit["request_id"], last) == (id_text(first.request_id), {"next": None})


def test_file_has_each_entry_once_however_many_are_opened_at_once(
    people: Cast, monkeypatch: pytest.MonkeyPatch
) -> None:
    bob = reader(people)
    newest_first = [id_text(entry.request_id) for entry in kept(people.core, *"abcd")[::-1]]
    size = Entry.objects.all()[0].content_bytes
    many = 10 * size
    batches = [(1, many), (2, many), (3, many), (4, many), (5, many)]
    # By their number, or by their size.
    for at_once, at_once_bytes in (*batches, (9, size - 1), (9, 2 * size), (9, 4 * size)):
        monkeypatch.setattr(log, "_BATCH", at_once)
        monkeypatch.setattr(log, "_BATCH_BYTES", at_once_bytes)
        *lines, _end = lines_of(log.download(bob, visible_entries(bob), "why"))
        assert [line["request_id"] for line in lines] == newest_first, (at_once, at_once_bytes)


def test_file_of_nothing_is_recorded_too(people: Cast) -> None:
    bob = reader(people)
    assert lines_of(log.download(bob, visible_entries(bob), "why")) == [{"next": None}]
    assert AuditEvent.objects.get(action="content.downloaded").detail == {"entries": 0}
    with pytest.raises(Refused, match="Say why"):
        log.download(bob, visible_entries(bob), " ")


def test_file_leaves_out_what_no_key_opens(people: Cast) -> None:
    """P36"""
    bob = reader(people)
    kept(people.core, "gone")
    DataKey.objects.all().delete()
    kept(people.core, "here")
    line, _ = lines_of(log.download(bob, visible_entries(bob), "why"))
    assert "here" in line["request"]


def test_search_passes_over_what_no_key_opens(people: Cast) -> None:
    """P36"""
    bob = reader(people)
    (gone,) = kept(people.core, "needle")
    DataKey.objects.all().delete()
    (entry,) = kept(people.core, "needle")
    assert hits_of(log.search(bob, visible_entries(bob), "needle", "why")) == [entry]
    with pytest.raises(Refused, match="can no longer be read"):
        log.read_entry(bob, gone.request_id, "why")
