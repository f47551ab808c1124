"""Sessions as coding agents have them, through the official clients and every upstream.

The upstream is the judge: at each turn it has heard the whole conversation so far, in its own
dialect, with the results behind their calls and the seals it gave, and nothing of ours.
"""

import json
import warnings
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import anthropic
import openai
import pytest

from tests.fakes.upstream import FakeUpstream
from tests.relay.speakers import SPEAKERS, UPSTREAMS
from tests.relay.test_matrix import RATES, booked
from tests.support.hub import Answer, Hub, Tenant
from tests.support.pairwise import slow_unless

pytestmark = pytest.mark.usefixtures("balanced_books")

with warnings.catch_warnings():
    # The library's own source has an escape that Python has begun to warn about.
    warnings.simplefilter("ignore")
    from google import genai
    from google.genai import types

upstreams = pytest.mark.parametrize(
    "upstream",
    [pytest.param(name, marks=slow_unless(name in ("openai", "anthropic"))) for name in UPSTREAMS],
)
TURNS = 6
SYSTEM = "You are a coding agent."
TASK = "make the test pass"
TOOLS = {
    "read_file": {"type": "object", "properties": {"city": {"type": "string"}}},
    "run": {"type": "object", "properties": {"city": {"type": "string"}, "n": {"type": "integer"}}},
}
WORKING = "#reasoning=3 #tokens=2 #tools=2 #again #cached=5"
DONE = "#reasoning=2 #tokens=4 #cached=9"
# What must never reach a provider: the client's key, our names, the marks of foreign seals.
OURS = ("weir", "max_cost", "anthropic:", "openai:", "gemini:")


@dataclass
class Talk:
    """The conversation as it should have been heard, in the words of the fake's books."""

    lines: list[str] = field(default_factory=lambda: [f"system: {SYSTEM}", f"user: {TASK}"])
    thoughts: int = 0

    def answer(self, calls: list[tuple[str, Any]], *texts: str) -> None:
        self.thoughts += 1
        self.lines += [f"assistant: {text}" for text in texts]
        for name, inputs in calls:
            message = json.dumps(inputs, ensure_ascii=False, sort_keys=True)
            self.lines.append(f"call: {name} {message}")


@dataclass
class Session:
    """One agent's model behind one upstream dialect."""

    hub: Hub
    fake: FakeUpstream
    tenant: Tenant
    client: str
    upstream: str
    model: str
    talk: Talk = field(default_factory=Talk)

    def judge(self, request_id: str, *, stream: bool = True) -> dict[str, Any]:
        """The fake's row of a turn: it heard what was said, and our books say what its own say."""
        answer = Answer(200, {"x-request-id": request_id}, b"")
        speaker = SPEAKERS[self.client]
        row = booked(self.hub, self.fake, answer, speaker, self.upstream, stream)
        assert row["heard"] == self.talk.lines
        # The hub says who it is, as clients do.
        headers = {name: value for name, value in row["headers"].items() if name != "user-agent"}
        for leaked in (*OURS, self.tenant.key, request_id):
            assert leaked not in row["body"]
            assert leaked not in str(headers)
        if self.upstream in ("anthropic", "responses"):
            assert row["seals"] == self.talk.thoughts
        elif self.upstream == "gemini":
            assert row["seals"] >= self.talk.thoughts
        return row


@pytest.fixture
def fake_of_agents() -> Iterator[FakeUpstream]:
    with FakeUpstream(name="a") as fake:
        yield fake


def open_session(hub: Hub, fake: FakeUpstream, client: str, upstream: str) -> Session:
    model = hub.model(fake, rates=RATES, **UPSTREAMS[upstream])
    return Session(hub, fake, hub.tenant(), client, upstream, model)


def dropped(headers: Any) -> set[str]:
    return set(headers.get("x-weir-dropped-params", "").split(",")) - {""}


# ---- Messages


