"""What the hub answers, held against the published schemas, whatever dialect the upstream speaks.

Members that no schema has are named here with their reason; any other one is a leak.
"""

import copy
import json
from collections.abc import Iterator
from dataclasses import replace
from itertools import product
from typing import Any

import pytest

from tests.fakes.media import picture, wav
from tests.fakes.upstream import FakeUpstream
from tests.relay.operations.test_images import post_form
from tests.relay.speakers import SPEAKERS, UPSTREAMS, Wish, frames
from tests.relay.test_matrix import open_model, send
from tests.support import openapi
from tests.support.hub import Answer, Hub, Tenant

WISHES = {
    "text": Wish("#tokens=5 #lang=mixed #cached=2 hello"),
    "length": Wish("#tokens=50", cap=20),
    "tools": Wish("#tokens=2 #tools=2 weather?", tools=True),
    "reasoning": Wish("#reasoning=3 #tokens=3", think=True),
    "hidden reasoning": Wish("#hidden=3 #tokens=3", think=True),
    "sealed": Wish("#reasoning=3 #tokens=0 #tools=1", tools=True, think=True),
    "form": Wish("a trip", schema=True),
    "image": Wish("#tokens=3", image=True),
    "filtered": Wish("#tokens=3 #finish=content_filter"),
    "empty": Wish("#tokens=0"),
    "no usage": Wish("#tokens=3 #usage=none"),
}
FAILURES = {
    "broken": Wish("#tokens=9 #delay_ms=5 #fault=F14:eof@3", stream=True),
    "failed": Wish("#tokens=9 #delay_ms=5 #fault=F23:error@3", stream=True),
}
KNOWN: dict[openapi.Publisher, set[str]] = {
    "openai": {
        "reasoning_content",  # reasoning, as DeepSeek and most others tell it
        "extra_content",  # seals of other providers, in Google's form
        "image_tokens",  # of what came out, beside the others
        "request_id",  # beside an error, as Anthropic has it
        # Of Open Responses, which asks for them.
        "store", "presence_penalty", "frequency_penalty",
    },
    "openresponses": {
        "name",  # OpenAI asks for it at the end of a call's arguments
        "user",  # OpenAI's own
        "request_id",  # beside what failed, as in the body of an error
    },
}  # fmt: skip
upstreams = pytest.mark.parametrize("upstream", UPSTREAMS)


def check(value: Any, publisher: openapi.Publisher, name: str) -> None:
    openapi.check(value, publisher, name)
    assert openapi.unknown_members(value, publisher, name) <= KNOWN[publisher]


def check_response(response: dict[str, Any]) -> None:
    check(of_openai(response), "openai", "Response")
    check(of_open_responses(response), "openresponses", "ResponseResource")


def of_openai(response: dict[str, Any]) -> dict[str, Any]:
    """Without what OpenAI itself sends as null and its schema does not know as such."""
    nulls = [name for name in ("usage", "user") if response.get(name, 0) is None]
    return {name: value for name, value in response.items() if name not in nulls}


def of_open_responses(response: dict[str, Any]) -> dict[str, Any]:
    """Its echo of a JSON schema may hold none: what was asked would have to be forgotten."""
    whole = copy.deepcopy(response)
    if whole["text"]["format"]["type"] == "json_schema":
        whole["text"]["format"] = {"type": "text"}
    return whole


def check_chunks(answer: Answer) -> None:
    for _, data in frames(answer.body):
        if data != "[DONE]":
            body = json.loads(data)
            failed = "error" in body
            name = "ErrorResponse" if failed else "CreateChatCompletionStreamResponse"
            check(body, "openai", name)


def check_events(answer: Answer) -> None:
    for _, data in frames(answer.body):
        body = json.loads(data)
        for publisher, event in forms_of(body):
            check(event, publisher, openapi.event_names(publisher)[body["type"]])


def forms_of(event: dict[str, Any]) -> Iterator[tuple[openapi.Publisher, dict[str, Any]]]:
    if "response" not in event:
        yield "openai", event
        yield "openresponses", event
        return
    yield "openai", event | {"response": of_openai(event["response"])}
    yield "openresponses", event | {"response": of_open_responses(event["response"])}


@pytest.fixture(scope="module")
def tenant(hub: Hub) -> Tenant:
    return hub.tenant()


