"""The reference tells what the relay does, and nothing else (pages W20, docs)."""

import gzip
import html
import json
import re
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
from django.test import Client

from accounts.access.actors import SYSTEM
from dialects.endpoints import auth_tokens, client_secrets
from dialects.endpoints.codecs import CODECS, TEXT_CODECS
from dialects.errors.errors import KINDS
from dialects.gemini.model_name import split_name
from dialects.json.forms import PartHead
from extensions.midjourney import dialect as midjourney
from extensions.suno import dialect as suno
from gateway.providers.models import find_row, is_listed
from gateway.settings.installation import save_settings
from reference.answers.errors import ERRORS
from reference.answers.headers import ANSWERED, SENT
from reference.answers.schemas import SCHEMAS
from reference.operations.all_pages import PAGES
from reference.views import GUIDES
from relay.attempts.count_endpoint import COUNTERS
from relay.endpoints.feedback import read_opinion
from relay.endpoints.generation import count_tokens
from relay.endpoints.table import find_endpoint, listed_rows, read_invocation
from relay.front.request import Endpoint
from relay.operations.media_operation import MediaOperation
from relay.requests.uploads import Form, UploadedFile
from relay.routing.model_products import PRODUCT_OF, PRODUCTS
from tests.support.cast import Cast, signed_in

ROOT = Path(__file__).parents[3]
ID_LISTS = {"midjourney_tasks": midjourney.read_ids, "suno_tasks": suno.read_ids}


def _filled(path: str) -> str:
    named = path.replace("{model}", "some-model").replace("{id}", "resp_1")
    return named.replace("{mode}", "fast")


@pytest.mark.parametrize("path", listed_rows())
def test_every_row_is_found_by_its_address_and_has_one_page(path: str) -> None:
    row = listed_rows()[path]
    assert find_endpoint(_filled(path)) is row
    operation = row.reference_name
    assert len([page for page in PAGES.values() if operation in page.operations]) == 1


def test_no_page_describes_a_missing_operation() -> None:
    there = {row.reference_name for row in listed_rows().values()}
    assert {operation for page in PAGES.values() for operation in page.operations} == there


def test_every_kind_of_error_has_its_meaning_and_its_next_step() -> None:
    assert ERRORS.keys() == KINDS.keys()
    assert all(
        str(one_message.meaning).endswith(".") and str(one_message.step)
        for one_message in ERRORS.values()
    )


@pytest.mark.django_db
def test_errors_show_the_fields_and_codes_clients_get(people: Cast) -> None:
    page = html.unescape(signed_in(people.alice).get("/docs/errors").content.decode())
    assert '"code": "…"}, "request_id": "…"}' in re.sub(r"<[^>]+>", "", page)
    for kind, row in KINDS.items():
        assert (f"<code>{kind}</code>" in page) == (row.code == kind), kind


def test_every_own_header_is_documented() -> None:
    files = (*(ROOT / "relay").rglob("*.py"), ROOT / "usage/sessions/sources.py")
    sources = "".join(path.read_text() for path in files)
    used = set(re.findall(r"x-weir-[a-z]+(?:-[a-z]+)*", sources))
    messages = {name for field in (*SENT, *ANSWERED) for name in field.name.split(", ")}
    assert used
    assert used == {name for name in messages if name.startswith("x-weir-")}


def _row_of(path: str) -> Endpoint:
    row = find_endpoint(path.split("?")[0])
    assert row is not None
    return row


@pytest.mark.parametrize("slug", [slug for slug, page in PAGES.items() if page.example])
def test_the_relay_reads_every_example(slug: str) -> None:
    """By the very readers of the relay; they refuse what is missing or of another type. It is
    charged as the product that its operation asks a model for."""
    page = PAGES[slug]
    row = _row_of(page.path)
    raw = msgspec.json.encode(page.example)
    target = read_invocation(row, page.path, (), b"").target
    assert row.reference_name == page.operations[0]
    if row.unary is not None:
        unary = row.unary
        if isinstance(unary, MediaOperation) and page.files:
            form = Form()
            form.files = [UploadedFile(PartHead(name, "a"), None) for name in page.files]
            for file in form.files:
                file.write(b"ID3" if unary.file_kind == "audio" else b"GIF89a")
            unary = unary.of_form(form)
        facts = unary.read(raw, target)
        assert facts.model
        ways = PRODUCTS[PRODUCT_OF[row.operation]].meters
        assert any(unit.bound(dict.fromkeys(way, 1)) for unit in facts.units for way in ways)
        if isinstance(unary, MediaOperation) and unary.form is not None:
            unary.form.close()
        return
    if row.handler is count_tokens:
        COUNTERS[row.dialect].read(raw, target)
        return
    if row.shows == "client_secret":
        assert client_secrets.read_request(raw).model
        return
    if row.shows == "feedback":
        assert read_opinion(raw).score == 100
        return
    if row.shows == "auth_token":
        assert auth_tokens.read_request(raw, 0).model
        return
    if row.shows in ID_LISTS:
        assert ID_LISTS[row.shows](raw)
        return
    codec = TEXT_CODECS.get(row.operation) or CODECS[row.dialect]
    codec.read(raw, target)


