"""The story of an agent's session, whatever the dialect: each client writes its history anew."""

import json
from typing import Any, Final

import pytest

from content.log.conversation import exchange_of
from content.log.kept import Kept
from content.log.story import fold_story

_CALL: Final = {"id": "c1", "type": "function",
                "function": {"name": "read", "arguments": '{"a":1}'}}  # fmt: skip
_AGAIN: Final = {**_CALL, "function": {"name": "read", "arguments": '{"a": 1}'}}


def _completion(**message: Any) -> dict[str, Any]:
    choice = {"index": 0, "finish_reason": "stop", "message": {"role": "assistant", **message}}
    return {"id": "a", "object": "chat.completion", "created": 1, "model": "m", "choices": [choice]}


def _openai() -> list[tuple[dict[str, Any], dict[str, Any]]]:
    asked = [{"role": "system", "content": "You code."}, {"role": "user", "content": "Mend it."}]
    called = {"role": "assistant", "content": "I look.\n", "tool_calls": [_AGAIN]}
    result = {"role": "tool", "tool_call_id": "c1", "content": "empty"}
    answer = _completion(content="I look.", reasoning_content="hm", tool_calls=[_CALL])
    return [
        ({"model": "m", "messages": asked}, answer),
        ({"model": "m", "messages": [*asked, called, result]}, _completion(content="Done.")),
    ]


def _anthropic() -> list[tuple[dict[str, Any], dict[str, Any]]]:
    thought = {"type": "thinking", "thinking": "hm", "signature": "c2ln"}
    said = {"type": "text", "text": "I look."}
    call = {"type": "tool_use", "id": "c1", "name": "read", "input": {"a": 1}}
    asked = {"role": "user", "content": [{"type": "text", "text": "Mend it."}]}
    result = {"type": "tool_result", "tool_use_id": "c1", "content": "empty"}

    def request(number: int, *messages: dict[str, Any]) -> dict[str, Any]:
        # Claude Code counts in its system prompt.
        system = [{"type": "text", "text": f"request {number}"},
                  {"type": "text", "text": "You code."}]  # fmt: skip
        return {"model": "m", "max_tokens": 9, "system": system, "messages": list(messages)}

    def answer(*content: dict[str, Any]) -> dict[str, Any]:
        usage = {"input_tokens": 1, "output_tokens": 1}
        return {"id": "msg", "type": "message", "role": "assistant", "model": "m",
                "content": list(content), "stop_reason": "end_turn", "usage": usage}  # fmt: skip

    history = (asked, {"role": "assistant", "content": [thought, said, call]},
               {"role": "user", "content": [result]})  # fmt: skip
    done = answer({"type": "text", "text": "Done."})
    return [(request(1, asked), answer(thought, said, call)), (request(2, *history), done)]


def _responses() -> list[tuple[dict[str, Any], dict[str, Any]]]:
    asked = {"type": "message", "role": "user",
             "content": [{"type": "input_text", "text": "Mend it."}]}  # fmt: skip
    said = {"type": "message", "id": "m1", "role": "assistant", "status": "completed",
            "content": [{"type": "output_text", "text": "I look.", "annotations": []}]}  # fmt: skip
    call = {"type": "function_call", "id": "f1", "call_id": "c1", "name": "read",
            "arguments": '{"a":1}', "status": "completed"}  # fmt: skip
    result = {"type": "function_call_output", "call_id": "c1", "output": "empty"}
    done = {**said, "content": [{"type": "output_text", "text": "Done.", "annotations": []}]}

    def request(*items: dict[str, Any]) -> dict[str, Any]:
        return {"model": "m", "instructions": "You code.", "input": list(items), "store": False}

    def answer(*output: dict[str, Any]) -> dict[str, Any]:
        return {"id": "resp_1", "object": "response", "created_at": 1, "model": "m",
                "status": "completed", "output": list(output)}  # fmt: skip

    return [(request(asked), answer(said, call)),
            (request(asked, said, call, result), answer(done))]  # fmt: skip


def _gemini() -> list[tuple[dict[str, Any], dict[str, Any]]]:
    asked = {"role": "user", "parts": [{"text": "Mend it."}]}
    called = {"role": "model", "parts": [
        {"text": "I look."}, {"functionCall": {"name": "read", "args": {"a": 1}}}]}  # fmt: skip
    result = {"role": "user", "parts": [
        {"functionResponse": {"name": "read", "response": {"output": "empty"}}}]}  # fmt: skip

    def request(*contents: dict[str, Any]) -> dict[str, Any]:
        return {"systemInstruction": {"parts": [{"text": "You code."}]}, "contents": list(contents)}

    def answer(content: dict[str, Any]) -> dict[str, Any]:
        return {"candidates": [{"index": 0, "content": content, "finishReason": "STOP"}]}

    done = {"role": "model", "parts": [{"text": "Done."}]}
    return [(request(asked), answer(called)), (request(asked, called, result), answer(done))]


@pytest.mark.parametrize(
    ("dialect", "requests"),
    [("openai", _openai()), ("anthropic", _anthropic()), ("responses", _responses()),
     ("gemini", _gemini())],
)  # fmt: skip
def test_second_request_of_an_agent_adds_the_result_of_its_tool(
    dialect: str, requests: list[tuple[dict[str, Any], dict[str, Any]]]
) -> None:
    kept = [Kept(json.dumps(asked).encode(), json.dumps(answer).encode())
            for asked, answer in requests]  # fmt: skip
    exchanges = [exchange_of(one, dialect, "m") for one in kept]
    first, second = fold_story([one for one in exchanges if one is not None])
    assert [item.piece.text for item in first.asked] == ["Mend it."]
    assert first.instructions[-1].piece.text == "You code."
    assert [item.piece.kind for item in first.answered[0]] == ["text", "tool_call"]
    assert (second.kind, second.after) == ("continues", 0)
    (result,) = second.asked
    assert (result.piece.kind, result.piece.name) == ("tool_result", "read")
    assert "empty" in result.piece.text
    assert [item.piece.text for item in second.answered[0]] == ["Done."]
    assert "You code." not in [item.piece.text for item in second.instructions]
