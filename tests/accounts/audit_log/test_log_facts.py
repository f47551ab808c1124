"""Each fact of an event in its place: on pages, in files and in the API; and whose events."""

import datetime as dt
from dataclasses import replace
from typing import Any

import pytest

from accounts.access.actors import SYSTEM
from accounts.audit import audit
from accounts.audit.origin import ORIGIN, Origin
from accounts.audit_log import log as audit_log
from accounts.audit_log.facts import facts_of
from accounts.audit_log.log import AuditFilter
from accounts.audit_log.sentences import kinds_of
from accounts.audit_log.words import SENTENCES
from accounts.models import (
    AuditEvent,
    KeyKind,
    Role,
)
from accounts.organisations import teams
from billing.models import InvoiceKind
from lib.ids import id_text
from tests.support.cast import Cast, actor, make_key, signed_in, with_key
from tests.support.lists import file_of

pytestmark = pytest.mark.django_db


def test_details_of_a_change_are_those_that_differ_or_are_new() -> None:
    before, after = {"same": 1, "changed": 2, "gone": 3}, {"same": 1, "changed": 4, "empty": None}
    changes = audit_log.changes_of({"before": before, "after": after, "reason": "why"})
    assert [(one.name, one.before) for one in changes] == [
        ("changed", "2"), ("gone", "3"), ("empty", ""), ("reason", ""),
    ]  # fmt: skip


def test_names_in_a_sentence_are_on_one_line_and_visible() -> None:
    event = AuditEvent(object_type="team", object_id="7", detail={"name": "co\u202ere\n1"})
    facts = facts_of(event, "Ana\u200f\nBo", "the\tteam", {})
    assert (facts["who"], facts["name"], facts["object"]) == (
        "Ana Bo", "co re 1", "the team co re 1",
    )  # fmt: skip


def test_sentence_names_the_kind_of_a_document() -> None:
    named = {
        kind: facts_of(AuditEvent(detail={"kind": kind}), "", "", {})["document"]
        for kind in (*InvoiceKind, "other")
    }
    assert named == {
        "invoice": "an invoice", "credit_note": "a credit note", "debit_note": "a debit note",
        "other": "",
    }  # fmt: skip


def test_act_of_a_key_belongs_to_no_session(people: Cast) -> None:
    key, _ = make_key(people.core, "m", user=people.alice, kind=KeyKind.MANAGEMENT)
    by = actor(people.alice, people.acme)
    token = ORIGIN.set(lambda: Origin("203.0.113.7", "curl/8", "5e55", "R1"))
    for one in (by, replace(by, key=key)):
        audit.record(one, people.acme, "team.changed", people.core)
    ORIGIN.reset(token)
    events = AuditEvent.objects.order_by("-id")[:2]
    assert [event.session for event in events] == ["", "5e55"]
    assert {(event.address, event.client, event.request_id) for event in events} == {
        ("203.0.113.7", "curl/8", "R1")
    }


def test_period_of_the_log_includes_its_start_and_not_its_end(people: Cast) -> None:
    audit.record(SYSTEM, people.acme, "team.changed", people.core)
    event = AuditEvent.objects.latest("id")
    one, second = AuditEvent.objects.filter(pk=event.pk), dt.timedelta(microseconds=1)
    for since, until, found in (
        (event.at, None, 1),
        (event.at + second, None, 0),
        (None, event.at, 0),
        (None, event.at + second, 1),
    ):
        wanted = AuditFilter(since=since, until=until)
        assert audit_log.filter_events(one, wanted).count() == found


def test_team_limited_reader_sees_what_the_teams_keys_did(people: Cast) -> None:
    """P12."""
    other = teams.create_team(people.acme, "other", actor=SYSTEM)
    mine, _ = make_key(people.core, "mine", user=people.alice, kind=KeyKind.MANAGEMENT)
    theirs, _ = make_key(other, "theirs", user=people.alice, kind=KeyKind.MANAGEMENT)
    by = actor(people.alice, people.acme)
    for key in (mine, theirs):
        audit.record(replace(by, key=key), people.acme, "budget.created", people.bob)
    limited = replace(by, role=Role.ADMIN, teams=frozenset({people.core.id}))
    events = audit_log.visible_events(limited).filter(action="budget.created")
    assert [event.actor_key for event in events] == [mine.id]


