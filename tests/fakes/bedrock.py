"""A fake Amazon Bedrock in front of the fake provider: botocore judges signatures and the form of
Converse; it checks that of InvokeModel, and answers with the fake's words as Bedrock sends them.

    with FakeBedrock(fake) as bedrock:
        bedrock.url, bedrock.key        # what a channel of provider `bedrock` is set to

        bedrock.role_key(path)          # a role's, by a token in a file
        bedrock.machine_key             # the machine's, by its metadata (IMDSv2)

CountTokens counts words. The directives of the fake steer it (upstream.py).

    bedrock.broken = "crc"      the third message of each stream, or that of `broken_at`: crc,
                                length, kind, json, base64, expired (credentials)
    bedrock.fault = "hang"      the sources of credentials: hang, 500, or "hang /path" for one step
    bedrock.revoke()            credentials that were issued have expired from now on
    bedrock.ahead_s             how far its clock is ahead; it takes no signature that is five
                                minutes old, or early
    bedrock.issued              how often credentials were issued
"""

import base64
import calendar
import http.client
import json
import struct
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import MappingProxyType, TracebackType
from typing import Any, Protocol, Self
from urllib.parse import parse_qs, unquote

from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from tests.fakes import converse
from tests.fakes.aws_stream import NAMES, chunk, error_message, event_message, exception
from tests.fakes.upstream import FakeUpstream

ACCESS, SECRET, TOKEN, BEARER = "AKIAFAKE", "fake/secret+key", "fake==session", "bedrock-api-key-x"
REGION = "us-east-1"
ROLE = "arn:aws:iam::123456789012:role/weir"
FOREIGN = "eyJ.foreign.token"
_METADATA = "/latest/meta-data/iam/security-credentials/"
OWN = "arn:aws:bedrock:us-east-1:123456789012:application-inference-profile/a1b2c3"
PROFILES = [
    {
        "inferenceProfileId": "us.anthropic.claude-opus-4-6-v1",
        "inferenceProfileArn": "arn:aws:bedrock:us-east-1:123456789012:inference-profile/x",
        "type": "SYSTEM_DEFINED",
    },
    {"inferenceProfileId": "a1b2c3", "inferenceProfileArn": OWN, "type": "APPLICATION"},
]
_EXPIRED = "The security token included in the request is expired"
_STATUSES = {529: 503, 504: 408}


