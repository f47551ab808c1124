"""Searching the content log on its page: who, why, what is shown, and how far (P12, P31)."""

import datetime as dt
import json
import re
from dataclasses import replace
from typing import Any

import pytest
from django.test import Client

from accounts.access.actors import SYSTEM
from accounts.custom_roles import custom_roles
from accounts.members import members
from accounts.models import AuditEvent, Key, Role, Team
from accounts.organisations import teams
from content.log import log
from content.log.kept import Kept
from content.models import Entry
from lib import clock
from lib.ids import id_text, new_id
from tests.content.log.entries import REQUEST, keep
from tests.support.cast import Cast, actor, make_key, signed_in
from tests.usage.rows import credit, happen
from usage.contents.contents import entries_of
from usage.filters.filters import Scope, Status
from usage.filters.visibility import Period

pytestmark = pytest.mark.django_db

PAGE = "/o/acme/content-log/search"
READS = ["content.read", "requests.read", "usage.read"]


def reader(
    people: Cast, permissions: list[str] = READS, *, within: list[Team] | None = None
) -> Client:
    """Bob's browser, who has a role that reads contents, in all teams or in these."""
    role = custom_roles.create_role(people.acme, "Reader", permissions, actor=SYSTEM)
    members.set_member(
        people.acme, people.bob.email, Role.CUSTOM, custom_role=role, teams=within, actor=SYSTEM
    )
    return signed_in(people.bob)


def key_of(team: Team, name: str, **over: Any) -> Key:
    key, _ = make_key(team, name, **over)
    credit(key)
    return key


def asked(key: Key, text: str, *, minutes_ago: int = 10, **over: Any) -> Entry:
    record = happen(key, clock.now() - dt.timedelta(minutes=minutes_ago), model="gpt-5")
    request = REQUEST | {"messages": [{"role": "user", "content": text}]}
    return keep(record, Kept(json.dumps(request).encode()), **over)


def searched(browser: Client, text: str, query: str = "", **over: Any) -> str:
    data = {"text": text, "reason": "a complaint", "filter": query, **over}
    return text_of(browser.post(PAGE, data))


def text_of(answer: Any) -> str:
    assert answer["Cache-Control"] == "private, no-store"
    return str(answer.content.decode())


def test_reader_finds_a_text_and_a_link_to_its_request(people: Cast) -> None:
    browser = reader(people)
    key = key_of(people.core, "ci", user=people.alice)
    entry = asked(key, "My card <b>4111</b> was refused.")
    asked(key, "hello")
    page = text_of(browser.get(PAGE))
    assert "No text is opened until you search" in page
    assert "4111" not in page
    body = searched(browser, "CARD <B>4111")
    assert "My <mark>card &lt;b&gt;4111</mark>&lt;/b&gt; was refused." in body
    assert f"/o/acme/requests/{id_text(entry.request_id)}#conversation" in body
    assert "1 hit" in body
    assert "ci" in body
    assert "alice@example.org" in body
    assert "Looked at 2 requests. No older text of these filters is kept." in body
    event = AuditEvent.objects.get(action="content.searched")
    assert (event.actor_user, event.reason) == (people.bob, "a complaint")
    assert event.detail["requests"] == [id_text(entry.request_id)]


def test_neither_address_nor_log_of_requests_opens_a_text(people: Cast) -> None:
    browser = reader(people)
    asked(key_of(people.core, "ci"), "a needle")
    assert "<mark>" not in text_of(browser.get(f"{PAGE}?text=needle&reason=why"))
    assert not AuditEvent.objects.filter(action__startswith="content.").exists()


def test_reason_stays_in_the_form(people: Cast) -> None:
    browser = reader(people)
    assert 'value="a complaint"' in searched(browser, "needle")
    assert 'value="a complaint"' in text_of(browser.get(PAGE))


@pytest.mark.parametrize(
    ("text", "reason"), [("", "why"), ("needle", " "), ("x" * 10_000, "why"), ("\x00", "why")]
)
def test_search_without_a_text_or_reason_is_refused(people: Cast, text: str, reason: str) -> None:
    answer = reader(people).post(PAGE, {"text": text, "reason": reason})
    assert answer.status_code == 422
    assert "<mark>" not in answer.content.decode()
    assert not AuditEvent.objects.filter(action__startswith="content.").exists()


def test_no_built_in_role_searches_not_even_an_owner_or_operator(people: Cast) -> None:
    """P12"""
    asked(key_of(people.core, "ci"), "needle")
    for person, status in (
        (people.alice, 403), (people.bob, 403), (people.dora, 403), (people.charlie, 404),
    ):  # fmt: skip
        browser = signed_in(person)
        assert browser.get(PAGE).status_code == status
        assert browser.post(PAGE, {"text": "needle", "reason": "why"}).status_code == status
    assert not AuditEvent.objects.filter(action__startswith="content.").exists()


