"""What a realtime connection is opened with, by its query, its subprotocols and its secret."""

from types import SimpleNamespace
from typing import Any

import pytest

from dialects.codec import Target
from dialects.errors.errors import RequestFault
from relay.credentials.client_secrets import ClientSecret
from relay.endpoints.table import find_endpoint, read_invocation
from relay.realtime import operation as module
from relay.realtime.operation import _BETA_HEADER, _BETA_PROTOCOL, connection_invocation

INVOCATION = read_invocation(find_endpoint("/v1/realtime"), "/v1/realtime", (), b"")
SECRET: Any = SimpleNamespace(session={"model": "m"})
ANY: Any = SimpleNamespace(session={})


@pytest.fixture(autouse=True)
def plain(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "first_bound", lambda snapshot, model: f"bound of {model}")


def opened(query: str = "", secret: ClientSecret | None = None, **scope: Any) -> Any:
    known = {"query_string": query.encode(), "headers": [(b"x-a", b"1")]}
    return connection_invocation(INVOCATION, SimpleNamespace(), known | scope, secret)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("query", "secret", "model"),
    [
        ("model=m", None, "m"), ("model=n&model=m", None, "m"), ("", SECRET, "m"),
        ("model=m", SECRET, "m"), ("model=n", ANY, "n"),
    ],
)  # fmt: skip
def test_model_is_that_of_the_query_or_of_the_secret(query: str, secret: Any, model: str) -> None:
    invocation = opened(query, secret)
    assert invocation.target == Target(model)
    assert invocation.unary._unit == f"bound of {model}"
    assert invocation.headers == [(b"x-a", b"1")]


@pytest.mark.parametrize(
    ("query", "secret", "kind"),
    [("", None, "missing_parameter"), ("", ANY, "missing_parameter"),
     ("model=n", SECRET, "invalid_value")],
)  # fmt: skip
def test_model_that_is_missing_or_not_the_secrets_is_refused(
    query: str, secret: Any, kind: str
) -> None:
    with pytest.raises(RequestFault) as refused:
        opened(query, secret)
    assert (refused.value.kind, refused.value.param) == (kind, "model")


def test_beta_is_for_keys_alone() -> None:
    beta: dict[str, Any] = {"subprotocols": ["realtime", _BETA_PROTOCOL]}
    assert opened("model=m", **beta).headers == [(b"x-a", b"1"), _BETA_HEADER]
    name, value = _BETA_HEADER
    for scope in (beta, {"headers": [(name.upper(), value)]}):
        with pytest.raises(RequestFault) as refused:
            opened("", SECRET, **scope)
        assert (refused.value.kind, refused.value.param) == (
            "unsupported_capability", "openai-beta",
        )  # fmt: skip