def test_event_in_files_and_the_api_has_each_of_its_facts_in_its_place(people: Cast) -> None:
    token = ORIGIN.set(lambda: Origin("203.0.113.7", "curl/8", "5e55", "R1"))
    key, _ = make_key(people.core, "ci")
    audit.record(
        actor(people.alice, people.acme), people.acme, "key.changed", key, reason="why",
        before={"rpm": 5}, after={"rpm": 7}, name="ci",
    )  # fmt: skip
    ORIGIN.reset(token)
    _, text = make_key(people.core, "m", user=people.alice, kind=KeyKind.MANAGEMENT)
    answer = with_key(text).get("/api/v1/audit?action=key.changed").json()
    (item,) = answer["items"]
    assert (item["before"], item["after"]) == ({"rpm": 5}, {"rpm": 7})
    assert item["detail"] == {"name": "ci"}
    assert item["object"] == {"type": "key", "id": id_text(key.id)}
    assert item["actor"] == {"user": people.alice.email, "key": None}
    told = [item[name] for name in ("address", "client", "session", "request", "reason")]
    assert told == ["203.0.113.7", "curl/8", "5e55", "R1", "why"]
    assert item["organisation"] == "acme"


def test_log_names_the_key_or_the_session_of_an_act(people: Cast) -> None:
    key, _ = make_key(people.core, "deploy", user=people.alice, kind=KeyKind.MANAGEMENT)
    by = actor(people.alice, people.acme)
    token = ORIGIN.set(lambda: Origin(session="5e55"))
    audit.record(by, people.acme, "team.changed", people.core)
    audit.record(replace(by, key=key), people.acme, "team.changed", people.core)
    ORIGIN.reset(token)
    rows = file_of(signed_in(people.alice), "/o/acme/audit?cols=via&object=team&export=csv")
    means = [row["via"] for row in rows]
    assert means[:2] == [f"deploy …{key.last4}", "5e55"]


# Each group of the filter, by the last word of the kinds that belong to it whatever their noun.
ENDINGS = {
    "created": ("created", "restored", "added"),
    "changed": ("renamed", "limited", "plan"),
    "removed": ("removed", "deleted", "revoked", "archived", "withdrawn", "forgotten"),
    "security": ("signed_in", "rotated"),
    "decided": ("approved", "rejected", "denied", "acknowledged"),
}
# Named by another word of their kind.
OTHERWISE = {
    "backup.restored": "ran",
    "passkey.added": "security",
    "authenticator_app.added": "security",
    "passkey.removed": "security",
    "authenticator_app.removed": "security",
    "passkey.renamed": "security",
    "own_key.rotated": "changed",
    "approval.withdrawn": "decided",
    "device.denied": "security",
    "usage_member.revoked": "decided",
}


@pytest.mark.parametrize("group", sorted(ENDINGS))
def test_filter_by_act_finds_the_kinds_that_say_so(group: Any) -> None:
    said = {
        kind
        for kind in SENTENCES
        if kind.partition(".")[2] in ENDINGS[group] and kind not in OTHERWISE
    }
    said |= {kind for kind, act in OTHERWISE.items() if act == group}
    assert said <= set(kinds_of(group))


def test_sentence_has_the_day_of_the_books(people: Cast) -> None:
    """A price from the first second of a day (UTC), written down in another zone."""
    audit.record(
        actor(people.alice, people.acme), None, "price.set", people.core, name="m",
        valid_from="2026-03-01T01:00:00+02:00",
    )  # fmt: skip
    (one,) = audit_log.describe_events([AuditEvent.objects.latest("id")])
    assert one.sentence.endswith("from 28 Feb 2026")
