"""Tables as files (RFC 4180), which people open in a spreadsheet."""

import csv
import io
from collections.abc import Iterable

from django.http import HttpResponse


def csv_file(name: str, rows: Iterable[Iterable[object]]) -> HttpResponse:
    """A file to be saved under that name, its head the first of the rows."""
    written = io.StringIO()
    csv.writer(written).writerows(rows)
    response = HttpResponse(written.getvalue(), content_type="text/csv; charset=utf-8")
    response["Content-Disposition"] = f'attachment; filename="{name}"'
    return response


def plain_cell(text: str) -> str:
    """A text of somebody's as a cell that no spreadsheet takes for a formula, and runs."""
    return f"'{text}" if text.startswith(("=", "+", "-", "@", "\t", "\r")) else text
