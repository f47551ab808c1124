"""An identity provider of the tests: OpenID Connect with one key, and whatever claims are set."""

import base64
import hashlib
import json
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

import jwt
from cryptography.hazmat.primitives.asymmetric import rsa

CLIENT, SECRET = "weir", "the client secret"
_KEY = rsa.generate_private_key(public_exponent=65537, key_size=2048)
FOREIGN_KEY = rsa.generate_private_key(public_exponent=65537, key_size=2048)


class IdentityProvider(ThreadingHTTPServer):
    """`claims` are what it says of whoever signs in; `key` signs, `issuer` is what it calls itself,
    `told` what came to its token endpoint. `answers` are bodies with their status, by path, instead
    of what it would say; `lacking` are claims that its ID tokens have not, `headers` theirs."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.url = f"http://127.0.0.1:{self.server_address[1]}"
        self.issuer = self.url
        self.key = _KEY
        self.claims: dict[str, Any] = {}
        self.over: dict[str, Any] = {}
        self.userinfo: dict[str, Any] | None = None
        self.challenge = ""
        self.answers: dict[str, tuple[int, bytes]] = {}
        self.lacking: tuple[str, ...] = ()
        self.headers: dict[str, Any] = {"kid": "one"}
        self.basic = False
        self.told: list[dict[str, str]] = []
        threading.Thread(target=self.serve_forever, args=(0.01,), daemon=True).start()

    def configuration(self) -> dict[str, Any]:
        return {
            "issuer": self.issuer,
            "authorization_endpoint": f"{self.url}/authorize",
            "token_endpoint": f"{self.url}/token",
            "jwks_uri": f"{self.url}/jwks",
            "userinfo_endpoint": f"{self.url}/userinfo",
            "token_endpoint_auth_methods_supported": [
                "client_secret_basic" if self.basic else "client_secret_post"
            ],
        }

    def jwks(self) -> dict[str, Any]:
        public = json.loads(jwt.algorithms.RSAAlgorithm.to_jwk(_KEY.public_key()))
        return {"keys": [public | {"kid": "one", "use": "sig", "alg": "RS256"}]}

    def id_token(self) -> str:
        now = int(time.time())
        standard = {"iss": self.issuer, "aud": CLIENT, "iat": now, "exp": now + 60}
        claims = standard | self.claims | self.over
        told = {name: claims[name] for name in claims if name not in self.lacking}
        return jwt.encode(told, self.key, algorithm="RS256", headers=self.headers)

    def token(self, sent: dict[str, str]) -> dict[str, Any] | None:
        self.told.append(sent)
        digest = hashlib.sha256(sent.get("code_verifier", "").encode()).digest()
        proof = base64.urlsafe_b64encode(digest).rstrip(b"=").decode()
        if sent.get("client_secret") != SECRET or proof != self.challenge:
            return None
        return {"access_token": "at", "token_type": "Bearer", "id_token": self.id_token()}


class _Handler(BaseHTTPRequestHandler):
    server: IdentityProvider

    def do_GET(self) -> None:
        if self._is_answered():
            return
        match urlsplit(self.path).path:
            case "/.well-known/openid-configuration":
                self._answer(self.server.configuration())
            case "/jwks":
                self._answer(self.server.jwks())
            case "/userinfo" if self.headers["authorization"] == "Bearer at":
                self._answer(self.server.userinfo or self.server.claims)
            case _:
                self._answer(None)

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"])).decode()
        if self._is_answered():
            return
        sent = {key: one[0] for key, one in parse_qs(body).items()}
        if self.server.basic:
            login = base64.b64encode(f"{CLIENT}:{SECRET}".encode()).decode()
            if self.headers["authorization"] == f"Basic {login}":
                sent["client_secret"] = SECRET
        is_form = self.headers["content-type"] == "application/x-www-form-urlencoded"
        self._answer(self.server.token(sent) if is_form else None)

    def _is_answered(self) -> bool:
        if (stated := self.server.answers.get(urlsplit(self.path).path)) is None:
            return False
        self._send(*stated)
        return True

    def _answer(self, body: dict[str, Any] | None) -> None:
        content = json.dumps(body if body is not None else {"error": "invalid_grant"}).encode()
        self._send(200 if body is not None else 400, content)

    def _send(self, status: int, content: bytes) -> None:
        self.send_response(status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: object) -> None:
        pass
