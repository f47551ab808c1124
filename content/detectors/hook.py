"""A guard of one's own, called over HTTP: signed like a webhook, all texts of a place in one call.

    request   {"request_id", "place", "texts": [...], "model", "key", "team"}
    answer    {"action": "pass" | "change" | "refuse" | "flag", "texts": [...], "code": ""}

`texts` belong to a change, one for each text, and `code` to a refusal or a flag. An answer of any
other form is a failure.
"""

import base64
import binascii
import re
from typing import Annotated, Final, Literal

import msgspec

from content.detectors.call import CallFailed, CallSettings, Question, Reach, Verdict
from notify.endpoints.signing import SECRET_PREFIX, signature_headers

URL_LENGTH_MAX: Final = 500
_SECRET_BYTES: Final = (24, 64)  # Standard Webhooks 1.0
_CODE: Final = re.compile(r"[a-z][a-z0-9_]{0,39}")


class HookSettings(CallSettings):
    url: Annotated[str, msgspec.Meta(pattern=r"^https?://[^\s@]+$", max_length=URL_LENGTH_MAX)]
    secret: str

    def __post_init__(self) -> None:
        try:
            if not self.secret.startswith(SECRET_PREFIX):
                raise ValueError
            secret = base64.b64decode(self.secret.removeprefix(SECRET_PREFIX), validate=True)
            if not _SECRET_BYTES[0] <= len(secret) <= _SECRET_BYTES[1]:
                raise ValueError
        except (binascii.Error, ValueError):
            text = f"secret: enter {SECRET_PREFIX} and the base64 of 24 to 64 random bytes"
            raise ValueError(text) from None


class _Asked(msgspec.Struct):
    request_id: str
    place: str
    texts: list[str]
    model: str
    key: str
    team: str


class _Answer(msgspec.Struct, forbid_unknown_fields=True):
    action: Literal["pass", "change", "refuse", "flag"]
    texts: list[str] | None = None
    code: str | None = None


_answer = msgspec.json.Decoder(_Answer)


async def call_hook(settings: HookSettings, question: Question, reach: Reach) -> Verdict:
    """Return the verdict of the service at the rule's URL. Raises CallFailed."""
    asked = _Asked(
        question.request_id, question.place, list(question.texts), question.model, question.key,
        question.team,
    )  # fmt: skip
    body = msgspec.json.encode(asked)
    headers = signature_headers([settings.secret], question.id, question.asked_at, body)
    headers["content-type"] = "application/json"
    return read_answer(await reach.post(settings.url, headers, body), len(question.texts))


def read_answer(raw: bytes, texts: int) -> Verdict:
    """Return the verdict about this number of texts. Raises CallFailed."""
    try:
        answer = _answer.decode(raw)
    except (msgspec.DecodeError, ValueError) as error:
        raise CallFailed("answer", "the answer is not of the documented form") from error
    if (answer.texts is not None) != (answer.action == "change"):
        raise CallFailed("answer", "texts belong to a change")
    if answer.texts is not None and len(answer.texts) != texts:
        raise CallFailed("answer", "the number of texts differs")
    coded = answer.action in ("refuse", "flag")
    if answer.code is not None and not (coded and _CODE.fullmatch(answer.code)):
        raise CallFailed("answer", "the code is not valid")
    return Verdict(answer.action, answer.texts or (), answer.code or "")
