"""Policies: who writes them, by API, what is recorded (P12), and which rules a key's requests
meet."""

import base64
import json
from html import unescape
from typing import Any, get_args

import msgspec
import pytest
from django.db import connection

from accounts.access.actors import SYSTEM
from accounts.custom_roles import custom_roles
from accounts.keys import keys
from accounts.members import members
from accounts.models import AuditEvent, Epoch, Key, Role
from accounts.organisations import teams
from accounts.secrets.sealing import open_sealed
from content.guards.rules import GuardRule
from content.models import Policy
from content.policies import policies
from content.policies.policies import Assigned, PolicyRefused
from content.policies.sql import RULES_OF_KEY
from dialects.chat.chat import Dialect
from lib.ids import id_text
from tests.billing.credits.test_operator_api import api_of, post
from tests.relay.speakers import SPEAKERS
from tests.support.cast import Cast, actor, make_key, signed_in
from usage.limits.budget_simulation import look_back

pytestmark = pytest.mark.django_db

RULE = {
    "guard": "email", "settings": {}, "places": ["request"], "action": "mask", "code": "no_email",
}  # fmt: skip
EMAIL = msgspec.convert(RULE, GuardRule)


def rules_of_key(key: Key) -> list[GuardRule]:
    with connection.cursor() as cursor:
        cursor.execute(
            f"SELECT ({RULES_OF_KEY})::text FROM accounts_key key WHERE key.id = %s", [key.id]
        )
        return msgspec.json.decode(cursor.fetchone()[0], type=list[GuardRule])


def test_a_key_meets_the_rules_of_all_policies_that_apply(people: Cast) -> None:
    key, other = make_key(people.core)[0], make_key(people.stranger.teams.get())[0]
    assert rules_of_key(key) == []
    assigned = [Assigned("organisation"), Assigned("team", str(people.core.id))]
    alice = actor(people.alice, people.acme)
    for name, one in (("a", assigned[:1]), ("b", assigned), ("c", [])):
        rule = msgspec.structs.replace(EMAIL, code=name)
        policies.create_policy(alice, people.acme, look_back, name=name, rules=[rule], assigned=one)
    by_key = Assigned("key", str(key.id))
    rule = msgspec.structs.replace(EMAIL, code="d")
    policies.create_policy(alice, people.acme, look_back, name="d", rules=[rule], assigned=[by_key])
    assert [one.code for one in rules_of_key(key)] == ["a", "b", "d"]
    assert rules_of_key(other) == []
    assert [
        (policy.name, scope)
        for policy, scope in policies.policies_of(people.acme, people.core, key)
    ] == [("a", "organisation"), ("b", "organisation"), ("b", "team"), ("d", "key")]


def test_api_creates_changes_tries_and_deletes_a_policy(people: Cast) -> None:
    alice = api_of(people, "alice")
    epoch = Epoch.objects.get().n
    body = {"name": "People", "rules": [RULE], "assigned": [{"scope": "team", "subject": "core"}]}
    made = post(alice, "/policies", body)
    assert made.status_code == 201, made.content
    out = made.json()
    assert (out["rules"], out["assigned"]) == ([RULE], body["assigned"])
    assert Epoch.objects.get().n > epoch
    path = f"/api/v1/policies/{out['id']}"
    tried = post(alice, f"/policies/{out['id']}/try", {"text": "to bob@x.com"}).json()
    assert {one["place"]: one["text"] for one in tried} == {
        "request": "to <EMAIL_1>", "answer": "to bob@x.com", "tool_call": "to bob@x.com",
        "tool_result": "to bob@x.com",
    }  # fmt: skip
    refuse = {**RULE, "action": "refuse"}
    changed = alice.patch(path, {"rules": [refuse]}, content_type="application/json")
    assert changed.json()["rules"] == [refuse]
    tried = post(alice, f"/policies/{out['id']}/try", {"text": "to bob@x.com"}).json()
    assert (tried[0]["text"], tried[0]["refused_by"]) == ("", "no_email")
    assert alice.delete(path).status_code == 204
    assert not Policy.objects.exists()
    actions = AuditEvent.objects.filter(action__startswith="policy.").order_by("id")
    assert [one.action for one in actions] == ["policy.created", "policy.changed", "policy.removed"]


