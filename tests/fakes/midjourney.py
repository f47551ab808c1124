"""A fake midjourney-proxy with its own books: the judge of ours.

    with FakeMidjourney() as fake: ...    fake.url is a channel's base URL, fake.keys its accounts

A task is finished when it has been asked for as often as its prompt (of a change its `state`) says,
and billed then, once, as one call. An account knows its own tasks only. Words steer it:

    #polls=2      how often it is asked for before it has an end (1)
    #fail=why     its end is a failure, which costs nothing
    #never        it has no end
    #lie=word     of what it tells when it is asked: id, state, json, html, empty
    #away=2       so many questions are answered by 503
    #code=24      how it is answered: 21 and 22 are accepted too
    #answer=word  it is answered by what is no answer: html, json, empty, noid
    #picture=url  where it says that its picture is; its own /away leads to `elsewhere`
"""

from dataclasses import dataclass, field
from typing import Any

from tests.fakes.task_server import TaskHandler, TaskServer, words_of

PICTURE = b"\x89PNG\r\n\x1a\n" + bytes(range(256)) * 64
SUBMITTED = 1_730_621_718_151
_DIALOGS = ("CustomZoom", "Inpaint")


@dataclass
class FakePicture:
    """One row of the books."""

    id: str
    key: str
    attempt: str
    path: str
    body: dict[str, Any]
    parent: str
    words: dict[str, str]
    action: str = ""
    polls: int = 0
    status: str = "SUBMITTED"
    billed: int = 0
    asked: list[str] = field(default_factory=list)

    @property
    def name(self) -> str:
        """The text by which a test knows it."""
        return str(self.body.get("prompt") or self.body.get("state", ""))


class FakeMidjourney(TaskServer):
    """The provider."""

    def __init__(
        self, keys: tuple[str, ...] = ("mj-one-of-the-accounts", "mj-two-of-the-accounts")
    ) -> None:
        super().__init__(_Handler, keys)
        self.tasks: dict[str, FakePicture] = {}
        self.elsewhere = ""
        self.seen: list[dict[str, str]] = []

    def of(self, name: str) -> FakePicture:
        """The only task of a prompt, or of a state."""
        (result,) = [task for task in self.tasks.values() if task.name == name]
        return result

    def billed(self, *names: str) -> int:
        """How many calls it has billed for these."""
        return sum(task.billed for task in self.tasks.values() if task.name in names)


class _Handler(TaskHandler):
    server: FakeMidjourney

    def do_POST(self) -> None:
        body = self.body()
        if not self._may():
            return
        path = self.path.removeprefix("/mj/submit/")
        words = words_of(f"{body.get('prompt', '')} {body.get('state', '')}")
        if self.broken(words.get("answer")):
            return
        code = int(words.get("code", 1))
        if code not in (1, 21, 22):
            values = {"code": code, "description": f"refused with {code}", "properties": {}}
            self.json(200, values)
            return
        parent = str(body.get("taskId") or str(body.get("content", "")).partition(" ")[0])
        known = self.server.tasks.get(parent)
        if parent and (known is None or known.key != self.headers["mj-api-secret"]):
            self.json(200, {"code": 3, "description": "no such task", "properties": {}})
            return
        with self.server.lock:
            task = self._made(path, body, parent, words)
        result = {} if words.get("answer") == "noid" else {"result": task.id}
        properties: dict[str, Any] = {"numberOfQueues": 1} if code == 22 else {}
        properties["discordInstanceId"] = "1118138338562560102"
        text = "Submitted successfully"
        self.json(200, {"code": code, "description": text, "properties": properties, **result})

    def _made(
        self, path: str, body: dict[str, Any], parent: str, words: dict[str, str]
    ) -> FakePicture:
        tasks = self.server.tasks
        if path == "modal":
            task = tasks[parent]
            task.status, task.body = "SUBMITTED", body
            task.words = words
            return task
        id_ = f"17306217181{len(tasks):05d}"
        task = FakePicture(
            id_, self.headers["mj-api-secret"], self.headers["x-client-request-id"], path, body,
            parent, words,
        )  # fmt: skip
        if any(word in str(body.get("customId")) for word in _DIALOGS):
            task.status = "MODAL"
        tasks[id_] = task
        return task

    def do_GET(self) -> None:
        if self.path.startswith("/pictures/"):
            self.server.seen.append({name.lower(): value for name, value in self.headers.items()})
            self.content(PICTURE, "image/png")
            return
        if self.path == "/away":
            self.send_response(302)
            self.send_header("location", self.server.elsewhere)
            self.send_header("content-length", "0")
            self.end_headers()
            return
        if self.path == "/gone":
            self.json(404, {})
            return
        if not self._may():
            return
        _, _, _, id_, what = self.path.split("/")
        task = self.server.tasks.get(id_)
        if task is None or task.key != self.headers["mj-api-secret"]:
            self.json(404, {})
        elif what == "image-seed":
            self.json(200, {"code": 1, "description": "success", "result": f"seed-{id_}"})
        else:
            self._status(task)

    def _status(self, task: FakePicture) -> None:
        with self.server.lock:
            task.polls += 1
            polls, words = task.polls, task.words
            if polls <= int(words.get("away", 0)):
                self.bytes(503, b"{}")
                return
            if task.status != "MODAL" and "never" not in words:
                self._advance(task, polls)
        if self.broken(words.get("lie")):
            return
        message = self._told(task)
        if words.get("lie") == "id":
            message["id"] = "of-somebody-else"
        if words.get("lie") == "state":
            message["status"] = "NEARLY"
        self.json(200, message)

    def _advance(self, task: FakePicture, polls: int) -> None:
        if task.status in ("SUCCESS", "FAILURE"):
            return
        if polls < int(task.words.get("polls", 1)):
            task.status = "IN_PROGRESS"
        elif "fail" in task.words:
            task.status = "FAILURE"
        else:
            task.status, task.billed = "SUCCESS", 1

    def _told(self, task: FakePicture) -> dict[str, Any]:
        done = task.status == "SUCCESS"
        picture = task.words.get("picture", f"{self.server.url}/pictures/{task.id}.png")
        buttons = [
            {"customId": f"MJ::JOB::upsample::1::{task.id}", "emoji": "", "label": "U1",
             "type": 2, "style": 2},
            {"customId": f"MJ::CustomZoom::{task.id}", "emoji": "", "label": "Zoom", "type": 2,
             "style": 2},
        ]  # fmt: skip
        return {
            "id": task.id, "action": task.path.upper(), "customId": "", "botType": "MID_JOURNEY",
            "prompt": task.name, "promptEn": f"en {task.name}", "description": "/imagine",
            "state": task.body.get("state", ""), "submitTime": SUBMITTED, "startTime": SUBMITTED,
            "finishTime": SUBMITTED + 60_000 if done else None,
            "imageUrl": picture if done else "",
            "status": task.status, "progress": "100%" if done else f"{10 * task.polls}%",
            "failReason": task.words.get("fail", ""), "buttons": buttons if done else [],
            "properties": {"finalPrompt": f"{task.name} --v 6.1", "discordChannelId": "13008"},
        }  # fmt: skip

    def _may(self) -> bool:
        if self.headers["mj-api-secret"] in self.server.keys:
            return True
        self.json(401, {"code": 4, "description": "unauthorised"})
        return False
