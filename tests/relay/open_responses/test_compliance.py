"""The compliance tests of Open Responses, by their ids, for models in each provider's form.

The project publishes them as a program for another runtime (github.com/openresponses/openresponses,
Apache-2.0, specification 2026-04-24). Here each has the same request and asks for the same in the
answer, held against the same schemas. docs/guides/open-responses.md shows what passes; left out are
one that sends nothing, and two that are optional there because they need a search index.
"""

import base64
import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

import pytest

from tests.fakes.media import picture
from tests.fakes.upstream import FakeUpstream
from tests.relay.open_responses.client import Client, JsonObject
from tests.relay.speakers import UPSTREAMS
from tests.relay.test_matrix import open_model
from tests.support.hub import ROOT, Hub

pytestmark = pytest.mark.usefixtures("balanced_books")

PAGE: Final = Path(ROOT) / "docs/guides/open-responses.md"
Case = Callable[[Client, FakeUpstream], None]
CASES: dict[str, Case] = {}
WEATHER: Final[JsonObject] = {
    "type": "function",
    "name": "get_weather",
    "description": "Get the current weather for a location",
    "parameters": {
        "type": "object",
        "properties": {"location": {"type": "string", "description": "City and state"}},
        "required": ["location"],
    },
}
PDF: Final = b"%PDF-1.1\n1 0 obj\n<< /Type /Catalog >>\nendobj\ntrailer\n<< /Root 1 0 R >>\n%%EOF"


def case(id: str) -> Callable[[Case], Case]:
    def register(function: Case) -> Case:
        CASES[id] = function
        return function

    return register


def message(role: str, content: str | list[JsonObject], **more: Any) -> JsonObject:
    return {"type": "message", "role": role, "content": content, **more}


def data_url(kind: str, raw: bytes) -> str:
    return f"data:{kind};base64,{base64.b64encode(raw).decode()}"


def calls_a_tool(fake: FakeUpstream) -> None:
    """A fake calls tools only when it is told to."""
    fake.script("#tokens=0 #tools=1", with_tools=True)


# ---- HTTP


@case("basic-response")
def basic(client: Client, fake: FakeUpstream) -> None:
    assert client.create(input=[message("user", "Say hello in 3 words.")]).completed["output"]


@case("assistant-phase")
def phase(client: Client, fake: FakeUpstream) -> None:
    turn = client.create(
        input=[
            message("assistant", "I should give the number.", phase="commentary"),
            message("assistant", "The number is four.", phase="final_answer"),
            message("user", "Repeat only the number."),
        ]
    )
    assert turn.completed["output"]


@case("streaming-response")
def streaming(client: Client, fake: FakeUpstream) -> None:
    turn = client.stream(input=[message("user", "Count from 1 to 5.")])
    assert turn.completed
    assert turn.events


@case("system-prompt")
def system_prompt(client: Client, fake: FakeUpstream) -> None:
    turn = client.create(input=[message("system", "Speak like a pirate."), message("user", "Hi.")])
    assert turn.completed["output"]


@case("tool-calling")
def tool_calling(client: Client, fake: FakeUpstream) -> None:
    calls_a_tool(fake)
    turn = client.create(input=[message("user", "The weather?")], tools=[WEATHER])
    assert "function_call" in turn.output_kinds


@case("tool-calling-streaming")
def tool_calling_streaming(client: Client, fake: FakeUpstream) -> None:
    calls_a_tool(fake)
    turn = client.stream(input=[message("user", "The weather?")], tools=[WEATHER])
    kinds = [(event["type"], event.get("item", {}).get("type")) for event in turn.events]
    for expected in (
        ("response.output_item.added", "function_call"),
        ("response.function_call_arguments.delta", None),
        ("response.function_call_arguments.done", None),
        ("response.output_item.done", "function_call"),
    ):
        assert expected in kinds


@case("function-call-roundtrip")
def round_trip(client: Client, fake: FakeUpstream) -> None:
    calls_a_tool(fake)
    choice = {"type": "function", "name": "get_weather"}
    first = client.create(input="The weather in Rome?", tools=[WEATHER], tool_choice=choice)
    assert first.response is not None
    (call,) = [item for item in first.response["output"] if item["type"] == "function_call"]
    second = client.create(
        input=[
            message("user", "The weather in Rome?"),
            {key: call[key] for key in ("type", "call_id", "name", "arguments")},
            {"type": "function_call_output", "call_id": call["call_id"], "output": "21 °C"},
        ],
        tools=[WEATHER],
    )
    assert second.completed["output"]


@case("image-input")
def image(client: Client, fake: FakeUpstream) -> None:
    parts = [
        {"type": "input_text", "text": "What is in this image?"},
        {"type": "input_image", "image_url": data_url("image/png", picture("heart"))},
    ]
    assert client.create(input=[message("user", parts)]).completed["output"]


