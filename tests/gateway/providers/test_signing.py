"""Signed requests: against a vector of Volcengine's own SDK, and against the text of RFC 7519."""

import base64
import hashlib
import hmac
import json
import time

import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from gateway.providers import PROVIDERS
from gateway.providers.provider import BadAddress
from gateway.providers.signing import AwsSigner, TokenSigner, VolcengineSigner

NOW = 1795341600  # 2026-11-22 10:00:00 UTC
JIMENG = "https://visual.volcengineapi.com/?Action=CVSync2AsyncSubmitTask&Version=2022-08-31"


def test_the_signature_is_that_of_volcengines_sdk() -> None:
    """What `volcengine` 1.0.229 makes of the same request at the same instant."""
    signer = VolcengineSigner("AKID", "SECRET==")
    assert signer.headers("POST", JIMENG, b'{"req_key":"x"}', NOW) == {
        "x-date": "20261122T100000Z",
        "x-content-sha256": "cb202f5037f5598236419b0fbc7bc391bc4b02a8ca61b1e3398f0123c8700272",
        "authorization": "HMAC-SHA256 Credential=AKID/20261122/cn-north-1/cv/request, "
        "SignedHeaders=content-type;host;x-content-sha256;x-date, "
        "Signature=2436bae185b3448212a27c28a607ee70c8e57a4c1730c8f33e7eb363f2c80d65",
    }


def test_token_states_its_issuer_and_lifetime() -> None:
    headers = TokenSigner("AK", "SK").headers("POST", "https://a.example", b"{}", NOW)
    token = headers["authorization"].removeprefix("Bearer ")
    text, _, signature = token.rpartition(".")
    head, claims = (json.loads(base64.urlsafe_b64decode(part + "==")) for part in text.split("."))
    assert head == {"alg": "HS256", "typ": "JWT"}
    assert claims == {"iss": "AK", "exp": NOW + 1800, "nbf": NOW - 5}
    expected = hmac.new(b"SK", text.encode(), hashlib.sha256).digest()
    assert base64.urlsafe_b64decode(signature + "==") == expected


@pytest.mark.parametrize("name", ["kling", "jimeng"])
def test_no_part_of_a_key_stands_in_a_header_or_a_text(name: str) -> None:
    provider = PROVIDERS[name]
    signer = provider.signer_of("AK|SECRET")
    assert "SECRET" not in repr(signer)
    assert provider.headers("AK|SECRET") == {}
    # A proxy of it takes one key.
    assert provider.signer_of("sk-proxy") is None
    assert provider.headers("sk-proxy") == {"authorization": "Bearer sk-proxy"}
    for wrong in ("|SECRET", "AK|", "AK|B|C"):
        with pytest.raises(BadAddress):
            provider.headers(wrong)


CLAUDE = "us.anthropic.claude-sonnet-4-5-20250929-v1%3A0"


@pytest.mark.parametrize(
    ("host", "region"),
    [
        ("bedrock-runtime.eu-central-1.amazonaws.com", "eu-central-1"),
        ("bedrock-runtime-fips.us-gov-west-1.amazonaws.com", "us-gov-west-1"),
        ("vpce-0a1b-2c.bedrock-runtime.ap-southeast-2.vpce.amazonaws.com", "ap-southeast-2"),
        ("bedrock-runtime.cn-north-1.amazonaws.com.cn", "cn-north-1"),
        ("127.0.0.1:4566", "us-east-1"),
    ],
)
@pytest.mark.parametrize("token", ["", "SESSION=="])
def test_a_request_to_aws_is_signed_for_the_region_of_its_host(
    host: str, region: str, token: str
) -> None:
    """A model's name is encoded once in the URL, and once more in the signature."""
    url, body, now = f"https://{host}/model/{CLAUDE}/converse", b'{"a":1}', int(time.time())
    headers = AwsSigner("AKIA1", "SECRET", token).headers("POST", url, body, now)
    request = AWSRequest("POST", url, data=body)
    request.context["timestamp"] = headers["x-amz-date"]
    if token:
        request.headers["X-Amz-Security-Token"] = headers["x-amz-security-token"]
    request.headers["X-Amz-Date"] = headers["x-amz-date"]
    judge = SigV4Auth(Credentials("AKIA1", "SECRET", token or None), "bedrock", region)
    signature = judge.signature(
        judge.string_to_sign(request, judge.canonical_request(request)), request
    )
    assert headers["authorization"].endswith(f"Signature={signature}")
    assert f"/{region}/bedrock/aws4_request" in headers["authorization"]
    assert "SECRET" not in repr(AwsSigner("AKIA1", "SECRET", token))
    assert "SESSION" not in repr(AwsSigner("AKIA1", "SECRET", token))


def test_the_signing_key_follows_the_day() -> None:
    signer, url = AwsSigner("AKIA1", "SECRET"), f"https://h.us-east-1.amazonaws.com/model/{CLAUDE}"
    for now in (NOW, NOW + 86_400, NOW):
        fresh = AwsSigner("AKIA1", "SECRET").headers("POST", url, b"", now)
        assert signer.headers("POST", url, b"", now) == fresh
