"""What a person chooses for the playground, and what the organisation rules."""

import datetime as dt
import json
from typing import Any

import pytest
from django.urls import reverse

from accounts.access.actors import SYSTEM
from accounts.keys.keys import playground_key
from accounts.models import AuditEvent, Key, Role
from billing.prices import prices
from content.policies import policies
from content.policies.policies import Assigned
from dialects.chat.events import TextDelta
from gateway.models import Channel, Route
from lib import clock
from lib.ids import id_text
from playground.chats.desk import first_model
from playground.conversations import title_rules
from playground.conversations.title_rules import CHEAP_MAX_NANO
from playground.conversations.titles import title_model
from playground.models import Conversation, LeavingRule, Preference, Run
from playground.models_offered.offered_models import offered_models
from playground.preferences.preferences import (
    choose_default_model,
    choose_organisation_model,
    organisation_model,
    preference_of,
    toggle_favourite,
)
from relay.hold_sizes.bound import Bound
from tests.playground.sending.test_views import ScriptedRelay, chat_of, outcome, page, people, send
from tests.support import cast
from tests.support.cast import Cast, signed_in
from tests.support.markup import squeezed
from usage.limits.budget_simulation import look_back

pytestmark = pytest.mark.django_db(transaction=True)
__all__ = ["people"]

URL = "/o/acme/playground/settings"


def post(user: Any, name: str, **form: str) -> Any:
    return signed_in(user).post(reverse(name, args=["acme"]), form)


def test_leaving_rule_is_personal_and_applies_from_the_next_answer(people: Cast) -> None:
    send(people.bob, ScriptedRelay(TextDelta(0, "x"), outcome()), text="before")
    assert post(people.bob, "preferences_save", leaving="stop").status_code == 303
    send(people.bob, ScriptedRelay(TextDelta(0, "x"), outcome()), text="after")
    send(people.alice, ScriptedRelay(TextDelta(0, "x"), outcome()), text="another's")
    limits_ms = [run.unwatched_ms for run in Run.objects.order_by("id")]
    assert limits_ms == [None, 1_000, None]
    assert 'value="stop" checked' in squeezed(page(people.bob, URL).content.decode())
    assert post(people.bob, "preferences_save", leaving="dance").status_code == 404


def test_permitted_people_set_the_rule_and_it_is_audited(people: Cast) -> None:
    assert post(people.bob, "playground_rules_save", minutes="5").status_code == 403
    assert post(people.charlie, "playground_rules_save", minutes="5").status_code == 404
    assert not LeavingRule.objects.exists()
    assert post(people.alice, "playground_rules_save", minutes="5").status_code == 303
    assert post(people.alice, "playground_rules_save", minutes="7").status_code == 404
    send(people.bob, ScriptedRelay(TextDelta(0, "x"), outcome()), text="ruled")
    assert Run.objects.get().unwatched_ms == 300_000
    (event,) = AuditEvent.objects.filter(action="playground.leaving_rule_changed")
    assert event.detail == {"before": {"seconds_max": None}, "after": {"seconds_max": 300}}
    html = page(people.bob, URL).content.decode()
    assert "Your organisation stops it after 5 minutes." in html
    assert "For everyone in the organisation" not in html
    post(people.alice, "playground_rules_save", minutes="")
    assert LeavingRule.objects.get().seconds_max is None


@pytest.mark.parametrize("role", [Role.VIEWER, Role.BILLING])
def test_read_only_person_has_no_choice(people: Cast, role: Role) -> None:
    reader = cast.member(people.acme, "reader", role)
    assert page(reader, URL).status_code == 403
    assert post(reader, "preferences_save", leaving="stop").status_code == 403
    assert not Preference.objects.exists()


# Names of chats ---------------------------------------------------------------------------------

TURN_NANO = 1_800


