"""The reference tells what the relay does, and nothing else (pages W20, docs)."""

import re
from pathlib import Path

import msgspec
import pytest
from django.test import Client

from accounts.access import SYSTEM
from gateway.codecs.errors import KINDS
from gateway.installation import save_settings
from gateway.reference.errors import ERRORS
from gateway.reference.headers import ANSWERED, SENT
from gateway.reference.pages import PAGES
from gateway.relay.counting import COUNTERS
from gateway.relay.dialects import CODECS
from gateway.relay.endpoints import Endpoint, find_endpoint, listed_rows, target_of
from gateway.relay.text_codecs import TEXT_CODECS
from tests.cast import Cast, signed_in

ROOT = Path(__file__).parents[2]


def _filled(path: str) -> str:
    return path.replace("{model}", "some-model").replace("{id}", "resp_1")


@pytest.mark.parametrize("path", listed_rows())
def test_every_row_is_found_by_its_address_and_has_one_page(path: str) -> None:
    row = listed_rows()[path]
    assert find_endpoint(_filled(path)) is row
    operation = row.told_as
    assert len([page for page in PAGES.values() if operation in page.operations]) == 1


def test_no_page_tells_of_an_operation_that_is_not_there() -> None:
    there = {row.told_as for row in listed_rows().values()}
    assert {operation for page in PAGES.values() for operation in page.operations} == there


def test_every_kind_of_error_has_its_meaning_and_its_next_step() -> None:
    assert ERRORS.keys() == KINDS.keys()
    assert all(str(told.meaning).endswith(".") and str(told.step) for told in ERRORS.values())


def test_every_header_of_ours_is_told() -> None:
    sources = "".join(path.read_text() for path in (ROOT / "gateway/relay").glob("*.py"))
    used = set(re.findall(r"x-weir-[a-z]+(?:-[a-z]+)*", sources))
    told = {name for field in (*SENT, *ANSWERED) for name in field.name.split(", ")}
    assert used
    assert used == {name for name in told if name.startswith("x-weir-")}


def _row_of(path: str) -> Endpoint:
    row = find_endpoint(path.split("?")[0])
    assert row is not None
    return row


@pytest.mark.parametrize("slug", [slug for slug, page in PAGES.items() if page.example])
def test_the_relay_reads_every_example(slug: str) -> None:
    """By the very readers of the relay; they refuse what is missing or of another type."""
    page = PAGES[slug]
    row = _row_of(page.path)
    raw = msgspec.json.encode(page.example)
    target = target_of(row, page.path, b"")
    assert row.operation == page.operations[0]
    if row.plain is not None:
        facts = row.plain.read(raw, target)
        assert facts.model
        return
    if row.handler == "count_tokens":
        COUNTERS[row.dialect].read(raw, target)
        return
    codec = TEXT_CODECS.get(row.operation) or CODECS[row.dialect]
    codec.read(raw, target)


@pytest.mark.django_db
@pytest.mark.parametrize("language", ["curl", "python", "javascript"])
@pytest.mark.parametrize("slug", PAGES)
def test_every_page_shows_addresses_and_code_to_everybody(
    client: Client, slug: str, language: str
) -> None:
    shown = client.get(f"/docs/{slug}?lang={language}")
    assert shown.status_code == 200
    told = shown.content.decode()
    for path, row in listed_rows().items():
        if row.told_as in PAGES[slug].operations:
            assert path in told
    for field in PAGES[slug].fields:
        assert field.name in told
    assert ("WEIR_API_KEY" in told) is (slug != "not-offered")


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
def test_who_is_signed_in_keeps_the_navigation(people: Cast) -> None:
    alice = signed_in(people.alice)
    for path in ("/docs", "/docs/errors", "/models", "/pricing", "/no-such-page"):
        told = alice.get(path).content.decode()
        assert f'href="/o/{people.acme.slug}/requests"' in told, path
    assert "Sign in" not in alice.get("/docs").content.decode()


@pytest.mark.django_db
def test_the_operator_decides_whether_strangers_see_models_and_prices(
    client: Client, people: Cast
) -> None:
    assert client.get("/models").status_code == 200
    save_settings(SYSTEM, public_models=False)
    for path in ("/models", "/models/some-model", "/pricing"):
        answer = client.get(path)
        assert answer.status_code == 302
        assert answer["Location"] == f"/login?next={path}"
        assert client.get(path, headers={"HX-Request": "true"}).status_code == 401
    assert client.get("/docs").status_code == 200
    assert signed_in(people.alice).get("/models").status_code == 200
