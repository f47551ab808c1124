import json
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from dialects.chat.chat import ChatRequest
from dialects.chat.operation import Operation
from dialects.codec import Target
from dialects.endpoints.codecs import CODECS
from dialects.gemini.model_name import read_target
from gateway.providers import PROVIDERS, provider_named
from gateway.providers.models import capabilities_of
from gateway.providers.targets import upstream_of
from tests.dialects import neutral
from tests.gateway.providers.asking import CASES, NOT_CHATTING, outgoing

FOLDER = Path(__file__).parents[2] / "golden" / "providers"


def load(name: str) -> Any:
    return json.loads((FOLDER / name).read_text())


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("name", [name for name in PROVIDERS if name not in NOT_CHATTING])
def test_outgoing_requests(name: str, case: str) -> None:
    golden = load(f"{name}/{case}.json")
    assert outgoing(PROVIDERS[name], case, **golden["model"]) == golden["request"]


def test_every_folder_has_a_provider() -> None:
    assert {folder.name for folder in FOLDER.iterdir()} == set(PROVIDERS) - NOT_CHATTING


# Requests that providers are known to get: operation, path and headers of every one, and the body
# of every chat request, read as a client's and written for the upstream.
RECORDED = {
    "openai/requests.json": "https://api.openai.com",
    "openai/responses_requests.json": "https://api.openai.com",
    "anthropic/requests.json": "https://api.anthropic.com",
    "gemini/requests.json": "https://generativelanguage.googleapis.com",
}
OPERATIONS: dict[str, Operation] = {
    "/v1/chat/completions": "chat_completions",
    "/v1/completions": "completions",
    "/v1/responses": "responses",
    "/v1/responses/compact": "responses_compact",
    "/v1/messages": "messages",
    "/v1/messages/count_tokens": "count_tokens",
    "/v1/models": "models",
    "/v1beta/models": "models",
    "generateContent": "generate_content",
    "streamGenerateContent": "stream_generate_content",
    "countTokens": "gemini_count_tokens",
    "embedContent": "embed_content",
    "batchEmbedContents": "batch_embed_contents",
}
CHAT = {"chat_completions", "responses", "messages", "generate_content"}
EXCHANGES = [
    pytest.param(name.partition("/")[0], host, recorded, id=f"{name}#{recorded['id']}")
    for name, host in RECORDED.items()
    for recorded in load(name)
]


@pytest.mark.parametrize(("name", "host", "recorded"), EXCHANGES)
def test_recorded_requests(name: str, host: str, recorded: dict[str, Any]) -> None:
    provider, path = provider_named(name), recorded["path"]
    target = read_target(path.removeprefix("/v1beta/models/"))
    operation = OPERATIONS[path if target is None else target[1]]
    model = target[0] if target else (recorded.get("body") or {}).get("model", "")
    # Every stream is asked as events.
    url = provider.url(operation, provider.base_url, model).removesuffix("?alt=sse")
    assert url == host + path
    spoken = next(
        dialect for dialect, spoken in provider.dialects.items() if operation in spoken.paths
    )
    headers = provider.headers("KEY", spoken)
    assert headers.items() >= recorded.get("headers", {}).items()
    assert [value for value in headers.values() if value.endswith("KEY")]
    assert urlsplit(host + path).query == ""
    if operation in CHAT:
        codec, addressed = CODECS[spoken], Target(model)

        def read(raw: bytes) -> ChatRequest:
            facts = codec.read(raw, addressed)
            return codec.decode(facts, addressed, neutral.REQUEST_ID, neutral.RECEIVED_AT)

        asked = read(json.dumps(recorded["body"]).encode())
        upstream = upstream_of(provider, spoken, model, capabilities_of(model, provider))
        encoded = codec.encode(asked, upstream)
        assert read(encoded.body) == asked
        assert encoded.dropped == ()
