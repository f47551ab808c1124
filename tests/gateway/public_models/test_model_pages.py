"""The pages of models and prices that everybody may see (W20)."""

import datetime as dt
import re
from html import unescape

import pytest
from django.test import Client

from accounts.access.actors import SYSTEM
from accounts.models import Role
from billing.price_plans.price_plans import assign_plan, save_plan
from billing.prices.prices import set_price
from gateway.models import Channel, Route
from gateway.settings.installation import save_settings
from tests.support.cast import Cast, member, signed_in
from tests.support.markup import squeezed

pytestmark = pytest.mark.django_db

SINCE = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
CHAT = {"in_text": 150_000_000, "in_cache_read": 75_000_000, "out_text": 600_000_000}


@pytest.fixture
def served(people: Cast) -> Cast:
    east = Channel.objects.create(name="east", provider="openai", base_url="https://a.example")
    west = Channel.objects.create(name="west", provider="anthropic", base_url="https://b.example")
    away = Channel.objects.create(
        name="away", provider="openai", base_url="https://c.example", enabled=False
    )
    for channel, name, upstream in (
        (east, "gpt-4o-mini", ""),
        (east, "team-default", "gpt-4o-mini"),
        (east, "text-embedding-3-small", ""),
        (east, "no/price", ""),
        (west, "claude-sonnet-4-5", ""),
        (away, "gpt-5.2", ""),
    ):
        Route.objects.create(channel=channel, model=name, upstream_model=upstream)
    for name in ("gpt-4o-mini", "team-default", "gpt-5.2"):
        set_price(SYSTEM, name, SINCE, {"meters": CHAT}, source="file")
    dear = {"in_text": 3 * 10**9, "out_text": 15 * 10**9}
    set_price(SYSTEM, "claude-sonnet-4-5", SINCE, {"meters": dear}, source="file")
    set_price(
        SYSTEM, "text-embedding-3-small", SINCE, {"meters": {"in_text": 2 * 10**7}}, source="file"
    )
    return people


def names(client: Client, query: str = "") -> list[str]:
    message = squeezed(client.get(f"/models{query}").content.decode())
    return re.findall(r'<a href="/models/([^"]+)">', message)


def text_of(client: Client, address: str) -> str:
    response = client.get(address)
    assert response.status_code == 200
    return unescape(re.sub(r"\s+", " ", re.sub(r"<[^>]+>", "", response.content.decode())))


def test_everyone_sees_requestable_models_and_no_channel(served: Cast, client: Client) -> None:
    assert names(client) == [
        "claude-sonnet-4-5",
        "gpt-4o-mini",
        "team-default",
        "text-embedding-3-small",
    ]
    message = squeezed(client.get("/models").content.decode()) + squeezed(
        client.get("/models/gpt-4o-mini").content.decode()
    )
    for secret in ("east", "west", "a.example"):
        assert secret not in message


@pytest.mark.parametrize(
    ("page", "named", "added"),
    [
        ("moderations", "omni-moderation-latest", "text-moderation-7"),
        ("rerank", "rerank-v3.5", "jina-reranker-v2"),
    ],
)
def test_examples_name_a_served_model_or_say_none_is(
    served: Cast, client: Client, page: str, named: str, added: str
) -> None:
    assert "is only an example" not in text_of(client, "/docs/embeddings")
    text = text_of(client, f"/docs/{page}")
    assert f"{named} is only an example" in text
    Route.objects.create(channel=Channel.objects.get(name="east"), model=added)
    set_price(SYSTEM, added, SINCE, {"meters": {"in_text": 10**7}}, source="file")
    text = text_of(client, f"/docs/{page}")
    assert added in text
    assert "is only an example" not in text
    # What puts texts in order is priced like what gives vectors, and gives none.
    assert added not in text_of(client, "/docs/embeddings")


