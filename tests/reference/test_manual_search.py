"""How the manual's search ranks what it finds, and how its pages follow each other."""

import pickle
import re

import pytest

from reference.manual.llms_txt import _summary
from reference.manual.markdown import Section, listed_links, page_html, page_sections, parse_page
from reference.manual.pages import ManualPage, manual
from reference.manual.search import HITS_MAX, find


def page_of(name: str, *sections: tuple[str, str]) -> ManualPage:
    made = tuple(
        Section(1 if n == 0 else 2, "" if n == 0 else f"s-{n}", title, text)
        for n, (title, text) in enumerate(sections)
    )
    return ManualPage(name, "", made)


PAGES = [
    page_of("a", ("Keys", "How to rotate."), ("Lists", "A budget, a budget and a budget.")),
    page_of("b", ("Budget limits", "Text."), ("Budget", "Nothing."), ("More", "Text.")),
    page_of("c", ("Other", "x " * 80 + "budget " + "y " * 80)),
    page_of("d", ("Else", "Nothing."), ("Their budget", "Nothing.")),
]


def found(query: str) -> list[str]:
    return [f"{hit.page.name}:{hit.section.title}" for hit in find(query, PAGES)]


def test_section_of_that_title_is_first_then_titles_then_pages_then_texts() -> None:
    assert found("budget") == [
        "b:Budget", "b:Budget limits", "d:Their budget", "b:More", "a:Lists", "c:Other",
    ]  # fmt: skip
    assert found("BUDGET limits") == ["b:Budget limits", "b:Budget", "b:More"]
    assert found("udget") == []
    assert found("budget rotate") == []


def test_snippet_is_cut_at_words_around_what_was_found() -> None:
    (hit,) = [hit for hit in find("budget", PAGES) if hit.page.name == "c"]
    text = str(hit.snippet)
    assert text.startswith("… ")
    assert text.endswith(" …")
    assert "<mark>budget</mark>" in text
    (whole,) = find("rotate", PAGES)
    assert str(whole.snippet) == "How to <mark>rotate</mark>."
    assert find("budget", PAGES)[0].url.endswith("/b#s-1")
    assert "#" not in whole.url


def test_search_shows_thirty_hits_at_most() -> None:
    many = page_of("m", *((f"Title {n}", "budget") for n in range(HITS_MAX + 5)))
    assert len(find("budget", [many])) == HITS_MAX


def test_what_is_kept_of_a_page_is_its_source_and_the_text_of_its_sections() -> None:
    """The tokens of a parser would take 28 MB."""
    for page in manual().in_order:
        texts = [text for section in page.sections for text in (section.title, section.text)]
        kept = len(pickle.dumps(page))
        assert kept < 2 * sum(len(text.encode()) for text in [page.source, *texts]), page.name


def test_pages_lead_to_the_one_before_and_the_one_after() -> None:
    listed = manual().listed
    assert manual().neighbours(listed[3]) == (listed[2], listed[4])
    unlisted = [page for page in manual().in_order if page not in listed]
    assert manual().in_order[: len(listed)] == listed
    assert [page.name for page in unlisted] == sorted(page.name for page in unlisted)
    if unlisted:
        assert manual().neighbours(unlisted[0]) == (None, None)


@pytest.mark.parametrize(
    ("text", "summary"),
    [
        ("One thing. Another.", "One thing."),
        ("Version 1.2 of it is here. More.", "Version 1.2 of it is here."),
        ("First line\nof it\n\nNext paragraph.", "First line of it"),
    ],
)
def test_summary_is_the_first_sentence(text: str, summary: str) -> None:
    assert _summary(page_of("a", ("Title", ""), ("Part", text))) == summary


SOURCE = """# Title

Intro with `code`.

- Start
  - [First](README.md)
  - [Second](CONTRIBUTING.md#part)
- Empty

## What's `new`?

| A | |
| --- | --- |
| 1 | 2 |

```sh
run <it>
```

[inside](CONTRIBUTING.md) and [outside](../x.md).
"""


def test_page_is_split_at_its_headings_and_lists_its_links() -> None:
    tokens = parse_page(SOURCE)
    first, second = page_sections(tokens)
    assert (first.level, first.anchor, first.title) == (1, "", "Title")
    assert (second.level, second.anchor, second.title) == (2, "s-whats-new", "What's new?")
    assert first.text.startswith("Intro with code.")
    assert "run <it>" in second.text
    assert listed_links(tokens) == [
        ("Start", [("First", "README.md"), ("Second", "CONTRIBUTING.md#part")])
    ]


@pytest.mark.django_db
def test_html_of_a_page_leaves_out_its_title_and_unknown_links() -> None:
    html = str(
        page_html(parse_page(SOURCE), lambda to: "/manual/b" if to == "CONTRIBUTING.md" else None)
    )
    assert "<h1" not in html
    assert '<h2 id="s-whats-new"' in html
    assert '<a href="/manual/b">inside</a>' in html
    assert "outside</a>" not in html
    assert "outside" in html
    assert 'href=""' not in html
    assert re.findall(r"<th\b[^>]*>", html) == ['<th scope="col">']
    assert "<it>" not in html
    assert html.count('aria-label="What&#x27;s new? (1)"') == 2
    assert "<span>sh</span>" in html
    assert '<code id="code-1">' in html
