"""What becomes of a media run in each way in which its request ends, without its database."""

import asyncio
import json
from base64 import b64encode
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest

from dialects.errors.errors import RequestFault
from lib.ids import new_id
from playground.answers.notifications import RunNotifications
from playground.media import media, runs
from playground.media.answer import MadeFile, Transcript
from playground.models import MediaRun, RunState
from tests.playground.asking import JSON, WAIT, PlannedRelay, outcome
from tests.support.cast import Cast, actor

PNG = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\0\x08\0\0\0\x0d" + bytes(9)
SETTLED = {"charge_nano": 77, "basis": "drained"}
FAULT = RequestFault("authentication", None, "revoked")


class Hands:
    """A run with all that its carrier uses but the relay; `goes_on` is what its heartbeat says."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self.ends: list[tuple[Any, ...]] = []
        self.goes_on = True
        self.fetched: list[str] = []
        payer = SimpleNamespace(labels="labels", principal=self._principal)
        patch.setattr(runs, "run_in_database", self._in_database)
        patch.setattr(runs, "stored_media_payer", lambda run: payer)
        patch.setattr(runs, "_input_files", lambda run: {})
        patch.setattr(runs, "read_settlement", self._settlement)
        patch.setattr(runs, "record_heartbeat", lambda id: self.goes_on)
        patch.setattr(runs, "end_media", self._end)
        patch.setattr(runs, "fetch_made", self._fetch)
        patch.setattr(RunNotifications, "_listen", _deaf)

    async def _in_database(self, work: Callable[..., Any], *given: Any, **named: Any) -> Any:
        return work(*given, **named)

    async def _principal(self, actor: Any, relay: PlannedRelay) -> Any:
        return await relay.principal_of_key(new_id(), 7)

    async def _settlement(self, *_: Any) -> dict[str, Any]:
        return dict(SETTLED)

    async def _fetch(self, url: str) -> bytes:
        self.fetched.append(url)
        return PNG

    def _end(self, run: MediaRun, state: RunState, facts: Any, **result: Any) -> None:
        self.ends.append((state, facts, result))

    def carry(self, relay: PlannedRelay, **over: Any) -> tuple[Any, ...]:
        """How the run ended: its state, facts and result."""
        fields = {"kind": "image", "operation": "image_generations", "body": {"model": "m"}} | over
        run = MediaRun(id=new_id(), request_id=new_id(), organisation_id=new_id(), **fields)
        carried = runs._run_media(run, None, relay)  # type: ignore[arg-type]
        asyncio.run(asyncio.wait_for(carried, 10))
        (end,) = self.ends
        for call in relay.calls:
            assert call == {
                "body": fields["body"], "user": 7, "source": "playground", "labels": "labels",
                "request_id": run.request_id, "operation": fields["operation"],
            }  # fmt: skip
        return end


async def _deaf(self: RunNotifications) -> None:
    return


@pytest.fixture
def hands(monkeypatch: pytest.MonkeyPatch) -> Hands:
    return Hands(monkeypatch)


def answer(body: Any, **over: Any) -> PlannedRelay:
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    return PlannedRelay([JSON, data[:3], data[3:], outcome(**over)])


PICTURES = {"data": [{"b64_json": b64encode(PNG).decode()}, {"url": "https://x.example/p"}]}


@pytest.mark.parametrize(
    ("kind", "body", "result"),
    [
        ("image", PICTURES, {"files": [
            MadeFile(f"image-{n}.png", "image", "image/png", PNG, {"width": 8, "height": 13})
            for n in (1, 2)
        ]}),
        ("speech", b"sound", {"files": [MadeFile("speech.wav", "audio", "audio/wav", b"sound")]}),
        ("transcription", {"text": " Hi "}, {"transcript": Transcript("Hi", [])}),
        ("video", {"id": "video_7"}, {"task": "video_7"}),
    ],
)  # fmt: skip
def test_answer_of_each_kind_is_its_result(
    hands: Hands, kind: str, body: Any, result: dict[str, Any]
) -> None:
    state, facts, made = hands.carry(
        answer(body), kind=kind, operation=kind, body={"response_format": "wav"}
    )
    assert (state, made) == (RunState.DONE, result)
    assert facts["charge_nano"] == 1_800
    assert hands.fetched == (["https://x.example/p"] if kind == "image" else [])


@pytest.mark.parametrize(
    ("relay", "state", "facts"),
    [
        (PlannedRelay(principal=FAULT), RunState.FAILED,
         {"kind": "authentication", "message": FAULT.message, "charge_nano": 0}),
        (PlannedRelay([RuntimeError()]), RunState.FAILED, {"kind": "internal", "status": 500}),
        (PlannedRelay([JSON]), RunState.FAILED, {**SETTLED, "kind": "body_too_large"}),
    ],
)  # fmt: skip
def test_run_without_an_outcome_fails(
    hands: Hands, relay: PlannedRelay, state: RunState, facts: dict[str, Any]
) -> None:
    assert hands.carry(relay) == (state, facts, {})


@pytest.mark.parametrize(
    ("relay", "kind"),
    [
        (answer(b"", status=402, kind="insufficient_balance"), "insufficient_balance"),
        (answer({"data": []}), "upstream_malformed"),
        (answer(b"no json"), "upstream_malformed"),
    ],
)
def test_answer_that_shows_nothing_fails_with_its_charge(
    hands: Hands, relay: PlannedRelay, kind: str
) -> None:
    state, facts, made = hands.carry(relay)
    assert (state, facts["kind"], facts["charge_nano"], made) == (RunState.FAILED, kind, 1_800, {})


def test_answer_that_is_too_large_is_read_no_further(
    hands: Hands, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runs, "ANSWER_BYTES_MAX", 5)
    relay = PlannedRelay([JSON, b"12345", b"6", b"7", outcome()])
    assert hands.carry(relay) == (RunState.FAILED, {**SETTLED, "kind": "body_too_large"}, {})
    assert relay.ended == 0


def test_run_that_is_stopped_has_the_charge_of_the_books(
    hands: Hands, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runs, "HEARTBEAT_S", 0.0)
    hands.goes_on = False
    relay = PlannedRelay([JSON, WAIT])
    assert hands.carry(relay) == (RunState.STOPPED, SETTLED, {})


@pytest.mark.django_db
def test_heartbeat_ends_with_a_stop_or_an_end(people: Cast) -> None:
    run = MediaRun.objects.create(
        organisation=people.acme, user=people.bob, token=new_id(), kind="image", model="m"
    )
    before = run.heartbeat_at
    assert media.record_heartbeat(run.id)
    run.refresh_from_db()
    assert run.heartbeat_at > before
    media.stop_media(run)
    assert not media.record_heartbeat(run.id)
    media.end_media(run, RunState.DONE, {"charge_nano": 5}, task="task_1")
    run.refresh_from_db()
    assert (run.state, run.task, run.outcome) == (RunState.DONE, "task_1", {"charge_nano": 5})
    assert not media.record_heartbeat(run.id)
    media.stop_media(run)
    assert actor(people.bob, people.acme).user == run.user
