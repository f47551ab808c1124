"""Answers of every kind, written in the dialects that have a published schema, held against it.

Recorded ones of every provider, and drawn ones: sources, sound, refusals, pictures, likelihoods.
"""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from dialects.anthropic.answer import decode as anthropic_response
from dialects.anthropic.stream import decode as anthropic_stream
from dialects.chat.chat import Audio, AudioOutput, ChatAnswer, ChatRequest, Image
from dialects.chat.events import AudioDelta, Event, ImageOutput, UpstreamError
from dialects.chat.fold import unfold
from dialects.gemini.answer import decode as gemini_response
from dialects.gemini.stream import decode as gemini_stream
from dialects.openai.answer import decode as openai_response
from dialects.openai.answer import encode as openai_encode
from dialects.openai.stream import decode as openai_stream
from dialects.openai.stream.encode import Encoder as OpenAIEncoder
from dialects.responses.answer import decode as responses_answer_decode
from dialects.responses.answer import encode as responses_answer_encode
from dialects.responses.stream import decode as responses_stream
from dialects.responses.stream.encode import Encoder as ResponsesEncoder
from tests.dialects import neutral
from tests.dialects.exchanges import GOLDEN, exchange
from tests.dialects.responses.golden import check_events, frames_of
from tests.support.openapi import check

STREAMS = sorted(str(path.relative_to(GOLDEN)) for path in GOLDEN.glob("*/*_stream_*.sse"))
ANSWERS = [
    f"{dialect}_nonstream.json#{name}"
    for dialect, names in {
        "gemini": "grounded_text prompt_blocked safety_stop_no_content max_tokens_only_thoughts "
        "image audio_tts",
        "anthropic": "message_thinking_tool stop_sequence refusal",
        "responses": "file_by_url file_base64_incomplete web_search_tool",
        "openai_chat": "text_with_logprobs_n2 tool_phase_1 tool_phase_2 json_schema_refusal "
        "audio_output",
    }.items()
    for name in names.split()
]
REQUEST = neutral.request(include_usage=True)
SOUNDING = neutral.request(include_usage=True, audio=AudioOutput("alloy", "wav"))


def decoder_of(folder: str) -> Any:
    match folder:
        case "anthropic":
            return anthropic_stream.Decoder(translate=True)
        case "gemini":
            return gemini_stream.Decoder(translate=True)
        case "responses":
            return responses_stream.Decoder(translate=True)
    return openai_stream.Decoder(include_usage=True, translate=True)


def decode(key: str) -> ChatAnswer:
    _, raw = exchange(key)
    match key.partition("_")[0]:
        case "anthropic":
            return anthropic_response.decode(raw, translate=True).fold()
        case "gemini":
            return gemini_response.decode(raw, translate=True).fold()
        case "responses":
            return responses_answer_decode.decode(raw, translate=True).fold()
    return openai_response.decode(raw, translate=True).fold()


def check_streamed(answer_events: list[Event], request: ChatRequest = REQUEST) -> None:
    """The events as chunks and as events of a response; a failure is told as the hub tells it."""
    failed = next((event for event in answer_events if isinstance(event, UpstreamError)), None)
    encoders = (OpenAIEncoder(request), ResponsesEncoder(request))
    written = []
    for encoder in encoders:
        raw = b"".join(encoder.feed(event) for event in answer_events)
        written.append(raw + (encoder.fail(failed.kind, "no") if failed else encoder.end()))
    chunks, events = written
    for frame in chunks.decode().removesuffix("data: [DONE]\n\n").split("\n\n")[:-1]:
        chunk = json.loads(frame.removeprefix("data: "))
        name = "ErrorResponse" if "error" in chunk else "CreateChatCompletionStreamResponse"
        check(chunk, "openai", name)
    kinds = {type(event) for event in answer_events if getattr(event, "choice", 0) == 0}
    if AudioDelta not in kinds:
        check_events(frames_of(events), open_responses=ImageOutput not in kinds)


def check_whole(answer: ChatAnswer, request: ChatRequest = REQUEST) -> None:
    chat = json.loads(openai_encode.encode(answer, request))
    check(chat, "openai", "CreateChatCompletionResponse")
    kinds = {type(part) for part in answer.choices[0].parts}
    if Audio in kinds:
        return  # Both have sound in the events of a response alone.
    response = json.loads(responses_answer_encode.encode(answer, request))
    known = {name: value for name, value in response.items() if (name, value) != ("usage", None)}
    check(known, "openai", "Response")
    if Image not in kinds:
        check(response, "openresponses", "ResponseResource")


@pytest.mark.parametrize("name", STREAMS)
def test_recorded_streams(name: str) -> None:
    decoder = decoder_of(name.partition("/")[0])
    steps = [*decoder.feed((GOLDEN / name).read_bytes()), *decoder.end()]
    check_streamed([event for step in steps for event in step.events])


@pytest.mark.parametrize("key", ANSWERS)
def test_recorded_answers(key: str) -> None:
    answer = decode(key)
    request = SOUNDING if "audio" in key else REQUEST
    check_whole(answer, request)
    check_streamed(list(unfold(answer)), request)


# Schemas of this size are slow to check.
@given(neutral.openai_answers(), st.booleans())
def test_drawn_answers(answer: ChatAnswer, functions: bool) -> None:
    answer = structs.replace(answer, service_tier=answer.service_tier and "flex")
    request = neutral.request(include_usage=True, legacy_functions=functions)
    check_whole(answer, request)
    check_streamed(list(unfold(answer)), request)
