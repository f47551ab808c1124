"""Images and sound: OpenAI's paths, and DashScope's own for pictures.

A picture has as many tokens as `#tokens` says (16), and so has a piece of speech or a transcript; a
file of a form is a medium and a token. What is billed by other things stands in the row's `units`:
pictures, characters of the input, milliseconds of sound.
"""

import base64
import io
import struct
import wave
import zlib
from collections.abc import Iterator, Mapping
from email.parser import BytesParser
from hashlib import sha256
from typing import Any

from tests.fakes.answer import Piece, compact, minus
from tests.fakes.openai_talk import OpenAITalk
from tests.fakes.question import Conversation, Medium, Question, Wrong, from_url, unknown_in
from tests.fakes.story import CREATED, Ask, Plan, Stream
from tests.fakes.wire import Step, error_object

_IMAGE_FIELDS = (
    "model prompt n size quality style response_format output_format output_compression "
    "background moderation stream partial_images user image images mask input_fidelity "
    "watermark seed"
)


def form_of(body: bytes, headers: Mapping[str, str]) -> dict[str, Any] | None:
    """A form as the members of an object: texts as they are, files as (name, type, bytes)."""
    kind = headers.get("content-type", "")
    if not kind.startswith("multipart/form-data"):
        return None
    parsed = BytesParser().parsebytes(b"content-type: " + kind.encode() + b"\r\n\r\n" + body)
    members: dict[str, Any] = {}
    for part in parsed.walk():
        if part.is_multipart():
            continue
        name = str(part.get_param("name", header="content-disposition"))
        content = part.get_payload(decode=True)
        assert isinstance(content, bytes)
        filename = part.get_filename()
        value = (
            content.decode() if filename is None else (filename, part.get_content_type(), content)
        )
        if name.endswith("[]"):
            members.setdefault(name.removesuffix("[]"), []).append(value)
        elif name in members:
            raise Wrong(400, f"Duplicate parameter '{name}'.", param=name)
        else:
            members[name] = value
    return members


