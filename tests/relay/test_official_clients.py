"""The providers' own client libraries, unchanged but for their base URL, through every upstream."""

import base64
import warnings
from collections.abc import Iterator
from typing import Any

import anthropic
import openai
import pytest
from pydantic import BaseModel

from tests.fakes.upstream import FakeUpstream, expected_text
from tests.relay.speakers import PICTURE, SCHEMA, TOOL, UPSTREAMS
from tests.relay.test_matrix import open_model
from tests.support.hub import Hub, Tenant

with warnings.catch_warnings():
    # The library's own source has an escape that Python has begun to warn about.
    warnings.simplefilter("ignore")
    from google import genai
    from google.genai import errors as genai_errors
    from google.genai import types

upstreams = pytest.mark.parametrize("upstream", UPSTREAMS)
TEXT = "#tokens=6 hello"
CALLS = "#tokens=2 #tools=2 weather?"


class Trip(BaseModel):
    city: str
    days: int


@pytest.fixture
def tenant(hub: Hub) -> Tenant:
    return hub.tenant()


@pytest.fixture
def openai_client(hub: Hub, tenant: Tenant) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=f"{hub.url}/v1", api_key=tenant.key, max_retries=0) as client:
        yield client


@pytest.fixture
def anthropic_client(hub: Hub, tenant: Tenant) -> Iterator[anthropic.Anthropic]:
    with anthropic.Anthropic(base_url=hub.url, api_key=tenant.key, max_retries=0) as client:
        yield client


@pytest.fixture
def google_client(hub: Hub, tenant: Tenant) -> Iterator[genai.Client]:
    options = types.HttpOptions(base_url=hub.url)
    client = genai.Client(api_key=tenant.key, vertexai=False, http_options=options)
    yield client
    client.close()


@upstreams
def test_openai_chat(
    hub: Hub, fake: FakeUpstream, openai_client: openai.OpenAI, upstream: str
) -> None:
    model, chat = open_model(hub, fake, upstream), openai_client.chat.completions
    messages: list[Any] = [{"role": "user", "content": TEXT}]
    whole = chat.create(model=model, messages=messages)
    assert whole.choices[0].message.content == expected_text("a", TEXT, 6)
    assert whole.usage is not None
    assert whole.usage.completion_tokens == 6
    pieces = list(chat.create(model=model, messages=messages, stream=True))
    text = "".join(c.delta.content or "" for piece in pieces for c in piece.choices)
    assert text == expected_text("a", TEXT, 6)

    function = {"name": TOOL["name"], "parameters": TOOL["schema"]}
    tools: list[Any] = [{"type": "function", "function": function}]
    messages = [{"role": "user", "content": CALLS}]
    with chat.stream(model=model, messages=messages, tools=tools) as stream:
        message = stream.get_final_completion().choices[0].message
    assert message.tool_calls is not None
    assert [call.function.name for call in message.tool_calls] == ["get_weather"] * 2
    messages.append(message.model_dump(exclude_none=True, exclude={"parsed"}))
    for call in messages[-1]["tool_calls"]:
        call["function"].pop("parsed_arguments", None)
        messages.append({"role": "tool", "tool_call_id": call["id"], "content": "rain"})
    again = chat.create(model=model, messages=messages, tools=tools)
    assert again.choices[0].finish_reason == "stop"

    asked: list[Any] = [{"role": "user", "content": "a trip"}]
    parsed = chat.parse(model=model, messages=asked, response_format=Trip)
    assert isinstance(parsed.choices[0].message.parsed, Trip)
    url = {"url": f"data:image/png;base64,{PICTURE}"}
    content = [{"type": "text", "text": TEXT}, {"type": "image_url", "image_url": url}]
    seen: list[Any] = [{"role": "user", "content": content}]
    assert chat.create(model=model, messages=seen).choices[0].message.content
    with pytest.raises(openai.RateLimitError):
        chat.create(model=model, messages=[{"role": "user", "content": "#fault=F8:seconds"}])
    with pytest.raises(openai.APIError):
        list(
            chat.create(
                model=model,
                messages=[{"role": "user", "content": "#fault=F14:eof@2 #delay_ms=20"}],
                stream=True,
            )
        )


