"""What the reference shows is what can be asked here, by who asks: methods, models, error words."""

import datetime as dt
import json
import re
from html import unescape
from typing import Any

import pytest
from django.test import Client

from accounts.access.actors import SYSTEM
from billing.price_plans.price_plans import assign_plan, save_plan
from billing.prices.prices import set_price
from dialects.chat.chat import Dialect
from dialects.codec import Target
from dialects.endpoints.codecs import CODECS
from dialects.errors.errors import KINDS, message_of
from dialects.errors.kinds import ErrorKind
from gateway.models import Channel, Route
from reference.answers.errors import ERRORS
from reference.answers.headers import ANSWERED, SENT, SESSIONS
from reference.operations.all_pages import PAGES
from relay.endpoints.table import find_endpoint, listed_rows
from tests.support.cast import Cast, signed_in

pytestmark = pytest.mark.django_db

SINCE = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
CHAT = {"in_text": 10**8, "out_text": 2 * 10**8}


def read_page(client: Client, path: str) -> str:
    answer = client.get(path)
    assert answer.status_code == 200
    return answer.content.decode()


def words(html: str) -> str:
    return unescape(re.sub(r"\s+", " ", re.sub(r"<[^>]+>", "", html)))


def part(html: str, id: str) -> str:
    """The panel whose title has that id, without its tags."""
    return words(html[html.index(f'id="{id}"') :].split("</dl>")[0])


@pytest.mark.parametrize("slug", ["chat-completions", "generate-content"])
def test_example_uses_a_model_of_the_readers_plan(people: Cast, slug: str) -> None:
    channel = Channel.objects.create(name="east", provider="openai", base_url="https://a.example")
    for model, multiple in (("cheap-for-others", 1), ("dear-for-us", 2)):
        Route.objects.create(channel=channel, model=model)
        meters = {name: rate * multiple for name, rate in CHAT.items()}
        set_price(SYSTEM, model, SINCE, {"meters": meters}, source="file")
    save_plan(SYSTEM, "ours", multiplier_ppm=1_000_000, models=["dear-*"])
    assign_plan(SYSTEM, people.acme, "ours")
    message = words(read_page(signed_in(people.alice), f"/docs/{slug}"))
    assert ("dear-for-us" in message, "cheap-for-others" in message) == (True, False)
    message = words(read_page(Client(), f"/docs/{slug}"))
    assert ("dear-for-us" in message, "cheap-for-others" in message) == (False, True)


@pytest.mark.parametrize("slug", PAGES)
def test_every_address_shows_its_methods(client: Client, slug: str) -> None:
    html = read_page(client, f"/docs/{slug}")
    addresses = words(html[html.index('<dl class="kv">') :].split("</dl>")[0])
    rows = [
        (path, ", ".join(row.methods))
        for operation in PAGES[slug].operations
        for path, row in listed_rows().items()
        if row.reference_name == operation
    ]
    (main, methods), *aliases = rows
    assert re.search(rf"^{methods} \S*{re.escape(main)}( |$)", addresses.split(">", 1)[-1].strip())
    for path, other in aliases:
        assert re.search(rf"{re.escape(path)}( {other})?( |$)", addresses)
        assert (f"{path} {other}" in addresses) is (other != methods)


def sent_method(code: str) -> str:
    """With what method a piece of code asks, as far as it is not left to an official client."""
    for pattern in (r"httpx\.stream\(\s*\"(\w+)\"", r"httpx\.(\w+)\(", r"method: \"(\w+)\""):
        if match := re.search(pattern, code):
            return match[1].upper()
    if "fetch(" in code:
        return "GET"
    if "curl " not in code:
        return ""
    return "POST" if re.search(r" (-d|--data|-F|-X POST) ", code) else "GET"


@pytest.mark.parametrize("language", ["curl", "python", "javascript"])
@pytest.mark.parametrize("slug", [slug for slug in PAGES if slug != "not-offered"])
def test_an_example_uses_a_method_of_its_address(client: Client, slug: str, language: str) -> None:
    row = find_endpoint(PAGES[slug].path.split("?")[0])
    assert row is not None
    html = read_page(client, f"/docs/{slug}?lang={language}")
    method = sent_method(words(html[html.index('id="example-title"') :].split("</figure>")[0]))
    assert method in row.methods if method else language != "curl"


@pytest.mark.parametrize("kind", KINDS)
def test_error_texts_match_those_sent(client: Client, kind: ErrorKind) -> None:
    html = read_page(client, "/docs/errors")
    message = words(html[html.index(f'id="{kind}"') :].split("</section>")[0].split(">", 1)[1])

    def sent(dialect: Dialect) -> Any:
        raw = CODECS[dialect].render(
            kind, message_of(kind), param=None, code=None, request_id="r", wait_ms=None,
            target=Target(),
        )  # fmt: skip
        return json.loads(raw)["error"]

    ours = sent("openai")
    assert message.split()[0] == str(KINDS[kind].status)
    assert f"{ours['code'] or 'code: null'} {ours['type']}" in message
    assert f"Anthropic: {sent('anthropic')['type']} · Google: {sent('gemini')['status']}" in message
    assert str(ERRORS[kind].meaning) in message
    assert str(ERRORS[kind].step) in message
    assert KINDS[kind].phrase in message


def test_headers_are_listed_with_request_and_answer(client: Client) -> None:
    html = read_page(client, "/docs/headers")
    for id, fields in (("sent", SENT), ("answered", ANSWERED), ("sessions", SESSIONS)):
        assert [name in part(html, id) for name in (field.name for field in fields)] == [
            True
        ] * len(fields)


@pytest.mark.parametrize("slug", [slug for slug, page in PAGES.items() if page.fields])
def test_parameter_shows_its_type_limits_and_need(client: Client, slug: str) -> None:
    html = read_page(client, f"/docs/{slug}")
    message = part(html, "parameters")
    for field in PAGES[slug].fields:
        needed = " required" if field.required else ""
        limits = f" {field.limits}" if field.limits else ""
        assert f" {field.name} {field.type}{limits}{needed} {field.meaning}" in message, field.name


@pytest.mark.parametrize(
    "path", ["/docs", "/docs/errors", "/docs/headers", "/docs/faq", "/docs/chat-completions"]
)
def test_reference_is_read_only(client: Client, path: str) -> None:
    assert client.head(path).status_code == 200
    for ask in (client.post, client.put, client.delete):
        assert ask(path).status_code == 405
