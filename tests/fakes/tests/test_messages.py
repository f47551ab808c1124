"""Anthropic's dialect: its rules, its seals, and its official client."""

import base64
import hashlib
from typing import Any

import pytest
from anthropic import Anthropic, APIStatusError, AuthenticationError, RateLimitError

from tests.fakes.tests.forms import MESSAGES, named
from tests.fakes.tests.http import post
from tests.fakes.upstream import FakeUpstream, expected_text

TOOL: Any = {"name": "look", "description": "looks", "input_schema": {"type": "object"}}


def refused(fake: FakeUpstream, messages: Any, **more: Any) -> str:
    body = {"model": "fake", "max_tokens": 2000, "messages": messages} | more
    got = post(fake, "/v1/messages", body, MESSAGES.headers)
    assert got.status == 400, got.body
    return str(got.json()["error"]["message"])


def user(text: str = "x") -> dict[str, Any]:
    return {"role": "user", "content": text}


def assistant(*blocks: dict[str, Any]) -> dict[str, Any]:
    return {"role": "assistant", "content": list(blocks)}


def call(ident: str = "toolu_1", **more: Any) -> dict[str, Any]:
    return {"type": "tool_use", "id": ident, "name": "look", "input": {}} | more


def result(ident: str = "toolu_1") -> dict[str, Any]:
    block = {"type": "tool_result", "tool_use_id": ident, "content": "seen"}
    return {"role": "user", "content": [block]}


@pytest.mark.parametrize(
    ("messages", "more", "words"),
    [
        ([user()], {"max_tokens": None}, "max_tokens: Field required"),
        ([], {}, "at least one message"),
        ([assistant({"type": "text", "text": "x"})], {}, 'first message must use the "user" role'),
        ([{"role": "system", "content": "x"}, user()], {}, "user"),
        ([user(" ")], {}, "non-empty"),
        ([user()], {"temperature": 1.5}, "temperature"),
        ([user()], {"stop_sequences": [" "]}, "non-whitespace"),
        ([user()], {"tools": [{"name": "look"}]}, "input_schema: Field required"),
        ([user()], {"tools": [{"name": "a b", "input_schema": {"type": "object"}}]}, "pattern"),
        ([user(), assistant({"type": "text", "text": "x "})], {}, "trailing whitespace"),
        ([user(), assistant(call()), user()], {}, "without `tool_result` blocks"),
        ([user(), assistant(call())], {}, "without `tool_result` blocks"),
        ([user(), result()], {}, "unexpected `tool_use_id`"),
        ([user(), assistant(call("a.b")), result("a.b")], {}, "pattern"),
        ([user(), assistant(call(input="{}")), result()], {}, "valid dictionary"),
        ([user(), assistant(call(), call()), result()], {}, "unique"),
        ([user()], {"thinking": {"type": "enabled", "budget_tokens": 99}}, "1024"),
        ([user()], {"thinking": {"type": "enabled", "budget_tokens": 2000}}, "must be greater"),
        (
            [user()],
            {"thinking": {"type": "enabled", "budget_tokens": 1024}, "temperature": 0.5},
            "may only be set to 1",
        ),
        (
            [user()],
            {"thinking": {"type": "adaptive"}, "tool_choice": {"type": "any"}},
            "forces tool use",
        ),
        (
            [user(), assistant(call()), result()],
            {"thinking": {"type": "enabled", "budget_tokens": 1024}},
            "Expected `thinking`",
        ),
    ],
)
def test_provider_rejections(
    fake: FakeUpstream, messages: Any, more: dict[str, Any], words: str
) -> None:
    assert words in refused(fake, messages, **more)
    assert fake.books()[0]["outcome"] == "refused"


def test_version_header_is_required(fake: FakeUpstream) -> None:
    got = post(fake, "/v1/messages", MESSAGES.body("x", stream=False), {"x-api-key": "sk-fake"})
    assert (got.status, got.json()["error"]["message"]) == (
        400,
        "anthropic-version: header is required",
    )


