"""AWS Signature Version 4: Amazon's own test suite, and botocore as an independent judge."""

import datetime as dt
import hashlib
import json
import re
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from hypothesis import given
from hypothesis import strategies as st

from gateway.providers.aws_signature import AwsKey, authorization, canonical_request, string_to_sign

SUITE = json.loads(
    (Path(__file__).parents[2] / "golden" / "sigv4" / "suite.json").read_text("utf-8")
)
SECRET = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"
KEY = AwsKey("AKIDEXAMPLE", SECRET, "us-east-1", "service")
_TEXT = st.text(st.characters(codec="ascii", min_codepoint=33, max_codepoint=126), min_size=1)
_SEGMENTS = st.lists(st.text(min_size=1, max_size=20).map(lambda text: quote(text, safe="")))


def _read(raw: str) -> tuple[str, str, list[tuple[str, str]], bytes]:
    head, _, body = raw.partition("\n\n")
    first, *lines = re.sub(r"\n[ \t]+", " ", head.rstrip("\n")).split("\n")
    method, _, rest = first.partition(" ")
    pairs = [line.partition(":") for line in lines]
    headers = [(name, value) for name, _, value in pairs]
    return method, rest.rpartition(" ")[0], headers, body.encode()


@pytest.mark.parametrize("case", SUITE, ids=[case["name"] for case in SUITE])
def test_the_published_suite(case: dict[str, Any]) -> None:
    method, target, headers, body = _read(case["request"])
    token = re.search(r"^x-amz-security-token:(.*)$", case["canonical_request"], re.MULTILINE)
    if token is not None and "Security-Token" not in case["request"]:
        # The signer of a case adds the token of its key.
        headers.append(("x-amz-security-token", token[1]))
    digest = hashlib.sha256(body).hexdigest()
    canonical, _ = canonical_request(method, target, headers, digest)
    assert canonical == case["canonical_request"]
    stamp, scope = "20150830T123600Z", "20150830/us-east-1/service/aws4_request"
    assert string_to_sign(stamp, scope, canonical) == case["string_to_sign"]
    assert authorization(KEY, method, target, headers, digest) == case["authorization"]


def test_the_suite_is_whole() -> None:
    assert len({case["name"] for case in SUITE}) == 34


class _At(SigV4Auth):  # type: ignore[misc]
    """Sign at the request's own time; the original reads the clock."""

    def add_auth(self, request: AWSRequest) -> None:
        request.headers["X-Amz-Date"] = request.context["timestamp"]
        if self.credentials.token:
            request.headers["X-Amz-Security-Token"] = self.credentials.token
        canonical = self.canonical_request(request)
        self._inject_signature_to_request(
            request, self.signature(self.string_to_sign(request, canonical), request)
        )


@given(
    segments=_SEGMENTS,
    body=st.binary(max_size=300),
    access=_TEXT,
    secret=_TEXT,
    token=st.one_of(st.just(""), _TEXT),
    now_s=st.integers(946_684_800, 4_102_444_800),
    port=st.sampled_from(["", ":8443"]),
    query=st.lists(
        st.tuples(_TEXT, st.text(max_size=9)), max_size=4, unique_by=lambda pair: pair[0]
    ),
)
def test_signature_matches_botocore(
    segments: list[str],
    body: bytes,
    access: str,
    secret: str,
    token: str,
    now_s: int,
    port: str,
    query: list[tuple[str, str]],
) -> None:
    host = f"bedrock-runtime.eu-west-1.amazonaws.com{port}"
    stamp = dt.datetime.fromtimestamp(now_s, dt.UTC).strftime("%Y%m%dT%H%M%SZ")
    target = "/" + "/".join(segments)
    if query:
        pairs = [f"{quote(name, safe='')}={quote(value, safe='')}" for name, value in query]
        target += "?" + "&".join(pairs)
    request = AWSRequest("POST", f"https://{host}{target}", data=body)
    request.context["timestamp"] = stamp
    _At(Credentials(access, secret, token or None), "bedrock", "eu-west-1").add_auth(request)
    headers = [("host", host), ("x-amz-date", stamp)]
    headers += [("x-amz-security-token", token)] if token else []
    digest = hashlib.sha256(body).hexdigest()
    key = AwsKey(access, secret, "eu-west-1", "bedrock")
    ours = authorization(key, "POST", target, headers, digest)
    assert ours == request.headers["Authorization"]
