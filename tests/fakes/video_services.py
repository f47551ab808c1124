"""Fake services of videos, each in its own form: Kling, Jimeng, Veo, Wan, Seedance, MiniMax.

    with FakeServices() as fake: ...      fake.base("kling") is a channel's base URL

A video ends when it has been asked for as often as its prompt says. Words of the prompt steer it:

    #polls=2      how often it is asked for before it has an end (1)
    #fail         its end is a failure
    #refuse       it is not accepted, in the service's own words for filtered content
    #wrong        it is not accepted: a parameter is wrong
    #lie=word     of what is told when it is asked for: id, state, nourl, badurl, html
    #elsewhere    its bytes are at another host, which is told of by a redirect
"""

import base64
import hashlib
import hmac
import json
import re
import threading
import time
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self
from urllib.parse import parse_qs, urlsplit

ACCESS, SECRET = "AK-of-the-fake", "SK-of-the-fake=="
SERVICES = ("kling", "jimeng", "veo", "wan", "ark", "minimax")
PROVIDERS = {
    "kling": "kling", "jimeng": "jimeng", "veo": "gemini", "wan": "qwen", "ark": "doubao",
    "minimax": "minimax",
}  # fmt: skip
_WORD = re.compile(r"#(\w+)(?:=(\S+))?")


@dataclass
class OrderedVideo:
    """One row of the books: what was ordered, as it came."""

    id: str
    service: str
    body: dict[str, Any]
    headers: dict[str, str]
    path: str
    prompt: str
    words: dict[str, str]
    polls: int = 0

    @property
    def content(self) -> bytes:
        return (self.id.encode() * 999)[:5000]

    @property
    def ended(self) -> bool:
        return self.polls >= int(self.words.get("polls") or 1)

    @property
    def failed(self) -> bool:
        return self.ended and "fail" in self.words