@upstreams
def test_openai_responses(
    hub: Hub, fake: FakeUpstream, openai_client: openai.OpenAI, upstream: str
) -> None:
    model, responses = open_model(hub, fake, upstream), openai_client.responses
    assert responses.create(model=model, input=TEXT).output_text == expected_text("a", TEXT, 6)
    with responses.stream(model=model, input="#reasoning=3 #tokens=4") as stream:
        kinds = [event.type for event in stream]
        final = stream.get_final_response()
    assert kinds[0] == "response.created"
    assert kinds[-1] == "response.completed"
    assert len(final.output_text.split()) == 4
    tool: Any = {"type": "function", "name": TOOL["name"], "parameters": TOOL["schema"]}
    tools = [tool | {"strict": False}]
    first = responses.create(model=model, input=CALLS, tools=tools, store=False)
    calls = [item for item in first.output if item.type == "function_call"]
    assert len(calls) == 2
    following: list[Any] = [{"role": "user", "content": CALLS}]
    following += [item.model_dump(exclude_none=True) for item in first.output]
    following += [
        {"type": "function_call_output", "call_id": call.call_id, "output": "rain"}
        for call in calls
    ]
    assert responses.create(model=model, input=following, tools=tools).status == "completed"
    parsed = responses.parse(model=model, input="a trip", text_format=Trip)
    assert isinstance(parsed.output_parsed, Trip)
    with pytest.raises(openai.NotFoundError):
        responses.create(model="no-such", input="x")


@upstreams
def test_anthropic_messages(
    hub: Hub, fake: FakeUpstream, anthropic_client: anthropic.Anthropic, upstream: str
) -> None:
    model, messages = open_model(hub, fake, upstream), anthropic_client.messages
    asked: list[Any] = [{"role": "user", "content": TEXT}]
    whole = messages.create(model=model, max_tokens=2048, messages=asked)
    assert [block.text for block in whole.content if block.type == "text"] == [
        expected_text("a", TEXT, 6)
    ]
    assert whole.usage.output_tokens == 6
    thinking: Any = {"type": "enabled", "budget_tokens": 1024}
    asked = [{"role": "user", "content": "#reasoning=3 #tokens=4"}]
    with messages.stream(model=model, max_tokens=2048, messages=asked, thinking=thinking) as stream:
        assert len("".join(stream.text_stream).split()) == 4
        assert stream.get_final_message().content[0].type == "thinking"
    tools: list[Any] = [{"name": TOOL["name"], "input_schema": TOOL["schema"]}]
    asked = [{"role": "user", "content": CALLS}]
    with messages.stream(model=model, max_tokens=2048, messages=asked, tools=tools) as stream:
        first = stream.get_final_message()
    calls = [block for block in first.content if block.type == "tool_use"]
    assert (first.stop_reason, len(calls)) == ("tool_use", 2)
    results: list[Any] = [
        {"type": "tool_result", "tool_use_id": call.id, "content": "rain"} for call in calls
    ]
    asked += [
        {"role": "assistant", "content": [b.model_dump(exclude_none=True) for b in first.content]},
        {"role": "user", "content": results},
    ]
    again = messages.create(model=model, max_tokens=2048, messages=asked, tools=tools)
    assert again.stop_reason == "end_turn"
    source = {"type": "base64", "media_type": "image/png", "data": PICTURE}
    seen: list[Any] = [{"type": "text", "text": TEXT}, {"type": "image", "source": source}]
    assert messages.create(
        model=model, max_tokens=99, messages=[{"role": "user", "content": seen}]
    ).content
    count = messages.count_tokens(model=model, messages=[{"role": "user", "content": "a b"}])
    assert count.input_tokens >= 2
    with pytest.raises(anthropic.RateLimitError):
        messages.create(
            model=model, max_tokens=9, messages=[{"role": "user", "content": "#fault=F8:seconds"}]
        )
    broken: list[Any] = [{"role": "user", "content": "#fault=F14:eof@2 #delay_ms=20"}]
    with (
        pytest.raises(anthropic.APIError),
        messages.stream(model=model, max_tokens=99, messages=broken) as stream,
    ):
        list(stream)


