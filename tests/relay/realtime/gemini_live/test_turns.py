"""The turns of a live session: how each ends, and what is settled of it, without a provider."""

import json
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any
from uuid import UUID

import pytest

from relay.realtime.gemini_live.connection import LiveConnection, LiveConversation
from relay.realtime.gemini_live.handles import open_handle
from relay.realtime.response import RunningResponses

TEAM, CHANNEL, KEYS, TOKEN = UUID(int=1), UUID(int=2), (UUID(int=3), UUID(int=4)), UUID(int=5)


class Session(LiveConnection):
    """A session of which only what it settles is looked at."""

    def __init__(self, key: int = 0) -> None:
        self.settled: list[tuple[str, str]] = []
        self.timers: list[Callable[[], None]] = []
        self.touched = 0
        noted: list[str] = []
        self.noted = noted
        loop = SimpleNamespace(call_later=self.call_later)
        self._context: Any = SimpleNamespace(
            parts=SimpleNamespace(loop=loop, config=SimpleNamespace(pepper="p" * 32)),
            principal=SimpleNamespace(team_id=TEAM),
        )
        self._admitted: Any = SimpleNamespace(
            channel=SimpleNamespace(uuid=CHANNEL, key_ids=KEYS), upstream_model="m"
        )
        self._probe: Any = SimpleNamespace(
            key=key, first_content=lambda: noted.append("first"), good=lambda: noted.append("good")
        )
        self._holds: Any = SimpleNamespace(take=self.take)
        self._running: Any = RunningResponses()
        self._conversation = LiveConversation(7)
        self._session_id, self._talk, self._usage_due = "s", None, None
        self._interrupted = self._settled_without_usage = False
        self._client_works = self._goodbye = False
        self._token: Any = None

    def call_later(self, delay_s: float, act: Callable[[], None]) -> Any:
        self.timers.append(act)
        return SimpleNamespace(cancel=lambda: self.timers.remove(act))

    async def take(self) -> Any:
        def finish(done: Any) -> Any:
            self.settled.append((done.status, bytes(done.usage).decode()))
            return SimpleNamespace(basis="estimated")

        return SimpleNamespace(
            begin=lambda *_, **__: None, note_output=lambda **_: True, finish=finish,
            end=SimpleNamespace(upstream_request_id=""),
        )  # fmt: skip

    def _answer(self, response: Any) -> Any:
        return SimpleNamespace(
            note_message=lambda _: True, counted_usage=lambda usage, model: usage
        )

    def _touch(self) -> None:
        self.touched += 1

    async def receive(self, messages: str) -> None:
        """What the provider sends: (o)utput, (i)nterruption, (e)nd, (u)sage, or its timer."""
        for letter in messages:
            if letter == "t":
                for act in [*self.timers]:
                    act()
                continue
            await self._take(json.dumps(MESSAGES[letter]).encode())


MESSAGES: dict[str, Any] = {
    "o": {"serverContent": {"modelTurn": {"parts": [{"text": "a"}]}}},
    "i": {"serverContent": {"interrupted": True}},
    "e": {"serverContent": {"turnComplete": True}},
    "u": {"usageMetadata": {"n": 1}},
    "b": {"serverContent": {"turnComplete": True}, "usageMetadata": {"n": 2}},
}
USED, LAST = '{"n": 1}', '{"n": 2}'


@pytest.mark.parametrize(
    ("messages", "settled"),
    [
        ("ob", [("completed", LAST)]),
        ("oeu", [("completed", USED)]),
        ("oib", [("cancelled", LAST)]),
        # An interruption is of its turn alone.
        ("oibob", [("cancelled", LAST), ("completed", LAST)]),
        ("oeuoib", [("completed", USED), ("cancelled", LAST)]),
        # Usage that does not come is counted here, and not once more if it does.
        ("oet", [("completed", "")]),
        ("oetu", [("completed", "")]),
        ("oetuob", [("completed", ""), ("completed", LAST)]),
        ("oeob", [("completed", ""), ("completed", LAST)]),
        # Late usage is looked for until the next turn begins; then any usage is of a turn.
        ("oetobu", [("completed", ""), ("completed", LAST), ("completed", USED)]),
        ("oetuu", [("completed", ""), ("completed", USED)]),
        ("u", [("completed", USED)]),
        # The end of a turn that said nothing waits for no usage.
        ("e", []),
    ],
)
async def test_turn_is_settled_once_with_its_own_end(
    messages: str, settled: list[tuple[str, str]]
) -> None:
    session = Session()
    await session.receive(messages)
    assert session.settled == settled
    assert not session._running
    assert session.timers == []
    assert session._usage_due is None
    assert session.noted == ["first", "good"] * len(settled)


@pytest.mark.parametrize("key", [0, 1])
@pytest.mark.parametrize("token", [None, TOKEN])
async def test_handle_names_where_its_session_is(key: int, token: UUID | None) -> None:
    session = Session(key)
    session._token = None if token is None else SimpleNamespace(id=token)
    message = {"sessionResumptionUpdate": {"newHandle": "h", "resumable": True}}
    sent = json.loads(await session._take(json.dumps(message).encode()))
    text = sent["sessionResumptionUpdate"]["newHandle"]
    handle = open_handle("p" * 32, text, TEAM)
    assert (handle.handle, handle.channel_id, handle.channel_key_id) == ("h", CHANNEL, KEYS[key])
    assert (handle.tokens, handle.token_id) == (7, token)
