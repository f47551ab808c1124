"""A fake provider of videos in OpenAI's form, with its own books: the judge of ours.

    with FakeVideos() as fake: ...        fake.url is a channel's base URL, fake.key its key

A video is finished when it has been asked for as often as its prompt says, and billed then, once,
for as long as it was ordered. Words of the prompt steer it, and each answer to it:

    #polls=2      how often it is asked for before it has an end (1)
    #fail=code    its end is a failure, which costs nothing
    #never        it has no end
    #lie=word     of what it tells when it is asked: id, state, json, html, empty, huge, seconds
    #away=2       so many questions are answered by 503, with Retry-After where #wait=7 says so
    #refuse=400   it is not accepted
    #answer=word  how it is accepted: html, empty, noid
    #hold         it is accepted when the test says so (`released`), before its answer goes out
    #hang         nothing is told of it until the test says so (`released`)
    #endless      its content is a GiB; `left` says that nobody takes more of it
"""

import json
import re
import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self
from urllib.parse import parse_qs, urlsplit

CREATED = 1_767_000_900
SIZES = ("720x1280", "1280x720", "1024x1792", "1792x1024")
_WORD = re.compile(r"#(\w+)(?:=(\S+))?")
_RANGE = re.compile(r"bytes=(\d+)-(\d*)")


@dataclass
class FakeVideo:
    """One row of the books."""

    id: str
    attempt: str
    model: str
    prompt: str
    seconds: int
    size: str
    reference: str
    remix_of: str | None
    key: str
    polls: int = 0
    status: str = "queued"
    billed_ms: int = 0
    deleted: bool = False
    words: dict[str, str] = field(default_factory=dict)

    def object(self) -> dict[str, Any]:
        failed = self.status == "failed"
        ended = self.status == "completed"
        return {
            "id": self.id, "object": "video", "created_at": CREATED, "status": self.status,
            "completed_at": CREATED + 90 if ended else None,
            "error": {"code": self.words["fail"], "message": "Blocked."} if failed else None,
            "expires_at": None, "model": self.model,
            "progress": 100 if ended else min(99, 10 * self.polls), "prompt": self.prompt,
            "remixed_from_video_id": self.remix_of, "seconds": str(self.seconds),
            "size": self.size,
        }  # fmt: skip

    @property
    def content(self) -> bytes:
        """Its bytes."""
        return (self.id.encode() * 8192)[: 100_000 + self.seconds]


