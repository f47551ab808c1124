"""The trail as it is read (W56, W80): its pages, its files, its API."""

import csv
import datetime as dt
import html
import io
import json
import re
from dataclasses import replace
from typing import Any

import pytest
from django.db import connection
from django.test import Client

from accounts.access.actors import SYSTEM
from accounts.audit import audit
from accounts.audit.origin import ORIGIN, Origin
from accounts.audit_log import log as audit_log
from accounts.audit_log.log import changes_of
from accounts.custom_roles import custom_roles
from accounts.keys import keys
from accounts.models import AuditCheck, AuditEvent, Role, User
from accounts.organisations import teams
from content.models import Entry
from lib import clock
from lib.ids import id_text, new_id
from tests.support.cast import Cast, actor, make_key, member, signed_in, with_key
from tests.support.markup import squeezed

ACTIONS = ("key.created", "key.changed", "budget.created")


@pytest.fixture
def alice(people: Cast) -> Client:
    return signed_in(people.alice)


@pytest.fixture
def events(people: Cast) -> list[AuditEvent]:
    """Some of alice's, the last of charlie's organisation."""
    by = actor(people.alice, people.acme)
    for n, action in enumerate(ACTIONS):
        audit.record(by, people.acme, action, people.core, name=f"core {n}")
    foreign = actor(people.charlie, people.stranger)
    audit.record(foreign, people.stranger, "team.renamed", people.stranger, name="secret plan")
    return list(AuditEvent.objects.order_by("-id")[:4][::-1])


def text(client: Client, address: str) -> str:
    response = client.get(address)
    assert response.status_code == 200, response.status_code
    return response.content.decode()


@pytest.mark.usefixtures("events")
def test_organisation_sees_only_its_own_events(people: Cast, alice: Client) -> None:
    page = text(alice, "/o/acme/audit")
    assert all(f"core {n}" in page for n in range(2))
    assert "<bdi>Alice</bdi> created API key" in page
    assert "secret plan" not in page


def test_foreign_events_are_not_found(
    people: Cast, alice: Client, events: list[AuditEvent]
) -> None:
    """P12."""
    *_, foreign = (id_text(event.id) for event in events)
    assert alice.get(f"/o/acme/audit/{foreign}").status_code == 404
    assert alice.get("/o/acme/audit/x").status_code == 404
    assert alice.get("/o/stranger/audit").status_code == 404
    for address in ("/admin/audit", f"/admin/audit/{foreign}"):
        assert alice.get(address).status_code == 404


def test_events_are_found_by_their_request(people: Cast, alice: Client) -> None:
    """By that which caused an event, and by those that it is about."""
    by, read, found, other = actor(people.alice, people.acme), *(id_text(new_id()) for _ in "123")
    audit.record(
        by, people.acme, "content.read", Entry(request_id=new_id()), reason="one", request=read
    )
    hits = {"requests": [found, read]}
    audit.record(by, people.acme, "content.searched", people.acme, reason="two", **hits)
    audit.record(
        by, people.acme, "content.read", Entry(request_id=new_id()), reason="three", request=other
    )
    token = ORIGIN.set(lambda: Origin(request_id=read))
    audit.record(by, people.acme, "key.created", people.core, reason="four")
    ORIGIN.reset(token)

    def reasons(query: str) -> set[str]:
        lines: Any = alice.get(f"/o/acme/audit?export=jsonl&{query}")
        return set(re.findall(r'"reason": "(\w+)"', b"".join(lines).decode()))

    assert reasons(f"request={read}") == {"one", "two", "four"}
    assert reasons(f"action=read&request={read}") == {"one", "two"}
    assert reasons(f"request={found}") == {"two"}
    page = text(alice, f"/o/acme/audit?request={read}")
    assert re.search(rf'<option\s+value="{read}"\s+selected', page)
    assert 'name="request"' not in text(alice, "/o/acme/audit")


def test_the_list_shows_the_reason_and_that_nobody_has_read(people: Cast, alice: Client) -> None:
    by, rid, other = actor(people.alice, people.acme), id_text(new_id()), id_text(new_id())
    of_both = "No one has read contents yet", "View all events"
    assert all(one in text(alice, "/o/acme/audit?action=read") for one in of_both)
    audit.record(
        by, people.acme, "content.read", Entry(request_id=new_id()), reason="<b>" + "w" * 400,
        request=rid,
    )  # fmt: skip
    for query in ("action=read", f"action=read&request={rid}"):
        page = squeezed(alice.get(f"/o/acme/audit?{query}").content.decode())
        assert f"Reason: &lt;b&gt;{'w' * 156}…" in page
        assert "No one has read" not in page
    assert "No one has read this request" in text(
        alice, f"/o/acme/audit?action=read&request={other}"
    )
    # With a filter of the reader's own it is about the filters.
    for query in (f"request={other}", f"action=read&request={other}&since=2026-01-01"):
        page = text(alice, f"/o/acme/audit?{query}")
        assert "Nothing matches these filters" in page
        assert "No one has read" not in page
    link = re.search(r'href="([^"]*export=csv)"', text(alice, "/o/acme/audit"))
    assert link is not None
    file: Any = alice.get(f"/o/acme/audit{html.unescape(link[1])}")
    assert "w" * 400 in b"".join(file).decode()


