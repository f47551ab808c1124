"""Answers with all that an answer can have, in every dialect: what is written, and what is read of
it. `answers.txt` has what came of them when it was recorded."""

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final, get_args
from zlib import crc32

import pytest

from dialects.chat.chat import ChatRequest, Dialect, FunctionTool
from dialects.chat.events import Event, Usage
from dialects.chat.fold import fold
from dialects.codec import Codec, Target
from dialects.endpoints.codecs import CODECS
from dialects.errors.errors import KINDS, message_of
from dialects.errors.kinds import ErrorKind
from dialects.translation import StreamTranslator
from tests.dialects import neutral
from tests.dialects.exchanges import GOLDEN, events_of, raw_of
from tests.dialects.full_answers import ANSWERS, ODD
from tests.dialects.full_requests import REQUESTS
from tests.support.golden_texts import GoldenTexts
from tests.support.module_data import text_of

TEXTS: Final = GoldenTexts(Path(__file__).with_name("answers.txt"))
LETTERS: Final = 300
FAILURE: Final[tuple[ErrorKind, str, str]] = ("overloaded", "Server Overloaded", "req-1")
TARGET: Final = Target("m", stream=True)
ARRAY: Final = Target("m", stream=True, array=True)
DIALECTS: Final[tuple[Dialect, ...]] = get_args(Dialect)


def asked(client: Dialect) -> ChatRequest:
    tools = (FunctionTool("weather"), FunctionTool("noop"))
    return neutral.request(dialect=client, include_usage=True, tools=tools, stream=True)


def short(line: str) -> str:
    """A line that repeats all of a response ends with a checksum."""
    return line if len(line) <= LETTERS else f"{line[:LETTERS]}… {crc32(line.encode()):x}"


def read(events: Sequence[Event]) -> Iterator[str]:
    """What was read, but for counts, which the quantities have."""
    yield from (f"  {text_of(event)}" for event in events if not isinstance(event, Usage))


def counted(codec: Codec[Any], answer: object) -> str:
    return f"  {text_of(codec.quantities(answer))}"


def framed(dialect: Dialect, frames: bytes) -> bytes:
    """The frames as an upstream of the dialect sends them."""
    framing = CODECS[dialect].framing(lambda: 5)
    return frames if framing is None else framing.feed(frames)


