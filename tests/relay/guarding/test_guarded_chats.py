"""P40: guards on chats in every dialect, in requests, whole answers and streams."""

import json
import re
import socket
from collections.abc import Callable
from typing import Any

import pytest
from msgspec import to_builtins
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

from content.guards.guard import check
from content.guards.masks import Masks
from lib.ids import id_text
from tests.content.corpus.planted import PLANTED
from tests.fakes.upstream import FakeUpstream
from tests.relay.asking import ask
from tests.relay.guarding.conftest import GuardedHub, rule
from tests.relay.own_keys.test_own_keys import channel_of, knows
from tests.relay.speakers import SPEAKERS, UPSTREAMS, SpokenAnswer, Wish, messages
from tests.support.hub import Answer, Hub, Tenant

ADDRESS = "alice.liddell@example.com"
by_dialect = pytest.mark.parametrize("dialect", UPSTREAMS)
by_form = pytest.mark.parametrize("stream", [True, False], ids=["stream", "whole"])


@pytest.fixture(scope="module")
def models(guarded_hub: GuardedHub, fake: FakeUpstream) -> dict[str, str]:
    return {dialect: guarded_hub.hub.model(fake, **UPSTREAMS[dialect]) for dialect in UPSTREAMS}


def send(hub: Hub, tenant: Tenant, dialect: str, model: str, text: str, *, stream: bool) -> Answer:
    speaker = SPEAKERS[dialect]
    body = speaker.body(model, Wish(text, stream))
    return hub.post(tenant, body, path=speaker.path(model, stream=stream))


def late_finding(fake: FakeUpstream, *, stream: bool) -> tuple[str, Callable[[], object] | None]:
    """What to ask for a finding in the middle of an answer, and what then lets the stream go on:
    the client has its beginning first."""
    text = f"#echo #chunk_bytes=64 {'many words come before it ' * 20} {ADDRESS} soon"

    def go_on() -> None:
        fake.wait_for(lambda totals: totals["holding"] > 0)
        fake.release()

    return (f"#hold=40 {text}", go_on) if stream else (text, None)


@by_dialect
@by_form
def test_a_refused_request_goes_nowhere(
    guarded_hub: GuardedHub, models: dict[str, str], dialect: str, stream: bool
) -> None:
    hub = guarded_hub.hub
    tenant = guarded_hub.tenant(rule("refuse", "request"))
    answer = send(hub, tenant, dialect, models[dialect], f"Write to {ADDRESS}", stream=stream)
    assert answer.status == 400, answer.body
    error = SPEAKERS[dialect].error_of(answer.json())
    assert "the guard email rejects the request (own)" in error["message"]
    assert ADDRESS.encode() not in answer.body
    hub.settled(tenant)
    record = hub.record(answer.headers["x-request-id"])
    assert (record["status"], record["kind"], record["charge_nano"]) == (400, "guard_refused", 0)
    assert SPEAKERS[dialect].guard_code(error, stream=False) == "own"


@by_dialect
@by_form
def test_a_masked_text_stays_here_and_comes_back(
    guarded_hub: GuardedHub, fake: FakeUpstream, models: dict[str, str], dialect: str, stream: bool
) -> None:
    hub = guarded_hub.hub
    tenant = guarded_hub.tenant(rule("mask", "request"))
    text = f"#echo #keep #chunk_bytes=1 Write to {ADDRESS} and again {ADDRESS} please"
    answer = send(hub, tenant, dialect, models[dialect], text, stream=stream)
    assert answer.status == 200, answer.body
    spoken: SpokenAnswer = SPEAKERS[dialect].read(answer)
    assert spoken.whole, answer.body
    assert spoken.text.count(ADDRESS) == 2, spoken.text
    assert "<EMAIL" not in spoken.text
    (attempt,) = hub.records(answer.headers["x-request-id"])
    row = fake.wait_for_row(id_text(attempt["id"]))
    assert "<EMAIL_1>" in str(row)
    assert ADDRESS not in str(row)


@by_dialect
@by_form
def test_an_answer_is_masked(
    guarded_hub: GuardedHub, models: dict[str, str], dialect: str, stream: bool
) -> None:
    hub = guarded_hub.hub
    tenant = guarded_hub.tenant(rule("mask", "answer"))
    answer = send(
        hub,
        tenant,
        dialect,
        models[dialect],
        f"#echo #chunk_bytes=1 Write to {ADDRESS} soon",
        stream=stream,
    )
    assert answer.status == 200, answer.body
    spoken = SPEAKERS[dialect].read(answer)
    assert spoken.whole, answer.body
    assert "<EMAIL_1> soon" in spoken.text
    assert b"liddell" not in answer.body