def test_reading_names_its_request_once_as_a_link(people: Cast, alice: Client) -> None:
    by, rid = actor(people.alice, people.acme), id_text(new_id())
    audit.record(
        by, people.acme, "content.read", Entry(request_id=new_id()), reason="why", request=rid
    )
    id = id_text(AuditEvent.objects.latest("id").id)
    page = text(alice, f"/o/acme/audit/{id}")
    assert page.count("Request ID") == 1
    assert f'<a class="mono" href="/o/acme/requests/{rid}">{rid}</a>' in page
    # The log of the installation is read by people of no organisation.
    page = text(signed_in(people.dora), f"/admin/audit/{id}")
    assert f'<span class="mono">{rid}</span>' in page
    assert f"requests/{rid}" not in page


def test_unpermitted_reader_is_rejected(people: Cast) -> None:
    assert signed_in(people.bob).get("/o/acme/audit").status_code == 403


@pytest.mark.usefixtures("events")
def test_team_limited_reader_sees_only_team_events(people: Cast) -> None:
    """P12."""
    make_key(people.core, "ours")
    other = teams.create_team(people.acme, "other", actor=SYSTEM)
    make_key(other, "theirs")
    limited = replace(
        actor(people.alice, people.acme), role=Role.ADMIN, teams=frozenset({people.core.id})
    )
    audit.record(limited, people.acme, "budget.created", people.bob, name="of a person")
    shown_events = audit_log.describe_events(list(audit_log.visible_events(limited)))
    messages = {f"{one.event.action} {one.event.detail.get('name')}" for one in shown_events}
    assert {"key.created ours", "key.created core 0"} <= messages
    assert "key.created theirs" not in messages
    assert "budget.created of a person" not in messages


def test_operators_see_all_events_or_those_of_one_organisation(
    people: Cast, alice: Client, events: list[AuditEvent]
) -> None:
    """W80."""
    dora = signed_in(people.dora)
    assert "secret plan" in text(dora, "/admin/audit")
    own = json_lines(alice, "/o/acme/audit?export=jsonl")
    assert json_lines(dora, "/admin/audit?organisation=acme&export=jsonl") == own
    assert "secret plan" in text(dora, f"/admin/audit/{id_text(events[-1].id)}")


def json_lines(client: Client, address: str) -> list[dict[str, Any]]:
    response: Any = client.get(address)
    assert response["Content-Type"] == "application/x-ndjson"
    return [json.loads(line) for line in b"".join(response).decode().splitlines()]


@pytest.mark.usefixtures("events")
@pytest.mark.parametrize(
    ("query", "page_text"),
    [
        ("actor=ALICE", ACTIONS),
        ("actor=bob", ()),
        ("action=created", (ACTIONS[0], ACTIONS[2])),
        ("action=changed", ACTIONS[1:2]),
        ("action=key.", ACTIONS),
        ("object=team", ACTIONS),
        ("object=budget", ()),
        ("since=2999-01-01", ()),
        ("until=2001-01-01", ()),
        ("until=9999-99-99", ACTIONS),
        ("until=9999-12-31", ACTIONS),
    ],
)
def test_filters(alice: Client, query: str, page_text: tuple[str, ...]) -> None:
    actions = {line["action"] for line in json_lines(alice, f"/o/acme/audit?{query}&export=jsonl")}
    assert actions & set(ACTIONS) == set(page_text)


def test_a_whole_address_is_one_person(people: Cast, alice: Client) -> None:
    """Not also the people whose address ends with it."""
    joan = member(people.acme, "malice", Role.ADMIN)
    audit.record(actor(joan, people.acme), people.acme, "team.renamed", people.core, name="joan's")
    asked = {"alice@example.org": 0, "ALICE@example.org": 0, joan.email: 1, "alice@example": 1}
    for address, n in asked.items():
        lines = json_lines(alice, f"/o/acme/audit?actor={address}&export=jsonl")
        renamed = [line for line in lines if line["action"] == "team.renamed"]
        assert len(renamed) == n, address