@pytest.fixture(scope="module")
def models(hub: Hub, fake: FakeUpstream) -> dict[str, str]:
    """A model of each upstream, for answers that come to their end."""
    return {upstream: open_model(hub, fake, upstream) for upstream in UPSTREAMS}


def ask(hub: Hub, tenant: Tenant, client: str, model: str, wish: Wish) -> Answer:
    speaker = SPEAKERS[client]
    answer = send(hub, tenant, speaker, model, speaker.body(model, wish), wish.stream)
    assert answer.status == 200, answer.body
    return answer


@upstreams
@pytest.mark.parametrize("name", WISHES)
def test_chat_completions(
    hub: Hub, tenant: Tenant, models: dict[str, str], upstream: str, name: str
) -> None:
    wish, model = WISHES[name], models[upstream]
    answer = ask(hub, tenant, "openai", model, wish)
    check(answer.json(), "openai", "CreateChatCompletionResponse")
    check_chunks(ask(hub, tenant, "openai", model, replace(wish, stream=True)))


# An answer of the same dialect without its usage breaks the schema by itself.
@pytest.mark.parametrize(
    ("upstream", "name"),
    [cell for cell in product(UPSTREAMS, WISHES) if cell != ("responses", "no usage")],
)
def test_responses(
    hub: Hub, tenant: Tenant, models: dict[str, str], upstream: str, name: str
) -> None:
    wish, model = WISHES[name], models[upstream]
    check_response(ask(hub, tenant, "responses", model, wish).json())
    check_events(ask(hub, tenant, "responses", model, replace(wish, stream=True)))


@upstreams
@pytest.mark.parametrize("name", FAILURES)
def test_answers_that_fail_on_the_way(
    hub: Hub, fake: FakeUpstream, tenant: Tenant, upstream: str, name: str
) -> None:
    model = open_model(hub, fake, upstream, retries=0)
    check_chunks(ask(hub, tenant, "openai", model, FAILURES[name]))
    check_events(ask(hub, tenant, "responses", model, FAILURES[name]))


@upstreams
@pytest.mark.parametrize("client", ["openai", "responses"])
@pytest.mark.parametrize(
    ("text", "status"),
    [
        ("#fault=F6:400", 400), ("#fault=F6:context", 400), ("#fault=F8:seconds", 429),
        ("#fault=F10:500", 502), ("#fault=F5:401", 502),
    ],
)  # fmt: skip
def test_errors(
    hub: Hub, fake: FakeUpstream, upstream: str, client: str, text: str, status: int
) -> None:
    speaker, model = SPEAKERS[client], open_model(hub, fake, upstream, retries=0)
    body = speaker.body(model, Wish(text))
    answer = send(hub, hub.tenant(), speaker, model, body, False)
    assert answer.status == status
    check(answer.json(), "openai", "ErrorResponse")


def test_refusals_of_the_hub_itself(hub: Hub, fake: FakeUpstream) -> None:
    model, tenant = open_model(hub, fake, "openai"), hub.tenant()
    poor, asked = hub.tenant("0"), [{"role": "user", "content": "hi"}]
    answers = [
        hub.post(None, {"model": model, "messages": asked}),
        hub.post(poor, {"model": model, "messages": asked}),
        hub.post(tenant, {"model": "no-such", "messages": asked}),
        hub.post(tenant, {"model": model}),
        hub.post(tenant, {"model": model, "messages": []}),
        hub.post(tenant, b"{"),
        hub.get("/v1/chat/completions", tenant),
        hub.get("/v1/nothing", tenant),
        hub.get("/v1/models/no-such", tenant),
    ]
    assert [answer.status for answer in answers] == [401, 402, 404, 400, 422, 400, 405, 404, 404]
    for answer in answers:
        check(answer.json(), "openai", "ErrorResponse")


@pytest.mark.parametrize("upstream", ["openai", "anthropic"])
def test_completions(hub: Hub, fake: FakeUpstream, upstream: str) -> None:
    model, tenant = open_model(hub, fake, upstream), hub.tenant()
    body = {"model": model, "prompt": "#tokens=3 hi", "max_tokens": 20}
    answer = hub.post(tenant, body, path="/v1/completions")
    check(answer.json(), "openai", "CreateCompletionResponse")
    streamed = hub.post(tenant, body | {"stream": True}, path="/v1/completions")
    for _, data in frames(streamed.body):
        if data != "[DONE]":
            check(without_nulls(json.loads(data)), "openai", "CreateCompletionResponse")


