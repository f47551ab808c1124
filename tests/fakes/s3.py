"""A server with the parts of S3's API that Weir uses, which keeps objects in memory. It does not
check signatures."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from urllib.parse import parse_qs, unquote, urlsplit
from xml.etree.ElementTree import fromstring
from xml.sax.saxutils import escape


class FakeS3:
    """Its objects by bucket and key, and the method and key of each request. With `refuses`, it
    answers everything with 403."""

    def __init__(self, port: int) -> None:
        self.url = f"http://127.0.0.1:{port}"
        self.objects: dict[str, bytes] = {}
        self.requests: list[str] = []
        self.refuses = False

    def answer(self, method: str, target: str, body: bytes, span: str) -> tuple[int, bytes]:
        split = urlsplit(target)
        key, query = unquote(split.path).lstrip("/"), parse_qs(split.query, keep_blank_values=True)
        self.requests.append(f"{method} {key}")
        if self.refuses:
            return 403, b"<Error><Code>AccessDenied</Code></Error>"
        if method == "PUT":
            self.objects[key] = body
            return 200, b""
        if "delete" in query:
            keys = [str(one.text) for one in fromstring(body).iterfind(".//{*}Key")]
            for name in keys:
                self.objects.pop(f"{key}/{name}", None)
            deleted = "".join(f"<Deleted><Key>{escape(name)}</Key></Deleted>" for name in keys)
            return 200, f"<DeleteResult>{deleted}</DeleteResult>".encode()
        if "list-type" in query:
            return 200, self._list(key, query)
        if key not in self.objects:
            return 404, b"<Error><Code>NoSuchKey</Code></Error>"
        content = self.objects[key]
        if bounds := re.fullmatch(r"bytes=(\d+)-(\d+)", span):
            if int(bounds[1]) >= len(content):
                return 416, b"<Error><Code>InvalidRange</Code></Error>"
            return 206, content[int(bounds[1]) : int(bounds[2]) + 1]
        return 200, content

    def _list(self, bucket: str, query: dict[str, list[str]]) -> bytes:
        prefix, delimiter = query.get("prefix", [""])[0], query.get("delimiter", [""])[0]
        keys = [name.removeprefix(f"{bucket}/") for name in sorted(self.objects)]
        folders, listed = set[str](), ""
        for key in keys:
            rest = key.removeprefix(prefix)
            if not key.startswith(prefix):
                continue
            if delimiter and delimiter in rest:
                folders.add(prefix + rest.partition(delimiter)[0] + delimiter)
                continue
            listed += (
                f"<Contents><Key>{escape(key)}</Key><ETag>x</ETag>"
                "<LastModified>2026-11-29T10:00:00.000Z</LastModified>"
                f"<Size>{len(self.objects[f'{bucket}/{key}'])}</Size></Contents>"
            )
        for folder in sorted(folders):
            listed += f"<CommonPrefixes><Prefix>{escape(folder)}</Prefix></CommonPrefixes>"
        return f"<ListBucketResult>{listed}</ListBucketResult>".encode()


@contextmanager
def fake_s3() -> Iterator[FakeS3]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def handle_one(self) -> None:
            body = self.rfile.read(int(self.headers.get("content-length", 0)))
            span = self.headers.get("range", "")
            status, answer = fake.answer(self.command, self.path, body, span)
            self.send_response(status)
            self.send_header("content-length", str(len(answer)))
            self.send_header("etag", '"x"')
            self.send_header("last-modified", "Sun, 29 Nov 2026 10:00:00 GMT")
            if status == 206:
                first = int(span.removeprefix("bytes=").split("-")[0])
                last = first + len(answer) - 1
                self.send_header("content-range", f"bytes {first}-{last}/{10**9}")
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(answer)

        do_GET = do_HEAD = do_PUT = do_POST = handle_one

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    fake = FakeS3(server.server_port)
    thread = Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield fake
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
