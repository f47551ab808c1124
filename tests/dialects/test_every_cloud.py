"""The forms that clouds give to Claude and Gemini, for upstreams and for their clients.
`clouds.txt` has what came of them when it was recorded."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest

from dialects.anthropic.bedrock import BedrockMessagesCodec
from dialects.anthropic.cloud_clients import (
    BedrockClientCodec,
    VertexClientCodec,
    VertexCountCodec,
)
from dialects.anthropic.vertex import VertexMessagesCodec
from dialects.chat.chat import Upstream
from dialects.codec import Codec, Target
from dialects.errors.errors import KINDS, RequestFault, message_of
from dialects.gemini.vertex import VertexCountClientCodec, VertexGenerateContentCodec
from tests.dialects.full_answers import ANSWERS
from tests.dialects.full_requests import REQUESTS
from tests.dialects.test_every_answer import asked, short
from tests.support.golden_texts import GoldenTexts

TEXTS: Final = GoldenTexts(Path(__file__).with_name("clouds.txt"))
TARGET: Final = Target("m", stream=True)
UPSTREAMS: Final[dict[str, Codec[Any]]] = {
    "Claude at Vertex AI": VertexMessagesCodec(),
    "Claude at Bedrock": BedrockMessagesCodec(),
    "Gemini at Vertex AI": VertexGenerateContentCodec(),
}
CLIENTS: Final[dict[str, Codec[Any]]] = {
    "a client of Vertex AI": VertexClientCodec(),
    "a count at Vertex AI": VertexCountCodec(),
    "a client of Bedrock": BedrockClientCodec(),
    "a count of Gemini": VertexCountClientCodec(),
}
BETAS: Final = "context-1m-2025-08-07,unheard-of-1,web-search-2025-03-05"
MODELS: Final = (
    "claude-sonnet-4-5@20250929", "us.anthropic.claude-sonnet-4-5-20250929-v1:0",
    "arn:aws:bedrock:us-east-1:1:inference-profile/eu.anthropic.claude-haiku-4-5", "llama3",
    "anthropic.claude-3-haiku-20240307-v1:0", "claude-opus-4-6",
)  # fmt: skip
OWN: Final[dict[str, Any]] = {
    "anthropic_version": "bedrock-2023-05-31", "service_tier": "auto", "store": True,
    "anthropic_beta": ["one", "two"],
}  # fmt: skip


def upstream_lines(codec: Codec[Any]) -> Iterator[str]:
    yield f"{[codec.upstream_operation(stream=stream) for stream in (False, True)]}"
    yield f"{[codec.content_type(TARGET, stream=stream) for stream in (False, True)]}"
    yield f"{[codec.count_model(model) for model in MODELS]}"
    headers = (("anthropic-beta", BETAS), ("x-other", "1"))
    yield f"{codec.forwarded_headers(headers)}"
    for name, members in REQUESTS[codec.name].items():
        raw = json.dumps(members | OWN).encode()
        facts = codec.read(raw, TARGET)
        quirks = codec.quirks_for(facts, Upstream("up"), {})
        quirks = codec.fit_headers(facts, quirks, dict(headers))
        edited = codec.edit(facts, "up", None, None, quirks)
        yield short(f"{name}: {edited.decode()} without {quirks.dropped}")
        yield short(f"  counted {codec.count_request(edited).decode()}")
        try:
            request = codec.decode(facts, TARGET, "r", 0)
            encoded = codec.encode(request, Upstream("up"))
            yield short(f"  encoded {encoded.body.decode()} without {encoded.dropped}")
        except RequestFault as fault:
            yield f"  rejected: {fault.kind} {fault.param}"
    for answer in (b'{"inputTokens": 7}', b'{"totalTokens": 7}', b"{"):
        yield f"{codec.count_answer(answer)!r}"


def client_lines(codec: Codec[Any]) -> Iterator[str]:
    yield f"{[[*codec.other_names(model)] for model in MODELS]}"
    for name, members in REQUESTS[codec.name].items():
        standard, headers = codec.standard_request(json.dumps(members | OWN).encode(), TARGET)
        yield short(f"{name}: {standard.decode()} {headers}")
    for beta in ("one", ["ä"], ["one", 2], None):
        yield f"{codec.standard_request(json.dumps({'anthropic_beta': beta}).encode(), TARGET)}"
    yield f"{codec.standard_request(b'{', TARGET)}"
    for kind, row in KINDS.items():
        body = codec.render(
            kind, message_of(kind), param="p", code=None, request_id="r", wait_ms=2500,
            target=TARGET,
        )  # fmt: skip
        status = codec.status(kind, row.status)
        yield f"{kind} {status} {codec.headers(kind, status, 'r', 2500)} {body.decode()}"
    for name in ("text", "thoughts of Claude"):
        encoder, framing = codec.encoder(asked(codec.name), TARGET), codec.framing(lambda: 5)
        frames = [*(encoder.feed(event) for event in ANSWERS[name][:-1]), encoder.end()]
        frames.append(encoder.fail("overloaded", "slow", "guard"))
        sent = b"".join(frame if framing is None else framing.feed(frame) for frame in frames)
        yield short(f"{name}: {sent!r}")


@pytest.mark.parametrize("cloud", UPSTREAMS)
def test_request_has_the_form_of_its_cloud(cloud: str) -> None:
    TEXTS.check(cloud, {cloud: "\n".join(upstream_lines(UPSTREAMS[cloud]))})


@pytest.mark.parametrize("cloud", CLIENTS)
def test_client_of_a_cloud_is_read_and_answered_in_its_form(cloud: str) -> None:
    TEXTS.check(cloud, {cloud: "\n".join(client_lines(CLIENTS[cloud]))})
