import pytest

from gateway.providers import PROVIDERS, UnknownProvider, provider_named
from gateway.providers.provider import BadAddress, Quirk


@pytest.mark.parametrize(
    ("base_url", "url"),
    [
        ("https://api.openai.com/v1", "https://api.openai.com/v1/chat/completions"),
        ("https://api.openai.com/v1/", "https://api.openai.com/v1/chat/completions"),
        ("http://127.0.0.1:8080", "http://127.0.0.1:8080/v1/chat/completions"),
        ("http://[::1]:8080/", "http://[::1]:8080/v1/chat/completions"),
        ("https://host/some/where", "https://host/some/where/chat/completions"),
    ],
)
def test_url(base_url: str, url: str) -> None:
    provider = provider_named("openai_compatible")
    assert provider.url("chat_completions", base_url) == url
    assert provider.url("models", base_url) == url.replace("/chat/completions", "/models")


@pytest.mark.parametrize(
    "base_url",
    [
        "",
        "host/v1",
        "ftp://host/v1",
        "https://",
        "https://host:99999/v1",
        "https://host:0/v1",
        "https://[::1/v1",
        "https://user:secret@host/v1",
        "https://user@host/v1",
        "https://host/v1?x=1",
        "https://host/v1#x",
        "https://host/v1?",
        "https://host/v1\r\nx: y",
        "https://host/a b",
        "https://höst/v1",
    ],
)
def test_bad_base_url(base_url: str) -> None:
    with pytest.raises(BadAddress):
        provider_named("openai").url("models", base_url)


def test_secret() -> None:
    assert provider_named("openai").headers("sk-1") == {"authorization": "Bearer sk-1"}
    assert provider_named("local").headers(None) == {}
    with pytest.raises(BadAddress, match="needs a key"):
        provider_named("openai").headers("")
    for secret in ("a b", "a\r\nx: y", "ключ", "a\0"):
        with pytest.raises(BadAddress, match="visible ASCII"):
            provider_named("openai").headers(secret)


def test_registry() -> None:
    assert all(provider.name == name for name, provider in PROVIDERS.items())
    assert all(provider.dialect == "openai" for provider in PROVIDERS.values())
    with pytest.raises(UnknownProvider, match="'nope': it must be one of openai, openai_compat"):
        provider_named("nope")


def test_local_model_keeps_no_connection_and_calls_no_tools() -> None:
    assert provider_named("local").quirks == {Quirk.NO_CONNECTION_REUSE, Quirk.NO_TOOLS}
    assert provider_named("openai").quirks == frozenset()