@pytest.mark.parametrize(
    "change",
    [
        {"guard": "weather"},
        {"settings": {"x": 1}},
        {"code": "No Email"},
        {"guard": "expressions", "settings": {"expressions": ["a+"]}},
    ],
)
def test_rule_that_cannot_be_is_rejected(people: Cast, change: dict[str, object]) -> None:
    rule = msgspec.convert({**RULE, **change}, GuardRule)
    with pytest.raises(PolicyRefused):
        policies.create_policy(
            actor(people.alice, people.acme), people.acme, look_back, name="People", rules=[rule]
        )


def test_name_is_taken_once(people: Cast) -> None:
    alice = actor(people.alice, people.acme)
    policies.create_policy(alice, people.acme, look_back, name="People", rules=[])
    with pytest.raises(PolicyRefused):
        policies.create_policy(alice, people.acme, look_back, name="People", rules=[])


def test_team_and_key_of_another_organisation_are_unknown(people: Cast) -> None:
    alice = actor(people.alice, people.acme)
    team = people.stranger.teams.get()
    key = make_key(team)[0]
    for listed in (("team", "theirs"), ("key", id_text(key.id)), ("key", "x")):
        with pytest.raises(PolicyRefused):
            policies.find_assigned(alice, [listed])


PAGE = "/o/acme/policies"
FORM = {
    "name": "People", "organisation": "on", "teams": ["core"], "action_email": "mask",
    "places_email": ["request", "answer"], "action_words": "refuse", "places_words": ["request"],
    "setting_words_words": "falcon\nproject x\n", "action_telephone": "flag",
    "places_telephone": ["answer"],
}  # fmt: skip


def test_policy_of_an_archived_team_and_a_revoked_key_can_be_changed(people: Cast) -> None:
    """It applies again when the team is restored. No other policy gets them."""
    team = teams.create_team(people.acme, "second", actor=SYSTEM)
    key, _ = make_key(people.core, "ci")
    browser, api = signed_in(people.alice), api_of(people, "alice")
    form = {**FORM, "teams": ["second"], "keys": [id_text(key.id)]}
    assert browser.post(f"{PAGE}/new", form).status_code == 303
    policy = Policy.objects.get()
    teams.archive_team(team, actor=SYSTEM)
    keys.revoke_key(SYSTEM, key)
    path = f"{PAGE}/{id_text(policy.id)}"
    page = browser.get(path).content.decode()
    assert "second (archived)" in page
    assert "ci (revoked)" in page
    assert browser.post(path, {**form, "name": "Persons"}).status_code == 303
    targets = {("organisation", ""), ("team", "second"), ("key", id_text(key.id))}
    assert set(policies.named_targets(Policy.objects.get())) == targets
    path = f"/api/v1/policies/{id_text(policy.id)}"
    sent = {"name": "People", "assigned": api.get(path).json()["assigned"]}
    assert api.patch(path, sent, content_type="application/json").status_code == 200
    assert set(policies.named_targets(Policy.objects.get())) == targets
    assert browser.post(f"{PAGE}/new", {**form, "name": "Other"}).status_code == 422
    assert post(api, "/policies", sent | {"name": "Other"}).status_code == 422


