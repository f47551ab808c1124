import re
from urllib.parse import unquote, urlsplit

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from dialects.chat.chat import Dialect
from dialects.chat.operation import Operation
from gateway.providers import PROVIDERS, UnknownProvider, provider_named
from gateway.providers.capabilities import OWNER_FLAGS
from gateway.providers.codecs import codec_for
from gateway.providers.models import capabilities_of
from gateway.providers.provider import BadAddress, BadModelName, NotOffered, Quirk, write_segment
from tests.gateway.providers.asking import NOT_CHATTING

AZURE = "https://acme.openai.azure.com"
VERTEX = "https://v.example/v1/projects/acme-1/locations/europe-west1"
GEMINI = "https://generativelanguage.googleapis.com/v1beta"


@pytest.mark.parametrize(
    ("base_url", "url"),
    [
        ("https://api.openai.com/v1", "https://api.openai.com/v1/chat/completions"),
        ("https://api.openai.com/v1/", "https://api.openai.com/v1/chat/completions"),
        ("http://127.0.0.1:8080", "http://127.0.0.1:8080/v1/chat/completions"),
        ("http://[::1]:8080/", "http://[::1]:8080/v1/chat/completions"),
        ("https://host/some/where", "https://host/some/where/chat/completions"),
        ("https://host/v1.2/~me", "https://host/v1.2/~me/chat/completions"),
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
        "https://host/v1?api-version=2024-10-21",
        "https://host/v1\r\nx: y",
        "https://host/a b",
        "https://höst/v1",
        "https://host\\.example/v1",
        "https://host/..",
        "https://host/v1/../v2",
        "https://host/.hidden",
        "https://host/v1//x",
        "https://host/a%2fb",
        "https://host/@x/v1",
        "https://host/{model}",
        "https://ho%73t/v1",
    ],
)
def test_bad_base_url(base_url: str) -> None:
    with pytest.raises(BadAddress):
        provider_named("openai").url("models", base_url)


