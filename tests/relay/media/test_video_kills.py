"""Media tasks whose web process or worker is killed (-9) at any step (I6, I10, P1): each hold is
settled once or released once, and what is paid is what the provider has billed for what its client
can have."""

import http.client
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import cycle
from typing import Any

import pytest

from tests.fakes.video_services import FakeServices
from tests.fakes.videos import FakeVideos
from tests.relay.attempts.test_failpoints import await_strike, holds_of, let_be_taken_for_dead
from tests.relay.media.test_videos import PER_MS, RATES, fetch_video, holds, spent, video_model
from tests.relay.poller import poll, poll_and_die
from tests.relay.sweeper import sweep
from tests.support.hub import Answer, Hub, Tenant

# Before the task is written there is none; afterwards it is there, whoever lives.
WEB_BEFORE = ("admitted", "dispatched", "upstream-headers", "first-content")
WEB_BEHIND = ("task-begun", "client-finished")
WORKER = ("taken", "told", "settling", "settled")
QUICK = {"first-content", "task-begun"}


@pytest.fixture(scope="module")
def provider() -> Iterator[FakeVideos]:
    with FakeVideos() as fake:
        yield fake


@pytest.fixture(scope="module")
def model(hub: Hub, provider: FakeVideos) -> str:
    return video_model(hub, provider)


@pytest.fixture(scope="module")
def struck_hub(hub: Hub) -> Iterator[Hub]:
    """A second process on the session's database, with failpoints."""
    new_hub = Hub(hub.dsn, application="tests.relay.failpoints")
    yield new_hub
    new_hub.kill()
    new_hub.close()


@pytest.fixture
def failing(struck_hub: Hub) -> Hub:
    if struck_hub.process is None:
        struck_hub.start()
    return struck_hub


def order(
    hub: Hub, tenant: Tenant, model: str, prompt: str, failpoint: str = "", seconds: int = 8
) -> Answer | None:
    """The answer; None where the connection broke."""
    body = {"model": model, "prompt": prompt, "seconds": str(seconds), "size": "1280x720"}
    headers = {"x-failpoint": failpoint} if failpoint else {}
    try:
        return hub.post(tenant, body, path="/v1/videos", headers=headers)
    except (OSError, http.client.HTTPException):
        return None


def tasks(hub: Hub, tenant: Tenant) -> list[dict[str, Any]]:
    return hub.rows(
        "SELECT * FROM gateway_mediatask WHERE organisation_id = %s ORDER BY id",
        tenant.organisation_id,
    )


@pytest.mark.parametrize(
    "point",
    [
        pytest.param(point, marks=[] if point in QUICK else pytest.mark.slow)
        for point in (*WEB_BEFORE, *WEB_BEHIND)
    ],
)
def test_killed_web_process(failing: Hub, provider: FakeVideos, model: str, point: str) -> None:
    hub, tenant, prompt = failing, failing.tenant(), f"killed at {point}"
    written = len(hub.log())
    with ThreadPoolExecutor(1) as pool:
        answer = pool.submit(order, hub, tenant, model, prompt, f"kill {point}")
        await_strike(hub, "kill", point, written)
        message = answer.result()
    assert len(tasks(hub, tenant)) == (point in WEB_BEHIND)
    hub.start()
    if point in WEB_BEFORE:
        assert message is None
        let_be_taken_for_dead(hub, tenant)
        assert holds(hub, tenant) == ["expired"]
        assert spent(hub, tenant) == 0
        # What the provider makes nobody has heard of: it is a loss of whoever runs the hub.
        assert hub.get("/v1/videos", tenant).json()["data"] == []
    else:
        # Its process is dead, and its hold is nobody's.
        assert [hold["process_id"] for hold in holds_of(hub, tenant)] == [None]
        poll(hub, tenant)
        (video,) = hub.get("/v1/videos", tenant).json()["data"]
        assert video["status"] == "completed"
        assert holds(hub, tenant) == ["settled"]
        assert spent(hub, tenant) == PER_MS * provider.billed_ms(prompt) > 0
    hub.assert_books_balance()


@pytest.mark.parametrize("end", ["", "#fail=x"])
@pytest.mark.parametrize(
    "point",
    [pytest.param(one, marks=[] if one == "settling" else pytest.mark.slow) for one in WORKER],
)
def test_killed_worker(hub: Hub, provider: FakeVideos, model: str, point: str, end: str) -> None:
    tenant, prompt = hub.tenant(), f"worker killed at {point} {end}"
    ordered = order(hub, tenant, model, prompt)
    assert ordered is not None
    assert poll_and_die(hub, tenant, point)
    resolved = "voided" if end else "settled"
    assert holds(hub, tenant) == [resolved if point == "settled" else "open"]
    poll(hub, tenant)
    assert fetch_video(hub, tenant, ordered.json()["id"])["status"] == (
        "failed" if end else "completed"
    )
    assert holds(hub, tenant) == [resolved]
    assert spent(hub, tenant) == PER_MS * provider.billed_ms(prompt)
    assert len(hub.records(ordered.headers["x-request-id"])) == 1
    hub.assert_books_balance()


