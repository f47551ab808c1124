"""Which paths are the relay's."""

import re
from pathlib import Path

import pytest

from gateway.relay.endpoints import ENDPOINTS, claimed, find_endpoint

NGINX = Path(__file__).parents[3] / "deploy/nginx/hub.conf"


@pytest.mark.parametrize(
    ("path", "handler"),
    [
        ("/v1/chat/completions", "chat"),
        ("/api/v1/chat/completions", "chat"),
        ("/chat/completions", "chat"),
        ("/v1/chat/completions/", "chat"),
        ("/v1/v1/chat/completions", "chat"),
        ("/api/v1/v1/chat/completions", "chat"),
        ("/v1/v1/v1/models/", "models"),
        ("/api/v1/models", "models"),
        ("/v1beta/models/", "models"),
        ("/v1/models/owner/name", "model"),
        ("/api/v1/models/name:8b", "model"),
        ("/v1/models/name:embedContent", "plain"),
        ("/v1beta/models/owner/name:batchEmbedContents", "plain"),
        ("/api/v1/engines/owner/name/embeddings", "plain"),
        ("/v1/v1/embeddings", "plain"),
        ("/v2/rerank", "plain"),
        ("/rerank/", "plain"),
        ("/api/v1/moderations", "plain"),
        ("/completions", "chat"),
        ("/edits", "chat"),
    ],
)
def test_rows_and_their_aliases(path: str, handler: str) -> None:
    endpoint = find_endpoint(path)
    assert endpoint is not None
    assert endpoint.handler == handler
    assert claimed(path)


@pytest.mark.parametrize("path", ["/v1", "/v1/", "/v1/nothing", "/v1/v1", "/v1/v1/x"])
def test_unknown_paths_under_v1_are_answered_here(path: str) -> None:
    assert find_endpoint(path) is None
    assert claimed(path)


@pytest.mark.parametrize(
    "path", ["/", "/api/v1", "/api/v1/keys", "/api/v1/chat", "/v1x", "/v2/models", "/o/v1/models"]
)
def test_everything_else_is_not(path: str) -> None:
    assert not claimed(path)


def test_nginx_treats_every_row_as_the_relays() -> None:
    """With its size of body, and its patience."""
    found = re.search(r'^location ~ "(.+)" \{$', NGINX.read_text(), re.MULTILINE)
    assert found is not None
    relays = re.compile(found[1])
    assert [path for path in ENDPOINTS if not relays.match(path)] == []
    assert not any(map(relays.match, ("/", "/api/v1/keys", "/api/v1/docs", "/o/v1/models")))
