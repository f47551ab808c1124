"""What stands beside the chat: bound, settings, presets, prompts, files, comparing, sharing."""

import json
import re
from html import unescape
from typing import Any

import pytest
from asgiref.sync import async_to_sync
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from django.urls import resolve, reverse

from accounts.models import AuditEvent, User
from billing.balances.balances import add_opening_credit
from content.models import Prompt
from dialects.chat.events import TextDelta
from lib import clock
from lib.database.async_database import run_in_database
from lib.ids import id_text, new_id
from playground.models import (
    Attachment,
    Conversation,
    Message,
    Preset,
    Run,
    RunEvent,
    ShareLink,
    Vote,
)
from playground.runs import runs
from relay.hold_sizes.bound import Bound
from tests.playground.attachments.test_files import PNG
from tests.playground.conversations.test_tree import HTMX, answers, conversation_id, post
from tests.playground.sending.test_views import (
    RelayClient,
    ScriptedRelay,
    chat_of,
    outcome,
    page,
    people,
    send,
)
from tests.support.cast import Cast, make_key, signed_in
from tests.support.lists import file_of, rows_of
from tests.support.markup import squeezed
from tests.usage.rows import credit, happen

pytestmark = pytest.mark.django_db(transaction=True)
__all__ = ["people"]


def ask_bound(user: User, relay: ScriptedRelay, **form: Any) -> str:
    async def ask() -> str:
        client = RelayClient(relay)
        await client.aforce_login(user, backend="django.contrib.auth.backends.ModelBackend")
        url = reverse("bound", args=["acme"])
        response = await client.post(url, {"model": "weir-1", **form}, headers=HTMX)
        return response.content.decode()

    return async_to_sync(ask)()


def add_model(user: User, relay: ScriptedRelay, **form: Any) -> Any:
    """Add a model to the only comparison, and wait for its answer."""

    async def add() -> Any:
        client = RelayClient(relay)
        await client.aforce_login(user, backend="django.contrib.auth.backends.ModelBackend")
        url = reverse("column_add", args=["acme", await run_in_database(conversation_id)])
        response = await client.post(url, {"model": "weir-1", **form}, headers=HTMX)
        await runs.finish()
        return response

    return async_to_sync(add)()


def test_maximum_is_shown_before_send_to_those_concerned(people: Cast) -> None:
    relay = ScriptedRelay(outcome())
    html = ask_bound(people.alice, relay, text="Hello", system="S", **{"p.temperature": "0.5"})
    assert "≤ <b>$0.0421</b> reserved" in html
    assert "expected $0.0062" in html
    assert re.search(r"balance after .*\$128\.39", html)
    assert "3,412 tokens" in html
    body = json.loads(relay.bounds[0][1])
    assert body["messages"] == [
        {"role": "system", "content": "S"},
        {"role": "user", "content": "Hello"},
    ]
    assert body["temperature"] == 0.5
    assert Message.objects.count() == 0
    # A developer may not see the balance.
    assert "balance after" not in ask_bound(people.bob, ScriptedRelay(outcome()), text="Hello")


def test_unholdable_cost_blocks_send(people: Cast) -> None:
    relay = ScriptedRelay(outcome())
    relay.bound_result = Bound(42_100_000, None, 1, 1, 7, 1_000, False)
    html = ask_bound(people.alice, relay, text="Hello")
    assert "data-blocked" in html
    assert "Top up, or lower max output." in html
    assert "Fill in these system prompt variables: who." in ask_bound(
        people.alice, relay, text="Hello", system="You are {{who}}"
    )


@pytest.mark.parametrize(
    ("left_nano", "text"),
    [
        (1_000_000, "A budget leaves $0.001 for this message. Lower max output."),
        (-5, "A budget that pays for this message is used up."),
    ],
)
def test_budget_shortage_is_not_blamed_on_the_balance(
    people: Cast, left_nano: int, text: str
) -> None:
    """It was: "Your balance is $0.00", beside a balance of $128.40 in the head of the page."""
    add_opening_credit(people.acme, 128_400_000_000)
    relay = ScriptedRelay(outcome())
    relay.bound_result = Bound(42_100_000, None, 1, 1, 7, left_nano, False)
    for user in (people.alice, people.bob):
        html = squeezed(ask_bound(user, relay, text="Hello"))
        assert text in html
        assert "Request more budget" in html
        assert "balance" not in html.lower()