class FakeBedrock:
    """The fake, running in threads of this process."""

    key = f"{ACCESS}|{SECRET}"
    # How often credentials were issued.
    issued = 0
    broken = ""
    broken_at = 2
    fault = ""
    ahead_s = 0.0
    # Added to the usage of each answer.
    usage: Mapping[str, int] = MappingProxyType({})

    def __init__(self, fake: FakeUpstream) -> None:
        self.fake = fake
        self.requests: list[dict[str, Any]] = []
        self.ended: set[str] = {"expired"}
        self.released = threading.Event()
        handler = type("Handler", (_Handler,), {"bedrock": self})
        self._server = _Server(("127.0.0.1", 0), handler)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_port}"

    @property
    def machine_key(self) -> str:
        return json.dumps({"type": "instance_metadata", "endpoint": self.url})

    def role_key(self, path: str) -> str:
        key = {"type": "web_identity", "role_arn": ROLE, "token_file": path, "endpoint": self.url}
        return json.dumps(key)

    def issue(self) -> dict[str, str]:
        """Credentials for an hour."""
        self.issued += 1
        ends = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + 3600))
        return {
            "AccessKeyId": ACCESS, "SecretAccessKey": SECRET, "Token": f"{TOKEN}{self.issued}",
            "Expiration": ends,
        }  # fmt: skip

    def revoke(self) -> None:
        self.ended |= {f"{TOKEN}{n + 1}" for n in range(self.issued)}

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.released.set()
        self._server.shutdown()
        self._server.server_close()


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client may leave at any time."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    bedrock: FakeBedrock

    def log_message(self, format: str, *args: Any) -> None:
        return

    def do_GET(self) -> None:
        """The profiles, in pages of one; the machine's credentials."""
        path, _, query = self.path.partition("?")
        if path.startswith(_METADATA):
            if self._fails():
                return
            self._give_credentials(path.removeprefix(_METADATA))
        elif wrong := self._wrong_key(b""):
            self._refuse(403, *wrong)
        elif path != "/inference-profiles":
            self._refuse(404, "UnknownOperationException", "")
        elif "nextToken" in query:
            self._whole(json.dumps({"inferenceProfileSummaries": [PROFILES[1]]}).encode())
        else:
            page = {"inferenceProfileSummaries": [PROFILES[0]], "nextToken": "a+/="}
            self._whole(json.dumps(page).encode())

    def _fails(self) -> bool:
        """Whether this step to credentials is to fail, and does."""
        how, _, step = self.bedrock.fault.partition(" ")
        if not how or not self.path.endswith(step):
            return False
        if how == "hang":
            self.bedrock.released.wait(60)
            self.close_connection = True
        else:
            self._refuse(int(how), "InternalFailure", "")
        return True

    def do_PUT(self) -> None:
        """The session of IMDSv2."""
        if self._fails():
            return
        wanted = self.headers["x-aws-ec2-metadata-token-ttl-seconds"]
        if self.path == "/latest/api/token" and wanted and not self.headers["x-forwarded-for"]:
            self._whole(b"imds-session")
        else:
            self._refuse(400, "BadRequest", "")

    def _give_credentials(self, role: str) -> None:
        if self.headers["x-aws-ec2-metadata-token"] != "imds-session":
            self._refuse(401, "Unauthorized", "")
        elif role == "":
            self._whole(b"weir-role")
        elif role == "weir-role":
            self._whole(json.dumps({"Code": "Success"} | self.bedrock.issue()).encode())
        else:
            self._refuse(404, "NotFound", "")

    def _assume_role(self, form: Mapping[str, str]) -> None:
        if self._fails():
            return
        wanted = {
            "Action": "AssumeRoleWithWebIdentity", "Version": "2011-06-15", "RoleArn": ROLE,
            "RoleSessionName": "weir", "WebIdentityToken": FOREIGN,
        }  # fmt: skip
        if form != wanted:
            text = "<Code>InvalidIdentityToken</Code><Message>No such token</Message>"
            self._whole(f"<ErrorResponse><Error>{text}</Error></ErrorResponse>".encode(), 400)
            return
        issued = self.bedrock.issue()
        issued["SessionToken"] = issued.pop("Token")
        parts = "".join(f"<{name}>{value}</{name}>" for name, value in issued.items())
        name = "AssumeRoleWithWebIdentity"
        inner = f"<{name}Result><Credentials>{parts}</Credentials></{name}Result>"
        self._whole(f"<{name}Response>{inner}</{name}Response>".encode())

    def _count(self, model: str, body: bytes) -> None:
        """CountTokens, of foundation models alone."""
        fields = json.loads(body)
        converse.judge(model, body, "CountTokens")
        inner = json.loads(base64.b64decode(fields["input"]["invokeModel"]["body"]))
        if not model.startswith("anthropic."):
            self._refuse(400, "ValidationException", "The provided model identifier is invalid.")
        elif inner.get("anthropic_version") != "bedrock-2023-05-31" or "max_tokens" not in inner:
            self._refuse(400, "ValidationException", "max_tokens: Field required")
        else:
            words = sum(len(str(one["content"]).split()) for one in inner["messages"])
            self._whole(json.dumps({"inputTokens": words}).encode())

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"]))
        if self.path == "/":
            self._assume_role({n: v[0] for n, v in parse_qs(body.decode()).items()})
            return
        self.bedrock.requests.append({"path": self.path, "body": body, "headers": self.headers})
        wrong = self._wrong_key(body)
        if wrong:
            self._refuse(403, *wrong)
            return
        _, _, model, operation = self.path.split("/")
        fields = json.loads(body)
        if operation == "count-tokens":
            self._count(unquote(model), body)
        elif operation in ("converse", "converse-stream"):
            try:
                converse.judge(unquote(model), body)
            except ValueError as error:
                self._refuse(400, "ValidationException", str(error))
            else:
                fields = converse.to_messages(fields)
                self._ask(unquote(model), fields, converse.Form(operation == "converse-stream"))
        elif fields.get("anthropic_version") != "bedrock-2023-05-31":
            self._refuse(400, "ValidationException", "anthropic_version: Field required")
        elif extra := fields.keys() & {"model", "stream", "service_tier"}:
            text = f"{min(extra)}: Extra inputs are not permitted"
            self._refuse(400, "ValidationException", text)
        else:
            form = InvokeForm(operation == "invoke-with-response-stream")
            self._ask(unquote(model), fields, form)

    def _wrong_key(self, body: bytes) -> tuple[str, str] | None:
        """The name and message of what is wrong with the key or its signature."""
        given = self.headers["authorization"] or ""
        if given.startswith("Bearer "):
            right = given == f"Bearer {BEARER}"
            return None if right else ("AccessDeniedException", "Invalid API Key format")
        token = self.headers["x-amz-security-token"]
        if token in self.bedrock.ended:
            return "ExpiredTokenException", _EXPIRED
        given_s = calendar.timegm(time.strptime(self.headers["x-amz-date"], "%Y%m%dT%H%M%SZ"))
        early_s = given_s - time.time() - self.bedrock.ahead_s
        if abs(early_s) > 300:
            text = "Signature not yet current" if early_s > 0 else "Signature expired"
            return "InvalidSignatureException", f"{text}: {self.headers['x-amz-date']} is not now"
        request = AWSRequest(self.command, f"http://{self.headers['host']}{self.path}", data=body)
        request.context["timestamp"] = self.headers["x-amz-date"]
        request.headers["X-Amz-Date"] = self.headers["x-amz-date"]
        if token:
            request.headers["X-Amz-Security-Token"] = token
        judge = SigV4Auth(Credentials(ACCESS, SECRET, token), "bedrock", REGION)
        canonical = judge.canonical_request(request)
        signature = judge.signature(judge.string_to_sign(request, canonical), request)
        credential = f"Credential={ACCESS}/{self.headers['x-amz-date'][:8]}/{REGION}/bedrock/"
        if credential in given and given.endswith(f"Signature={signature}"):
            return None
        text = "The request signature we calculated does not match the signature you provided."
        return "InvalidSignatureException", f"{text}\n\nThe Canonical String was\n{canonical}"

    def _refuse(self, status: int, name: str, text: str, **headers: str) -> None:
        body = json.dumps({"message": text}).encode()
        self.send_response(status)
        for field, value in headers.items():
            self.send_header(field.replace("_", "-"), value)
        self.send_header("x-amzn-requestid", "req-of-amazon")
        self.send_header("x-amzn-errortype", f"{name}:http://internal.amazon.com/coral/")
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def _ask(self, model: str, fields: dict[str, Any], form: "Form") -> None:
        """Ask the fake provider in Claude's own form, and answer in Bedrock's."""
        fake, sent = self.bedrock.fake, dict(fields)
        for name in ("anthropic_version", "anthropic_beta"):
            sent.pop(name, None)
        connection = http.client.HTTPConnection("127.0.0.1", fake.port, timeout=60)
        own = ("x-client-request-id", "retry-after")
        headers = {name: self.headers[name] for name in own if self.headers[name]}
        headers |= {"x-api-key": fake.key, "anthropic-version": "2023-06-01"}
        body = json.dumps(sent | {"model": model, "stream": form.stream}).encode()
        try:
            connection.request("POST", "/v1/messages", body, headers)
            answer = connection.getresponse()
            if answer.status != 200:
                self._refuse_as(answer)
            elif form.stream:
                self._stream(answer, form)
            else:
                body = answer.read()
                whole = form.whole(json.loads(body), self.bedrock.usage) if body else b""
                self._whole(whole)
        except (OSError, http.client.HTTPException):
            self.close_connection = True
        finally:
            connection.close()

    def _refuse_as(self, answer: http.client.HTTPResponse) -> None:
        error = json.loads(answer.read())["error"]
        headers = {"retry_after": answer.headers.get("retry-after", "")}
        status = _STATUSES.get(answer.status, answer.status)
        name = NAMES.get(error["type"], "InternalServerException")
        if status in (401, 403):
            status, name = 403, "UnrecognizedClientException"
        self._refuse(status, name, error["message"], **{n: v for n, v in headers.items() if v})

    def _whole(self, body: bytes, status: int = 200) -> None:
        self.send_response(status)
        self.send_header("x-amzn-requestid", "req-of-amazon")
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def _stream(self, answer: http.client.HTTPResponse, form: "Form") -> None:
        self.send_response(200)
        self.send_header("x-amzn-requestid", "req-of-amazon")
        self.send_header("content-type", "application/vnd.amazon.eventstream")
        self.send_header("transfer-encoding", "chunked")
        self.end_headers()
        broken = self.bedrock.broken
        messages = (
            form.message_of(json.loads(line), self.bedrock.usage) for line in _data_of(answer)
        )
        for number, raw in enumerate(filter(None, messages)):
            if broken and number == self.bedrock.broken_at:
                raw = _break(raw, broken)
            self.wfile.write(b"%x\r\n%b\r\n" % (len(raw), raw))
        self.wfile.write(b"0\r\n\r\n")


