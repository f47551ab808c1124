"""What the codecs write, as Google's own client reads it, and what it writes as they read it."""

import warnings
from typing import Any

import httpx
import pytest

with warnings.catch_warnings():
    # Its sources warn when they are compiled.
    warnings.simplefilter("ignore")
    from google import genai
    from google.genai import errors, types

from dialects.chat.chat import (
    Audio,
    Base64,
    ChatAnswer,
    Choice,
    Image,
    Message,
    Part,
    Reasoning,
    Text,
    ToolCall,
    ToolResult,
)
from dialects.chat.events import Seal, Source, TokenLogprob, Usage
from dialects.chat.fold import unfold
from dialects.errors.errors import KINDS
from dialects.errors.kinds import ErrorKind
from dialects.gemini import count_tokens, embed, models_list
from dialects.gemini.answer.encode import encode
from dialects.gemini.errors import render, status_of
from dialects.gemini.request.decode import decode
from dialects.gemini.stream.encode import Encoder
from dialects.usage.usage import Counts
from tests.dialects import neutral
from tests.support.pairwise import slow_unless

COUNTS = Counts(input=9, cache_read=4, output=5, reasoning=1, output_audio=1)
CLAUDES = Seal("anthropic", "c2lnbmVk")
PARTS: tuple[Part, ...] = (
    Reasoning("hm", CLAUDES),
    Reasoning("", Seal("anthropic", "aGlkZGVu", redacted=True)),
    Reasoning("", Seal("openai", "ZW5j", id="rs_1")),
    Text("Sunny"),
    Reasoning("", Seal("gemini", "R2VtaW5p")),
    ToolCall("t1", "f", '{"a":"上"}'),
    ToolCall("t2", "g", ""),
    Image(Base64("AA==", "image/png")),
    Audio(Base64("AAAA", "audio/wav")),
)
CHOICE = Choice(
    index=0,
    parts=PARTS,
    finish="tool_calls",
    citations=(Source("https://a", "A", 0, 5),),
    logprobs=(TokenLogprob("Sunny", -0.5),),
)
ANSWER = ChatAnswer(id="i", model="m-1", created=0, choices=(CHOICE,), counts=COUNTS, usage=b"{}")
ASKED = neutral.request(dialect="gemini")


class Server:
    """Gives one answer to whatever is asked, and keeps what was asked last."""

    def __init__(self, status: int, body: bytes, content_type: str) -> None:
        self.path, self.request_body = "", b""
        self._answer = (status, body, {"content-type": content_type})

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.path, self.request_body = request.url.raw_path.decode(), request.content
        status, body, headers = self._answer
        return httpx.Response(status, content=body, headers=headers)


def client(
    body: bytes, status: int = 200, content_type: str = "application/json"
) -> tuple[genai.Client, Server]:
    server = Server(status, body, content_type)
    options = types.HttpOptions(
        base_url="http://hub",
        httpx_client=httpx.Client(transport=httpx.MockTransport(server)),
    )
    return genai.Client(api_key="sk-weir-x", http_options=options), server


def parts_of(answer: types.GenerateContentResponse) -> list[types.Part]:
    (candidate,) = answer.candidates or []
    content = candidate.content
    return list((content.parts if content else None) or [])


def check_last(answer: types.GenerateContentResponse) -> None:
    (candidate,) = answer.candidates or []
    assert candidate.finish_reason == types.FinishReason.STOP
    assert candidate.grounding_metadata is not None
    (chunk,) = candidate.grounding_metadata.grounding_chunks or []
    (support,) = candidate.grounding_metadata.grounding_supports or []
    assert chunk.web is not None
    assert support.segment is not None
    assert (chunk.web.uri, support.segment.text) == ("https://a", "Sunny")
    assert candidate.logprobs_result is not None
    assert answer.model_version == "m-1"
    usage = answer.usage_metadata
    assert usage is not None
    token_counts = (
        usage.prompt_token_count,
        usage.candidates_token_count,
        usage.thoughts_token_count,
    )
    assert token_counts == (9, 4, 1)
    assert (usage.cached_content_token_count, usage.total_token_count) == (4, 14)


def check_returned(hub: genai.Client, server: Server, parts: list[types.Part]) -> None:
    """What the client sends back of an answer is what it was told, seals and all."""
    calls = [part.function_call for part in parts if part.function_call]
    responses = [
        types.FunctionResponse(id=call.id, name=call.name, response=result)
        for call, result in zip(calls, ({"result": "warm"}, {"error": "no"}), strict=True)
    ]
    results = [types.Part(function_response=response) for response in responses]
    history = [
        types.UserContent("How is it?"),
        types.Content(role="model", parts=parts),
        types.Content(role="user", parts=results),
    ]
    hub.models.generate_content(model="m", contents=history)
    chat_request = decode(
        server.request_body, model="m", stream=False, request_id="r", received_at=1
    )
    _, model, *answered = chat_request.messages
    assert model.parts == PARTS
    assert answered == [
        Message("tool", (ToolResult("t1", (Text("warm"),), False, "f"),)),
        Message("tool", (ToolResult("t2", (Text("no"),), True, "g"),)),
    ]


