"""Tables as files (RFC 4180), which people open in a spreadsheet."""

import csv
import io
import re
from collections.abc import AsyncIterator, Iterable, Iterator, Sequence
from typing import Final, TypeVar

from asgiref.sync import sync_to_async
from django.core.handlers.asgi import ASGIRequest
from django.http import HttpRequest, HttpResponse, HttpResponseBase, StreamingHttpResponse

# Characters that spreadsheets read as the start of a formula, with their East Asian wide forms.
_FORMULA: Final = frozenset("=+-@\t\r\n＝＋－＠")
_NUMBER: Final = re.compile(r"-?[0-9]+(\.[0-9]+)?")
CSV_TYPE: Final = "text/csv; charset=utf-8"

Rows = Iterable[Iterable[object]]
Response = TypeVar("Response", bound=HttpResponseBase)


def csv_file(name: str, rows: Rows) -> HttpResponse:
    """Return a download named `name`; the first row is the header. Texts that a spreadsheet would
    run as a formula are escaped; decimal numbers are not.
    """
    return _set_file_name(HttpResponse(csv_text(rows), content_type=CSV_TYPE), name)


def stream(
    request: HttpRequest, name: str, content_type: str, pieces: Iterator[bytes]
) -> HttpResponseBase:
    """Stream a file for download under that name, piece by piece."""
    # Django would read a plain iterator to its end before an ASGI server gets the first piece.
    sent = _iterate_in_thread(pieces) if isinstance(request, ASGIRequest) else pieces
    return _set_file_name(StreamingHttpResponse(sent, content_type=content_type), name)


async def _iterate_in_thread(pieces: Iterator[bytes]) -> AsyncIterator[bytes]:
    read = sync_to_async(lambda: next(pieces, None))
    while (piece := await read()) is not None:
        yield piece


def _set_file_name(response: Response, name: str) -> Response:
    response["Content-Disposition"] = f'attachment; filename="{name}"'
    return response


def csv_text(rows: Rows) -> str:
    """Return rows as CSV lines, with formulas escaped."""
    return csv_lines(harmless(list(row)) for row in rows)


def csv_lines(rows: Rows) -> str:
    """Return rows as CSV lines. The cells must be `harmless`, or cannot be formulas."""
    written = io.StringIO()
    csv.writer(written).writerows(rows)
    return written.getvalue()


def harmless(cells: Sequence[object]) -> Sequence[object]:
    """Return the cells with formulas escaped."""
    # Most cells of a column repeat, and almost none starts a formula.
    formulas: dict[object, str] = {
        cell: _escape_formula(cell)
        for cell in set(cells)
        if isinstance(cell, str) and cell[:1] in _FORMULA
    }
    return [formulas.get(cell, cell) for cell in cells] if formulas else cells


def _escape_formula(text: str) -> str:
    return text if _NUMBER.fullmatch(text) else f"'{text}"
