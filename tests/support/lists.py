"""What a list page shows and exports, as tests compare it."""

import csv
import html
import io
import re
from typing import Any

from django.test import Client


def rows_of(client: Client, address: str) -> list[str]:
    """The texts of the rows that a page shows, in their order, without their menus."""
    answer = client.get(address)
    assert answer.status_code == 200
    body = (
        answer.content.decode()
        .partition('id="rows"')[2]
        .partition("<tbody>")[2]
        .partition("</tbody>")[0]
    )
    texts = (row.partition('<td class="act"')[0] for row in body.split("</tr>")[:-1])
    rows = (re.sub(r"<[^>]+>", " ", row) for row in texts)
    return [" ".join(html.unescape(row).split()) for row in rows]


def file_of(client: Client, address: str) -> list[dict[str, str]]:
    """The rows of the CSV file at an address, which may lead on to another one."""
    answer: Any = client.get(address, follow=True)
    assert answer["Content-Type"].startswith("text/csv")
    text = b"".join(answer.streaming_content).decode()
    return list(csv.DictReader(io.StringIO(text, newline="")))
