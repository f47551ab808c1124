"""Rules of the content log: who writes them, by page and API, and what is recorded (P12)."""

import datetime as dt
import html
from typing import Any

import pytest
from django.contrib.messages import get_messages
from django.test import override_settings

from accounts.access.actors import SYSTEM
from accounts.keys import keys
from accounts.members import members
from accounts.models import AuditEvent, Epoch, KeyKind, Role
from accounts.organisations import teams
from content.models import LogRule
from content.rules import log_rules
from content.rules.forms import RuleForm
from content.rules.log_rules import RuleRefused
from lib import clock
from lib.ids import id_text
from tests.billing.credits.test_operator_api import api_of, post
from tests.support.cast import Cast, actor, make_key, member, signed_in
from tests.support.lists import rows_of
from tests.usage.rows import NOON

pytestmark = pytest.mark.django_db

PAGE = "/o/acme/content-log"
FORM = {
    "scope": "organisation", "subject": "", "keep": "everything", "retention": "7", "unit": "24",
    "share_percent": "100", "callers_may_opt_out": "on", "redact": ["iban", "card"],
}  # fmt: skip


def epoch() -> int:
    return Epoch.objects.get().n


def said(response: Any) -> tuple[str, list[str]]:
    """Where a form leads, and what the page there says."""
    messages = [message.message for message in get_messages(response.wsgi_request)]
    return response.headers["location"], messages


def test_rule_is_added_changed_and_deleted_on_its_pages(people: Cast) -> None:
    browser = signed_in(people.alice)
    assert "No text is kept" in browser.get(PAGE).content.decode()
    before = epoch()
    added = browser.post(f"{PAGE}/new", FORM)
    assert said(added) == (PAGE, ["Rule added. It applies from now on."])
    assert epoch() > before
    rule = LogRule.objects.get()
    assert (rule.keep, rule.retention_hours, rule.share_percent) == ("everything", 168, 100)
    assert rule.callers_may_opt_out
    assert rule.redact == ["card", "iban"]
    assert rows_of(browser, PAGE) == ["Acme Organisation Every request 7 days – 100 % Yes"]
    edit = f"{PAGE}/{id_text(rule.id)}/edit"
    changed = {"keep": "errors", "retention": "6", "unit": "1", "share_percent": "20",
               "redact": ["telephone"]}  # fmt: skip
    before = epoch()
    assert said(browser.post(edit, changed)) == (PAGE, ["Rule saved. It applies from now on."])
    assert epoch() > before
    assert rows_of(browser, PAGE) == ["Acme Organisation Only requests that fail 6 hours – 20 % No"]
    assert 'value="6"' in browser.get(edit).content.decode()
    assert said(browser.post(f"{PAGE}/{id_text(rule.id)}/remove")) == (PAGE, ["Rule deleted."])
    assert not LogRule.objects.exists()
    events = AuditEvent.objects.filter(action__startswith="log_rule.").order_by("id")
    assert [event.action for event in events] == [
        "log_rule.added", "log_rule.changed", "log_rule.removed",
    ]  # fmt: skip
    assert events[0].detail["redact"] == ["card", "iban"]
    assert events[1].detail["before"]["retention_hours"] == 168
    assert events[1].detail["after"]["redact"] == ["telephone"]
    assert events[1].detail["after"]["keep"] == "errors"


def test_team_key_and_model_are_named_by_the_caller(people: Cast) -> None:
    key, _ = make_key(people.core, "ci")
    api = api_of(people, "alice")
    bodies = [
        ({"scope": "team", "subject": "core"}, str(people.core.id)),
        ({"scope": "key", "subject": id_text(key.id)}, str(key.id)),
        ({"scope": "model", "subject": "gpt-*"}, "gpt-*"),
    ]
    for body, stored in bodies:
        answer = post(api, "/content-log/rules", body)
        assert answer.status_code == 201, answer.content
        assert answer.json()["subject"] == body["subject"]
        assert LogRule.objects.latest("id").subject == stored
    names = [row["subject_name"] for row in api.get("/api/v1/content-log/rules").json()["items"]]
    assert names == ["gpt-*", "ci", people.core.name]
    found = signed_in(people.alice).get(f"{PAGE}/_f/subjects?scope=key&q=ci").content.decode()
    assert id_text(key.id) in found