def test_thinking_comes_back_only_with_its_seal(fake: FakeUpstream) -> None:
    first = MESSAGES.ask(fake, "go #reasoning=3 #hidden=2 #tools=1").json()["content"]
    assert [block["type"] for block in first] == ["redacted_thinking", "thinking", "tool_use"]
    redacted, thinking, used = first

    def second(*blocks: dict[str, Any]) -> list[dict[str, Any]]:
        return [user("go #reasoning=3 #hidden=2 #tools=1"), assistant(*blocks), result(used["id"])]

    unsigned = {name: value for name, value in thinking.items() if name != "signature"}
    assert "signature: Field required" in refused(fake, second(unsigned, used))
    for wrong in (
        thinking | {"thinking": "other"},
        thinking | {"signature": ""},
        thinking | {"signature": "openai:abc"},
    ):
        assert "Invalid `signature`" in refused(fake, second(wrong, used))
    assert "Invalid `data`" in refused(fake, second(redacted | {"data": "x"}, used))
    thought = {"thinking": {"type": "enabled", "budget_tokens": 1024}}
    body = MESSAGES.body("", stream=False) | {"messages": second(*first)} | thought
    got = post(fake, "/v1/messages", body, MESSAGES.headers)
    assert got.status == 200
    assert got.json()["content"][-1]["text"].endswith(" seen")
    assert fake.books()[-1]["seals"] == 2


def test_cached_tokens_are_outside_the_input(fake: FakeUpstream) -> None:
    wishes = "#prompt=100 #cached=40 #cache_write=20 #cache_write_1h=10 #tokens=2"
    usage = MESSAGES.ask(fake, wishes).json()["usage"]
    assert usage["input_tokens"] == 30
    assert (usage["cache_read_input_tokens"], usage["cache_creation_input_tokens"]) == (40, 30)
    assert usage["cache_creation"] == {
        "ephemeral_5m_input_tokens": 20,
        "ephemeral_1h_input_tokens": 10,
    }
    row = fake.books()[0]
    assert row["usage"]["prompt_tokens"] == row["reported"]["prompt_tokens"] == 100
    assert row["reported_raw"]["input_tokens"] == 30
    details = {"cached_tokens": 40, "cache_write_tokens": 30}
    assert row["usage"]["prompt_tokens_details"] == details


def test_the_stream_keeps_its_grammar(fake: FakeUpstream) -> None:
    got = MESSAGES.ask(fake, "#reasoning=2 #tokens=2 #tools=2 #args=1", stream=True)
    names = [name for name, _ in named(got)]
    assert names[0] == "message_start"
    assert names[-2:] == ["message_delta", "message_stop"]
    assert names.count("ping") == 1
    assert names.count("content_block_start") == names.count("content_block_stop") == 4
    delta = named(got)[-2][1]
    assert delta["delta"] == {"stop_reason": "tool_use", "stop_sequence": None}
    assert delta["usage"]["output_tokens_details"] == {"thinking_tokens": 2}
    assert fake.books()[0]["reported_raw"] == delta["usage"]
    plain = MESSAGES.ask(fake, "x").json()
    assert fake.books()[1]["reported_raw"] == plain["usage"]


def test_other_stops(fake: FakeUpstream) -> None:
    got = MESSAGES.ask(fake, "#finish=stop_sequence", stop_sequences=["END"]).json()
    assert (got["stop_reason"], got["stop_sequence"]) == ("stop_sequence", "END")
    assert MESSAGES.hear(fake, "#finish=content_filter", stream=True).finish == "refusal"
    assert MESSAGES.hear(fake, "#finish=pause_turn", stream=True).finish == "pause_turn"


