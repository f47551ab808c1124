"""What a realtime connection is told when it begins."""

import json

import msgspec
import pytest

from dialects.realtime.realtime import read_settings
from playground.media.realtime_rules import INSTRUCTIONS_MAX, RATE, kept_settings, update_payload
from tests.support.hostile import EVERYTHING

PCM = {"type": "audio/pcm", "rate": RATE}


def test_a_form_without_choices_speaks_and_answers_by_itself() -> None:
    assert update_payload(kept_settings({})) == {
        "type": "realtime",
        "output_modalities": ["audio"],
        "audio": {
            "input": {"format": PCM, "turn_detection": {"type": "server_vad"}},
            "output": {"format": PCM, "voice": "marin"},
        },
    }


def test_what_was_chosen_is_told_in_the_form_that_the_relay_reads() -> None:
    form = {
        "voice": "cedar", "output": "text", "turns": "manual", "transcription": "whisper-1",
        "instructions": f"  {EVERYTHING}",
    }  # fmt: skip
    session = update_payload(kept_settings(form))
    assert session["output_modalities"] == ["text"]
    assert session["instructions"] == EVERYTHING.strip()[:INSTRUCTIONS_MAX]
    assert session["audio"]["input"]["turn_detection"] is None
    read = read_settings(msgspec.Raw(json.dumps(session).encode()))
    assert read.transcription == "whisper-1"
    assert (read.heard_bytes_ms, read.said_bytes_ms) == (48, 48)


@pytest.mark.parametrize("name", ["voice", "output", "turns"])
def test_what_cannot_be_chosen_is_not(name: str) -> None:
    assert kept_settings({name: EVERYTHING}) == kept_settings({})