@pytest.mark.parametrize(
    ("model", "meters", "asked"),
    [
        ("gpt-image-1", {"in_text": 5 * 10**9, "out_text": 4 * 10**6}, "client.images.generate("),
        ("gpt-4o-mini-tts", {"in_text": 10**6, "out_audio": 10**6}, "client.audio.speech.create("),
        ("whisper-1", {"audio_ms": 10**8}, "client.audio.transcriptions.create("),
    ],
)
def test_non_chat_model_is_called_at_its_own_endpoint(
    served: Cast, client: Client, model: str, meters: dict[str, int], asked: str
) -> None:
    """It is no example of a chat, however cheap it is, and the playground does not offer it."""
    Route.objects.create(channel=Channel.objects.get(name="east"), model=model)
    set_price(SYSTEM, model, SINCE, {"meters": meters}, source="file")
    assert asked in text_of(client, f"/models/{model}?lang=python")
    for page in ("chat-completions", "embeddings"):
        assert model not in text_of(client, f"/docs/{page}")
    assert f"playground?m={model}" not in signed_in(served.alice).get("/models").content.decode()


def test_unrated_cached_token_is_shown_at_its_cost(served: Cast, client: Client) -> None:
    """It is charged as input is, and every page says so."""
    alice = signed_in(served.alice)
    for message in (client.get("/models"), client.get("/pricing"), alice.get("/o/acme/prices")):
        rows = message.content.decode().split("<tr>")
        texts = (re.sub(r"<[^>]+>", "", row) for row in rows if ">claude-sonnet-4-5<" in row)
        (row,) = (text for text in texts if "$15.00" in text)
        # Of input, of cached input, and of this again where a row is a card.
        assert row.count("$3.00") == (2 if message.wsgi_request.path == "/models" else 3)


def test_free_models_are_listed_where_the_operator_allows(served: Cast, client: Client) -> None:
    save_settings(SYSTEM, unpriced_models="free")
    assert "no/price" in names(client)
    assert "free on this installation" in text_of(client, "/models/no/price")


@pytest.mark.parametrize(
    ("query", "result"),
    [
        ("?q=CLAUDE", ["claude-sonnet-4-5"]),
        ("?q=openai", ["gpt-4o-mini", "team-default"]),
        ("?cap=reasoning", ["claude-sonnet-4-5"]),
        ("?provider=Anthropic", ["claude-sonnet-4-5"]),
        ("?ctx=200000", ["claude-sonnet-4-5"]),
        ("?q=nothing", []),
        (
            "?sort=input",
            ["text-embedding-3-small", "gpt-4o-mini", "team-default", "claude-sonnet-4-5"],
        ),
    ],
)
def test_models_are_found_by_what_they_accept(
    served: Cast, client: Client, query: str, result: list[str]
) -> None:
    texts = [name for name in names(client, query) if "openai" not in query or "text" not in name]
    assert texts == result


def test_a_model_has_its_facts_prices_other_names_and_code(served: Cast, client: Client) -> None:
    text = text_of(client, "/models/gpt-4o-mini")
    for word in ("128,000 tokens", "$0.15 / 1M", "$0.075 / 1M", "$0.60 / 1M", "team-default"):
        assert word in text
    assert "Sign in to try" in text
    claude = text_of(client, "/models/gpt-4o-mini?form=messages&lang=python")
    assert "from anthropic import Anthropic" in claude
    vectors = text_of(client, "/models/text-embedding-3-small?lang=javascript")
    assert "client.embeddings.create" in vectors
    assert client.get("/models/gpt-5.2").status_code == 404
    assert client.get("/models/none").status_code == 404


def test_members_see_their_own_prices_and_try_what_they_may_send(served: Cast) -> None:
    save_plan(SYSTEM, "retail", multiplier_ppm=1_100_000, models=["gpt-*"])
    assign_plan(SYSTEM, served.acme, "retail")
    bob = signed_in(served.bob)
    assert names(bob) == ["gpt-4o-mini"]
    text = bob.get("/models/gpt-4o-mini").content.decode()
    assert "$0.165 / 1M" in text
    assert 'href="/o/acme/playground?m=gpt-4o-mini"' in text
    assert "/o/acme/prices" in text
    vic = signed_in(member(served.acme, "vic", Role.VIEWER))
    assert "playground?m=" not in vic.get("/models/gpt-4o-mini").content.decode()


