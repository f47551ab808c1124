"""The initial settings of a realtime connection, from the fields of the page's form.

    voice          one of VOICES
    output         "audio" with a transcript, or "text"
    instructions   how the model should behave, "" for nothing
    turns          "auto": the model answers after a pause; "manual": it answers when told to
    transcription  the model that transcribes the person's speech, "" for none

Source: OpenAI's OpenAPI description 2.3.0 (RealtimeSessionCreateRequestGA, VoiceIdsShared).
"""

from collections.abc import Mapping
from typing import Any, Final

RATE: Final = 24_000
"""Samples per second of PCM16, in both directions."""
INSTRUCTIONS_MAX: Final = 8_000
VOICES: Final = (
    "marin", "cedar", "alloy", "ash", "ballad", "coral", "echo", "sage", "shimmer", "verse",
)  # fmt: skip
OUTPUTS: Final = ("audio", "text")
TURNS: Final = ("auto", "manual")
_PCM: Final[Mapping[str, Any]] = {"type": "audio/pcm", "rate": RATE}


def kept_settings(form: Mapping[str, str]) -> dict[str, str]:
    """Return the settings of a form, with a default in place of each invalid value."""
    chosen = {"voice": VOICES, "output": OUTPUTS, "turns": TURNS}
    kept = {
        name: form[name] if form.get(name) in values else values[0]
        for name, values in chosen.items()
    }
    kept["instructions"] = form.get("instructions", "").strip()[:INSTRUCTIONS_MAX]
    kept["transcription"] = form.get("transcription", "")[:200]
    return kept


def update_payload(settings: Mapping[str, str]) -> dict[str, Any]:
    """Return the `session` of a `session.update` for settings from `kept_settings`."""
    by_itself = settings["turns"] == "auto"
    audio_input: dict[str, Any] = {
        "format": dict(_PCM),
        "turn_detection": {"type": "server_vad"} if by_itself else None,
    }
    if settings["transcription"]:
        audio_input["transcription"] = {"model": settings["transcription"]}
    payload: dict[str, Any] = {"type": "realtime", "output_modalities": [settings["output"]]}
    if settings["instructions"]:
        payload["instructions"] = settings["instructions"]
    payload["audio"] = {
        "input": audio_input,
        "output": {"format": dict(_PCM), "voice": settings["voice"]},
    }
    return payload
