"""What is read of the events of realtime sessions."""

import base64
import json
from typing import Any

import msgspec
import pytest

from dialects.realtime import realtime
from dialects.realtime.realtime import SpokenResponse

CACHED = {"text_tokens": 3, "audio_tokens": 4, "image_tokens": 1}
USAGE = {
    "input_tokens": 60,
    "output_tokens": 30,
    "input_token_details": {
        "text_tokens": 10, "audio_tokens": 40, "image_tokens": 10,
        "cached_tokens": 8, "cached_tokens_details": CACHED,
    },
    "output_token_details": {"text_tokens": 5, "audio_tokens": 25},
}  # fmt: skip


@pytest.mark.parametrize(
    ("change", "meters"),
    [
        ({}, {"in_text": 7, "in_cache_read": 3, "in_audio": 36, "in_audio_cached": 4,
              "in_image": 9, "in_image_cached": 1, "out_text": 5, "out_audio": 25}),
        ({"input_token_details": {"audio_tokens": 40, "cached_tokens": 25}},
         {"in_text": 0, "in_cache_read": 20, "in_audio": 35, "in_audio_cached": 5,
          "out_text": 5, "out_audio": 25}),
        ({"input_token_details": None, "output_token_details": None},
         {"in_text": 60, "out_text": 30}),
    ],
)  # fmt: skip
def test_usage_as_meters(change: dict[str, Any], meters: dict[str, int]) -> None:
    read = realtime.quantities(json.dumps({**USAGE, **change}).encode())
    assert (read.meters, read.flags) == (meters, ())


def test_usage_of_a_response_is_its_own_or_none() -> None:
    read = msgspec.json.Decoder(realtime.Response).decode
    assert read(b'{"status":"completed","usage":{"a":1}}').raw_usage == b'{"a":1}'
    assert read(b'{"usage":null}').raw_usage is read(b'{"status":"failed"}').raw_usage is None


@pytest.mark.parametrize(
    ("raw", "flag"),
    [
        (b"null", "usage_missing"),
        (b"{}", "usage_missing"),
        (b'{"input_tokens": 4}', "usage_missing"),
        (b'{"input_tokens": -4, "output_tokens": 1}', "usage_negative"),
        (b'{"input_tokens": "4", "output_tokens": 1}', "usage_not_integer"),
        (b'{"input_tokens": 4, "output_tokens": 99999999999}', "usage_huge"),
        (b'{"input_tokens": 4, "output_tokens": 1, "output_token_details": {"audio_tokens": 2}}',
         "usage_parts_above_total"),
        (b'{"input_tokens": 4, "output_tokens": 1, "input_token_details": {"cached_tokens": 5,'
         b' "cached_tokens_details": {}}}', "usage_cached_above_input"),
        (b'{"input_tokens": 4, "output_tokens": 1, "input_token_details": {"audio_tokens": 1,'
         b' "cached_tokens": 2, "cached_tokens_details": {"audio_tokens": 2}}}',
         "usage_parts_above_total"),
        (b'{"input_tokens": 4, "output_tokens": 1, "input_token_details": {"image_tokens": 1,'
         b' "cached_tokens": 2, "cached_tokens_details": {"image_tokens": 2}}}',
         "usage_parts_above_total"),
        (b"[" * 5000, "usage_unreadable"),
    ],
)  # fmt: skip
def test_impossible_usage(raw: bytes, flag: str) -> None:
    read = realtime.quantities(raw)
    assert flag in read.flags
    assert read.meters == {}


@pytest.mark.parametrize(
    "raw", [b"", b"{", b"[]", b'"x"', b'{"type": 4}', b"\xff", b"[" * 5000, b'{"response": "x"}']
)
def test_malformed_client_events(raw: bytes) -> None:
    """It is for the provider to refuse; nothing begins by it."""
    assert not realtime.read_client_event(raw).may_be_answered


