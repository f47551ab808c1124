"""Usage, errors, kept conversations and refusals of the interactions dialect."""

import json
from typing import Any

import pytest

from dialects.chat.fold import AnswerFault
from dialects.chat.kept import decode_kept
from dialects.codec import Target
from dialects.endpoints.codecs import CODECS
from dialects.errors.errors import RequestFault
from dialects.interactions import state
from dialects.interactions.answer.decode import decode as decode_answer
from dialects.interactions.errors import read, read_object, render
from dialects.interactions.request import read as request_read
from dialects.interactions.request.decode import decode
from dialects.interactions.stream.decode import Decoder
from dialects.interactions.usage import encode, quantities
from dialects.json.body import read_body
from dialects.usage.usage import Counts

CODEC = CODECS["interactions"]


def body(**members: Any) -> bytes:
    return json.dumps({"model": "m", "input": "hi"} | members).encode()


def rows(**counts: int) -> list[dict[str, Any]]:
    return [{"modality": name, "tokens": count} for name, count in counts.items()]


@pytest.mark.parametrize(
    ("usage", "meters", "flags"),
    [
        # The example of ai.google.dev, "Streaming interactions".
        ({"total_tokens": 299, "total_input_tokens": 138, "total_cached_tokens": 0,
          "input_tokens_by_modality": rows(text=138), "total_output_tokens": 20,
          "total_tool_use_tokens": 0, "total_thought_tokens": 141},
         {"in_text": 138, "out_text": 20, "out_reasoning": 141}, ()),
        ({"total_input_tokens": 100, "total_output_tokens": 60, "total_cached_tokens": 95,
          "input_tokens_by_modality": rows(audio=20, image=10, video=15),
          "output_tokens_by_modality": rows(image=20, audio=10)},
         {"in_text": 0, "in_cache_read": 70, "in_audio_cached": 20, "in_image": 5,
          "in_image_cached": 5, "out_text": 30, "out_audio": 10, "out_image": 20}, ()),
        ({"total_input_tokens": 5, "total_output_tokens": 8, "total_tool_use_tokens": 90,
          "tool_use_tokens_by_modality": rows(image=9),
          "grounding_tool_count": [{"type": "google_search", "count": 2}]},
         {"in_text": 86, "in_image": 9, "out_text": 8, "searches": 2}, ()),
        ({"total_input_tokens": 3, "total_output_tokens": 4, "total_tokens": 9},
         {"in_text": 3, "out_text": 4}, ("usage_mismatch",)),
        ({"total_input_tokens": 3, "total_cached_tokens": 4, "total_output_tokens": 4}, {},
         ("usage_cached_above_input",)),
        ({"total_tokens": 9}, {}, ("usage_unreadable",)),
    ],
)  # fmt: skip
def test_usage(usage: dict[str, Any], meters: dict[str, int], flags: tuple[str, ...]) -> None:
    got = quantities(json.dumps(usage).encode())
    assert (got.meters, got.flags, got.unknown) == (meters, flags, ())


def test_unclassified_usage_is_named() -> None:
    """P28."""
    usage: dict[str, Any] = {"total_input_tokens": 1, "total_output_tokens": 1, "holo_tokens": 3}
    usage["input_tokens_by_modality"] = rows(smell=1)
    usage["grounding_tool_count"] = [{"type": "google_maps", "count": 1}]
    assert set(quantities(json.dumps(usage).encode()).unknown) == {
        "holo_tokens", "input_tokens_by_modality.modality=smell",
        "grounding_tool_count.type=google_maps",
    }  # fmt: skip


def test_written_usage_reads_the_same() -> None:
    counts = Counts(input=50, cache_read=5, input_image=7, output=30, reasoning=9, searches=2)
    assert Counts.of(quantities(json.dumps(encode(counts)).encode()).meters) == counts