class NamingRelay(ScriptedRelay):
    """Answers a turn, and what it is asked for without a stream with a name."""

    def __init__(self, title: str, kind: str | None = None) -> None:
        super().__init__(TextDelta(0, "Weirs hold water back."), outcome(charge_nano=TURN_NANO))
        self.title, self.kind = title, kind
        self.bound_result = self.bound_result._replace(hold_nano=TURN_NANO // 10)
        self.purposes: list[str] = []

    async def bound(self, principal: Any, body: bytes, **over: Any) -> Bound:
        return self.bound_result

    async def chat(self, principal: Any, body: bytes, **over: Any) -> Any:
        if json.loads(body).get("stream"):
            async for item in super().chat(principal, body, **over):
                yield item
            return
        self.requests.append((principal, body))
        self.purposes.append(over["client_app"])
        self.request_id = over["request_id"]
        if self.kind is None:
            message = {"role": "assistant", "content": self.title}
            yield json.dumps({"choices": [{"message": message}]}).encode()
        yield outcome(200 if self.kind is None else 502, self.kind)


@pytest.fixture
def cheap(people: Cast, monkeypatch: pytest.MonkeyPatch) -> None:
    """A model may name chats, and one that is dearer."""
    monkeypatch.setattr(title_rules, "CHEAP_MAX_NANO", CHEAP_MAX_NANO)
    Route.objects.create(channel=Channel.objects.get(), model="dear")
    rates = {"meters": {"in_text": 500_000_000, "out_text": 2_000_000_000}}
    valid_from = clock.now() - dt.timedelta(days=1)
    prices.set_price(SYSTEM, "dear", valid_from=valid_from, rates=rates, source="test")


@pytest.mark.usefixtures("cheap")
def test_the_cheapest_model_names_a_new_chat(people: Cast) -> None:
    relay = NamingRelay("<b>Weirs</b>\u202e")
    send(people.bob, relay, text="What is a weir?", model="dear")
    chat = Conversation.objects.get()
    assert (chat.title, chat.named_by) == ("<b>Weirs</b>", "model")
    assert chat.title_request_id == relay.request_id
    assert [json.loads(body)["model"] for _, body in relay.requests] == ["dear", "weir-1"]
    assert relay.purposes == ["Chat title"]
    html = page(people.bob, chat_of(people.bob)).content.decode()
    assert "&lt;b&gt;Weirs&lt;/b&gt;" in html
    assert "<b>Weirs" not in html


@pytest.mark.usefixtures("cheap")
def test_one_setting_keeps_the_first_words(people: Cast) -> None:
    assert post(people.bob, "preferences_save", title_model="").status_code == 303
    relay = NamingRelay("Never asked")
    send(people.bob, relay, text="# What is a weir?\nTell me.")
    assert len(relay.requests) == 1
    assert Conversation.objects.get().title == "What is a weir?"
    assert post(people.bob, "preferences_save", title_model="*").status_code == 303
    send(people.bob, NamingRelay("Weirs"), text="And now?")
    assert Conversation.objects.filter(title="Weirs").exists()


def test_first_words_stay_without_a_cheap_model(people: Cast) -> None:
    relay = NamingRelay("Never asked")
    send(people.bob, relay, text="What is a weir?")
    assert len(relay.requests) == 1
    chat = Conversation.objects.get()
    assert (chat.title, chat.named_by) == ("What is a weir?", "words")


@pytest.mark.usefixtures("cheap")
@pytest.mark.parametrize("chosen", ["*", "weir-1"])
def test_name_costing_over_a_tenth_of_its_turn_is_not_requested(people: Cast, chosen: str) -> None:
    assert post(people.bob, "preferences_save", title_model=chosen).status_code == 303
    relay = NamingRelay("Never asked")
    relay.bound_result = relay.bound_result._replace(hold_nano=TURN_NANO // 10 + 1)
    send(people.bob, relay, text="What is a weir?")
    assert len(relay.requests) == 1
    chat = Conversation.objects.get()
    assert (chat.title, chat.named_by) == ("What is a weir?", "words")


@pytest.mark.usefixtures("cheap")
@pytest.mark.parametrize("chosen", ["*", "weir-1"])
def test_the_demonstration_model_names_no_chat(people: Cast, chosen: str) -> None:
    Route.objects.filter(model="dear").delete()
    Channel.objects.update(provider="local")
    assert title_model(cast.actor(people.bob, people.acme), chosen, Key(model_patterns=[])) == ""
    relay = NamingRelay("Never asked")
    send(people.bob, relay, text="What is a weir?")
    assert len(relay.requests) == 1


@pytest.mark.usefixtures("cheap")
def test_only_a_model_that_the_paying_key_may_ask_names_a_chat(people: Cast) -> None:
    bob = cast.actor(people.bob, people.acme)
    assert title_model(bob, "*", Key(model_patterns=[])) == "weir-1"
    assert title_model(bob, "*", Key(model_patterns=["dear"])) == "dear"
    assert title_model(bob, "*", Key(model_patterns=["other"])) == ""
    assert title_model(bob, "weir-1", Key(model_patterns=["dear"])) == ""


@pytest.mark.usefixtures("cheap")
def test_only_models_that_policies_permit_are_offered(people: Cast) -> None:
    """P40"""
    bob, key = cast.actor(people.bob, people.acme), playground_key(people.acme)
    assert [model.name for model in offered_models(bob)] == ["dear", "weir-1"]
    policy = policies.create_policy(
        SYSTEM, people.acme, look_back, name="Narrow", model_patterns=["d*"],
        assigned=[Assigned("key", str(key.id))],
    )  # fmt: skip
    assert [model.name for model in offered_models(bob)] == ["dear"]
    payer, _ = cast.make_key(people.core)
    policies.change_policy(
        SYSTEM,
        policy,
        look_back,
        model_patterns=["weir-*"],
        assigned=[Assigned("key", str(payer.id))],
    )
    assert [model.name for model in offered_models(bob)] == ["dear", "weir-1"]
    assert title_model(bob, "dear", payer) == ""
    assert title_model(bob, "weir-1", payer) == "weir-1"


@pytest.mark.usefixtures("cheap")
def test_chat_with_a_rejected_first_prompt_is_named_after_its_answer(
    people: Cast,
) -> None:
    refused = ScriptedRelay(outcome(402, "insufficient_balance", charge_nano=0, meters={}))
    send(people.bob, refused, text="What is a weir?")
    assert len(refused.requests) == 1
    id = id_text(Conversation.objects.get().id)
    send(people.bob, NamingRelay("Weirs"), text="Once more", conversation=id)
    assert Conversation.objects.get().title == "Weirs"


def test_the_chosen_model_names_a_new_chat_once(people: Cast) -> None:
    assert post(people.bob, "preferences_save", title_model="weir-1").status_code == 303
    relay = NamingRelay('"Weirs and water levels."\n')
    send(people.bob, relay, text="What is a weir?")
    chat = Conversation.objects.get()
    assert (chat.title, chat.named_by) == ("Weirs and water levels", "model")
    assert chat.title_request_id == relay.request_id
    principal, body = relay.requests[1]
    assert principal.user_id == people.bob.id
    request_body = json.loads(body)
    assert request_body["max_tokens"] == 40
    assert "Weirs hold water back." in request_body["messages"][1]["content"]
    again = NamingRelay("Another")
    send(people.bob, again, text="And then?", conversation=id_text(chat.id))
    chat.refresh_from_db()
    assert chat.title == "Weirs and water levels"
    menu = page(people.bob, reverse("chat_menu", args=["acme", id_text(chat.id)])).content.decode()
    assert "Title generated by a model. View its request and charge" in menu


def test_failed_naming_keeps_the_first_words(people: Cast) -> None:
    post(people.bob, "preferences_save", title_model="weir-1")
    send(people.bob, NamingRelay("", "upstream_error"), text="What is a weir?")
    chat = Conversation.objects.get()
    assert (chat.title, chat.named_by) == ("What is a weir?", "words")
    send(people.bob, NamingRelay('""'), text="Once more")
    assert Conversation.objects.filter(title="Once more", named_by="words").exists()


def test_manual_name_stays(people: Cast) -> None:
    post(people.bob, "preferences_save", title_model="weir-1")
    send(people.bob, NamingRelay("Made"), text="What is a weir?")
    chat = Conversation.objects.get()
    change = reverse("chat_change", args=["acme", id_text(chat.id)])
    signed_in(people.bob).post(change, {"title": "Mine"})
    chat.refresh_from_db()
    assert (chat.title, chat.named_by) == ("Mine", "person")


def test_only_an_offered_model_names_chats(people: Cast) -> None:
    assert post(people.bob, "preferences_save", title_model="weir-unpriced").status_code == 303
    assert preference_of(people.bob).title_model == "*"


def test_removed_model_alone_is_rejected(people: Cast) -> None:
    """The page names it, and keeps what else the form has."""
    form = {"leaving": "stop", "default_model": "weir-gone", "title_model": ""}
    saved = signed_in(people.bob).post(
        reverse("preferences_save", args=["acme"]), form, follow=True
    )
    html = saved.content.decode()
    assert "weir-gone is not offered any more. Choose another model." in html
    assert "The other settings are saved." in html
    preference = preference_of(people.bob)
    assert (preference.leaving, preference.default_model) == ("stop", "")
    assert preference.title_model == ""


def test_form_the_page_cannot_send_saves_nothing(people: Cast) -> None:
    form = {"minutes": "5", "payer_rules": "1", "developer": "dance"}
    assert post(people.alice, "playground_rules_save", **form).status_code == 404
    assert not LeavingRule.objects.exists()


# Keys -------------------------------------------------------------------------------------------


def test_keys_are_assigned_as_the_person_wants(people: Cast) -> None:
    keys = {"tools": "W", "letter_keys": "on", "sends": "enter"}
    assert post(people.bob, "preferences_save", **keys).status_code == 303
    html = page(people.bob, "/o/acme/playground").content.decode()
    assert "&quot;KeyW&quot;: &quot;tools&quot;" in html
    assert "KeyT" not in html
    assert " data-letter-keys" in html
    assert "&quot;KeyT&quot;" in page(people.alice, "/o/acme/playground").content.decode()
    refused = signed_in(people.bob).post(
        reverse("preferences_save", args=["acme"]), {"tools": "C", "sends": "ctrl"}, follow=True
    )
    assert "Code and Tools cannot use the same letter." in refused.content.decode()
    assert preference_of(people.bob).keys == {"tools": "W"}
    post(people.bob, "preferences_save", sends="enter")
    assert preference_of(people.bob).keys == {}
    assert " data-letter-keys" not in page(people.bob, "/o/acme/playground").content.decode()


def test_valid_settings_are_saved_despite_rejected_ones(people: Cast) -> None:
    """A part that is refused stays as it was, and the page names it; the others are saved."""
    form = {"leaving": "stop", "title_model": "", "tools": "C", "sends": "ctrl"}
    saved = signed_in(people.bob).post(
        reverse("preferences_save", args=["acme"]), form, follow=True
    )
    html = saved.content.decode()
    assert "Code and Tools cannot use the same letter." in html
    assert "The other settings are saved." in html
    preference = preference_of(people.bob)
    assert (preference.leaving, preference.title_model) == ("stop", "")
    assert (preference.keys, preference.enter_sends) == ({}, True)


def test_withdrawn_model_stays_until_another_is_chosen(
    people: Cast,
) -> None:
    """Saving another setting does not replace it by the cheapest one, which costs something."""
    Preference.objects.create(user=people.bob, title_model="weir-gone")
    html = squeezed(page(people.bob, URL).content.decode())
    assert '<option value="weir-gone" selected>' in html
    form = {"leaving": "stop", "title_model": "weir-gone"}
    assert post(people.bob, "preferences_save", **form).status_code == 303
    assert preference_of(people.bob).title_model == "weir-gone"


def test_new_chats_use_the_persons_the_last_or_the_default_model(people: Cast) -> None:
    bob = cast.actor(people.bob, people.acme)
    names = ["a", "b", "c", "d"]
    assert first_model(bob, names) == "a"
    choose_organisation_model(cast.actor(people.alice, people.acme), "d")
    assert first_model(bob, names) == "d"
    Conversation.objects.create(
        organisation=people.acme, team=people.core, user=people.bob, title="x", model="c"
    )
    assert first_model(bob, names) == "c"
    choose_default_model(bob, "b")
    assert first_model(bob, names) == "b"
    assert first_model(bob, ["a"]) == "a"
    assert first_model(bob, []) == ""
    (event,) = AuditEvent.objects.filter(action="playground.default_model_changed")
    assert event.detail["after"] == {"default_model": "d"}


def test_permitted_people_choose_an_offered_default_model(people: Cast) -> None:
    assert post(people.bob, "playground_rules_save", organisation_model="").status_code == 403
    assert post(people.charlie, "playground_rules_save", organisation_model="").status_code == 404
    post(people.alice, "playground_rules_save", organisation_model="nobody-serves")
    assert organisation_model(people.acme) == ""
    assert post(people.alice, "playground_rules_save", organisation_model="").status_code == 303
    post(people.bob, "preferences_save", default_model="nobody-serves")
    assert preference_of(people.bob).default_model == ""
    assert post(people.bob, "preferences_save", default_model="").status_code == 303


def test_favourite_is_added_and_removed_per_person(people: Cast) -> None:
    bob, alice = cast.actor(people.bob, people.acme), cast.actor(people.alice, people.acme)
    toggle_favourite(bob, "a")
    toggle_favourite(bob, "b")
    toggle_favourite(alice, "c")
    assert preference_of(people.bob).favourite_models == ["a", "b"]
    toggle_favourite(bob, "a")
    assert preference_of(people.bob).favourite_models == ["b"]