@pytest.mark.parametrize(
    ("provider", "base_url", "operation", "url"),
    [
        ("openai", "", "responses", "https://api.openai.com/v1/responses"),
        ("openai", "", "responses_compact", "https://api.openai.com/v1/responses/compact"),
        ("openai", "", "embeddings", "https://api.openai.com/v1/embeddings"),
        ("openai", "", "moderations", "https://api.openai.com/v1/moderations"),
        ("openai", "", "completions", "https://api.openai.com/v1/completions"),
        ("anthropic", "", "messages", "https://api.anthropic.com/v1/messages"),
        ("anthropic", "https://api.anthropic.com", "models", "https://api.anthropic.com/v1/models"),
        ("anthropic", "", "count_tokens", "https://api.anthropic.com/v1/messages/count_tokens"),
        ("gemini", "", "generate_content", f"{GEMINI}/models/m-1:generateContent"),
        (
            "gemini",
            "",
            "stream_generate_content",
            f"{GEMINI}/models/m-1:streamGenerateContent?alt=sse",
        ),
        ("gemini", "", "interactions", f"{GEMINI}/interactions"),
        ("gemini_interactions", "", "interactions", f"{GEMINI}/interactions"),
        ("gemini", "", "gemini_count_tokens", f"{GEMINI}/models/m-1:countTokens"),
        ("gemini", "", "embed_content", f"{GEMINI}/models/m-1:embedContent"),
        ("gemini", "", "batch_embed_contents", f"{GEMINI}/models/m-1:batchEmbedContents"),
        ("gemini", "http://127.0.0.1:9", "models", "http://127.0.0.1:9/v1beta/models"),
        ("deepseek", "https://api.deepseek.com", "models", "https://api.deepseek.com/v1/models"),
        ("glm", "https://h", "chat_completions", "https://h/api/paas/v4/chat/completions"),
        ("doubao", "https://h", "embeddings", "https://h/api/v3/embeddings"),
        ("qwen", "https://h", "models", "https://h/compatible-mode/v1/models"),
        ("openrouter", "", "messages", "https://openrouter.ai/api/v1/messages"),
        (
            "bedrock",
            "https://bedrock-runtime-fips.us-gov-west-1.amazonaws.com",
            "models",
            "https://bedrock-fips.us-gov-west-1.amazonaws.com/inference-profiles",
        ),
        ("bedrock", "http://h:1", "converse", "http://h:1/model/m-1/converse"),
        ("bedrock", "http://h:1", "count_tokens", "http://h:1/model/m-1/count-tokens"),
        (
            "vertex",
            VERTEX,
            "stream_generate_content",
            f"{VERTEX}/publishers/google/models/m-1:streamGenerateContent?alt=sse",
        ),
        (
            "vertex",
            VERTEX,
            "stream_raw_predict",
            f"{VERTEX}/publishers/anthropic/models/m-1:streamRawPredict",
        ),
        (
            "vertex",
            VERTEX,
            "count_tokens",
            f"{VERTEX}/publishers/anthropic/models/count-tokens:rawPredict",
        ),
        ("vertex", VERTEX, "models", "https://v.example/v1beta1/publishers/*/models"),
        ("vertex", "https://h", "models", "https://h/v1beta1/publishers/*/models"),
        (
            "vertex",
            "https://h",
            "generate_content",
            "https://h/v1/publishers/google/models/m-1:generateContent",
        ),
        ("cohere", "", "rerank", "https://api.cohere.ai/v2/rerank"),
        ("cohere", "", "embeddings", "https://api.cohere.ai/compatibility/v1/embeddings"),
        ("cohere", "https://a.example/compatibility/v1", "rerank", "https://a.example/v2/rerank"),
        ("cohere", "https://api.cohere.com/v2", "rerank", "https://api.cohere.com/v2/rerank"),
        ("cohere", "https://proxy.example/c", "rerank", "https://proxy.example/c/v2/rerank"),
        ("jina", "", "rerank", "https://api.jina.ai/v1/rerank"),
        ("jina", "", "embeddings", "https://api.jina.ai/v1/embeddings"),
        ("ollama", "", "responses", "http://127.0.0.1:11434/v1/responses"),
        ("lm_studio", "http://10.0.0.5:1234", "messages", "http://10.0.0.5:1234/v1/messages"),
        (
            "perplexity",
            "https://api.perplexity.ai",
            "responses",
            "https://api.perplexity.ai/v1/responses",
        ),
        ("mistral", "", "transcriptions", "https://api.mistral.ai/v1/audio/transcriptions"),
        ("groq", "https://h", "translations", "https://h/openai/v1/audio/translations"),
        ("cerebras", "", "completions", "https://api.cerebras.ai/v1/completions"),
        ("together", "", "rerank", "https://api.together.ai/v1/rerank"),
        ("fireworks", "", "responses", "https://api.fireworks.ai/inference/v1/responses"),
        ("fireworks", "", "messages", "https://api.fireworks.ai/inference/v1/messages"),
        ("deepinfra", "", "embeddings", "https://api.deepinfra.com/v1/openai/embeddings"),
        ("deepinfra", "", "messages", "https://api.deepinfra.com/anthropic/v1/messages"),
        ("deepinfra", "https://h/p", "messages", "https://h/p/anthropic/v1/messages"),
        ("vllm", "", "rerank", "http://127.0.0.1:8000/v1/rerank"),
        ("azure_openai", AZURE, "chat_completions", f"{AZURE}/openai/v1/chat/completions"),
        ("azure_openai", AZURE, "realtime", f"{AZURE}/openai/v1/realtime?model=m-1"),
        (
            "azure_openai",
            f"{AZURE}/openai/v1?api-version=preview",
            "realtime",
            f"{AZURE}/openai/v1/realtime?model=m-1&api-version=preview",
        ),
        (
            "azure_openai",
            f"{AZURE}?api-version=2025-04-01-preview",
            "realtime",
            f"{AZURE}/openai/realtime?api-version=2025-04-01-preview&deployment=m-1",
        ),
        ("openai", "", "realtime", "https://api.openai.com/v1/realtime?model=m-1"),
        ("azure_openai", f"{AZURE}/openai", "responses", f"{AZURE}/openai/v1/responses"),
        ("azure_openai", f"{AZURE}/openai/v1/", "embeddings", f"{AZURE}/openai/v1/embeddings"),
        (
            "azure_openai",
            f"{AZURE}/openai/v1?api-version=preview",
            "models",
            f"{AZURE}/openai/v1/models?api-version=preview",
        ),
        (
            "azure_openai",
            f"{AZURE}?api-version=2024-10-21",
            "chat_completions",
            f"{AZURE}/openai/deployments/m-1/chat/completions?api-version=2024-10-21",
        ),
        (
            "azure_openai",
            f"{AZURE}/front/openai/?api-version=2024-10-21",
            "embeddings",
            f"{AZURE}/front/openai/deployments/m-1/embeddings?api-version=2024-10-21",
        ),
        (
            "azure_openai",
            f"{AZURE}/openai?api-version=2024-10-21",
            "responses",
            f"{AZURE}/openai/v1/responses",
        ),
    ],
)
def test_address_of_each_operation(
    provider: str, base_url: str, operation: Operation, url: str
) -> None:
    result = provider_named(provider)
    assert result.url(operation, base_url or result.base_url, "m-1") == url


@pytest.mark.parametrize(
    "query", ["", "api-version=", "api-version=a/b", "key=1", "api-version=1&a=b"]
)
def test_an_azure_address_has_no_other_query(query: str) -> None:
    with pytest.raises(BadAddress, match="query"):
        provider_named("azure_openai").address(f"{AZURE}?{query}")