def test_part_of_an_address_finds_everybody(people: Cast, alice: Client) -> None:
    """However many people of the installation have it."""
    User.objects.bulk_create(User(email=f"p{n}@example.org") for n in range(300))
    last = member(people.acme, "zoe", Role.ADMIN)
    audit.record(actor(last, people.acme), people.acme, "team.renamed", people.core, name="zoe's")
    lines = json_lines(alice, "/o/acme/audit?actor=@example.org&export=jsonl")
    assert "team.renamed" in {line["action"] for line in lines}


def test_today_is_in_a_range_of_today(alice: Client, events: list[AuditEvent]) -> None:
    today = f"{clock.now():%Y-%m-%d}"
    lines = json_lines(alice, f"/o/acme/audit?since={today}&until={today}&export=jsonl")
    assert {line["action"] for line in lines} >= set(ACTIONS)


@pytest.mark.usefixtures("events")
def test_files_contain_the_filtered_events(alice: Client) -> None:
    response: Any = alice.get("/o/acme/audit?object=team&export=csv&cols=action,who,object")
    rows = list(csv.reader(io.StringIO(b"".join(response).decode())))
    assert rows[1:] == [
        ["budget.created", "alice@example.org", "Team core 2"],
        ["key.changed", "alice@example.org", "Team core 1"],
        ["key.created", "alice@example.org", "Team core 0"],
    ]


def test_long_log_is_read_to_its_end(people: Cast, alice: Client) -> None:
    for n in range(60):
        audit.record(SYSTEM, people.acme, "team.changed", people.core, n=n)
    first = text(alice, "/o/acme/audit?action=changed&rows=50")
    assert first.count("<tr") == 51
    assert "after=" in first


def test_the_file_has_each_event_once_however_many_are_read_at_once(
    people: Cast, monkeypatch: pytest.MonkeyPatch
) -> None:
    for n in range(4):
        audit.record(SYSTEM, people.acme, "team.changed", people.core, n=n)
    written = AuditEvent.objects.filter(action="team.changed").order_by("-id")
    for at_once in (1, 2, 3, 4, 5):
        monkeypatch.setattr(audit_log, "_BATCH", at_once)
        lines = "".join(audit_log.json_lines(written)).splitlines()
        assert [json.loads(line)["detail"]["n"] for line in lines] == [3, 2, 1, 0], at_once


def test_change_shows_old_and_new_values(people: Cast, alice: Client) -> None:
    key, _ = make_key(people.core, "ci", user=people.alice)
    keys.change_key(actor(people.alice, people.acme), key, name="deploy", disabled=True)
    event = AuditEvent.objects.get(action="key.changed")
    page = text(alice, f"/o/acme/audit/{id_text(event.id)}")
    assert "<del>ci</del> → <ins>deploy</ins>" in page
    assert [(one.before, one.after) for one in changes_of(event.detail) if one.name == "name"] == [
        ("ci", "deploy")
    ]


def test_the_badge_says_how_far_the_chain_was_verified(alice: Client) -> None:
    assert "Chain not verified yet" in text(alice, "/o/acme/audit")
    until = dt.datetime(2026, 11, 1, 12, 30, tzinfo=dt.UTC)
    AuditCheck.objects.create(checked_at=clock.now(), until=until)
    assert "Chain verified until 1 Nov 2026, 12:30 UTC" in text(alice, "/o/acme/audit")
    AuditCheck.objects.update(problem="seal 7: its code is not ours")
    page = text(alice, "/o/acme/audit")
    assert "Chain broken" in page
    assert "seal 7" in page


# The management API ------------------------------------------------------------------------------


def test_the_api_pages_and_filters(people: Cast, events: list[AuditEvent]) -> None:
    _, secret = make_key(people.core, "m", kind="management", user=people.alice)
    owner = with_key(secret)
    page = owner.get("/api/v1/audit?actor=alice&object=team&limit=2").json()
    assert [item["action"] for item in page["items"]] == [ACTIONS[2], ACTIONS[1]]
    rest = owner.get(
        "/api/v1/audit", {"actor": "alice", "object": "team", "cursor": page["next"]}
    ).json()
    assert rest["items"][0]["action"] == ACTIONS[0]
    item = page["items"][0]
    assert item["actor"] == {"user": "alice@example.org", "key": None}
    assert (item["organisation"], item["detail"]) == ("acme", {"name": "core 2"})
    assert owner.get("/api/v1/audit?nonsense=1").status_code == 400
    assert owner.get("/api/v1/audit?since=2999-01-01T00:00:00Z").json()["items"] == []