def claude_request(model: str) -> dict[str, Any]:
    """What an agent sends with every turn: marks for the cache, thinking, edits of the context."""
    mark = {"cache_control": {"type": "ephemeral"}}
    tools = [
        {"name": name, "description": f"to {name}", "input_schema": schema}
        for name, schema in TOOLS.items()
    ]
    tools[-1] |= mark
    return {
        "model": model,
        "max_tokens": 4096,
        "system": [{"type": "text", "text": SYSTEM, **mark}],
        "tools": tools,
        "thinking": {"type": "enabled", "budget_tokens": 2048},
        "metadata": {"user_id": "user_1"},
    }


@upstreams
def test_messages_agent(hub: Hub, fake_of_agents: FakeUpstream, upstream: str) -> None:
    """Six turns of two calls at once, of which some fail, with everything sent back."""
    fake = fake_of_agents
    session = open_session(hub, fake, "anthropic", upstream)
    request = claude_request(session.model)
    first = [{"type": "text", "text": TASK}]
    messages: list[Any] = [{"role": "user", "content": first}]
    with anthropic.Anthropic(base_url=hub.url, api_key=session.tenant.key, max_retries=0) as client:
        beta: Any = client.beta.messages
        asked = {name: request[name] for name in ("model", "system", "tools", "thinking")}
        counted = beta.count_tokens(**asked, messages=messages).input_tokens
        assert counted >= 9

        def turn(wish: str) -> tuple[Any, dict[str, Any], Any]:
            fake.script(wish)
            with beta.stream(
                **request,
                messages=messages,
                betas=["interleaved-thinking-2025-05-14", "context-management-2025-06-27"],
                context_management={"edits": [{"type": "clear_tool_uses_20250919"}]},
                extra_body={"max_cost": "1.00"},
            ) as stream:
                final_message = stream.get_final_message()
                headers = stream.response.headers
            row = session.judge(headers["x-request-id"])
            assert final_message.usage.output_tokens == row["usage"]["completion_tokens"]
            assert (
                final_message.usage.cache_read_input_tokens
                == row["usage"]["prompt_tokens_details"]["cached_tokens"]
            )
            return final_message, row, headers

        for number in range(TURNS):
            final_message, row, headers = turn(WORKING)
            calls = [block for block in final_message.content if block.type == "tool_use"]
            assert final_message.stop_reason == "tool_use"
            assert [call.name for call in calls] == list(TOOLS)
            assert final_message.content[0].type == "thinking"
            if upstream == "anthropic":
                body = json.loads(row["body"])
                assert body["system"] == request["system"]
                assert body["tools"] == request["tools"]
                assert body["messages"] == messages
                assert body["context_management"] == {
                    "edits": [{"type": "clear_tool_uses_20250919"}]
                }
                assert "interleaved-thinking" in row["headers"]["anthropic-beta"]
                assert dropped(headers) == set()
            else:
                assert "cache_control" not in row["body"]
                lost = {"cache_control", "context_management"}
                # What has no word for a tool that failed says so, once one has.
                lost |= (
                    {"is_error"} if number > 1 and upstream in ("openai", "responses") else set()
                )
                assert lost <= dropped(headers)
            text = "".join(block.text for block in final_message.content if block.type == "text")
            session.talk.answer([(call.name, call.input) for call in calls], text)
            values = [f"file {number}", f"exit {number}"]
            results: list[Any] = [
                {"type": "tool_result", "tool_use_id": calls[0].id, "content": values[0]},
                {
                    "type": "tool_result",
                    "tool_use_id": calls[1].id,
                    "content": [{"type": "text", "text": values[1]}],
                    "is_error": number % 2 == 1,
                    "cache_control": {"type": "ephemeral"},
                },
            ]
            # Only these have a word for a tool that failed.
            if number % 2 == 1 and upstream in ("anthropic", "gemini", "converse"):
                values[1] = f"error: {values[1]}"
            if number == TURNS - 1:
                # In whatever order they come: ids tell which is whose, and where there are none,
                # their order.
                results.reverse()
                if upstream != "gemini":
                    values.reverse()
            session.talk.lines += [f"result: {result}" for result in values]
            for message in messages:
                for block in message["content"]:
                    block.pop("cache_control", None)
            bodys = [
                block.model_dump(mode="json", exclude_none=True) for block in final_message.content
            ]
            messages += [
                {"role": "assistant", "content": bodys},
                {"role": "user", "content": results},
            ]
        final_message, _, _ = turn(DONE)
        assert final_message.stop_reason == "end_turn"