def test_eligible_person_finds_where_to_request_more(people: Cast) -> None:
    relay = ScriptedRelay(outcome())
    relay.bound_result = Bound(42_100_000, None, 1, 1, 7, 1_000, False)
    html = squeezed(ask_bound(people.bob, relay, text="Hello"))
    assert f'<a href="{reverse("raises", args=["acme"])}">Request more budget</a>' in html


def test_expected_and_reserved_cost_are_shown_to_the_end(people: Cast) -> None:
    """Before Send, while the answer runs, and when it has ended; in no blind comparison."""
    relay = answers("x")
    html = ask_bound(people.bob, relay, text="Hello")
    assert "≤ <b>$0.0421</b> reserved" in html
    assert "expected $0.0062" in html
    assert "<dt>Reserved until the request ends</dt><dd>$0.0421</dd>" in squeezed(html)
    expected = "<dt>Expected charge</dt><dd>$0.0062, for an answer of usual length</dd>"
    assert expected in squeezed(html)
    send(people.bob, relay, text="One")
    frames = "".join(RunEvent.objects.order_by("seq").values_list("html", flat=True))
    assert " · expected $0.0062 · ≤ $0.0421 reserved</hx-partial>" in frames
    outcome = Run.objects.get().outcome
    assert outcome is not None
    assert outcome["expected_nano"] == 6_200_000
    html = squeezed(page(people.bob, chat_of(people.bob)).content.decode())
    assert "of $0.0062 expected, $0.000009 reserved" in html
    url = reverse("run_debug", args=["acme", Run.objects.get().text_id])
    assert "<dt>Expected charge</dt><dd>$0.0062</dd>" in squeezed(
        page(people.bob, url).content.decode()
    )


def test_an_unknown_answer_length_has_no_expected_charge(people: Cast) -> None:
    relay = ScriptedRelay(outcome())
    relay.bound_result = relay.bound_result._replace(expected_nano=None)
    html = ask_bound(people.bob, relay, text="Hello")
    assert "reserved" in html
    assert "expected" not in html.lower()


def test_settings_are_sent_stored_and_rejected_by_name(people: Cast) -> None:
    refused = send(people.bob, answers("x"), text="One", **{"p.temperature": "9"})
    assert refused.status_code == 422
    assert "Temperature: enter a value from 0 to 2." in squeezed(refused.content.decode())
    relay = answers("x")
    send(people.bob, relay, text="One", system="Be {{how}}.", max_cost="0.5",
         **{"p.temperature": "0.2", "var.how": "short"})  # fmt: skip
    body = json.loads(relay.requests[0][1])
    assert (body["temperature"], body["max_cost"]) == (0.2, "0.5")
    assert body["messages"][0]["content"] == "Be short."
    html = squeezed(page(people.bob, chat_of(people.bob)).content.decode())
    assert ">Be {{how}}.</textarea>" in html
    assert ">short</textarea>" in html
    assert 'name="p.temperature" form="composer" inputmode="decimal" value="0.2"' in html


def test_a_parameter_that_the_upstream_dropped_is_named(people: Cast) -> None:
    relay = answers("x")
    relay.dropped = ("seed",)
    send(people.bob, relay, text="One")
    html = page(people.bob, chat_of(people.bob)).content.decode()
    assert "The model does not support seed: left out." in html


def test_editors_are_checked_by_path(people: Cast) -> None:
    def check(editor: str, text: str, **form: str) -> str:
        url = reverse("check", args=["acme", editor])
        return signed_in(people.bob).post(url, {editor: text, **form}).content.decode()

    assert "1 tool, valid" in check("tools", '[{"name": "f"}]')
    assert "Tools, /0/name: must be a name" in check("tools", '[{"name": "f f"}]')
    assert "/properties/a/minimum" in check("schema", '{"properties": {"a": {"minimum": "x"}}}')
    assert "must be false in strict mode" in check("schema", '{"type": "object"}', strict="on")
    assert "Passed through unchanged: glow" in check("raw", '{"glow": 1}')
    assert "messages is set by the conversation" in check("raw", '{"messages": []}')
    example = signed_in(people.bob).post(
        reverse("schema_from_example", args=["acme"]), {"schema": '{"a": 1}'}
    )
    assert "&quot;type&quot;: &quot;integer&quot;" in example.content.decode()


