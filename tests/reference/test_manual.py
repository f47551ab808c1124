"""The manual under /manual: every page of docs, its Markdown, its search, and llms.txt."""

import re
from collections import Counter
from functools import cache

import pytest
from django.test import Client
from django.utils.html import escape
from django.utils.translation import override

from reference.manual.markdown import heading_anchor
from reference.manual.pages import FOLDER, address_in_manual, html_of, manual
from reference.manual.search import HITS_MAX, QUERY_MAX, find

NAMES = sorted(manual().pages)
_ID = re.compile(r'\bid="([^"]+)"')


@cache
def ids_by_url() -> dict[str, set[str]]:
    """The anchors of each page of the manual."""
    pages = manual().pages.values()
    return {page.url: {""} | set(_ID.findall(str(html_of(page)))) for page in pages}


@pytest.mark.django_db
@pytest.mark.parametrize("name", NAMES)
def test_a_page_of_the_manual_is_served_to_strangers(client: Client, name: str) -> None:
    """Also its Markdown, as the file is. Ids are unique among those of the shell, and nothing
    of a page asks for what the policy forbids."""
    page = manual().pages[name]
    answer = client.get(page.url)
    html = answer.content.decode()
    assert answer.status_code == 200
    assert [id for id, count in Counter(_ID.findall(html)).items() if count > 1] == []
    assert f'<span lang="en">{escape(page.title)}</span></h1>' in html
    assert html.count("<h1") == 1
    body = html.partition('<article class="manual"')[2].partition("</article>")[0]
    assert not re.search(r"<script|\sstyle=|\son\w+=", body)
    raw = client.get(page.markdown_url)
    assert raw["Content-Type"] == "text/markdown; charset=utf-8"
    assert raw.content == (FOLDER / f"{name}.md").read_bytes()


@pytest.mark.django_db
@pytest.mark.parametrize("name", NAMES)
def test_a_link_between_pages_leads_to_its_section(client: Client, name: str) -> None:
    """The anchors are those that the HTML has, and every picture is served."""
    html = str(html_of(manual().pages[name]))
    ids = ids_by_url()
    for address in re.findall(r'<a (?:class="picture" )?href="([^"]+)"', html):
        path, _, anchor = address.partition("#")
        if path.startswith("/manual/images/"):
            assert client.get(path)["Content-Type"].startswith("image/"), address
        elif not path or path in ids:
            assert anchor in ids[path or manual().pages[name].url], address
        else:
            assert re.match(r"https?:|/docs|/api/", path), address


def test_the_first_page_lists_every_group_in_reading_order() -> None:
    titles = [group.title for group in manual().groups]
    assert sorted(titles) == ["Background", "Guides", "Operate", "Reference", "Start"]
    listed = manual().listed
    assert len(listed) == len(set(listed)) > 30
    assert manual().neighbours(listed[0]) == (None, listed[1])
    assert manual().neighbours(listed[-1]) == (listed[-2], None)


def test_a_link_to_a_file_outside_of_the_manual_stays_text() -> None:
    assert address_in_manual("README", "../CONTRIBUTING.md") is None
    assert address_in_manual("README", "https://example.org/x.md") == "https://example.org/x.md"


@pytest.mark.django_db
@pytest.mark.parametrize(
    "name", ["none", "../README", "images/none.webp", "images/../README", "README.md.md"]
)
def test_unknown_manual_page_is_not_found(client: Client, name: str) -> None:
    assert client.get(f"/manual/{name}").status_code == 404


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("changing the encryption key", "Changing the encryption key"),
        ("ROW-LEVEL security", "Row-level security"),
        ("safegu", "Safeguards"),
    ],
)
def test_a_search_begins_with_the_section_of_that_name(query: str, found: str) -> None:
    hits = find(query, manual().in_order)
    assert hits[0].section.title == found
    assert all(hit.snippet for hit in hits)
    assert len(hits) <= HITS_MAX


def test_a_search_needs_each_of_its_words() -> None:
    pages = manual().in_order
    assert find("encryption nonesuchword", pages) == []
    assert find("", pages) == find("***", pages) == []
    assert find("x" * QUERY_MAX + " y", pages) == []


@pytest.mark.django_db
def test_a_search_shows_no_markup_of_its_query(client: Client) -> None:
    answer = client.get("/manual/search", {"q": "<script>alert(1)</script> & zyzzyva"})
    assert b"<script>alert" not in answer.content
    assert b"No section has all words of" in answer.content


@pytest.mark.django_db
def test_a_search_marks_what_it_found(client: Client) -> None:
    text = client.get("/manual/search", {"q": "backup"}).content.decode()
    assert re.search(r"(?i)<mark>backup</mark>", text)


@pytest.mark.django_db
def test_llms_txt_lists_the_markdown_of_every_page(client: Client) -> None:
    """llmstxt.org: a title, a summary, lists of links by heading."""
    text = client.get("/llms.txt").content.decode()
    assert re.match(r"# .+\n\n> .+\n\n## Start\n", text)
    linked = re.findall(r"\]\(https?://[^/]+(/manual/[^)]+)\)", text)
    others = [page.markdown_url for page in manual().pages.values() if page != manual().first]
    assert sorted(linked) == sorted(others)


@pytest.mark.django_db
def test_the_manual_says_its_language_to_other_readers(client: Client) -> None:
    client.cookies["language"] = "zh-hans"
    text = client.get("/manual").content.decode()
    assert '<html lang="zh-hans"' in text
    assert '<article class="manual" lang="en">' in text
    with override("zh-hans"):
        labels = str(html_of(manual().pages["reference/command"]))
    assert "复制" in labels


@pytest.mark.parametrize(
    ("title", "anchor"),
    [("Of `make run`", "of-make-run"), ("What's new?", "whats-new"), ("A – B", "a--b")],
)
def test_anchor_is_githubs_with_a_prefix(title: str, anchor: str) -> None:
    assert heading_anchor(title) == f"s-{anchor}"
