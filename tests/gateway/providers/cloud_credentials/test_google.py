"""Google's credentials: what is asked for, judged by PyJWT and by google-auth, and what comes of
it."""

import json
from typing import Any
from urllib.parse import parse_qs

import google.auth.jwt as google_jwt
import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from google.oauth2 import service_account

from gateway.providers import provider_named
from gateway.providers.cloud_credentials.credentials import (
    RENEW_S,
    UNUSABLE_S,
    Ask,
    BadKey,
    Credentials,
    CredentialsFailed,
    CredentialsRefused,
    ReadFile,
    Reply,
    Steps,
)
from gateway.providers.cloud_credentials.google import SCOPE, TOKEN_URL, project_of, read_google_key
from gateway.providers.provider import BadAddress
from tests.fakes.google_keys import EMAIL, KEY_ID, PRIVATE, PUBLIC, service_account_key

NOW = 1_795_600_000
EXTERNAL = {
    "type": "external_account",
    "audience": "//iam.googleapis.com/projects/1/locations/global/workloadIdentityPools/p",
    "subject_token_type": "urn:ietf:params:oauth:token-type:jwt",
    "token_url": "https://sts.googleapis.com/v1/token",
    "credential_source": {"file": "/var/run/token"},
}
IMPERSONATION = (
    "https://iamcredentials.googleapis.com/v1/projects/-/serviceAccounts/a@b:generateAccessToken"
)


def token(seconds: Any = 3599, **over: Any) -> Reply:
    members = {"access_token": "ya29.issued", "expires_in": seconds, "token_type": "Bearer"} | over
    return Reply(200, json.dumps(members).encode())


def drive(key: dict[str, Any], *replies: Reply) -> tuple[list[Ask | ReadFile], Credentials]:
    """Return the steps of a key, and the credentials that come of these replies."""
    source = read_google_key(json.dumps(key))
    assert source is not None
    steps: Steps = source.fetch(NOW)
    taken = [next(steps)]
    for reply in replies[:-1]:
        taken.append(steps.send(reply))
    with pytest.raises(StopIteration) as end:
        steps.send(replies[-1])
    return taken, end.value.value


def asked(step: Ask | ReadFile) -> Ask:
    assert isinstance(step, Ask)
    return step


def test_a_service_account_signs_an_assertion() -> None:
    (step,), credentials = drive(service_account_key(), token())
    ask = asked(step)
    assert (ask.method, ask.url, ask.near) == ("POST", TOKEN_URL, False)
    assert ask.headers == {"content-type": "application/x-www-form-urlencoded"}
    form = parse_qs(ask.body.decode(), strict_parsing=True)
    assert form["grant_type"] == ["urn:ietf:params:oauth:grant-type:jwt-bearer"]
    (assertion,) = form["assertion"]
    claims = jwt.decode(
        assertion, PUBLIC, ["RS256"], audience=TOKEN_URL,
        options={"verify_exp": False, "verify_iat": False},
    )  # fmt: skip
    assert claims == {
        "iss": EMAIL, "scope": SCOPE, "aud": TOKEN_URL, "iat": NOW - 10, "exp": NOW + 3590,
    }  # fmt: skip
    assert jwt.get_unverified_header(assertion) == {"alg": "RS256", "typ": "JWT", "kid": KEY_ID}
    signed = credentials.signer.headers("POST", "https://h/x", b"{}", NOW)
    assert signed == {"authorization": "Bearer ya29.issued"}
    assert credentials.ends_at_s == NOW + 3599


def test_assertion_matches_google_auth() -> None:
    """Byte for byte, but for the seconds in which each begins."""
    (step,), _ = drive(service_account_key(), token())
    ours = parse_qs(asked(step).body.decode())["assertion"][0]
    read: Any = service_account.Credentials.from_service_account_info
    reference = read(service_account_key(), scopes=[SCOPE])._make_authorization_grant_assertion()
    decode: Any = google_jwt._unverified_decode
    head, claims, _, _ = decode(ours)
    their_head, their_claims, _, _ = decode(reference)
    assert head == their_head
    assert claims.keys() == their_claims.keys()
    times = {"iat", "exp"}
    assert {n: v for n, v in claims.items() if n not in times} == {
        n: v for n, v in their_claims.items() if n not in times
    }
    assert claims["exp"] - claims["iat"] == their_claims["exp"] - their_claims["iat"]