def test_answer_is_checked_against_the_requested_schema(people: Cast) -> None:
    schema = '{"type": "object", "properties": {"rows": {"type": "array", "items": {"type": "object", "properties": {"n": {"type": "integer"}}}}}}'  # noqa: E501
    send(people.bob, answers('{"rows": [{"n": 1}, {"n": "x"}]}'), text="One", schema=schema)
    html = page(people.bob, chat_of(people.bob)).content.decode()
    assert "Does not match the schema: 1 error" in html
    assert "<code>/rows/1/n</code>" in html
    assert "<td>1</td>" in html


def test_presets_are_private_or_shared(people: Cast) -> None:
    form = {"model": "weir-1", "p.temperature": "0.3", "preset_name": "Calm"}
    signed_in(people.bob).post(reverse("preset_save", args=["acme"]), form, headers=HTMX)
    preset = Preset.objects.get()
    assert preset.settings == {"params": {"temperature": 0.3}}
    url = f"/o/acme/playground?preset={preset.text_id}"
    assert 'value="0.3"' in page(people.bob, url).content.decode()
    assert page(people.alice, url).status_code == 404
    form["preset_shared"] = "on"
    signed_in(people.bob).post(reverse("preset_save", args=["acme"]), form, headers=HTMX)
    assert Preset.objects.count() == 1
    assert page(people.alice, url).status_code == 200
    assert post(people.alice, "preset_delete", preset.text_id).status_code == 404
    assert post(people.bob, "preset_delete", preset.text_id).status_code == 200
    assert Preset.objects.count() == 0


@pytest.mark.parametrize(
    ("name", "why"), [("a\x00b", "Null characters"), ("n" * 10_000, "This has 10000")]
)
def test_unstorable_names_and_notes_are_rejected(people: Cast, name: str, why: str) -> None:
    form = {"model": "weir-1", "preset_name": name}
    url = reverse("preset_save", args=["acme"])
    assert why in signed_in(people.bob).post(url, form, headers=HTMX)["HX-Trigger"]
    for field in ("prompt_name", "prompt_note"):
        assert why in save_prompt(people.bob, "You are kind.", **{field: name})["HX-Trigger"]
    assert not Preset.objects.exists()
    assert not Prompt.objects.exists()


# Saved prompts ----------------------------------------------------------------------------------


def save_prompt(user: User, system: str, **form: str) -> Any:
    url = reverse("prompt_save", args=["acme"])
    fields = {"model": "weir-1", "system": system, "prompt_name": "Refund bot",
            "prompt_shared": "on", **form}  # fmt: skip
    return signed_in(user).post(url, fields, headers=HTMX)


def test_prompts_have_versions_that_never_change(people: Cast) -> None:
    save_prompt(people.bob, "You are {{who}}.", **{"var.who": "Ann", "p.temperature": "0.1"})
    save_prompt(people.alice, "You are kind, {{who}}.", **{"var.who": "Ann"})
    prompt = Prompt.objects.get()
    assert prompt.slug == "refund-bot"
    assert [version.number for version in prompt.versions.all()] == [2, 1]
    html = squeezed(
        page(people.bob, reverse("prompt", args=["acme", "refund-bot"])).content.decode()
    )
    assert "<ins>kind, </ins>" in html or "<ins>kind,</ins>" in html
    opened = squeezed(page(people.bob, "/o/acme/playground?prompt=refund-bot@1").content.decode())
    assert ">You are {{who}}.</textarea>" in opened
    assert page(people.charlie, reverse("prompts", args=["acme"])).status_code == 404
    signed_in(people.bob).post(
        reverse("prompt_production", args=["acme", "refund-bot"]), {"v": "1"}
    )
    assert Prompt.objects.get().production == 1
    actions = list(AuditEvent.objects.order_by("id").values_list("action", flat=True))
    assert actions[-3:] == ["prompt.saved", "prompt.saved", "prompt.put_in_production"]