def test_whole_answer() -> None:
    hub, server = client(encode(ANSWER, ASKED))
    answer = hub.models.generate_content(model="m", contents="How is it?")
    assert server.path.endswith("/models/m:generateContent")
    assert [(call.id, call.name, call.args) for call in answer.function_calls or ()] == [
        ("t1", "f", {"a": "上"}),
        ("t2", "g", {}),
    ]
    check_last(answer)
    check_returned(hub, server, parts_of(answer))


def test_streamed_answer() -> None:
    writer = Encoder(ASKED)
    events = [*unfold(ANSWER), Usage(b"{}", COUNTS)]
    raw = b"".join([writer.feed(event) for event in events]) + writer.end()
    hub, server = client(raw, content_type="text/event-stream")
    chunks = list(hub.models.generate_content_stream(model="m", contents="How is it?"))
    assert server.path.endswith("/models/m:streamGenerateContent?alt=sse")
    check_last(chunks[-1])
    hub, server = client(encode(ANSWER, ASKED))
    check_returned(hub, server, [part for chunk in chunks for part in parts_of(chunk)])


# A kind of each status; in the slow lane all.
OF_A_STATUS = {status_of(kind): kind for kind in KINDS}


@pytest.mark.parametrize(
    "kind",
    [pytest.param(kind, marks=slow_unless(kind in OF_A_STATUS.values())) for kind in KINDS],
)
def test_errors(kind: ErrorKind) -> None:
    status = status_of(kind)
    hub, _ = client(render(kind, "m", retry_after_ms=1_500), status)
    with pytest.raises(errors.APIError) as caught:
        hub.models.generate_content(model="m", contents="a")
    assert (caught.value.code, caught.value.message) == (status, "m")


def test_an_answer_that_fails_on_its_way() -> None:
    writer = Encoder(ASKED)
    raw = writer.feed(next(e for e in unfold(ANSWER) if type(e).__name__ == "TextDelta"))
    raw += writer.fail("upstream_truncated", "cut")
    hub, _ = client(raw, content_type="text/event-stream")
    stream = hub.models.generate_content_stream(model="m", contents="a")
    assert next(stream).text == "Sunny"
    with pytest.raises(errors.APIError) as caught:
        next(stream)
    assert (caught.value.code, caught.value.status) == (502, "INTERNAL")


def test_client_requests() -> None:
    def look(at: str) -> str:
        """Look there."""
        return at

    hub, server = client(encode(neutral.answer(Text("hi")), ASKED))
    config: dict[str, Any] = {
        "system_instruction": "Be brief.",
        "temperature": 0.5,
        "top_k": 3,
        "max_output_tokens": 9,
        "stop_sequences": ["x"],
        "tools": [look, {"google_search": {}}],
        "tool_config": {"function_calling_config": {"mode": "ANY"}},
        "automatic_function_calling": {"disable": True},
        "response_mime_type": "application/json",
        "response_schema": types.Schema(type=types.Type.OBJECT, nullable=True),
        "thinking_config": {"thinking_level": "LOW", "include_thoughts": True},
        "speech_config": "Kore",
        "safety_settings": [{"category": "HARM_CATEGORY_HATE_SPEECH", "threshold": "BLOCK_NONE"}],
    }
    picture = types.Part.from_bytes(data=b"\xff\xfe\xfb", mime_type="image/png")
    hub.models.generate_content(model="m", contents=["Look", picture], config=config)  # type: ignore[arg-type]
    chat_request = decode(
        server.request_body, model="m", stream=False, request_id="r", received_at=1
    )
    system, user = chat_request.messages
    assert system == Message("system", (Text("Be brief."),))
    assert user == Message("user", (Text("Look"), Image(Base64("//77", "image/png"))))
    assert {type(tool).__name__ for tool in chat_request.tools} == {"FunctionTool", "WebSearch"}
    assert chat_request.tool_choice is not None
    assert chat_request.tool_choice.mode == "required"
    assert (
        chat_request.temperature,
        chat_request.top_k,
        chat_request.output_cap,
        chat_request.stop,
    ) == (0.5, 3, 9, ("x",))
    assert chat_request.output_form is not None
    assert chat_request.reasoning is not None
    assert (chat_request.reasoning.effort, chat_request.reasoning.shown) == ("low", True)
    assert chat_request.audio is not None
    assert chat_request.audio.voice == "Kore"
    # It always says what its functions give back, for which there is no neutral word.
    returned = "tools.functionDeclarations.responseJsonSchema"
    assert list(chat_request.extra) == ["safetySettings", returned]


def test_companions() -> None:
    hub, server = client(count_tokens.write_answer(7))
    assert hub.models.count_tokens(model="m", contents="hello").total_tokens == 7
    assert count_tokens.read_request(server.request_body, model="m").text_bytes > 0
    hub, server = client(embed.encode_answer([[0.5], [1.0]], batch=True))
    embeddings = hub.models.embed_content(model="m", contents=["a", "b"]).embeddings or []
    assert [embedding.values for embedding in embeddings] == [[0.5], [1.0]]
    assert embed.read(server.request_body, model="m", batch=True).texts == ("a", "b")
    listed = [models_list.ListedModel(name="a", input_limit=5), models_list.ListedModel(name="b")]
    hub, server = client(models_list.render(listed))
    assert [model.name for model in hub.models.list()] == ["models/a", "models/b"]
    hub, _ = client(models_list.render_model(listed[0]))
    assert hub.models.get(model="a").input_token_limit == 5
