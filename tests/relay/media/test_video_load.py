"""What many open videos cost the worker that asks for them, in CPU time."""

import time
import uuid
from collections.abc import Callable

import pytest

from gateway.providers.task_forms import VIDEO_FORMS
from lib.ids import new_id
from tests.fakes.videos import FakeVideo, FakeVideos
from tests.relay import sweeper
from tests.relay.media.test_videos import video_model
from tests.support.hub import Hub

OPEN, ASKED = 10_000, 1_000
CORES_MAX = 0.15


@pytest.mark.timed
@pytest.mark.slow
def test_ten_thousand_open_videos_cost_a_quarter_of_a_core(
    hub: Hub, record_property: Callable[[str, object], None]
) -> None:
    """In the end each is asked for as seldom as its form says: so many questions a second, at what
    one of them costs."""
    tenant = hub.tenant()
    with FakeVideos() as fake:
        name = video_model(hub, fake)
        (channel,) = hub.rows(
            "SELECT channel.id, key.id AS key_id FROM gateway_channel channel "
            "JOIN gateway_channelkey key ON key.channel_id = channel.id WHERE name = %s",
            f"{name}-0",
        )
        for n in range(ASKED):
            id_ = f"video_up{n:06d}"
            fake.videos[id_] = FakeVideo(
                id_, "", name, "#never", 8, "1280x720", "", None, fake.key, words={"never": ""}
            )
            hub.connection.execute(
                "INSERT INTO gateway_mediatask (id, public_id, organisation_id, team_id,"
                " request_id, operation, model, form, channel_id, channel_key_id, upstream_id,"
                " state, progress, seconds, size, remixed_from, next_poll_at, polls, failures) "
                "VALUES (%s, %s, %s, %s, %s, 'videos', %s, 'videos', %s, %s, %s, 'queued', 0, 8,"
                " '1280x720', '', now(), 20, 0)",
                [new_id(), f"video_{uuid.uuid4().hex}", tenant.organisation_id, tenant.team_id,
                 new_id(), name, channel["id"], channel["key_id"], id_],
            )  # fmt: skip
        cpu_s = sweeper.beside(hub, cpu_of_polling) / 1e6
        assert sum(video.polls for video in fake.videos.values()) == ASKED
    hub.connection.execute(
        "DELETE FROM gateway_mediatask WHERE organisation_id = %s", [tenant.organisation_id]
    )
    asked_a_second = OPEN / min(form.poll.max_s for form in VIDEO_FORMS.values())
    cores = cpu_s / ASKED * asked_a_second
    record_property("cores", round(cores, 3))
    assert cores < CORES_MAX, f"{1000 * cpu_s / ASKED:.2f} ms of CPU a question"


def cpu_of_polling(name: str) -> int:
    """Beside the hub: the CPU time of asking for all that is due, in microseconds."""
    from django.db import connection

    from gateway.media_tasks import media_tasks

    connection.settings_dict["NAME"] = name
    began = time.process_time()
    media_tasks.poll()
    spent = time.process_time() - began
    connection.close()
    connection.close_pool()  # type: ignore[attr-defined]
    return int(1e6 * spent)
