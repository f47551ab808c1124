"""Completions, embeddings, moderations, rerank, the lists of models, and Azure's paths."""

import base64
import struct
from typing import Any

import pytest
from openai import AzureOpenAI, NotFoundError, OpenAI

from tests.fakes.tests.forms import CHAT
from tests.fakes.tests.http import Got, connect, post, read
from tests.fakes.upstream import FakeUpstream, expected_text


def client(fake: FakeUpstream) -> OpenAI:
    return OpenAI(base_url=fake.url, api_key="sk-fake", max_retries=0)


def test_the_official_client_completes(fake: FakeUpstream) -> None:
    with client(fake) as openai:
        got = openai.completions.create(model="fake", prompt="a b", max_tokens=9)
        assert got.choices[0].text == expected_text("a", "a b", 9)
        assert got.usage is not None
        assert (got.usage.prompt_tokens, got.usage.completion_tokens) == (2, 9)
        streamed = openai.completions.create(model="fake-9", prompt="a b", stream=True)
        assert "".join(c.choices[0].text for c in streamed) == expected_text("a", "a b", 9)
        several = openai.completions.create(model="fake-3", prompt=["a", "b"], n=2)
        assert [choice.index for choice in several.choices] == [0, 1, 2, 3]
        short = openai.completions.create(model="fake-50", prompt=[1, 2, 3])
        assert short.choices[0].finish_reason == "length"
        assert short.usage is not None
        assert (short.usage.prompt_tokens, short.usage.completion_tokens) == (3, 16)


def test_the_official_client_embeds(fake: FakeUpstream) -> None:
    with client(fake) as openai:
        floats = openai.embeddings.create(
            model="fake", input=["one two", "three"], encoding_format="float", dimensions=4
        )
        assert [item.index for item in floats.data] == [0, 1]
        assert floats.usage.prompt_tokens == floats.usage.total_tokens == 3
        packed = openai.embeddings.create(model="fake", input="one two", dimensions=4)
        assert packed.data[0].embedding == floats.data[0].embedding
    raw = post(
        fake,
        "/v1/embeddings",
        {"model": "fake", "input": "x #dims=3", "encoding_format": "base64"},
        CHAT.headers,
    ).json()
    assert len(struct.unpack("<3f", base64.b64decode(raw["data"][0]["embedding"]))) == 3
    numbers = {"model": "fake", "input": [[1, 2], [3, 4, 5]]}
    assert post(fake, "/v1/embeddings", numbers, CHAT.headers).json()["usage"] == {
        "prompt_tokens": 5,
        "total_tokens": 5,
    }
    assert post(fake, "/v1/embeddings", {"model": "fake", "input": []}, CHAT.headers).status == 400
    row = fake.books()[0]
    assert (row["dialect"], row["emitted"]) == ("embeddings", 0)
    assert row["usage"]["total_tokens"] == row["reported"]["total_tokens"] == 3


def test_usage_of_embeddings_may_lie_too(fake: FakeUpstream) -> None:
    def post_embeddings(mode: str) -> Any:
        body = {"model": "fake", "input": f"a b #usage={mode}"}
        return post(fake, "/v1/embeddings", body, CHAT.headers).json().get("usage")

    assert post_embeddings("none") is None
    assert post_embeddings("zero") == {"prompt_tokens": 0, "total_tokens": 0}
    assert post_embeddings("context")["prompt_tokens"] == 50_000_000
    assert post_embeddings("string")["prompt_tokens"] == "many"


def test_moderations_are_free(fake: FakeUpstream) -> None:
    with client(fake) as openai:
        bad, good = openai.moderations.create(input=["I will hurt you", "hello"]).results
        assert (bad.flagged, bad.categories.violence, good.flagged) == (True, True, False)
        picture: Any = {"type": "image_url", "image_url": {"url": "https://example.com/a.png"}}
        parts: Any = [{"type": "text", "text": "hello"}, picture]
        assert len(openai.moderations.create(input=parts).results) == 1
    assert [row["usage"]["total_tokens"] for row in fake.books()] == [0, 0]
    assert fake.books()[1]["media"][0]["url"] == "https://example.com/a.png"
    assert fake.totals()["prompt_tokens"] == 0


DOCUMENTS = ["Carson City", "the capital of the US is Washington", "no"]


def rerank(fake: FakeUpstream, path: str, **more: Any) -> Got:
    body = {"model": "fake", "query": "capital of the US", "documents": DOCUMENTS} | more
    return post(fake, path, body, CHAT.headers)


def test_rerank_in_both_forms(fake: FakeUpstream) -> None:
    jina = rerank(fake, "/v1/rerank", top_n=2, return_documents=True).json()
    assert [result["index"] for result in jina["results"]] == [1, 0]
    assert jina["results"][0]["document"] == {"text": DOCUMENTS[1]}
    assert jina["usage"] == {"total_tokens": 14, "prompt_tokens": 14}
    objects = [{"text": text} for text in DOCUMENTS]
    assert rerank(fake, "/v1/rerank", documents=objects).json()["usage"]["total_tokens"] == 14
    cohere = rerank(fake, "/v2/rerank", top_n=1).json()
    assert [result["index"] for result in cohere["results"]] == [1]
    assert cohere["meta"]["billed_units"] == {"search_units": 1}
    assert "usage" not in cohere
    assert rerank(fake, "/v2/rerank", documents=["a"] * 101).json()["meta"]["billed_units"] == {
        "search_units": 2
    }
    assert rerank(fake, "/v2/rerank", query="").json() == {"message": "query is missing"}
    assert rerank(fake, "/v1/rerank", documents=[]).json() == {"detail": "documents is missing"}
    assert fake.books()[2]["reported_raw"] == {"search_units": 1}


