"""The fake's own books: one append-only file of JSON lines, and the rows read from it.

Every line is written with one `write` before the answer goes on, so that a `kill -9` loses
nothing; a thread of its own puts the file to disk (`fsync`) whenever there is something new.
"""

import json
import os
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any


@dataclass(slots=True)
class Row:
    """One request. Times are nanoseconds of CLOCK_MONOTONIC, which all processes share."""

    seq: int
    id: str
    client_request_id: str | None
    model: str
    key: str
    stream: bool
    sha256: str
    size: int
    connection: int
    fault: str | None
    prompt_tokens: int
    planned: int
    cached_tokens: int
    accepted_at: int
    dialect: str = "chat"
    operation: str = "chat_completions"
    carrier: str = "bearer"  # of the key: bearer | x-api-key | x-goog-api-key | key | api-key
    free: bool = False  # counting and moderations are billed nothing
    cache_write_tokens: int = 0
    cache_write_1h_tokens: int = 0
    media: list[dict[str, Any]] = field(default_factory=list)  # kind, type, bytes, sha256, url
    results: list[str] = field(default_factory=list)  # of tools, since the user's last words
    seals: int = 0  # that came back and were right
    unknown: list[str] = field(default_factory=list)
    units: Mapping[str, int] = field(default_factory=dict)  # pictures, characters, milliseconds
    headers: dict[str, str] | None = None
    body: str | None = None
    heard: list[str] | None = None  # the conversation, where the body is kept: see `Heard.lines`
    # What the answer came to.
    accepted: bool = True
    status: int | None = None
    emitted: int = 0
    reasoning_tokens: int = 0
    reported: dict[str, Any] | None = None  # the last usage claimed, in OpenAI's shape
    reported_raw: dict[str, Any] | None = None  # the same as it stood on the wire
    reports: int = 0
    outcome: str = "open"  # open | finished | cut | faulted | refused | lost
    struck: bool = False
    first_at: int | None = None
    ended_at: int | None = None
    left_at: int | None = None
    chunk_times: list[int] | None = None

    def usage(self) -> dict[str, Any]:
        """What this provider counts for the request, in OpenAI's shape; zeros if refused."""
        prompt = self.prompt_tokens if self.billed else 0
        usage: dict[str, Any] = {
            "prompt_tokens": prompt,
            "completion_tokens": self.emitted,
            "total_tokens": prompt + self.emitted,
            "prompt_tokens_details": {"cached_tokens": self.cached_tokens if prompt else 0},
            "completion_tokens_details": {"reasoning_tokens": self.reasoning_tokens},
        }
        written = self.cache_write_tokens + self.cache_write_1h_tokens
        if prompt and written:
            usage["prompt_tokens_details"]["cache_write_tokens"] = written
        return usage

    @property
    def billed(self) -> bool:
        return self.accepted and not self.free

    def as_json(self) -> dict[str, Any]:
        return {**asdict(self), "usage": self.usage(), "final": self.outcome != "open"}


# Fields that change after the accept line; the end line carries them.
_LATER = (
    "accepted", "status", "emitted", "reasoning_tokens", "reported", "reported_raw", "reports",
    "outcome", "struck", "first_at", "ended_at", "left_at", "chunk_times",
)  # fmt: skip


_FIRST = tuple(name for name in Row.__dataclass_fields__ if name not in _LATER)
_encode = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode


def _line(event: dict[str, Any]) -> bytes:
    return _encode(event).encode() + b"\n"


_COUNTED = ("open", "finished", "cut", "faulted", "refused", "lost", "requests",
            "prompt_tokens", "cached_tokens", "emitted")  # fmt: skip


def _add(totals: dict[str, int], row: Row) -> None:
    totals["requests"] += 1
    totals[row.outcome] += 1
    totals["emitted"] += row.emitted
    if row.billed:
        totals["prompt_tokens"] += row.prompt_tokens
        totals["cached_tokens"] += row.cached_tokens