def test_prompts_are_listed_by_their_last_version(people: Cast) -> None:
    save_prompt(people.bob, "You are kind.")
    save_prompt(people.alice, "You are kind!", model="weir-2")
    own = {"prompt_name": "Notes"}
    signed_in(people.bob).post(
        reverse("prompt_save", args=["acme"]), {"model": "weir-1", "system": "Short.", **own}
    )
    bob, address = signed_in(people.bob), reverse("prompts", args=["acme"])
    listed = f"{address}?cols=name,model,versions,by,visible&export=csv"
    notes, refunds = file_of(bob, listed)
    assert list(notes.values()) == ["Notes", "weir-1", "1", "bob@example.org", "Only you"]
    assert list(refunds.values()) == [
        "Refund bot", "weir-2", "2", "alice@example.org", "Organisation",
    ]  # fmt: skip
    for sort in ("saved", "versions", "-model", "production", "by", "slug", "visible"):
        assert len(rows_of(bob, f"{address}?sort={sort}")) == 2
    assert rows_of(bob, f"{address}?cols=name&sort=-versions") == ["Refund bot", "Notes"]
    assert rows_of(bob, f"{address}?cols=name&q=WEIR-2") == ["Refund bot"]
    assert rows_of(bob, f"{address}?cols=name&visible=own") == ["Notes"]
    assert rows_of(signed_in(people.alice), f"{address}?cols=name") == ["Refund bot"]


def test_win_rates_are_listed_best_first(people: Cast) -> None:
    for n in range(6):
        Vote.objects.create(
            organisation=people.acme, user=people.bob, batch=new_id(),
            candidates=["weir-1", "weir-2"], winner="weir-2" if n else "weir-1",
        )  # fmt: skip
    bob, address = signed_in(people.bob), reverse("votes", args=["acme"])
    exported = file_of(bob, f"{address}?export=csv")
    assert [row["model"] for row in exported] == ["weir-2", "weir-1"]
    assert exported[0] == {
        "model": "weir-2", "rate": "83", "interval": "44–97%", "wins": "5", "votes": "6",
    }  # fmt: skip
    assert rows_of(bob, f"{address}?sort=wins&cols=model") == ["weir-1", "weir-2"]
    assert rows_of(bob, f"{address}?q=WEIR-1&cols=model,rate") == ["weir-1 17%"]


def test_the_api_gives_a_prompt_by_name_and_version(people: Cast) -> None:
    save_prompt(people.bob, "You are {{who}}.", **{"p.temperature": "0.1", "var.who": "x"})
    save_prompt(people.bob, "You are {{who}}!", **{"var.who": "x"})
    _, text = make_key(people.core, user=people.bob)
    client = Client(headers={"authorization": f"Bearer {text}"})
    url = "/api/v1/prompts/refund-bot"
    assert client.get("/api/v1/prompts").json()["items"][0]["version"] == 2
    assert client.get("/api/v1/prompts/refund%00").status_code == 404
    assert client.get(url, {"version": 1}).json()["settings"]["params"] == {"temperature": 0.1}
    rendered = client.post(
        f"{url}/render",
        {"version": 1, "variables": {"who": "Ann"}, "input": "Hello"},
        content_type="application/json",
    )
    assert rendered.json() == {
        "model": "weir-1",
        "messages": [
            {"role": "system", "content": "You are Ann."},
            {"role": "user", "content": "Hello"},
        ],
        "temperature": 0.1,
    }
    wrong = client.post(
        f"{url}/render", {"variables": {"whom": "x"}}, content_type="application/json"
    )
    assert wrong.status_code == 400
    assert "Unknown variables: whom." in wrong.json()["error"]["message"]
    unknown = client.post(f"{url}/render", {"colour": 1}, content_type="application/json")
    assert unknown.status_code in (400, 422)
    assert client.get("/api/v1/prompts/nothing").status_code == 404


# Files ------------------------------------------------------------------------------------------


