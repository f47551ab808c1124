"""A guide: a section of text on several operations or on some models."""

from dataclasses import dataclass

from django.utils.functional import Promise

from reference.operations.page import Field


@dataclass(frozen=True, slots=True)
class Section:
    """`anchor` is its address on the page; `code` is not translated; `fields` are shown as a
    table."""

    anchor: str
    title: Promise
    paragraphs: tuple[Promise, ...] = ()
    code: str = ""
    fields: tuple[Field, ...] = ()


@dataclass(frozen=True, slots=True)
class Guide:
    """One page of sections."""

    slug: str
    title: Promise
    summary: Promise
    sections: tuple[Section, ...]
