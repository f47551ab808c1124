"""Amazon's temporary credentials: what is asked for, and what comes of it; botocore judges what is
signed with them."""

import json
from typing import Any
from urllib.parse import parse_qs

import pytest

from gateway.providers import provider_named
from gateway.providers.cloud_credentials.amazon import read_amazon_key
from gateway.providers.cloud_credentials.credentials import (
    Ask,
    BadKey,
    Credentials,
    CredentialsFailed,
    CredentialsRefused,
    ReadFile,
    Reply,
    Steps,
)
from gateway.providers.signing import AwsSigner

NOW = 1_795_600_000
DATE = {"date": "Wed, 25 Nov 2026 12:30:00 GMT"}
ENDS = "2026-11-25T13:30:00Z"
WEB = {
    "type": "web_identity",
    "role_arn": "arn:aws:iam::123456789012:role/weir",
    "token_file": "/var/run/secrets/eks.amazonaws.com/serviceaccount/token",
    "region": "eu-west-1",
}
STS = f"""<AssumeRoleWithWebIdentityResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/">
  <AssumeRoleWithWebIdentityResult><Credentials>
    <AccessKeyId>ASIAISSUED</AccessKeyId><SecretAccessKey>issued/secret+x</SecretAccessKey>
    <SessionToken>issued==session</SessionToken><Expiration>{ENDS}</Expiration>
  </Credentials></AssumeRoleWithWebIdentityResult>
</AssumeRoleWithWebIdentityResponse>""".encode()
EXPIRED = b"<Error><Code>ExpiredTokenException</Code><Message>Token expired</Message></Error>"
SIGNER = AwsSigner("ASIAISSUED", "issued/secret+x", "issued==session")


def given(**over: Any) -> Reply:
    members = {
        "Code": "Success", "AccessKeyId": "ASIAISSUED", "SecretAccessKey": "issued/secret+x",
        "Token": "issued==session", "Expiration": ENDS,
    } | over  # fmt: skip
    return Reply(200, json.dumps(members).encode(), DATE)


def drive(key: dict[str, Any], *replies: Reply) -> tuple[list[Ask | ReadFile], Credentials]:
    source = read_amazon_key(json.dumps(key))
    assert source is not None
    steps: Steps = source.fetch(NOW)
    taken = [next(steps)]
    for reply in replies[:-1]:
        taken.append(steps.send(reply))
    with pytest.raises(StopIteration) as end:
        steps.send(replies[-1])
    return taken, end.value.value


def test_a_web_identity_becomes_a_role() -> None:
    (first, second), credentials = drive(WEB, Reply(200, b"eyJ.token\n"), Reply(200, STS, DATE))
    assert first == ReadFile(WEB["token_file"])
    assert isinstance(second, Ask)
    assert (second.method, second.url) == ("POST", "https://sts.eu-west-1.amazonaws.com/")
    assert parse_qs(second.body.decode()) == {
        "Action": ["AssumeRoleWithWebIdentity"], "Version": ["2011-06-15"],
        "RoleArn": [WEB["role_arn"]], "RoleSessionName": ["weir"],
        "WebIdentityToken": ["eyJ.token"],
    }  # fmt: skip
    # By the source's clock: ours may be wrong.
    assert (credentials.signer, credentials.ends_at_s) == (SIGNER, NOW + 3600)


def test_the_machine_gives_the_credentials_of_its_role() -> None:
    """IMDSv2: a token first, then the role's name, then its credentials."""
    key = {"type": "instance_metadata"}
    replies = (Reply(200, b"imds-token"), Reply(200, b"weir-role\n"), given())
    steps, credentials = drive(key, *replies)
    base = "http://169.254.169.254/latest/"
    roles = f"{base}meta-data/iam/security-credentials/"
    wanted = {"x-aws-ec2-metadata-token-ttl-seconds": "21600"}
    token = {"x-aws-ec2-metadata-token": "imds-token"}
    assert steps == [
        Ask("PUT", f"{base}api/token", wanted, near=True),
        Ask("GET", roles, token, near=True),
        Ask("GET", f"{roles}weir-role", token, near=True),
    ]
    assert (credentials.signer, credentials.ends_at_s) == (SIGNER, NOW + 3600)


def test_a_container_gives_its_credentials() -> None:
    key = {"type": "container", "uri": "http://169.254.170.2/v2/credentials/1"}
    (step,), credentials = drive(key, given())
    assert step == Ask("GET", key["uri"], {}, near=True)
    assert credentials.signer == SIGNER
    pod = key | {"uri": "http://169.254.170.23/v1/credentials", "token_file": "/t"}
    (first, second), _ = drive(pod, Reply(200, b"eyJ.pod"), given())
    assert first == ReadFile("/t")
    assert isinstance(second, Ask)
    assert second.headers == {"authorization": "eyJ.pod"}


@pytest.mark.parametrize(
    ("key", "replies", "kind", "words"),
    [
        (
            WEB,
            [Reply(200, b"t"), Reply(400, EXPIRED)],
            CredentialsRefused,
            "ExpiredTokenException: Token expired",
        ),
        (WEB, [Reply(200, b"t"), Reply(503, b"")], CredentialsFailed, "status 503"),
        (WEB, [Reply(200, b"t"), Reply(200, b"<html>", DATE)], CredentialsFailed, "AccessKeyId"),
        (WEB, [Reply(200, b" ")], CredentialsFailed, "holds no token"),
        ({"type": "instance_metadata"}, [Reply(404, b"")], CredentialsRefused, "status 404"),
        (
            {"type": "instance_metadata"},
            [Reply(200, b"t"), Reply(200, b"")],
            CredentialsFailed,
            "a value",
        ),
        (
            {"type": "instance_metadata"},
            [Reply(200, b"t"), Reply(200, b"r"), given(Code="AssumeRoleUnauthorizedAccess")],
            CredentialsFailed,
            "no credentials of the role r",
        ),
        (
            {"type": "container", "uri": "http://h/x"},
            [given(Expiration="2026-11-25T12:30:05Z")],
            CredentialsFailed,
            "clock",
        ),
    ],
)  # fmt: skip
def test_no_credentials(key: Any, replies: list[Reply], kind: type, words: str) -> None:
    source = read_amazon_key(json.dumps(key))
    assert source is not None
    steps = source.fetch(NOW)
    next(steps)
    for reply in replies[:-1]:
        steps.send(reply)
    with pytest.raises(CredentialsFailed, match=words) as error:
        steps.send(replies[-1])
    assert type(error.value) is kind


@pytest.mark.parametrize(
    "key",
    [
        {"type": "keys"},
        WEB | {"role_arn": ""},
        WEB | {"region": "x/../y"},
        WEB | {"endpoint": "ftp://h"},
        {"type": "container"},
    ],
)
def test_malformed_key(key: dict[str, Any]) -> None:
    with pytest.raises(BadKey):
        read_amazon_key(json.dumps(key))


def test_other_keys_sign_or_are_sent() -> None:
    bedrock = provider_named("bedrock")
    assert bedrock.credential_source_of("AKIA|secret") is None
    assert bedrock.signer_of("AKIA|secret") == AwsSigner("AKIA", "secret")
    text = json.dumps(WEB | {"session_name": "a|b"})
    assert (bedrock.signer_of(text), bedrock.headers(text, "converse")) == (
        None,
        {"accept": "application/json"},
    )