# ---- Responses


@upstreams
def test_responses_agent(hub: Hub, fake_of_agents: FakeUpstream, upstream: str) -> None:
    """Six turns of two calls at once; nothing is stored, reasoning goes back under its seal."""
    fake = fake_of_agents
    session = open_session(hub, fake, "responses", upstream)
    items: list[Any] = [
        {"type": "message", "role": "user", "content": [{"type": "input_text", "text": TASK}]}
    ]
    tools = [
        {"type": "function", "name": name, "description": f"to {name}", "parameters": schema}
        for name, schema in TOOLS.items()
    ]
    request: dict[str, Any] = {
        "model": session.model,
        "instructions": SYSTEM,
        "tools": [tool | {"strict": False} for tool in tools],
        "tool_choice": "auto",
        "parallel_tool_calls": True,
        "reasoning": {"effort": "medium", "summary": "auto"},
        "include": ["reasoning.encrypted_content"],
        "store": False,
        "prompt_cache_key": "session-1",
    }
    with openai.OpenAI(
        base_url=f"{hub.url}/v1", api_key=session.tenant.key, max_retries=0
    ) as client:
        responses: Any = client.responses

        def turn(wish: str) -> tuple[Any, dict[str, Any]]:
            fake.script(wish)
            numbers = []
            with responses.stream(
                **request, input=items, extra_body={"max_cost": "1.00"}
            ) as stream:
                for event in stream:
                    numbers.append(event.sequence_number)
                final_response = stream.get_final_response()
                headers = stream._response.headers
            assert numbers == list(range(len(numbers)))
            row = session.judge(headers["x-request-id"])
            # What has no counterpart there; neither changes what is answered.
            aside = {"store", "prompt_cache_key"} if upstream in ("anthropic", "gemini") else set()
            assert dropped(headers) == aside
            usage = row["usage"]
            assert final_response.usage.output_tokens == usage["completion_tokens"]
            assert (
                final_response.usage.input_tokens_details.cached_tokens
                == (usage["prompt_tokens_details"]["cached_tokens"])
            )
            return final_response, row

        for number in range(TURNS):
            final_response, row = turn(WORKING)
            calls = [item for item in final_response.output if item.type == "function_call"]
            thoughts = [item for item in final_response.output if item.type == "reasoning"]
            assert final_response.status == "completed"
            assert final_response.store is False
            assert [call.name for call in calls] == list(TOOLS)
            assert thoughts
            if upstream != "openai":
                assert any(thought.encrypted_content for thought in thoughts)
            if upstream == "responses":
                body = json.loads(row["body"])
                assert body["input"] == items
                assert (body["store"], body["include"]) == (False, request["include"])
            session.talk.answer(
                [(call.name, json.loads(call.arguments)) for call in calls],
                final_response.output_text,
            )
            items += [
                item.model_dump(mode="json", exclude_none=True) for item in final_response.output
            ]
            results = [f"file {number}", f"exit {number}"]
            items += [
                {"type": "function_call_output", "call_id": call.call_id, "output": result}
                for call, result in zip(calls, results, strict=True)
            ]
            session.talk.lines += [f"result: {result}" for result in results]
        final_response, _ = turn(DONE)
        kinds = [item.type for item in final_response.output]
        # Gemini seals the end of its text too.
        assert kinds == ["reasoning", "message"] + ["reasoning"] * (upstream == "gemini")
        assert final_response.status == "completed"


PATCH_TOOL = "apply_patch"
GRAMMAR = 'start: "*** Begin Patch" LF hunk+'
PATCHING = "#tokens=2 #tools=1 #again #arg=input #args=6"