def test_reader_of_one_team_searches_and_downloads_that_team(people: Cast) -> None:
    """P12"""
    side = teams.create_team(people.acme, "Side", actor=SYSTEM)
    browser = reader(people, within=[side])
    asked(key_of(people.core, "hidden"), "needle core")
    asked(key_of(side, "seen"), "needle side")
    body = searched(browser, "needle")
    assert "1 hit" in body
    assert "core" not in body.split("panel-foot")[0].split("<tbody>")[1]
    assert "0 hits" in searched(browser, "needle", "team=core")
    *lines, _ = lines_of(downloaded(browser))
    assert [line["team"] for line in lines] == ["side"]


def test_reader_of_contents_alone_searches_without_links(people: Cast) -> None:
    browser = reader(people, ["content.read"])
    asked(key_of(people.core, "ci"), "needle")
    assert browser.get(PAGE).status_code == 200
    body = searched(browser, "needle")
    assert "1 hit" in body
    assert "/o/acme/requests" not in body


def test_filters_of_requests_apply_to_entries(people: Cast) -> None:
    browser = reader(people)
    side = teams.create_team(people.acme, "Side", actor=SYSTEM)
    session = new_id()
    key = key_of(people.core, "one", user=people.alice)
    asked(key, "needle 1", status=200, session_id=session)
    asked(key_of(side, "two"), "needle 2", status=500, model="other")
    asked(key, "needle 3", status=499)
    for query, hits in {
        "": 3, "status=ok": 1, "status=error": 1, "status=stopped": 1, "model=other": 1,
        "team=side": 1, "team=nobody": 0, "user=alice@example.org": 2, f"key={id_text(key.id)}": 2,
        f"session={id_text(session)}": 1, "range=last-month": 0, "model=other&status=ok": 0,
    }.items():  # fmt: skip
        assert f"{hits} hit" in searched(browser, "needle", query), query


def test_failed_requests_are_not_those_that_clients_stopped(people: Cast) -> None:
    auditor = actor(people.bob, people.acme)
    auditor = replace(auditor, role=Role.CUSTOM, permissions=("content.read",))
    key = key_of(people.core, "ci")
    for status in (399, 400, 499, 500):
        asked(key, "hay", status=status)
    found: dict[Status | None, list[int]] = {
        status: sorted(
            entries_of(auditor, Period(), Scope(status=status)).values_list("status", flat=True)
        )
        for status in (None, "ok", "error", "stopped")
    }
    assert found == {
        None: [399, 400, 499, 500],
        "ok": [399],
        "error": [400, 500],
        "stopped": [499],
    }


def test_chosen_status_stays_chosen(people: Cast) -> None:
    page = text_of(reader(people).get(f"{PAGE}?status=stopped"))
    assert re.search(r'value="stopped"\s+selected', page)
    assert not re.search(r'value="(ok|error)"\s+selected', page)


def test_filter_that_entries_lack_is_named(people: Cast) -> None:
    page = text_of(reader(people).get(f"{PAGE}?project=x&status=review&min_cost=1"))
    for ignored in ("project=x", "status=review", "min_cost=1"):
        assert ignored in page


