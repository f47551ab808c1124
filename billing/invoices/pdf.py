"""A document as tagged PDF (PDF/UA-1) with embedded fonts and the same texts as its page.

The texts are passed to the typesetter as JSON data, whatever they contain. A character without a
font is an error of PDF/UA, so that none is printed as a box. A Chinese PDF is then refused with the
missing characters; in other languages such characters are printed as codes, with a note.
"""

import json
import re
from collections.abc import Callable
from dataclasses import asdict
from functools import cache
from pathlib import Path
from typing import Any, Final

from django.utils.translation import gettext, override

from billing.invoices.document import DocumentDisplay, describe_document
from billing.models import Invoice
from lib import extras
from lib.refusal import Refused

LANGUAGES: Final = ("en", "zh-hans")
# The first font is in the wheel; the machine may have one of the others.
_FONTS: Final = (
    "Libertinus Serif", "Noto Serif CJK SC", "Noto Sans CJK SC", "Source Han Serif SC",
    "Source Han Sans SC", "WenQuanYi Zen Hei", "WenQuanYi Micro Hei",
)  # fmt: skip
_TEMPLATE: Final = (Path(__file__).parent / "invoice.typ").read_bytes()
_REGIONS: Final = {"en": ("en", "US"), "zh-hans": ("zh", "CN")}
# Characters that no PDF may contain: controls, byte order marks, lone surrogates.
_FORBIDDEN: Final = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\ufeff\ufffe\uffff\ud800-\udfff]")
# Characters beyond those that the wheel's font certainly has.
_FOREIGN: Final = re.compile("[^\t\n\x20-\x7e\xa0-\u017f\u2010-\u2026\u2212]")
_NO_GLYPH: Final = "could not be displayed"


class FontMissing(Refused):
    """This machine has no font for the letters of the document."""

    def __init__(self) -> None:
        text = gettext(
            "This installation has no font for Chinese. An operator can install one, such as the "
            "package fonts-noto-cjk."
        )
        super().__init__("language", text)


def invoice_pdf(invoice: Invoice, language: str) -> bytes:
    """Return the PDF of a document in one of LANGUAGES. Raises FontMissing and ExtraMissing."""
    return document_pdf(lambda: describe_document(invoice, language), language)


def invoice_picture(invoice: Invoice, language: str) -> bytes:
    """Return the first page of the document's PDF as PNG, with 144 dots per inch."""
    with override(language):
        document = _document(describe_document(invoice, language), language)
    inputs = {"document": json.dumps(document)}
    pages: Any = _typst().compile(_TEMPLATE, sys_inputs=inputs, format="png", ppi=144)
    first: bytes = pages[0] if isinstance(pages, list) else pages
    return first


def document_pdf(make: Callable[[], DocumentDisplay], language: str) -> bytes:
    """Return the PDF of what `make` returns while the language is active, one of LANGUAGES. Raises
    FontMissing and ExtraMissing."""
    with override(language):
        typst = _typst()
        document = _document(make(), language)
        try:
            return _compile(document)
        except typst.TypstError as error:
            if _NO_GLYPH not in str(error):
                raise
            if language != "en":
                raise FontMissing from error
        document = _map_texts(document, _spell_foreign)
        document["notes"].append(
            gettext("Letters that no font of this installation has are printed by their code.")
        )
        return _compile(document)


def _typst() -> Any:
    extras.require("pdf")
    import typst

    return typst


def _document(display: DocumentDisplay, language: str) -> dict[str, Any]:
    lang, region = _REGIONS[language]
    facts = [
        (gettext("Date"), display.closed_on),
        (gettext("Period"), display.period),
        (gettext("Corrects"), display.corrects),
        (display.reason_word, display.reason),
    ]
    whole = {
        **asdict(display),
        "lang": lang,
        "region": region,
        "facts": [fact for fact in facts if fact[1]],
        "checksum": f"SHA-256 {display.checksum}" if display.checksum else "",
    }
    mapped = _map_texts(whole, lambda text: _FORBIDDEN.sub("\ufffd", text))
    return {**mapped, "fonts": [font for font in _FONTS if font in _families()]}


def _compile(document: dict[str, Any]) -> bytes:
    pdf: bytes = _typst().compile(
        _TEMPLATE, sys_inputs={"document": json.dumps(document)}, pdf_standards=["ua-1"]
    )
    return pdf


@cache
def _families() -> frozenset[str]:
    """Return the font families of this machine and of the wheel."""
    return frozenset(_typst().Fonts().families())


def _spell_foreign(text: str) -> str:
    return _FOREIGN.sub(lambda match: f"[U+{ord(match.group()):04X}]", text)


def _map_texts(value: Any, change: Any) -> Any:
    if isinstance(value, str):
        return change(value)
    if isinstance(value, dict):
        return {name: _map_texts(inner, change) for name, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_map_texts(inner, change) for inner in value]
    return value