@pytest.mark.parametrize("raw", [b"", b"{", b"[]", b'{"type": 4}', b"\xff", b"[" * 5000])
def test_malformed_provider_events(raw: bytes) -> None:
    with pytest.raises(ValueError, match=r".*"):
        realtime.read_server_event(raw)


SETTINGS = [
    ({"model": "m", "audio": {"input": {"format": {"type": "audio/pcmu"}}}},
     ("m", None, 8, None, None)),
    ({"audio": {"input": {"transcription": {"model": "w"}}, "output": {"format": {
        "type": "audio/pcm", "rate": 24000}}}}, (None, "w", None, 48, None)),
    ({"input_audio_format": "g711_alaw", "output_audio_format": "pcm16",
      "input_audio_transcription": {"model": "whisper-1"}}, (None, "whisper-1", 8, 48, None)),
    ({"audio": [], "model": 4, "input_audio_transcription": None}, (None, None, None, None, None)),
    ([], (None, None, None, None, None)),
    ({"max_output_tokens": 40}, (None, None, None, None, 40)),
    ({"max_response_output_tokens": "inf"}, (None, None, None, None, "inf")),
]  # fmt: skip


@pytest.mark.parametrize(("session", "read"), SETTINGS)
def test_settings_in_both_forms(session: Any, read: tuple[Any, ...]) -> None:
    raw = msgspec.Raw(json.dumps(session).encode())
    assert tuple(msgspec.structs.astuple(realtime.read_settings(raw))) == read


@pytest.mark.parametrize("kind", ["response.output_audio.delta", "response.audio.delta"])
def test_sound_is_counted_by_its_length(kind: str) -> None:
    answer, delta = SpokenResponse(), base64.b64encode(bytes(4800)).decode()
    for _ in range(3):
        event = json.dumps({"type": kind, "response_id": "r", "delta": delta}).encode()
        assert answer.note(realtime.read_server_event(event))
    assert answer.sound_ms == 300
    assert answer.minimum_output() == {"out_audio": 6}
    assert answer.own_count() == {"in_text": 0, "out_text": 0, "out_audio": 6}
    # A token that has begun is certain only by our own count.
    begun = json.dumps({"type": kind, "delta": base64.b64encode(bytes(48)).decode()}).encode()
    answer.note(realtime.read_server_event(begun))
    assert answer.minimum_output() == {"out_audio": 6}
    assert answer.own_count()["out_audio"] == 7


@pytest.mark.parametrize(
    ("kind", "answered"),
    [
        ("response.create", True), ("input_audio_buffer.append", True),
        ("input_audio_buffer.commit", True), ("conversation.item.create", False),
        ("session.update", False), ("response.cancel", False),
    ],
)  # fmt: skip
def test_response_may_begin_after_what_may_end_a_turn(kind: str, answered: bool) -> None:
    event = realtime.read_client_event(json.dumps({"type": kind}).encode())
    assert event.may_be_answered is answered


@pytest.mark.parametrize(
    ("error", "failure"),
    [
        ({"type": "t", "code": "c", "message": "m"}, "m"), ({"type": "t", "code": "c"}, "c"),
        ({"type": "t"}, "t"), ({"message": 3}, "the response failed"),
        (None, "the response failed"),
    ],
)  # fmt: skip
def test_failed_response_says_why_by_the_best_word_it_has(error: Any, failure: str) -> None:
    details = {"status_details": {"error": error}}
    for status, said in (("failed", failure), ("completed", "")):
        raw = json.dumps({"response": {"status": status, **details}}).encode()
        response = realtime.read_response(realtime.read_server_event(raw))
        assert response.failure == said


def test_an_error_names_the_event_at_fault() -> None:
    body = json.loads(realtime.error_event("invalid_value", "no", id="7", event_id="c_1"))
    assert body == {
        "type": "error",
        "event_id": "event_7",
        "error": {
            "type": "invalid_request_error", "code": "invalid_value", "message": "no",
            "param": None, "event_id": "c_1",
        },
    }  # fmt: skip
