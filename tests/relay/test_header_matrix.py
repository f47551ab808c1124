"""Each header that can hold a key, or that names a method, host, path, account or hop, through each
way that forwards headers, in both directions (P12, P14).

The headers are those that the hub, the providers' files and the signers know; the ways are the
pages of the reference that have an example, a pass-through, and the sockets.
"""

import json
import secrets
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

import pytest
from psycopg.types.json import Jsonb
from websockets.sync.client import connect

from gateway.channels.overrides.overrides import check_overrides
from gateway.channels.passthrough.rules import PassThroughRule, stored_rules
from gateway.channels.refusals import ChannelRefused
from gateway.providers import PROVIDERS
from gateway.providers.header_names import GUARDED_NAMES, NAMED, is_guarded
from gateway.providers.signing import AwsSigner, TokenSigner, VolcengineSigner
from gateway.providers.task_services import TASK_SERVICES
from reference.operations.all_pages import PAGES
from relay.credentials import keys
from relay.endpoints.passthrough.headers import FORWARDED, RETURNED, forwarded_headers
from tests.fakes.realtime import FakeRealtime
from tests.fakes.upstream import FakeUpstream
from tests.relay.endpoints.passthrough.provider import (
    KEY,
    Handler,
    Provider,
    Seen,
    echo,
    running_provider,
)
from tests.support.hub import Answer, Hub, Tenant

pytestmark = pytest.mark.usefixtures("balanced_books")

SIGNERS: Final = (
    TokenSigner("access", "secret"), VolcengineSigner("access", "secret"),
    AwsSigner("access", "secret", "session"),
)  # fmt: skip
OF_KEYS: Final = (
    {name.decode() for name in keys.KEY_HEADERS}
    | {service.key_header for service in TASK_SERVICES.values() if service.key_header}
    | {spoken.auth.header for one in PROVIDERS.values() for spoken in one.dialects.values()}
    | {
        name
        for signer in SIGNERS
        for name in signer.headers("POST", "https://a.us-east-1.example/b", b"", 0)
        if name in GUARDED_NAMES
    }
)
HEADERS: Final = sorted(GUARDED_NAMES | OF_KEYS)
# The server reads these itself: what they say is not passed on, and a wrong one ends the request.
FRAMING: Final = {
    "connection", "content-length", "expect", "host", "http2-settings", "keep-alive",
    "proxy-connection", "te", "trailer", "transfer-encoding", "upgrade",
}  # fmt: skip
# What providers tell about themselves, and a page's browser would obey.
TOLD: Final = (
    "set-cookie", "location", "www-authenticate", "x-ratelimit-remaining-requests", "alt-svc",
    "anthropic-ratelimit-tokens-remaining", "openai-processing-ms", "x-accel-redirect", "refresh",
    "access-control-allow-origin", "content-location", "link", "x-debug",
)  # fmt: skip
CHAT: Final = {"in_text": 1_000, "out_text": 1_000}
# The provider, the model there, and its rates.
SLUGS: Final[Mapping[str, tuple[str, str, Mapping[str, int]]]] = {
    "chat-completions": ("openai", "gpt-4o", CHAT),
    "completions": ("openai", "gpt-3.5-turbo-instruct", CHAT),
    "responses": ("openai", "gpt-4o", CHAT),
    "responses-compact": ("openai", "gpt-4o", CHAT),
    "responses-input-tokens": ("openai", "gpt-4o", CHAT),
    "embeddings": ("openai", "text-embedding-3-small", {"in_text": 1_000}),
    "moderations": ("openai", "omni-moderation-latest", {"requests": 1_000}),
    "rerank": ("openai_compatible", "fake", {"in_text": 1_000, "searches": 1_000}),
    "image-generations": (
        "openai", "gpt-image-1", {"in_text": 1_000, "in_image": 1_000, "out_image": 1_000}
    ),
    "speech": ("openai", "tts-1", {"characters": 1_000}),
    "messages": ("anthropic", "claude-sonnet-4-5", CHAT),
    "count-tokens": ("anthropic", "claude-sonnet-4-5", CHAT),
    "generate-content": ("gemini", "gemini-2.5-flash", CHAT),
    "gemini-count-tokens": ("gemini", "gemini-2.5-flash", CHAT),
    "interactions": ("gemini", "gemini-2.5-flash", CHAT),
    "embed-content": ("gemini", "gemini-embedding-001", {"in_text": 1_000}),
    "converse": ("bedrock", "anthropic.claude-sonnet-4-5", CHAT),
}  # fmt: skip
PASSED_ON: Final = ("openai", "gpt-4o", CHAT)
MADE_ANEW: Final = {
    "auth-tokens", "client-secrets", "edits", "estimate", "feedback", "jimeng",
    "kling-image2video", "kling-text2video",
    "midjourney-action", "midjourney-blend", "midjourney-change", "midjourney-describe",
    "midjourney-imagine", "midjourney-shorten", "midjourney-tasks", "predict-long-running",
    "suno-lyrics", "suno-music", "suno-tasks", "video-generations", "videos",
}  # fmt: skip
SPELLINGS: Final[tuple[Callable[[str], str], ...]] = (str, lambda name: name.replace("-", "_"))


