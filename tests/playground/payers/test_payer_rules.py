"""Which keys people of a role may have what they ask in the playground paid by."""

from typing import Any

import pytest
from django.urls import reverse

from accounts.access.actors import SYSTEM
from accounts.custom_roles import custom_roles
from accounts.keys import keys, service_accounts
from accounts.members import members
from accounts.models import AuditEvent, Key, Role
from dialects.chat.events import TextDelta
from lib.ids import id_text
from lib.refusal import Refused
from playground.models import (
    Conversation,
    OrganisationPreference,
    PayerRule,
    PaymentPreference,
)
from playground.payers.payer_rules import change_rules, roles_of, rule_of, rules_of
from playground.payers.paying import (
    Payer,
    choose_default_payer,
    default_payer,
    payers_context,
)
from playground.preferences.preferences import preference_of
from tests.playground.sending.test_views import ScriptedRelay, outcome, page, people, send
from tests.support.cast import Cast, actor, make_key, signed_in
from tests.support.markup import squeezed

pytestmark = pytest.mark.django_db(transaction=True)
__all__ = ["people"]

URL = "/o/acme/playground/settings"


def post(user: Any, name: str, **form: str) -> Any:
    return signed_in(user).post(reverse(name, args=["acme"]), form)


def set_rules(user: Any, **rules: str) -> Any:
    return post(user, "playground_rules_save", payer_rules="1", **rules)


def offered(people: Cast, user: Any) -> list[str]:
    """The names of the keys that the payer menu offers."""
    context = payers_context(actor(user, people.acme), {}, None)
    paying: list[Key] = [key for _, key in context["paying_keys"]]
    names = sorted(key.name for key in paying)
    return (["Playground"] if context["own_key"] else []) + names


def answers() -> ScriptedRelay:
    return ScriptedRelay(TextDelta(0, "x"), outcome())


def test_each_rule_offers_only_its_keys(people: Cast) -> None:
    make_key(people.core, "alice's", user=people.alice)
    make_key(people.core, "shared")
    account = service_accounts.create_service_account(people.core, "robot", actor=SYSTEM)
    make_key(people.core, "robot's", service_account=account)
    alice = actor(people.alice, people.acme)
    expected = {
        "any": ["Playground", "alice's", "robot's", "shared"],
        "people": ["Playground", "alice's", "shared"],
        "own_or_playground": ["Playground", "alice's"],
        "own": ["alice's"],
        "playground": ["Playground"],
    }
    assert set(expected) == set(PayerRule.values)
    for rule, names in expected.items():
        change_rules(alice, {"owner": rule})
        assert offered(people, people.alice) == names, rule


def test_disallowed_key_pays_for_nothing(people: Cast) -> None:
    """Neither named in a form, nor kept from before, nor by saying nothing."""
    bobs, _ = make_key(people.core, "bob's", user=people.bob)
    send(people.bob, answers(), text="before", key=id_text(bobs.id))
    chat = Conversation.objects.get()
    set_rules(people.alice, developer="playground")
    refused = send(people.bob, answers(), text="again", key=id_text(bobs.id))
    assert refused.status_code == 422
    assert "This key cannot pay for chats any more." in refused.content.decode()
    assert post(people.bob, "payer_choose", key=id_text(bobs.id)).status_code == 303
    assert not PaymentPreference.objects.exists()
    assert chat.key_id == bobs.id
    set_rules(people.alice, developer="own")
    refused = send(people.bob, answers(), text="again", key="")
    assert refused.status_code == 422
    assert "with your own API keys only" in refused.content.decode()
    assert default_payer(actor(people.bob, people.acme)).key == bobs
    assert send(people.bob, answers(), text="own", key=id_text(bobs.id)).status_code != 422


