"""A fake Suno-API with its own books: the judge of ours.

    with FakeSuno() as fake: ...    fake.url is a channel's base URL, fake.keys its accounts

A task is finished when it has been asked for as often as its prompt says, and billed then, once, as
one call. A song goes on from a clip of the same account only. Words of the prompt steer it:

    #polls=2      how often it is asked for before it has an end (1)
    #fail=why     its end is a failure, which costs nothing
    #never        it has no end
    #lie=word     of what it tells when it is asked: id, state, data, json, html, empty
    #code=word    it is refused with that code
    #clips=2      a song has so many clips, which this server plays (its only one is elsewhere)
    #sound=url    where it says that its clips are
    #answer=word  it is answered by what is no answer: html, json, empty, noid
"""

from dataclasses import dataclass
from typing import Any

from tests.fakes.task_server import TaskHandler, TaskServer, words_of

SUBMITTED = 1_716_191_749
# What looks like the first frame of an MP3.
SOUND = b"\xff\xfb\x90\x64" + bytes(range(256)) * 16


@dataclass
class FakeSong:
    """One row of the books."""

    id: str
    key: str
    action: str
    body: dict[str, Any]
    words: dict[str, str]
    polls: int = 0
    status: str = "SUBMITTED"
    billed: int = 0

    @property
    def prompt(self) -> str:
        return str(self.body.get("prompt") or self.body.get("gpt_description_prompt", ""))


class FakeSuno(TaskServer):
    """The provider."""

    def __init__(
        self, keys: tuple[str, ...] = ("suno-one-of-the-accounts", "suno-two-of-the-accounts")
    ) -> None:
        super().__init__(_Handler, keys)
        self.songs: dict[str, FakeSong] = {}

    def of(self, prompt: str) -> FakeSong:
        """The only song of a prompt."""
        (result,) = [song for song in self.songs.values() if song.prompt == prompt]
        return result

    def billed(self, *prompts: str) -> int:
        """How many calls it has billed for these."""
        return sum(song.billed for song in self.songs.values() if song.prompt in prompts)


class _Handler(TaskHandler):
    server: FakeSuno

    @property
    def key(self) -> str:
        return (self.headers["authorization"] or "").removeprefix("Bearer ")

    def do_POST(self) -> None:
        body = self.body()
        if not self._may():
            return
        action = self.path.removeprefix("/suno/submit/")
        song_text = str(body.get("prompt") or body.get("gpt_description_prompt", ""))
        words = words_of(song_text)
        if self.broken(words.get("answer")):
            return
        if "code" in words:
            self.json(200, {"code": words["code"], "message": "refused", "data": None})
            return
        source = self.server.songs.get(body.get("task_id", ""))
        if "task_id" in body and (source is None or source.key != self.key):
            self.json(200, {"code": "task_not_exist", "message": "no such task", "data": None})
            return
        with self.server.lock:
            id_ = f"736a6f88-bd29-4b1e-b110-{len(self.server.songs):012d}"
            self.server.songs[id_] = FakeSong(id_, self.key, action, body, words)
        data = None if words.get("answer") == "noid" else id_
        self.json(200, {"code": "success", "message": "", "data": data})

    def do_GET(self) -> None:
        if self.path.startswith("/clips/"):
            self.content(SOUND, "audio/mpeg")
            return
        if not self._may():
            return
        song = self.server.songs.get(self.path.removeprefix("/suno/fetch/"))
        if song is None or song.key != self.key:
            self.json(404, {"code": "task_not_exist", "message": "", "data": None})
            return
        with self.server.lock:
            song.polls += 1
            if "never" not in song.words and song.status not in ("SUCCESS", "FAILURE"):
                self._advance(song)
        if self.broken(song.words.get("lie")):
            return
        self.json(200, {"code": "success", "message": "", "data": self._told(song)})

    def _advance(self, song: FakeSong) -> None:
        if song.polls < int(song.words.get("polls", 1)):
            song.status = "IN_PROGRESS"
        elif "fail" in song.words:
            song.status = "FAILURE"
        else:
            song.status, song.billed = "SUCCESS", 1

    def _told(self, song: FakeSong) -> dict[str, Any]:
        done = song.status == "SUCCESS"
        created: Any = None
        if done and song.action == "music":
            created = [
                {"id": f"clip-{song.id}", "title": song.body.get("title", ""),
                 "status": "complete", "audio_url": "https://example.com/s.mp3",
                 "video_url": "", "image_url": "https://example.com/s.png",
                 "image_large_url": "https://example.com/sl.png", "model_name": "chirp-v4",
                 "major_model_version": "v4", "metadata": {"tags": "", "duration": 121.4}}
            ]  # fmt: skip
            several = [{**created[0], "id": f"clip{number}-{song.id}", "title": f"Version {number}",
                        "audio_url": song.words.get(
                            "sound", f"{self.server.url}/clips/{number}.mp3")}
                       for number in range(1, int(song.words.get("clips", 0)) + 1)]  # fmt: skip
            created = several or created
        elif done:
            created = {"text": "[Verse] city lights", "title": "City Lights", "status": "complete"}
        lie = song.words.get("lie")
        return {
            "task_id": "somebody-elses" if lie == "id" else song.id, "notify_hook": "",
            "action": song.action.upper(), "status": "NEARLY" if lie == "state" else song.status,
            "fail_reason": song.words.get("fail", ""), "submit_time": SUBMITTED,
            "start_time": SUBMITTED + 37, "finish_time": SUBMITTED + 151 if done else 0,
            "progress": "100%" if done else f"{10 * song.polls}%",
            "data": 7 if lie == "data" else created,
        }  # fmt: skip

    def _may(self) -> bool:
        if self.key in self.server.keys:
            return True
        self.json(401, {"code": "unauthorized", "message": "no", "data": None})
        return False
