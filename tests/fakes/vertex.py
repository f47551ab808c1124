"""A fake Vertex AI in front of the fake provider, with the sources of its credentials.

    with FakeVertex(fake) as vertex:
        vertex.url      # the base URL of a channel of provider `vertex`
        vertex.key      # its key: the JSON of a service account

PyJWT judges assertions: signature, audience, issuer, scope, times. A request is judged by its path,
its token and its body, and answered with the fake's words (upstream.py says how they are steered).

    vertex.fault = "hang"    the token endpoint: hang, refuse, 500, html, drip (a byte a second)
    vertex.valid_s = 3600    how long a token is valid
    vertex.revoke()          no token that was issued is valid any more
    vertex.ahead_s           how far its clock is ahead; an assertion may be five minutes off
    vertex.issued            how often a token was issued
    vertex.forbidden         models that nobody may use: 403
    vertex.predictions       embeddings and images, with their books
    vertex.token_url         the address of the token endpoint, as assertions have to name it
"""

import contextlib
import http.client
import json
import re
import threading
import time
from collections.abc import Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Final, Self
from urllib.parse import parse_qs, unquote, urlsplit

import jwt

from tests.fakes.google_keys import EMAIL, KEY_ID, PROJECT, PUBLIC, service_account_key
from tests.fakes.upstream import FakeUpstream
from tests.fakes.vertex_predictions import Predictions

LOCATION: Final = "europe-west1"
SCOPE: Final = "https://www.googleapis.com/auth/cloud-platform"
AUDIENCE: Final = "//iam.googleapis.com/projects/1/locations/global/workloadIdentityPools/p"
FOREIGN: Final = "eyJ.foreign.token"
_API_KEY: Final = "AIza-fake-key"
_PATH: Final = re.compile(
    r"/v1/projects/(?P<project>[^/]+)/locations/(?P<location>[^/]+)/"
    r"(?:publishers/(?P<owner>google|anthropic)/models/(?P<model>[^/:]+):(?P<verb>[A-Za-z]+)"
    r"|endpoints/openapi/(?P<open>chat/completions))"
)
_USAGE: Final = b'"usageMetadata":{'
_BETAS: Final = {"web-search-2025-03-05", "interleaved-thinking-2025-05-14"}
_MODELS: Final = [
    "publishers/google/models/gemini-2.5-flash",
    "publishers/google/models/imagen-4",
    "publishers/anthropic/models/claude-sonnet-4-5@20250929",
    "publishers/meta/models/llama-3.3-70b-instruct-maas",
]
_STATUS: Final = {400: "INVALID_ARGUMENT", 401: "UNAUTHENTICATED", 403: "PERMISSION_DENIED"}


