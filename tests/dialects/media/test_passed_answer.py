"""Answers that pass are read for what they used, however they are cut."""

import json
import struct
from pathlib import Path

import pytest

from dialects.chat.fold import AnswerFault
from dialects.media import images, sound
from dialects.media.images import bound_meter, meter_of, token_quantities
from dialects.media.passed_answer import PassedEvents, PassedFile, PassedJson, SkeletonReader
from dialects.media.sound_length import bound_ms, length_ms
from dialects.openai.unary import open_answer
from tests.fakes.media import wav

FIXTURES = Path(__file__).parents[2] / "golden/media"
ENDS = (".completed",)


def bones(raw: bytes, size: int) -> bytes:
    reader = SkeletonReader()
    for at in range(0, len(raw), size):
        reader.feed(raw[at : at + size])
    return reader.skeleton()


@pytest.mark.parametrize("size", [1, 5, 1000, 100_000])
def test_json_text_is_kept_without_its_images(size: int) -> None:
    body = {
        "created": 1,
        "data": [
            {"b64_json": "a" * 50_000, "revised_prompt": 'a "boat" \\ ' * 200, "n": "é\u2028"},
            {"b64_json": "b" * 1023, "url": "c" * 1024},
        ],
        "usage": {"input_tokens": 3},
    }
    left = json.loads(bones(json.dumps(body).encode(), size))
    assert left["usage"] == body["usage"]
    assert [item["b64_json"] for item in left["data"]] == ["", "b" * 1023]
    assert (left["data"][0]["revised_prompt"], left["data"][1]["url"]) == ("", "")
    assert left["data"][0]["n"] == "é\u2028"


def test_unterminated_json_text_is_not_kept() -> None:
    reader = SkeletonReader()
    with pytest.raises(AnswerFault):
        reader.feed(b"[1," * 800_000)


@pytest.mark.parametrize("pictures", [1, 200])
def test_a_short_json_answer_is_given_at_its_end(pictures: int) -> None:
    body = {"created": 1, "data": [{"b64_json": "a" * 1000}] * pictures, "usage": {"x": 1}}
    raw, answer = json.dumps(body).encode(), PassedJson()
    begun = [answer.feed(raw[at : at + 5000]) for at in range(0, len(raw), 5000)]
    assert any(begun) is (pictures > 100)
    assert b"".join(begun) + answer.end() == raw
    assert answer.usage == b'{"x": 1}'


@pytest.mark.parametrize(
    "raw", [b"", b"{", b'{"error": {"message": "no", "code": "server_error"}}', b"[1]"]
)
def test_malformed_answer(raw: bytes) -> None:
    answer = PassedJson()
    answer.feed(raw)
    with pytest.raises(AnswerFault):
        answer.end()


@pytest.mark.parametrize("size", [1, 40, 100_000])
def test_the_fixture_of_a_stream(size: int) -> None:
    raw = (FIXTURES / "images_stream.sse").read_bytes()
    answer = PassedEvents(ENDS)
    passed = b"".join(answer.feed(raw[at : at + size]) for at in range(0, len(raw), size))
    assert passed + answer.end() == raw
    assert (answer.finished, token_quantities(answer.usage).meters) == (
        1,
        {"in_text": 10, "in_image": 40, "out_image": 1050},
    )


def test_a_series_is_counted_by_its_pictures() -> None:
    """As Ark tells it: one event for each, and the usage behind the last."""
    events = [
        {"type": "image_generation.partial_succeeded", "url": "a"},
        {"type": "image_generation.partial_failed", "error_code": "x"},
        {"type": "image_generation.partial_succeeded", "b64_json": "a" * 70_000},
        {
            "type": "image_generation.completed",
            "usage": {"generated_images": 2, "output_tokens": 5},
        },
    ]
    answer = PassedEvents(ENDS)
    for event in events:
        answer.feed(b"data: " + json.dumps(event).encode() + b"\n\n")
    answer.end()
    assert (answer.finished, bool(answer.usage)) == (2, True)


@pytest.mark.parametrize("raw", [b"", b'data: {"type":"x.delta"}\n\n', b": ping\n\n"])
def test_a_stream_without_end(raw: bytes) -> None:
    answer = PassedEvents(ENDS)
    answer.feed(raw)
    with pytest.raises(AnswerFault):
        answer.end()


def fixtures() -> dict[str, dict[str, object]]:
    body = json.loads((FIXTURES / "openai_media.json").read_text())
    return {one["id"]: one for one in body["exchanges"]}


