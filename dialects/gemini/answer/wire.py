"""The members of a gemini answer that are read, for whole and streamed answers. The parser skips
all other members. A text that does not match these structs is parsed again, more slowly, and
converted.
"""

from typing import Any

import msgspec

from dialects.json.raw_json import ABSENT, dicts, parser, top_members, value_of


class FunctionCall(msgspec.Struct, gc=False):
    """A function call. A stream never splits one."""

    id: str | None = None
    name: str | None = None
    args: msgspec.Raw = ABSENT


class Part(msgspec.Struct, gc=False, rename="camel"):
    """A part of the content."""

    text: str | None = None
    thought: bool | None = None
    thought_signature: str | None = None
    function_call: FunctionCall | None = None
    inline_data: msgspec.Raw = ABSENT
    file_data: msgspec.Raw = ABSENT
    executable_code: msgspec.Raw = ABSENT
    code_execution_result: msgspec.Raw = ABSENT


class Content(msgspec.Struct, gc=False):
    """The content of a candidate. A content of thoughts alone may have no parts."""

    parts: list[Part] | None = None


class Candidate(msgspec.Struct, gc=False, rename="camel"):
    """One choice, or its new part."""

    index: int | None = None
    content: Content | None = None
    finish_reason: str | None = None
    finish_message: str | None = None
    grounding_metadata: msgspec.Raw = ABSENT
    citation_metadata: msgspec.Raw = ABSENT
    logprobs_result: msgspec.Raw = ABSENT


class Feedback(msgspec.Struct, gc=False, rename="camel"):
    """The reason why the prompt was blocked."""

    block_reason: str | None = None


class Answer(msgspec.Struct, gc=False, rename="camel"):
    """A frame or a whole answer, or an error instead."""

    candidates: list[Candidate] | None = None
    prompt_feedback: Feedback | None = None
    usage_metadata: msgspec.Raw = ABSENT
    model_version: str | None = None
    response_id: str | None = None
    error: msgspec.Raw = ABSENT


def _read_loosely(data: bytes) -> Answer:
    """Read valid JSON of unexpected types: keep what can be understood, ignore the rest."""
    top = top_members(data)
    feedback = value_of(top.get("promptFeedback"))
    return Answer(
        candidates=[
            _loose_candidate(candidate) for candidate in dicts(value_of(top.get("candidates")))
        ],
        prompt_feedback=Feedback(_text(feedback.get("blockReason")))
        if isinstance(feedback, dict)
        else None,
        usage_metadata=top.get("usageMetadata", ABSENT),
        model_version=_text(value_of(top.get("modelVersion"))),
        response_id=_text(value_of(top.get("responseId"))),
        error=top.get("error", ABSENT),
    )


def _loose_candidate(item: dict[str, Any]) -> Candidate:
    index, content = item.get("index"), item.get("content")
    known = isinstance(index, int) and not isinstance(index, bool) and 0 <= index < 1_000
    parts = content.get("parts") if isinstance(content, dict) else None
    return Candidate(
        index=index if known else 0,
        content=Content([_loose_part(part) for part in dicts(parts)]),
        finish_reason=_text(item.get("finishReason")),
        finish_message=_text(item.get("finishMessage")),
        grounding_metadata=_encode_raw(item.get("groundingMetadata")),
        citation_metadata=_encode_raw(item.get("citationMetadata")),
        logprobs_result=_encode_raw(item.get("logprobsResult")),
    )


def _loose_part(item: dict[str, Any]) -> Part:
    call, text_value = item.get("functionCall"), item.get("text")
    return Part(
        # Text of another type is kept as JSON, so that it is still counted and sent.
        text=text_value
        if text_value is None or isinstance(text_value, str)
        else msgspec.json.encode(text_value).decode(),
        thought=item.get("thought") is True,
        thought_signature=_text(item.get("thoughtSignature")),
        function_call=FunctionCall(
            _text(call.get("id")), _text(call.get("name")), _encode_raw(call.get("args"))
        )
        if isinstance(call, dict)
        else None,
        inline_data=_encode_raw(item.get("inlineData")),
        file_data=_encode_raw(item.get("fileData")),
        executable_code=_encode_raw(item.get("executableCode")),
        code_execution_result=_encode_raw(item.get("codeExecutionResult")),
    )


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) else None


def _encode_raw(value: Any) -> msgspec.Raw:
    return msgspec.Raw(msgspec.json.encode(value))


# Parse one frame or answer. Raises ReadFault when it is no JSON object.
read_answer = parser(Answer, _read_loosely)
