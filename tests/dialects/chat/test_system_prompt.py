"""An operator's system prompt in a request of each dialect."""

import json
from typing import Any, Final

import msgspec
import pytest

from dialects.chat.chat import Dialect
from dialects.chat.system_prompt import PromptMode, set_prompt

OURS: Final = "ours"
HI: Final = {"role": "user", "content": "Hi"}
DEVELOPER: Final = {"role": "developer", "content": "theirs"}
SYSTEM: Final = {"role": "system", "content": "theirs"}
BLOCK: Final = {"type": "text", "text": "theirs"}
OURS_FIRST: Final = "ours\n\ntheirs"
THEIRS_FIRST: Final = "theirs\n\nours"


def put(dialect: Dialect, body: dict[str, Any], mode: PromptMode) -> Any:
    members = msgspec.json.decode(json.dumps(body), type=dict[str, msgspec.Raw])
    set_prompt(dialect, members, OURS, mode)
    return json.loads(msgspec.json.encode(members))


def texts(parts: list[Any]) -> str:
    return ",".join(part["text"] for part in parts)


@pytest.mark.parametrize(
    ("own", "prepended", "appended", "replaced"),
    [
        ([HI], "ours,Hi", "ours,Hi", "ours,Hi"),
        ([SYSTEM, HI], "ours,theirs,Hi", "theirs,ours,Hi", "ours,Hi"),
        (
            [DEVELOPER, HI, SYSTEM, HI],
            "ours,theirs,Hi,theirs,Hi", "theirs,ours,Hi,theirs,Hi", "ours,Hi,Hi",
        ),
    ],
)  # fmt: skip
def test_message_of_chat_completions(
    own: Any, prepended: str, appended: str, replaced: str
) -> None:
    modes: tuple[PromptMode, ...] = ("prepend", "append", "replace")
    turns = [put("openai", {"messages": own}, mode)["messages"] for mode in modes]
    shown = [",".join(turn["content"] for turn in one) for one in turns]
    assert shown == [prepended, appended, replaced]
    roles = {turn["role"] for turn in turns[0] if turn["content"] == OURS}
    assert roles == {"developer" if DEVELOPER in own else "system"}


@pytest.mark.parametrize(
    ("dialect", "name"),
    [
        ("responses", "instructions"),
        ("interactions", "system_instruction"),
        ("anthropic", "system"),
    ],
)
def test_text_of_its_own_member(dialect: Dialect, name: str) -> None:
    assert put(dialect, {name: "theirs"}, "prepend") == {name: OURS_FIRST}
    assert put(dialect, {name: "theirs"}, "append") == {name: THEIRS_FIRST}
    assert put(dialect, {name: "theirs"}, "replace") == {name: OURS}
    assert put(dialect, {}, "append") == {name: OURS}


def test_responses_lose_other_system_items_when_replaced() -> None:
    body = {"instructions": "theirs", "input": [DEVELOPER, SYSTEM, HI]}
    assert put("responses", body, "replace") == {"instructions": OURS, "input": [HI]}
    assert put("responses", body, "append")["input"] == body["input"]
    assert put("responses", {"input": "Hi"}, "replace") == {"instructions": OURS, "input": "Hi"}


@pytest.mark.parametrize("dialect", ["anthropic", "converse"])
def test_blocks_of_system(dialect: Dialect) -> None:
    modes: tuple[PromptMode, ...] = ("prepend", "append")
    found = [texts(put(dialect, {"system": [BLOCK]}, mode)["system"]) for mode in modes]
    assert found == ["ours,theirs", "theirs,ours"]
    own = {"type": "text", "text": OURS} if dialect == "anthropic" else {"text": OURS}
    assert put(dialect, {"system": [BLOCK]}, "append")["system"][1] == own


def test_system_of_messages_and_converse_is_replaced() -> None:
    assert put("anthropic", {"system": [BLOCK]}, "replace") == {"system": OURS}
    assert put("converse", {"system": [BLOCK]}, "replace") == {"system": [{"text": OURS}]}
    assert put("converse", {}, "append") == {"system": [{"text": OURS}]}


@pytest.mark.parametrize("name", ["systemInstruction", "system_instruction"])
@pytest.mark.parametrize(
    "theirs",
    [{"parts": [{"text": "theirs"}]}, {"parts": {"text": "theirs"}}, "theirs"],
)
def test_parts_of_gemini_in_either_spelling(name: str, theirs: Any) -> None:
    shown = {
        mode: texts(put("gemini", {name: theirs}, mode)[name]["parts"])
        for mode in ("prepend", "append", "replace")
    }
    assert shown == {"prepend": "ours,theirs", "append": "theirs,ours", "replace": OURS}


def test_gemini_without_a_system_instruction_gets_one() -> None:
    assert put("gemini", {}, "append") == {"systemInstruction": {"parts": [{"text": OURS}]}}
    role = put("gemini", {"systemInstruction": {"role": "user"}}, "append")["systemInstruction"]
    assert role == {"role": "user", "parts": [{"text": OURS}]}


def test_value_of_another_type_is_left_to_the_provider() -> None:
    assert put("openai", {"messages": "Hi"}, "prepend") == {"messages": "Hi"}
    assert put("anthropic", {"system": 5}, "prepend") == {"system": OURS}
