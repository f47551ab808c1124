"""An entry of the content log as a line of JSON Lines."""

import json
from typing import Any

from content.log.kept import Kept
from content.log.names import Names
from content.models import Entry
from lib import clock
from lib.ids import id_text


def line_of(entry: Entry, kept: Kept, names: Names) -> dict[str, Any]:
    """Return what is known of a request, and both bodies in the client's form."""
    return {
        "request_id": id_text(entry.request_id),
        "session_id": id_text(entry.session_id) if entry.session_id else None,
        "created_at": clock.rfc3339(entry.created_at),
        "model": entry.model,
        "dialect": entry.dialect,
        "operation": entry.operation,
        "status": entry.status,
        **names.of(entry)._asdict(),
        "stream": kept.stream,
        "broken": kept.broken,
        "left_out": list(kept.left_out),
        "request": kept.request.decode(errors="replace"),
        "answer": kept.answer.decode(errors="replace"),
        "error": kept.error,
        "failures": list(kept.failures),
        "final": kept.final.decode(),
    }


def json_line(value: dict[str, Any]) -> bytes:
    return json.dumps(value, ensure_ascii=False).encode() + b"\n"
