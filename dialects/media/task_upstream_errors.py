"""The meaning of the task services' error numbers."""

from collections.abc import Mapping
from typing import Any, ClassVar, Final

import msgspec

from dialects.chat.events import UpstreamError
from dialects.chat.fold import AnswerFault
from dialects.errors.kinds import ErrorKind
from dialects.errors.masking import clean_upstream
from dialects.json.not_json import NOT_JSON
from dialects.json.raw_json import as_text
from dialects.openai.codec import ChatCompletionsCodec
from dialects.upstream_errors.retry_after import retry_after_ms
from dialects.upstream_errors.upstream_errors import UpstreamFault, describe

Meaning = tuple[ErrorKind, str]
# Kind, and row of the fault table.
KEY: Final[Meaning] = ("upstream_auth", "F5")
FUNDS: Final[Meaning] = ("upstream_auth", "F9")
WRONG: Final[Meaning] = ("provider_rejected", "F6")
MISSING: Final[Meaning] = ("upstream_error", "F7")
CONTENT: Final[Meaning] = ("content_filtered", "F6")
LIMIT: Final[Meaning] = ("upstream_rate_limited", "F8")
FAILED: Final[Meaning] = ("upstream_error", "F10")
BUSY: Final[Meaning] = ("overloaded", "F10")

# MiniMax, "Error codes" (2026-06).
MINIMAX: Final[Mapping[int, Meaning]] = {
    **dict.fromkeys((1002, 1039, 2045), LIMIT),
    **dict.fromkeys((1004, 2049), KEY),
    1008: FUNDS,
    **dict.fromkeys((1026, 1027), CONTENT),
    **dict.fromkeys((1042, 2013), WRONG),
    **dict.fromkeys((1000, 1001, 1024, 1033), FAILED),
}


class NumberedErrors(ChatCompletionsCodec):
    """Reads errors by their numbers. An answer without a known number is read like OpenAI's."""

    meanings: ClassVar[Mapping[int, Meaning]]

    @classmethod
    def read_error(
        cls, status: int, headers: Mapping[str, str], body: bytes, now_s: int | None = None
    ) -> UpstreamFault:
        number, message = read_code(body)
        meaning = cls.meanings.get(number)
        if meaning is None:
            return ChatCompletionsCodec.read_error(status, headers, body, now_s)
        return _fault(meaning, number, message, retry_after_ms(headers, now_s))


class MiniMaxErrors(NumberedErrors):
    meanings = MINIMAX


def read_code(body: bytes) -> tuple[int, str]:
    """Return the number and message in a body, 0 and "" if it has none."""
    try:
        members: Any = msgspec.json.decode(body)
    except NOT_JSON:
        return 0, ""
    if not isinstance(members, dict):
        return 0, ""
    base = members.get("base_resp")
    if isinstance(base, dict):
        members = {"code": base.get("status_code"), "message": base.get("status_msg")}
    code = members.get("code")
    if isinstance(members.get("ResponseMetadata"), dict):
        # Volcengine's gateway in front of its service: the signature or the permission is wrong.
        error = members["ResponseMetadata"].get("Error")
        members = error if isinstance(error, dict) else {}
        return 50400, as_text(members.get("Message"))
    number = code if isinstance(code, int) and not isinstance(code, bool) else 0
    return number, as_text(members.get("message"))


def failure_of_code(meanings: Mapping[int, Meaning], number: int, message: str) -> AnswerFault:
    """Return the failure for an error number inside a 200 response."""
    fault = _fault(meanings.get(number, FAILED), number, message, None)
    return AnswerFault(UpstreamError(fault.kind, fault.message, fault.code))


def _fault(meaning: Meaning, number: int, message: str, wait_ms: int | None) -> UpstreamFault:
    kind, row = meaning
    refused = kind in ("provider_rejected", "content_filtered")
    return describe(
        kind,
        row,
        clean_upstream(message),
        status=400,
        wait_ms=wait_ms,
        code=str(number) if refused else "",
    )
