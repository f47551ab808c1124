"""What of a request is read by a model: each part of each dialect."""

from typing import Any

import pytest

from relay.counting.image_tokens import Picture
from relay.counting.prompt_text import Message, Prompt, Tool, count_prompt, read_prompt, words_of
from relay.counting.vocabularies import Family


@pytest.mark.parametrize(
    ("body", "messages"),
    [
        (None, []),
        ({"messages": "hello"}, [("user", "hello")]),
        ({"messages": [{"role": "user", "content": "a"}, 1]}, [("user", "a")]),
        ({"system": "be kind", "messages": []}, [("system", "be kind")]),
        ({"instructions": "be kind", "input": "a"}, [("system", "be kind"), ("user", "a")]),
        *(
            ({name: {"parts": [{"text": "be kind"}]}, "contents": [{"parts": [{"text": "a"}]}]},
             [("system", "be kind"), ("", "a")])
            for name in ("system_instruction", "systemInstruction")
        ),
        *(
            ({name: {"contents": [{"role": "user", "parts": [{"text": "a"}]}]}}, [("user", "a")])
            for name in ("generateContentRequest", "generate_content_request")
        ),
        ({"input": [{"type": "reasoning", "content": "no"}, {"role": "user", "content": "a"}]},
         [("user", "a")]),
        ({"input": [{"type": "thought", "content": "no"}]}, []),
    ],
)  # fmt: skip
def test_messages_are_read_where_each_dialect_has_them(
    body: Any, messages: list[tuple[str, str]]
) -> None:
    prompt = read_prompt(body)
    assert [(one.role, *one.texts) for one in prompt.messages] == messages
    assert list(words_of(prompt)) == [text for _, *texts in messages for text in texts]


RESULT = {"text": "sunny"}


@pytest.mark.parametrize(
    ("part", "texts", "calls", "results"),
    [
        ({"type": "text", "text": "a"}, ["a"], 0, 0),
        ({"type": "refusal", "refusal": "no"}, ["no"], 0, 0),
        ({"text": "thought", "thought": True}, [], 0, 0),
        ({"text": "a", "thought": "sig"}, ["a"], 0, 0),
        ({"json": {"a": 1}}, ['{"a":1}'], 0, 0),
        # Calls.
        ({"function": {"name": "f", "arguments": '{"x":1}'}}, ['f {"x":1}'], 1, 0),
        ({"functionCall": {"name": "f", "args": {"x": 1}}}, ['f {"x":1}'], 1, 0),
        ({"function_call": {"name": "f", "args": {"x": 1}}}, ['f {"x":1}'], 1, 0),
        ({"type": "function_call", "name": "f", "arguments": "{}"}, ["f {}"], 1, 0),
        ({"type": "tool_use", "name": "f", "input": {"x": 1}}, ['f {"x":1}'], 1, 0),
        ({"type": "tool_use", "name": "f", "input": {}}, ["f {}"], 1, 0),
        ({"toolUse": {"name": "f", "input": {"x": 1}}}, ['f {"x":1}'], 1, 0),
        ({"type": "custom", "custom": {"name": "f", "input": "run"}}, ["f run"], 1, 0),
        ({"type": "custom_tool_call", "name": "f", "input": "run"}, ["f run"], 1, 0),
        ({"type": "shell_call", "action": {"x": 1}}, ['shell {"x":1}'], 1, 0),
        ({"type": "patch_call", "operation": {"x": 1}}, ['patch {"x":1}'], 1, 0),
        ({"type": "function", "function": {"name": 5, "arguments": "{}"}}, [], 0, 0),
        ({"tool_calls": [{"type": "function", "function": {"name": "f", "arguments": "{}"}},
                         {"type": "function", "function": {"name": "g", "arguments": "{}"}}]},
         ["f {}", "g {}"], 2, 0),
        # Results, without the name of their call.
        ({"type": "tool_result", "content": [{"type": "text", "text": "sunny"}]}, ["sunny"], 0, 1),
        ({"type": "function_result", "name": "f", "result": "sunny"}, ["sunny"], 0, 1),
        ({"type": "function_call_output", "output": "sunny"}, ["sunny"], 0, 1),
        ({"type": "shell_call_output", "output": [{"stdout": "out", "stderr": "err"}]},
         ["out", "err"], 0, 2),
        ({"functionResponse": {"name": "f", "response": RESULT}}, ['{"text":"sunny"}'], 0, 1),
        ({"function_response": {"name": "f", "response": RESULT}}, ['{"text":"sunny"}'], 0, 1),
        ({"toolResult": {"toolUseId": "t", "content": [{"json": {"a": 1}}]}}, ['{"a":1}'], 0, 1),
        ({"toolResult": {"toolUseId": "t", "content": [{"text": "sunny"}]}}, ["sunny"], 0, 1),
        # Documents.
        ({"type": "document", "source": {"type": "text", "data": "page"}}, ["page"], 0, 0),
        ({"type": "document", "source": {"type": "content", "content": [{"text": "page"}]}},
         ["page"], 0, 0),
        ({"type": "document", "source": {"type": "base64", "data": "AAAA"}}, [], 0, 0),
        ({"document": {"name": "n", "source": {"text": "page"}, "context": "c"}},
         ["n", "c", "page"], 0, 0),
        ({"document": {"source": {"content": [{"text": "page"}]}}}, ["page"], 0, 0),
        ({"citationsContent": {"content": [{"text": "cited"}]}}, ["cited"], 0, 0),
    ],
)  # fmt: skip
def test_texts_calls_and_results_of_a_part(
    part: dict[str, Any], texts: list[str], calls: int, results: int
) -> None:
    (message,) = read_prompt({"messages": [{"role": "user", "content": [part]}]}).messages
    assert message == Message("user", tuple(texts), calls, results)


