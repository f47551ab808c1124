"""Fakes of four chat services: each takes exactly what its documentation of incoming webhooks says,
by a schema without further fields, checks the signature, and answers in its own words.

Slack: incoming webhooks, "Sending messages using incoming webhooks". Feishu and Lark: custom bot
usage guide, "Signature verification". DingTalk: custom robot access, "Customise robot security
settings". WeCom: "Group robot configuration", message type text.
"""

import base64
import hashlib
import hmac
import json
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import parse_qs, urlsplit

import jsonschema

SERVICES: Final = ("slack", "feishu", "dingtalk", "wecom")
ADDRESSES: Final = {
    "slack": "/services/T000/B000/s3cret",
    "feishu": "/open-apis/bot/v2/hook/s3cret",
    "dingtalk": "/robot/send?access_token=s3cret",
    "wecom": "/cgi-bin/webhook/send?key=s3cret",
}
SECRETS: Final = {"slack": "", "feishu": "feishu-sign", "dingtalk": "SECdingtalk", "wecom": ""}
_TEXT: Final = {"type": "string", "minLength": 1}


def _closed(**properties: Any) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }


_SCHEMAS: Final = {
    "slack": _closed(text={**_TEXT, "maxLength": 40_000}),
    "feishu": _closed(
        timestamp={"type": "string", "pattern": "^[0-9]{10}$"},
        sign=_TEXT,
        msg_type={"const": "text"},
        content=_closed(text=_TEXT),
    ),
    "dingtalk": _closed(msgtype={"const": "text"}, text=_closed(content=_TEXT)),
    "wecom": _closed(msgtype={"const": "text"}, text=_closed(content=_TEXT)),
}


@dataclass
class Chats:
    """All four at one address; `said` is what was taken: (service, text)."""

    said: list[tuple[str, str]] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)
    busy: bool = False

    def judge(self, path: str, body: bytes) -> tuple[int, bytes]:
        service = next(name for name, of in ADDRESSES.items() if path.startswith(of.split("?")[0]))
        if self.busy:
            return _ANSWERS[service](_BUSY[service])
        sent = json.loads(body)
        try:
            jsonschema.validate(sent, _SCHEMAS[service])
            _signed(service, path, sent)
            text = sent.get("text") or sent["content"]
            text = text if isinstance(text, str) else text.get("content", text.get("text"))
            assert service != "wecom" or len(text.encode()) <= 2048
            assert "<" not in text
        except (jsonschema.ValidationError, AssertionError) as error:
            self.refused.append(f"{service}: {error!r}")
            return _ANSWERS[service](_BAD[service])
        self.said.append((service, text))
        return _ANSWERS[service](0)


def _signed(service: str, path: str, sent: dict[str, Any]) -> None:
    query = parse_qs(urlsplit(path).query, strict_parsing=True) if "?" in path else {}
    secret = SECRETS[service].encode()
    if service == "feishu":
        assert abs(int(sent["timestamp"]) - time.time()) < 3600
        key = sent["timestamp"].encode() + b"\n" + secret
        digest = hmac.new(key, b"", hashlib.sha256).digest()
        assert sent["sign"] == base64.b64encode(digest).decode()
    elif service == "dingtalk":
        assert query["access_token"] == ["s3cret"]
        (stamp,), (sign,) = query["timestamp"], query["sign"]
        assert len(stamp) == 13
        assert abs(int(stamp) / 1000 - time.time()) < 3600
        digest = hmac.new(secret, f"{stamp}\n".encode() + secret, hashlib.sha256).digest()
        assert sign == base64.b64encode(digest).decode()
    elif service == "wecom":
        assert query == {"key": ["s3cret"]}


def _errcode(code: int) -> tuple[int, bytes]:
    return 200, json.dumps({"errcode": code, "errmsg": "ok" if code == 0 else "no"}).encode()


_ANSWERS: Final[dict[str, Callable[[int], tuple[int, bytes]]]] = {
    "slack": lambda code: (200, b"ok") if code == 0 else (code, b"invalid_payload"),
    "feishu": lambda code: (
        200,
        json.dumps({"code": code, "msg": "success" if code == 0 else "no", "data": {}}).encode(),
    ),
    "dingtalk": _errcode,
    "wecom": _errcode,
}
# Too many messages, and a message that is no good or wrongly signed.
_BUSY: Final = {"slack": 429, "feishu": 11232, "dingtalk": 410100, "wecom": 45009}
_BAD: Final = {"slack": 400, "feishu": 19021, "dingtalk": 310000, "wecom": 40008}