def test_credentials_are_renewed_before_their_end() -> None:
    _, credentials = drive(service_account_key(), token(3600))
    renew, end = NOW + 3600 - RENEW_S, NOW + 3600 - UNUSABLE_S
    assert (credentials.is_fresh(renew - 1), credentials.is_fresh(renew)) == (True, False)
    assert (credentials.is_usable(end - 1), credentials.is_usable(end)) == (True, False)
    # A short one not in its first half.
    _, brief = drive(service_account_key(), token(60))
    assert (brief.is_fresh(NOW + 29), brief.is_fresh(NOW + 30)) == (True, False)


def test_a_user_refreshes() -> None:
    key = {
        "type": "authorized_user", "client_id": "c", "client_secret": "s-secret",
        "refresh_token": "1//r-secret", "quota_project_id": "acme-1",
    }  # fmt: skip
    (step,), _ = drive(key, token())
    form = parse_qs(asked(step).body.decode())
    assert form == {
        "grant_type": ["refresh_token"], "client_id": ["c"], "client_secret": ["s-secret"],
        "refresh_token": ["1//r-secret"],
    }  # fmt: skip
    assert project_of(json.dumps(key)) == "acme-1"
    assert "secret" not in repr(read_google_key(json.dumps(key)))


def test_the_machine_is_asked_at_its_own_address() -> None:
    (step,), _ = drive({"type": "instance_metadata", "project_id": "acme-1"}, token())
    ask = asked(step)
    assert ask.url.startswith(
        "http://169.254.169.254/computeMetadata/v1/instance/service-accounts/default/token?scopes="
    )
    assert (ask.method, ask.headers, ask.near) == ("GET", {"metadata-flavor": "Google"}, True)


@pytest.mark.parametrize(
    "form", [{"type": "text"}, {"type": "json", "subject_token_field_name": "t"}]
)
def test_a_foreign_token_is_exchanged(form: dict[str, str]) -> None:
    source = {"file": "/var/run/token", "format": form}
    content = b'{"t": "foreign"}' if form["type"] == "json" else b"foreign\n"
    key = EXTERNAL | {"credential_source": source}
    (first, second), credentials = drive(key, Reply(200, content), token())
    assert first == ReadFile("/var/run/token")
    ask = asked(second)
    assert ask.url == EXTERNAL["token_url"]
    assert parse_qs(ask.body.decode()) == {
        "grant_type": ["urn:ietf:params:oauth:grant-type:token-exchange"],
        "audience": [EXTERNAL["audience"]],
        "scope": [SCOPE],
        "requested_token_type": ["urn:ietf:params:oauth:token-type:access_token"],
        "subject_token": ["foreign"],
        "subject_token_type": [EXTERNAL["subject_token_type"]],
    }
    assert credentials.ends_at_s == NOW + 3599


def test_the_exchanged_token_becomes_a_service_account() -> None:
    source = {"url": "https://idp.example/token", "headers": {"Metadata": "True"}}
    key = EXTERNAL | {
        "credential_source": source, "service_account_impersonation_url": IMPERSONATION,
        "service_account_impersonation": {"token_lifetime_seconds": 1200},
    }  # fmt: skip
    # The source's clock is an hour ahead of ours: they last as long as they were given for.
    issued = {"accessToken": "ya29.impersonated", "expireTime": "2026-11-25T12:50:00Z"}
    last = Reply(200, json.dumps(issued).encode(), {"date": "Wed, 25 Nov 2026 12:30:00 GMT"})
    (first, _, third), credentials = drive(key, Reply(200, b"foreign"), token(), last)
    assert asked(first).headers == {"metadata": "True"}
    ask = asked(third)
    assert (ask.url, json.loads(ask.body)) == (
        IMPERSONATION,
        {"scope": [SCOPE], "lifetime": "1200s"},
    )
    assert ask.headers["authorization"] == "Bearer ya29.issued"
    assert credentials.ends_at_s == NOW + 1200
    signed = credentials.signer.headers("POST", "https://h", b"", NOW)
    assert signed == {"authorization": "Bearer ya29.impersonated"}


