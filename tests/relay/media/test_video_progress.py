"""How far a video is: as events to who follows it, as webhooks to its organisation, and rung for by
its provider."""

import http.client
import json
import secrets
from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import Any

import pytest

from dialects.chat.chat import Encoded
from dialects.media.videos import VideoRequest
from gateway.providers.task_forms import VIDEO_FORMS
from relay.media_tasks.video_order import AcceptedVideo
from relay.operations.unary import Exchange, Sending
from relay.operations.video_callbacks import add_callback
from tests.fakes.videos import FakeVideos
from tests.relay.media.test_videos import RATES, accepted, fetch_video, order, video_model
from tests.relay.poller import poll
from tests.support.hub import Hub, Tenant

pytestmark = pytest.mark.usefixtures("balanced_books")


@pytest.fixture(scope="module")
def provider() -> Iterator[FakeVideos]:
    with FakeVideos() as fake:
        yield fake


@pytest.fixture(scope="module")
def model(hub: Hub, provider: FakeVideos) -> str:
    return video_model(hub, provider)


@contextmanager
def following(hub: Hub, tenant: Tenant, id_: str) -> Iterator[http.client.HTTPResponse]:
    connection = http.client.HTTPConnection("127.0.0.1", hub.port, timeout=60)
    headers = {"authorization": f"Bearer {tenant.key}"}
    connection.request("GET", f"/v1/videos/{id_}/events", headers=headers)
    with closing(connection), connection.getresponse() as answer:
        yield answer


def event(answer: http.client.HTTPResponse) -> tuple[str, dict[str, Any]]:
    """The next one; comments are passed over."""
    while (line := answer.readline()).startswith((b":", b"\n")):
        pass
    assert line.startswith(b"event: "), line
    data = answer.readline()
    return line[7:].decode().strip(), json.loads(data.removeprefix(b"data: "))


def test_a_video_is_followed_to_its_end(hub: Hub, provider: FakeVideos, model: str) -> None:
    tenant = hub.tenant()
    id_ = accepted(hub, tenant, model, "followed #polls=2")["id"]
    with following(hub, tenant, id_) as answer:
        assert (answer.status, answer.headers["content-type"]) == (200, "text/event-stream")
        name, video = event(answer)
        assert (name, video) == ("video.queued", fetch_video(hub, tenant, id_))
        poll(hub, tenant)
        assert event(answer)[1]["progress"] == 10
        poll(hub, tenant)
        name, video = event(answer)
        assert (name, video) == ("video.completed", fetch_video(hub, tenant, id_))
        assert answer.read().strip() == b""
    with following(hub, tenant, id_) as answer:
        assert event(answer)[0] == "video.completed"
        assert answer.read().strip() == b""
    with following(hub, hub.tenant(), id_) as answer:
        assert answer.status == 404


def facts(hub: Hub, tenant: Tenant) -> list[dict[str, Any]]:
    return hub.rows(
        "SELECT kind, body FROM outbox_fact WHERE organisation_id = %s AND kind LIKE 'video.%%' "
        "ORDER BY id", tenant.organisation_id,
    )  # fmt: skip


def test_each_end_is_sent_to_webhooks_once(hub: Hub, provider: FakeVideos, model: str) -> None:
    """And nothing of what was asked or made is in it."""
    tenant = hub.tenant()
    done = order(hub, tenant, model, "secret one")
    poll(hub, tenant, 2)
    failed = accepted(hub, tenant, model, "secret two #fail=moderation_blocked")
    poll(hub, tenant, 2)
    first, second = facts(hub, tenant)
    assert (first["kind"], second["kind"]) == ("video.completed", "video.failed")
    assert first["body"] == {
        "video": done.json()["id"], "request": done.headers["x-request-id"], "model": model,
        "team": first["body"]["team"], "seconds": 8, "size": "1280x720",
    }  # fmt: skip
    assert (second["body"]["video"], second["body"]["error"]) == (
        failed["id"], "moderation_blocked",
    )  # fmt: skip
    assert "secret" not in json.dumps([first["body"], second["body"]])


def ring(hub: Hub, id_: str, token: str) -> int:
    return hub.request("POST", f"/callbacks/videos/{id_}/{token}", body=b'{"status":"x"}').status