class Form(Protocol):
    """The form of an operation's answers."""

    stream: bool

    def whole(self, answer: dict[str, Any], usage: Mapping[str, int]) -> bytes: ...
    def message_of(self, event: dict[str, Any], usage: Mapping[str, int]) -> bytes: ...


@dataclass
class InvokeForm:
    """Claude's own answers, with Amazon's metrics."""

    stream: bool

    def whole(self, answer: dict[str, Any], usage: Mapping[str, int]) -> bytes:
        answer["usage"] |= usage
        return json.dumps(answer).encode()

    def message_of(self, event: dict[str, Any], usage: Mapping[str, int]) -> bytes:
        if event["type"] == "error":
            return error_message(event["error"])
        if event["type"] == "message_delta":
            event["usage"] |= usage
        if event["type"] == "message_stop":
            event["amazon-bedrock-invocationMetrics"] = {
                "inputTokenCount": 1, "outputTokenCount": 1, "invocationLatency": 900,
                "firstByteLatency": 300,
            }  # fmt: skip
        return chunk(json.dumps(event, separators=(",", ":")).encode())


def _data_of(answer: http.client.HTTPResponse) -> Any:
    """The data of each event, as it arrives. Raises for a body that is cut."""
    for line in answer:
        if line.startswith(b"data: "):
            yield line[6:].strip()


def _break(raw: bytes, how: str) -> bytes:
    match how:
        case "crc":
            return raw[:-1] + bytes([raw[-1] ^ 1])
        case "length":
            return struct.pack("!I", 1 << 31) + raw[4:]
        case "kind":
            return event_message("novelty", b"{}")
        case "json":
            return chunk(b"{")
        case "expired":
            return exception("expiredTokenException", _EXPIRED)
    return event_message("chunk", b'{"bytes":"*"}')