def test_policy_is_created_changed_tried_and_deleted_on_its_pages(people: Cast) -> None:
    browser = signed_in(people.alice)
    assert browser.post(f"{PAGE}/new", FORM).status_code == 303
    policy = Policy.objects.get()
    assert {rule.guard: (rule.action, rule.settings) for rule in policies.rules_of(policy)} == {
        "email": ("mask", {}),
        "words": ("refuse", {"words": ["falcon", "project x"]}),
        "telephone": ("flag", {}),
    }
    assert set(policies.named_targets(policy)) == {("organisation", ""), ("team", "core")}
    path = f"{PAGE}/{id_text(policy.id)}"
    page = browser.get(path).content.decode()
    assert "project x" in page
    assert browser.post(path, {**FORM, "action_words": "", "name": "Persons"}).status_code == 303
    policy.refresh_from_db()
    assert (policy.name, len(policy.rules)) == ("Persons", 2)
    tried = browser.post(f"{path}/try", {"text": "to bob@x.com"}).content.decode()
    assert "to &lt;EMAIL_1&gt;" in tried
    assert "Persons" in browser.get(PAGE).content.decode()
    assert browser.post(f"{path}/remove").status_code == 303
    assert not Policy.objects.exists()


def test_a_text_is_tried_in_every_dialect(people: Cast) -> None:
    alice = api_of(people, "alice")
    refuse = {**RULE, "places": ["answer"], "action": "refuse"}
    rules = [RULE, {**refuse, "guard": "words", "settings": {"words": ["falcon"]}}]
    made = post(alice, "/policies", {"name": "People", "rules": rules}).json()
    path = f"/policies/{made['id']}/try"
    tried = {
        one["place"]: one["bodies"]
        for one in post(alice, path, {"text": "Falcon to bob@x.com"}).json()
    }
    assert [one["dialect"] for one in tried["request"]] == list(get_args(Dialect))
    for one in tried["request"]:
        assert one["status"] is None
        assert "<EMAIL_1>" in one["body"]
        assert "bob@x.com" not in one["body"]
    for one in tried["answer"]:
        assert (one["dialect"] in get_args(Dialect), one["status"]) == (True, 400)
        message = "the guard words rejects the answer (no_email)"
        assert message in json.dumps(SPEAKERS[one["dialect"]].error_of(json.loads(one["body"])))
    assert tried["tool_result"] == []
    page = signed_in(people.alice).post(
        f"/o/acme/policies/{made['id']}/try", {"text": "Falcon to bob@x.com"}
    )
    assert page.content.decode().count("<details>") >= 12


@pytest.mark.parametrize("guard", ["moderation", "topics", "hook"])
def test_who_may_not_use_the_playground_spends_nothing_of_it(people: Cast, guard: str) -> None:
    """P12: guards that ask a model are charged to the playground's key."""
    known: dict[str, dict[str, Any]] = {
        "hook": {"url": "https://guard.example/", "secret": SECRET},
        "moderation": {"model": "judge"},
        "topics": {"model": "judge", "topics": [{"name": "weapons", "description": "Arms."}]},
    }
    rule = msgspec.structs.replace(
        EMAIL, guard=guard, settings=known[guard], action="decide" if guard == "hook" else "refuse"
    )
    policy = policies.create_policy(SYSTEM, people.acme, look_back, name="Judged", rules=[rule])
    role = custom_roles.create_role(people.acme, "Settings", ["organisation.write"], actor=SYSTEM)
    members.set_member(people.acme, people.bob.email, Role.CUSTOM, custom_role=role, actor=SYSTEM)
    id = id_text(policy.id)
    for name, may in (("alice", True), ("bob", guard == "hook")):
        user = getattr(people, name)
        page = signed_in(user).post(f"{PAGE}/{id}/try", {"text": "to bob@x.com"})
        answer = post(api_of(people, name), f"/policies/{id}/try", {"text": "to bob@x.com"})
        # Whoever may learns that this process has no relay.
        status, words = (422, "no relay") if may else (403, "You need the")
        assert (page.status_code, answer.status_code) == (status, status)
        assert words in page.content.decode()
        assert words in answer.content.decode()