def stream_lines(client: Dialect, events: list[Event]) -> Iterator[str]:
    """The frames for the client; and, as those of an upstream, the events, counts and bytes."""
    codec, request = CODECS[client], asked(client)
    encoder = codec.encoder(request, TARGET)
    frames = b"".join(encoder.feed(event) for event in events[:-1]) + encoder.end()
    yield from map(short, filter(None, frames.decode().split("\n")))
    frames = framed(client, frames)
    decoder = codec.translating_decoder(request, "")
    yield from read(events_of([*decoder.feed(frames), *decoder.end()]))
    yield counted(codec, decoder)
    yield f"  response: {short(text_of(codec.response_of(encoder)))}"
    facts = codec.read(json.dumps(REQUESTS[client]["settings"]).encode(), TARGET)
    forwarding = codec.decoder(facts, TARGET)
    at = frames.find(b"\n\n") + 2 or len(frames) // 2
    steps = [*forwarding.feed(frames[:at]), *forwarding.feed(frames[at:]), *forwarding.end()]
    sent = framed(client, raw_of(steps))
    same = "unchanged" if sent == frames else short(repr(sent))
    size = forwarding.progress
    yield f"  forwarded: {same}, {size.text_bytes} and {size.reasoning_bytes} bytes"
    yield from read([event for step in steps for event in step.events])
    yield counted(codec, forwarding)
    yield f"  response: {short(text_of(codec.response_of(forwarding)))}"
    yield from broken_lines(client, frames[: len(frames) * 2 // 3])


def broken_lines(client: Dialect, frames: bytes) -> Iterator[str]:
    """How a stream ends that breaks off, where it is translated and where it is forwarded."""
    codec, request = CODECS[client], asked(client)
    decoder = codec.translating_decoder(request, "")
    decoder.feed(frames)
    yield f"  broken: {text_of(events_of(decoder.end())[-1:])}, complete: {decoder.complete}"
    facts = codec.read(json.dumps(REQUESTS[client]["settings"]).encode(), TARGET)
    for title in ("cut", "failed"):
        forwarding = codec.decoder(facts, TARGET)
        steps = forwarding.feed(frames)
        end = codec.cut(forwarding) if title == "cut" else codec.fail(forwarding, *FAILURE)
        yield short(f"  {title}: {len(raw_of(steps))} bytes, then {end!r}")
    decoder = codec.translating_decoder(request, "")
    translator = StreamTranslator(decoder, codec.encoder(request, TARGET), 2)
    translator.feed(frames)
    yield short(f"  cut for the client: {translator.cut()!r}")


def whole_lines(client: Dialect, events: list[Event]) -> Iterator[str]:
    codec, request = CODECS[client], asked(client)
    raw = codec.write_answer(fold(events), request)
    yield raw.decode()
    yield from read_whole(client, raw)


def read_whole(client: Dialect, raw: bytes) -> Iterator[str]:
    codec = CODECS[client]
    whole = codec.translate_answer(raw, asked(client), "")
    failed = f", {text_of(whole.error)}, {whole.broken}" if whole.error or whole.broken else ""
    size = f"{whole.text_bytes} and {whole.reasoning_bytes} bytes"
    yield f"  {size}, {whole.searches} searches{failed}"
    yield from read(whole.events)
    yield counted(codec, codec.read_answer(raw))


@pytest.mark.parametrize("client", DIALECTS)
def test_stream_is_written_and_read_again(client: Dialect) -> None:
    found = {f"stream {client}, {name}": stream_lines(client, it) for name, it in ANSWERS.items()}
    TEXTS.check(f"stream {client}", {title: "\n".join(it) for title, it in found.items()})


@pytest.mark.parametrize("client", DIALECTS)
def test_whole_answer_is_written_and_read_again(client: Dialect) -> None:
    found = {f"whole {client}, {name}": whole_lines(client, it) for name, it in ANSWERS.items()}
    TEXTS.check(f"whole {client}", {title: "\n".join(it) for title, it in found.items()})


def recorded(client: Dialect) -> Iterator[tuple[str, bytes]]:
    """The recorded answers of a dialect's providers."""
    for file in sorted((GOLDEN / client).glob("*_nonstream.json")):
        for one in json.loads(file.read_text())["exchanges"]:
            yield one["id"], json.dumps(one["response"].get("body")).encode()


def stream_of(raw: bytes, client: Dialect, upstream: Dialect) -> bytes:
    """A recorded stream as the client gets it."""
    request = asked(client)
    decoder = CODECS[upstream].translating_decoder(request, "")
    translator = StreamTranslator(decoder, CODECS[client].encoder(request, TARGET), 1)
    return raw_of([*translator.feed(raw), *translator.end()])


def recorded_streams(client: Dialect) -> Iterator[str]:
    for file in sorted((GOLDEN / client).glob("*.sse")):
        raw = file.read_bytes()
        decoder = CODECS[client].translating_decoder(asked(client), "")
        yield file.name
        yield from read(events_of([*decoder.feed(raw), *decoder.end()]))
        yield counted(CODECS[client], decoder)
        for other in DIALECTS:
            shown = stream_of(raw, other, client)
            yield f"  {other}: {len(shown)} bytes, {crc32(shown):x}"


@pytest.mark.parametrize("client", DIALECTS)
def test_answer_of_a_provider_is_read(client: Dialect) -> None:
    answers = [
        *recorded(client),
        *((name, json.dumps(it).encode()) for name, it in ODD[client].items()),
    ]
    found = {f"read {client}, {name}": read_whole(client, raw) for name, raw in answers}
    found[f"read {client}, streams"] = recorded_streams(client)
    TEXTS.check(f"read {client}", {title: "\n".join(it) for title, it in found.items()})


def error_lines(client: Dialect) -> Iterator[str]:
    """Each kind of error as the client gets it, and as it would be read from an upstream."""
    codec = CODECS[client]
    for target in (Target("m"), ARRAY):
        kinds = [codec.content_type(target, stream=stream) for stream in (False, True)]
        frame = codec.error_frame("overloaded", "slow", "req-1", target)
        encoder = codec.encoder(asked(client), target)
        frames = b"".join(encoder.feed(event) for event in ANSWERS["text"][:-1]) + encoder.end()
        yield short(f"{kinds} {frame!r} {frames!r}")
    started = codec.encoder(asked(client), TARGET)
    started.feed(ANSWERS["text"][0])
    started.feed(ANSWERS["text"][1])
    for encoder in (codec.encoder(asked(client), TARGET), started):
        yield short(f"{encoder.fail('guard_refused', 'no', 'guard')!r}")
    yield f"{codec.ping!r} {codec.request_header!r} {codec.model_in_answer} {codec.model_in_frame}"
    for kind, row in KINDS.items():
        message, status = (
            message_of(kind, what="it", model="m", seconds=3),
            codec.status(kind, row.status),
        )
        body = codec.render(
            kind, message, param="a.b", code=None, request_id="req-1", wait_ms=2500, target=TARGET
        )
        yield f"{kind} {status} {codec.headers(kind, status, 'req-1', 2500)} {body.decode()}"
        yield f"  {codec.error_frame(kind, message, 'req-1', TARGET, 'guard')!r}"
        yield f"  {text_of(codec.read_error(status, {'retry-after': '7'}, body, 0))}"
        yield f"  {text_of(codec.read_error_object(body))}"
    for guard in (None, "guard"):
        named = codec.render(
            "guard_refused", "no", param=None, code="c1", request_id="r", wait_ms=None,
            target=TARGET, guard_code=guard,
        )  # fmt: skip
        yield named.decode()


@pytest.mark.parametrize("client", DIALECTS)
def test_each_error_is_written_and_read_again(client: Dialect) -> None:
    TEXTS.check(f"errors {client}", {f"errors {client}": "\n".join(error_lines(client))})
