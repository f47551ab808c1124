"""Speech and transcripts, over the real hub: what clients read, and what the books say."""

import io
import json
import socket
import time
from typing import Any

import openai
import pytest

from tests.fakes.media import wav
from tests.fakes.upstream import FakeUpstream
from tests.relay.asking import chunks_of
from tests.relay.clients import OpenAIClient, attempt_of, final_record
from tests.relay.operations.test_images import booked, form, post_form
from tests.support.hub import Hub

pytestmark = pytest.mark.usefixtures("balanced_books")

CHARACTERS = {"characters": 15 * 10**9}
SPOKEN = {"in_text": 10**6, "out_audio": 12 * 10**6}
LENGTH = {"audio_ms": 100 * 10**6}
HEARD = {"in_text": 10**6, "in_audio": 3 * 10**6, "out_text": 5 * 10**6}
SPEECH, TRANSCRIPTIONS = "/v1/audio/speech", "/v1/audio/transcriptions"
TRANSLATIONS = "/v1/audio/translations"
TEXT = "good morning, 世界"


@pytest.mark.parametrize("format_", ["mp3", "wav", "pcm", None])
def test_speech_is_billed_by_its_characters(
    hub: Hub, fake: FakeUpstream, format_: str | None
) -> None:
    tenant, model = hub.tenant(), hub.model(fake, rates=CHARACTERS)
    body = {"model": model, "input": TEXT, "voice": "alloy", "response_format": format_}
    answer = hub.post(tenant, body, path=SPEECH)
    assert answer.status == 200, answer.body
    kind = {"wav": "audio/wav", "pcm": "audio/pcm"}.get(format_ or "", "audio/mpeg")
    assert answer.headers["content-type"] == kind
    assert len(answer.body) > 10_000
    record, row = booked(hub, fake, answer.headers["x-request-id"])
    assert (record["operation"], record["stream"], record["basis"]) == ("speech", False, "measured")
    assert record["meters"] == row["units"] == {"characters": len(TEXT)}
    assert record["charge_nano"] == record["hold_nano"] == 15_000 * len(TEXT)


@pytest.mark.parametrize("format_", ["mp3", "wav", "pcm"])
def test_speech_by_tokens_is_counted_by_its_duration(
    hub: Hub, openai_client: OpenAIClient, fake: FakeUpstream, format_: Any
) -> None:
    """No usage stands in a file of sound; a token is 50 ms of it, as the provider has it."""
    tenant, model = hub.tenant(), hub.model(fake, rates=SPOKEN)
    speech = openai_client(tenant.key).audio.speech.with_streaming_response
    with speech.create(
        model=model, input="hello there #tokens=100", voice="alloy", response_format=format_
    ) as answer:
        sound = b"".join(answer.iter_bytes())
        request_id = answer.headers["x-request-id"]
    assert sound.startswith({"mp3": b"\xff\xfb", "wav": b"RIFF", "pcm": b"\0"}[format_])
    record, row = booked(hub, fake, request_id)
    assert record["basis"] == "estimated"
    counted = row["usage"]["completion_tokens"]
    assert abs(record["meters"]["out_audio"] - counted) <= 5
    assert record["charge_nano"] <= record["hold_nano"]


def test_streamed_speech(hub: Hub, fake: FakeUpstream) -> None:
    tenant, model = hub.tenant(), hub.model(fake, rates=SPOKEN)
    body = {"model": model, "input": "hello #tokens=3", "voice": "alloy", "stream_format": "sse"}
    answer = hub.post(tenant, body, path=SPEECH)
    assert answer.headers["content-type"] == "text/event-stream"
    kinds = [event["type"] for event in chunks_of(answer)]
    assert kinds == ["speech.audio.delta"] * 3 + ["speech.audio.done"]
    record, _ = booked(hub, fake, answer.headers["x-request-id"])
    assert record["meters"] == {"in_text": 2, "out_audio": 3}
    assert (record["basis"], record["stream"]) == ("measured", True)


def test_broken_speech_is_cut(hub: Hub, fake: FakeUpstream) -> None:
    """Nothing can be said inside of a file: it lacks its end, and its client can tell."""
    tenant, model = hub.tenant(), hub.model(fake, rates=CHARACTERS, retries=0)
    body = {"model": model, "input": "hello #fault=F14:close #tokens=900", "voice": "alloy"}
    with pytest.raises(Exception, match=r"IncompleteRead|Connection"):
        hub.post(tenant, body, path=SPEECH)
    query = "SELECT * FROM usage_usagerecord WHERE organisation_id = %s AND final"
    hub.wait(lambda: bool(hub.rows(query, tenant.organisation_id)), "no record")
    (record,) = hub.rows(query, tenant.organisation_id)
    assert (record["status"], record["kind"]) == (502, "upstream_truncated")


