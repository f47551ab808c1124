"""P31: what the content log keeps of the messages of a live session, without a provider."""

import json
from collections.abc import Callable
from typing import Any, cast

import pytest

from relay.content_log.talk import Sound, Talk, message
from relay.realtime.gemini_live.talk_messages import (
    record_answered,
    record_heard,
    record_sent,
    record_setup,
)

AUDIO = {"inlineData": {"mimeType": "audio/pcm", "data": "AAAA"}}


class Reported:
    """What is reported, in order."""

    instructions = ""
    transcribes = True

    def __init__(self) -> None:
        self.calls: list[tuple[Any, ...]] = []

    def __getattr__(self, name: str) -> Callable[..., None]:
        return lambda *values: self.calls.append((name, *values))


def spoken(role: str) -> dict[str, Any]:
    sound = Sound()
    sound.add("AAAA")
    return {"type": "message", "role": role, "content": [sound.part()]}


def turns(*contents: tuple[str, list[Any]]) -> dict[str, Any]:
    named = [{"role": role, "parts": parts} for role, parts in contents]
    return {"clientContent": {"turns": named}}


@pytest.mark.parametrize(
    ("sent", "calls"),
    [
        (turns(("user", [{"text": "a"}, {"text": "b"}]), ("model", [{"text": "c"}])),
         [("ask", message("user", "a")), ("ask", message("user", "b")),
          ("ask", message("assistant", "c"))]),
        # A role that it does not know is the client's.
        (turns(("system", [{"text": "a"}]), ("other", [{"text": "b"}])),
         [("ask", message("system", "a")), ("ask", message("user", "b"))]),
        (turns(("user", [AUDIO, {"text": "a"}]), ("model", [AUDIO])),
         [("ask", spoken("user")), ("ask", message("user", "a")), ("ask", spoken("assistant"))]),
        (turns(("user", [{"functionCall": {}}])), []),
        ({"client_content": {"turns": [{"parts": [{"inline_data": {"data": "AAAA"}}]}]}},
         [("ask", spoken("user"))]),
        ({"realtimeInput": {"text": "a", "audio": {"data": "AAAA"}}},
         [("ask", message("user", "a")), ("hear", "AAAA")]),
        ({"realtime_input": {"media_chunks": [{"data": "AAAA"}, {"data": "BBBB"}]}},
         [("hear", "AAAA"), ("hear", "BBBB")]),
        ({"toolResponse": {"functionResponses": [{"id": "1", "response": {"x": 2}},
                                                 {"id": "2", "response": None}]}},
         [("ask", {"type": "function_call_output", "call_id": "1", "output": '{"x":2}'}),
          ("ask", {"type": "function_call_output", "call_id": "2", "output": "null"})]),
    ],
)  # fmt: skip
def test_message_of_the_client_is_kept_with_its_role(sent: Any, calls: list[Any]) -> None:
    reported = Reported()
    record_sent(cast(Talk, reported), json.dumps(sent).encode())
    # The log drops an empty sound.
    assert [call for call in reported.calls if call != ("hear", "")] == calls


@pytest.mark.parametrize(
    ("body", "calls"),
    [
        ({"serverContent": {"modelTurn": {"parts": [{"text": "a"}, {"text": "t", "thought": True}]},
                            "outputTranscription": {"text": "b"}}},
         [("say", "k", "", "a"), ("say", "k", "", "b")]),
        ({"serverContent": {"modelTurn": {"parts": [AUDIO]}}}, [("sound", "k", "AAAA")]),
        ({"toolCall": {"functionCalls": [{"id": "1", "name": "f", "args": {"x": 2}}]}},
         [("complete", "k", "1", {"type": "function_call", "call_id": "1", "name": "f",
                                  "arguments": '{"x":2}'})]),
        # What was heard is no part of the answer.
        ({"serverContent": {"inputTranscription": {"text": "a"}}}, []),
    ],
)  # fmt: skip
def test_message_of_the_provider_is_kept_without_its_thoughts(body: Any, calls: list[Any]) -> None:
    reported = Reported()
    record_answered(cast(Talk, reported), "k", json.dumps(body).encode())
    assert [call for call in reported.calls if call[-1] != ""] == calls


def test_instructions_and_what_was_heard_are_kept() -> None:
    reported = Reported()
    for instruction, text in (
        ("Be brief.", "Be brief."),
        ({"parts": [{"text": "Be"}, {"text": "brief."}]}, "Be\nbrief."),
        (None, ""),
    ):
        reported.transcribes = True
        record_setup(cast(Talk, reported), {"systemInstruction": instruction})
        assert reported.instructions == text
        assert not reported.transcribes
    heard = {"serverContent": {"inputTranscription": {"text": "a"}}}
    record_heard(cast(Talk, reported), json.dumps(heard).encode())
    assert reported.calls == [("write_down", "a")]