@pytest.fixture(scope="module")
def provider() -> Iterator[Provider]:
    with running_provider() as provider:
        yield provider


def hostile(key: str, spelled: Callable[[str], str]) -> dict[str, str]:
    """Every header of the list in a spelling, with the caller's key inside: with all spellings, a
    request would have more headers than it may."""
    headers = {spelled(name): f"of {key}" for name in HEADERS if name not in FRAMING}
    own = dict.fromkeys(OF_KEYS & {"x-api-key", "x-goog-api-key", "mj-api-secret"}, key)
    return headers | own | {"authorization": f"Bearer {key}", "x-own": "passed on"}


def channel_of(
    hub: Hub, provider: Provider, slug: str, tenant: Tenant, own: str = ""
) -> tuple[str, str]:
    """A new model of a channel that forwards what it may, with the tenant's own key if there is
    one, and the path of its pass-through."""
    model, rule = f"h-{secrets.token_hex(6)}", PassThroughRule(("GET", "POST"), "/files/*")
    overrides = {"client_headers": ["x-own"], "headers": {"x-operator": "set"}}
    name, upstream, rates = SLUGS.get(slug, PASSED_ON)
    hub.price(model, rates)
    hub.price(rule.label, rule.rates()["meters"], kind="path", channel=f"{model}-0")
    base = provider.url if "openai" in name else provider.url.removesuffix("/v1")
    channel_id = hub.channel(
        model, base, provider.key, provider=name, overrides=Jsonb(overrides), names_client=True,
        pass_through=Jsonb(stored_rules([rule])), upstream_model=upstream, retries=0,
    )  # fmt: skip
    if own:
        hub.own_key(tenant, channel_id, own, fall_back=False)
    hub.know(model)
    return model, f"/passthrough/{model}-0/files/a"


def ask_page(hub: Hub, tenant: Tenant, slug: str, model: str, headers: Mapping[str, str]) -> Answer:
    """Send the example of a page for a model."""
    page = PAGES[slug]
    assert page.example is not None
    body = dict(page.example)
    if page.model_field in body:
        body[page.model_field] = model
    path = page.path
    if ":" in path or path.endswith("/converse"):
        start, _, rest = path.partition("/models/" if ":" in path else "/model/")
        end = rest[rest.index(":" if ":" in path else "/") :]
        path = f"{start}/{'models' if ':' in path else 'model'}/{model}{end}"
    return hub.post(tenant, body, path=path, headers=headers)


def new_names(hostile: Seen, plain: Seen) -> set[str]:
    return hostile.headers.keys() - plain.headers.keys()


# What an organisation's own key does not serve.
CASES: Final = [(slug, False) for slug in (*SLUGS, "pass-through")] + [
    (slug, True) for slug in SLUGS if slug != "responses-compact"
]


@pytest.mark.parametrize(("slug", "own"), CASES)
def test_guarded_headers_of_clients_stay_here(
    hub: Hub, provider: Provider, slug: str, own: bool
) -> None:
    tenant, secret = hub.tenant("100"), "sk-own-0123456789abcdef" if own else ""
    model, path = channel_of(hub, provider, slug, tenant, secret)
    seen: list[Seen] = []
    for headers in ({}, *(hostile(tenant.key, spelled) for spelled in SPELLINGS)):
        before = len(provider.seen)
        if slug == "pass-through":
            hub.request("POST", path, tenant, b"{}", headers)
        else:
            ask_page(hub, tenant, slug, model, headers)
        assert len(provider.seen) == before + 1, hub.log()[-2000:]
        seen.append(provider.last)
    plain, *hostile_ones = seen
    for sent in hostile_ones:
        assert new_names(sent, plain) == {"x-own"}
        assert (sent.method, sent.target) == (plain.method, plain.target)
        assert sent.headers["x-operator"] == "set"
        assert tenant.key not in json.dumps(sent.headers)
        assert (secret or KEY) in json.dumps(sent.headers)
    hub.settled(tenant)


def telling(answer: str, extra: Mapping[str, str]) -> Any:
    """A provider's answer: of a page, with more headers."""
    head, _, rest = answer.partition("\n\n")
    sound = head.startswith("HTTP/1.1")
    kind = "audio/mpeg" if sound else "application/json"

    def tell(handler: Handler) -> None:
        reply: Any = handler.reply
        reply((rest if sound else answer).encode(), kind=kind, **extra)

    return tell