@pytest.mark.filterwarnings("ignore:deprecated:DeprecationWarning")
@pytest.mark.parametrize("operation", ["transcriptions", "translations"])
@pytest.mark.parametrize("format_", ["json", "verbose_json", "text", "srt", "vtt"])
def test_transcription_is_billed_by_its_length(
    hub: Hub, openai_client: OpenAIClient, fake: FakeUpstream, operation: str, format_: Any
) -> None:
    tenant, model = hub.tenant(), hub.model(fake, rates=LENGTH)
    file = io.BytesIO(wav(2500))
    file.name = "recording.wav"
    audio = getattr(openai_client(tenant.key).audio, operation)
    raw = audio.with_raw_response.create(model=model, file=file, response_format=format_)
    message = raw.parse()
    text = message if isinstance(message, str) else message.text
    assert "a-" in text
    record, row = booked(hub, fake, raw.headers["x-request-id"])
    # A translation is told without its usage, as OpenAI does.
    by_provider = format_ in ("json", "verbose_json") and operation == "transcriptions"
    assert record["basis"] == ("measured" if by_provider else "estimated")
    assert row["units"] == {"audio_ms": 3000}
    assert record["meters"]["audio_ms"] in ((3000,) if by_provider else (2500, 2501))
    assert record["charge_nano"] <= record["hold_nano"]
    assert (record["operation"], row["media"][0]["type"]) == (operation, "audio/wav")


@pytest.mark.parametrize("stream", [False, True])
def test_transcription_is_billed_by_its_tokens(
    hub: Hub, openai_client: OpenAIClient, fake: FakeUpstream, stream: bool
) -> None:
    tenant = hub.tenant()
    model = hub.model(fake, rates=HEARD, upstream_model="gpt-4o-transcribe")
    audio = openai_client(tenant.key).audio.transcriptions
    file = ("a.wav", wav(1000))
    if stream:
        with audio.create(model=model, file=file, prompt="#tokens=4 spell", stream=True) as events:
            kinds = [event.type for event in events]
            request_id = events.response.headers["x-request-id"]
        assert kinds == ["transcript.text.delta"] * 4 + ["transcript.text.done"]
    else:
        raw = audio.with_raw_response.create(model=model, file=file, prompt="#tokens=4 spell")
        request_id = raw.headers["x-request-id"]
    record, _ = booked(hub, fake, request_id)
    assert record["meters"] == {"in_text": 2, "in_audio": 10, "out_text": 4}
    assert (record["basis"], record["stream"]) == ("measured", stream)


def test_a_transcript_goes_to_the_next_channel(
    hub: Hub, openai_client: OpenAIClient, fake: FakeUpstream, other_fake: FakeUpstream
) -> None:
    tenant, model = hub.tenant(), hub.model(fake, other_fake, rates=LENGTH)
    raw = openai_client(tenant.key).audio.transcriptions.with_raw_response.create(
        model=model, file=("a.wav", wav(20_000)), prompt="#a.fault=F10:500"
    )
    _, row = booked(hub, other_fake, raw.headers["x-request-id"])
    assert row["media"][0]["bytes"] == len(wav(20_000))


@pytest.mark.parametrize(
    ("wish", "kind"),
    [
        ("#fault=F6:400", openai.BadRequestError),
        ("#fault=F8:seconds", openai.RateLimitError),
        ("#fault=F19:html", openai.InternalServerError),
    ],
)
def test_failure_costs_nothing(
    hub: Hub, openai_client: OpenAIClient, fake: FakeUpstream, wish: str, kind: type[Exception]
) -> None:
    tenant, model = hub.tenant(), hub.model(fake, rates=CHARACTERS | LENGTH, retries=0)
    audio = openai_client(tenant.key).audio
    with pytest.raises(kind):
        audio.speech.create(model=model, input=wish, voice="alloy")
    with pytest.raises(kind):
        audio.transcriptions.create(model=model, file=("a.wav", wav(100)), prompt=wish)
    rows = hub.rows(
        "SELECT charge_nano FROM usage_usagerecord WHERE organisation_id = %s",
        tenant.organisation_id,
    )
    assert {row["charge_nano"] for row in rows} <= {0}