@upstreams
def test_google_genai(
    hub: Hub, fake: FakeUpstream, google_client: genai.Client, upstream: str
) -> None:
    model, models = open_model(hub, fake, upstream), google_client.models
    whole = models.generate_content(model=model, contents=TEXT)
    assert whole.text == expected_text("a", TEXT, 6)
    pieces = list(models.generate_content_stream(model=model, contents=TEXT))
    assert "".join(piece.text or "" for piece in pieces) == expected_text("a", TEXT, 6)
    declared = types.FunctionDeclaration(name="get_weather", parameters_json_schema=TOOL["schema"])
    config = types.GenerateContentConfig(tools=[types.Tool(function_declarations=[declared])])
    asked = types.Content(role="user", parts=[types.Part(text=CALLS)])
    first = models.generate_content(model=model, contents=[asked], config=config)
    assert first.function_calls is not None
    assert len(first.function_calls) == 2
    assert first.candidates is not None
    content = first.candidates[0].content
    assert content is not None
    results = []
    for call in first.function_calls:
        answer = types.FunctionResponse(id=call.id, name=call.name, response={"result": "rain"})
        results.append(types.Part(function_response=answer))
    following: list[Any] = [asked, content, types.Content(role="user", parts=results)]
    assert not models.generate_content(
        model=model, contents=following, config=config
    ).function_calls
    form = types.GenerateContentConfig(
        response_mime_type="application/json", response_json_schema=SCHEMA
    )
    parsed = models.generate_content(model=model, contents="a trip", config=form)
    assert "city" in (parsed.text or "")
    thinking = types.ThinkingConfig(thinking_budget=1024, include_thoughts=True)
    thought = models.generate_content(
        model=model,
        contents="#reasoning=3 #tokens=4",
        config=types.GenerateContentConfig(thinking_config=thinking),
    )
    assert thought.usage_metadata is not None
    # Amazon's usage has no count of its own for thoughts.
    thoughts = None if upstream == "converse" else 3
    assert thought.usage_metadata.thoughts_token_count == thoughts
    picture = types.Part.from_bytes(data=base64.b64decode(PICTURE), mime_type="image/png")
    assert models.generate_content(model=model, contents=[TEXT, picture]).text
    assert (models.count_tokens(model=model, contents="a b c").total_tokens or 0) >= 3
    with pytest.raises(genai_errors.ClientError) as refused:
        models.generate_content(model=model, contents="#fault=F8:seconds")
    assert refused.value.code == 429
    with pytest.raises(genai_errors.ClientError) as unknown:
        models.generate_content(model="no-such", contents="x")
    assert unknown.value.code == 404


# ---- Google's client and what is no text


@pytest.mark.parametrize(("kind", "media_type"), [("AUDIO", "audio/L16"), ("IMAGE", "image/png")])
def test_gemini_makes_sound_and_pictures(
    hub: Hub, fake: FakeUpstream, google_client: genai.Client, kind: str, media_type: str
) -> None:
    rates = {"in_text": 1, "out_text": 1, "out_audio": 1, "out_image": 1}
    model = hub.model(fake, rates=rates, provider="gemini")
    config = types.GenerateContentConfig(response_modalities=[kind])
    whole = google_client.models.generate_content(model=model, contents="say it", config=config)
    streamed = list(
        google_client.models.generate_content_stream(model=model, contents="say it", config=config)
    )
    for answer in (whole, streamed[0]):
        assert answer.parts
        (blob,) = [part.inline_data for part in answer.parts if part.inline_data]
        assert (blob.mime_type or "").startswith(media_type)
        assert blob.data