def test_result_of_a_tool_is_one_also_as_a_message() -> None:
    chat = {"role": "tool", "tool_call_id": "c", "name": "f", "content": "sunny"}
    (message,) = read_prompt({"messages": [chat]}).messages
    assert message == Message("tool", ("sunny",), 0, 1)


SCHEMA = {"type": "object", "properties": {"x": {"type": "string"}}}


@pytest.mark.parametrize(
    ("tools", "description"),
    [
        ({"tools": [{"type": "function", "function": {"name": "f", "description": "d",
                                                      "parameters": SCHEMA}}]}, "d"),
        ({"functions": [{"name": "f", "description": "d", "parameters": SCHEMA}]}, "d"),
        ({"tools": [{"name": "f", "description": "d", "input_schema": SCHEMA}]}, "d"),
        ({"tools": [{"functionDeclarations": [{"name": "f", "parametersJsonSchema": SCHEMA}]}]},
         ""),
        ({"tools": [{"function_declarations": [{"name": "f", "parameters": SCHEMA}]}]}, ""),
        ({"toolConfig": {"tools": [{"toolSpec": {"name": "f", "inputSchema": {"json": SCHEMA}}}]}},
         ""),
        ({"input": [{"type": "tools", "tools": [{"name": "f", "parameters": SCHEMA}]}]}, ""),
    ],
)  # fmt: skip
def test_tools_are_read_where_each_dialect_has_them(
    tools: dict[str, Any], description: str
) -> None:
    assert read_prompt(tools).tools == (Tool("f", description, SCHEMA),)


def test_tool_without_a_schema_has_its_grammar_and_its_own_tools() -> None:
    grammar = {"type": "grammar", "definition": "start: x"}
    form = {"type": "grammar", "grammar": grammar}
    custom = {"type": "custom", "custom": {"name": "c", "description": "d", "format": form}}
    flat = {"type": "custom", "name": "e", "format": grammar}
    space = {"type": "namespace", "name": "n", "tools": [{"name": "m"}, 1]}
    unnamed = {"type": "web_search"}
    prompt = read_prompt({"tools": [custom, flat, space, unnamed, "x"]})
    assert prompt.tools == (
        Tool("c", "d\n\nstart: x", {}), Tool("e", "start: x", {}), Tool("n", "", {}),
        Tool("m", "", {}),
    )  # fmt: skip