@pytest.mark.parametrize("upstream", [name for name in UPSTREAMS if name != "responses"])
def test_responses_agent_with_a_freeform_tool(
    hub: Hub, fake_of_agents: FakeUpstream, upstream: str
) -> None:
    """Codex's apply_patch: its input is a text, streamed as one, and goes back as one."""
    fake = fake_of_agents
    session = open_session(hub, fake, "responses", upstream)
    items: list[Any] = [{"role": "user", "content": TASK}]
    grammar = {"type": "grammar", "syntax": "lark", "definition": GRAMMAR}
    tool = {"type": "custom", "name": PATCH_TOOL, "description": "Edit files.", "format": grammar}
    request: dict[str, Any] = {
        "model": session.model,
        "instructions": SYSTEM,
        "tools": [tool],
        "tool_choice": {"type": "custom", "name": PATCH_TOOL},
        "store": False,
    }
    with openai.OpenAI(
        base_url=f"{hub.url}/v1", api_key=session.tenant.key, max_retries=0
    ) as client:
        responses: Any = client.responses
        for number in range(3):
            fake.script(PATCHING)
            pieces: list[str] = []
            with responses.stream(**request, input=items) as stream:
                for event in stream:
                    if event.type == "response.custom_tool_call_input.delta":
                        pieces.append(event.delta)
                final_response = stream.get_final_response()
                headers = stream._response.headers
            row = session.judge(headers["x-request-id"])
            assert json.dumps(GRAMMAR)[1:-1] in row["body"]
            assert "tools.format" in dropped(headers)
            assert final_response.tools[0].type == "custom"
            assert final_response.tool_choice.type == "custom"
            (call,) = [item for item in final_response.output if item.type == "custom_tool_call"]
            assert call.name == PATCH_TOOL
            assert call.input == "".join(pieces)
            assert call.input.startswith("上海 ")
            # Gemini's calls come whole.
            assert len(pieces) > 1 or upstream == "gemini"
            session.talk.answer([(PATCH_TOOL, {"input": call.input})], final_response.output_text)
            session.talk.thoughts = 0
            session.talk.lines.append(f"result: done {number}")
            items += [
                item.model_dump(mode="json", exclude_none=True) for item in final_response.output
            ]
            items.append(
                {
                    "type": "custom_tool_call_output",
                    "call_id": call.call_id,
                    "output": f"done {number}",
                }
            )
        fake.script(PATCHING)
        whole = responses.create(**request, input=items)
        (call,) = [item for item in whole.output if item.type == "custom_tool_call"]
        assert call.input.startswith("上海 ")


FILES = {
    "type": "namespace",
    "name": "files",
    "description": "Files of the project.",
    "tools": [
        {"type": "function", "name": "read", "parameters": TOOLS["read_file"], "strict": False},
        {"type": "custom", "name": "edit"},
    ],
}
# As Codex 0.169 declares them with every request, and what OpenAI documents beside them.
CODEX_TOOLS = [
    FILES,
    {
        "type": "tool_search",
        "execution": "client",
        "description": "Find tools.",
        "parameters": {"type": "object", "properties": {"query": {"type": "string"}}},
    },
    {"type": "local_shell"},
    {"type": "shell", "environment": {"type": "local"}},
    {"type": "apply_patch"},
    {"type": "web_search", "search_content_types": ["text", "image"]},
    {"type": "image_generation"},
]
CALLED = [
    ("function_call", "files__read"),
    ("custom_tool_call", "files__edit"),
    ("tool_search_call", "tool_search"),
    ("local_shell_call", "local_shell"),
    ("shell_call", "shell"),
    ("apply_patch_call", "apply_patch"),
]