@by_dialect
@by_form
def test_a_refused_answer_ends_in_its_dialect_and_is_charged(
    guarded_hub: GuardedHub, fake: FakeUpstream, models: dict[str, str], dialect: str, stream: bool
) -> None:
    hub, speaker, model = guarded_hub.hub, SPEAKERS[dialect], models[dialect]
    tenant = guarded_hub.tenant(rule("refuse", "answer"))
    text, go_on = late_finding(fake, stream=stream)
    body, path = speaker.body(model, Wish(text, stream)), speaker.path(model, stream=stream)
    answer = hub.post(tenant, body, path=path, once_begun=go_on)
    assert b"liddell" not in answer.body
    assert b"soon" not in answer.body
    if stream:
        assert answer.status == 200, answer.body
        spoken = speaker.read(answer)
        assert not spoken.whole
        assert spoken.error is not None, answer.body
        assert speaker.guard_code(spoken.error, stream=True) == "own"
    else:
        assert answer.status == 400, answer.body
        error = speaker.error_of(answer.json())
        assert speaker.guard_code(error, stream=False) == "own"
    hub.settled(tenant)
    record = hub.record(answer.headers["x-request-id"])
    assert (record["status"], record["kind"]) == (400, "guard_refused")
    assert record["charge_nano"] > 0


@by_form
def test_clients_of_claude_on_bedrock_get_the_guards_code(
    guarded_hub: GuardedHub, fake: FakeUpstream, models: dict[str, str], stream: bool
) -> None:
    """P40: also through the messages that Amazon's own reader takes."""
    asked, go_on = late_finding(fake, stream=stream)
    tenant = guarded_hub.tenant(rule("refuse", "answer"))
    body = {
        "anthropic_version": "bedrock-2023-05-31", "max_tokens": 4096,
        "messages": [{"role": "user", "content": asked}],
    }  # fmt: skip
    way = "invoke-with-response-stream" if stream else "invoke"
    path = f"/model/{models['anthropic']}/{way}"
    answer = guarded_hub.hub.post(tenant, body, path=path, once_begun=go_on)
    assert answer.status == (200 if stream else 400), answer.body
    if stream:
        *_, (kind, error) = messages(answer.body)
        assert kind == "validationException"
    else:
        error = answer.json()
    assert error["guard_code"] == "own"


def test_a_stream_that_is_a_json_array_has_the_guards_code(
    guarded_hub: GuardedHub, fake: FakeUpstream, models: dict[str, str]
) -> None:
    speaker, model = SPEAKERS["gemini"], models["gemini"]
    text, go_on = late_finding(fake, stream=True)
    body = speaker.body(model, Wish(text, True))
    path = f"/v1beta/models/{model}:streamGenerateContent"
    tenant = guarded_hub.tenant(rule("refuse", "answer"))
    answer = guarded_hub.hub.post(tenant, body, path=path, once_begun=go_on)
    assert answer.status == 200, answer.body
    error = speaker.error_of(answer.json()[-1])
    assert speaker.guard_code(error, stream=True) == "own"


@by_form
@pytest.mark.parametrize("own", [False, True], ids=["the hub's key", "an own key"])
def test_a_refused_answer_uses_up_its_idempotency_key(
    guarded_hub: GuardedHub, fake: FakeUpstream, stream: bool, own: bool
) -> None:
    """P5: the answer was paid, so a repetition is refused however soon it comes."""
    hub = guarded_hub.hub
    model, tenant = hub.model(fake), guarded_hub.tenant(rule("refuse", "answer"))
    if own:
        hub.own_key(tenant, channel_of(hub, model), fake.key)
        knows(hub)
    body, headers = ask(model, f"#echo {ADDRESS}", stream=stream), {"idempotency-key": "1"}
    first, again = (hub.post(tenant, body, headers=headers) for _ in range(2))
    assert "rejects" in first.error["message"]
    assert (again.status, again.error["param"]) == (400, "idempotency-key"), again.body
    records = hub.records(first.headers["x-request-id"])
    assert [one["own_nano"] is not None for one in records] == [own]
    assert records[0]["own_nano" if own else "charge_nano"] > 0


# One text of each guard that the fake upstream says again as it stands.
SAID = {
    one.guard: one
    for one in reversed(PLANTED)
    if one.place == "answer" and len(one.text) < 100 and re.fullmatch(r"[^#\n\t]+", one.text)
}