def test_unsupported_operations() -> None:
    with pytest.raises(NotOffered, match="anthropic does not offer chat_completions"):
        provider_named("anthropic").url("chat_completions", "https://api.anthropic.com")
    with pytest.raises(NotOffered, match="glm does not speak gemini"):
        provider_named("glm").headers("k", "gemini")


@pytest.mark.parametrize(
    ("model", "segment"),
    [
        ("gemini-2.5-pro", "gemini-2.5-pro"),
        ("our_model~1", "our_model~1"),
        ("größe", "gr%C3%B6%C3%9Fe"),
        ("a+b&c=d", "a%2Bb%26c%3Dd"),
        ("a;b{model}", "a%3Bb%7Bmodel%7D"),
        ("owner/a b:8b@2+x", "owner%2Fa%20b%3A8b%402%2Bx"),
    ],
)
def test_a_model_is_one_segment_of_a_path(model: str, segment: str) -> None:
    assert write_segment(model) == segment


@pytest.mark.parametrize(
    "model",
    ["", ".", "..", "a/../b", "a..b", "/a", "a/", "a//b", "a/./b", "a\\b", "a?b", "a#b", "a%2fb",
     "%2e%2e", "%252f", "a\tb", "a\r\nb", "a\x00", "a\x7f", "\ud800", "a:streamGenerateContent"],
)  # fmt: skip
def test_a_model_that_could_leave_its_segment(model: str) -> None:
    with pytest.raises(BadModelName):
        write_segment(model)


_AWKWARD = st.sampled_from(["..", "/", "%2f", "%2F", "%", "?", "#", "@", ":", "\\", ";", "&", " "])


@given(st.lists(st.text(max_size=6) | _AWKWARD, max_size=6).map("".join))
@example("{model}")
def test_no_model_name_leaves_its_path(model: str) -> None:
    for name, base_url, start, end, query in (
        ("gemini", GEMINI, "/v1beta/models/", ":generateContent", ""),
        (
            "azure_openai",
            f"{AZURE}?api-version=1",
            "/openai/deployments/",
            "/chat/completions",
            "api-version=1",
        ),
    ):
        provider = provider_named(name)
        operation: Operation = "generate_content" if name == "gemini" else "chat_completions"
        try:
            url = provider.url(operation, base_url, model)
        except BadModelName:
            continue
        parts = urlsplit(url)
        assert (parts.netloc, parts.query) == (urlsplit(base_url).netloc, query)
        assert parts.path.startswith(start)
        assert parts.path.endswith(end)
        segment = parts.path[len(start) : -len(end)]
        assert re.fullmatch(r"([A-Za-z0-9\-._~]|%[0-9A-F]{2})+", segment)
        assert ".." not in segment
        assert not re.search(r"%(25|5C|3F|23|00|0D|0A)", segment)
        # Read once more, it still leads nowhere else.
        assert {"", ".", ".."}.isdisjoint(unquote(segment).split("/"))


@given(st.lists(st.sampled_from("/v1 ~.-_") | st.characters() | _AWKWARD, max_size=6).map("".join))
def test_no_base_url_leads_elsewhere(text: str) -> None:
    base_url = f"https://api.example.org/{text}"
    try:
        url = provider_named("openai").url("responses", base_url)
    except BadAddress:
        return
    assert urlsplit(url).netloc == "api.example.org"
    assert urlsplit(url).path.endswith("/responses")
    assert not re.search(r"[?#@%\\{}]|\.\.|//.*//", url)


def test_secret() -> None:
    assert provider_named("openai").headers("sk-1") == {"authorization": "Bearer sk-1"}
    assert provider_named("azure_openai").headers("k") == {"api-key": "k"}
    assert provider_named("gemini").headers("k") == {"x-goog-api-key": "k"}
    version = {"anthropic-version": "2023-06-01"}
    assert provider_named("anthropic").headers("k") == {"x-api-key": "k"} | version
    for name in ("openrouter", "ollama", "vllm"):
        headers = provider_named(name).headers("k", "anthropic")
        assert headers == {"authorization": "Bearer k"} | version
    assert provider_named("local").headers(None) == {}
    assert provider_named("vllm").headers("", "anthropic") == version
    with pytest.raises(BadAddress, match="needs a key"):
        provider_named("openai").headers("")
    for secret in ("a b", "a\r\nx: y", "ключ", "a\0"):
        with pytest.raises(BadAddress, match="visible ASCII"):
            provider_named("openai").headers(secret)