def test_files_go_with_the_message_to_the_model(people: Cast) -> None:
    response = signed_in(people.bob).post(
        reverse("file_add", args=["acme"]),
        {
            "files": [
                SimpleUploadedFile("../a b.png", PNG),
                SimpleUploadedFile("x.bin", b"\x00\xff"),
            ]
        },
        headers=HTMX,
    )
    html = response.content.decode()
    assert "a b.png" in html
    assert "640×480" in html
    assert "≈ 425 tokens" in html
    assert "x.bin is not a supported file type" in html
    file = Attachment.objects.get()
    assert file.name == "a b.png"
    relay = answers("x")
    send(people.bob, relay, text="Look", file=file.text_id)
    content = json.loads(relay.requests[0][1])["messages"][0]["content"]
    assert [part["type"] for part in content] == ["image_url", "text"]
    assert "a b.png" in page(people.bob, chat_of(people.bob)).content.decode()
    url = reverse("file_show", args=["acme", file.text_id])
    page_text = page(people.bob, url)
    assert page_text["Content-Type"] == "image/png"
    assert "sandbox" in page_text["Content-Security-Policy"]
    assert page(people.alice, url).status_code == 404
    assert send(people.alice, relay, text="Look", file=file.text_id).status_code == 404


def test_a_file_that_a_browser_could_run_is_only_saved(people: Cast) -> None:
    signed_in(people.bob).post(
        reverse("file_add", args=["acme"]),
        {"files": SimpleUploadedFile("x.html", b"<script>alert(1)</script>")},
    )
    response = page(
        people.bob, reverse("file_show", args=["acme", Attachment.objects.get().text_id])
    )
    assert response["Content-Type"] == "application/octet-stream"
    assert response["Content-Disposition"].startswith("attachment")


def test_an_address_is_fetched_under_guard(people: Cast) -> None:
    response = signed_in(people.bob).post(
        reverse("file_fetch", args=["acme"]), {"url": "http://127.0.0.1:1/x"}, headers=HTMX
    )
    assert "The URL could not be fetched" in response.content.decode()
    assert Attachment.objects.count() == 0


# Comparing --------------------------------------------------------------------------------------


def compare(user: User, **form: Any) -> Any:
    return send(user, answers("same words"), model=["weir-1", "weir-1", "weir-1"], compare="1",
                text="Hi", **form)  # fmt: skip


def test_columns_are_runs_of_one_send(people: Cast) -> None:
    response = compare(people.bob)
    assert response["HX-Redirect"] == chat_of(people.bob)
    runs = list(Run.objects.order_by("column"))
    assert [run.column for run in runs] == [0, 1, 2]
    assert len({run.batch for run in runs}) == 1
    assert Message.objects.filter(role="user").count() == 1
    html = page(people.bob, chat_of(people.bob)).content.decode()
    assert html.count('class="column"') == 3
    assert "$0.0000054" in html
    relay = answers("again")
    send(people.bob, relay, model=["weir-1"] * 3, compare="1", text="More",
         conversation=conversation_id())  # fmt: skip
    assert len(relay.requests) == 3
    assert all(len(json.loads(body)["messages"]) == 3 for _, body in relay.requests)
    chosen = Message.objects.filter(content="again", column=1).get()
    post(people.bob, "keep", chosen.text_id)
    chat = page(people.bob, chat_of(people.bob)).content.decode()
    assert 'class="column"' not in chat
    assert chat.count(">same words<") == 1


def test_columns_maximum_covers_its_own_answers(people: Cast) -> None:
    compare(people.bob)
    Message.objects.filter(column=1, role="assistant").update(content="other words")
    relay = ScriptedRelay(outcome())
    ask_bound(people.bob, relay, model=["weir-1"] * 3, compare="1", text="More",
              conversation=conversation_id())  # fmt: skip
    contents = [json.loads(body)["messages"][1]["content"] for _, body, _ in relay.bounds]
    assert contents == ["same words", "other words", "same words"]