def picture(seed: str, size: int = 0) -> bytes:
    """A PNG of one pixel whose colour is the seed's; `size` bytes of it where that is more."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return (
            struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        )

    head = chunk(b"IHDR", struct.pack(">IIBBBBB", 1, 1, 8, 2, 0, 0, 0))
    data = chunk(b"IDAT", zlib.compress(b"\0" + sha256(seed.encode()).digest()[:3]))
    created = b"\x89PNG\r\n\x1a\n" + head + data
    padding = size - len(created) - 24
    return created + (chunk(b"fake", bytes(padding)) if padding > 0 else b"") + chunk(b"IEND", b"")


def _count(body: Mapping[str, Any], name: str, most: int) -> int:
    try:
        value = int(body.get(name) or 1)
    except (TypeError, ValueError) as error:
        raise Wrong(400, f"Invalid type for '{name}'.", param=name) from error
    if not 0 < value <= most:
        raise Wrong(400, f"Invalid value for '{name}'.", param=name)
    return value


def _is_true(value: Any) -> bool:
    return value is True or value == "true"


class Images(OpenAITalk):
    """POST …/images/generations, …/images/edits, …/images/variations"""

    prefix = "img-"
    spine = b'"b64_json":"'
    fields = frozenset(_IMAGE_FIELDS.split())

    def __init__(self, kind: str = "generations", **more: Any) -> None:
        super().__init__(**more)
        self.dialect = self.operation = f"image_{kind}"

    def read(self, body: dict[str, Any], headers: Mapping[str, str]) -> Question:
        model, prompt = self.model_of(body), body.get("prompt")
        received = Conversation()
        received.turn(user=True)
        if self.operation != "image_variations":
            if not isinstance(prompt, str) or not prompt:
                raise Wrong(400, "Required parameter 'prompt' is missing.", param="prompt")
            received.say(prompt)
        inputs = body.get("image") or body.get("images") or []
        if inputs or self.operation != "image_generations":
            if not inputs:
                raise Wrong(400, "Required parameter 'image' is missing.", param="image")
            for one in inputs if isinstance(inputs, list) else [inputs]:
                received.see(_medium("image", one))
        self.partial = int(body.get("partial_images") or 0)
        self.size = body.get("size") or "auto"
        self.quality = body.get("quality") or "auto"
        self.by_url = body.get("response_format") == "url"
        self.by_tokens = "gpt-image" in model or not self.by_url
        created = _count(body, "n", 10)
        self.row_units = {"images": created}
        return Question.of(
            model, received, stream=_is_true(body.get("stream")), choices=created,
            unknown=unknown_in(body, self.fields),
        )  # fmt: skip

    def usage(self, usage: dict[str, Any]) -> dict[str, Any]:
        prompt, created = usage["prompt_tokens"], usage["completion_tokens"]
        seen = len(self.question.media)
        return {
            "input_tokens": prompt,
            "output_tokens": created,
            "total_tokens": usage["total_tokens"],
            "input_tokens_details": {"text_tokens": minus(prompt, seen), "image_tokens": seen},
        }

    def told(self) -> dict[str, str]:
        return {
            "background": "opaque",
            "output_format": "png",
            "quality": "medium" if self.quality == "auto" else self.quality,
            "size": "1024x1024" if self.size == "auto" else self.size,
        }

    def plain(self, ask: Ask, plan: Plan, pieces: list[Piece]) -> bytes:
        data: list[dict[str, str]] = []
        for i in range(ask.question.choices):
            name = f"{ask.name}-{ask.seed}-{i}"
            created = picture(name, ask.wish.bytes or 0)
            data.append(
                {"url": f"https://pictures.example/{name}.png"}
                if self.by_url
                else {"b64_json": base64.b64encode(created).decode()}
            )
        body: dict[str, Any] = {"created": CREATED, "data": data}
        if self.by_tokens:
            body |= self.told()
            if ask.wish.usage != "none":
                body["usage"] = ask.report(ask.counted(plan.hidden + len(pieces)))
        return compact(body)

    def stream(self, ask: Ask, plan: Plan) -> Stream:
        return _PictureStream(ask, plan, self)


class _Typed(Stream):
    """Events that have a type."""

    named = False

    def frame(self, event: Mapping[str, Any]) -> bytes:
        name = b"event: " + str(event["type"]).encode() + self.eol if self.named else b""
        return name + self.data + compact(event) + self.end

    def opening(self) -> Iterator[Step]:
        yield from ()

    def broken(self) -> bytes:
        return self.data + b'{"type":"cut' + self.end

    def garbled(self) -> bytes:
        return self.data + b'{"type":"\xff\xfe"}' + self.end

    def failure(self) -> bytes:
        error = error_object("The engine is overloaded.", "server_error", "overloaded")
        return self.frame({"type": "error"} | error)


class _PictureStream(_Typed):
    named = True

    def __init__(self, ask: Ask, plan: Plan, talk: Images) -> None:
        super().__init__(ask, plan)
        self.talk = talk
        self.kind = "image_edit" if talk.operation == "image_edits" else "image_generation"

    def event(self, kind: str, **more: Any) -> bytes:
        body = {"type": f"{self.kind}.{kind}", "created_at": CREATED} | self.talk.told()
        created = picture(f"{self.ask.name}-{self.ask.seed}-0", self.ask.wish.bytes or 0)
        return self.frame(body | {"b64_json": base64.b64encode(created).decode()} | more)

    def opening(self) -> Iterator[Step]:
        for i in range(self.talk.partial):
            yield from self.emit(self.event("partial_image", partial_image_index=i))

    def write(self, piece: Piece) -> bytes:
        return b""

    def closing(self) -> Iterator[Step]:
        usage = None if self.ask.wish.usage == "none" else self.usage_now()
        more = {} if usage is None else {"usage": usage}
        yield from self.emit(self.event("completed", **more), self.held)


class QwenImages(OpenAITalk):
    """POST /api/v1/services/aigc/multimodal-generation/generation"""

    dialect = "dashscope"
    operation = "qwen_images"
    prefix = "qwen-"
    fields = frozenset(("model", "input", "parameters"))
    spine = b'"image":"'

    def read(self, body: dict[str, Any], headers: Mapping[str, str]) -> Question:
        model = self.model_of(body)
        received = Conversation()
        received.turn(user=True)
        for message in body["input"]["messages"]:
            for item in message["content"]:
                if "image" in item:
                    received.see(from_url("image", item["image"]))
                else:
                    received.say(item["text"])
        parameters = body.get("parameters") or {}
        size = parameters.get("size", "1328*1328")
        if "*" not in size:
            raise Wrong(400, "size must be like 1328*1328", param="size")
        self.width, self.height = map(int, size.split("*"))
        self.root = f"http://{headers['host']}/pictures"
        self.row_units = {"images": _count(parameters, "n", 6)}
        return Question.of(
            model, received, choices=self.row_units["images"], unknown=unknown_in(body, self.fields)
        )

    def error(self, problem: Any) -> Any:
        code = problem.code or "InvalidParameter"
        return {"code": code, "message": problem.message, "request_id": "fake"}

    def plain(self, ask: Ask, plan: Plan, pieces: list[Piece]) -> bytes:
        content = [
            {"image": f"{self.root}/{ask.name}-{ask.seed}-{i}.png?Expires=4102444800&Signature=s"}
            for i in range(ask.question.choices)
        ]
        choice = {"finish_reason": "stop", "message": {"role": "assistant", "content": content}}
        usage = {
            "image_count": ask.question.choices, "width": self.width, "height": self.height,
        }  # fmt: skip
        ask.row.reported_raw = usage
        body = {"output": {"choices": [choice]}, "usage": usage, "request_id": ask.row.id}
        return compact(body)


def _medium(kind: str, inputs: Any) -> Medium:
    if isinstance(inputs, tuple):
        _, media_type, content = inputs
        return Medium(kind, media_type, len(content), sha256(content).hexdigest())
    return from_url(kind, inputs.get("image_url") if isinstance(inputs, dict) else inputs)


# ---- sound

_SAID_MS = 50  # of sound in a token
_FRAME = b"\xff\xfb\x90\x00" + bytes(413)  # of MP3: 128 kbit/s at 44.1 kHz, 26 ms
_TYPES = {
    "mp3": "audio/mpeg", "opus": "audio/ogg", "aac": "audio/aac", "flac": "audio/flac",
    "wav": "audio/wav", "pcm": "audio/pcm",
}  # fmt: skip


def wav(ms: int, rate: int = 16_000) -> bytes:
    """Silence of that length."""
    kept = io.BytesIO()
    with wave.open(kept, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(rate)
        file.writeframes(bytes(2 * rate * ms // 1000))
    return kept.getvalue()


class Speech(OpenAITalk):
    """POST …/audio/speech"""

    dialect = operation = "speech"
    prefix = "spk-"
    fields = frozenset(
        ("model", "input", "voice", "response_format", "speed", "instructions", "stream_format")
    )

    def read(self, body: dict[str, Any], headers: Mapping[str, str]) -> Question:
        model, text = self.model_of(body), body.get("input")
        if not isinstance(text, str) or not text:
            raise Wrong(400, "Required parameter 'input' is missing.", param="input")
        if not body.get("voice"):
            raise Wrong(400, "Required parameter 'voice' is missing.", param="voice")
        received = Conversation()
        received.turn(user=True)
        received.say(text)
        received.count(body.get("instructions") or "")
        self.format = body.get("response_format") or "mp3"
        if self.format not in _TYPES:
            raise Wrong(400, "Invalid value for 'response_format'.", param="response_format")
        self.json_type = _TYPES[self.format]
        self.row_units = {"characters": len(text)}
        return Question.of(
            model, received, stream=body.get("stream_format") == "sse",
            unknown=unknown_in(body, self.fields),
        )  # fmt: skip

    def usage(self, usage: dict[str, Any]) -> dict[str, Any]:
        return {
            "input_tokens": usage["prompt_tokens"],
            "output_tokens": usage["completion_tokens"],
            "total_tokens": usage["total_tokens"],
        }

    def sound(self, tokens: int) -> bytes:
        if self.format == "pcm":
            return bytes(48 * _SAID_MS * tokens)
        if self.format == "wav":
            return wav(_SAID_MS * tokens, 24_000)
        return _FRAME * 2 * tokens

    def plain(self, ask: Ask, plan: Plan, pieces: list[Piece]) -> bytes:
        created = self.sound(len(pieces))
        wanted = ask.wish.bytes or 0
        return created * (wanted // len(created) + 1) if wanted else created

    def stream(self, ask: Ask, plan: Plan) -> Stream:
        return _SpeechStream(ask, plan, self)


class _SpeechStream(_Typed):
    def __init__(self, ask: Ask, plan: Plan, talk: Speech) -> None:
        super().__init__(ask, plan)
        self.talk = talk

    def write(self, piece: Piece) -> bytes:
        sound = base64.b64encode(self.talk.sound(1)).decode()
        return self.frame({"type": "speech.audio.delta", "audio": sound})

    def closing(self) -> Iterator[Step]:
        usage = None if self.ask.wish.usage == "none" else self.usage_now()
        more = {} if usage is None else {"usage": usage}
        yield from self.emit(self.frame({"type": "speech.audio.done"} | more))


class Transcriptions(OpenAITalk):
    """POST …/audio/transcriptions, …/audio/translations"""

    prefix = "asr-"
    spine = b'"text":"'
    fields = frozenset(
        (
            "file", "model", "language", "prompt", "response_format", "temperature", "stream",
            "timestamp_granularities", "include", "chunking_strategy",
        )
    )  # fmt: skip

    def __init__(self, kind: str = "transcriptions", **more: Any) -> None:
        super().__init__(**more)
        self.dialect = self.operation = kind

    def read(self, body: dict[str, Any], headers: Mapping[str, str]) -> Question:
        model, file = self.model_of(body), body.get("file")
        if not isinstance(file, tuple):
            raise Wrong(400, "Required parameter 'file' is missing.", param="file")
        received = Conversation()
        received.turn(user=True)
        received.say(body.get("prompt") or "")
        received.media.append(_medium("audio", file))
        self.ms = _length(file[2])
        self.written = received.tokens
        received.tokens += -(-self.ms // 100)
        self.format = body.get("response_format") or "json"
        self.by_tokens = "transcribe" in model
        if self.format in ("text", "srt", "vtt"):
            self.json_type = "text/plain; charset=utf-8"
        self.row_units = {"audio_ms": -(-self.ms // 1000) * 1000}
        return Question.of(
            model,
            received,
            stream=_is_true(body.get("stream")),
            unknown=unknown_in(body, self.fields),
        )

    def usage(self, usage: dict[str, Any]) -> dict[str, Any]:
        if not self.by_tokens:
            return {"type": "duration", "seconds": self.row_units["audio_ms"] // 1000}
        prompt = usage["prompt_tokens"]
        return {
            "type": "tokens",
            "input_tokens": prompt,
            "input_token_details": {
                "text_tokens": self.written, "audio_tokens": minus(prompt, self.written),
            },
            "output_tokens": usage["completion_tokens"],
            "total_tokens": usage["total_tokens"],
        }  # fmt: skip

    def plain(self, ask: Ask, plan: Plan, pieces: list[Piece]) -> bytes:
        text = "".join(piece.text for piece in pieces)
        if self.format == "text":
            return text.encode() + b"\n"
        stamp = f"{self.ms // 60_000:02}:{self.ms // 1000 % 60:02}"
        if self.format == "srt":
            return f"1\n00:00:00,000 --> 00:{stamp},{self.ms % 1000:03}\n{text}\n\n".encode()
        if self.format == "vtt":
            return f"WEBVTT\n\n00:00.000 --> {stamp}.{self.ms % 1000:03}\n{text}\n\n".encode()
        body: dict[str, Any] = {"text": text}
        if self.format == "verbose_json":
            told_of = {"task": "transcribe", "language": "english", "duration": self.ms / 1000}
            body = told_of | body | {"words": [], "segments": []}
        if ask.wish.usage != "none" and self.operation == "transcriptions":
            body["usage"] = ask.report(ask.counted(plan.hidden + len(pieces)))
        return compact(body)

    def stream(self, ask: Ask, plan: Plan) -> Stream:
        return _TranscriptStream(ask, plan)


class _TranscriptStream(_Typed):
    def __init__(self, ask: Ask, plan: Plan) -> None:
        super().__init__(ask, plan)
        self.text = ""

    def write(self, piece: Piece) -> bytes:
        self.text += piece.text
        return self.frame({"type": "transcript.text.delta", "delta": piece.text})

    def closing(self) -> Iterator[Step]:
        usage = None if self.ask.wish.usage == "none" else self.usage_now()
        more = {} if usage is None else {"usage": usage}
        yield from self.emit(self.frame({"type": "transcript.text.done", "text": self.text} | more))
        if not self.ask.wish.nodone:
            yield from self.emit(self.data + b"[DONE]" + self.end)


def _length(content: bytes) -> int:
    """Milliseconds: of a WAV file by its header, of others a byte for each eighth of one."""
    try:
        with wave.open(io.BytesIO(content)) as file:
            return int(file.getnframes() * 1000 // file.getframerate())
    except (wave.Error, EOFError):
        return len(content) // 8