def test_api_is_for_permitted_readers(people: Cast) -> None:
    _, model_key = make_key(people.core, "r", user=people.alice)
    _, bobs = make_key(people.core, "b", kind="management", user=people.bob)
    for secret in (model_key, bobs):
        assert with_key(secret).get("/api/v1/audit").status_code == 403
    assert Client().get("/api/v1/audit").status_code == 401


# From where --------------------------------------------------------------------------------------


def test_event_shows_its_origin(people: Cast, alice: Client) -> None:
    """No call of a write says so: whoever begins a request does."""
    agent = {"user-agent": "Browser/1"}
    for key in (make_key(people.core, "a")[0], make_key(people.core, "b")[0]):
        address = f"/o/acme/keys/{id_text(key.id)}/revoke"
        response = alice.post(address, {"confirm": key.name}, headers=agent)
        assert response.status_code < 400
    first, second = AuditEvent.objects.filter(action="key.revoked").order_by("id")
    assert (first.address, first.client) == ("127.0.0.1", "Browser/1")
    assert second.request_id == response["x-request-id"]
    assert first.session == second.session != ""
    assert str(alice.session.session_key) not in first.session
    other = signed_in(people.alice)
    key, _ = make_key(people.core, "c")
    other.post(f"/o/acme/keys/{id_text(key.id)}/revoke", {"confirm": "c"})
    assert AuditEvent.objects.filter(action="key.revoked").latest("id").session != first.session


def test_a_key_is_named_and_no_session(people: Cast) -> None:
    management, secret = make_key(people.core, "m", kind="management", user=people.alice)
    key, _ = make_key(people.core, "old")
    response = with_key(secret).delete(f"/api/v1/keys/{id_text(key.id)}")
    assert response.status_code < 300, response.content
    event = AuditEvent.objects.get(action="key.revoked")
    assert (event.actor_key, event.session, event.address) == (management.id, "", "127.0.0.1")


def test_event_outside_a_request_has_no_origin(people: Cast) -> None:
    signed_in(people.alice).get("/o/acme/audit")
    audit.record(SYSTEM, people.acme, "x.done", people.core)
    event = AuditEvent.objects.get(action="x.done")
    assert (event.address, event.client, event.request_id) == ("", "", "")


@pytest.mark.parametrize(
    "planted",
    [
        "sk-weir-" + "a1B2" * 9 + "zz",
        "sk-ant-api03-" + "x" * 40,
        "sk-proj-" + "y" * 40,
        "sk_live_" + "z" * 24,
        "whsec_" + "q" * 32,
        "AIza" + "S" * 35,
        "ghp_" + "h" * 36,
        "eyJhbGciOi.eyJzdWIiOiIx.c2lnbmF0dXJl",
        "https://me:hunter2hunter2@host.example/x",
        "https://host.example/?api_key=0123456789abcdef",
        "Bearer abcdefghijklmnop0123",
    ],
)
def test_no_secret_is_kept(people: Cast, alice: Client, planted: str) -> None:
    """P14: not in what was changed, not in a reason, not in what calls itself so."""
    body: dict[str, object] = {
        "name": f"before {planted} after",
        "after": {"deep": [{"url": planted}]},
    }
    audit.record(SYSTEM, people.acme, "x.done", people.core, reason=f"was {planted}", **body)
    key, _ = make_key(people.core, "ci")
    address = f"/o/acme/keys/{id_text(key.id)}/revoke"
    alice.post(address, {"confirm": "ci"}, headers={"user-agent": planted})
    secret = planted.split("me:")[-1].split("@")[0].split("key=")[-1][-12:]
    with connection.cursor() as cursor:
        cursor.execute("SELECT string_agg(event::text, '|') FROM accounts_auditevent event")
        ((kept,),) = cursor.fetchall()
    assert "***" in kept
    assert secret not in kept
    assert "before " in kept


def test_an_event_shows_its_objects_name_and_no_empty_values(people: Cast, alice: Client) -> None:
    role = custom_roles.create_role(
        people.acme, "Auditor", ["audit.read"], actor=actor(people.alice, people.acme)
    )
    make_key(people.core, "ci", user=people.bob, rpm=60)
    page = text(alice, "/o/acme/audit?cols=event,object,change")
    assert "Role Auditor" in page
    assert "API key ci" in page
    assert "rpm: 60" in page
    assert "tpm: –" not in page
    event = AuditEvent.objects.get(object_id=id_text(role.id))
    assert "<dd>Role <span" in text(alice, f"/o/acme/audit/{id_text(event.id)}")
    alice.cookies["language"] = "zh-hans"
    assert "角色 Auditor" in text(alice, "/o/acme/audit?cols=object")
