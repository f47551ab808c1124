"""P31: what each event of OpenAI's sessions and of Live sessions says, for the content log."""

import base64
import json
from typing import Any, cast

import msgspec
import pytest

from dialects.realtime import live, realtime
from relay.content_log.talk import Sound, message
from relay.realtime import talk_events
from relay.realtime.live import live_events

AUDIO = base64.b64encode(bytes(48)).decode()


class Talk:
    """What is recorded, call by call."""

    def __init__(self) -> None:
        self.instructions = "as before"
        self.calls: list[tuple[Any, ...]] = []

    @property
    def delegated(self) -> "Talk":
        return self.beside

    def __getattr__(self, name: str) -> Any:
        if name == "beside":
            self.beside = Talk()
            return self.beside
        return lambda *values, **options: self.calls.append((name, *values, *options.items()))


def read(calls: list[tuple[Any, ...]]) -> list[tuple[Any, ...]]:
    """Calls with raw sound as text."""
    return [
        tuple(value.decode() if isinstance(value, bytes) else value for value in call)
        for call in calls
    ]


def part_of_sound() -> dict[str, Any]:
    sound = Sound()
    sound.add(AUDIO)
    return sound.part()


CALL = {"type": "function_call", "id": "i", "call_id": "c", "name": "n", "arguments": "{}"}
SPOKEN = {"type": "message", "role": "assistant", "id": "i",
          "content": [{"type": "output_audio", "transcript": "Hi."}]}  # fmt: skip
ASKED = {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "Hello"}]}


@pytest.mark.parametrize(
    ("event", "calls", "instructions"),
    [
        ({"type": "input_audio_buffer.append", "audio": AUDIO}, [("hear", AUDIO)], None),
        ({"type": "input_audio_buffer.clear"}, [("forget_sound",)], None),
        ({"type": "input_audio_buffer.commit"}, [], None),
        ({"type": "conversation.item.create", "item": ASKED}, [("ask", ASKED)], None),
        ({"type": "conversation.item.create", "item": CALL}, [("ask", CALL)], None),
        ({"type": "session.update", "session": {"instructions": "Be kind"}}, [], "Be kind"),
        # Another setting leaves the instructions.
        ({"type": "session.update", "session": {"voice": "ash"}}, [], None),
        (
            {"type": "response.create", "response": {"input": [ASKED, 1, CALL],
                                                     "instructions": "Now"}},
            [("ask", ASKED), ("ask", CALL), ("ask", message("developer", "Now"))],
            None,
        ),
        ({"type": "response.create"}, [], None),
        ({"type": "response.cancel", "response": {"instructions": "Now"}}, [], None),
    ],
)  # fmt: skip
def test_what_a_client_of_realtime_sends(
    event: dict[str, Any], calls: list[Any], instructions: str | None
) -> None:
    talk, raw = Talk(), json.dumps(event).encode()
    talk_events.record_sent(cast(Any, talk), realtime.read_client_event(raw), raw)
    assert read(talk.calls) == calls
    assert talk.instructions == (instructions or "as before")


HEARD = "conversation.item.input_audio_transcription"


@pytest.mark.parametrize(
    ("event", "calls"),
    [
        ({"type": "response.output_text.delta", "delta": "Hé"}, [("say", "r", "i", "Hé")]),
        ({"type": "response.output_audio_transcript.delta", "delta": "a"},
         [("say", "r", "i", "a")]),
        ({"type": "response.audio_transcript.delta", "delta": "a"}, [("say", "r", "i", "a")]),
        ({"type": "response.output_audio.delta", "delta": AUDIO}, [("sound", "r", AUDIO)]),
        ({"type": "response.audio.delta", "delta": AUDIO}, [("sound", "r", AUDIO)]),
        ({"type": "response.function_call_arguments.delta", "delta": "a"}, []),
        ({"type": f"{HEARD}.completed", "transcript": "Hello"}, [("write_down", "Hello", "i")]),
        ({"type": f"{HEARD}.delta", "delta": "Hel"}, []),
        ({"type": "input_audio_buffer.committed"}, [("put_sound", "i")]),
        ({"type": "response.output_item.done", "item": CALL}, [("complete", "r", "i", CALL)]),
        ({"type": "response.output_item.done", "item": SPOKEN},
         [("complete", "r", "i", message("assistant", "Hi."))]),
        ({"type": "response.done", "response": {"id": "r2", "output": [CALL, SPOKEN]}},
         [("replace", "r2", [CALL, message("assistant", "Hi.")])]),
        # Nothing replaces what was recorded of a response that says no more of it.
        ({"type": "response.done", "response": {"id": "r2", "output": []}}, []),
        ({"type": "response.created", "response": {"id": "r2", "output": [CALL]}}, []),
    ],
)  # fmt: skip
def test_what_a_provider_of_realtime_sends(event: dict[str, Any], calls: list[Any]) -> None:
    talk, raw = Talk(), json.dumps({"response_id": "r", "item_id": "i"} | event).encode()
    talk_events.record_received(cast(Any, talk), realtime.read_server_event(raw), raw)
    assert read(talk.calls) == calls


def test_event_of_realtime_without_ids_is_recorded() -> None:
    talk = Talk()
    for event in (
        {"type": "response.output_text.delta", "delta": "a"},
        {"type": "input_audio_buffer.committed"},
        {"type": f"{HEARD}.completed", "transcript": "b"},
    ):
        raw = json.dumps(event).encode()
        talk_events.record_received(cast(Any, talk), realtime.read_server_event(raw), raw)
    assert talk.calls == [("say", "", "", "a"), ("put_sound", ""), ("write_down", "b", "")]