def test_missing_own_key_prevents_sending_where_required(people: Cast) -> None:
    set_rules(people.alice, developer="own")
    refused = send(people.bob, answers(), text="Hi", key="")
    assert refused.status_code == 422
    session = signed_in(people.bob).post(
        "/pg/chat/completions", {"model": "m", "messages": []}, content_type="application/json"
    )
    assert session.status_code == 403
    assert "with your own API keys only" in session.json()["error"]["message"]


def test_permitted_people_set_rules_and_they_are_audited(people: Cast) -> None:
    assert set_rules(people.bob, developer="any").status_code == 403
    assert set_rules(people.charlie, developer="any").status_code == 404
    assert set_rules(people.alice, developer="dance").status_code == 404
    for _ in range(2):  # what is so already leaves no second event
        assert (
            post(
                people.alice,
                "playground_rules_save",
                payer_rules="1",
                developer="own",
                viewer="own",
            ).status_code
            == 303
        )
    (event,) = AuditEvent.objects.filter(action="playground.payer_rules_changed")
    assert event.detail == {"before": {}, "after": {"developer": "own"}}
    assert "Keys that may pay" in page(people.alice, URL).content.decode()
    assert "Keys that may pay" not in page(people.bob, URL).content.decode()


def test_a_custom_role_that_uses_the_playground_has_its_own_rule(people: Cast) -> None:
    role = custom_roles.create_role(people.acme, "tester", ["playground.use"], actor=SYSTEM)
    custom_roles.create_role(people.acme, "reader", ["usage.read"], actor=SYSTEM)
    assert list(roles_of(people.acme).values()) == ["Owner", "Admin", "Developer", "tester"]
    alice = actor(people.alice, people.acme)
    assert change_rules(alice, {id_text(role.id): "own"})[id_text(role.id)] == PayerRule.OWN
    assert rules_of(people.acme)["developer"] == PayerRule.ANY
    with pytest.raises(Refused, match="not a role that can use the playground"):
        change_rules(alice, {"viewer": "own"})


def test_custom_roles_rule_applies_to_its_people(people: Cast) -> None:
    """P23: not that of a built-in role, nor that of another custom one."""
    role = custom_roles.create_role(
        people.acme, "tester", ["playground.use", "keys.read", "keys.write_own"], actor=SYSTEM
    )
    other = custom_roles.create_role(
        people.acme, "other", ["playground.use", "keys.read"], actor=SYSTEM
    )
    members.set_member(people.acme, people.bob.email, Role.CUSTOM, custom_role=role, actor=SYSTEM)
    make_key(people.core, "bob's", user=people.bob)
    make_key(people.core, "shared")
    alice = actor(people.alice, people.acme)
    change_rules(alice, {id_text(role.id): "playground", id_text(other.id): "own"})
    assert rule_of(actor(people.bob, people.acme)) == PayerRule.PLAYGROUND
    assert offered(people, people.bob) == ["Playground"]
    change_rules(alice, {id_text(role.id): "own", id_text(other.id): "any"})
    assert offered(people, people.bob) == ["bob's"]
    refused = send(people.bob, answers(), text="Hi", key="")
    assert refused.status_code == 422


def test_rule_of_one_role_changes_no_other_and_outlives_no_role(people: Cast) -> None:
    alice = actor(people.alice, people.acme)
    role = custom_roles.create_role(people.acme, "tester", ["playground.use"], actor=SYSTEM)
    id = id_text(role.id)
    change_rules(alice, {"developer": "own", id: "playground"})
    rules = change_rules(alice, {"admin": "people"})
    assert (rules["developer"], rules["admin"], rules[id]) == ("own", "people", "playground")
    custom_roles.remove_role(role, actor=SYSTEM)
    change_rules(alice, {"admin": "any"})
    stored = OrganisationPreference.objects.get(organisation=people.acme).payer_rules
    assert stored == {"developer": "own", "admin": "any"}