def test_a_model_is_added_to_a_comparison_later(people: Cast) -> None:
    """W11: it answers what the others answered last, in their summary, and goes on with them."""
    compare(people.bob)
    send(people.bob, answers("second words"), model=["weir-1"] * 3, compare="1", text="More",
         conversation=conversation_id())  # fmt: skip
    relay = answers("late words")
    token = id_text(new_id())
    assert add_model(people.bob, relay, token=token)["HX-Redirect"] == chat_of(people.bob)
    contents = [message["content"] for message in json.loads(relay.requests[0][1])["messages"]]
    assert contents == ["Hi", "same words", "More"]
    batch = Run.objects.filter(batch=Run.objects.latest("id").batch)
    assert sorted(run.column for run in batch) == [0, 1, 2, 3]
    assert Message.objects.filter(role="user", content="More").count() == 3
    html = page(people.bob, chat_of(people.bob)).content.decode()
    assert html.count('class="column"') == 4
    assert "late words" in html
    assert 'id="add-column"' not in html
    add_model(people.bob, relay, token=token)
    assert len(relay.requests) == 1
    refused = add_model(people.bob, relay)
    assert "A comparison has up to 4 models." in refused["HX-Trigger"]
    relay = answers("third words")
    send(people.bob, relay, model=["weir-1"] * 4, compare="1", text="On",
         conversation=conversation_id())  # fmt: skip
    contents = [json.loads(body)["messages"][3]["content"] for _, body in relay.requests]
    assert sorted(contents) == ["late words", *["second words"] * 3]


def test_only_an_offered_model_joins_a_comparison(people: Cast) -> None:
    compare(people.bob)
    relay = answers("x")
    assert "Choose a model." in add_model(people.bob, relay, model="weir-none")["HX-Trigger"]
    assert add_model(people.alice, relay).status_code == 404
    Conversation.objects.update(columns=[])
    assert "HX-Trigger" in add_model(people.bob, relay)
    assert relay.requests == []


def test_rejected_column_affects_no_other(people: Cast) -> None:
    refused = outcome(402, "insufficient_balance", charge_nano=0, basis="none", meters={})
    send(people.bob, ScriptedRelay(refused), model=["weir-1"] * 2, compare="1", text="Hi")
    assert [run.state for run in Run.objects.all()] == ["refused", "refused"]
    assert Conversation.objects.count() == 1


def test_names_are_hidden_until_the_vote(people: Cast) -> None:
    compare(people.bob, blind="1")
    html = page(people.bob, chat_of(people.bob)).content.decode()
    log = html[html.index('class="compare-columns"') : html.index('id="summary"')]
    assert "Model A" in log
    assert "<b>weir-1</b>" not in log
    assert "Which answer is the best?" in html
    run = Run.objects.order_by("column")[1]
    post(people.bob, "vote", id_text(run.batch), winner="1")
    assert Vote.objects.get().winner == "weir-1"
    html = page(people.bob, chat_of(people.bob)).content.decode()
    assert "<b>weir-1</b>" in html

    def rates() -> str:
        shown: str = page(people.alice, reverse("votes", args=["acme"])).content.decode()
        return shown

    # A model beside itself has won against nobody.
    assert "100%" not in rates()
    Vote.objects.update(candidates=["weir-1", "weir-2"])
    assert "100%" in rates()
    assert post(people.charlie, "vote", id_text(run.batch), winner="1").status_code == 404


def columns_html(html: str) -> str:
    """The columns of a comparison, without what only the form sends."""
    columns = html[html.index('class="compare-columns"') : html.index('id="summary"')]
    return re.sub(r'<input\s+type="hidden"[^>]*>', "", columns)


def offered(html: str) -> set[str]:
    """The names of the addresses to which a part of a page leads."""
    paths = re.findall(r'(?:href|action|src|hx-get|hx-post)="(/(?!static/)[^"?#]*)', html)
    return {resolve(path).url_name or "" for path in paths}


def test_nothing_in_a_blind_column_leads_to_its_model(people: Cast) -> None:
    """W11: before the vote, neither a word nor a link tells the columns apart; the pages of a
    request, of its code and of its prices name the model."""
    compare(people.bob, blind="1")
    before = columns_html(page(people.bob, chat_of(people.bob)).content.decode())
    assert "weir-1" not in before
    assert offered(before) == {"keep"}
    post(people.bob, "vote", id_text(Run.objects.order_by("column")[1].batch), winner="1")
    after = columns_html(page(people.bob, chat_of(people.bob)).content.decode())
    assert "weir-1" in after
    assert offered(after) == {"keep", "message_rate", "request"}