def test_search_goes_on_where_it_stopped(people: Cast, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(log, "LOOKED_AT_MAX", 1)
    browser = reader(people)
    key = key_of(people.core, "ci")
    asked(key, "needle old", minutes_ago=30)
    new = asked(key, "hay", minutes_ago=20)
    body = searched(browser, "needle", "tz=Asia/Tokyo")
    assert "0 hits" in body
    at = new.created_at.astimezone(dt.timezone(dt.timedelta(hours=9)))
    assert f"{at:%H:%M}." in body
    assert "Looked at 1 request, back to" in body
    cursor = body.split('name="cursor" value="')[1].split('"')[0]
    further = searched(browser, "needle", cursor=cursor)
    assert "needle</mark> old" in further
    assert "No older text of these filters is kept." in further
    assert AuditEvent.objects.filter(action="content.searched").count() == 2


def test_search_without_a_hit_says_how_far_it_looked(people: Cast) -> None:
    """Three answers that a reader tells apart: nothing kept, one looked at, several looked at."""
    browser = reader(people)
    key = key_of(people.core, "ci")
    assert foot_of(searched(browser, "needle")) == "No text of these filters is kept."
    for told in ("1 request", "2 requests"):
        asked(key, "hay")
        body = searched(browser, "needle")
        assert "0 hits" in body
        assert foot_of(body) == f"Looked at {told}. No older text of these filters is kept."
    assert foot_of(searched(browser, "needle", "model=other")) == (
        "No text of these filters is kept."
    )


def test_search_goes_on_where_nothing_is_left(
    people: Cast, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was older is gone meanwhile: something was kept, so that it does not say "no text"."""
    monkeypatch.setattr(log, "LOOKED_AT_MAX", 1)
    browser = reader(people)
    key = key_of(people.core, "ci")
    old = asked(key, "hay", minutes_ago=30)
    asked(key, "needle new", minutes_ago=20)
    body = searched(browser, "needle")
    assert foot_of(body).startswith("Looked at 1 request, back to ")
    cursor = body.split('name="cursor" value="')[1].split('"')[0]
    old.delete()
    further = searched(browser, "needle", cursor=cursor)
    assert foot_of(further) == "No older text of these filters is kept."


def foot_of(body: str) -> str:
    """How far a search says that it went."""
    foot = body.partition('class="panel-foot"')[2].partition("<p>")[2].partition("</p>")[0]
    return " ".join(foot.split())


def test_cursor_that_is_none_begins_again(people: Cast) -> None:
    browser = reader(people)
    asked(key_of(people.core, "ci"), "needle")
    assert "1 hit" in searched(browser, "needle", cursor="made-up")


def downloaded(browser: Client, text: str = "", query: str = "") -> bytes:
    data = {"file": "1", "filter": query, "file-text": text, "file-reason": "an audit"}
    answer: Any = browser.post(PAGE, data)
    assert answer["Content-Type"] == "application/x-ndjson"
    assert answer["Cache-Control"] == "private, no-store"
    assert "attachment" in answer["Content-Disposition"]
    return b"".join(answer.streaming_content)


def lines_of(file: bytes) -> list[dict[str, Any]]:
    return [json.loads(line) for line in file.splitlines()]


def test_reader_downloads_what_the_filters_select(people: Cast) -> None:
    browser = reader(people)
    key = key_of(people.core, "ci", user=people.alice)
    asked(key, "needle", status=500)
    asked(key, "hay")
    line, end = lines_of(downloaded(browser, query="status=error"))
    assert (line["person"], line["key"], line["status"]) == (
        people.alice.email, id_text(key.id), 500,
    )  # fmt: skip
    assert end == {"next": None}
    assert len(lines_of(downloaded(browser, "NEEDLE"))) == 2
    events = AuditEvent.objects.filter(action="content.downloaded")
    assert [(event.reason, event.detail) for event in events.order_by("id")] == [
        ("an audit", {"entries": 1}),
        ("an audit", {"entries": 2, "text": "NEEDLE"}),
    ]


def test_text_and_reason_of_a_search_are_those_of_its_file(people: Cast) -> None:
    browser = reader(people)
    page = searched(browser, "needle")
    assert re.search(r'name="file-text"[^>]*value="needle"', page)
    assert re.search(r'name="file-reason"[^>]*value="a complaint"', page)
    downloaded(browser)
    assert 'value="an audit"' in text_of(browser.get(PAGE))


def test_parts_of_the_page_are_what_htmx_asked_for(people: Cast) -> None:
    """The bar of filters gets the results and their address, a search its form too, and what
    follows only its hits."""
    browser, htmx = reader(people), {"hx-request": "true"}
    data = {"text": "needle", "reason": "why", "filter": "status=error"}
    filtered = browser.get(f"{PAGE}?status=error&team=", headers=htmx)
    assert filtered["HX-Push-Url"] == f"{PAGE}?status=error"
    assert browser.get(PAGE, headers=htmx)["HX-Push-Url"] == PAGE
    answers = [
        filtered,
        browser.post(PAGE, data, headers=htmx),
        browser.post(PAGE, data | {"cursor": ""}, headers=htmx),
    ]
    texts = [text_of(answer) for answer in answers]
    assert ['id="search-contents"' in text for text in texts] == [False, True, False]
    assert ["HX-Push-Url" in answer for answer in answers] == [True, False, False]
    assert ["No text is opened until" in text for text in texts] == [True, False, False]


def test_no_file_without_a_reason(people: Cast) -> None:
    answer = reader(people).post(PAGE, {"file": "1", "file-text": "", "file-reason": " "})
    assert answer.status_code == 422
    assert not AuditEvent.objects.filter(action__startswith="content.").exists()


def test_owner_sees_who_searched_and_downloaded(people: Cast) -> None:
    browser = reader(people)
    asked(key_of(people.core, "ci"), "needle")
    searched(browser, "needle")
    downloaded(browser)
    owner = signed_in(people.alice)
    audit = owner.get("/o/acme/audit?action=read").content.decode()
    assert "searched the content log for" in audit
    assert "(hits:" in audit
    assert "downloaded the content log" in audit
    assert "created role" not in audit
    assert "/o/acme/audit?action=read" in owner.get("/o/acme/content-log").content.decode()


def test_menu_has_the_page_for_readers_alone(people: Cast) -> None:
    assert PAGE in reader(people).get("/o/acme/requests").content.decode()
    assert PAGE not in signed_in(people.alice).get("/o/acme/requests").content.decode()