def answer_calls(calls: list[Any]) -> list[dict[str, Any]]:
    """What a client sends for one call of each kind, in the order of CALLED."""
    results = {"type": "namespace", "name": "crm", "description": "", "tools": [FILES["tools"][0]]}
    outputs: list[dict[str, Any]] = [
        {"output": "read"},
        {"output": "edited"},
        {"execution": "client", "status": "completed", "tools": [results]},
        {"id": calls[3].call_id, "output": "ran"},
        {"output": [{"stdout": "ran", "stderr": "", "outcome": {"type": "exit", "exit_code": 0}}]},
        {"status": "completed", "output": "patched"},
    ]
    kinds = [call.type for call in calls]
    answers = [kind.replace("search_call", "search") + "_output" for kind in kinds]
    return [
        {"type": kind, "call_id": call.call_id} | output
        for kind, call, output in zip(answers, calls, outputs, strict=True)
    ]


@pytest.mark.parametrize("upstream", [name for name in UPSTREAMS if name != "responses"])
def test_responses_agent_with_tools_of_its_own_dialect(
    hub: Hub, fake_of_agents: FakeUpstream, upstream: str
) -> None:
    """Codex on every model: each tool is called in its own item, and its output is heard."""
    fake = fake_of_agents
    session = open_session(hub, fake, "responses", upstream)
    items: list[Any] = [{"role": "user", "content": TASK}]
    request: dict[str, Any] = {
        "model": session.model,
        "instructions": SYSTEM,
        "tools": CODEX_TOOLS,
        "store": False,
    }
    with openai.OpenAI(
        base_url=f"{hub.url}/v1", api_key=session.tenant.key, max_retries=0
    ) as client:
        responses: Any = client.responses
        fake.script("#tools=6 #arg=input #args=2")
        with responses.stream(**request, input=items) as stream:
            final_response = stream.get_final_response()
            headers = stream._response.headers
        row = session.judge(headers["x-request-id"])
        assert "tools.image_generation" in dropped(headers)
        assert ("tools.web_search" in dropped(headers)) == (
            upstream not in ("anthropic", "interactions")
        )
        assert "crm__read" not in row["body"]
        calls = [item for item in final_response.output if item.type.endswith("_call")]
        assert [call.type for call in calls] == [kind for kind, _ in CALLED]
        assert [(call.namespace, call.name) for call in calls[:2]] == [
            ("files", "read"),
            ("files", "edit"),
        ]
        items += [item.model_dump(mode="json", exclude_none=True) for item in final_response.output]
        items += answer_calls(calls)
        fake.script("#tokens=2")
        with responses.stream(**request, input=items) as stream:
            final_response = stream.get_final_response()
            headers = stream._response.headers
    answer = Answer(200, {"x-request-id": headers["x-request-id"]}, b"")
    received = booked(hub, fake, answer, SPEAKERS["responses"], upstream, stream=True)
    assert [line.split()[1] for line in received["heard"] if line.startswith("call: ")] == [
        name for _, name in CALLED
    ]
    results = [line.removeprefix("result: ") for line in received["heard"] if "result: " in line]
    assert results[:4] == ["read", "edited", "Tools found: crm__read", "ran"]
    assert json.loads(results[4])[0]["stdout"] == "ran"
    assert results[5] == "patched"
    assert "crm__read" in received["body"]
    assert final_response.status == "completed"


