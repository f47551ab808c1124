"""Google's credentials, from a JSON file that Google issues.

    service_account       a key of a service account (developers.google.com, "Using OAuth 2.0 for
                          Server to Server Applications"; RFC 7523)
    external_account      workload identity federation: another issuer's token, exchanged (RFC
                          8693; google.aip.dev/auth/4117)
    authorized_user       a user's, as `gcloud auth application-default login` writes it
    instance_metadata     our own: the service account of the machine (google.aip.dev/auth/4115)

As of 2026-11. Pure: no clock, no network.
"""

import base64
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from functools import lru_cache
from typing import Final
from urllib.parse import urlencode

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from gateway.providers.cloud_credentials.credentials import (
    FORM,
    Ask,
    BadKey,
    Credentials,
    CredentialsFailed,
    CredentialSource,
    KeyMembers,
    Readers,
    ReadFile,
    Reply,
    Steps,
    TokenSigner,
    clock_of,
    credentials_for,
    key_text,
    key_url,
    member,
    read_key,
    read_members,
)

SCOPE: Final = "https://www.googleapis.com/auth/cloud-platform"
TOKEN_URL: Final = "https://oauth2.googleapis.com/token"  # noqa: S105 - an address
METADATA: Final = "http://169.254.169.254"
JWT_GRANT: Final = "urn:ietf:params:oauth:grant-type:jwt-bearer"
EXCHANGE_GRANT: Final = "urn:ietf:params:oauth:grant-type:token-exchange"
_ACCESS_TOKEN: Final = "urn:ietf:params:oauth:token-type:access_token"  # noqa: S105 - a name
_ASSERTION_S: Final = 3600
# Google accepts no assertion from the future, and clocks differ a little.
_SKEW_S: Final = 10
_BITS_MIN: Final = 2048


@dataclass(frozen=True, slots=True)
class ServiceAccount:
    """A service account's own key."""

    email: str
    key_id: str
    private_key: str = field(repr=False)
    token_url: str = TOKEN_URL
    project: str = ""

    @property
    def ending(self) -> str:
        return self.key_id[-4:]

    def fetch(self, now_s: int) -> Steps:
        who = "the token endpoint of the service account"
        claims = {
            "iss": self.email,
            "scope": SCOPE,
            "aud": self.token_url,
            "iat": now_s - _SKEW_S,
            "exp": now_s - _SKEW_S + _ASSERTION_S,
        }
        assertion = sign_jwt(self.private_key, {"kid": self.key_id}, claims)
        form = {"grant_type": JWT_GRANT, "assertion": assertion}
        reply = yield _post(self.token_url, form)
        return _token_of(reply, now_s, who)


@dataclass(frozen=True, slots=True)
class User:
    """A user's refresh token."""

    client_id: str
    client_secret: str = field(repr=False)
    refresh_token: str = field(repr=False)
    token_url: str = TOKEN_URL
    project: str = ""

    @property
    def ending(self) -> str:
        return self.refresh_token[-4:]

    def fetch(self, now_s: int) -> Steps:
        form = {
            "grant_type": "refresh_token",
            "client_id": self.client_id,
            "client_secret": self.client_secret,
            "refresh_token": self.refresh_token,
        }
        reply = yield _post(self.token_url, form)
        return _token_of(reply, now_s, "the token endpoint of the user")


@dataclass(frozen=True, slots=True)
class Metadata:
    """The service account of the machine."""

    endpoint: str = METADATA
    project: str = ""

    @property
    def ending(self) -> str:
        return ""

    def fetch(self, now_s: int) -> Steps:
        url = f"{self.endpoint}/computeMetadata/v1/instance/service-accounts/default/token"
        reply = yield Ask(
            "GET", f"{url}?{urlencode({'scopes': SCOPE})}", {"metadata-flavor": "Google"}, near=True
        )
        return _token_of(reply, now_s, "the metadata service")


@dataclass(frozen=True, slots=True)
class ExternalAccount:
    """A token of another issuer, exchanged for one of Google's. The token is read from a file or a
    URL. `field_name` is its member in JSON, "" for plain text."""

    audience: str
    subject_token_type: str
    token_url: str
    path: str = ""
    url: str = ""
    url_headers: tuple[tuple[str, str], ...] = field(default=(), repr=False)
    field_name: str = ""
    impersonation_url: str = ""
    lifetime_s: int = 3600
    project: str = ""

    @property
    def ending(self) -> str:
        return ""

    def fetch(self, now_s: int) -> Steps:
        if self.path:
            reply = yield ReadFile(self.path)
        else:
            reply = yield Ask("GET", self.url, dict(self.url_headers))
        subject = self._subject(reply)
        who = "the token exchange"
        form = {
            "grant_type": EXCHANGE_GRANT,
            "audience": self.audience,
            "scope": SCOPE,
            "requested_token_type": _ACCESS_TOKEN,
            "subject_token": subject,
            "subject_token_type": self.subject_token_type,
        }
        reply = yield _post(self.token_url, form)
        credentials = _token_of(reply, now_s, who)
        if not self.impersonation_url:
            return credentials
        headers = dict(credentials.signer.headers("POST", self.impersonation_url, b"", now_s))
        body = {"scope": [SCOPE], "lifetime": f"{self.lifetime_s}s"}
        reply = yield Ask(
            "POST",
            self.impersonation_url,
            {"content-type": "application/json", **headers},
            json.dumps(body).encode(),
        )
        return _impersonated(reply, now_s)

    def _subject(self, reply: Reply) -> str:
        who = "the source of the subject token"
        if not self.field_name:
            if not 200 <= reply.status < 300:
                read_members(reply, who)
            text = reply.body.decode("utf-8", "replace").strip()
            if not text:
                raise CredentialsFailed(f"{who} is empty")
            return text
        return member(read_members(reply, who), self.field_name, who)