@pytest.mark.parametrize("slug", [*SLUGS, "pass-through"])
def test_guarded_headers_of_providers_stay_here(hub: Hub, provider: Provider, slug: str) -> None:
    tenant = hub.tenant("100")
    model, path = channel_of(hub, provider, slug, tenant)
    names = {*HEADERS, *TOLD} - FRAMING - {"content-encoding"}
    extra = dict.fromkeys(names, f"of {KEY}")
    answers: list[Answer] = []
    text = PAGES[slug].answer if slug in SLUGS else "{}"
    try:
        for headers in ({}, extra):
            provider.otherwise = telling(text, headers)
            if slug == "pass-through":
                answers.append(hub.request("POST", path, tenant, b"{}"))
            else:
                answers.append(ask_page(hub, tenant, slug, model, {}))
    finally:
        provider.otherwise = echo
    plain, told = answers
    assert (plain.status, told.status) == (200, 200), (plain.body, told.body)
    assert told.headers.keys() == plain.headers.keys()
    assert KEY not in json.dumps(told.headers)
    hub.settled(tenant)


def realtime_headers(hub: Hub, provider: FakeRealtime, model: str, headers: Any) -> dict[str, str]:
    """The headers by which a session opens, with its own about the handshake left out."""
    url = hub.url.replace("http", "ws") + f"/v1/realtime?model={model}"
    with connect(url, additional_headers=headers, compression=None) as socket:
        socket.recv(timeout=20)
        assert socket.response is not None
        told = {name.lower(): value for name, value in socket.response.headers.raw_items()}
    assert KEY not in json.dumps(told)
    assert told.keys().isdisjoint({*HEADERS, *TOLD} - FRAMING)
    return provider.sessions[-1].headers


def test_guarded_headers_pass_no_socket_of_speech(hub: Hub) -> None:
    with FakeRealtime() as provider:
        provider.adds = dict.fromkeys({*HEADERS, *TOLD} - FRAMING, f"of {KEY}")
        rates = {"in_text": 1, "out_text": 1, "in_audio": 1, "out_audio": 1, "in_image": 1}
        overrides = Jsonb({"client_headers": ["x-own"]})
        model = hub.model(
            provider, rates=rates, upstream_model="gpt-realtime", retries=0, overrides=overrides
        )
        tenant = hub.tenant("100")
        plain = realtime_headers(hub, provider, model, {"authorization": f"Bearer {tenant.key}"})
        for spelled in SPELLINGS:
            sent = realtime_headers(hub, provider, model, hostile(tenant.key, spelled))
            assert sent.keys() - plain.keys() <= {"x-own"}
            assert tenant.key not in json.dumps(sent)
    hub.settled(tenant)


def test_guarded_headers_pass_no_socket_of_responses(hub: Hub) -> None:
    with FakeUpstream(name="a", sockets=True, keep_bodies=True) as fake:
        model, tenant = hub.model(fake, provider="openai"), hub.tenant("100")
        url = hub.url.replace("http", "ws") + "/v1/responses"
        for spelled in SPELLINGS:
            headers = hostile(tenant.key, spelled)
            with connect(url, additional_headers=headers, compression=None) as socket:
                event = {"type": "response.create", "model": model, "input": "x", "store": False}
                socket.send(json.dumps(event))
                while json.loads(socket.recv(timeout=30))["type"] != "response.completed":
                    pass
        rows = fake.books()
    assert len(rows) == len(SPELLINGS)
    for row in rows:
        assert row["headers"]
        assert tenant.key not in json.dumps(row["headers"])
        names = {name.replace("_", "-") for name in row["headers"]}
        assert names & GUARDED_NAMES <= FRAMING | {"authorization", "x-client-request-id"}
    hub.settled(tenant)


# ---- without a hub


@pytest.mark.parametrize("name", HEADERS)
def test_no_list_names_a_guarded_header(name: str) -> None:
    """Each in every spelling, also those that a server reads itself."""
    for spelled in (name, name.upper(), name.replace("-", "_")):
        assert is_guarded(spelled.lower())
        line = (spelled.encode(), b"secret")
        assert forwarded_headers([line], ()) == {}
        for provider in ("openai", "anthropic", "gemini", "bedrock"):
            with pytest.raises(ChannelRefused):
                check_overrides(PROVIDERS[provider], {"client_headers": [spelled]})
    assert name not in RETURNED


def test_no_provider_passes_a_guarded_header_on() -> None:
    passed = {
        name
        for provider in PROVIDERS.values()
        for spoken in provider.dialects.values()
        for name in spoken.passed_headers
    }
    assert {"anthropic-version", "anthropic-beta", "openai-beta"} <= passed
    assert not [name for name in {*passed, *FORWARDED} if is_guarded(name)]
    assert set(NAMED) >= {"key", "method", "host", "path", "account", "caller", "hop"}


def test_every_page_that_sends_a_request_is_in_the_matrix() -> None:
    """The others are an estimate and feedback, which send nothing, tasks and tokens, whose requests
    are made anew, and forms, which go out by the same function as JSON."""
    beside = {
        slug for slug, page in PAGES.items()
        if page.example is not None and slug not in SLUGS and not page.files
    }  # fmt: skip
    assert beside == MADE_ANEW