class FakeVertex:
    """The fake, running in threads of this process."""

    fault = ""
    valid_s = 3600
    ahead_s = 0.0
    api_key = _API_KEY

    def __init__(self, fake: FakeUpstream) -> None:
        self.fake = fake
        self.requests: list[dict[str, Any]] = []
        self.issued = 0
        self.token_url = ""
        self.forbidden: set[str] = set()
        self.predictions = Predictions()
        self.released = threading.Event()
        self._tokens: dict[str, float] = {}
        handler = type("Handler", (_Handler,), {"vertex": self})
        self._server = _Server(("127.0.0.1", 0), handler)

    @property
    def origin(self) -> str:
        return f"http://127.0.0.1:{self._server.server_port}"

    @property
    def url(self) -> str:
        return f"{self.origin}/v1/projects/{PROJECT}/locations/{LOCATION}"

    @property
    def key(self) -> str:
        return json.dumps(service_account_key(f"{self.origin}/token"), indent=2)

    @property
    def machine_key(self) -> str:
        """That of the machine's own account."""
        return json.dumps({"type": "instance_metadata", "endpoint": self.origin})

    def federated_key(self, path: str) -> str:
        """That of workload identity federation, with a token in a file."""
        return json.dumps(
            {
                "type": "external_account",
                "audience": AUDIENCE,
                "subject_token_type": "urn:ietf:params:oauth:token-type:jwt",
                "token_url": f"{self.origin}/sts",
                "credential_source": {"file": path},
                "service_account_impersonation_url": f"{self.origin}/impersonate",
            }
        )

    def issue(self) -> str:
        self.issued += 1
        token = f"ya29.fake-token-{self.issued}-of-the-fake-vertex"
        self._tokens[token] = time.time() + self.valid_s
        return token

    def knows(self, token: str) -> bool:
        return self._tokens.get(token, 0) > time.time()

    def revoke(self) -> None:
        self._tokens.clear()

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
    request_queue_size = 128

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client may leave at any time."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    vertex: FakeVertex

    def log_message(self, format: str, *args: Any) -> None:
        return

    def do_GET(self) -> None:
        parts = urlsplit(self.path)
        if parts.path == "/computeMetadata/v1/instance/service-accounts/default/token":
            if self.headers["metadata-flavor"] != "Google" or self.headers["x-forwarded-for"]:
                self._refuse(403, "Missing required header")
            else:
                self._issue()
        elif parts.path == "/v1beta1/publishers/*/models":
            if not self._is_known():
                return
            names, token = _MODELS, parse_qs(parts.query).get("pageToken")
            page = {
                "publisherModels": [{"name": name} for name in (names[2:] if token else names[:2])]
            }
            self._answer(200, page if token else page | {"nextPageToken": "n+1"})
        else:
            self._refuse(404, "no such path")

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"]))
        if self.path == "/token":
            self._judge_assertion({n: v[0] for n, v in parse_qs(body.decode()).items()})
        elif self.path == "/sts":
            self._judge_exchange({n: v[0] for n, v in parse_qs(body.decode()).items()})
        elif self.path == "/impersonate":
            self._impersonate(json.loads(body))
        else:
            self.vertex.requests.append(
                {"path": self.path, "body": body, "headers": dict(self.headers.items())}
            )
            self._predict(body)

    # ---- the sources of credentials

    def _issue(self) -> None:
        match self.vertex.fault:
            case "hang":
                self.vertex.released.wait(60)
                self.close_connection = True
            case "drip":
                self.send_response(200)
                self.end_headers()
                while not self.vertex.released.wait(0.5):
                    self.wfile.write(b" ")
            case "refuse":
                text = {"error": "invalid_grant", "error_description": "Account not found"}
                self._answer(400, text)
            case "500":
                self._answer(500, {"error": "internal_failure"})
            case "html":
                self._send(200, "text/html", b"<html>proxy</html>")
            case _:
                issued = {"access_token": self.vertex.issue(), "token_type": "Bearer"}
                self._answer(200, issued | {"expires_in": self.vertex.valid_s})

    def _judge_assertion(self, form: Mapping[str, str]) -> None:
        wrong = ""
        try:
            head = jwt.get_unverified_header(form["assertion"])
            claims = jwt.decode(
                form["assertion"], PUBLIC, ["RS256"],
                audience=self.vertex.token_url or f"{self.vertex.origin}/token",
                issuer=EMAIL, options={"require": ["exp", "iat", "aud", "iss", "scope"]},
            )  # fmt: skip
            if head.get("kid") != KEY_ID or claims["scope"] != SCOPE:
                wrong = "Invalid scope or key"
            elif claims["exp"] - claims["iat"] > 3600 or not self._is_now(claims["iat"]):
                wrong = "Invalid JWT: Token must be a short-lived token (60 minutes) and in a "
                wrong += "reasonable timeframe. Check your iat and exp values in the JWT claim."
        except (jwt.PyJWTError, KeyError) as error:
            wrong = f"Invalid JWT: {error}"
        if form.get("grant_type") != "urn:ietf:params:oauth:grant-type:jwt-bearer":
            wrong = "unsupported"
        if wrong:
            self._answer(400, {"error": "invalid_grant", "error_description": wrong})
        else:
            self._issue()

    def _is_now(self, at_s: float) -> bool:
        return abs(at_s - time.time() - self.vertex.ahead_s) <= 300

    def _judge_exchange(self, form: Mapping[str, str]) -> None:
        wanted = {
            "grant_type": "urn:ietf:params:oauth:grant-type:token-exchange",
            "audience": AUDIENCE,
            "scope": SCOPE,
            "requested_token_type": "urn:ietf:params:oauth:token-type:access_token",
            "subject_token": FOREIGN,
            "subject_token_type": "urn:ietf:params:oauth:token-type:jwt",
        }
        if form == wanted:
            self._issue()
        else:
            self._answer(400, {"error": "invalid_request", "error_description": "wrong"})

    def _impersonate(self, body: Any) -> None:
        if not self._is_known() or body != {"scope": [SCOPE], "lifetime": "3600s"}:
            return
        ends = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + self.vertex.valid_s))
        self._answer(200, {"accessToken": self.vertex.issue(), "expireTime": ends})

    def _is_known(self) -> bool:
        """Whether the request has a token; else it is refused."""
        scheme, _, token = (self.headers["authorization"] or "").partition(" ")
        if scheme == "Bearer" and self.vertex.knows(token):
            return True
        if self.headers["x-goog-api-key"] == _API_KEY:
            return True
        self._refuse(401, "Request had invalid authentication credentials.")
        return False

    # ---- the models

    def _predict(self, body: bytes) -> None:
        parts = urlsplit(self.path)
        match = _PATH.fullmatch(parts.path)
        if not self._is_known():
            return
        if match is None:
            self._refuse(404, "no such path")
        elif (match["project"], match["location"]) != (PROJECT, LOCATION) or (
            match["model"] in self.vertex.forbidden
        ):
            self._refuse(403, "Permission 'aiplatform.endpoints.predict' denied")
        elif match["open"]:
            self._predict_open(body)
        elif match["owner"] == "google":
            self._predict_google(unquote(match["model"]), match["verb"], parts.query, body)
        else:
            self._predict_anthropic(unquote(match["model"]), match["verb"], body)

    def _predict_google(self, model: str, verb: str, query: str, body: bytes) -> None:
        fields = json.loads(body)
        if self.vertex.predictions.serves(model, verb):
            self._send_json(*self.vertex.predictions.answer(model, verb, fields))
        elif not model.startswith("gemini-") or verb in ("predict", "embedContent"):
            self._refuse(404, f"Publisher Model {model} was not found")
        elif any(one.get("role") not in ("user", "model") for one in fields.get("contents", ())):
            self._refuse(400, "Please use a valid role: user, model.")
        elif unknown := fields.keys() & {"store", "model", "generateContentRequest"}:
            self._refuse(400, f'Unknown name "{min(unknown)}": Cannot find field.')
        else:
            target = f"/v1beta/models/{model}:{verb}" + (f"?{query}" if query else "")
            self._forward(target, body, {"x-goog-api-key": self.vertex.fake.key})

    def _predict_anthropic(self, model: str, verb: str, body: bytes) -> None:
        fields = json.loads(body)
        betas = set(filter(None, (self.headers["anthropic-beta"] or "").split(",")))
        named = model == "count-tokens"
        if fields.pop("anthropic_version", "") != "vertex-2023-10-16":
            self._refuse(400, "anthropic_version: Field required")
        elif ("model" in fields) is not named or "service_tier" in fields:
            self._refuse(400, "model: Extra inputs are not permitted")
        elif not betas <= _BETAS:
            self._refuse(400, "Unexpected value(s) for the `anthropic-beta` header")
        elif (verb == "streamRawPredict") is not bool(fields.get("stream")):
            self._refuse(400, "the method does not fit `stream`")
        else:
            keys = {"x-api-key": self.vertex.fake.key, "anthropic-version": "2023-06-01"}
            sent = fields if named else fields | {"model": model}
            path = "/v1/messages/count_tokens" if named else "/v1/messages"
            self._forward(path, json.dumps(sent).encode(), keys)

    def _predict_open(self, body: bytes) -> None:
        model = json.loads(body).get("model", "")
        if "/" not in model:
            self._send_json(400, [_error(400, f"Malformed publisher model: {model}")])
        else:
            keys = {"authorization": f"Bearer {self.vertex.fake.key}"}
            self._forward("/v1/chat/completions", body, keys, google_errors=True)

    def _forward(
        self, path: str, body: bytes, keys: Mapping[str, str], *, google_errors: bool = False
    ) -> None:
        """Ask the fake provider, and pass its answer on as it comes."""
        connection = http.client.HTTPConnection("127.0.0.1", self.vertex.fake.port, timeout=60)
        own = ("x-client-request-id", "content-type")
        headers = {name: self.headers[name] for name in own if self.headers[name]} | dict(keys)
        try:
            connection.request("POST", path, body, headers)
            answer = connection.getresponse()
            if google_errors and answer.status != 200:
                error = json.loads(answer.read())["error"]
                self._send_json(answer.status, [_error(answer.status, error["message"])])
            else:
                self._pass_on(answer)
        except (OSError, http.client.HTTPException, ValueError):
            self.close_connection = True
        finally:
            connection.close()

    def _pass_on(self, answer: http.client.HTTPResponse) -> None:
        self.send_response(answer.status)
        for name, value in answer.getheaders():
            if name.lower() not in ("connection", "transfer-encoding", "content-length", "date"):
                self.send_header(name, value)
        self.send_header("transfer-encoding", "chunked")
        self.end_headers()
        for line in answer:
            # Vertex says by which kind of traffic it answered.
            line = line.replace(
                b'"usageMetadata":{', b'"usageMetadata":{"trafficType":"ON_DEMAND",'
            )
            self.wfile.write(b"%x\r\n%b\r\n" % (len(line), line))
        if answer.length or (answer.chunked and not answer.isclosed()):
            raise http.client.IncompleteRead(b"")
        self.wfile.write(b"0\r\n\r\n")

    # ---- answers

    def _refuse(self, status: int, text: str) -> None:
        self._send_json(status, _error(status, text))

    def _answer(self, status: int, members: Mapping[str, Any]) -> None:
        self._send_json(status, members)

    def _send_json(self, status: int, value: Any) -> None:
        self._send(status, "application/json; charset=UTF-8", json.dumps(value).encode())

    def _send(self, status: int, content_type: str, body: bytes) -> None:
        with contextlib.suppress(OSError):
            self.send_response(status)
            self.send_header("content-type", content_type)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)


def _error(status: int, text: str) -> dict[str, Any]:
    return {"error": {"code": status, "message": text, "status": _STATUS.get(status, "UNKNOWN")}}
