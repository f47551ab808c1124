"""Answers with all that an answer can have, in neutral form."""

from typing import Any, Final

from dialects.chat.chat import Dialect
from dialects.chat.events import (
    AudioDelta,
    Citation,
    End,
    Event,
    Finish,
    ImageOutput,
    LogprobsDelta,
    ReasoningDelta,
    ReasoningSeal,
    RefusalDelta,
    Seal,
    Source,
    Start,
    TextDelta,
    TokenLogprob,
    ToolArgumentsDelta,
    ToolCallEnd,
    ToolCallStart,
    TopLogprob,
    Usage,
)
from dialects.usage.usage import Counts

COUNTS: Final = Counts(
    input=211, cache_read=17, cache_write_5m=13, cache_write_1h=11, input_audio=7, input_image=5,
    output=101, reasoning=19, output_audio=3, output_image=2, searches=1,
)  # fmt: skip
_PNG: Final = "iVBORw0KGgo="
_START: Final = Start("up-1", "up-model", 1_767_000_000, "priority", "fp_1")
_USAGE: Final = Usage(b"{}", COUNTS)
_TOKEN: Final = TokenLogprob("Hi", -0.5, (72, 105), (TopLogprob("Ho", -1.5, (72, 111)),))


def _call(index: int, id_: str, name: str, *pieces: str, choice: int = 0) -> list[Event]:
    return [
        ToolCallStart(choice, index, id_, name),
        *(ToolArgumentsDelta(choice, index, piece) for piece in pieces),
        ToolCallEnd(choice, index),
    ]


def _whole(*events: Event) -> list[Event]:
    return [_START, *events, _USAGE, End(marked=True)]


ANSWERS: Final[dict[str, list[Event]]] = {
    "text": _whole(
        TextDelta(0, "Hello"),
        TextDelta(0, ", world"),
        Citation(0, Source("https://a.example", "A", 0, 5, "Hello there")),
        Citation(0, Source("https://b.example")),
        Finish(0, "stop"),
    ),
    "thoughts of Claude": _whole(
        ReasoningDelta(0, "Think"),
        ReasoningDelta(0, " harder"),
        ReasoningSeal(0, Seal("anthropic", "c2VhbA==")),
        ReasoningSeal(0, Seal("anthropic", "cmVk", redacted=True)),
        TextDelta(0, "Let me see."),
        *_call(0, "toolu_1", "weather", '{"city":', ' "Oslo"}'),
        *_call(1, "toolu_2", "noop", "{}"),
        Finish(0, "tool_calls"),
    ),
    "thoughts of OpenAI": _whole(
        ReasoningDelta(0, "Think"),
        ReasoningSeal(0, Seal("openai", "ZW5j", id="rs_1")),
        *_call(0, "call_1", "weather", '{"city": "Oslo"}'),
        Finish(0, "tool_calls"),
    ),
    "thoughts of Gemini": _whole(
        ReasoningDelta(0, "Think"),
        TextDelta(0, "See"),
        ReasoningSeal(0, Seal("gemini", "c2ln")),
        *_call(0, "call_1", "weather", '{"city": "Oslo"}'),
        Finish(0, "tool_calls"),
    ),
    "refusal": _whole(RefusalDelta(0, "I can"), RefusalDelta(0, "not."), Finish(0, "stop")),
    "stop sequence": _whole(TextDelta(0, "one"), Finish(0, "stop_sequence", "###")),
    "length": _whole(TextDelta(0, "one"), Finish(0, "length")),
    "filter": _whole(TextDelta(0, "one"), Finish(0, "content_filter")),
    "pause": _whole(TextDelta(0, "one"), Finish(0, "pause")),
    "cut call": _whole(
        ToolCallStart(0, 0, "call_1", "weather"),
        ToolArgumentsDelta(0, 0, '{"ci'),
        Finish(0, "length"),
    ),
    "likelihoods": _whole(
        TextDelta(0, "Hi"),
        LogprobsDelta(0, (_TOKEN,)),
        Finish(0, "stop"),
    ),
    "picture": _whole(TextDelta(0, "Look"), ImageOutput(0, "image/png", _PNG), Finish(0, "stop")),
    "picture by link": _whole(
        ImageOutput(0, "image/png", "", "https://a.example/p.png"), Finish(0, "stop")
    ),
    "sound": _whole(
        AudioDelta(0, "audio/wav", "UklGRg==", "Hel", "audio_1", 1_767_000_900),
        AudioDelta(0, "audio/wav", "AAAA", "lo"),
        Finish(0, "stop"),
    ),
    "two choices": _whole(
        TextDelta(0, "one"),
        TextDelta(1, "two"),
        Finish(1, "length"),
        *_call(0, "call_1", "weather", "{}"),
        Finish(0, "tool_calls"),
    ),
    "nothing": [_START, Finish(0, "stop"), End(marked=False)],
}
"""By name."""