class FakeServices(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.made: dict[str, OrderedVideo] = {}
        self.asked: list[tuple[str, dict[str, str]]] = []
        self.elsewhere = ""
        self.lock = threading.Lock()
        self._thread = threading.Thread(target=self.serve_forever, args=(0.01,))

    def base(self, service: str) -> str:
        """The base URL of a channel of this service."""
        root = f"http://127.0.0.1:{self.server_port}/{service}"
        return root + {"kling": "", "jimeng": "", "wan": "/compatible-mode/v1"}.get(service, "/v1")

    def secret(self, service: str) -> str:
        return f"{ACCESS}|{SECRET}" if service in ("kling", "jimeng") else f"sk-{service}"

    def of(self, prompt: str) -> OrderedVideo:
        """The only video of a prompt."""
        (result,) = [one for one in self.made.values() if one.prompt == prompt]
        return result

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.shutdown()
        self._thread.join()
        self.server_close()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Who leaves in the middle is no news."""


@dataclass
class Reply:
    status: int
    body: Any
    headers: dict[str, str] = field(default_factory=dict)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: FakeServices

    def do_POST(self) -> None:
        raw = self.rfile.read(int(self.headers["content-length"]))
        self._answer(raw, json.loads(raw))

    def do_GET(self) -> None:
        self._answer(b"", {})

    def _answer(self, raw: bytes, body: dict[str, Any]) -> None:
        parts = urlsplit(self.path)
        _, service, *rest = parts.path.split("/")
        path, query = "/" + "/".join(rest), parse_qs(parts.query)
        self.server.asked.append((self.path, dict(self.headers.items())))
        if path.startswith("/bytes/"):
            self._bytes(service, rest[-1])
            return
        if not self._may(service, raw):
            self._send(Reply(401, {"code": 1002, "message": "Authorization is invalid"}))
            return
        self._send(getattr(self, f"_{service}")(path, query, body))

    # ---- who may

    def _may(self, service: str, raw: bytes) -> bool:
        response = self.headers.get("authorization", "")
        if service == "kling":
            return _token_is_good(response.removeprefix("Bearer "))
        if service == "jimeng":
            return response == _signature(self.command, self.path, self.headers, raw)
        if service == "veo":
            return bool(self.headers.get("x-goog-api-key") == "sk-veo")
        return response == f"Bearer sk-{service}"

    # ---- the services

    def _kling(self, path: str, query: dict[str, list[str]], body: dict[str, Any]) -> Reply:
        if self.command == "POST":
            if "#refuse" in body["prompt"]:
                return Reply(400, {"code": 1301, "message": "content risk", "request_id": "r"})
            if "#wrong" in body["prompt"] or not 3 <= int(body["duration"]) <= 15:
                return Reply(400, {"code": 1201, "message": "Invalid parameters"})
            if any(
                one.body["external_task_id"] == body["external_task_id"]
                for one in self.server.made.values()
                if one.service == "kling"
            ):
                return Reply(400, {"code": 1201, "message": "external_task_id is not unique"})
            asked = self._make("kling", "8319", body, body["prompt"], path)
            return Reply(200, _kling(asked, "submitted"))
        name = path.rpartition("/")[2]
        ids = [
            one.id
            for one in self.server.made.values()
            if one.service == "kling" and name in (one.id, one.body["external_task_id"])
        ]
        if not ids:
            return Reply(404, {"code": 1203, "message": "The task does not exist"})
        asked = self._asked_for(ids[0])
        assert path.rpartition("/")[0] == asked.path
        if asked.failed:
            return Reply(200, _kling(asked, "failed", task_status_msg="content risk"))
        if not asked.ended:
            return Reply(200, _kling(asked, "processing"))
        video = {"id": "v1", "url": self._url(asked), "duration": "5.1"}
        message = _kling(asked, "succeed", task_id=self._id(asked), task_result={"videos": [video]})
        return self._lied(asked, message, ("data", "task_status"))

    def _jimeng(self, path: str, query: dict[str, list[str]], body: dict[str, Any]) -> Reply:
        assert query["Version"] == ["2022-08-31"]
        if query["Action"] == ["CVSync2AsyncSubmitTask"]:
            if "#refuse" in body["prompt"]:
                return Reply(400, _jimeng(None, 50411, "Pre Img Risk Not Pass"))
            if "#wrong" in body["prompt"]:
                return Reply(400, _jimeng(None, 50215, "Input invalid for this service."))
            asked = self._make("jimeng", "7392", body, body["prompt"], path)
            return Reply(200, _jimeng({"task_id": asked.id}))
        asked = self._asked_for(body["task_id"])
        assert body["req_key"] == asked.body["req_key"]
        if asked.failed:
            return Reply(400, _jimeng(None, 50511, "Post Img Risk Not Pass"))
        done = {"status": "done", "video_url": self._url(asked), "image_urls": None}
        if not asked.ended:
            return Reply(200, _jimeng({"status": "generating", "video_url": ""}))
        return self._lied(asked, _jimeng(done), ("data", "status"))

    def _veo(self, path: str, query: dict[str, list[str]], body: dict[str, Any]) -> Reply:
        if self.command == "POST":
            model = path.removeprefix("/v1/models/").removesuffix(":predictLongRunning")
            prompt = body["instances"][0]["prompt"]
            if "#refuse" in prompt or "#wrong" in prompt:
                error = {"code": 400, "message": "unsafe", "status": "INVALID_ARGUMENT"}
                return Reply(400, {"error": error})
            asked = self._make("veo", f"models/{model}/operations/", body, prompt, path)
            return Reply(200, {"name": asked.id})
        asked = self._asked_for(path.removeprefix("/v1/"))
        if asked.failed:
            return Reply(
                200, {"name": asked.id, "done": True, "error": {"code": 3, "message": "no"}}
            )
        if not asked.ended:
            return Reply(200, {"name": asked.id})
        if "filtered" in asked.words:
            filtered = {"raiMediaFilteredCount": 1, "raiMediaFilteredReasons": ["Not safe."]}
            response = {"generateVideoResponse": filtered}
            return Reply(200, {"name": asked.id, "done": True, "response": response})
        samples = [{"video": {"uri": self._url(asked)}}]
        response = {"generateVideoResponse": {"generatedSamples": samples}}
        results = {"name": self._id(asked), "done": True, "response": response}
        return self._lied(asked, results, ("name",))

    def _wan(self, path: str, query: dict[str, list[str]], body: dict[str, Any]) -> Reply:
        if self.command == "POST":
            assert path == "/api/v1/services/aigc/video-generation/video-synthesis"
            assert self.headers["x-dashscope-async"] == "enable"
            prompt = body["input"]["prompt"]
            if "#refuse" in prompt or "#wrong" in prompt:
                return Reply(400, {"code": "InvalidParameter", "message": "size is not supported"})
            asked = self._make("wan", "wan-", body, prompt, path)
            return Reply(200, {"output": {"task_status": "PENDING", "task_id": asked.id}})
        asked = self._asked_for(path.removeprefix("/api/v1/tasks/"))
        output = {"task_id": self._id(asked), "task_status": "RUNNING"}
        if asked.failed:
            output |= {"task_status": "FAILED", "code": "DataInspectionFailed", "message": "no"}
        elif asked.ended:
            output |= {"task_status": "SUCCEEDED", "video_url": self._url(asked)}
        return self._lied(asked, {"output": output}, ("output", "task_status"))

    def _ark(self, path: str, query: dict[str, list[str]], body: dict[str, Any]) -> Reply:
        if self.command == "POST":
            prompt = body["content"][0]["text"]
            if "#refuse" in prompt or "#wrong" in prompt:
                error = {"code": "InvalidParameter", "message": "ratio", "type": "BadRequest"}
                return Reply(400, {"error": error})
            asked = self._make("ark", "cgt-2026-", body, prompt, path)
            return Reply(200, {"id": asked.id})
        asked = self._asked_for(path.rpartition("/")[2])
        results: dict[str, Any] = {"id": self._id(asked), "status": "running"}
        if asked.failed:
            results |= {"status": "failed", "error": {"code": "Risk", "message": "no"}}
        elif asked.ended:
            results |= {"status": "succeeded", "content": {"video_url": self._url(asked)}}
        return self._lied(asked, results, ("status",))

    def _minimax(self, path: str, query: dict[str, list[str]], body: dict[str, Any]) -> Reply:
        fine = {"base_resp": {"status_code": 0, "status_msg": "success"}}
        if self.command == "POST":
            if "#refuse" in body["prompt"]:
                return Reply(200, {"base_resp": {"status_code": 1026, "status_msg": "sensitive"}})
            if "#wrong" in body["prompt"]:
                return Reply(200, {"base_resp": {"status_code": 2013, "status_msg": "invalid"}})
            asked = self._make("minimax", "1069", body, body["prompt"], path)
            return Reply(200, {"task_id": asked.id} | fine)
        if path == "/v1/files/retrieve":
            asked = self.server.made[query["file_id"][0].removeprefix("file-")]
            return Reply(200, {"file": {"download_url": self._url(asked)}} | fine)
        asked = self._asked_for(query["task_id"][0])
        results = {"task_id": self._id(asked), "status": "Processing", "file_id": ""}
        if asked.failed:
            results["status"] = "Fail"
            fine = {"base_resp": {"status_code": 1027, "status_msg": "sensitive"}}
        elif asked.ended:
            results |= {"status": "Success", "file_id": f"file-{asked.id}"}
        if asked.words.get("lie") == "nourl":
            results["file_id"] = ""
        if asked.words.get("lie") == "badurl":
            results["file_id"] = "file 1"
        return self._lied(asked, results | fine, ("status",))

    # ---- what they share

    def _make(
        self, service: str, start: str, body: dict[str, Any], prompt: str, path: str
    ) -> OrderedVideo:
        words = {name: value or "" for name, value in _WORD.findall(prompt)}
        headers = {name.lower(): value for name, value in self.headers.items()}
        with self.server.lock:
            id_ = f"{start}{len(self.server.made):04d}"
            created = OrderedVideo(id_, service, body, headers, path, prompt, words)
            self.server.made[id_] = created
        return created

    def _asked_for(self, id_: str) -> OrderedVideo:
        with self.server.lock:
            created = self.server.made[id_]
            created.polls += 1
        return created

    def _id(self, created: OrderedVideo) -> str:
        return "of-somebody-else" if created.words.get("lie") == "id" else created.id

    def _url(self, created: OrderedVideo) -> str:
        if created.words.get("lie") in ("nourl", "badurl"):
            return "" if created.words["lie"] == "nourl" else "file:///etc/passwd"
        place = "redirect" if "elsewhere" in created.words else created.service
        return f"http://127.0.0.1:{self.server.server_port}/{place}/bytes/{_hex(created.id)}"

    def _lied(self, created: OrderedVideo, values: dict[str, Any], state: tuple[str, ...]) -> Reply:
        lie = created.words.get("lie")
        if lie == "html":
            return Reply(200, "<html>")
        if lie == "state":
            inner = values
            for name in state[:-1]:
                inner = inner[name]
            inner[state[-1]] = "nearly"
        return Reply(200, values)

    def _bytes(self, service: str, name: str) -> None:
        created = self.server.made[bytes.fromhex(name).decode()]
        if service == "redirect":
            self._send(Reply(302, "", {"location": self.server.elsewhere}))
            return
        if service == "veo" and self.headers.get("x-goog-api-key") != "sk-veo":
            self._send(Reply(403, ""))
            return
        asked = re.fullmatch(r"bytes=(\d+)-(\d+)", self.headers.get("range", ""))
        content, status = created.content, 200
        if asked:
            content, status = content[int(asked[1]) : int(asked[2]) + 1], 206
        self._send(Reply(status, content, {"content-type": "video/mp4"}))

    def _send(self, reply: Reply) -> None:
        body = reply.body
        if not isinstance(body, bytes):
            body = (body if isinstance(body, str) else json.dumps(body)).encode()
        self.send_response(reply.status)
        for name, value in ({"content-type": "application/json"} | reply.headers).items():
            self.send_header(name, value)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        pass


def _hex(text: str) -> str:
    return text.encode().hex()


def _kling(created: OrderedVideo, status: str, **more: Any) -> dict[str, Any]:
    info = {"external_task_id": created.body["external_task_id"]}
    data = {
        "task_id": created.id,
        "task_status": status,
        "task_info": info,
        "created_at": 1,
        **more,
    }
    return {"code": 0, "message": "SUCCEED", "request_id": "r", "data": data}


def _jimeng(data: Any, code: int = 10000, message: str = "Success") -> dict[str, Any]:
    return {
        "code": code, "data": data, "message": message, "request_id": "r", "status": code,
        "time_elapsed": "9ms",
    }  # fmt: skip


def _token_is_good(token: str) -> bool:
    head, _, rest = token.partition(".")
    claims, _, signature = rest.partition(".")
    expected = hmac.new(SECRET.encode(), f"{head}.{claims}".encode(), hashlib.sha256).digest()
    if base64.urlsafe_b64decode(signature + "==") != expected:
        return False
    body = json.loads(base64.urlsafe_b64decode(claims + "=="))
    now = time.time()
    return bool(body["iss"] == ACCESS and body["nbf"] <= now < body["exp"] <= now + 1800)


def _signature(method: str, target: str, headers: Any, raw: bytes) -> str:
    """What must stand in `Authorization`, by the description of Volcengine's signature."""
    path, _, query = target.partition("?")
    stamp, digest = headers["x-date"], hashlib.sha256(raw).hexdigest()
    canonical = (
        f"{method}\n{path}\n{query}\ncontent-type:{headers['content-type']}\n"
        f"host:{headers['host']}\nx-content-sha256:{digest}\nx-date:{stamp}\n\n"
        f"content-type;host;x-content-sha256;x-date\n{digest}"
    )
    scope = f"{stamp[:8]}/cn-north-1/cv/request"
    key = SECRET.encode()
    for part in (stamp[:8], "cn-north-1", "cv", "request"):
        key = hmac.new(key, part.encode(), hashlib.sha256).digest()
    hashed = hashlib.sha256(canonical.encode()).hexdigest()
    text = f"HMAC-SHA256\n{stamp}\n{scope}\n{hashed}"
    created = hmac.new(key, text.encode(), hashlib.sha256).hexdigest()
    return (
        f"HMAC-SHA256 Credential={ACCESS}/{scope}, "
        f"SignedHeaders=content-type;host;x-content-sha256;x-date, Signature={created}"
    )