@pytest.mark.parametrize(
    ("body", "status", "param"),
    [
        ({"scope": "team", "subject": "nowhere"}, 422, "subject"),
        ({"scope": "key", "subject": "nothing"}, 422, "subject"),
        ({"scope": "model", "subject": "two words"}, 422, "subject"),
        ({"scope": "model", "subject": ""}, 422, "subject"),
        ({"scope": "organisation", "share_percent": 0}, 422, "share_percent"),
        ({"scope": "organisation", "retention_hours": 8761}, 422, "retention_hours"),
        ({"scope": "user"}, 422, "scope"),
        ({"scope": "organisation", "redact": ["words"]}, 422, "redact.0"),
    ],
)
def test_rule_that_fits_nothing_is_rejected(
    people: Cast, body: dict[str, object], status: int, param: str
) -> None:
    answer = post(api_of(people, "alice"), "/content-log/rules", body)
    assert (answer.status_code, answer.json()["error"]["param"]) == (status, param)
    assert not LogRule.objects.exists()


def test_key_of_another_organisation_is_unknown(people: Cast) -> None:
    """P12"""
    team = people.stranger.teams.get()
    key, _ = make_key(team, "theirs")
    body = {"scope": "key", "subject": id_text(key.id)}
    assert post(api_of(people, "alice"), "/content-log/rules", body).status_code == 422


def test_archived_team_and_revoked_key_get_no_rule(people: Cast) -> None:
    """Nor does a key that makes no requests to models."""
    second = teams.create_team(people.acme, "second", actor=SYSTEM)
    teams.archive_team(second, actor=SYSTEM)
    ended, _ = make_key(people.core, "ended")
    keys.revoke_key(SYSTEM, ended)
    managing, _ = make_key(people.core, "m", user=people.alice, kind=KeyKind.MANAGEMENT)
    alice = actor(people.alice, people.acme)
    for scope, subject in (
        ("team", second.slug), ("key", id_text(ended.id)), ("key", id_text(managing.id)),
    ):  # fmt: skip
        with pytest.raises(RuleRefused, match="does not exist"):
            log_rules.find_subject(alice, scope, subject)


def test_second_rule_for_one_subject_is_rejected(people: Cast) -> None:
    api = api_of(people, "alice")
    assert post(api, "/content-log/rules", {"scope": "organisation"}).status_code == 201
    assert post(api, "/content-log/rules", {"scope": "organisation"}).status_code == 409
    again = signed_in(people.alice).post(f"{PAGE}/new", FORM)
    assert again.status_code == 422
    assert "already a rule" in again.content.decode()


def test_api_changes_and_deletes_a_rule(people: Cast) -> None:
    api = api_of(people, "alice")
    added = post(api, "/content-log/rules", {"scope": "organisation"}).json()
    path = f"/api/v1/content-log/rules/{added['id']}"
    changed = api.patch(path, {"keep": "nothing"}, content_type="application/json")
    assert (changed.json()["keep"], changed.json()["retention_hours"]) == ("nothing", 168)
    assert changed.json()["redact"] == ["secret", "private_key", "card", "iban"]
    fewer = api.patch(path, {"redact": ["email", "secret"]}, content_type="application/json")
    assert fewer.json()["redact"] == ["secret", "email"]
    assert api.get(path).json()["keep"] == "nothing"
    assert api.delete(path).status_code == 204
    assert api.get(path).status_code == 404