@pytest.mark.parametrize(
    ("body", "status", "param"),
    [
        ({"voice": "alloy"}, 400, "input"),
        ({"input": "", "voice": "alloy"}, 422, "input"),
        ({"input": "x"}, 400, "voice"),
        ({"input": "x", "voice": "alloy", "speed": "fast"}, 400, "speed"),
        ({"input": "x", "voice": "alloy", "speed": 9}, 422, "speed"),
    ],
)
def test_invalid_speech_requests_reach_no_provider(
    hub: Hub, fake: FakeUpstream, body: dict[str, Any], status: int, param: str
) -> None:
    tenant, model = hub.tenant(), hub.model(fake, rates=CHARACTERS)
    asked = fake.totals()["requests"]
    answer = hub.post(tenant, {"model": model} | body, path=SPEECH)
    assert (answer.status, answer.error["param"]) == (status, param)
    assert fake.totals()["requests"] == asked


def test_invalid_audio_requests_reach_no_provider(hub: Hub, fake: FakeUpstream) -> None:
    tenant, model = hub.tenant(), hub.model(fake, rates=LENGTH)
    asked = fake.totals()["requests"]
    for parts, status, param in (
        ((("model", model),), 400, "file"),
        ((("model", model), ("file", b"\x89PNG\r\n\x1a\n")), 422, "file"),
        ((("file", wav(10)),), 400, "model"),
        ((("file", wav(10)), ("model", "no-such")), 404, "model"),
        ((("file", wav(10)), ("file", wav(10)), ("model", model)), 422, "file"),
    ):
        answer = post_form(hub, tenant, TRANSLATIONS, *parts)
        assert (answer.status, answer.error["param"]) == (status, param)
    answer = hub.post(tenant, {"model": model}, path=TRANSCRIPTIONS)
    assert (answer.status, answer.error["param"]) == (400, "file")
    poor = hub.tenant("0.0001")
    answer = post_form(hub, poor, TRANSCRIPTIONS, ("file", wav(60_000)), ("model", model))
    assert answer.status == 402
    assert fake.totals()["requests"] == asked


@pytest.mark.parametrize(
    ("format_", "start"), [("wav", b"RIFF"), ("pcm", b"\0\0"), (None, b"RIFF")]
)
def test_a_gemini_model_speaks_too(
    hub: Hub, fake: FakeUpstream, format_: str | None, start: bytes
) -> None:
    tenant, model = hub.tenant(), hub.model(fake, rates=SPOKEN | {"out_text": 1}, provider="gemini")
    body = {
        "model": model,
        "input": "hello #tokens=3 #keep",
        "voice": "kore",
        "response_format": format_,
    }
    answer = hub.post(tenant, body, path=SPEECH)
    assert answer.status == 200, answer.body
    assert answer.body.startswith(start)
    assert len(answer.body) == 7200 + (0 if format_ == "pcm" else 44)
    assert answer.headers["content-type"] == ("audio/pcm" if format_ == "pcm" else "audio/wav")
    record, row = booked(hub, fake, answer.headers["x-request-id"])
    assert record["meters"] == {"in_text": 3, "out_text": 0, "out_audio": 3}
    assert '"voiceName":"Kore"' in row["body"].replace(" ", "")
    for more in ({"response_format": "mp3"}, {"stream_format": "sse"}):
        refused = hub.post(tenant, body | more, path=SPEECH)
        assert (refused.status, refused.error["code"]) == (400, "unsupported_parameter")


@pytest.mark.parametrize("path", [SPEECH, TRANSCRIPTIONS])
def test_leaving_client_stops_the_provider(hub: Hub, fake: FakeUpstream, path: str) -> None:
    """P6: within 250 ms; what the provider has heard by then is paid."""
    tenant, model = hub.tenant(), hub.model(fake, rates=CHARACTERS | LENGTH)
    raw, kind = form(("file", wav(1000)), ("prompt", "#hold=0"), ("model", model))
    if path == SPEECH:
        raw = json.dumps({"model": model, "input": "hello #hold=0", "voice": "alloy"}).encode()
        kind = {"content-type": "application/json"}
    head = (
        f"POST {path} HTTP/1.1\r\nhost: hub\r\nauthorization: Bearer {tenant.key}\r\n"
        f"content-type: {kind['content-type']}\r\ncontent-length: {len(raw)}\r\n\r\n"
    )
    with socket.create_connection(("127.0.0.1", hub.port), timeout=20) as client:
        client.sendall(head.encode() + raw)
        attempt = attempt_of(hub, tenant)
        fake.wait_for(lambda totals: totals["holding"] > 0)
        left_at = time.monotonic_ns()
    row = fake.wait_for_row(attempt)
    assert (row["outcome"], row["left_at"] - left_at < 250 * 10**6) == ("cut", True)
    record = final_record(hub, tenant)
    assert (record["status"], record["meters"]) == (499, row["units"])