LINK = Picture(None, False)


@pytest.mark.parametrize(
    ("part", "picture"),
    [
        ({"type": "image_url", "image_url": {"url": "HTTPS://a.example/p"}}, LINK),
        ({"type": "image_url", "image_url": {"url": "https://a.example/p", "detail": "low"}},
         Picture(None, True)),
        ({"type": "input_image", "image_url": "https://a.example/p", "detail": "low"},
         Picture(None, True)),
        ({"inlineData": {"mimeType": "image/png", "data": "AAAA"}}, LINK),
        ({"inline_data": {"mime_type": "audio/wav", "data": "AAAA"}}, None),
        ({"type": "image", "source": {"type": "url", "url": "https://a.example/p"}}, LINK),
        ({"image": {"format": "png", "source": {"bytes": "AAAA"}}}, LINK),
        ({"type": "tool_result", "content": [{"type": "image", "source": {"data": "AAAA"}}]}, LINK),
        ({"type": "text", "text": "a"}, None),
        ({"type": "input_image", "image_url": 5}, None),
    ],
)  # fmt: skip
def test_pictures_are_found_in_each_dialect(part: dict[str, Any], picture: Any) -> None:
    prompt = read_prompt({"messages": [{"role": "user", "content": [part]}]})
    assert prompt.pictures == (() if picture is None else (picture,))


def test_prompt_is_counted_with_what_its_family_adds() -> None:
    """Each text by its letters here."""
    family = Family(message=30, start=500, unsaid_system=7_000, call=110, result=1_300)
    said = Message("user", ("abc",), calls=2, results=1)
    user = Prompt((said,))
    around = family.message + 2 * family.call + family.result
    wanted = family.start + around + 3
    assert count_prompt(user, family, len) == wanted + family.unsaid_system
    for role in ("system", "developer"):
        system = Prompt((said, Message(role, ("de",))))
        assert count_prompt(system, family, len) == wanted + family.message + 2
    assert count_prompt(Prompt(bare=("abc", "de")), family, len) == 5
    assert list(words_of(Prompt((said,), bare=("x",)))) == ["x", "abc"]


WEATHER = Tool(
    "weather",
    "Of a day.",
    {
        "properties": {
            "day": {"type": "string", "description": "Which.", "enum": ["mon", "tue"]},
            "at": {"type": "array", "items": {"properties": {"x": {"type": "number"}}}},
            "odd": True,
        },
        "required": ["day"],
    },
)


@pytest.mark.parametrize(
    ("tools_as", "tokens"),
    [
        # 7 and its line; 3, for each parameter 3 and its line, -3 and 3 for each value.
        ("functions", 7 + 16 + 3 + 3 + 16 - 3 + 2 * (3 + 3) + 3 + 9 + 3 + 3 + 9),
        ("texts", len("weather" "Of a day." "day" "day" "Which." "mon" "tue" "at" "x" "odd")),
        ("none", -1_000),
    ],
)  # fmt: skip
def test_tools_are_counted_as_their_family_writes_them(tools_as: Any, tokens: int) -> None:
    family = Family(message=0, start=0, tools_as=tools_as, tools=1_000)
    prompt = Prompt((Message("system", ()),), (WEATHER,))
    assert count_prompt(prompt, family, len) == 1_000 + tokens


def test_tools_as_json_have_blanks_and_compact_ones_have_none() -> None:
    prompt = Prompt((Message("system", ()),), (Tool("f", "d", {}), Tool("g", "", {})))
    written: list[str] = []

    def count(text: str) -> int:
        written.append(text)
        return 10

    for tools_as in ("json", "compact"):
        family = Family(message=0, start=0, tools_as=tools_as, tools=1)
        assert count_prompt(prompt, family, count) == 21
    json, _, compact, _ = written
    assert (
        compact == '{"type":"function","function":{"name":"f","description":"d","parameters":{}}}'
    )
    wide = '{"type": "function", "function": {"name": "f", "description": "d", "parameters": {}}}\n'
    assert json == wide
    assert count_prompt(Prompt((Message("system", ()),)), family, count) == 0