def test_the_fixtures_of_sound() -> None:
    result = fixtures()
    usage = {
        name: json.dumps(result[name]["response"]["body"]["usage"]).encode()  # type: ignore[index]
        for name in ("transcription_json", "transcription_verbose", "image_gpt")
    }
    assert sound.duration_quantities(usage["transcription_json"]).meters == {"audio_ms": 2000}
    assert sound.duration_quantities(usage["transcription_verbose"]).meters == {"audio_ms": 2000}
    assert token_quantities(usage["image_gpt"]).meters == {"in_text": 11, "out_image": 1056}
    for name, ends, side, meters in (
        (
            "transcription_stream",
            ("transcript.text.done",),
            "heard",
            {"in_text": 0, "in_audio": 14, "out_text": 5},
        ),
        ("speech_sse", ("speech.audio.done",), "said", {"in_text": 2, "out_audio": 30}),
    ):
        answer = PassedEvents(ends)
        answer.feed(result[name]["response"]["raw_body"].encode())  # type: ignore[index]
        answer.end()
        assert sound.token_quantities(answer.usage, side).meters == meters  # type: ignore[arg-type]


def test_the_fixtures_of_images() -> None:
    result = fixtures()
    for name, created in (("image_gpt", 1), ("image_dalle3_url", 1), ("image_qwen_native", 1)):
        asked, message = result[name]["request"]["body"], result[name]["response"]["body"]  # type: ignore[index]
        facts = images.read(json.dumps(asked).encode(), "image_generations")
        raw = json.dumps(message).encode()
        if name == "image_qwen_native":
            addresses, counted = images.read_qwen_answer(raw, facts)
            assert addresses == ["https://example.com/qwen.png"]
        else:
            counted = images.read_answer(open_answer(raw), facts)
        assert (counted.count, counted.size) == (created, facts.size or "1024x1024")


def test_an_answer_without_pictures_is_none() -> None:
    for raw in (b'{"created": 1, "data": []}', b'{"created": 1}', b'{"data": [3]}'):
        answer = images.PassedImages()
        answer.feed(raw)
        with pytest.raises(AnswerFault):
            answer.end()
    transcript = sound.PassedTranscript()
    transcript.feed(b'{"segments": []}')
    with pytest.raises(AnswerFault):
        transcript.end()


@pytest.mark.parametrize(
    ("fields", "sent"),
    [
        ({"images": [{"image_url": "a"}]}, {"images": [{"image_url": "a"}]}),
        ({"images": ["a"]}, {"images": [{"image_url": "a"}]}),
        ({"image": "a"}, {"images": [{"image_url": "a"}]}),
        (
            {"image": ["a", {"image_url": "b"}]},
            {"images": [{"image_url": "a"}, {"image_url": "b"}]},
        ),
    ],
)
def test_pictures_of_an_edit_in_json(fields: dict[str, object], sent: dict[str, object]) -> None:
    body = {"model": "m", "prompt": "x"}
    facts = images.read(json.dumps(body | fields).encode(), "image_edits")
    assert json.loads(images.edit(facts, "up")) == {"model": "up", "prompt": "x"} | sent


def test_hold_covers_unwanted_images() -> None:
    """P2: whichever size and quality the model chooses."""
    rates = {"images[1024]": 2, "images[high]": 7, "images[512x512,high]": 9, "images": 1}
    for size in ("1024x1024", "512x512", "", "auto", "2048x1024"):
        for quality in ("high", "low", "", "auto"):
            held = bound_meter(size, quality, rates)
            assert held is not None
            sizes = [size] if size not in ("", "auto") else ["1024x1024", "512x512", "2048x1024"]
            qualities = [quality] if quality not in ("", "auto") else ["high", "low", "standard"]
            for one in sizes:
                for other in qualities:
                    meter = meter_of(one, other, rates)
                    assert meter is not None
                    assert rates[meter] <= rates[held]


RATES = {"images": 4, "images[1024x1024,high]": 9, "images[1024x1024]": 3, "images[low]": 1}


@pytest.mark.parametrize(
    ("size", "quality", "text", "held"),
    [
        ("1024x1024", "high", "images[1024x1024,high]", "images[1024x1024,high]"),
        ("1024x1024", "low", "images[1024x1024]", "images[1024x1024]"),
        ("512x512", "low", "images[low]", "images[low]"),
        ("512x512", "high", "images", "images"),
        ("auto", "high", "images", "images[1024x1024,high]"),
        ("1024x1024", "", "images[1024x1024]", "images[1024x1024,high]"),
        ("", "", "images", "images[1024x1024,high]"),
        # Rates for other sizes do not apply.
        ("512x512", "", "images", "images"),
        ("512x512", "auto", "images", "images"),
    ],
)
def test_the_meter_of_a_picture(size: str, quality: str, text: str, held: str) -> None:
    assert (meter_of(size, quality, RATES), bound_meter(size, quality, RATES)) == (text, held)