def get(fake: FakeUpstream, path: str, **headers: str) -> Got:
    lines = "".join(f"{name.replace('_', '-')}: {value}\r\n" for name, value in headers.items())
    with connect(fake) as sock:
        sock.sendall(f"GET {path} HTTP/1.1\r\nhost: x\r\n{lines}\r\n".encode())
        return read(sock)


def test_models_are_listed_in_the_askers_form(fake: FakeUpstream) -> None:
    openai = get(fake, "/v1/models", authorization="Bearer sk-fake").json()
    assert (openai["object"], len(openai["data"])) == ("list", 3)
    anthropic = get(fake, "/v1/models", x_api_key="sk-fake", anthropic_version="x").json()
    assert (anthropic["first_id"], anthropic["has_more"]) == ("fake", False)
    google = get(fake, "/v1beta/models", x_goog_api_key="sk-fake").json()
    assert google["models"][0]["name"] == "models/fake"
    assert get(fake, "/v1beta/models?key=sk-fake").json() == google
    azure = get(fake, "/openai/v1/models", api_key="sk-fake").json()
    assert azure == openai
    one = get(fake, "/v1/models/fake-64", authorization="Bearer sk-fake").json()
    assert (one["id"], one["object"]) == ("fake-64", "model")
    assert get(fake, "/v1beta/models/fake-64", x_goog_api_key="sk-fake").json()["name"] == (
        "models/fake-64"
    )
    assert get(fake, "/v1/models/other", authorization="Bearer sk-fake").status == 404
    for wrong in ({"api_key": "sk-fake"}, {"authorization": "Bearer no"}, {}):
        assert get(fake, "/v1/models", **wrong).status == 401
    assert get(fake, "/openai/v1/models", authorization="Bearer sk-fake").status == 401


# ---- Azure


def azure(fake: FakeUpstream, key: str = "sk-fake") -> AzureOpenAI:
    return AzureOpenAI(
        azure_endpoint=fake.origin, api_key=key, api_version="2024-10-21", max_retries=0
    )


HELLO: Any = [{"role": "user", "content": "hello you"}]


def test_azure_is_reached_by_its_deployment(fake: FakeUpstream) -> None:
    with azure(fake) as openai:
        got = openai.chat.completions.create(model="fake-9", messages=HELLO)
        assert got.choices[0].message.content == expected_text("a", "hello you", 9)
        chunks = list(openai.chat.completions.create(model="fake-9", messages=HELLO, stream=True))
        assert chunks[0].choices == []
        assert len(chunks) == 12
        assert openai.embeddings.create(model="fake", input="a b").usage.prompt_tokens == 2
        assert openai.responses.create(model="fake-9", input="hi").output_text
        with pytest.raises(NotFoundError):
            openai.chat.completions.create(model="fake+fault=F7", messages=HELLO)
    rows = fake.books()
    assert {row["carrier"] for row in rows} == {"api-key"}
    assert [row["model"] for row in rows[:3]] == ["fake-9", "fake-9", "fake"]


def test_azure_has_words_of_its_own(fake: FakeUpstream) -> None:
    path = "/openai/deployments/fake/chat/completions"
    body = CHAT.body("x #fault=F6:content", stream=False)
    key = {"api-key": "sk-fake"}
    filtered = post(fake, f"{path}?api-version=1", body, key).json()["error"]
    assert filtered["code"] == "content_filter"
    assert filtered["innererror"]["code"] == "ResponsibleAIPolicyViolation"
    assert post(fake, path, body, key).status == 404  # no api-version
    wrong = post(fake, f"{path}?api-version=1", body, {"api-key": "no"})
    assert (wrong.status, wrong.json()["error"]["code"]) == (401, "401")
    assert post(fake, f"{path}?api-version=1", body, CHAT.headers).status == 401
    body = CHAT.body("x", stream=False)
    assert post(fake, "/openai/v1/chat/completions", body, key).status == 200


def test_chat_counts_images_and_requires_reasoning_on_request(fake: FakeUpstream) -> None:
    data = base64.b64encode(b"picture").decode()
    content = [
        {"type": "text", "text": "two words"},
        {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{data}"}},
        {"type": "image_url", "image_url": {"url": "https://example.com/a.png"}},
    ]
    body = CHAT.body("", stream=False) | {"messages": [{"role": "user", "content": content}]}
    assert post(fake, "/v1/chat/completions", body, CHAT.headers).status == 200
    row = fake.books()[0]
    assert row["prompt_tokens"] == 4
    assert [medium["bytes"] for medium in row["media"]] == [7, None]
    call = {"id": "c", "type": "function", "function": {"name": "look", "arguments": "{}"}}
    turns: list[Any] = [
        {"role": "user", "content": "x #seals"},
        {"role": "assistant", "content": None, "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "c", "content": "seen"},
    ]
    body["messages"] = turns
    assert post(fake, "/v1/chat/completions", body, CHAT.headers).status == 400
    turns[1]["reasoning_content"] = "thought"
    assert post(fake, "/v1/chat/completions", body, CHAT.headers).status == 200
