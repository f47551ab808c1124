"""Events of sessions in each of the three forms: what is read of them, and what is written.
`events.txt` has what came of them when it was recorded."""

import json
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any, Final

import msgspec

from dialects.errors.errors import RequestFault
from dialects.realtime import gemini_live, live, realtime
from dialects.realtime.gemini_live import LiveResponse
from dialects.realtime.realtime import SpokenResponse
from tests.support.golden_texts import GoldenTexts
from tests.support.module_data import text_of

TEXTS: Final = GoldenTexts(Path(__file__).with_name("events.txt"))
SOUND: Final = "A" * 6400

SESSIONS: Final[list[Any]] = [
    {"model": "m", "max_output_tokens": 9, "audio": {
        "input": {"format": {"type": "audio/pcmu"}, "transcription": {"model": "w"}},
        "output": {"format": {"type": "audio/pcm", "rate": 24000}}}},
    {"model": 5, "max_response_output_tokens": "inf", "input_audio_format": "g711_ulaw",
     "output_audio_format": "pcm16", "input_audio_transcription": {"model": "w"}},
    {"max_output_tokens": 0, "audio": {"input": {"format": 5, "transcription": None}}},
    5,
]  # fmt: skip
RESPONSES: Final[list[dict[str, Any]]] = [
    {"id": "r", "status": "completed", "usage": {"a": 1}},
    {"id": "r", "status": "incomplete"},
    {"id": "r", "status": "cancelled", "usage": None},
    {"id": "r", "status": "failed", "status_details": {"error": {"message": "m", "code": "c"}}},
    {"status": "failed", "status_details": {"error": {"code": "c", "type": "t"}}},
    {"status": "failed", "status_details": {"error": {"type": "t"}}},
    {"status": "failed", "status_details": {"error": {"type": 5}}},
    {"status": "warp"},
]
EVENTS: Final = (
    ("response.output_text.delta", "Hello"), ("response.text.delta", "Hi"),
    ("response.output_audio_transcript.delta", "Hello"), ("response.output_audio.delta", SOUND),
    ("response.audio.delta", SOUND), ("response.function_call_arguments.delta", "{}"),
    ("response.done", ""), ("warp.delta", "x"),
)  # fmt: skip
LIMITED: Final[list[dict[str, Any]]] = [
    {"type": "response.create"}, {"response": {}}, {"response": {"max_output_tokens": 5}},
    {"response": {"max_output_tokens": 50}}, {"response": {"max_output_tokens": "inf"}},
    {"response": 5}, {"response": {"max_output_tokens": "x", "voice": "a"}},
]  # fmt: skip

STARTS: Final[list[dict[str, Any]]] = [
    {"model": "m"},
    {"model": "m", "delegation": {"type": "client"}},
    {"model": "m", "audio": {"format": {"type": "audio/pcmu"}},
     "delegation": {"type": "responses", "responses": {"model": "b", "tools": [{"type": "x"}]}}},
    {"model": "m", "audio": {"format": {"rate": 16000}},
     "delegation": {"type": "decisions", "decisions": {"model": "b"}}},
    {"model": "m", "audio": {"format": {"rate": 7}}, "delegation": {"type": "warp"}},
    {"model": "m", "delegation": {"type": "responses"}},
    {"model": "m", "delegation": {"type": "responses", "responses": {"model": ""}}},
    {"model": "m", "triggers": [1]}, {"model": "m", "store": True}, {"model": "m", "warp": 1},
    {"model": ""}, {},
]  # fmt: skip
USAGES: Final[tuple[dict[str, Any], ...]] = (
    {"seconds": 1.2345}, {"seconds": 7}, {"seconds": None}, {"seconds": "7"}, {"seconds": True},
    {"seconds": -1}, {"seconds": 1e12}, {"seconds": 1, "warp": 2}, {},
)  # fmt: skip
ERRORS: Final[list[Any]] = [
    {"type": "invalid_request_error"}, {"type": "x", "code": "insufficient_quota"},
    {"code": "not_found_error", "type": "rate_limit_error"}, {"type": "warp"}, 5,
]  # fmt: skip

