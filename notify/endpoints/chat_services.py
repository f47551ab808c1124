"""Messages to the incoming webhooks of chat services: the requests, and the services' responses.

| Service | Body | Signed by | Taken |
| --- | --- | --- | --- |
| Slack | `{"text"}` | – | status 200 |
| Feishu (Lark) | `{"msg_type", "content": {"text"}}` | `timestamp` (s), `sign` beside | `code` 0 |
| DingTalk | `{"msgtype", "text": {"content"}}` | `timestamp` (ms), `sign` in URL | `errcode` 0 |
| WeCom | `{"msgtype", "text": {"content"}}` | – | `errcode` 0 |

The last three also return status 200 for a message that they refuse. The address is a secret,
because anyone with it can post.
"""

import base64
import hmac
import json
from collections.abc import Mapping
from typing import Any, Final, NamedTuple
from urllib.parse import urlencode

SIGNED: Final = frozenset({"feishu", "dingtalk"})
"""The services whose robots may ask for a signature."""
TEXT_BYTES_MAX: Final = 2_048
"""WeCom's limit, the lowest."""
_CODES: Final[Mapping[str, str]] = {"feishu": "code", "dingtalk": "errcode", "wecom": "errcode"}


class ChatRequest(NamedTuple):
    url: str
    body: bytes


def chat_request(service: str, url: str, secret: str, text: str, at_ms: int) -> ChatRequest:
    """Build the request that posts `text` to a chat of one of the four services. `secret` is "" if
    the bot requires no signature. `text` is escaped, so that it cannot mention anybody or contain
    tags."""
    body: dict[str, Any]
    if service == "slack":
        body = {"text": _escape_text(cut_text(text))}
    elif service == "feishu":
        body = {"msg_type": "text", "content": {"text": _break_tags(text)}}
        if secret:
            stamp = str(at_ms // 1000)
            sign = _sign(f"{stamp}\n{secret}", "")
            body = {"timestamp": stamp, "sign": sign, **body}
    else:
        body = {"msgtype": "text", "text": {"content": _break_tags(text)}}
        if service == "dingtalk" and secret:
            signed = {"timestamp": at_ms, "sign": _sign(secret, f"{at_ms}\n{secret}")}
            url += ("&" if "?" in url else "?") + urlencode(signed)
    return ChatRequest(url, json.dumps(body, ensure_ascii=False).encode())


def refusal(service: str, answer: bytes) -> int | None:
    """Return the error code in a service's response with status 200, or None if the service
    accepted the message.

    -1 means that the response has not the form of that service.
    """
    field = _CODES.get(service)
    if field is None:
        return None
    try:
        body = json.loads(answer)
        code = body[field]
    except (ValueError, KeyError, TypeError, RecursionError):
        return -1
    if type(code) is not int:
        return -1
    return code or None


def cut_text(text: str) -> str:
    """Return the text, cut to the UTF-8 bytes that every service accepts."""
    encoded = text.encode("utf-8", "replace")
    if len(encoded) <= TEXT_BYTES_MAX:
        return encoded.decode()
    mark = "…".encode()
    return (encoded[: TEXT_BYTES_MAX - len(mark)]).decode("utf-8", "ignore") + "…"


def _sign(key: str, text: str) -> str:
    return base64.b64encode(hmac.digest(key.encode(), text.encode(), "sha256")).decode()


def _escape_text(text: str) -> str:
    """Escape a text for Slack: these three characters, and no others."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _break_tags(text: str) -> str:
    """These services cannot escape `<at user_id="all">`, so `<` becomes a full-width sign."""
    return cut_text(text.replace("<", "＜"))