def refused(reply: Reply) -> str:
    source = read_google_key(json.dumps(service_account_key()))
    assert source is not None
    steps = source.fetch(NOW)
    next(steps)
    with pytest.raises(CredentialsFailed) as error:
        steps.send(reply)
    kind = "refused" if isinstance(error.value, CredentialsRefused) else "failed"
    return f"{kind}: {error.value}"


def test_a_refusal_names_the_reason() -> None:
    body = {"error": "invalid_grant", "error_description": "Invalid JWT Signature."}
    text = refused(Reply(400, json.dumps(body).encode()))
    assert text.startswith("refused: ")
    assert text.endswith("status 400: invalid_grant: Invalid JWT Signature.")


@pytest.mark.parametrize(
    "reply",
    [
        Reply(500, b""),
        Reply(429, b"{}"),
        Reply(302, b""),
        Reply(200, b"<html>"),
        Reply(200, b"[]"),
        token(access_token="a\nb"),
        token(access_token=None),
        token("soon"),
        token(1),
        token(-3600),
    ],
)
def test_other_answers_are_a_failure(reply: Reply) -> None:
    assert refused(reply).startswith("failed: ")


def pem(key: Any) -> str:
    return str(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode())


@pytest.mark.parametrize(
    ("over", "words"),
    [
        ({"type": "gdch_service_account"}, "type must be one of"),
        ({"type": None}, "type must be one of"),
        ({"client_email": ""}, "needs client_email"),
        ({"private_key": 1}, "needs private_key"),
        ({"private_key": "-----BEGIN PRIVATE KEY-----\n"}, "must be an RSA key"),
        ({"private_key": pem(ec.generate_private_key(ec.SECP256R1()))}, "must be an RSA key"),
        ({"private_key": pem(rsa.generate_private_key(65537, 1024))}, "2048 bits"),
        ({"token_uri": "file:///etc/passwd"}, "token_uri must be an address"),
    ],
)
def test_malformed_key_is_rejected_by_name(over: dict[str, Any], words: str) -> None:
    text = json.dumps(service_account_key() | over)
    with pytest.raises(BadKey, match=words):
        read_google_key(text)
    with pytest.raises(BadAddress, match=words):
        provider_named("vertex").headers(text)


@pytest.mark.parametrize(
    "over",
    [
        {"credential_source": None},
        {"credential_source": {"environment_id": "aws1", "url": "https://h"}},
        {"credential_source": {"executable": {"command": "/bin/sh"}}},
        {"credential_source": {"file": "/t", "format": {"type": "json"}}},
        {"audience": ""},
        {"service_account_impersonation": {"token_lifetime_seconds": 5}},
    ],
)
def test_unsupported_external_account(over: dict[str, Any]) -> None:
    with pytest.raises(BadKey):
        read_google_key(json.dumps(EXTERNAL | over))


def test_other_keys_are_sent_unchanged() -> None:
    vertex = provider_named("vertex")
    assert read_google_key("AIzaSy-plain") is None
    assert vertex.headers("AIzaSy-plain", "gemini") == {"x-goog-api-key": "AIzaSy-plain"}
    text = json.dumps(service_account_key(), indent=2)
    for dialect in vertex.dialects:
        assert vertex.headers(text, dialect) == vertex.dialects[dialect].headers
    source = vertex.credential_source_of(text)
    assert source is not None
    assert (vertex.signer_of(text), source.ending) == (None, KEY_ID[-4:])
    # Equal keys share their credentials, and no secret is shown.
    assert source == vertex.credential_source_of(json.dumps(service_account_key()))
    assert hash(source) == hash(vertex.credential_source_of(text))
    assert PRIVATE not in repr(source)