@pytest.mark.parametrize("upstream", [name for name in UPSTREAMS if name != "openai"])
def test_chat_agent_with_a_freeform_tool(
    hub: Hub, fake_of_agents: FakeUpstream, upstream: str
) -> None:
    fake = fake_of_agents
    session = open_session(hub, fake, "openai", upstream)
    grammar = {"syntax": "lark", "definition": GRAMMAR}
    custom = {
        "name": PATCH_TOOL,
        "description": "Edit files.",
        "format": {"type": "grammar", "grammar": grammar},
    }
    messages: list[Any] = [
        {"role": "system", "content": SYSTEM},
        {"role": "user", "content": TASK},
    ]
    request: dict[str, Any] = {
        "model": session.model,
        "tools": [{"type": "custom", "custom": custom}],
        "tool_choice": {"type": "custom", "custom": {"name": PATCH_TOOL}},
    }
    with openai.OpenAI(
        base_url=f"{hub.url}/v1", api_key=session.tenant.key, max_retries=0
    ) as client:
        completions: Any = client.chat.completions
        for stream in (True, False):
            fake.script(PATCHING)
            if stream:
                raw = completions.with_raw_response.create(
                    **request, messages=messages, stream=True
                )
                text, output, id_ = "", "", ""
                for chunk in raw.parse():
                    delta = chunk.choices[0].delta
                    output += delta.content or ""
                    for call in delta.tool_calls or ():
                        id_ = call.id or id_
                        text += call.model_extra["custom"]["input"]
            else:
                raw = completions.with_raw_response.create(**request, messages=messages)
                message = raw.parse().choices[0].message
                (called,) = message.tool_calls
                assert (called.type, called.custom.name) == ("custom", PATCH_TOOL)
                text, output, id_ = called.custom.input, message.content, called.id
            session.judge(raw.headers["x-request-id"], stream=stream)
            assert "tools.format" in dropped(raw.headers)
            assert text.startswith("上海 ")
            messages += [
                {
                    "role": "assistant",
                    "content": output,
                    "tool_calls": [
                        {
                            "id": id_,
                            "type": "custom",
                            "custom": {"name": PATCH_TOOL, "input": text},
                        }
                    ],
                },
                {"role": "tool", "tool_call_id": id_, "content": "done"},
            ]
            session.talk.answer([(PATCH_TOOL, {"input": text})], output)
            session.talk.thoughts = 0
            session.talk.lines.append("result: done")


# ---- Gemini


@upstreams
def test_gemini_agent(hub: Hub, fake_of_agents: FakeUpstream, upstream: str) -> None:
    """Six turns of two calls at once; thoughts and their signatures go back as they came."""
    fake = fake_of_agents
    session = open_session(hub, fake, "gemini", upstream)
    declared = [
        types.FunctionDeclaration(name=name, description=f"to {name}", parameters_json_schema=form)
        for name, form in TOOLS.items()
    ]
    config = types.GenerateContentConfig(
        system_instruction=SYSTEM,
        tools=[types.Tool(function_declarations=declared)],
        thinking_config=types.ThinkingConfig(thinking_budget=2048, include_thoughts=True),
        max_output_tokens=4096,
        automatic_function_calling=types.AutomaticFunctionCallingConfig(disable=True),
    )
    contents: list[Any] = [types.Content(role="user", parts=[types.Part(text=TASK)])]
    options = types.HttpOptions(base_url=hub.url)
    client = genai.Client(api_key=session.tenant.key, vertexai=False, http_options=options)

    def turn(wish: str) -> list[types.Part]:
        fake.script(wish)
        parts: list[types.Part] = []
        request_id = ""
        for chunk in client.models.generate_content_stream(
            model=session.model, contents=contents, config=config
        ):
            assert chunk.candidates
            content = chunk.candidates[0].content
            parts += (content.parts if content else None) or []
            headers = chunk.sdk_http_response and chunk.sdk_http_response.headers
            request_id = (headers or {}).get("x-request-id", request_id)
        row = session.judge(request_id)
        assert chunk.usage_metadata
        assert chunk.usage_metadata.cached_content_token_count == row["cached_tokens"]
        return parts

    try:
        for number in range(TURNS):
            parts = turn(WORKING)
            calls = [part.function_call for part in parts if part.function_call]
            assert [call.name for call in calls] == list(TOOLS)
            assert any(part.thought for part in parts)
            texts = [part.text for part in parts if part.text and not part.thought]
            # As they came where nothing is translated, else the one text that they are.
            texts = texts if upstream == "gemini" else ["".join(texts)]
            session.talk.answer([(call.name or "", call.args) for call in calls], *texts)
            values = [f"file {number}", f"exit {number}"]
            results = [
                types.Part(
                    function_response=types.FunctionResponse(
                        id=call.id, name=call.name, response={"result": result}
                    )
                )
                for call, result in zip(calls, values, strict=True)
            ]
            session.talk.lines += [f"result: {result}" for result in values]
            contents += [
                types.Content(role="model", parts=parts),
                types.Content(role="user", parts=results),
            ]
        assert not any(part.function_call for part in turn(DONE))
    finally:
        client.close()