@by_dialect
@pytest.mark.parametrize("action", ["mask", "refuse"])
def test_p40_planted_texts_through_the_hub(
    guarded_hub: GuardedHub, models: dict[str, str], dialect: str, action: Any
) -> None:
    """The whole corpus goes the same way without a hub, in `test_whole_corpus.py`."""
    rules = [each for one in SAID.values() for each in one.rules(action)]
    assert len(rules) == 6
    tenant = guarded_hub.tenant(*(to_builtins(each) for each in rules))
    for one in SAID.values():
        text = f"#echo #chunk_bytes=7 It says: {one.text}"
        answer = send(guarded_hub.hub, tenant, dialect, models[dialect], text, stream=True)
        assert one.secret.encode() not in answer.body
        if action == "mask":
            said = SPEAKERS[dialect].read(answer).text
            assert check(rules, "answer", one.text, Masks()).text in said
            assert not one.leaks(said)
        elif answer.status == 200:
            spoken = SPEAKERS[dialect].read(answer)
            assert spoken.error is not None
            assert not one.leaks(spoken.text)
        else:
            assert answer.status == 400


def test_a_flag_is_recorded(guarded_hub: GuardedHub, models: dict[str, str]) -> None:
    hub = guarded_hub.hub
    tenant = guarded_hub.tenant(rule("flag", "request"))
    answer = send(hub, tenant, "openai", models["openai"], f"Write to {ADDRESS}", stream=False)
    assert answer.status == 200
    hub.settled(tenant)
    *flags, took = hub.record(answer.headers["x-request-id"])["flags"]
    assert flags == ["guard:own", "guard_pure:email"]
    assert re.fullmatch("guard_ms::[0-9]+", took)


def effects(hub: Hub, tenant: Tenant, answer: Answer) -> list[str]:
    """What guards did, by the flags of the record; the id of the policy without its digits."""
    hub.settled(tenant)
    flags = hub.record(answer.headers["x-request-id"])["flags"]
    (row,) = hub.rows(
        "SELECT id FROM content_policy WHERE organisation_id = %s", tenant.organisation_id
    )
    return [
        flag.replace(id_text(row["id"]), "…")
        for flag in flags
        if not flag.startswith(("guard_pure:", "guard_ms:"))
    ]


@by_form
@pytest.mark.parametrize("place", ["request", "answer"])
def test_record_says_which_policy_masked_how_many_texts_where(
    guarded_hub: GuardedHub, models: dict[str, str], place: str, stream: bool
) -> None:
    """A text that is there twice counts once."""
    tenant = guarded_hub.tenant(rule("mask", place))
    text = f"#echo #keep Write to {ADDRESS}, {ADDRESS} and bob@example.com"
    answer = send(guarded_hub.hub, tenant, "openai", models["openai"], text, stream=stream)
    assert answer.status == 200, answer.body
    assert effects(guarded_hub.hub, tenant, answer) == [
        "masked", "guard_policy:…", f"guard_in:{place}", "guard_masked:email:2",
    ]  # fmt: skip


@by_form
def test_what_is_put_back_is_not_masked_in_the_answer(
    guarded_hub: GuardedHub, models: dict[str, str], stream: bool
) -> None:
    tenant = guarded_hub.tenant(rule("mask", "request", "answer"))
    text = f"#echo #keep Write to {ADDRESS}"
    answer = send(guarded_hub.hub, tenant, "openai", models["openai"], text, stream=stream)
    assert effects(guarded_hub.hub, tenant, answer) == [
        "masked", "guard_policy:…", "guard_in:request", "guard_masked:email:1",
    ]  # fmt: skip


@by_form
@pytest.mark.parametrize("place", ["request", "answer"])
def test_record_says_which_policy_rejected(
    guarded_hub: GuardedHub, models: dict[str, str], place: str, stream: bool
) -> None:
    tenant = guarded_hub.tenant(rule("refuse", place))
    text = f"#echo #chunk_bytes=64 {'many words come before it ' * 9} {ADDRESS} soon"
    answer = send(guarded_hub.hub, tenant, "openai", models["openai"], text, stream=stream)
    done = effects(guarded_hub.hub, tenant, answer)
    assert done[-3:] == ["guard_policy:…", f"guard_in:{place}", "guard_refused:email"]
    assert "masked" not in done


TRANSPORTS = ["/v1/realtime", "/v1/live/sessions", "/v1/responses"]