SETUPS: Final[list[Any]] = [
    {"model": "models/m", "generation_config": {"max_output_tokens": 9, "topP": 1},
     "session_resumption": {"handle": "h"}},
    {"model": "projects/p/locations/l/publishers/google/models/m"}, {"model": "m"},
    {"model": "a/b"}, {}, {"model": "m", "generationConfig": 5},
    {"model": "m", "generationConfig": {"maxOutputTokens": 0}},
    {"model": "m", "generationConfig": {}, "generation_config": {}},
    {"model": "m", "sessionResumption": {"handle": 5}},
]  # fmt: skip
MESSAGES: Final[list[dict[str, Any]]] = [
    {"clientContent": {"turns": [{"role": "user"}], "turnComplete": True}},
    {"client_content": {"turns": {"role": "system"}, "turn_complete": False}},
    {"realtimeInput": {"audio": {"data": SOUND, "mimeType": "audio/pcm;rate=24000"}}},
    {"realtimeInput": {"mediaChunks": [{"data": SOUND, "mime_type": "image/png"}, {"data": ""}]}},
    {"realtimeInput": {"text": "Hi"}, "warp": 1},
    {"toolResponse": {"functionResponses": []}},
    {"contextUpdate": {"tools": {"tools": [{"googleSearch": {}}]}}},
    {"warp": 1}, {"setup": {}},
]  # fmt: skip
TOLD: Final[list[dict[str, Any]]] = [
    {"serverContent": {"modelTurn": {"parts": [
        {"text": "Hello"}, {"inlineData": {"data": SOUND}}, {"warp": 1}]}}},
    {"serverContent": {"outputTranscription": {"text": "Hi"}, "groundingMetadata": {
        "webSearchQueries": ["a", "b"]}}},
    {"toolCall": {"functionCalls": [{"name": "f"}]}},
    {"usageMetadata": {"totalTokenCount": 5}, "serverContent": {"turnComplete": True}},
    {"goAway": {"timeLeft": "9s"}}, {"setupComplete": {"sessionId": "s"}},
    {"sessionResumptionUpdate": {"newHandle": "h"}}, {"serverContent": {"interrupted": True}},
]  # fmt: skip
CLOSES: Final = (
    (1000, ""), (1007, "x"), (1008, "x"), (1011, "x"), (1013, "x"), (1007, "quota exceeded"),
    (1008, "model not found"), (1008, "permission denied"), (1007, "permission denied"),
    (1007, "API key not valid"), (1008, "This API method requires billing"),
)  # fmt: skip


def raw(value: Any) -> bytes:
    return json.dumps(value).encode()


def said(make: Callable[[], Any]) -> str:
    try:
        return text_of(make())
    except RequestFault as fault:
        return f"rejected: {fault.kind} {fault.param}"
    except ValueError:
        return "unreadable"


def realtime_lines() -> Iterator[str]:
    for session in SESSIONS:
        yield text_of(realtime.read_settings(msgspec.Raw(raw(session))))
    for response in RESPONSES:
        read = realtime.read_response(realtime.read_server_event(raw({"response": response})))
        yield f"{read.id} {read.raw_usage!r} {read.finish_reason} {read.failure}"
    spoken = SpokenResponse()
    spoken.input_meters = {"in_text": 3, "in_audio": 4}
    for kind, delta in EVENTS:
        noted = spoken.note(realtime.read_server_event(raw({"type": kind, "delta": delta})))
        yield f"{kind}: {noted}, {spoken.sound_ms} ms, {spoken.minimum_output()}"
    yield f"{spoken.own_count()} {spoken.begun}"
    for event in LIMITED:
        for of_session in ("inf", 7):
            limit = partial(realtime.limit_tokens, raw(event), "response", "max_output_tokens", 9)
            yield limit(of_session).decode()
    yield realtime.limit_session("max_output_tokens", 9).decode()
    yield realtime.limit_session("max_response_output_tokens", "inf").decode()
    yield realtime.cancel("r").decode()
    yield realtime.error_event("overloaded", "m", id="1", param="p", code="c", event_id="e")
    yield realtime.error_event("invalid_value", "m", id="1", event_id=5)
    yield f"{[realtime.read_limit(value) for value in ('inf', 5, 0, -1, True, '5', None)]}"
    yield f"{realtime.sound_ms(msgspec.Raw(raw(SOUND)), 48)}"
    about = realtime.read_server_event(raw({"error": {"event_id": "e", "message": "m"}}))
    yield f"{about.error_about('e')} {about.error_about('f')}"
    for text in (b"{", b"[]", b'{"type": 5}'):
        yield f"{said(partial(realtime.read_server_event, text))}"
        yield f"{text_of(realtime.read_client_event(text))}"