# ---- Live sessions

RESPONSE = {"type": "response", "response": {"instructions": "Work"}}
DECISION = {"type": "decision", "decision": {"questions": [{"id": "q"}]}}
WORK, QUESTIONS = "Work", '[{"id":"q"}]'


def test_live_session_begins_with_its_instructions_and_what_was_said() -> None:
    talk = Talk()
    said = [
        {"role": "assistant", "content": [{"text": "Good "}, 1, {"text": "day"}]},
        {"content": [{"text": "Hello"}]},
    ]
    session = {"instructions": "Be kind", "input": said, "delegation": RESPONSE}
    live_events.record_start(cast(Any, talk), json.dumps({"session": session}).encode())
    happened = [("tell", message("assistant", "Good day")), ("tell", message("user", "Hello"))]
    assert talk.calls == [("begin", "Be kind"), *happened]
    assert talk.delegated.instructions == WORK


@pytest.mark.parametrize(
    ("event", "calls", "asked", "instructions"),
    [
        ({"type": live.APPEND, "audio": AUDIO}, [("hear", AUDIO)], [], None),
        *(
            (
                {"type": f"session.{kind}.append", "content": "It rains", **more},
                [("tell", happened)],
                [],
                None,
            )
            for kind in ("instructions", "thinking", "commentary")
            for more, happened in (
                ({}, message("developer", "It rains")),
                (
                    {"delegation_id": "d"},
                    {"type": "function_call_output", "call_id": "d", "output": "It rains"},
                ),
            )
        ),
        ({"type": "response.item.create", "item": ASKED}, [], [("ask", ASKED)], None),
        ({"type": "decision.item.create", "item": ASKED}, [], [("ask", ASKED)], None),
        ({"type": "session.update", "session": {"delegation": RESPONSE}}, [], [], WORK),
        ({"type": "session.update", "session": {"delegation": DECISION}}, [], [], QUESTIONS),
        ({"type": "session.update", "session": {"delegation": {"type": "client"}}}, [], [], None),
        (
            {"type": "session.output_audio.fixture.play", "audio": AUDIO},
            [("tell", {"type": "message", "role": "developer", "content": [part_of_sound()]})],
            [],
            None,
        ),
        ({"type": "session.close", "item": ASKED, "content": "x"}, [], [], None),
    ],
)
def test_what_a_client_of_live_sends(
    event: dict[str, Any], calls: list[Any], asked: list[Any], instructions: str | None
) -> None:
    talk, raw = Talk(), json.dumps(event).encode()
    live_events.record_sent(cast(Any, talk), live.read_client_event(raw), raw)
    assert read(talk.calls) == calls
    assert talk.delegated.calls == asked
    assert talk.delegated.instructions == (instructions or "as before")
    assert talk.instructions == "as before"


@pytest.mark.parametrize(
    ("event", "calls"),
    [
        ({"type": "session.output_audio.delta", "delta": AUDIO}, [("sound", AUDIO)]),
        (
            {"type": "session.input_transcript.delta", "delta": "Hé", "start_ms": 5, "end_ms": 9},
            [("say", "user", "Hé", 5, 9)],
        ),
        (
            {"type": "session.output_transcript.delta", "delta": "a", "start_ms": 7, "end_ms": 8},
            [("say", "assistant", "a", 7, 8)],
        ),
        (
            {"type": "session.delegation.created", "delegation": {"id": "d", "target": "client"}},
            [
                (
                    "tell",
                    {"type": "function_call", "call_id": "d", "name": "delegation",
                     "arguments": '{"target":"client"}'},
                    ("by_model", True),
                )
            ],
        ),
        ({"type": "session.updated", "delta": "a"}, []),
    ],
)  # fmt: skip
def test_what_a_provider_of_live_sends(event: dict[str, Any], calls: list[Any]) -> None:
    talk, raw = Talk(), json.dumps(event).encode()
    live_events.record_received(cast(Any, talk), live.read_server_event(raw), raw)
    assert read(talk.calls) == calls


@pytest.mark.parametrize(
    ("event", "calls"),
    [
        ({"type": "response.output_text.delta", "delta": "a"}, [("say", "d", "i", "a")]),
        ({"type": "response.refusal.delta", "delta": "a"}, [("say", "d", "i", "a")]),
        ({"type": "response.function_call_arguments.delta", "delta": "a"}, []),
        ({"type": "response.output_item.done", "item": CALL}, [("complete", "d", "i", CALL)]),
        ({"type": "response.output_item.added", "item": CALL}, []),
    ],
)
def test_what_a_delegated_response_says(event: dict[str, Any], calls: list[Any]) -> None:
    talk = Talk()
    raw = msgspec.Raw(json.dumps({"item_id": "i"} | event).encode())
    live_events.record_delegated(cast(Any, talk), "d", raw)
    assert talk.calls == calls


def test_answers_of_a_decision_are_what_it_says() -> None:
    talk = Talk()
    raw = msgspec.Raw(b'{"answers": [{"id": "q", "answer": true}], "id": "x"}')
    live_events.record_decision(cast(Any, talk), "d", raw)
    said = message("assistant", '[{"id":"q","answer":true}]')
    assert talk.calls == [("complete", "d", "", said)]