def read_google_key(text: str) -> CredentialSource | None:
    """Return the source that a key refers to, or None for a key that is sent unchanged. Raises
    BadKey."""
    return read_key(text, _READERS)


def project_of(text: str) -> str:
    """Return the project in a key, or "". Raises BadKey."""
    source = read_google_key(text)
    return str(getattr(source, "project", ""))


def sign_jwt(private_key: str, head: Mapping[str, str], claims: Mapping[str, object]) -> str:
    """Return a JSON Web Token (RFC 7519, RS256). Raises BadKey."""
    signed = f"{_encode({'alg': 'RS256', 'typ': 'JWT', **head})}.{_encode(claims)}"
    signature = _load(private_key).sign(signed.encode(), PKCS1v15(), SHA256())
    return f"{signed}.{_base64(signature)}"


@lru_cache(64)
def _load(pem: str) -> RSAPrivateKey:
    try:
        key = load_pem_private_key(pem.encode(), None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        key = None
    if not isinstance(key, RSAPrivateKey) or key.key_size < _BITS_MIN:
        raise BadKey("private_key must be an RSA key in PEM, of at least 2048 bits")
    return key


def _service_account(key: KeyMembers) -> CredentialSource:
    account = ServiceAccount(
        email=key_text(key, "client_email"),
        key_id=key_text(key, "private_key_id"),
        private_key=key_text(key, "private_key"),
        token_url=key_url(key, "token_uri", TOKEN_URL),
        project=key_text(key, "project_id", ""),
    )
    _load(account.private_key)
    return account


def _user(key: KeyMembers) -> CredentialSource:
    return User(
        client_id=key_text(key, "client_id"),
        client_secret=key_text(key, "client_secret"),
        refresh_token=key_text(key, "refresh_token"),
        token_url=key_url(key, "token_uri", TOKEN_URL),
        project=key_text(key, "quota_project_id", ""),
    )


def _metadata(key: KeyMembers) -> CredentialSource:
    return Metadata(key_url(key, "endpoint", METADATA), key_text(key, "project_id", ""))


def _external_account(key: KeyMembers) -> CredentialSource:
    source = key.get("credential_source")
    if not isinstance(source, dict):
        raise BadKey("the key needs credential_source")
    form = source.get("format") or {}
    path, url = key_text(source, "file", ""), key_url(source, "url", "")
    if "environment_id" in source or not (path or url):
        # Such credentials come from AWS, from a program, or from a certificate.
        raise BadKey("credential_source must be a file or a url")
    headers = source.get("headers") or {}
    lifetime = key.get("service_account_impersonation") or {}
    if not all(isinstance(part, dict) for part in (form, headers, lifetime)):
        raise BadKey("format, headers and service_account_impersonation must be objects")
    seconds = lifetime.get("token_lifetime_seconds", 3600)
    if not isinstance(seconds, int) or not 600 <= seconds <= 43_200:
        raise BadKey("token_lifetime_seconds must be a number from 600 to 43200")
    return ExternalAccount(
        audience=key_text(key, "audience"),
        subject_token_type=key_text(key, "subject_token_type"),
        token_url=key_url(key, "token_url"),
        path=path,
        url="" if path else url,
        url_headers=tuple((str(name).lower(), str(value)) for name, value in headers.items()),
        field_name=key_text(form, "subject_token_field_name") if form.get("type") == "json" else "",
        impersonation_url=key_url(key, "service_account_impersonation_url", ""),
        lifetime_s=seconds,
        project=key_text(key, "quota_project_id", ""),
    )


_READERS: Final[Readers] = {
    "service_account": _service_account,
    "external_account": _external_account,
    "authorized_user": _user,
    "instance_metadata": _metadata,
}


def _post(url: str, form: Mapping[str, str]) -> Ask:
    return Ask("POST", url, {"content-type": FORM}, urlencode(form).encode())


def _token_of(reply: Reply, now_s: int, who: str) -> Credentials:
    members = read_members(reply, who)
    token, seconds = member(members, "access_token", who), members.get("expires_in")
    if not isinstance(seconds, int):
        raise CredentialsFailed(f"{who} did not answer with expires_in")
    return credentials_for(TokenSigner(token), seconds, now_s, who)


def _impersonated(reply: Reply, now_s: int) -> Credentials:
    who = "the impersonation of the service account"
    members = read_members(reply, who)
    token, ends = member(members, "accessToken", who), member(members, "expireTime", who)
    try:
        ends_at_s = int(datetime.fromisoformat(ends).timestamp())
    except (ValueError, OverflowError):
        raise CredentialsFailed(f"{who} did not answer with expireTime") from None
    return credentials_for(TokenSigner(token), ends_at_s - clock_of(reply, now_s), now_s, who)


def _encode(value: Mapping[str, object]) -> str:
    return _base64(json.dumps(value, separators=(",", ":")).encode())


def _base64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()
