"""The meaning of the task services' error numbers."""

from collections.abc import Mapping
from typing import Any, ClassVar, Final

import msgspec

from dialects.chat.events import UpstreamError
from dialects.chat.fold import AnswerFault
from dialects.errors.errors import ErrorKind
from dialects.errors.masking import clean_upstream
from dialects.json.raw_json import as_text
from dialects.openai.codec import ChatCompletionsCodec
from dialects.upstream_errors.retry_after import retry_after_ms
from dialects.upstream_errors.upstream_errors import UpstreamFault, describe

Meaning = tuple[ErrorKind, str]
# Kind, and row of the fault table.
_KEY: Final[Meaning] = ("upstream_auth", "F5")
_FUNDS: Final[Meaning] = ("upstream_auth", "F9")
_WRONG: Final[Meaning] = ("provider_rejected", "F6")
_MISSING: Final[Meaning] = ("upstream_error", "F7")
_CONTENT: Final[Meaning] = ("content_filtered", "F6")
_LIMIT: Final[Meaning] = ("upstream_rate_limited", "F8")
_FAILED: Final[Meaning] = ("upstream_error", "F10")
_BUSY: Final[Meaning] = ("overloaded", "F10")

# Kling, "General Information", "Error Code" (2026-03).
KLING: Final[Mapping[int, Meaning]] = {
    **dict.fromkeys((1000, 1001, 1002, 1003, 1004, 1100, 1103), _KEY),
    **dict.fromkeys((1101, 1102), _FUNDS),
    **dict.fromkeys((1200, 1201, 1202), _WRONG),
    1203: _MISSING,
    **dict.fromkeys((1300, 1301), _CONTENT),
    **dict.fromkeys((1302, 1303, 1304), _LIMIT),
    5000: _FAILED,
    **dict.fromkeys((5001, 5002), _BUSY),
}
# Volcengine, "Jimeng AI: error codes" (2026-02).
JIMENG: Final[Mapping[int, Meaning]] = {
    **dict.fromkeys((50411, 50412, 50413, 50511, 50512, 50518, 50519), _CONTENT),
    **dict.fromkeys((50429, 50430), _LIMIT),
    50215: _WRONG,
    50400: _KEY,
    **dict.fromkeys((50500, 50501), _FAILED),
}
# MiniMax, "Error codes" (2026-06).
MINIMAX: Final[Mapping[int, Meaning]] = {
    **dict.fromkeys((1002, 1039, 2045), _LIMIT),
    **dict.fromkeys((1004, 2049), _KEY),
    1008: _FUNDS,
    **dict.fromkeys((1026, 1027), _CONTENT),
    **dict.fromkeys((1042, 2013), _WRONG),
    **dict.fromkeys((1000, 1001, 1024, 1033), _FAILED),
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


class KlingErrors(NumberedErrors):
    meanings = KLING


class JimengErrors(NumberedErrors):
    meanings = JIMENG


class MiniMaxErrors(NumberedErrors):
    meanings = MINIMAX


def read_code(body: bytes) -> tuple[int, str]:
    """Return the number and message in a body, 0 and "" if it has none."""
    try:
        members: Any = msgspec.json.decode(body)
    except (msgspec.DecodeError, RecursionError):
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
    fault = _fault(meanings.get(number, _FAILED), number, message, None)
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