def test_answers_are_compared_word_by_word(people: Cast) -> None:
    compare(people.bob)
    Message.objects.filter(column=1, role="assistant").update(content="other words")
    url = reverse("diff", args=["acme", conversation_id()])
    html = squeezed(
        signed_in(people.bob).get(url, {"a": "0", "b": "1"}, headers=HTMX).content.decode()
    )
    assert "same</del>" in html
    assert "other</ins>" in html


# Sharing ----------------------------------------------------------------------------------------


def share(user: User, **form: str) -> str:
    response = post(user, "share_create", conversation_id(), **form)
    match = re.search(r'id="share-url">http://testserver([^<]+)', response.content.decode())
    assert match
    return match[1]


def test_link_shows_only_what_was_chosen(people: Cast) -> None:
    send(people.bob, answers("An answer <b>"), text="A question", system="Secret system")
    url = share(people.bob, days="7", hide_system="on", hide_cost="on")
    later = {"conversation": conversation_id(), "system": "Secret system"}
    send(people.bob, answers("later"), text="Later", **later)
    response = Client().get(url)
    html = response.content.decode()
    assert "A question" in html
    assert "An answer &lt;b&gt;" in html
    for hidden in ("Secret system", "$0.0", "later", "bob", "<script"):
        assert hidden not in html
    assert response["X-Robots-Tag"].startswith("noindex")
    open_url = share(people.bob, days="1")
    html = Client().get(open_url).content.decode()
    assert "Secret system" in html
    assert "$0.0000018" in html
    assert ShareLink.objects.filter(views=1, system_shown=False).count() == 1


def test_a_link_ends_by_time_and_by_hand(people: Cast) -> None:
    send(people.bob, answers("x"), text="A question")
    url = share(people.bob, days="1")
    link = ShareLink.objects.get()
    ShareLink.objects.update(expires_at=clock.now())
    assert Client().get(url).status_code == 410
    ShareLink.objects.update(expires_at=None)
    assert Client().get(url).status_code == 200
    assert post(people.alice, "share_revoke", id_text(link.id)).status_code == 404
    post(people.bob, "share_revoke", id_text(link.id))
    gone = Client().get(url)
    assert gone.status_code == 410
    assert "A question" not in gone.content.decode()
    assert Client().get("/s/nothing").status_code == 404


def test_a_link_for_members_opens_to_no_stranger(people: Cast) -> None:
    send(people.bob, answers("x"), text="A question")
    url = share(people.bob, who="members")
    assert signed_in(people.alice).get(url).status_code == 200
    assert signed_in(people.charlie).get(url).status_code == 404
    assert Client().get(url).status_code == 404


# Debug, and the session's endpoint -------------------------------------------------------------


def test_debug_view_shows_the_wire_traffic(people: Cast) -> None:
    send(people.bob, answers("x"), text="One", **{"p.temperature": "0.5"})
    run = Run.objects.get()
    html = page(people.bob, reverse("run_debug", args=["acme", run.text_id])).content.decode()
    assert "&quot;temperature&quot;: 0.5" in html
    assert "data: {" in html
    assert " ms</span>" in html
    assert id_text(run.request_id) in html
    assert page(people.alice, reverse("run_debug", args=["acme", run.text_id])).status_code == 404


def test_debug_view_shows_a_run_with_an_unknown_charge(people: Cast) -> None:
    """The books may not have said what an answer cost that was left."""
    send(people.bob, answers("x"), text="One")
    Run.objects.update(outcome={})
    html = page(people.bob, reverse("run_debug", args=["acme", Run.objects.get().text_id]))
    assert html.status_code == 200
    assert "<dt>Charged</dt>" in html.content.decode()


@pytest.mark.parametrize("operator", [False, True])
def test_the_debug_view_names_the_channel_to_operators_only(people: Cast, operator: bool) -> None:
    send(people.bob, answers("x"), text="One")
    run = Run.objects.get()
    key, _ = make_key(people.core, "ci", user=people.bob)
    credit(key)
    happen(key, request_id=run.request_id, channel_name="east-secret")
    User.objects.filter(id=people.bob.id).update(operator=operator)
    html = page(people.bob, reverse("run_debug", args=["acme", run.text_id])).content.decode()
    assert ("east-secret" in html) is operator