@pytest.mark.parametrize(
    ("usage", "meters", "flags"),
    [
        (None, {}, ("usage_missing",)),
        (b"{}", {}, ("usage_missing",)),
        (b'{"input_tokens": -1, "output_tokens": 2}', {}, ("usage_negative",)),
        (b'{"input_tokens": 1.5}', {}, ("usage_not_integer",)),
        (
            b'{"input_tokens": 5, "output_tokens": 9, "output_tokens_details": {"text_tokens": 2}}',
            {"in_text": 5, "out_image": 7, "out_text": 2},
            (),
        ),
        (
            b'{"input_tokens": 5, "output_tokens": 1, "output_tokens_details": {"text_tokens": 2}}',
            {},
            ("usage_parts_above_total",),
        ),
    ],
)
def test_usage_of_pictures(
    usage: bytes | None, meters: dict[str, int], flags: tuple[str, ...]
) -> None:
    message = token_quantities(usage)
    assert (message.meters, message.flags, message.unknown) == (meters, flags, ())


def mp3(rate: int, seconds: int) -> bytes:
    index = (32, 40, 48, 56, 64, 80, 96, 112, 128).index(rate) + 1
    head = bytes([0xFF, 0xFB, index << 4, 0])
    return head + bytes(rate * 125 * seconds - 4)


def ogg(ms: int) -> bytes:
    page = b"OggS\0\4" + struct.pack("<q", ms * 48) + bytes(20)
    return b"OggS\0\2" + bytes(30) + b"OpusHead" + bytes(5000) + page


def flac(ms: int) -> bytes:
    packed = (16_000 << 44) | (15 << 36) | (ms * 16)
    return b"fLaC\0\0\0\x22" + bytes(10) + packed.to_bytes(8, "big") + bytes(4000)


def mp4(ms: int) -> bytes:
    moov = b"mvhd" + bytes(12) + struct.pack(">II", 1000, ms)
    return b"\0\0\0\x18ftypM4A " + bytes(3000) + moov + bytes(80)


@pytest.mark.parametrize(
    ("raw", "ms"),
    [
        (wav(2500), 2500), (mp3(128, 3), 3000), (mp3(64, 3), 3000), (ogg(4000), 4000),
        (flac(2000), 2000), (mp4(1500), 1500), (b"ID3\4\0\0\0\0\0\0" + mp3(128, 2), 2000),
    ],
)  # fmt: skip
def test_duration_of_an_audio_file(raw: bytes, ms: int) -> None:
    assert abs(length_ms(raw[:65_536], raw[-65_536:], len(raw)) - ms) <= 2
    assert bound_ms(raw[:65_536], len(raw)) >= ms


def test_a_file_that_lies_about_its_length_is_held_by_its_size() -> None:
    for raw in (flac(1), ogg(1), mp4(1)):
        assert bound_ms(raw, len(raw) + 10**6) >= 10**6
    long = flac(10**9)
    assert length_ms(long, long, len(long)) <= len(long)
    # A page whose time is unknown, and a rate of its own.
    unknown = ogg(-1)
    assert length_ms(unknown, unknown, len(unknown)) == len(unknown) // 8
    vorbis = ogg(1000).replace(b"OpusHead", b"\x01vorbis" + bytes(5) + struct.pack("<I", 24_000))
    assert length_ms(vorbis, vorbis, len(vorbis)) == 2000


@pytest.mark.parametrize(
    "raw", [b"", b"\xff", b"fLaC", b"OggS", b"RIFF....WAVE", b"\xff\xfb\xf0\0"]
)
def test_truncated_audio_is_held_by_its_size(raw: bytes) -> None:
    assert 0 <= length_ms(raw, raw, len(raw)) <= len(raw)


def test_the_ends_of_a_file_are_kept() -> None:
    answer = PassedFile()
    for i in range(300):
        assert answer.feed(bytes([i % 256]) * 1000) == bytes([i % 256]) * 1000
    assert (answer.size, len(answer.head), len(answer.tail)) == (300_000, 65_536, 65_536)
    assert (answer.head[0], answer.tail[-1]) == (0, 299 % 256)