def test_ended_choice_is_replaced_by_an_own_key_only_where_required(people: Cast) -> None:
    """Elsewhere the playground's own key pays, as if nothing had been chosen."""
    bob, alice = actor(people.bob, people.acme), actor(people.alice, people.acme)
    own, ended = (make_key(people.core, name, user=people.bob)[0] for name in ("own", "ended"))
    choose_default_payer(bob, Payer(ended))
    keys.revoke_key(SYSTEM, ended)
    for rule in PayerRule.values:
        change_rules(alice, {"developer": rule})
        payer = default_payer(bob).chosen_key
        assert payer == (own if rule == PayerRule.OWN else None), rule


def test_non_member_is_bound_by_no_rule(people: Cast) -> None:
    """An operator who looks on; what they may do is decided before."""
    owners = actor(people.alice, people.acme)
    change_rules(owners, {"owner": "own", "developer": "playground"})
    assert rule_of(actor(people.dora, people.acme)) == "any"
    assert (rule_of(owners), rule_of(actor(people.bob, people.acme))) == ("own", "playground")


def test_the_default_payer_is_chosen_and_shown_in_the_settings(people: Cast) -> None:
    bobs, _ = make_key(people.core, "bob's", user=people.bob)
    saved = post(people.bob, "preferences_save", key=id_text(bobs.id), project="launch")
    assert saved.status_code == 303
    payer = default_payer(actor(people.bob, people.acme))
    assert (payer.key, payer.project) == (bobs, "launch")
    assert 'value="launch"' in page(people.bob, URL).content.decode()
    other, _ = make_key(people.core, "alice's", user=people.alice)
    post(people.bob, "preferences_save", key=id_text(other.id))
    assert default_payer(actor(people.bob, people.acme)).key == bobs


def test_other_settings_keep_a_temporarily_unusable_key(people: Cast) -> None:
    """The page shows who pays meanwhile; only another choice than what it shows is one."""
    bob = actor(people.bob, people.acme)
    bobs, _ = make_key(people.core, "bob's", user=people.bob)
    assert "cannot pay at present" not in page(people.bob, URL).content.decode()
    post(people.bob, "preferences_save", key=id_text(bobs.id), shown_key="", project="launch")
    set_rules(people.alice, developer="playground")
    html = page(people.bob, URL).content.decode()
    assert '<input type="hidden" name="shown_key" value="">' in squeezed(html)
    assert "The key you chose cannot pay at present." in html
    post(people.bob, "preferences_save", key="", shown_key="", project="start", sends="ctrl")
    assert default_payer(bob).chosen_key is None
    assert not preference_of(people.bob).enter_sends
    set_rules(people.alice, developer="any")
    assert default_payer(bob) == Payer(bobs, "start")
    html = squeezed(page(people.bob, URL).content.decode())
    assert f'name="shown_key" value="{id_text(bobs.id)}"' in html
    post(people.bob, "preferences_save", key="", shown_key=id_text(bobs.id))
    assert default_payer(bob).chosen_key is None


def test_revoked_key_is_not_awaited(people: Cast) -> None:
    bobs, _ = make_key(people.core, "bob's", user=people.bob)
    post(people.bob, "preferences_save", key=id_text(bobs.id), shown_key="")
    keys.revoke_key(SYSTEM, bobs)
    assert "cannot pay at present" not in page(people.bob, URL).content.decode()
    post(people.bob, "preferences_save", key="", shown_key="", project="")
    assert PaymentPreference.objects.get().key is None


def test_rules_over_the_api(people: Cast) -> None:
    url = "/api/v1/playground/payer-rules"
    alice = signed_in(people.alice)
    assert alice.get(url).json() == {"rules": {"owner": "any", "admin": "any", "developer": "any"}}
    fields = {"rules": {"developer": "own"}}
    changed = alice.put(url, fields, content_type="application/json")
    assert changed.json()["rules"]["developer"] == "own"
    for wrong in ({"viewer": "own"}, {"developer": "dance"}):
        refused = alice.put(url, {"rules": wrong}, content_type="application/json")
        assert refused.status_code == 422
    assert signed_in(people.bob).get(url).status_code == 403