@pytest.mark.django_db
@pytest.mark.parametrize("language", ["curl", "python", "javascript"])
@pytest.mark.parametrize("slug", PAGES)
def test_every_page_shows_addresses_and_code_to_everybody(
    client: Client, slug: str, language: str
) -> None:
    response = client.get(f"/docs/{slug}?lang={language}")
    assert response.status_code == 200
    text = response.content.decode()
    for path, row in listed_rows().items():
        if row.reference_name in PAGES[slug].operations:
            assert path in text
    for field in PAGES[slug].fields:
        assert field.name in text
    assert ("WEIR_API_KEY" in text) is (slug != "not-offered")


# What users ask for, and where on which page it stands.
TOPICS = {
    "tool-calling": ("phase-1", "phase-2", "tool-advice"),
    "tools-of-one-api": (
        "choice",
        "tools-of-openai",
        "tools-of-responses",
        "tools-of-anthropic",
        "tools-of-gemini",
        "tools-of-interactions",
    ),
    "message-members": ("message", "parts"),
    "structured-output": ("json-schema", "structured-advice"),
    "thinking": ("thinking-defaults", "gemini-suffixes", "grok-usage"),
    "model-series": ("series", "needs-responses"),
    "web-search": ("search-by-provider", "qwen-parameters", "search-stability"),
    "chat-completions": ("response-schema",),
    "responses": ("response-schema",),
    "messages": ("response-schema",),
    "generate-content": ("response-schema",),
}


@pytest.mark.django_db
@pytest.mark.parametrize("slug", TOPICS)
def test_each_topic_has_its_place(client: Client, slug: str) -> None:
    response = client.get(f"/docs/{slug}")
    assert response.status_code == 200
    for anchor in TOPICS[slug]:
        assert f'id="{anchor}"' in response.content.decode(), anchor
    assert f"/docs/{slug}?" in client.get("/docs").content.decode()


def test_guides_contain_exactly_the_topics() -> None:
    """A section that nobody asks for is found here, and one slug leads to one page."""
    held = {slug: tuple(one.anchor for one in guide.sections) for slug, guide in GUIDES.items()}
    assert held == {slug: anchors for slug, anchors in TOPICS.items() if slug not in PAGES}
    assert GUIDES.keys().isdisjoint({*PAGES, "errors", "headers", "faq"})


def test_series_match_the_catalogue() -> None:
    (series,) = [one for one in GUIDES["model-series"].sections if one.anchor == "series"]
    names = [name for field in series.fields for name in str(field.type).split(", ")]
    assert len(names) > 30
    assert [name for name in names if find_row(name) is None] == []


def test_documented_gemini_suffixes_are_read() -> None:
    (message,) = [one for one in GUIDES["thinking"].sections if one.anchor == "gemini-suffixes"]
    for field in message.fields:
        assert split_name(str(field.type), is_listed)[1] is not None, field.type


def _members(value: object, path: str = "") -> Iterator[str]:
    if isinstance(value, dict):
        for name, inner in value.items():
            at = f"{path}.{name}" if path else name
            yield at
            yield from _members(inner, at)
    elif isinstance(value, list):
        for inner in value:
            yield from _members(inner, f"{path}[]")


# Where answers of a page's operation are recorded, and by what member they are known.
RECORDED = {
    "chat-completions": ("openai/openai_chat_nonstream.json", "object", {"chat.completion"}),
    "responses": (
        "responses/responses_nonstream.json",
        "object",
        {"response", "response.compaction"},
    ),
    "messages": ("anthropic/anthropic_nonstream.json", "type", {"message"}),
    "generate-content": ("gemini/gemini_nonstream.json", "usageMetadata", None),
    "midjourney-imagine": ("media/midjourney_submit.json", "code", None),
    "midjourney-task": ("media/midjourney_task.json", "id", None),
    "suno-task": ("media/suno_task.json", "data", None),
}