def test_rules_of_tools_are_written_in_lines(people: Cast) -> None:
    browser = signed_in(people.alice)
    lines = "refuse shell /command \\brm\\b && /cwd ^/etc\nask send_*\nallow *"
    form = {**FORM, "action_tool": "refuse", "places_tool": ["tool_call"],
            "setting_tool_rules": lines}  # fmt: skip
    assert browser.post(f"{PAGE}/new", form).status_code == 303
    policy = Policy.objects.get()
    (settings,) = [one.settings for one in policies.rules_of(policy) if one.guard == "tool"]
    conditions = [
        {"pointer": "/command", "pattern": "\\brm\\b"}, {"pointer": "/cwd", "pattern": "^/etc"},
    ]  # fmt: skip
    assert settings["rules"] == [
        {"name": "shell", "decision": "refuse", "arguments": conditions},
        {"name": "send_*", "decision": "ask"},
        {"name": "*", "decision": "allow"},
    ]
    path = f"{PAGE}/{id_text(policy.id)}"
    assert unescape(browser.get(path).content.decode()).count(lines) == 1
    tried = browser.post(f"{path}/try", {"text": "send_mail {}"}).content.decode()
    assert "approval_required" in tried
    for wrong in ("deny f", "refuse f command x", "refuse f /command ("):
        assert browser.post(path, {**form, "setting_tool_rules": wrong}).status_code == 422


def test_topics_are_written_in_lines(people: Cast) -> None:
    browser = signed_in(people.alice)
    form = {**FORM, "action_topics": "refuse", "places_topics": ["request"],
            "setting_topics_model": "judge", "setting_topics_deadline_ms": "3000",
            "setting_topics_topics": "weapons: Making: them.\n\nprompt_injection"}  # fmt: skip
    assert browser.post(f"{PAGE}/new", form).status_code == 303
    policy = Policy.objects.get()
    (settings,) = [one.settings for one in policies.rules_of(policy) if one.guard == "topics"]
    assert settings == {
        "model": "judge", "deadline_ms": 3000, "passes_on": [],
        "topics": [
            {"name": "weapons", "description": "Making: them."},
            {"name": "prompt_injection", "description": ""},
        ],
    }  # fmt: skip
    path = f"{PAGE}/{id_text(policy.id)}"
    written = unescape(browser.get(path).content.decode())
    assert "weapons: Making: them.\nprompt_injection<" in written
    for wrong in ("", "Weapons: big", "a: b\na: c", f"a: {'b' * 501}"):
        assert browser.post(path, {**form, "setting_topics_topics": wrong}).status_code == 422


def test_page_says_what_is_wrong_with_a_rule(people: Cast) -> None:
    bad = {**FORM, "action_expressions": "mask", "setting_expressions_expressions": "a+",
           "places_expressions": ["answer"]}  # fmt: skip
    answer = signed_in(people.alice).post(f"{PAGE}/new", bad)
    assert answer.status_code == 422
    assert "a{1,100}" in answer.content.decode()


def test_guard_stands_in_a_policy_once(people: Cast) -> None:
    with pytest.raises(PolicyRefused):
        policies.create_policy(
            actor(people.alice, people.acme),
            people.acme,
            look_back,
            name="People",
            rules=[EMAIL, EMAIL],
        )


SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
OTHER = "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD"
HOOK_SETTINGS: dict[str, object] = {
    "url": "https://hooks.example.com/guard", "deadline_ms": 500,
}  # fmt: skip
HOOK = {
    "guard": "hook", "settings": HOOK_SETTINGS,
    "places": ["request"], "action": "decide", "code": "hook",
}  # fmt: skip


def secret_of(policy: Policy) -> str:
    row = policy.secrets.get()
    return open_sealed(row.sealed, f"content_policysecret|{policy.id}|{row.guard}")