def test_calculator_is_exact_for_everyone(served: Cast, client: Client) -> None:
    """I1: integers and one rounding; 1 000 001 × 0.15 + 3 × 0.075 + 7 × 0.6 millionths."""
    query = "?m=gpt-4o-mini&in_text=1,000,001&in_cache_read=3&out_text=7"
    assert "$0.150004575" in text_of(client, f"/pricing{query}")
    assert "$0.0000006 " in text_of(client, "/pricing?m=gpt-4o-mini&out_text=1")
    # A decimal comma is neither skipped nor taken for nothing.
    for wrong in ("12,5", "1.5", "1,00", "x", "-1", "1" * 13):
        page = text_of(client, f"/pricing?m=gpt-4o-mini&in_text={wrong}&out_text=1")
        assert "Enter a whole number of tokens, such as 12500." in page, wrong
        typed = client.get("/pricing", {"m": "gpt-4o-mini", "in_text": wrong}).content.decode()
        assert f'value="{wrong}"' in typed
        assert "$0.0000006 " not in page
        assert "No price for this model" not in page
    result = text_of(client, "/pricing?q=claude").split("Other prices")[1]
    assert "claude-sonnet-4-5" in result
    assert "team-default" not in result


def code_of(client: Client, slug: str) -> str:
    match = re.search(
        r'<code id="code">(.*?)</code>', client.get(f"/docs{slug}").content.decode(), re.S
    )
    assert match
    return unescape(re.sub(r"<[^>]+>", "", match[1]))


CHATS = ("", "/chat-completions", "/responses", "/messages", "/generate-content", "/count-tokens",
         "/gemini-count-tokens", "/completions", "/edits")  # fmt: skip
VECTORS = ("/embeddings", "/embed-content")


def test_reference_examples_use_a_served_model(served: Cast, client: Client) -> None:
    """The first copied request is answered; of each kind the cheapest."""
    Route.objects.filter(model="gpt-4o-mini").update(model="my/chat 1")
    Route.objects.filter(model="text-embedding-3-small").update(model="my-vectors")
    assert all("team-default" in code_of(client, slug) for slug in CHATS)
    # Not served either, but there is nothing better.
    assert all("text-embedding-3-small" in code_of(client, slug) for slug in VECTORS)
    set_price(SYSTEM, "my-vectors", SINCE, {"meters": {"in_text": 10**7}}, source="file")
    cheap = {"in_text": 10**8, "out_text": 2 * 10**8}
    set_price(SYSTEM, "my/chat 1", SINCE, {"meters": cheap}, source="file")
    assert all("my-vectors" in code_of(client, slug) for slug in VECTORS)
    for slug in CHATS:
        code = code_of(client, slug)
        assert "gpt-4o-mini" not in code
        assert "my/chat 1" in code or "/models/my/chat%201:" in code
    assert '"my/chat 1"' in text_of(client, "/docs/chat-completions")
    assert "gpt-4o-mini" not in text_of(client, "/docs/messages")
    assert "my/chat 1" in text_of(signed_in(served.alice), f"/o/{served.acme.slug}/")


def test_examples_use_an_unpriced_model_as_last_resort(served: Cast, client: Client) -> None:
    save_settings(SYSTEM, unpriced_models="free")
    Route.objects.exclude(model="no/price").delete()
    assert all("no/price" in code_of(client, slug) for slug in CHATS)


def test_examples_keep_their_model_where_none_is_visible(served: Cast, client: Client) -> None:
    Route.objects.filter(model="gpt-4o-mini").delete()
    save_settings(SYSTEM, public_models=False)
    assert all("gpt-4o-mini" in code_of(client, slug) for slug in CHATS)
    assert "team-default" in code_of(signed_in(served.alice), "/messages")
    Channel.objects.all().delete()
    assert "gpt-4o-mini" in code_of(signed_in(served.alice), "/messages")