@pytest.mark.parametrize(
    ("status", "error", "kind", "fault"),
    [
        (401, {"code": "authentication", "message": "m"}, "upstream_auth", "F5"),
        (402, {"code": "payment_required", "message": "m"}, "upstream_auth", "F9"),
        (404, {"code": "model_not_found", "message": "m"}, "upstream_error", "F7"),
        (429, {"code": "rate_limit_exceeded", "message": "m"}, "upstream_rate_limited", "F8"),
        (400, {"code": "parameter_unknown", "message": "m"}, "provider_rejected", "F6"),
        (400, {"code": 400, "status": "INVALID_ARGUMENT", "message": "m"}, "provider_rejected",
         "F6"),
        (503, {"code": "service_unavailable", "message": "m"}, "overloaded", "F10"),
    ],
)  # fmt: skip
def test_errors_of_upstreams(status: int, error: dict[str, Any], kind: str, fault: str) -> None:
    raw = json.dumps({"error": error}).encode()
    got = read(status, {}, raw, 0)
    assert (got.kind, got.fault) == (kind, fault)
    # Inside a stream (F23) the code alone tells it.
    assert read_object(json.dumps(error).encode()).kind == kind


def test_errors_for_clients() -> None:
    assert json.loads(render("model_not_found", "m", request_id="r")) == {
        "error": {"code": "model_not_found", "message": "m"}, "request_id": "r"
    }  # fmt: skip
    assert CODEC.status("invalid_value", 422) == 400
    assert CODEC.error_frame("timeout", "m", "r", Target()).startswith(b"event: error\ndata: {")


@pytest.mark.parametrize("status", ["failed", "cancelled"])
def test_an_interaction_that_failed_is_an_error(status: str) -> None:
    """F23."""
    error = {"code": "rate_limit_exceeded", "message": "slow"}
    whole = {"id": "v1_1", "status": status, "steps": [], "errors": [error]}
    with pytest.raises(AnswerFault):
        decode_answer(json.dumps(whole).encode()).fold()
    event = {"event_type": "interaction.completed", "interaction": whole}
    (step,) = Decoder().feed(b"data: " + json.dumps(event).encode() + b"\n\n")
    assert getattr(step.events[0], "kind", "") == "upstream_rate_limited"


@pytest.mark.parametrize(
    ("members", "kind", "param"),
    [
        ({"agent": "a"}, "unsupported_capability", "agent"),
        ({"environment": "e"}, "unsupported_capability", "environment"),
        ({"input": 3}, "invalid_type", "input"),
        ({"input": None}, "missing_parameter", "input"),
        ({"generation_config": []}, "invalid_type", "generation_config"),
        ({"generation_config": {"temperature": 3}}, "invalid_value",
         "generation_config.temperature"),
        ({"generation_config": {"max_output_tokens": 0}}, "invalid_value",
         "generation_config.max_output_tokens"),
    ],
)  # fmt: skip
def test_requests_rejected_before_forwarding(
    members: dict[str, Any], kind: str, param: str
) -> None:
    with pytest.raises(RequestFault) as refused:
        request_read.read(body(**members))
    assert (refused.value.kind, refused.value.param) == (kind, param)


@pytest.mark.parametrize(
    ("members", "kind", "param"),
    [
        ({"cached_content": "c"}, "unsupported_capability", "cached_content"),
        ({"background": True}, "unsupported_capability", "background"),
        ({"service_tier": "deferred"}, "unsupported_capability", "service_tier"),
        ({"response_format": {"type": "video"}}, "unsupported_capability", "response_format.type"),
        ({"response_modalities": ["video"]}, "invalid_value", "response_modalities[0]"),
        ({"tools": [{"type": "holo"}]}, "invalid_value", "tools[0].type"),
        ({"input": [{"type": "holo"}]}, "invalid_value", "input[0].type"),
        ({"input": [{"type": "image", "data": "AA=="}]}, "missing_parameter", "input[0].mime_type"),
        ({"input": [{"type": "function_result", "call_id": "c", "result": "r"}]}, "invalid_type",
         "input[0].call_id"),
        ({"input": [{"role": "user", "content": "hi"}]}, "missing_parameter", "input[0].type"),
    ],
)  # fmt: skip
def test_requests_rejected_before_translation(
    members: dict[str, Any], kind: str, param: str
) -> None:
    with pytest.raises(RequestFault) as refused:
        decode(body(**members), request_id="r", received_at=0)
    assert (refused.value.kind, refused.value.param) == (kind, param)