class FakeVideos(ThreadingHTTPServer):
    """The provider, running in threads of this process."""

    daemon_threads = True

    def __init__(self, key: str = "sk-videos", *other_keys: str) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.key = key
        # Each is another account's: none has what was made for another.
        self.keys = (key, *other_keys)
        self.videos: dict[str, FakeVideo] = {}
        self.lock = threading.Lock()
        self.accepting = threading.Event()
        self.left = threading.Event()
        self.released = threading.Event()
        self.released.set()
        self._thread = threading.Thread(target=self.serve_forever, args=(0.01,))

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/v1"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.released.set()
        self.shutdown()
        self._thread.join()
        self.server_close()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Who leaves in the middle is no news."""

    def of(self, prompt: str) -> FakeVideo:
        """The only video of a prompt."""
        (result,) = [one for one in self.videos.values() if one.prompt == prompt]
        return result

    def billed_ms(self, *prompts: str) -> int:
        """What it has billed for these."""
        return sum(one.billed_ms for one in self.videos.values() if one.prompt in prompts)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: FakeVideos

    def do_POST(self) -> None:
        raw = self.rfile.read(int(self.headers["content-length"]))
        if not self._may():
            return
        body = json.loads(raw)
        path = urlsplit(self.path).path.split("/")
        source = None
        if path[-1] == "remix":
            source = self.server.videos[path[-2]]
            if source.key != self._key():
                self._error(404, "Video not found")
                return
            body = {
                "model": source.model, "seconds": str(source.seconds), "size": source.size, **body,
            }  # fmt: skip
        words = {name: value or "" for name, value in _WORD.findall(body["prompt"])}
        if refused := words.get("refuse"):
            self._error(int(refused), "not accepted")
            return
        if not isinstance(body["seconds"], str) or body["size"] not in SIZES:
            self._error(400, "Invalid value")
            return
        with self.server.lock:
            video = FakeVideo(
                f"video_up{len(self.server.videos):06d}",
                self.headers["x-client-request-id"],
                body["model"],
                body["prompt"],
                int(body["seconds"]),
                body["size"],
                body.get("input_reference", {}).get("image_url", ""),
                None if source is None else source.id,
                self._key(),
                words=words,
            )
            self.server.videos[video.id] = video
        if "hold" in words:
            self.server.accepting.set()
            self.server.released.wait(60)
        match words.get("answer"):
            case "html":
                self._send(200, b"<html>", "text/html")
            case "empty":
                self._send(200, b"")
            case "noid":
                self._json(200, {"object": "video", "status": "queued"})
            case _:
                self._json(200, video.object())

    def do_GET(self) -> None:
        if not self._may():
            return
        split = urlsplit(self.path)
        path = split.path.removeprefix("/v1/videos/").split("/")
        video = self.server.videos.get(path[0])
        if video is None or video.deleted or video.key != self._key():
            self._error(404, "Video not found")
        elif path[1:] == ["content"]:
            variant = parse_qs(split.query).get("variant", ["video"])[0]
            self._content(video, variant)
        else:
            self._status(video)

    def _status(self, video: FakeVideo) -> None:
        if "hang" in video.words:
            self.server.released.wait(60)
        with self.server.lock:
            video.polls += 1
            polls, words = video.polls, video.words
            if polls <= int(words.get("away", 0)):
                fields = {"retry-after": words["wait"]} if "wait" in words else {}
                self._send(503, b"{}", fields=fields)
                return
            if "never" not in words and polls >= int(words.get("polls", 1)):
                self._finish(video)
            elif video.status == "queued" and polls > 1:
                video.status = "in_progress"
        message = video.object()
        match video.words.get("lie"):
            case "id":
                message["id"] = "video_of_somebody_else"
            case "state":
                message["status"] = "nearly"
            case "json":
                self._send(200, b'{"id": ')
                return
            case "html":
                self._send(200, b"<html>", "text/html")
                return
            case "empty":
                self._send(200, b"")
                return
            case "huge":
                message["prompt"] = "x" * 1_000_000
            case "seconds":
                message["seconds"] = "100"
        self._json(200, message)

    def _finish(self, video: FakeVideo) -> None:
        if video.status in ("completed", "failed"):
            return
        video.status = "failed" if "fail" in video.words else "completed"
        if video.status == "completed":
            video.billed_ms = 1000 * video.seconds

    def _content(self, video: FakeVideo, variant: str) -> None:
        content, kind = video.content, "video/mp4"
        if "endless" in video.words:
            self._endless()
            return
        if variant != "video":
            content, kind = variant.encode(), "image/webp"
        asked = _RANGE.fullmatch(self.headers.get("range", ""))
        if asked is None:
            self._send(200, content, kind, {"accept-ranges": "bytes", "etag": '"1"'})
            return
        start, end = int(asked[1]), int(asked[2] or len(content) - 1)
        if start >= len(content):
            self._send(416, b"", kind, {"content-range": f"bytes */{len(content)}"})
            return
        part = content[start : end + 1]
        span = f"bytes {start}-{start + len(part) - 1}/{len(content)}"
        self._send(206, part, kind, {"content-range": span})

    def _endless(self) -> None:
        self.send_response(200)
        self.send_header("content-type", "video/mp4")
        self.send_header("content-length", str(2**30))
        self.end_headers()
        try:
            for _ in range(2**14):
                self.wfile.write(b"v" * 2**16)
        except OSError:
            self.close_connection = True
            self.server.left.set()

    def _key(self) -> str:
        return str(self.headers["authorization"]).removeprefix("Bearer ")

    def _may(self) -> bool:
        if self._key() in self.server.keys:
            return True
        self._error(401, "Incorrect API key provided")
        return False

    def _error(self, status: int, message: str) -> None:
        error = {"message": message, "type": "invalid_request_error", "param": None, "code": None}
        self._json(status, {"error": error})

    def _json(self, status: int, body: Any) -> None:
        self._send(status, json.dumps(body).encode())

    def _send(
        self,
        status: int,
        body: bytes,
        kind: str = "application/json",
        fields: dict[str, str] | None = None,
    ) -> None:
        self.send_response(status)
        for name, value in {"content-type": kind, **(fields or {})}.items():
            self.send_header(name, value)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        pass
