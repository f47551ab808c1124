"""ClickHouse's HTTP interface in front of chdb, which is ClickHouse's engine in a wheel; it shares
no code with us. One process is one server:

    with clickhouse_server() as url: ...

It takes what the server takes (POST, the statement in `query` or in the body, `param_*` and
settings in the address or as form fields, login in headers) and answers as it does: 200 with rows,
or a status with the number of the error.
"""

import re
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

USER, PASSWORD = "weir", "secret-of-the-tests"
ROOT = Path(__file__).parents[2]
# Of the interface and not of the engine.
_OF_HTTP = {"query", "default_format", "wait_end_of_query", "readonly"}
_WRITES = re.compile(r"\s*(INSERT|CREATE|TRUNCATE|DROP|ALTER)\b", re.IGNORECASE)


@contextmanager
def clickhouse_server() -> Iterator[str]:
    """A server that is empty; its address."""
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "tests.fakes.clickhouse", folder]
        with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None
            try:
                yield process.stdout.readline().strip()
            finally:
                process.kill()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    session: Any
    lock = threading.Lock()

    def do_POST(self) -> None:
        query = dict(parse_qsl(urlsplit(self.path).query, keep_blank_values=True))
        body = self.rfile.read(int(self.headers["Content-Length"])).decode()
        login = self.headers["X-ClickHouse-User"], self.headers["X-ClickHouse-Key"]
        if login != (USER, PASSWORD):
            self._answer(403, "Code: 516. DB::Exception: authentication failed")
            return
        kind, _, boundary = self.headers["Content-Type"].partition("; boundary=")
        if kind == "multipart/form-data":
            query |= dict(_fields(body, boundary))
            body = ""
        text = f"{query['query']}\n{body}" if "query" in query else body
        if "readonly" in query and _WRITES.match(text):
            self._answer(500, "Code: 164. DB::Exception: cannot execute query in readonly mode")
            return
        try:
            with self.lock:
                self.session.query(f"USE {self.headers['X-ClickHouse-Database']}")
                settings = query.items() - {(name, query.get(name, "")) for name in _OF_HTTP}
                page_text = ", ".join(f"{name} = {_quoted(value)}" for name, value in settings)
                self.session.query(f"SET max_threads = 1, {page_text}")
                format_ = query.get("default_format", "TabSeparated")
                result = self.session.query(text, format_).bytes()
        except Exception as error:
            self._answer(404 if "UNKNOWN_TABLE" in str(error) else 500, str(error))
            return
        self._answer(200, result)

    def _answer(self, status: int, result: str | bytes) -> None:
        self.send_response(status)
        body = result.encode() if isinstance(result, str) else result
        code = re.search(rb"Code: (\d+)", body) if status != 200 else None
        if code:
            self.send_header("X-ClickHouse-Exception-Code", code[1].decode())
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        pass


def _fields(body: str, boundary: str) -> Iterator[tuple[str, str]]:
    *parts, end = body.split(f"--{boundary}")
    assert end == "--\r\n"
    for part in parts[1:]:
        head, _, value = part.partition("\r\n\r\n")
        name = re.search('name="([^"]*)"', head)
        assert name
        yield name[1], value.removesuffix("\r\n")


def _quoted(value: str) -> str:
    escaped = value.replace("\\", "\\\\").replace("'", "\\'")
    return f"'{escaped}'"


def _serve(folder: str) -> None:
    import chdb.session  # half a second, in this process alone

    session: Any = chdb.session
    _Handler.session = session.Session(folder)
    with ThreadingHTTPServer(("127.0.0.1", 0), _Handler) as server:
        sys.stdout.write(f"http://127.0.0.1:{server.server_port}\n")
        sys.stdout.flush()
        server.serve_forever()


if __name__ == "__main__":
    _serve(sys.argv[1])