class Books:
    """Used from one thread (the server's loop), except for `fsync`."""

    def __init__(self, path: Path, *, fsync: bool = True) -> None:
        self.path = path
        self.rows: dict[int, Row] = {}
        # What is asked after each request is answered without a look at all of them.
        self._named: dict[str | None, list[Row]] = {}
        self._open: dict[int, Row] = {}
        self._ended = dict.fromkeys(_COUNTED, 0)
        self.unauthorized = 0
        self.canary = 0
        self.version = 0
        self.watcher: Callable[[], None] = lambda: None
        self._marks: dict[int, int] = {}
        self._seen: dict[str, int] = {}
        self._next = 1
        self._torn = False
        self._read()
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        if self._torn:
            os.write(self._file, b"\n")  # or the next line would be lost with the torn one
        self._dirty = threading.Event()
        self._closing = False
        self._sync_lock = threading.Lock()
        self._syncer = threading.Thread(target=self._sync_forever, daemon=True) if fsync else None
        if self._syncer:
            self._syncer.start()

    def _read(self) -> None:
        """Take up the file of an earlier life; what was open then is *lost* at its last mark."""
        if not self.path.exists():
            return
        lines = self.path.read_bytes().split(b"\n")
        self._torn = lines[-1] != b""
        for line in lines:
            try:
                event = json.loads(line)
            except ValueError:
                continue  # the torn last line of a killed writer, or the empty end
            match event:
                case {"e": "accept", "row": row}:
                    self.rows[row["seq"]] = Row(**row)
                    self._next = max(self._next, row["seq"] + 1)
                case {"e": "mark", "emitted": marks}:
                    for seq, emitted in marks.items():
                        if int(seq) in self.rows:
                            self.rows[int(seq)].emitted = emitted
                case {"e": "end", "seq": seq, **later}:
                    if seq in self.rows:
                        for name in _LATER:
                            setattr(self.rows[seq], name, later.get(name))
                case {"e": "unauthorized"}:
                    self.unauthorized += 1
                case {"e": "canary"}:
                    self.canary += 1
                case {"e": "reset"}:
                    self.rows.clear()
                    self.unauthorized = self.canary = 0
        for row in self.rows.values():
            if row.outcome == "open":
                row.outcome = "lost"
            self._named.setdefault(row.client_request_id, []).append(row)
            _add(self._ended, row)

    def _write(self, event: dict[str, Any]) -> None:
        os.write(self._file, _line(event))
        self._dirty.set()
        self.version += 1
        self.watcher()

    def _sync_forever(self) -> None:
        while not self._closing:
            self._dirty.wait()
            self._dirty.clear()
            self.fsync()

    def fsync(self) -> None:
        """Return when everything written so far is on disk."""
        with self._sync_lock:
            if not self._closing:
                os.fdatasync(self._file)

    def sighting(self, sha256: str) -> int:
        """How often this body has come, this time included."""
        self._seen[sha256] = seen = self._seen.get(sha256, 0) + 1
        return seen

    def next_seq(self) -> int:
        seq, self._next = self._next, self._next + 1
        return seq

    def accept(self, row: Row) -> None:
        self.rows[row.seq] = self._open[row.seq] = row
        self._named.setdefault(row.client_request_id, []).append(row)
        self._write({"e": "accept", "row": {name: getattr(row, name) for name in _FIRST}})

    def mark(self, row: Row) -> None:
        """Note how far a stream is; `flush_marks` writes all of one loop turn in one line."""
        self._marks[row.seq] = row.emitted

    def flush_marks(self) -> None:
        if self._marks:
            marks, self._marks = self._marks, {}
            self._write({"e": "mark", "emitted": marks})

    def end(self, row: Row, outcome: str) -> None:
        row.outcome = outcome
        row.ended_at = time.monotonic_ns()
        self._marks.pop(row.seq, None)
        self._open.pop(row.seq)
        _add(self._ended, row)
        self._write({"e": "end", "seq": row.seq, **{n: getattr(row, n) for n in _LATER}})

    def note_unauthorized(self) -> None:
        self.unauthorized += 1
        self._write({"e": "unauthorized"})

    def note_canary(self) -> None:
        self.canary += 1
        self._write({"e": "canary"})

    def reset(self) -> None:
        self.rows.clear()
        self._named.clear()
        self._open.clear()
        self._ended = dict.fromkeys(_COUNTED, 0)
        self._seen.clear()
        self._marks.clear()
        self.unauthorized = self.canary = 0
        self._write({"e": "reset"})

    def by_client_request_id(self, text: str) -> list[Row]:
        return self._named.get(text, [])

    def totals(self) -> dict[str, int]:
        """Counts per outcome, and the sums of tokens that this provider would bill."""
        totals = dict(self._ended)
        for row in self._open.values():
            _add(totals, row)
        return totals | {"unauthorized": self.unauthorized, "canary": self.canary}

    def close(self) -> None:
        self.flush_marks()
        self.fsync()
        with self._sync_lock:
            self._closing = True
            os.close(self._file)
        self._dirty.set()
        if self._syncer:
            self._syncer.join()