_CALL: Final = {"name": "f", "args": {"a": 1}, "id": "c-1"}
ODD: Final[dict[Dialect, dict[str, dict[str, Any]]]] = {
    "openai": {
        "members of other types": {"id": 5, "model": None, "created": "x", "choices": [
            {"index": "0", "message": {"content": 7, "tool_calls": [
                {"id": 9, "function": {"name": "f", "arguments": {"a": 1}}}]},
             "finish_reason": "tool_calls"}]},
        "reasoning beside the answer": {"choices": [
            {"message": {"reasoning": "Think", "content": "Hi"}, "finish_reason": "stop"}]},
        "thoughts in tags": {"choices": [
            {"message": {"content": "<think>Think</think>Hi"}, "finish_reason": "stop"}]},
        "an old function": {"choices": [
            {"message": {"function_call": {"name": "f", "arguments": "{}"}},
             "finish_reason": "function_call"}]},
        "parts": {"choices": [{"message": {"content": [
            {"type": "thinking", "thinking": [{"type": "text", "text": "Think"}]},
            {"type": "text", "text": "Hi"}]}, "finish_reason": "stop"}]},
        "sources": {"citations": ["https://a.example"], "choices": [
            {"message": {"content": "Hi"}, "finish_reason": "stop"}]},
        "search results": {"search_info": {"search_results": [
            {"url": "https://a.example", "title": "A"}]}, "choices": [
            {"message": {"content": "Hi"}, "finish_reason": "stop"}]},
        "web search": {"web_search": [{"link": "https://a.example", "title": "A"}], "choices": [
            {"message": {"content": "Hi"}, "finish_reason": "sensitive"}]},
        "overloaded": {"choices": [
            {"message": {"content": "Hi"}, "finish_reason": "insufficient_system_resource"}]},
        "an unknown end": {"choices": [{"message": {"content": "Hi"}, "finish_reason": "warp"}]},
        "an error": {"error": {"message": "slow", "code": 429}},
        "nothing": {"choices": []},
    },
    "responses": {
        "an error": {"status": "failed", "error": {"code": "rate_limit_exceeded", "message": "m"}},
        "cancelled": {"status": "cancelled", "output": []},
        "items": {"id": "resp_1", "status": "completed", "output": [
            {"type": "reasoning", "id": "rs_1", "summary": [{"text": "One"}, {"text": "Two"}],
             "encrypted_content": "e"},
            {"type": "reasoning", "content": [{"type": "reasoning_text", "text": "Raw"}]},
            {"type": "web_search_call", "status": "completed"},
            {"type": "web_search_call", "status": "failed"},
            {"type": "custom_tool_call", "call_id": "c1", "name": "f", "input": "x"},
            {"type": "image_generation_call", "result": "iVBORw0KGgo=", "output_format": "webp"},
            {"type": "message", "content": [
                {"type": "output_text", "text": "Hi", "annotations": [
                    {"type": "url_citation", "url": "https://a.example", "title": "A",
                     "start_index": 0, "end_index": 2}]},
                {"type": "refusal", "refusal": "No"}]}]},
        "filtered": {"status": "incomplete", "incomplete_details": {"reason": "content_filter"},
                     "output": []},
        "nothing": {"status": "completed", "output": []},
    },
    "anthropic": {
        "blocks": {"type": "message", "id": "m", "model": "c", "stop_reason": "end_turn",
                   "content": [
                       {"type": "thinking", "thinking": "Think", "signature": "s"},
                       {"type": "redacted_thinking", "data": "d"},
                       {"type": "server_tool_use", "id": "s", "name": "web_search", "input": {}},
                       {"type": "web_search_tool_result", "tool_use_id": "s", "content": []},
                       {"type": "text", "text": "Hi", "citations": [
                           {"type": "page_location", "document_title": "D", "cited_text": "c"},
                           {"type": "web_search_result_location", "url": "https://a.example"}]},
                       {"type": "tool_use", "id": "t", "name": "f", "input": {"a": 1}}]},
        "an error": {"type": "error", "error": {"type": "overloaded_error", "message": "m"}},
        "an unknown end": {"type": "message", "content": [{"type": "text", "text": "Hi"}],
                           "stop_reason": "warp"},
        "no end": {"type": "message", "content": [{"type": "text", "text": "Hi"}]},
        "nothing": {"type": "message", "content": [], "stop_reason": "end_turn"},
    },
    "gemini": {
        "parts": {"responseId": "r", "modelVersion": "v", "candidates": [
            {"index": 1, "finishReason": "STOP", "content": {"parts": [
                {"text": "Think", "thought": True, "thoughtSignature": "c2ln"},
                {"text": "Hi"}, {"functionCall": _CALL, "thoughtSignature": "c2lo"},
                {"executableCode": {"code": "1"}}, {"codeExecutionResult": {"output": "1"}},
                {"fileData": {"fileUri": "https://a.example/p.png", "mimeType": "image/png"}}]}}]},
        "members of other types": {"responseId": "r-5", "modelVersion": 5, "candidates": [
            {"index": "x", "finishReason": "STOP", "finishMessage": 7, "content": {"parts": [
                {"text": 5}, {"functionCall": _CALL, "thoughtSignature": 9, "thought": "yes"},
                {"inlineData": {"mimeType": "image/png", "data": "AA=="}},
                {"executableCode": {"code": "1"}}, {"codeExecutionResult": {"output": "1"}},
                {"fileData": {"fileUri": "https://a.example/p.png"}}]}}]},
        "a malformed call of other types": {"responseId": 5, "candidates": [
            {"finishReason": "MALFORMED_FUNCTION_CALL", "finishMessage": "Malformed: f("}]},
        "blocked": {"promptFeedback": {"blockReason": "SAFETY"}},
        "malformed call": {"candidates": [{"finishReason": "MALFORMED_FUNCTION_CALL"}]},
        "an unknown end": {"candidates": [
            {"finishReason": "WARP", "content": {"parts": [{"text": "Hi"}]}}]},
        "an error": {"error": {"code": 429, "status": "RESOURCE_EXHAUSTED", "message": "m"}},
        "nothing": {"candidates": []},
    },
    "interactions": {
        "steps": {"id": "i", "model": "g", "status": "completed", "steps": [
            {"type": "thought", "signature": "c2ln", "summary": [{"type": "text", "text": "T"}]},
            {"type": "model_output", "content": [
                {"type": "text", "text": "Hi", "annotations": [
                    {"type": "url_citation", "url": "https://a.example", "title": "A",
                     "start_index": 0, "end_index": 2}]},
                {"type": "image", "data": "AA==", "mime_type": "image/png"},
                {"type": "audio", "data": "AA==", "mime_type": "audio/wav"}]},
            {"type": "google_search_call", "id": "s"},
            {"type": "function_call", "id": "c", "name": "f", "arguments": {"a": 1}}]},
        "an error": {"status": "completed", "error": {"code": "rate_limit_exceeded"}, "steps": []},
        "failed": {"status": "failed", "errors": [{"code": "not_found", "message": "m"}]},
        "cancelled": {"status": "cancelled"},
        "filtered": {"status": "incomplete", "errors": [{"code": "content_filter"}],
                     "steps": [{"type": "model_output", "content": [
                         {"type": "text", "text": "Hi"}]}]},
        "over its budget": {"status": "budget_exceeded", "steps": [
            {"type": "model_output", "content": [{"type": "text", "text": "Hi"}]}]},
        "nothing": {"status": "completed", "steps": []},
    },
    "converse": {
        "blocks": {"stopReason": "tool_use", "output": {"message": {"content": [
            {"reasoningContent": {"reasoningText": {"text": "Think", "signature": "s"}}},
            {"reasoningContent": {"redactedContent": "cmVk"}},
            {"text": "Hi"},
            {"citationsContent": {"content": [{"text": "Cited"}], "citations": [
                {"title": "A", "location": {"web": {"url": "https://a.example"}}}]}},
            {"toolUse": {"toolUseId": "t", "name": "f", "input": {"a": 1}}},
            {"image": {"format": "png", "source": {"bytes": "AA=="}}}]}}},
        "malformed": {"stopReason": "malformed_tool_use", "output": {"message": {"content": [
            {"text": "Hi"}]}}},
        "guarded": {"stopReason": "guardrail_intervened", "output": {"message": {"content": [
            {"text": "No"}]}}},
        "an unknown end": {"stopReason": "warp", "output": {"message": {"content": [
            {"text": "Hi"}]}}},
        "nothing": {"stopReason": "end_turn", "output": {"message": {"content": []}}},
    },
}  # fmt: skip
"""Whole answers of providers that differ from the usual, by dialect and name."""