def live_lines() -> Iterator[str]:
    for session in STARTS:
        start = {"type": live.START, "session": session}
        yield said(partial(live.read_start, raw(start)))
        update = raw({"type": "session.update", "session": session})
        yield f"  {said(partial(live.read_update, update, live.read_client_event(update)))}"
    yield said(partial(live.read_start, raw({"type": "session.update"})))
    yield said(partial(live.read_start, raw({"type": live.START})))
    before = {"model": "b", "max_output_tokens": 5, "tools": [1], "a": 1}
    changes: tuple[Any, ...] = ({"tools": [2]}, {"max_output_tokens": 9, "a": 2}, {"tools": "x"})
    for after in changes:
        yield live.merge_config(raw(before), raw(after)).decode()
    named = raw({"session": {"model": "a", "delegation": {"response": {"model": "b"}}}})
    for models in (("x", "response", "y"), ("", "response", "y"), ("x", "response", "")):
        yield live.name_models(named, *models).decode()
    for usage in USAGES:
        yield said(partial(live.read_time, msgspec.Raw(raw(usage))))
    for error in ERRORS:
        yield f"{live.error_answer(live.read_server_event(raw({'error': error})))}"
    yield live.error_event("overloaded", "m", id="1", param="p", code="c", event_id="e")
    yield live.error_event("overloaded", "m", id="1", event_id=5)
    for event in ({"end_ms": 5, "offset_ms": 9}, {"end_ms": -1}, {"end_ms": 5}, {"offset_ms": "9"}):
        yield f"{live.read_server_event(raw(event)).position_ms}"
    for of_event in ({"id": "s"}, {"id": 5}, {}, None):
        yield repr(live.session_id(raw({"session": of_event})))
    delegated = live.read_delegated(msgspec.Raw(raw({"decision": {"model": "m", "usage": {}}})))
    yield text_of(live.read_decision(delegated))
    yield said(partial(live.read_decision, live.DelegatedEvent()))


def gemini_lines() -> Iterator[str]:
    for members in SETUPS:
        yield said(partial(gemini_live.read_setup, raw({"setup": members})))
    setup = gemini_live.read_setup(raw({"setup": SETUPS[0]}))
    for output_max, handle in ((None, None), (5, "ours")):
        yield setup.encode("up", output_max, handle).decode()
    yield said(partial(gemini_live.read_setup, raw({"setup": {}, "x": 1})))
    for message in MESSAGES:
        yield said(partial(gemini_live.read_client_message, raw(message)))
    response = LiveResponse()
    for message in TOLD:
        told = gemini_live.read_server_message(raw(message))
        known = (
            "is_setup",
            "calls_functions",
            "has_output",
            "ends_turn",
            "interrupts",
            "says_goodbye",
        )
        says = [name for name in known if getattr(told, name)]
        noted = response.note_message(told)
        yield f"{says} {told.usage!r} {told.handle} {gemini_live.session_id(told)!r} {noted}"
        yield f"  {response.own_count()} {response.searches('gemini-3-pro')} {response.begun}"
    for model in ("gemini-3-pro", "gemini-2.5-flash"):
        yield f"{response.counted_usage(b'{}', model).decode()} {response.searches(model)}"
    for code, reason in CLOSES:
        yield f"{code} {reason}: {gemini_live.status_of_close(code, reason)}"
    yield gemini_live.error_body(429, "quota").decode()


def test_events_of_each_kind_of_session_are_read_and_written() -> None:
    for group, lines in (
        ("realtime", realtime_lines()), ("live", live_lines()), ("gemini", gemini_lines()),
    ):  # fmt: skip
        TEXTS.check(group, {group: "\n".join(lines)})