def test_rule_has_an_end(people: Cast, monkeypatch: pytest.MonkeyPatch) -> None:
    """Until then the pages name it; from then on the rule keeps nothing and is shown as ended."""
    monkeypatch.setattr(clock, "now", lambda: NOON)
    key, _ = make_key(people.core, "ci", user=people.bob)
    alice = signed_in(people.alice)
    for at in ("2026-11-18T12:00", "2025-01-01T00:00"):
        refused = alice.post(f"{PAGE}/new", FORM | {"ends_at": at})
        assert "This is in the past." in refused.content.decode()
    assert alice.post(f"{PAGE}/new", FORM | {"ends_at": "2026-11-19T12:00"}).status_code == 303
    rule = LogRule.objects.get()
    assert rule.ends_at == NOON + dt.timedelta(days=1)
    page, edit = f"/o/acme/keys/{id_text(key.id)}", f"{PAGE}/{id_text(rule.id)}/edit"
    told = "Prompts and answers are kept for 7 days. The rule ends on 19 Nov 2026, 12:00 UTC."
    assert told in alice.get(page).content.decode()
    assert 'value="2026-11-19T12:00"' in alice.get(edit).content.decode()
    assert "Every request" in rows_of(alice, PAGE)[0]

    monkeypatch.setattr(clock, "now", lambda: NOON + dt.timedelta(days=1))
    assert "Prompts and answers are not logged." in alice.get(page).content.decode()
    assert log_rules.kept_by(people.acme).rule is None
    assert "Nothing: it has ended" in rows_of(alice, PAGE)[0]
    # What it says besides can be changed. An end that is not changed may be past.
    changed = {**FORM, "ends_at": "2026-11-19T12:00", "share_percent": "50"}
    assert alice.post(edit, changed).status_code == 303
    assert LogRule.objects.get().share_percent == 50
    assert alice.post(edit, {**FORM, "ends_at": ""}).status_code == 303
    assert LogRule.objects.get().ends_at is None
    assert "Every request" in rows_of(alice, PAGE)[0]
    events = AuditEvent.objects.filter(action__startswith="log_rule.").order_by("id")
    added, _, changed_last = (event.detail for event in events)
    assert added["ends_at"] == changed_last["before"]["ends_at"] == "2026-11-19T12:00:00+00:00"
    assert changed_last["after"]["ends_at"] is None


def test_api_gives_a_rule_an_end_and_takes_it(people: Cast) -> None:
    api, end = api_of(people, "alice"), "2999-01-01T00:00:30Z"
    added = post(api, "/content-log/rules", {"scope": "organisation", "ends_at": end}).json()
    assert added["ends_at"] == end
    path = f"/api/v1/content-log/rules/{added['id']}"

    def change(**fields: object) -> object:
        return api.patch(path, fields, content_type="application/json").json()["ends_at"]

    assert change(keep="errors") == end
    # The form has no seconds, and changes none.
    edit = f"{PAGE}/{added['id']}/edit"
    sent = {**FORM, "ends_at": "2999-01-01T00:00", "keep": "everything"}
    assert signed_in(people.alice).post(edit, sent).status_code == 303
    assert api.get(path).json()["ends_at"] == end
    assert change(ends_at=None) is None


def test_only_owners_see_and_write_rules(people: Cast) -> None:
    """P12"""
    rule = log_rules.add_rule(SYSTEM, people.acme, scope="organisation")
    pages = [PAGE, f"{PAGE}/new", f"{PAGE}/{id_text(rule.id)}/edit", f"{PAGE}/_f/subjects"]
    ann, bob = signed_in(member(people.acme, "ann", Role.ADMIN)), signed_in(people.bob)
    for page in pages:
        assert ann.get(page).status_code == 403
        assert bob.get(page).status_code == 403
        assert signed_in(people.charlie).get(page).status_code == 404
    assert bob.post(f"{PAGE}/{id_text(rule.id)}/remove").status_code == 403
    members.set_member(people.stranger, people.charlie.email, Role.OWNER, actor=SYSTEM)
    there = f"/o/{people.stranger.slug}/content-log/{id_text(rule.id)}/edit"
    assert signed_in(people.charlie).get(there).status_code == 404
    assert LogRule.objects.get().keep == "everything"


def test_rule_of_the_key_comes_before_others(people: Cast) -> None:
    key, _ = make_key(people.core, "ci")
    assert log_rules.kept_by(people.acme, people.core, key).rule is None
    log_rules.add_rule(SYSTEM, people.acme, scope="organisation", keep="errors")
    log_rules.add_rule(SYSTEM, people.acme, scope="key", subject=str(key.id), retention_hours=3)
    rule = log_rules.kept_by(people.acme, people.core, key).rule
    assert rule is not None
    assert (rule.scope, rule.retention_hours) == ("key", 3)


