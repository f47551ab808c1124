"""The manual: the documents of this version, from the folder docs. docs/README.md is its first page
and lists the others in reading order.
"""

import posixpath
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache, lru_cache
from pathlib import Path
from types import MappingProxyType
from typing import Final
from urllib.parse import urlsplit

from django.conf import settings
from django.urls import reverse
from django.utils.safestring import SafeString
from django.utils.translation import get_language

from reference.manual.markdown import (
    Section,
    listed_links,
    page_html,
    page_sections,
    parse_page,
    section_anchor,
)

FOLDER: Final = Path(settings.BASE_DIR) / "docs"
PICTURE_TYPES: Final = {".webp": "image/webp", ".svg": "image/svg+xml"}
_FIRST: Final = "README"


@dataclass(frozen=True, eq=False)
class ManualPage:
    """`name` is its file below docs, without the suffix. The first section is that of its title.

    The tokens of its Markdown are not kept: those of all pages would take 28 MB in each process.
    """

    name: str
    source: str
    sections: tuple[Section, ...]

    @property
    def title(self) -> str:
        return self.sections[0].title

    @property
    def url(self) -> str:
        return page_url(self.name)

    @property
    def markdown_url(self) -> str:
        return reverse("manual_page", args=[f"{self.name}.md"])

    @property
    def parts(self) -> list[Section]:
        return [section for section in self.sections if section.level == 2]

    @property
    def anchors(self) -> frozenset[str]:
        return frozenset(section.anchor for section in self.sections)


@dataclass(frozen=True)
class PageGroup:
    """Pages below one item of the list in docs/README.md, as (name in the list, page)."""

    title: str
    pages: tuple[tuple[str, ManualPage], ...]

    @property
    def members(self) -> list[ManualPage]:
        return [page for _, page in self.pages]


@dataclass(frozen=True)
class Manual:
    """Pages by name, in reading order, and pictures by file name."""

    pages: Mapping[str, ManualPage]
    groups: tuple[PageGroup, ...]
    pictures: Mapping[str, bytes]

    @property
    def first(self) -> ManualPage:
        return self.pages[_FIRST]

    @property
    def listed(self) -> list[ManualPage]:
        return [self.first, *(page for group in self.groups for page in group.members)]

    @property
    def in_order(self) -> list[ManualPage]:
        """All pages: the listed ones in reading order, then the others by name."""
        return list(dict.fromkeys([*self.listed, *self.pages.values()]))

    def neighbours(self, page: ManualPage) -> tuple[ManualPage | None, ManualPage | None]:
        """Return the page before and the page after, in reading order."""
        pages = self.listed
        if page not in pages:
            return None, None
        at = pages.index(page)
        return (pages[at - 1] if at else None), (pages[at + 1] if at + 1 < len(pages) else None)


@lru_cache(maxsize=1)
def manual() -> Manual:
    """Return the manual of this version. It is read once in each process."""
    pages = {page.name: page for page in map(_read_page, sorted(FOLDER.rglob("*.md")))}
    groups = tuple(
        PageGroup(
            title, tuple((text, pages[name]) for text, name in _names(links) if name in pages)
        )
        for title, links in listed_links(parse_page(pages[_FIRST].source))
    )
    pictures = {
        file.name: file.read_bytes()
        for file in sorted((FOLDER / "images").iterdir())
        if file.suffix in PICTURE_TYPES
    }
    return Manual(MappingProxyType(pages), groups, MappingProxyType(pictures))


@lru_cache(maxsize=1)
def _names_by_file() -> Mapping[str, str]:
    return {file.stem: _name(file) for file in FOLDER.rglob("*.md")}


def section_url(section: str) -> str:
    """Return the address of `file#heading`, as in `secure#safeguards`, whichever folder the file
    is in."""
    file, _, anchor = section.partition("#")
    url = page_url(_names_by_file()[file])
    return f"{url}#{section_anchor(anchor)}" if anchor else url


def page_url(name: str) -> str:
    return reverse("manual") if name == _FIRST else reverse("manual_page", args=[name])


def html_of(page: ManualPage) -> SafeString:
    """Return the page's HTML, with labels in the reader's language."""
    return _html(page.name, get_language() or "en")


@cache
def _html(name: str, language: str) -> SafeString:
    page = manual().pages[name]
    tokens = parse_page(page.source)
    return page_html(tokens, lambda target: address_in_manual(page.name, target))


def address_in_manual(name: str, target: str) -> str | None:
    """Return the address that a link of the page `name` leads to; None for a file outside docs."""
    parts = urlsplit(target)
    if parts.scheme or parts.path.startswith("/"):
        return target
    anchor = f"#{section_anchor(parts.fragment)}" if parts.fragment else ""
    if not parts.path:
        return anchor
    path = posixpath.normpath(posixpath.join(posixpath.dirname(name), parts.path))
    file = Path(path)
    known = manual()
    if path.removesuffix(".md") in known.pages:
        return page_url(path.removesuffix(".md")) + anchor
    if f"{path}/{_FIRST}" in known.pages:
        return page_url(f"{path}/{_FIRST}") + anchor
    if file.name in known.pictures:
        return reverse("manual_page", args=[path])
    return None


def _names(links: list[tuple[str, str]]) -> list[tuple[str, str]]:
    return [(text, posixpath.normpath(urlsplit(to).path).removesuffix(".md")) for text, to in links]


def _read_page(file: Path) -> ManualPage:
    source = file.read_text(encoding="utf-8")
    return ManualPage(_name(file), source, tuple(page_sections(parse_page(source))))


def _name(file: Path) -> str:
    return file.relative_to(FOLDER).with_suffix("").as_posix()
