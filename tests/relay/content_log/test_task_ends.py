"""P31: a media task is kept as it was asked for, and with its end."""

import json
import secrets
from collections.abc import Iterator

import pytest

from tests.fakes.midjourney import FakeMidjourney
from tests.fakes.videos import FakeVideos
from tests.relay.content_log.test_background_and_sockets import CARD, all_kept
from tests.relay.content_log.test_content_log import add_rule, entries, kept, open_entry, where
from tests.relay.media.test_videos import order, video_model
from tests.relay.poller import poll
from tests.relay.task_services import serve
from tests.support.hub import Hub


@pytest.fixture(scope="module")
def model(hub: Hub) -> Iterator[str]:
    with FakeVideos() as fake, hub.forgetful():
        yield video_model(hub, fake)


def test_video_is_kept_with_its_end(hub: Hub, model: str) -> None:
    tenant, without = hub.tenant(), hub.tenant()
    add_rule(hub, tenant)
    planted = f"planted {secrets.token_hex(8)}"
    answer = order(hub, tenant, model, f"{planted} {CARD}")
    assert answer.headers["x-weir-content-log"] == "kept"
    row, content = kept(hub, tenant, answer)
    assert row["operation"] == "videos"
    assert json.loads(content.request)["prompt"] == f"{planted} <CARD_1>"
    assert json.loads(content.answer)["status"] == "queued"
    assert content.final == b""
    order(hub, without, model, "a cat")
    poll(hub, tenant)
    poll(hub, without)
    (after,) = entries(hub, tenant)
    assert json.loads(open_entry(hub, after).final) == {"status": "succeeded"}
    assert after["content_bytes"] > row["content_bytes"]
    assert (where(hub, planted), entries(hub, without)) == ([], [])


def test_why_a_video_failed_is_kept(hub: Hub, model: str) -> None:
    tenant = hub.tenant()
    add_rule(hub, tenant)
    order(hub, tenant, model, "a cat #fail=moderation_blocked")
    all_kept(hub, tenant, 1)
    poll(hub, tenant)
    ((_, content),) = all_kept(hub, tenant, 1)
    assert json.loads(content.final) == {
        "status": "failed", "error": {"code": "moderation_blocked", "message": "Blocked."},
    }  # fmt: skip


def test_order_that_is_left_out_has_no_end(hub: Hub, model: str) -> None:
    tenant = hub.tenant()
    add_rule(hub, tenant)
    body = {"model": model, "prompt": "a cat", "seconds": "8", "size": "1280x720"}
    answer = hub.post(tenant, body, path="/v1/videos", headers={"x-weir-store": "false"})
    assert answer.headers["x-weir-content-log"] == "not-kept"
    poll(hub, tenant)
    assert entries(hub, tenant) == []


def test_rejected_order_is_kept(hub: Hub, model: str) -> None:
    tenant = hub.tenant()
    add_rule(hub, tenant, keep="errors")
    answer = order(hub, tenant, model, "a cat", seconds="7000")
    assert answer.status >= 400
    ((row, content),) = all_kept(hub, tenant, 1)
    assert (row["status"], content.error) == (answer.status, answer.error["message"])


def test_picture_of_a_service_is_kept_with_its_masked_result(hub: Hub) -> None:
    tenant, planted = hub.tenant(), f"planted {secrets.token_hex(8)}"
    add_rule(hub, tenant)
    with FakeMidjourney() as fake, hub.forgetful():
        serve(hub, fake, "midjourney_proxy", ["mj_imagine"])
        body = {"prompt": f"{planted} {CARD}"}
        answer = hub.post(tenant, body, path="/mj/submit/imagine")
        row, content = kept(hub, tenant, answer)
        assert (row["operation"], row["model"]) == ("midjourney_imagine", "mj_imagine")
        assert json.loads(content.request)["prompt"] == f"{planted} <CARD_1>"
        poll(hub, tenant)
    (after,) = entries(hub, tenant)
    final = open_entry(hub, after).final.decode()
    assert json.loads(final)["status"] == "succeeded"
    assert f"{planted} <CARD_2>" in final
    assert CARD not in final
    assert where(hub, planted) == []