def test_forwarded_client_headers() -> None:
    fields = {
        "anthropic-version": "2024-01-01",
        "anthropic-beta": "a, b",
        "openai-beta": "x=v1",
        "cookie": "c",
        "authorization": "Bearer client",
        "x-api-key": "client",
        "idempotency-key": "i",
    }
    anthropic = provider_named("anthropic")
    passed = anthropic.passed_headers("anthropic", fields)
    assert passed == {"anthropic-version": "2024-01-01", "anthropic-beta": "a, b"}
    assert (anthropic.headers("k") | passed)["anthropic-version"] == "2024-01-01"
    openai = provider_named("openai")
    assert openai.passed_headers("openai", fields) == {"openai-beta": "x=v1"}
    assert openai.passed_headers("responses", fields) == {"openai-beta": "x=v1"}
    named = fields | {"user-agent": "curl/8"}
    assert openai.passed_headers("responses", named) == {
        "openai-beta": "x=v1",
        "user-agent": "curl/8",
    }
    for value in ("", "a\r\nb: c", "ü", "x" * 1025):
        assert anthropic.passed_headers("anthropic", {"anthropic-beta": value}) == {}


def test_no_secret_ever_stands_in_an_address() -> None:
    for provider in PROVIDERS.values():
        base_url = provider.base_url or "https://host.example"
        address = provider.address(base_url)
        assert address.urls
        for operation in address.urls:
            assert "SECRET" not in address.url(operation, "m")
        for dialect in provider.dialects:
            assert any("SECRET" in value for value in provider.headers("SECRET", dialect).values())


def test_registry() -> None:
    assert all(provider.name == name for name, provider in PROVIDERS.items())
    assert set(PROVIDERS) == {
        "openai", "azure_openai", "anthropic", "gemini", "deepseek", "qwen", "xai", "mistral",
        "glm", "doubao", "kimi", "cohere", "jina", "kling", "jimeng", "minimax", "openrouter",
        "groq", "cerebras", "together", "fireworks", "deepinfra", "ollama", "vllm", "lm_studio",
        "openai_compatible", "openai_metered", "local", "midjourney_proxy", "suno_api",
        "perplexity", "bedrock", "vertex", "gemini_interactions",
    }  # fmt: skip
    with pytest.raises(UnknownProvider, match="'nope': it must be one of openai, openai_compat"):
        provider_named("nope")


CHATTING = [name for name in PROVIDERS if name not in NOT_CHATTING]


@pytest.mark.parametrize("name", CHATTING)
def test_every_dialect_has_its_chat(name: str) -> None:
    provider = PROVIDERS[name]
    assert provider.dialects
    for dialect, spoken in provider.dialects.items():
        for stream in (False, True):
            assert codec_for(provider, dialect).upstream_operation(stream=stream) in spoken.paths
        assert all(header == header.lower() for header in (*spoken.headers, *spoken.passed_headers))


def test_the_first_dialect_lists_the_models() -> None:
    assert provider_named("openai").spoken() is provider_named("openai").spoken("openai")
    dialect: Dialect = "anthropic"
    assert "models" not in provider_named("vllm").spoken(dialect).paths


def test_hosts_of_open_models_have_one_api_for_all() -> None:
    """What an owner's own API needs is left out there, and the host's own needs are added."""
    for name in ("groq", "cerebras", "together", "fireworks", "deepinfra", "lm_studio"):
        provider = provider_named(name)
        for model in ("deepseek-ai/DeepSeek-V4-Pro", "Qwen/Qwen3-32B", "zai-org/GLM-5"):
            flags = capabilities_of(model, provider).flags
            assert flags.isdisjoint(OWNER_FLAGS - provider.flags)
            assert flags >= provider.flags
    assert "no_logprobs" in capabilities_of("any", provider_named("groq")).flags


def test_peculiarities_of_a_provider() -> None:
    assert provider_named("local").quirks == {Quirk.NO_CONNECTION_REUSE, Quirk.NO_TOOLS}
    assert provider_named("openai").quirks == {Quirk.RESPONSES_SOCKETS}
    assert provider_named("openai_compatible").quirks == frozenset()


def test_media_of_a_hold_have_bounds() -> None:
    for provider in PROVIDERS.values():
        assert set(provider.media_tokens_max) == {"image", "audio", "file", "video"}
        assert all(bound > 0 for bound in provider.media_tokens_max.values())


def test_usage_look_up() -> None:
    """Where a provider tells what it counted, by the id that went upstream with the attempt."""
    metered = provider_named("openai_metered")
    assert metered.look_up_url("https://a.example/llm/v1/", "01AB") == (
        "https://a.example/llm/v1/usage/01AB"
    )
    assert metered.look_up_url("https://a.example", "01AB") == "https://a.example/v1/usage/01AB"
    with pytest.raises(NotOffered, match="tells no usage"):
        provider_named("openai").look_up_url("https://a.example", "01AB")