@pytest.mark.parametrize("path", TRANSPORTS)
def test_a_websocket_is_refused(guarded_hub: GuardedHub, path: str) -> None:
    tenant = guarded_hub.tenant(rule("flag", "request"))
    address = f"{guarded_hub.hub.url}{path}?model=m".replace("http", "ws", 1)
    headers = {"authorization": f"Bearer {tenant.key}"}
    with pytest.raises(InvalidStatus) as refused, connect(address, additional_headers=headers):
        pass
    assert refused.value.response.status_code == 403
    assert b"its guards cannot check them" in (refused.value.response.body or b"")


def test_passing_through_is_refused_and_recorded(guarded_hub: GuardedHub) -> None:
    hub = guarded_hub.hub
    tenant = guarded_hub.tenant(rule("flag", "request"))
    answer = hub.post(tenant, {}, path="/passthrough/any/v1/things")
    assert answer.status == 403, answer.body
    assert "its guards cannot check them" in answer.error["message"]
    hub.settled(tenant)
    assert hub.record(answer.headers["x-request-id"])["kind"] == "permission"


def test_guards_that_are_assigned_while_a_body_arrives_apply(guarded_hub: GuardedHub) -> None:
    hub, path, body = guarded_hub.hub, "/v1/realtime/client_secrets", b"{}"
    tenant = hub.tenant()
    head = (
        f"POST {path} HTTP/1.1\r\nHost: hub\r\nAuthorization: Bearer {tenant.key}\r\n"
        f"Expect: 100-continue\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    with socket.create_connection(("127.0.0.1", hub.port), timeout=20) as client:
        client.sendall(head.encode())
        # The key has been checked, and the body is asked for.
        assert client.recv(65536).startswith(b"HTTP/1.1 100 ")
        guarded_hub.guard(tenant, rule("flag", "request"))
        hub.bump()
        hub.wait(lambda: hub.post(tenant, {}, path=path).status == 403, "it does not hear of them")
        client.sendall(body)
        answer = client.recv(65536)
    assert answer.startswith(b"HTTP/1.1 403 "), answer
    assert b"its guards cannot check them" in answer


def test_texts_of_other_operations_are_guarded(
    guarded_hub: GuardedHub, fake: FakeUpstream, models: dict[str, str]
) -> None:
    hub = guarded_hub.hub
    body = {"model": models["openai"], "input": ["harmless", f"Write to {ADDRESS}"]}
    refusing = guarded_hub.tenant(rule("refuse", "request"))
    refused = hub.post(refusing, body, path="/v1/embeddings")
    assert (refused.status, refused.error["code"]) == (400, "own")
    answer = hub.post(
        guarded_hub.tenant(rule("mask", "request")), body | {"user": ADDRESS}, path="/v1/embeddings"
    )
    assert answer.status == 200, answer.body
    (attempt,) = hub.records(answer.headers["x-request-id"])
    assert ADDRESS not in str(fake.wait_for_row(id_text(attempt["id"])))
    # What comes back of a picture's prompt is a text that is not checked.
    picture = {"model": models["openai"], "prompt": "a cat"}
    answering = guarded_hub.tenant(rule("mask", "answer"))
    unread = hub.post(answering, picture, path="/v1/images/generations")
    assert unread.status == 403, unread.body


TOKEN_IDS: dict[str, Any] = {"ids": [15339, 1917], "lists": [[15339], [1917]], "mixed": [["a", 1]]}


@pytest.mark.parametrize("ids", TOKEN_IDS)
@pytest.mark.parametrize(
    ("path", "member"), [("/v1/embeddings", "input"), ("/v1/completions", "prompt")]
)
def test_token_ids_are_refused(
    guarded_hub: GuardedHub, models: dict[str, str], path: str, member: str, ids: str
) -> None:
    """P40: they stand for a text that guards cannot read."""
    hub = guarded_hub.hub
    body = {"model": models["openai"], member: TOKEN_IDS[ids]}
    refused = hub.post(guarded_hub.tenant(rule("flag", "request")), body, path=path)
    unread = ids == "mixed" and path == "/v1/embeddings"
    assert refused.status == (400 if unread else 403), refused.body
    assert unread or "token ids: its guards cannot check them" in refused.error["message"]
    if ids != "mixed":
        asked = hub.post(guarded_hub.tenant(rule("flag", "tool_result")), body, path=path)
        assert asked.status == 200, asked.body


def test_results_of_tools_are_guarded(guarded_hub: GuardedHub, models: dict[str, str]) -> None:
    hub = guarded_hub.hub
    tenant = guarded_hub.tenant(rule("refuse", "tool_result"))
    call = {"id": "c1", "type": "function", "function": {"name": "find", "arguments": "{}"}}
    turns: list[dict[str, Any]] = [
        {"role": "user", "content": f"Write to {ADDRESS}"},
        {"role": "assistant", "content": None, "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "c1", "content": "nothing"},
    ]
    assert hub.post(tenant, {"model": models["openai"], "messages": turns}).status == 200
    turns[-1]["content"] = '{"found": "alice.liddell\\u0040example.com"}'
    refused = hub.post(tenant, {"model": models["openai"], "messages": turns})
    assert refused.status == 400, refused.body
    assert "the result of a tool" in refused.error["message"]


def test_a_continued_conversation_is_masked_anew(
    guarded_hub: GuardedHub, fake: FakeUpstream, models: dict[str, str]
) -> None:
    hub, model = guarded_hub.hub, models["responses"]
    tenant = guarded_hub.tenant(rule("mask", "request"))
    first = hub.post(
        tenant, {"model": model, "input": f"#echo Say {ADDRESS}"}, path="/v1/responses"
    ).json()
    assert ADDRESS in str(first["output"])
    body = {"model": model, "input": "#echo #keep And bob@example.com <EMAIL_1>"}
    second = hub.post(tenant, body | {"previous_response_id": first["id"]}, path="/v1/responses")
    assert second.status == 200, second.body
    assert "bob@example.com <EMAIL_1>" in str(second.json()["output"])
    (attempt,) = hub.records(second.headers["x-request-id"])
    row = str(fake.wait_for_row(id_text(attempt["id"])))
    assert ADDRESS not in row
    assert "bob@" not in row


def test_an_answer_in_the_background_is_guarded(
    guarded_hub: GuardedHub, models: dict[str, str]
) -> None:
    hub = guarded_hub.hub
    tenant = guarded_hub.tenant(rule("mask", "answer"))
    body = {"model": models["responses"], "input": f"#echo Say {ADDRESS}", "background": True}
    begun = hub.post(tenant, body, path="/v1/responses")
    assert begun.status == 200, begun.body
    path = f"/v1/responses/{begun.json()['id']}"

    def ended() -> bool:
        return hub.request("GET", path, tenant).json()["status"] not in ("queued", "in_progress")

    hub.wait(ended, "the response runs on")
    shown = hub.request("GET", path, tenant)
    assert shown.json()["status"] == "completed"
    assert "<EMAIL_1>" in str(shown.json()["output"])
    assert ADDRESS not in str(shown.json()["output"])


@pytest.mark.parametrize("dialect", ["responses", "interactions"])
def test_a_refused_answer_in_the_background_has_the_guards_code(
    guarded_hub: GuardedHub, models: dict[str, str], dialect: str
) -> None:
    """P40: in the stored answer as in its events, whether its client reads them or not."""
    hub, speaker = guarded_hub.hub, SPEAKERS[dialect]
    tenant = guarded_hub.tenant(rule("refuse", "answer"))
    text = f"#echo #chunk_bytes=64 {'many words come before it ' * 20} {ADDRESS} soon"
    path = speaker.path(models[dialect], stream=False)
    for asked in (text, f"#echo {ADDRESS}"):
        body = speaker.body(models[dialect], Wish(asked)) | {"background": True, "store": True}
        begun = hub.post(tenant, body, path=path)
        assert begun.status == 200, begun.body
        own = f"{path}/{begun.json()['id']}"

        def has_failed(own: str = own) -> bool:
            return bool(hub.request("GET", own, tenant).json()["status"] == "failed")

        hub.wait(has_failed, "the answer runs on")
        stored = hub.request("GET", own, tenant).json()
        error = stored["error"] if dialect == "responses" else stored["errors"][0]
        assert speaker.guard_code(error, stream=True) == "own"
        events = hub.request("GET", f"{own}?stream=true", tenant).body.decode()
        last = json.loads(events.rpartition("data: ")[2])
        error = last["response"]["error"] if dialect == "responses" else last["error"]
        assert speaker.guard_code(error, stream=True) == "own"


def test_counting_tokens_sends_no_text_that_is_masked(
    guarded_hub: GuardedHub, models: dict[str, str]
) -> None:
    hub = guarded_hub.hub
    body = {"model": models["anthropic"], "messages": [{"role": "user", "content": ADDRESS}]}
    refusing = guarded_hub.tenant(rule("refuse", "request"))
    refused = hub.post(refusing, body, path="/v1/messages/count_tokens")
    assert refused.status == 400, refused.body
    masking = guarded_hub.tenant(rule("mask", "request"))
    assert hub.post(masking, body, path="/v1/messages/count_tokens").status == 200
