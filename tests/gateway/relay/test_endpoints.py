"""Which paths are the relay's."""

import pytest

from gateway.relay.endpoints import claimed, find_endpoint


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