def test_rules_are_limited_in_number(people: Cast, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(log_rules, "RULES_MAX", 1)
    log_rules.add_rule(SYSTEM, people.acme, scope="organisation")
    with pytest.raises(RuleRefused):
        log_rules.add_rule(
            actor(people.alice, people.acme), people.acme, scope="model", subject="m"
        )


def test_key_and_connect_say_what_is_kept(people: Cast) -> None:
    key, _ = make_key(people.core, "ci", user=people.bob)
    page = f"/o/acme/keys/{id_text(key.id)}"
    connect = "/o/acme/connect"
    alice, bob = signed_in(people.alice), signed_in(people.bob)
    assert "Prompts and answers are not logged." in bob.get(page).content.decode()
    assert "are kept for" not in bob.get(connect).content.decode()
    log_rules.add_rule(SYSTEM, people.acme, scope="organisation", retention_hours=30)
    assert "Prompts and answers are kept for 30 hours." in bob.get(page).content.decode()
    assert "Prompts and answers are kept for 30 hours." in bob.get(connect).content.decode()
    link = f"content-log/new?scope=key&amp;subject={id_text(key.id)}"
    assert link in alice.get(page).content.decode()
    assert link not in bob.get(page).content.decode()
    form = alice.get(f"{PAGE}/new?scope=key&subject={id_text(key.id)}").content.decode()
    assert id_text(key.id) in form
    assert ">ci<" in form


def test_rule_from_a_key_leads_back_to_the_key(people: Cast) -> None:
    key, _ = make_key(people.core, "ci", user=people.bob)
    page, alice = f"/o/acme/keys/{id_text(key.id)}", signed_in(people.alice)
    link = f"/o/acme/content-log/new?scope=key&amp;subject={id_text(key.id)}&amp;next={page}"
    assert link in alice.get(page).content.decode()
    form = alice.get(html.unescape(link)).content.decode()
    assert f'<input type="hidden" name="next" value="{page}">' in form
    sent = {
        "scope": "key", "subject": id_text(key.id), "keep": "everything", "retention": 24,
        "unit": "1", "share_percent": 100,
    }  # fmt: skip
    assert alice.post(f"{PAGE}/new", {**sent, "next": page}).headers["location"] == page
    elsewhere = {**sent, "scope": "team", "subject": people.core.slug, "next": "//evil.example/"}
    assert alice.post(f"{PAGE}/new", elsewhere).headers["location"] == PAGE


@pytest.mark.parametrize(
    ("hours", "text", "n", "unit"),
    [(1, "1 hour", 1, 1), (24, "24 hours", 24, 1), (47, "47 hours", 47, 1), (48, "2 days", 2, 24),
     (49, "49 hours", 49, 1), (168, "7 days", 7, 24)],
)  # fmt: skip
def test_pages_and_the_form_have_one_unit_for_a_time(
    people: Cast, hours: int, text: str, n: int, unit: int
) -> None:
    rule = log_rules.add_rule(SYSTEM, people.acme, scope="organisation", retention_hours=hours)
    alice = signed_in(people.alice)
    assert f">{text}<" in alice.get(PAGE).content.decode()
    form = RuleForm.of(rule, None)
    assert (form["retention"].value(), form["unit"].value()) == (n, str(unit))


def test_page_says_if_texts_are_sent_on(people: Cast) -> None:
    words = "sent to the operator"
    browser = signed_in(people.alice)
    for traces, content in ((False, False), (False, True), (True, False), (True, True)):
        with override_settings(TRACES=traces, TRACE_CONTENT=content):
            assert (words in browser.get(PAGE).content.decode()) == (traces and content)


def test_list_of_rules_is_searched_and_sorted(people: Cast) -> None:
    """By what it applies to in any case, by scope in the order of the form, and by its time: a rule
    that keeps nothing has none."""
    acme = people.acme
    log_rules.add_rule(SYSTEM, acme, scope="model", subject="GPT-*", keep="nothing")
    log_rules.add_rule(SYSTEM, acme, scope="team", subject=str(people.core.id), retention_hours=48)
    log_rules.add_rule(SYSTEM, acme, scope="organisation", retention_hours=6, share_percent=20)
    browser = signed_in(people.alice)

    def listed(query: str) -> list[str]:
        return [row.partition(" ")[0] for row in rows_of(browser, f"{PAGE}?{query}")]

    assert listed("q=gpt") == ["GPT-*"]
    assert listed("scope=team") == [people.core.name]
    by_scope = [people.acme.name.partition(" ")[0], people.core.name, "GPT-*"]
    assert listed("") == by_scope
    assert listed("sort=-scope") == by_scope[::-1]
    assert listed("sort=time") == ["GPT-*", by_scope[0], people.core.name]
    assert listed("sort=-share") == [people.core.name, by_scope[0], "GPT-*"]