def pg(user: User | None, relay: ScriptedRelay, body: dict[str, Any], **over: Any) -> Any:
    async def ask() -> Any:
        client = RelayClient(relay)
        if user is not None:
            await client.aforce_login(user, backend="django.contrib.auth.backends.ModelBackend")
        response: Any = await client.post(
            "/pg/chat/completions", json.dumps(body), content_type="application/json", **over
        )
        if response.streaming:
            response.whole = b"".join([chunk async for chunk in response])
        return response

    return async_to_sync(ask)()


def test_session_may_call_like_a_client(people: Cast) -> None:
    relay = ScriptedRelay(TextDelta(0, "Hi"), outcome())
    response = pg(people.bob, relay, {"model": "weir-1", "messages": []})
    assert response.whole.endswith(b"data: [DONE]\n\n")
    assert response["x-weir-hold"] == "0.000009"
    assert relay.requests[0][0].user_id == people.bob.id
    grouped = {"group": "vip", "model": "weir-1", "messages": [], "top_p": 0.10}
    pg(people.bob, relay, grouped)
    assert json.loads(relay.requests[1][1]) == {"model": "weir-1", "messages": [], "top_p": 0.1}
    refused = pg(people.bob, ScriptedRelay(outcome(404, "model_not_found", message="none")), {})
    assert refused.status_code == 404
    assert refused.json()["error"]["message"] == "none"
    assert pg(None, relay, {}).status_code in (302, 401, 403)


@pytest.mark.parametrize(
    ("form", "language", "word"),
    [
        ("chat_completions", "curl", "/v1/chat/completions"),
        ("responses", "python", "responses.create"),
        ("messages", "javascript", "messages.create"),
        ("nonsense", "nonsense", "curl -N"),
    ],
)
def test_code_view_shows_each_form_without_a_key(
    people: Cast, form: str, language: str, word: str
) -> None:
    """What it sends is proved where the code is made
    (tests/gateway/code_examples/test_snippets.py)."""
    send(people.bob, answers("x"), text="<b>Hi</b> & bye")
    run = Run.objects.get()
    address = reverse("run_code", args=["acme", run.text_id])
    text = page(people.bob, f"{address}?form={form}&lang={language}").content.decode()
    code = unescape(re.sub(r"<[^>]*>", "", text.split('id="run-code">')[1].split("</code>")[0]))
    assert word in code
    assert "<b>Hi</b> & bye" in code
    assert "WEIR_API_KEY" in code
    assert "sk-" not in code
    assert page(people.alice, address).status_code == 404


def test_picker_shows_visible_models_with_their_version(
    people: Cast,
) -> None:
    for name, shared, production in (("Mine", False, None), ("Ours", True, 1), ("Others", True, 2)):
        prompt = Prompt.objects.create(
            organisation=people.acme, user=people.bob, slug=name.lower(), name=name,
            shared=shared, labels={"production": [production]} if production else {},
        )  # fmt: skip
        for number in (1, 2):
            prompt.versions.create(
                number=number, model="weir-1", settings={"system": f"{name} {number}"}
            )

    def search_prompts(user: User, words: str = "") -> list[tuple[str, str]]:
        html = squeezed(squeezed(page(user, f"/o/acme/prompts/_f/pick?q={words}").content.decode()))
        return re.findall(r"prompt=(\w+)&amp;.*?>(version [^<]*)<", html)

    assert search_prompts(people.bob) == [
        ("mine", "version 2, latest"),
        ("others", "version 2, in production"),
        ("ours", "version 1, in production"),
    ]
    assert [slug for slug, _ in search_prompts(people.alice)] == ["others", "ours"]
    assert search_prompts(people.bob, "our") == [("ours", "version 1, in production")]
    html = squeezed(page(people.bob, "/o/acme/playground?prompt=ours").content.decode())
    assert ">Ours 1</textarea>" in html
    assert "No prompt is named" in squeezed(
        page(people.bob, "/o/acme/prompts/_f/pick?q=zz").content.decode()
    )
    assert page(people.charlie, "/o/acme/prompts/_f/pick").status_code == 404