@pytest.mark.slow
def test_300_videos_survive_repeated_kills(failing: Hub, provider: FakeVideos, model: str) -> None:
    """Ten at a time, of which one kills its web process, and each round one worker dies."""
    hub, tenant = failing, failing.tenant("1000.00")
    points, deaths = cycle((*WEB_BEFORE, *WEB_BEHIND)), cycle(WORKER)
    prompts = [
        f"video {n} #polls={1 + n % 3}" + (" #fail=x" if n % 7 == 0 else "") for n in range(300)
    ]
    for at in range(0, 300, 10):
        point = next(points)
        with ThreadPoolExecutor(10) as pool:
            strikes = [f"kill {point}"] + 9 * [""]
            some = list(zip(prompts[at : at + 10], strikes, strict=True))
            answers = list(pool.map(lambda one: order(hub, tenant, model, *one), some))
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
            again = list(pool.map(lambda prompt: order(hub, tenant, model, prompt), lost))
        assert [one_message.status for one_message in again if one_message is not None] == [
            200
        ] * len(lost)
        poll_and_die(hub, tenant, next(deaths))
    sweep_dead(hub, tenant)
    hub.wait(lambda: not polled(hub, tenant), "tasks stay open")
    ended = tasks(hub, tenant)
    done = [task for task in ended if task["state"] == "succeeded"]
    known = {task["upstream_id"] for task in ended}
    states = [hold["state"] for hold in holds_of(hub, tenant)]
    assert states.count("settled") == len(done)
    assert states.count("voided") == len(ended) - len(done)
    assert set(states) <= {"settled", "voided", "expired"}
    billed = sum(one.billed_ms for one in provider.videos.values() if one.id in known)
    assert spent(hub, tenant) == PER_MS * billed == PER_MS * 8000 * len(done)
    assert len(ended) >= 300
    hub.assert_books_balance()


def polled(hub: Hub, tenant: Tenant) -> bool:
    """Whether any is still open after another round."""
    poll(hub, tenant)
    return any(task["ended_at"] is None for task in tasks(hub, tenant))


def sweep_dead(hub: Hub, tenant: Tenant) -> None:
    """What processes held that died is released; the holds of tasks are nobody's."""
    hub.connection.execute(
        "UPDATE billing_process SET alive_until = now() - interval '7 s', "
        "suspected_at = now() - interval '6 s' WHERE id IN "
        "(SELECT process_id FROM billing_hold WHERE organisation_id = %s AND state = 'open')",
        [tenant.organisation_id],
    )

    def swept() -> bool:
        sweep(hub)
        open_holds = [hold for hold in holds_of(hub, tenant) if hold["state"] == "open"]
        return all(hold["process_id"] is None for hold in open_holds)

    hub.wait(swept, "holds of dead processes stay open")


@pytest.mark.parametrize(
    ("point", "expected_created"),
    [
        pytest.param("admitted", False, marks=pytest.mark.slow),
        pytest.param("dispatched", False, marks=pytest.mark.slow),
        pytest.param("upstream-headers", True, marks=pytest.mark.slow),
        ("first-content", True),
        pytest.param("task-begun", True, marks=pytest.mark.slow),
    ],
)
def test_kling_task_survives_any_crash(failing: Hub, point: str, expected_created: bool) -> None:
    """Its task is written before it is ordered, by an id of ours: what Kling has accepted is there,
    and what it has not is released."""
    hub, tenant, prompt = failing, failing.tenant(), f"kling killed at {point}"
    with FakeServices() as fake:
        name = f"kling-{point}"
        hub.price(name, RATES)
        hub.channel(name, fake.base("kling"), fake.secret("kling"), provider="kling")
        hub.know(name)
        written = len(hub.log())
        with ThreadPoolExecutor(1) as pool:
            pool.submit(order, hub, tenant, name, prompt, f"kill {point}", seconds=10)
            await_strike(hub, "kill", point, written)
        hub.start()
        if point != "admitted":
            assert [hold["process_id"] for hold in holds_of(hub, tenant)] == [None]
        poll(hub, tenant)
        videos = hub.get("/v1/videos", tenant).json()["data"]
        if point == "admitted":
            let_be_taken_for_dead(hub, tenant)
            assert (videos, holds(hub, tenant)) == ([], ["expired"])
        else:
            (video,) = videos
            ordered = [one for one in fake.made.values() if one.prompt == prompt]
            assert bool(ordered) >= expected_created
            state, hold = ("completed", "settled") if ordered else ("failed", "voided")
            assert (video["status"], holds(hub, tenant)) == (state, [hold])
            if ordered:
                content = hub.get(f"/v1/videos/{video['id']}/content", tenant)
                assert content.body == ordered[0].content
            assert spent(hub, tenant) == (PER_MS * 10_000 if ordered else 0)
    hub.assert_books_balance()
