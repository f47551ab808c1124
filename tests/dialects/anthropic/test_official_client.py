"""What the codecs write, as the provider's own client reads it."""

from collections.abc import Iterator

import anthropic
import httpx2
import pytest
from anthropic.types import (
    Message,
    RedactedThinkingBlock,
    TextBlock,
    ThinkingBlock,
    ToolUseBlock,
)

from dialects.anthropic.answer.encode import encode
from dialects.anthropic.count_tokens import write_count
from dialects.anthropic.errors import headers, render, status_of
from dialects.anthropic.models_list import ListedModel, write_models
from dialects.anthropic.request.decode import decode
from dialects.anthropic.stream.encode import Encoder
from dialects.chat.chat import ChatAnswer, Choice, Reasoning, Text, ToolCall
from dialects.chat.events import Finish, Seal, Source, Start, TextDelta
from dialects.chat.fold import unfold
from dialects.errors.errors import KINDS
from dialects.errors.kinds import ErrorKind
from dialects.usage.usage import Counts
from tests.dialects.neutral import request

CHOICE = Choice(
    index=0,
    parts=(
        Reasoning("hm", Seal("gemini", "g")),
        Reasoning("", Seal("anthropic", "d", redacted=True)),
        Text("Sunny"),
        ToolCall("t1", "f", '{"a":"上"}'),
        ToolCall("t2", "g", ""),
    ),
    finish="tool_calls",
)
COUNTS = Counts(input=9, cache_read=4, cache_write_1h=2, output=5, reasoning=1, searches=3)
ANSWER = ChatAnswer(id="i", model="m", created=0, choices=(CHOICE,), counts=COUNTS, usage=b"{}")
ASKED = request(dialect="anthropic")


class Server:
    """Gives one answer to whatever is asked, and keeps what was asked last."""

    def __init__(self, status: int, body: bytes, content_type: str, **more: str) -> None:
        self.request_body = b""
        self._answer = (status, body, {"content-type": content_type, **more})

    def __call__(self, request: httpx2.Request) -> httpx2.Response:
        self.request_body = request.content
        status, body, headers = self._answer
        return httpx2.Response(status, content=body, headers=headers)


def client(
    body: bytes, status: int = 200, content_type: str = "application/json", **more: str
) -> tuple[anthropic.Anthropic, Server]:
    server = Server(status, body, content_type, **more)
    transport = httpx2.Client(transport=httpx2.MockTransport(server))
    return anthropic.Anthropic(
        api_key="sk-weir-x", base_url="http://hub", max_retries=0, http_client=transport
    ), server


def check(message: Message) -> None:
    thinking, redacted, text, first, second = message.content
    assert isinstance(thinking, ThinkingBlock)
    assert (thinking.thinking, thinking.signature) == ("hm", "gemini:g")
    assert isinstance(redacted, RedactedThinkingBlock)
    assert redacted.data == "d"
    assert isinstance(text, TextBlock)
    assert text.text == "Sunny"
    assert isinstance(first, ToolUseBlock)
    assert (first.id, first.name, first.input) == ("t1", "f", {"a": "上"})
    assert isinstance(second, ToolUseBlock)
    assert second.input == {}
    assert (message.model, message.stop_reason, message.stop_sequence) == ("m", "tool_use", None)
    usage = message.usage
    assert (usage.input_tokens, usage.cache_read_input_tokens, usage.output_tokens) == (3, 4, 5)
    assert usage.server_tool_use is not None
    assert usage.server_tool_use.web_search_requests == 3


def test_whole_answer() -> None:
    hub, _ = client(encode(ANSWER, ASKED))
    check(hub.messages.create(model="m", max_tokens=9, messages=[{"role": "user", "content": "a"}]))


def streamed() -> Iterator[bytes]:
    writer = Encoder(ASKED)
    for event in unfold(ANSWER):
        yield writer.feed(event)
    yield writer.end()


