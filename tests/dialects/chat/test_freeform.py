import json
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dialects.chat.chat import FunctionTool
from dialects.chat.custom_tools import (
    InputReader,
    freeform_names,
    make_function,
    read_input,
    write_arguments,
)

PATCH = '*** Begin Patch\n+say("hé\t😀 \\d")\u2028\n*** End Patch'


def cut(arguments: str, *places: int) -> str:
    """What a reader tells of arguments that come in these pieces."""
    reader = InputReader()
    bounds = [0, *sorted(places), len(arguments)]
    pieces = [arguments[a:b] for a, b in pairwise(bounds)]
    return "".join(map(reader.feed, pieces)) + reader.end()


def forms(text: str) -> list[str]:
    """The same input as models write it."""
    return [
        write_arguments(text),
        json.dumps({"input": text}),
        json.dumps({"input": text}, ensure_ascii=False, indent=2),
        json.dumps({"input": text, "more": "x"}),
        json.dumps({"before": 1, "input": text}),
        json.dumps(text),
        write_arguments(text).replace("/", "\\/"),
    ]


@pytest.mark.parametrize("arguments", forms(PATCH))
def test_input_is_the_same_however_its_arguments_are_split(arguments: str) -> None:
    for place in range(len(arguments) + 1):
        assert cut(arguments, place) == PATCH
    assert cut(arguments, *range(len(arguments))) == PATCH


@given(text=st.text(st.characters(exclude_categories=["Cs"])), data=st.data())
def test_every_text_comes_back(text: str, data: Any) -> None:
    for arguments in forms(text):
        places = data.draw(st.lists(st.integers(0, len(arguments)), max_size=5))
        assert cut(arguments, *places) == text


def test_text_is_emitted_as_soon_as_it_is_certain() -> None:
    reader = InputReader()
    pieces = ['{"inp', 'ut": "ab', "c\\", "n\\u00", "e9\\ud83d", "\\ude00d", '"', "}"]
    assert [reader.feed(piece) for piece in pieces] == ["", "ab", "c", "\n", "é", "😀d", "", ""]
    assert reader.end() == ""


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ("", ""),
        ("{}", "{}"),
        ('{"input": "\\ue000\\ud83d\\ue000\\udc00"}', "\ue000\ufffd\ue000\ufffd"),
        ('{"input": ["a"]}', '{"input": ["a"]}'),
        ('{"command": "ls"}', '{"command": "ls"}'),
        ("not json", "not json"),
        ('{"input": "a\\q\\uzz', "a\\q\\uzz"),
        ('{"input": "a\\', "a"),
        ('{"input": "\\ud83dx"}', "\ufffdx"),
        ('{"input": "\\ude00\\ud83d"}', "\ufffd\ufffd"),
        ('{"input": "\\ud83d\\ud83d\\ude00"}', "\ufffd😀"),
        ('{"input": "\\ud83d', "\ufffd"),
        ('{"input": "two\nlines"}', "two\nlines"),
        ('{"input": "a"} and more', "a"),
        ("{" + " " * 300 + '"input": "a"}', "a"),
        ("{" + " " * 300 + '"x": 1}', "{" + " " * 300 + '"x": 1}'),
    ],
)
def test_arguments_of_other_forms(arguments: str, expected: str) -> None:
    assert read_input(arguments) == expected
    for place in range(len(arguments) + 1):
        assert cut(arguments, place) == expected


def test_a_tool_is_declared_as_a_function_of_one_text() -> None:
    own = {"type": "custom", "name": "patch"}
    plain = make_function("patch", "Edits files.", own, "", "")
    assert (plain.name, plain.description, plain.freeform) == ("patch", "Edits files.", own)
    assert not plain.grammar
    tool = make_function("patch", None, own, "lark", "start: /a/")
    assert tool.grammar
    assert tool.schema is not None
    described = tool.schema["properties"]["input"].pop("description")
    assert "(lark):\nstart: /a/" in described
    assert tool.schema == {
        "type": "object",
        "properties": {"input": {"type": "string"}},
        "required": ["input"],
        "additionalProperties": False,
    }
    assert freeform_names([tool, FunctionTool("other")]) == {"patch"}