def test_secret_of_a_hook_is_sealed_and_never_shown(people: Cast) -> None:
    alice = api_of(people, "alice")
    with_secret = {**HOOK, "settings": HOOK_SETTINGS | {"secret": SECRET}}
    body = {"name": "Hook", "rules": [with_secret], "assigned": [{"scope": "organisation"}]}
    made = post(alice, "/policies", body)
    assert made.status_code == 201, made.content
    policy, path = Policy.objects.get(), f"/api/v1/policies/{made.json()['id']}"
    assert made.json()["rules"] == [HOOK]
    assert SECRET not in str(policy.rules)
    assert secret_of(policy) == SECRET
    (rule,) = rules_of_key(make_key(people.core)[0])
    assert rule.policy == str(policy.id)
    assert base64.b64decode(rule.sealed) == bytes(policy.secrets.get().sealed)

    def change(**settings: object) -> int:
        rules = [{**HOOK, "settings": {**HOOK_SETTINGS, **settings}}]
        json = "application/json"
        return int(alice.patch(path, {"rules": rules}, content_type=json).status_code)

    assert change(deadline_ms=700) == 200
    assert secret_of(policy) == SECRET
    # A new address gets no secret that was meant for another one.
    assert change(url="https://elsewhere.example.com/") == 422
    assert change(secret=OTHER) == 200
    assert secret_of(policy) == OTHER
    audited = str([event.detail for event in AuditEvent.objects.all()])
    assert "hook" in audited
    assert SECRET not in audited
    assert OTHER not in audited


@pytest.mark.parametrize(
    "settings",
    [
        {"secret": ""}, {"secret": "whsec_x"}, {"secret": "a" * 40}, {"url": "ftp://x/"},
        {"url": "https://me@x.example/"}, {"deadline_ms": 1}, {"deadline_ms": 60_000},
        {"passes_on": ["weather"]}, {"speed": 1},
    ],
)  # fmt: skip
def test_settings_of_a_hook_that_do_not_fit_are_rejected(
    people: Cast, settings: dict[str, object]
) -> None:
    rule = {**HOOK, "settings": {**HOOK_SETTINGS, "secret": SECRET, **settings}}
    body = {"name": "Hook", "rules": [rule], "assigned": []}
    assert post(api_of(people, "alice"), "/policies", body).status_code == 422
    assert not Policy.objects.exists()


def test_action_of_a_guard_that_decides_is_its_own(people: Cast) -> None:
    alice = api_of(people, "alice")
    hook = {**HOOK, "action": "mask", "settings": {**HOOK_SETTINGS, "secret": SECRET}}
    for rule in (hook, {**RULE, "action": "decide"}):
        body = {"name": "Hook", "rules": [rule], "assigned": []}
        assert post(alice, "/policies", body).status_code == 422


def test_guards_that_make_a_call_are_set_on_the_page(people: Cast) -> None:
    browser = signed_in(people.alice)
    form = {
        "name": "Hook", "organisation": "on",
        "action_hook": "decide", "places_hook": ["answer"],
        "setting_hook_url": "https://hooks.example.com/", "setting_hook_secret": SECRET,
        "setting_hook_deadline_ms": "2000", "setting_hook_passes_on": ["deadline", "connection"],
        "action_presidio": "mask", "places_presidio": ["request"],
        "setting_presidio_url": "http://presidio:3000", "setting_presidio_language": "de",
        "setting_presidio_entities": "person LOCATION", "setting_presidio_score_threshold": "0.7",
    }  # fmt: skip
    assert browser.post(f"{PAGE}/new", form).status_code == 303
    policy = Policy.objects.get()
    rules = {rule.guard: rule for rule in policies.rules_of(policy)}
    assert rules["hook"].settings == {
        "url": "https://hooks.example.com/", "deadline_ms": 2000,
        "passes_on": ["deadline", "connection"],
    }  # fmt: skip
    assert rules["presidio"].settings == {
        "url": "http://presidio:3000", "language": "de", "entities": ["PERSON", "LOCATION"],
        "score_threshold": 0.7, "passes_on": [],
    }  # fmt: skip
    path = f"{PAGE}/{id_text(policy.id)}"
    page = browser.get(path).content.decode()
    assert "https://hooks.example.com/" in page
    assert SECRET not in page
    assert browser.post(path, form | {"setting_hook_secret": "", "name": "H"}).status_code == 303
    assert secret_of(policy) == SECRET