def test_media_are_counted_with_their_bytes(fake: FakeUpstream) -> None:
    data = base64.b64encode(b"picture").decode()
    source = {"type": "base64", "media_type": "image/png", "data": data}
    content = [
        {"type": "text", "text": "two words"},
        {"type": "image", "source": source},
        {"type": "document", "source": {"type": "url", "url": "https://example.com/a.pdf"}},
    ]
    body = MESSAGES.body("", stream=False) | {"messages": [{"role": "user", "content": content}]}
    assert post(fake, "/v1/messages", body, MESSAGES.headers).status == 200
    row = fake.books()[0]
    assert row["prompt_tokens"] == 4
    digest = hashlib.sha256(b"picture").hexdigest()
    assert row["media"][0] == {
        "kind": "image",
        "type": "image/png",
        "bytes": 7,
        "sha256": digest,
        "url": None,
    }
    assert (row["media"][1]["kind"], row["media"][1]["url"]) == (
        "file",
        "https://example.com/a.pdf",
    )
    source["data"] = "no base64!"
    assert post(fake, "/v1/messages", body, MESSAGES.headers).status == 400


# ---- the official client


def client(fake: FakeUpstream, key: str = "sk-fake") -> Anthropic:
    return Anthropic(base_url=fake.origin, api_key=key, max_retries=0)


def test_the_official_client_reads_answers_counts_and_models(fake: FakeUpstream) -> None:
    with client(fake) as anthropic:
        got = anthropic.messages.create(
            model="fake-9", max_tokens=50, messages=[{"role": "user", "content": "hello you"}]
        )
        block = got.content[0]
        assert block.type == "text"
        assert block.text == expected_text("a", "hello you", 9)
        assert (got.usage.input_tokens, got.usage.output_tokens) == (2, 9)
        counted = anthropic.messages.count_tokens(
            model="fake", messages=[{"role": "user", "content": "one two three"}], tools=[TOOL]
        )
        assert counted.input_tokens == 5
        listed = anthropic.models.list()
        assert [model.id for model in listed] == ["fake", "fake-64", "fake-1000"]
        assert anthropic.models.retrieve("fake-64").display_name == "Fake-64"
    assert [row["usage"]["total_tokens"] for row in fake.books()] == [11, 0]
    assert {row["carrier"] for row in fake.books()} == {"bearer"}
    MESSAGES.ask(fake, "x")
    assert fake.books()[-1]["carrier"] == "x-api-key"


def test_official_client_streams_thinking_and_two_phase_calls(fake: FakeUpstream) -> None:
    asked: list[Any] = [{"role": "user", "content": "weather #reasoning=3 #tokens=2 #tools=2"}]
    thinking: Any = {"type": "enabled", "budget_tokens": 1024}
    with client(fake) as anthropic:
        with anthropic.messages.stream(
            model="fake", max_tokens=2000, messages=asked, tools=[TOOL], thinking=thinking
        ) as stream:
            final = stream.get_final_message()
        assert [block.type for block in final.content] == [
            "thinking",
            "text",
            "tool_use",
            "tool_use",
        ]
        assert (final.stop_reason, final.usage.output_tokens) == ("tool_use", 19)
        calls: list[Any] = [block for block in final.content if block.type == "tool_use"]
        assert [block.input["n"] for block in calls] == [0, 1]
        results = [
            {"type": "tool_result", "tool_use_id": block.id, "content": f"sun {i}"}
            for i, block in enumerate(calls)
        ]
        asked.append({"role": "assistant", "content": final.content})
        asked.append({"role": "user", "content": results})
        second: Any = anthropic.messages.create(
            model="fake", max_tokens=2000, messages=asked, tools=[TOOL], thinking=thinking
        )
        assert " sun 0 sun 1 " in second.content[-1].text
    assert fake.books()[-1]["seals"] == 1


def test_the_official_client_reads_errors(fake: FakeUpstream) -> None:
    hello: Any = [{"role": "user", "content": "x"}]
    with client(fake, "sk-wrong") as anthropic, pytest.raises(AuthenticationError):
        anthropic.messages.create(model="fake", max_tokens=9, messages=hello)
    with client(fake) as anthropic:
        with pytest.raises(RateLimitError):
            anthropic.messages.create(model="fake+fault=F8", max_tokens=9, messages=hello)
        with (
            pytest.raises(APIStatusError, match="Overloaded"),
            anthropic.messages.stream(
                model="fake+fault=F23@3", max_tokens=9, messages=hello
            ) as stream,
        ):
            stream.get_final_message()
