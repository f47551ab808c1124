"""Tasks of Midjourney and of Suno whose web process or worker is killed (-9) at any step (I6, I10,
P1): each hold is settled once or released once, and what is paid is what the provider has billed
for what its client can have."""

import http.client
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import cycle
from typing import Any

import pytest

from tests.fakes.midjourney import FakeMidjourney
from tests.fakes.suno import FakeSuno
from tests.relay.attempts.test_failpoints import await_strike, holds_of, let_be_taken_for_dead
from tests.relay.media.test_video_kills import (
    WEB_BEFORE,
    WEB_BEHIND,
    WORKER,
    polled,
    struck_hub,
    sweep_dead,
    tasks,
)
from tests.relay.poller import poll, poll_and_die
from tests.relay.task_services import CALL_NANO, holds, serve, spent
from tests.support.hub import Answer, Hub, Tenant

pytestmark = pytest.mark.slow
__all__ = ["struck_hub"]


@pytest.fixture(scope="module")
def pictures(hub: Hub) -> Iterator[FakeMidjourney]:
    with FakeMidjourney() as fake:
        serve(hub, fake, "midjourney_proxy", ["mj_imagine", "mj_upscale"])
        yield fake


@pytest.fixture(scope="module")
def music(hub: Hub) -> Iterator[FakeSuno]:
    with FakeSuno() as fake:
        serve(hub, fake, "suno_api", ["suno_music"])
        yield fake


@pytest.fixture
def failing(struck_hub: Hub) -> Hub:
    if struck_hub.process is None:
        struck_hub.start()
    return struck_hub


def order(hub: Hub, tenant: Tenant, prompt: str, failpoint: str = "") -> Answer | None:
    """A picture, or a song where the prompt says so; None where the connection broke."""
    path = "/suno/submit/music" if "song" in prompt else "/mj/submit/imagine"
    headers = {"x-failpoint": failpoint} if failpoint else {}
    try:
        return hub.post(tenant, {"prompt": prompt}, path=path, headers=headers)
    except (OSError, http.client.HTTPException):
        return None


def billed(pictures: FakeMidjourney, music: FakeSuno, ended: list[dict[str, Any]]) -> int:
    """The calls that the providers have billed for tasks that are known."""
    known = {task["upstream_id"] for task in ended}
    created = sum(task.billed for task in pictures.tasks.values() if task.id in known)
    return created + sum(song.billed for song in music.songs.values() if song.id in known)


@pytest.mark.parametrize("word", ["picture", "song"])
@pytest.mark.parametrize("point", [*WEB_BEFORE, *WEB_BEHIND])
def test_killed_web_process(
    failing: Hub, pictures: FakeMidjourney, music: FakeSuno, point: str, word: str
) -> None:
    hub, tenant = failing, failing.tenant()
    written = len(hub.log())
    with ThreadPoolExecutor(1) as pool:
        answer = pool.submit(order, hub, tenant, f"a {word} at {point}", f"kill {point}")
        await_strike(hub, "kill", point, written)
        answer.result()
    ended = tasks(hub, tenant)
    assert len(ended) == (point in WEB_BEHIND)
    hub.start()
    if point in WEB_BEFORE:
        let_be_taken_for_dead(hub, tenant)
        assert (holds(hub, tenant), spent(hub, tenant)) == (["expired"], 0)
    else:
        assert [hold["process_id"] for hold in holds_of(hub, tenant)] == [None]
        poll(hub, tenant)
        assert holds(hub, tenant) == ["settled"]
        assert spent(hub, tenant) == CALL_NANO == CALL_NANO * billed(pictures, music, ended)
    hub.assert_books_balance()


@pytest.mark.parametrize("end", ["", "#fail=x"])
@pytest.mark.parametrize("word", ["picture", "song"])
@pytest.mark.parametrize("point", WORKER)
def test_killed_worker(
    hub: Hub, pictures: FakeMidjourney, music: FakeSuno, point: str, word: str, end: str
) -> None:
    tenant = hub.tenant()
    ordered = order(hub, tenant, f"a {word} whose worker dies at {point} {end}")
    assert ordered is not None
    assert poll_and_die(hub, tenant, point)
    resolved = "voided" if end else "settled"
    assert holds(hub, tenant) == [resolved if point == "settled" else "open"]
    poll(hub, tenant)
    assert holds(hub, tenant) == [resolved]
    assert spent(hub, tenant) == CALL_NANO * billed(pictures, music, tasks(hub, tenant))
    assert len(hub.records(ordered.headers["x-request-id"])) == 1
    hub.assert_books_balance()


def test_300_tasks_survive_repeated_kills(
    failing: Hub, pictures: FakeMidjourney, music: FakeSuno
) -> None:
    """Ten at a time, of which one kills its web process, and each round one worker dies."""
    hub, tenant = failing, failing.tenant("1000.00")
    points, deaths = cycle((*WEB_BEFORE, *WEB_BEHIND)), cycle(WORKER)
    prompts = [
        f"{('picture', 'song')[n % 2]} {n} #polls={1 + n % 3}" + (" #fail=x" if n % 7 == 0 else "")
        for n in range(300)
    ]
    for at in range(0, 300, 10):
        point = next(points)
        with ThreadPoolExecutor(10) as pool:
            some = list(zip(prompts[at : at + 10], [f"kill {point}"] + 9 * [""], strict=True))
            answers = list(pool.map(lambda one: order(hub, tenant, *one), some))
        if hub.process is not None and hub.process.wait(30) == -9:
            hub.process = None
        hub.start()
        # Who got no answer orders again.
        lost = [
            prompt
            for (prompt, _), one_message in zip(some, answers, strict=True)
            if one_message is None or one_message.status != 200
        ]
        with ThreadPoolExecutor(10) as pool:
            again = list(pool.map(lambda prompt: order(hub, tenant, prompt), lost))
        assert [one_message.status for one_message in again if one_message is not None] == [
            200
        ] * len(lost)
        poll_and_die(hub, tenant, next(deaths))
    sweep_dead(hub, tenant)
    hub.wait(lambda: not polled(hub, tenant), "tasks stay open")
    ended = tasks(hub, tenant)
    done = [task for task in ended if task["state"] == "succeeded"]
    states = [hold["state"] for hold in holds_of(hub, tenant)]
    assert states.count("settled") == len(done)
    assert states.count("voided") == len(ended) - len(done)
    assert set(states) <= {"settled", "voided", "expired"}
    calls = billed(pictures, music, ended)
    assert spent(hub, tenant) == CALL_NANO * calls == CALL_NANO * len(done)
    assert len(ended) >= 300
    hub.assert_books_balance()