def test_forwarded_body_loses_foreign_fields() -> None:
    """Our own fields and thoughts with a foreign signature; all else stays, byte for byte."""
    foreign = {"type": "thought", "signature": "YW50aHJvcGljOjo6eA=="}
    own = {"type": "thought", "signature": "c2ln"}
    raw = body(input=[foreign, own], max_cost="1", labels={"a": "b"})
    facts = request_read.read(raw)
    assert facts.foreign == (0,)
    edited = request_read.edit(facts, "up", output_cap=7, thinking={"thinking_level": "low"})
    assert json.loads(edited) == {
        "model": "up", "input": [own], "labels": {"a": "b"},
        "generation_config": {"max_output_tokens": 7, "thinking_level": "low"},
    }  # fmt: skip
    plain = body()
    assert request_read.edit(request_read.read(plain), "m") == plain


def test_facts() -> None:
    picture = {"type": "image", "mime_type": "image/png", "data": "A" * 400}
    result = {"type": "function_result", "call_id": "c", "result": [picture]}
    sound = {"type": "audio", "mime_type": "audio/wav", "data": "AA=="}
    raw = body(input=[{"type": "user_input", "content": [picture, sound]}, result])
    facts = request_read.read(raw)
    assert facts.media == {"image": 2, "audio": 1}
    assert facts.text_bytes < len(raw) - 800
    assert not facts.audio_output
    assert request_read.read(body(response_format={"type": "audio"})).audio_output


@pytest.mark.parametrize(
    ("given", "steps"),
    [
        ("hi", [{"type": "user_input", "content": [{"type": "text", "text": "hi"}]}]),
        ({"type": "text", "text": "a"}, [{"type": "user_input",
                                          "content": [{"type": "text", "text": "a"}]}]),
        ([{"type": "text", "text": "a"}, {"type": "image", "uri": "gs://b"}],
         [{"type": "user_input",
           "content": [{"type": "text", "text": "a"}, {"type": "image", "uri": "gs://b"}]}]),
        ([{"type": "thought", "signature": "s"}], [{"type": "thought", "signature": "s"}]),
    ],
)  # fmt: skip
def test_stored_conversation_continues(given: Any, steps: list[Any]) -> None:
    output = {"type": "model_output", "content": [{"type": "text", "text": "yes"}]}
    answer = {"id": "v1_1", "status": "completed", "steps": [output]}
    usage = {"usage": {"total_thought_tokens": 9}}
    kept = state.keep(read_body(body(input=given)), json.dumps(answer | usage).encode(), None, "c")
    assert kept is not None
    assert kept[0] == "v1_1"
    earlier = decode_kept(kept[1])
    assert (earlier.unseen_tokens, earlier.channel) == (9, "c")
    again = body(input="more", previous_interaction_id="v1_1")
    continued = json.loads(state.continue_body(read_body(again), earlier.conversation))
    more = {"type": "user_input", "content": [{"type": "text", "text": "more"}]}
    assert continued == {"model": "m", "input": [*steps, output, more]}


@pytest.mark.parametrize("answer", [{"status": "completed"}, {"id": "v1_1", "status": "failed"}])
def test_failed_or_idless_interaction_is_not_stored(answer: dict[str, Any]) -> None:
    assert state.keep(read_body(body()), json.dumps(answer).encode(), None, "") is None