def _answered(slug: str) -> set[str]:
    """The members of all recorded answers of a page's operation."""
    file, name, kept = RECORDED[slug]
    results: set[str] = set()
    for exchange in json.loads((ROOT / "tests/golden" / file).read_text())["exchanges"]:
        body = exchange["response"].get("body")
        if isinstance(body, dict) and name in body and (kept is None or body[name] in kept):
            results |= set(_members(body))
    return results


@pytest.mark.parametrize("slug", SCHEMAS)
def test_response_schemas_match_recorded_answers(slug: str) -> None:
    """What is told was answered, and what was answered is told, itself or within its object."""
    answered = _answered(slug)
    messages = {name for field in SCHEMAS[slug] for name in field.name.split(", ")}
    # DeepSeek and others tell it; OpenAI, whose answers were recorded, does not.
    assert messages - answered == {"choices[].message.reasoning_content"} & messages
    for name in answered:
        within = any(name == one or name.startswith((f"{one}.", f"{one}[].")) for one in messages)
        around = any(one.startswith((f"{name}.", f"{name}[].")) for one in messages)
        assert within or around, name


@pytest.mark.django_db
def test_errors_headers_questions_and_overview_are_public(client: Client) -> None:
    errors = client.get("/docs/errors").content.decode()
    assert all(f'id="{kind}"' in errors for kind in KINDS)
    headers = client.get("/docs/headers").content.decode()
    assert "x-weir-hold" in headers
    assert "Idempotency-Key" in headers
    assert client.get("/docs/faq").status_code == 200
    overview = client.get("/docs").content.decode()
    assert all(f"/docs/{slug}?" in overview for slug in PAGES)
    assert 'href="/api/v1/docs"' in overview
    assert client.get("/docs/none-such").status_code == 404


@pytest.mark.django_db
def test_signed_in_reader_keeps_the_navigation(people: Cast) -> None:
    alice = signed_in(people.alice)
    for path in ("/docs", "/docs/errors", "/models", "/pricing", "/no-such-page"):
        text = alice.get(path).content.decode()
        assert f'href="/o/{people.acme.slug}/requests"' in text, path
    assert "Sign in" not in alice.get("/docs").content.decode()


@pytest.mark.django_db
def test_operator_decides_if_strangers_see_models_and_prices(client: Client, people: Cast) -> None:
    assert client.get("/models").status_code == 200
    save_settings(SYSTEM, public_models=False)
    for path in ("/models", "/models/some-model", "/pricing"):
        answer = client.get(path)
        assert answer.status_code == 302
        assert answer["Location"] == f"/login?next={path}"
        assert client.get(path, headers={"HX-Request": "true"}).status_code == 401
    assert client.get("/docs").status_code == 200
    assert signed_in(people.alice).get("/models").status_code == 200


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("slug", "text"),
    [
        ("chat-completions", "The model you requested if the provider uses another name"),
        ("messages", "The model you requested if the provider uses another name"),
        ("list-models", "have no limits, modalities or supported_parameters"),
    ],
)
def test_reference_explains_model_names(client: Client, slug: str, text: str) -> None:
    assert text in client.get(f"/docs/{slug}").content.decode()


@pytest.mark.django_db
def test_overview_formats_code_and_punctuation_per_language(client: Client) -> None:
    page = client.get("/docs").content.decode()
    assert "<code>stream: true</code> returns" in page
    assert "</code>, <code>x-api-key</code> or <code>x-goog-api-key</code>" in page
    chinese = client.get("/docs", headers={"accept-language": "zh-hans"}).content.decode()
    assert "</code>、<code>x-api-key</code> 或 <code>x-goog-api-key</code>" in chinese


@pytest.mark.django_db
def test_only_pages_without_a_secret_are_compressed(people: Cast) -> None:
    """docs/adr/0011: what holds a secret beside what a visitor wrote tells it by its length."""
    save_settings(SYSTEM, public_models=True)
    zipped = {"Accept-Encoding": "gzip, deflate, br"}
    for path in (
        "/docs",
        "/docs/chat-completions",
        "/docs/errors",
        "/models",
        "/pricing",
        "/api/v1/docs",
    ):
        plain = Client().get(path)
        packed = Client().get(path, headers=zipped)
        assert "Content-Encoding" not in plain
        assert packed["Content-Encoding"] == "gzip"
        assert "Accept-Encoding" in packed["Vary"]
        assert len(packed.content) < len(plain.content) / 3
        assert b"</html>" in gzip.decompress(packed.content)
        assert "Content-Encoding" not in signed_in(people.alice).get(path, headers=zipped)
    for path in ("/login", "/signup", "/password/reset"):
        assert "Content-Encoding" not in Client().get(path, headers=zipped)