@case("file-input")
def file(client: Client, fake: FakeUpstream) -> None:
    parts = [
        {"type": "input_text", "text": "Answer with the title only."},
        {
            "type": "input_file",
            "filename": "fixture.pdf",
            "file_data": data_url("application/pdf", PDF),
        },
    ]
    assert client.create(input=[message("user", parts)]).completed["output"]


@case("multi-turn")
def multi_turn(client: Client, fake: FakeUpstream) -> None:
    turn = client.create(
        input=[
            message("user", "My name is Alice."),
            message("assistant", "Hello Alice!"),
            message("user", "What is my name?"),
        ]
    )
    assert turn.completed["output"]


@case("previous-response-id")
def previous_response(client: Client, fake: FakeUpstream) -> None:
    first = client.create(input="Remember this code word: papaya.").completed
    second = client.create(input="Which code word?", previous_response_id=first["id"])
    assert second.completed["output"]
    row = fake.books()[-1]
    by_id = json.loads(row["body"]).get("previous_response_id") == first["id"]
    assert by_id or any("papaya" in line for line in row["heard"])


@case("compact-response")
def compact(client: Client, fake: FakeUpstream) -> None:
    compaction = client.compact(
        prompt_cache_key="openresponses-compact-test",
        input=[
            message("user", "We launch on Tuesday and notify support first."),
            message("assistant", "Understood: Tuesday, with support notified before."),
        ],
    )
    assert compaction["object"] == "response.compaction"
    assert "compaction" in [item["type"] for item in compaction["output"]]


@case("compact-missing-model")
def compact_without_model(client: Client, fake: FakeUpstream) -> None:
    status = client.status_of_compaction({"input": [message("user", "Compact this.")]})
    assert status in (400, 422)


# ---- WebSocket


@case("websocket-response")
def over_websocket(client: Client, fake: FakeUpstream) -> None:
    with client.connected() as connection:
        turn = connection.create([message("user", "Count from 1 to 3.")], store=True)
    assert turn.completed
    assert turn.events


@case("websocket-sequential-responses")
def sequential(client: Client, fake: FakeUpstream) -> None:
    with client.connected() as connection:
        assert connection.create("Reply with exactly: first").completed
        assert connection.create("Reply with exactly: second").completed


@case("websocket-continuation")
def continuation(client: Client, fake: FakeUpstream) -> None:
    with client.connected() as connection:
        first = connection.create("Remember the code word: cobalt.").completed
        second = connection.create("Which code word?", previous_response_id=first["id"])
    assert second.completed
    assert any("cobalt" in line for line in fake.books()[-1]["heard"])


@case("websocket-reconnect-store-false-recovery")
def reconnect(client: Client, fake: FakeUpstream) -> None:
    with client.connected() as connection:
        first = connection.create("Remember the code word: copper.").completed
    with client.connected() as connection:
        lost = connection.create("Continue.", previous_response_id=first["id"])
        assert lost.code == "previous_response_not_found"
        assert connection.create([message("user", "Start again.")]).completed


@case("websocket-previous-response-not-found")
def not_found(client: Client, fake: FakeUpstream) -> None:
    with client.connected() as connection:
        turn = connection.create("This fails.", previous_response_id="resp_openresponses_missing")
    assert turn.code == "previous_response_not_found"


@case("websocket-failed-continuation-evicts-cache")
def eviction(client: Client, fake: FakeUpstream) -> None:
    result = {"type": "function_call_output", "call_id": "call_missing", "output": "No such call."}
    with client.connected() as connection:
        first = connection.create("Remember the code word: ember.").completed
        assert connection.create([result], previous_response_id=first["id"]).failed
        again = connection.create("Continue.", previous_response_id=first["id"])
    assert again.code == "previous_response_not_found"


@case("websocket-compact-new-chain")
def new_chain(client: Client, fake: FakeUpstream) -> None:
    def text(kind: str, words: str) -> list[JsonObject]:
        return [{"type": kind, "text": words}]

    compaction = client.compact(
        input=[
            message("user", text("input_text", "Remember the code word: slate.")),
            message("assistant", text("output_text", "OK.")),
            message("user", text("input_text", "Compress this conversation.")),
        ]
    )
    with client.connected() as connection:
        turn = connection.create([*compaction["output"], message("user", "Continue.")], tools=[])
    assert turn.completed


# ---- each of them, for each form


@pytest.fixture
def provider() -> Iterator[FakeUpstream]:
    with FakeUpstream(name="a") as fake:
        yield fake


@pytest.mark.parametrize("form", UPSTREAMS)
@pytest.mark.parametrize("id", CASES)
def test_compliance(hub: Hub, provider: FakeUpstream, form: str, id: str) -> None:
    client = Client(hub, hub.tenant(), open_model(hub, provider, form))
    CASES[id](client, provider)


def test_the_docs_list_these_tests() -> None:
    """The page says that all of them pass."""
    rows = re.findall(r"^\| `([a-z-]+)` \| (HTTP|WebSocket) \|$", PAGE.read_text(), re.MULTILINE)
    assert rows == [
        (name, "WebSocket" if name.startswith("websocket-") else "HTTP") for name in CASES
    ]