def without_nulls(chunk: dict[str, Any]) -> dict[str, Any]:
    """OpenAI has no schema for the pieces of a completion, which are not yet at their end."""
    for choice in chunk["choices"]:
        choice["finish_reason"] = choice["finish_reason"] or "stop"
    return {name: value for name, value in chunk.items() if (name, value) != ("usage", None)}


@pytest.mark.parametrize("upstream", ["openai", "gemini"])
def test_embeddings(hub: Hub, fake: FakeUpstream, upstream: str) -> None:
    computes = {"upstream_model": "gemini-embedding-001"} if upstream == "gemini" else {}
    model = open_model(hub, fake, upstream, **computes)
    answer = hub.post(hub.tenant(), {"model": model, "input": ["a", "b"]}, path="/v1/embeddings")
    assert answer.status == 200, answer.body
    check(answer.json(), "openai", "CreateEmbeddingResponse")


IMAGES = {"in_text": 1, "in_image": 1, "out_image": 1}
MEDIA: dict[str, tuple[dict[str, int], dict[str, Any], str, str]] = {
    "/v1/images/generations": (
        IMAGES, {"prompt": "a boat", "partial_images": 1},
        "ImagesResponse", "ImageGenStreamEvent",
    ),
    "/v1/images/edits": (
        IMAGES, {"prompt": "x", "image": picture("x"), "partial_images": "1"},
        "ImagesResponse", "ImageEditStreamEvent",
    ),
    "/v1/audio/transcriptions": (
        {"in_text": 1, "in_audio": 1, "out_text": 1}, {"file": wav(500)},
        "CreateTranscriptionResponseJson", "CreateTranscriptionResponseStreamEvent",
    ),
    "/v1/audio/translations": (
        {"audio_ms": 1}, {"file": wav(500)}, "CreateTranslationResponseJson", "",
    ),
    "/v1/audio/speech": (
        {"in_text": 1, "out_audio": 1}, {"input": "hello", "voice": "alloy"},
        "", "CreateSpeechResponseStreamEvent",
    ),
}  # fmt: skip


@pytest.mark.parametrize("path", MEDIA)
def test_images_and_sound(hub: Hub, fake: FakeUpstream, path: str) -> None:
    rates, body, whole, event = MEDIA[path]
    tenant = hub.tenant()
    model = hub.model(fake, rates=rates, upstream_model="gpt-4o-transcribe")
    asked = body | {"model": model}
    if whole:
        answer = send_media(hub, tenant, path, asked)
        check(answer.json(), "openai", whole)
    if event:
        more: dict[str, Any] = {"stream": "true"}
        if "speech" in path:
            more = {"stream_format": "sse"}
        if "generations" in path:
            more = {"stream": True}
        streamed = send_media(hub, tenant, path, asked | more)
        messages = [data for _, data in frames(streamed.body) if data != "[DONE]"]
        assert messages
        for data in messages:
            check(json.loads(data), "openai", event)
    refused = send_media(hub, tenant, path, asked | {"model": "no-such"})
    check(refused.json(), "openai", "ErrorResponse")


def send_media(hub: Hub, tenant: Tenant, path: str, body: dict[str, Any]) -> Answer:
    if any(isinstance(value, bytes) for value in body.values()):
        return post_form(hub, tenant, path, *body.items())
    return hub.post(tenant, body, path=path)


def test_moderations(hub: Hub, fake: FakeUpstream) -> None:
    model = hub.model(fake, rates={"requests": 0})
    answer = hub.post(hub.tenant(), {"model": model, "input": "hi"}, path="/v1/moderations")
    assert answer.status == 200, answer.body
    check(answer.json(), "openai", "CreateModerationResponse")


def test_models(hub: Hub, fake: FakeUpstream) -> None:
    model, tenant = open_model(hub, fake, "openai"), hub.tenant()
    openapi.check(hub.get("/v1/models", tenant).json(), "openai", "ListModelsResponse")
    openapi.check(hub.get(f"/v1/models/{model}", tenant).json(), "openai", "Model")
