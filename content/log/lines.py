"""An entry of the content log as a line of JSON Lines."""

import json
from typing import Any

from content.log.kept import Kept
from content.models import Entry
from lib.ids import id_text


def line_of(entry: Entry, kept: Kept) -> dict[str, Any]:
    """Return what is known of a request, and both bodies in the client's form."""
    return {
        "request_id": id_text(entry.request_id),
        "session_id": id_text(entry.session_id) if entry.session_id else None,
        "created_at": entry.created_at.isoformat(),
        "model": entry.model,
        "dialect": entry.dialect,
        "operation": entry.operation,
        "status": entry.status,
        "stream": kept.stream,
        "request": kept.request.decode(errors="replace"),
        "answer": kept.answer.decode(errors="replace"),
        "error": kept.error,
    }


def json_line(entry: Entry, kept: Kept) -> str:
    return json.dumps(line_of(entry, kept), ensure_ascii=False) + "\n"