def test_streamed_answer() -> None:
    hub, _ = client(b"".join(streamed()), content_type="text/event-stream")
    with hub.messages.stream(
        model="m", max_tokens=9, messages=[{"role": "user", "content": "a"}]
    ) as stream:
        check(stream.get_final_message())


def test_citations_of_a_streamed_answer() -> None:
    cited = Choice(index=0, parts=(Text("a"),), finish="stop", citations=(Source("u", "t", 0, 1),))
    writer = Encoder(ASKED)
    answer = ChatAnswer(id="", model="m", created=0, choices=(cited,))
    raw = b"".join([writer.feed(event) for event in unfold(answer)]) + writer.end()
    hub, _ = client(raw, content_type="text/event-stream")
    with hub.messages.stream(
        model="m", max_tokens=9, messages=[{"role": "user", "content": "a"}]
    ) as stream:
        (block,) = stream.get_final_message().content
    assert isinstance(block, TextBlock)
    assert [getattr(citation, "url", "") for citation in block.citations or ()] == ["u"]


def test_failure_inside_a_stream() -> None:
    writer = Encoder(ASKED)
    raw = b"".join([writer.feed(Start("i", "m")), writer.feed(TextDelta(0, "a"))])
    raw += writer.fail("overloaded", "Server Overloaded: try again shortly")
    hub, _ = client(raw, content_type="text/event-stream")
    with (
        hub.messages.stream(
            model="m", max_tokens=9, messages=[{"role": "user", "content": "a"}]
        ) as stream,
        pytest.raises(anthropic.APIStatusError, match="Server Overloaded"),
    ):
        stream.get_final_message()


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "client_closed"])
def test_error(kind: ErrorKind) -> None:
    hub, _ = client(
        render(kind, "told", request_id="01K"), status_of(kind), **headers("01K", 2_000)
    )
    with pytest.raises(anthropic.APIStatusError) as caught:
        hub.messages.create(model="m", max_tokens=9, messages=[{"role": "user", "content": "a"}])
    assert (caught.value.status_code, caught.value.request_id) == (status_of(kind), "01K")
    assert "told" in str(caught.value)


def test_lists_and_counts() -> None:
    hub, _ = client(write_models([ListedModel("a", "A", 5), ListedModel("b", "B", 6)]))
    page = hub.models.list()
    assert [(model.id, model.display_name, model.created_at.year) for model in page.data] == [
        ("a", "A", 1970),
        ("b", "B", 1970),
    ]
    hub, _ = client(write_count(8))
    counted = hub.messages.count_tokens(model="m", messages=[{"role": "user", "content": "a"}])
    assert counted.input_tokens == 8


def test_answer_sent_back_by_the_client_is_read() -> None:
    """An answer goes back as it came: the seals are found again."""
    hub, server = client(encode(ANSWER, ASKED))
    answer = hub.messages.create(
        model="m", max_tokens=9, messages=[{"role": "user", "content": "a"}]
    )
    hub.messages.create(
        model="m",
        max_tokens=9,
        messages=[
            {"role": "user", "content": "a"},
            {"role": "assistant", "content": answer.content},
            {"role": "user", "content": [
                {"type": "tool_result", "tool_use_id": "t1", "content": "12"},
                {"type": "tool_result", "tool_use_id": "t2", "content": "13"},
            ]},
        ],
    )  # fmt: skip
    message_parts = decode(server.request_body, request_id="r", received_at=1).messages[1].parts
    assert message_parts[:3] == CHOICE.parts[:3]
    assert [part.id for part in message_parts if isinstance(part, ToolCall)] == ["t1", "t2"]


def test_an_answer_without_words_is_read() -> None:
    writer = Encoder(ASKED)
    raw = writer.feed(Finish(0, "content_filter")) + writer.end()
    hub, _ = client(raw, content_type="text/event-stream")
    with hub.messages.stream(
        model="m", max_tokens=9, messages=[{"role": "user", "content": "a"}]
    ) as stream:
        message = stream.get_final_message()
    assert (message.content, message.stop_reason) == ([], "refusal")