def test_provider_callback_only_triggers_a_poll(hub: Hub, provider: FakeVideos, model: str) -> None:
    """Whoever has no token is told of nothing; whoever has it makes us ask sooner, and no sooner
    than the provider allows."""
    tenant = hub.tenant()
    id_ = accepted(hub, tenant, model, "rung for #polls=9")["id"]
    assert ring(hub, id_, "") == 404
    assert ring(hub, id_, "x") == 404
    hub.connection.execute(
        "UPDATE gateway_mediatask SET callback_token = 'secret', polled_at = now(), "
        "next_poll_at = now() + interval '60 s' WHERE public_id = %s", [id_],
    )  # fmt: skip
    assert ring(hub, id_, "wrong") == 404
    assert ring(hub, "video_" + 32 * "0", "secret") == 404

    def wait_s() -> float:
        (row,) = hub.rows(
            "SELECT extract(epoch FROM next_poll_at - polled_at) AS wait, state "
            "FROM gateway_mediatask WHERE public_id = %s", id_,
        )  # fmt: skip
        assert row["state"] == "queued"
        return float(row["wait"])

    assert wait_s() > 59
    assert (ring(hub, id_, "secret"), ring(hub, id_, "secret")) == (204, 204)
    assert 19 < wait_s() < 30
    assert fetch_video(hub, tenant, id_)["status"] == "queued"
    poll(hub, tenant)
    assert fetch_video(hub, tenant, id_)["progress"] == 10


@pytest.mark.parametrize(
    ("operation", "public_url", "expected_notice"),
    [
        ("kling_videos", "https://weir.example", True),
        ("ark_videos", "https://weir.example", True),
        ("kling_videos", "http://127.0.0.1:8000", False),
        ("minimax_videos", "https://weir.example", False),
        ("videos", "https://weir.example", False),
    ],
)
def test_only_providers_with_callbacks_get_an_address(
    operation: str, public_url: str, expected_notice: bool
) -> None:
    form = VIDEO_FORMS.get(operation)
    assert form is not None
    request: Any = VideoRequest
    accepted_video = AcceptedVideo(request, form, "task_1", "", lambda video: {})
    exchange = Exchange(
        lambda raw: NotImplemented, lambda raw, meters: raw, (), accepted=accepted_video
    )
    sending = Sending(form.operation, "openai", Encoded(b'{"prompt":"x"}'), exchange)
    first, second = (add_callback(sending, public_url) for _ in range(2))
    body = json.loads(first.encoded.body)
    assert isinstance(first.exchange, Exchange)
    assert isinstance(first.exchange.accepted, AcceptedVideo)
    token = first.exchange.accepted.callback_token
    ours = {"external_task_id": "task_1"} if form.external else {}
    if not expected_notice:
        assert (body, token) == ({"prompt": "x", **ours}, "")
        return
    callback = f"{public_url}/callbacks/videos/task_1/{token}"
    assert body == {"prompt": "x", "callback_url": callback, **ours}
    assert len(token) == 43
    assert first.encoded.body != second.encoded.body


def test_a_remix_is_ordered_by_the_key_that_made_its_source(hub: Hub) -> None:
    """By another key of the channel, which is another account's, it would not be found."""
    tenant, keys = hub.tenant("20"), ["sk-first", "sk-other"]
    with FakeVideos(*keys) as fake:
        name = f"v-{secrets.token_hex(6)}"
        hub.price(name, RATES)
        hub.channel(name, fake.url, keys, upstream_model="sora-2")
        hub.know(name)
        sources = [accepted(hub, tenant, name, f"source {n}")["id"] for n in range(4)]
        assert {fake.of(f"source {n}").key for n in range(4)} == set(keys)
        poll(hub, tenant)
        for n, id_ in enumerate(sources):
            for _ in range(2):
                path = f"/v1/videos/{id_}/remix"
                remix = hub.post(tenant, {"prompt": f"of {n}"}, path=path)
                assert remix.status == 200, remix.body
        items = [one for one in fake.videos.values() if one.remix_of is not None]
        assert len(items) == 8
        assert all(one.key == fake.videos[str(one.remix_of)].key for one in items)
