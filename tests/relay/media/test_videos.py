"""Videos over the real hub: what clients read, what the provider billed, and what the books say."""

import http.client
import json
import os
import re
import secrets
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from openai import OpenAI

from gateway.media_tasks.content_links import LINK_S, signed_link
from tests.fakes.videos import FakeVideos
from tests.relay.clients import OpenAIClient
from tests.relay.poller import poll
from tests.support.hub import Answer, Hub, Tenant

pytestmark = pytest.mark.usefixtures("balanced_books")

# 0.10 USD a second, in nano for a millisecond.
PER_MS = 100_000
RATES = {"video_ms[720p]": PER_MS * 10**6}
PUBLIC_ID = re.compile(r"video_[0-9a-f]{32}")


@pytest.fixture(scope="module")
def provider() -> Iterator[FakeVideos]:
    with FakeVideos() as fake:
        yield fake


@pytest.fixture(scope="module")
def model(hub: Hub, provider: FakeVideos) -> str:
    return video_model(hub, provider)


def video_model(hub: Hub, provider: FakeVideos, **over: Any) -> str:
    """A model of the provider."""
    name = f"v-{secrets.token_hex(6)}"
    hub.price(name, over.pop("rates", RATES))
    hub.channel(name, provider.url, provider.key, upstream_model="sora-2", **over)
    hub.know(name)
    return name


def order(hub: Hub, tenant: Tenant, model: str, prompt: str, **over: Any) -> Answer:
    body = {"model": model, "prompt": prompt, "seconds": "8", "size": "1280x720"} | over
    return hub.post(tenant, body, path="/v1/videos")


def accepted(hub: Hub, tenant: Tenant, model: str, prompt: str, **over: Any) -> dict[str, Any]:
    answer = order(hub, tenant, model, prompt, **over)
    assert answer.status == 200, answer.body
    body: dict[str, Any] = answer.json()
    return body


def fetch_video(hub: Hub, tenant: Tenant, id_: str) -> dict[str, Any]:
    answer = hub.get(f"/v1/videos/{id_}", tenant)
    assert answer.status == 200, answer.body
    body: dict[str, Any] = answer.json()
    return body


def holds(hub: Hub, tenant: Tenant) -> list[str]:
    rows = hub.rows(
        "SELECT state FROM billing_hold WHERE organisation_id = %s ORDER BY id",
        tenant.organisation_id,
    )
    return [row["state"] for row in rows]


def spent(hub: Hub, tenant: Tenant) -> int:
    revenue: int = hub.balance(tenant)["revenue"]
    return revenue


# ---- what the books say


def test_video_is_held_when_ordered_and_charged_once_at_its_end(
    hub: Hub, provider: FakeVideos, model: str
) -> None:
    tenant = hub.tenant()
    answer = order(hub, tenant, model, "a cat #polls=3")
    video = answer.json()
    assert PUBLIC_ID.fullmatch(video["id"])
    assert answer.headers["x-weir-hold"] == "0.80"
    assert (video["status"], video["progress"], video["model"]) == ("queued", 0, model)
    assert (holds(hub, tenant), spent(hub, tenant)) == (["open"], 0)
    poll(hub, tenant, 2)
    video = fetch_video(hub, tenant, video["id"])
    assert (video["status"], video["progress"]) == ("in_progress", 20)
    assert (holds(hub, tenant), spent(hub, tenant)) == (["open"], 0)
    poll(hub, tenant, 2)
    video = fetch_video(hub, tenant, video["id"])
    assert (video["status"], video["progress"], video["error"]) == ("completed", 100, None)
    assert video["expires_at"] - video["completed_at"] == 7 * 86400
    record = hub.record(answer.headers["x-request-id"])
    assert record["meters"] == {"video_ms[720p]": 8000}
    assert (record["charge_nano"], record["basis"]) == (800_000_000, "measured")
    assert (record["status"], record["operation"]) == (200, "videos")
    assert spent(hub, tenant) == 800_000_000 == PER_MS * provider.billed_ms("a cat #polls=3")
    assert (provider.of("a cat #polls=3").polls, holds(hub, tenant)) == (3, ["settled"])


def test_a_failed_video_costs_nothing_and_says_why(
    hub: Hub, provider: FakeVideos, model: str
) -> None:
    tenant, prompt = hub.tenant(), "a cat #fail=moderation_blocked"
    answer = order(hub, tenant, model, prompt)
    poll(hub, tenant)
    video = fetch_video(hub, tenant, answer.json()["id"])
    assert video["status"] == "failed"
    assert video["error"] == {"code": "moderation_blocked", "message": "Blocked."}
    assert (video["completed_at"], video["expires_at"]) == (None, None)
    record = hub.record(answer.headers["x-request-id"])
    assert (record["charge_nano"], record["basis"], record["kind"]) == (0, "none", "upstream_error")
    assert (spent(hub, tenant), holds(hub, tenant)) == (0, ["voided"])
    assert hub.get(f"/v1/videos/{video['id']}/content", tenant).status == 404


@pytest.mark.parametrize("lie", ["id", "state", "json", "html", "empty", "huge"])
def test_impossible_provider_reports_are_not_believed(
    hub: Hub, provider: FakeVideos, model: str, lie: str
) -> None:
    tenant, prompt = hub.tenant(), f"a dog #lie={lie}"
    video = accepted(hub, tenant, model, prompt)
    poll(hub, tenant)
    assert fetch_video(hub, tenant, video["id"])["status"] == "queued"
    assert holds(hub, tenant) == ["open"]
    provider.of(prompt).words.clear()
    poll(hub, tenant)
    assert fetch_video(hub, tenant, video["id"])["status"] == "completed"
    assert spent(hub, tenant) == PER_MS * provider.billed_ms(prompt)


def test_provider_reporting_more_than_ordered_is_paid_for_the_order(
    hub: Hub, provider: FakeVideos, model: str
) -> None:
    tenant = hub.tenant()
    answer = order(hub, tenant, model, "long #lie=seconds")
    poll(hub, tenant)
    record = hub.record(answer.headers["x-request-id"])
    assert (record["charge_nano"], record["flags"]) == (800_000_000, ["usage_mismatch"])


def test_unavailable_provider_is_asked_again_after_its_wait(
    hub: Hub, provider: FakeVideos, model: str
) -> None:
    tenant, prompt = hub.tenant(), "a bird #away=1 #wait=70"
    video = accepted(hub, tenant, model, prompt)
    poll(hub, tenant)
    (row,) = hub.rows(
        "SELECT failures, polls, next_poll_at - now() AS wait FROM gateway_mediatask "
        "WHERE public_id = %s", video["id"],
    )  # fmt: skip
    assert (row["failures"], row["polls"]) == (1, 1)
    assert 60 < row["wait"].total_seconds() <= 70
    poll(hub, tenant)
    assert fetch_video(hub, tenant, video["id"])["status"] == "completed"


@pytest.mark.slow
def test_silent_provider_delays_no_other(hub: Hub, provider: FakeVideos, model: str) -> None:
    tenant, hanging = hub.tenant(), "a wolf #hang"
    with FakeVideos() as other:
        second = video_model(hub, other)
        video, quick = (
            accepted(hub, tenant, one, prompt)
            for one, prompt in ((model, hanging), (second, "a hare"))
        )
        provider.released.clear()
        poll(hub, tenant)
        assert fetch_video(hub, tenant, quick["id"])["status"] == "completed"
        assert fetch_video(hub, tenant, video["id"])["status"] == "queued"
        provider.released.set()
        provider.of(hanging).words.clear()
        poll(hub, tenant)
        assert fetch_video(hub, tenant, video["id"])["status"] == "completed"
    assert spent(hub, tenant) == PER_MS * 16_000


def test_unending_video_fails_after_a_day_and_is_refunded(
    hub: Hub, provider: FakeVideos, model: str
) -> None:
    tenant, prompt = hub.tenant(), "a fish #never"
    answer = order(hub, tenant, model, prompt)
    poll(hub, tenant)
    hub.connection.execute(
        "UPDATE gateway_mediatask SET created_at = now() - interval '86401 s' "
        "WHERE organisation_id = %s", [tenant.organisation_id],
    )  # fmt: skip
    poll(hub, tenant)
    video = fetch_video(hub, tenant, answer.json()["id"])
    assert (video["status"], video["error"]["code"]) == ("failed", "timeout")
    assert hub.record(answer.headers["x-request-id"])["kind"] == "timeout"
    assert (spent(hub, tenant), holds(hub, tenant)) == (0, ["voided"])


@pytest.mark.parametrize(
    ("words", "status"), [("#refuse=400", 400), ("#answer=html", 502), ("#answer=noid", 502)]
)
def test_unaccepted_order_creates_no_task(
    hub: Hub, provider: FakeVideos, model: str, words: str, status: int
) -> None:
    tenant = hub.tenant()
    assert order(hub, tenant, model, f"a stone {words}").status == status
    hub.settled(tenant)
    assert spent(hub, tenant) == 0
    assert hub.get("/v1/videos", tenant).json()["data"] == []


def test_video_above_balance_or_maximum_cost_is_rejected(
    hub: Hub, provider: FakeVideos, model: str
) -> None:
    poor, rich = hub.tenant("0.79"), hub.tenant()
    assert order(hub, poor, model, "dear").status == 402
    body = {"model": model, "prompt": "dear", "seconds": "8", "max_cost": "0.79"}
    assert hub.post(rich, body, path="/v1/videos").status == 402
    assert provider.billed_ms("dear") == 0
    assert [one for one in provider.videos.values() if one.prompt == "dear"] == []


# ---- who sees it


def test_only_keys_of_its_team_see_a_task(hub: Hub, provider: FakeVideos, model: str) -> None:
    tenant, stranger = hub.tenant(), hub.tenant()
    video = accepted(hub, tenant, model, "secret")
    poll(hub, tenant)
    fellow = hub.key(tenant)
    paths = [f"/v1/videos/{video['id']}", f"/v1/video/generations/{video['id']}"]
    for path in (*paths, f"{paths[0]}/content"):
        assert hub.get(path, fellow).status == 200
        foreign, missing = hub.get(path, stranger), hub.get(path.replace("video_", "video_0"))
        assert (foreign.status, missing.status) == (404, 401)
        never = hub.get(path.replace(video["id"], "video_" + 32 * "0"), tenant)
        same = foreign.error | {"message": ""}, never.error | {"message": ""}
        assert same[0] == same[1]
        assert foreign.error["code"] == "task_not_found"
    remix = hub.post(stranger, {"prompt": "night"}, path=f"{paths[0]}/remix")
    assert remix.status == 404
    assert hub.request("DELETE", paths[0], stranger).status == 404
    assert hub.get("/v1/videos", stranger).json()["data"] == []
    assert len(hub.get("/v1/videos", fellow).json()["data"]) == 1


def test_request_is_sealed_and_expires(hub: Hub, provider: FakeVideos, model: str) -> None:
    tenant, prompt = hub.tenant(), "nobody else reads this #fail=x"
    video = accepted(hub, tenant, model, prompt)
    poll(hub, tenant)
    (row,) = hub.rows("SELECT * FROM gateway_mediatask WHERE public_id = %s", video["id"])
    assert prompt not in json.dumps(
        row,
        default=lambda value: (
            bytes(value).decode("latin-1") if isinstance(value, bytes | memoryview) else str(value)
        ),
    )
    assert fetch_video(hub, tenant, video["id"])["prompt"] == prompt
    assert hub.request("DELETE", f"/v1/videos/{video['id']}", tenant).json()["deleted"] is True
    (row,) = hub.rows("SELECT * FROM gateway_mediatask WHERE public_id = %s", video["id"])
    assert (row["request"], row["result"]) == (None, None)
    assert hub.get(f"/v1/videos/{video['id']}", tenant).status == 404


def test_video_can_be_deleted_only_after_its_end(
    hub: Hub, provider: FakeVideos, model: str
) -> None:
    """What is still being made is paid for at its end, and can be fetched."""
    tenant, prompt = hub.tenant(), "too soon #polls=3"
    path = f"/v1/videos/{accepted(hub, tenant, model, prompt)['id']}"
    for polls in (0, 2):  # queued, and in progress
        poll(hub, tenant, polls)
        refused = hub.request("DELETE", path, tenant)
        assert (refused.status, refused.error["code"]) == (409, "conflict")
        assert "still being made" in refused.error["message"]
    poll(hub, tenant, 2)
    assert hub.get(f"{path}/content", tenant).body == provider.of(prompt).content
    assert spent(hub, tenant) == PER_MS * provider.billed_ms(prompt)
    assert hub.request("DELETE", path, tenant).json()["deleted"] is True


# ---- what clients read


@pytest.mark.filterwarnings("ignore:The Sora API is scheduled:DeprecationWarning")
def test_the_official_client(
    hub: Hub, openai_client: OpenAIClient, provider: FakeVideos, model: str
) -> None:
    """It sends a form, whether there is a file or not (docs of its `videos.create`)."""
    tenant = hub.tenant()
    client: OpenAI = openai_client(tenant.key)
    picture = ("cat.png", b"\x89PNG\r\n\x1a\n\0\xff", "image/png")
    created = client.videos.create(
        model=model, prompt="official", seconds="4", size="1280x720", input_reference=picture
    )
    ordered = provider.of("official")
    assert ordered.reference == "data:image/png;base64,iVBORw0KGgoA/w=="
    assert (created.status, created.seconds, created.size) == ("queued", "4", "1280x720")
    plain = client.videos.create(model=model, prompt="without a picture")
    assert (plain.seconds, plain.size) == ("4", "720x1280")
    poll(hub, tenant)
    done = client.videos.retrieve(created.id)
    assert (done.status, done.progress) == ("completed", 100)
    assert client.videos.download_content(created.id).read() == ordered.content
    thumbnail = client.videos.download_content(created.id, variant="thumbnail")
    assert thumbnail.read() == b"thumbnail"
    remix = client.videos.remix(created.id, prompt="by night")
    assert remix.remixed_from_video_id == created.id
    assert provider.of("by night").remix_of == ordered.id
    poll(hub, tenant)
    first = client.videos.list(limit=2)
    assert [one.id for one in first.data] == [remix.id, plain.id]
    assert [one.id for one in client.videos.list(limit=2)] == [remix.id, plain.id, created.id]
    assert [one.id for one in client.videos.list(order="asc", limit=1).data] == [created.id]
    gone = client.videos.delete(created.id)
    assert (gone.id, gone.deleted) == (created.id, True)
    assert [one.id for one in client.videos.list()] == [remix.id, plain.id]
    billed = provider.billed_ms("official", "without a picture", "by night")
    assert spent(hub, tenant) == PER_MS * billed == PER_MS * 12_000


def test_the_generic_form(hub: Hub, provider: FakeVideos, model: str) -> None:
    tenant = hub.tenant()
    body = {
        "model": model, "prompt": "generic", "duration": 8, "width": 720, "height": 1280,
        "fps": 24, "metadata": {"style": "film"},
    }  # fmt: skip
    answer = hub.post(tenant, body, path="/v1/video/generations")
    answer_body = answer.json()
    assert answer_body["status"] == "queued"
    assert re.fullmatch(r"task_[0-9a-z]{26}", answer_body["task_id"])
    assert answer.headers["x-weir-dropped-params"] == "fps,metadata.style"
    path = f"/v1/video/generations/{answer_body['task_id']}"
    assert hub.get(path, tenant).json()["url"] == ""
    poll(hub, tenant)
    document = hub.get(path, tenant).json()
    assert document == {
        "task_id": answer_body["task_id"], "status": "completed", "format": "mp4", "error": None,
        "url": document["url"], "metadata": {"duration": 8, "width": 720, "height": 1280},
    }  # fmt: skip
    content = hub.get(document["url"][document["url"].index("/v1/") :], tenant)
    assert content.body == provider.of("generic").content
    # Any video id works on every status endpoint; the form follows the endpoint.
    assert fetch_video(hub, tenant, answer_body["task_id"])["seconds"] == "8"
    failed = hub.post(tenant, body | {"prompt": "no #fail=451"}, path="/v1/video/generations")
    poll(hub, tenant)
    answer_body = hub.get(f"/v1/video/generations/{failed.json()['task_id']}", tenant).json()
    assert (answer_body["status"], answer_body["error"]) == (
        "failed",
        {"code": 451, "message": "Blocked."},
    )


def test_a_link_opens_its_video_without_a_key_until_it_expires(
    hub: Hub, provider: FakeVideos, model: str
) -> None:
    tenant, pepper = hub.tenant(), os.environ["WEIR_KEY_PEPPER"]
    first, other = (accepted(hub, tenant, model, f"linked {n}")["id"] for n in range(2))
    poll(hub, tenant)
    link = hub.get(f"/v1/video/generations/{first}", tenant).json()["url"]
    link = link[link.index("/v1/") :]
    content = provider.of("linked 0").content
    answer = hub.request("GET", link, None, headers={"range": "bytes=5-14"})
    assert (answer.status, answer.body) == (206, content[5:15])
    path, query = link.split("?")
    now = time.time()
    for wrong in (
        path,
        link.replace(first, other),
        f"{path}?{query}0",
        f"{path}?{query}&signature=x",
        f"{path}?{query.replace('expires=', 'expires=9')}",
        f"{path}?signature={query.partition('signature=')[2]}",
        signed_link(pepper, path, first, now - LINK_S - 3600),
        signed_link(pepper + "x", path, first, now),
    ):
        assert hub.request("GET", wrong, None).status == 401, wrong
        # It is no worse than none for who has a key.
        assert hub.get(wrong, tenant).status == 200
    assert hub.request("GET", signed_link(pepper, path, first, now), None).body == content
    assert hub.request("DELETE", f"/v1/videos/{first}", tenant).status == 200
    assert hub.request("GET", link, None).status == 404


def test_content_comes_in_parts(hub: Hub, provider: FakeVideos, model: str) -> None:
    tenant = hub.tenant()
    video = accepted(hub, tenant, model, "parts")
    path = f"/v1/videos/{video['id']}/content"
    early = hub.get(path, tenant)
    assert (early.status, early.error["code"]) == (409, "conflict")
    poll(hub, tenant)
    whole = provider.of("parts").content
    answer = hub.get(path, tenant)
    assert (answer.body, answer.headers["content-type"]) == (whole, "video/mp4")
    assert answer.headers["content-length"] == str(len(whole))
    part = hub.request("GET", path, tenant, headers={"range": "bytes=5-14"})
    assert (part.status, part.body) == (206, whole[5:15])
    assert part.headers["content-range"] == f"bytes 5-14/{len(whole)}"
    beyond = hub.request("GET", path, tenant, headers={"range": "bytes=999999-"})
    assert beyond.status == 416
    assert hub.get(f"{path}?variant=audio", tenant).status == 422
    hub.connection.execute(
        "UPDATE gateway_mediatask SET expires_at = now() WHERE public_id = %s", [video["id"]]
    )
    assert hub.get(path, tenant).status == 404
    assert fetch_video(hub, tenant, video["id"])["status"] == "completed"


@pytest.mark.parametrize(
    ("body", "status", "param"),
    [
        ({"prompt": ""}, 422, "prompt"),
        ({"prompt": None}, 400, "prompt"),
        ({"prompt": 7}, 400, "prompt"),
        ({"seconds": "0"}, 422, "seconds"),
        ({"seconds": "soon"}, 422, "seconds"),
        ({"seconds": True}, 400, "seconds"),
        ({"size": "large"}, 422, "size"),
        ({"input_reference": {"image_url": "data:image/png;base64,%"}}, 400,
         "input_reference.image_url"),
        ({"input_reference": {"file_id": "file-1"}}, 400, "input_reference.file_id"),
        ({"model": "nobody-has-it"}, 404, "model"),
    ],
)  # fmt: skip
def test_errors_are_rejected_before_anything_is_held(
    hub: Hub, model: str, body: dict[str, Any], status: int, param: str
) -> None:
    tenant = hub.tenant()
    answer = hub.post(tenant, {"model": model, "prompt": "x"} | body, path="/v1/videos")
    assert (answer.status, answer.error["param"]) == (status, param)
    assert holds(hub, tenant) == []


def test_repeated_order_is_one_video(hub: Hub, provider: FakeVideos, model: str) -> None:
    tenant, keyed = hub.tenant(), {"idempotency-key": "once"}
    body = {"model": model, "prompt": "only one", "seconds": "8"}
    first = hub.post(tenant, body, path="/v1/videos", headers=keyed)
    again = hub.post(tenant, body, path="/v1/videos", headers=keyed)
    assert (again.status, again.body) == (200, first.body)
    assert again.headers["idempotent-replayed"] == "true"
    other = hub.post(tenant, body | {"seconds": "4"}, path="/v1/videos", headers=keyed)
    assert other.status == 422
    poll(hub, tenant)
    provider.of("only one")
    assert spent(hub, tenant) == PER_MS * provider.billed_ms("only one")


def test_client_leaving_at_acceptance_finds_the_video_in_the_list(
    hub: Hub, provider: FakeVideos, model: str
) -> None:
    tenant = hub.tenant()
    body = json.dumps({"model": model, "prompt": "left #hold", "seconds": "8"})
    provider.released.clear()
    connection = http.client.HTTPConnection("127.0.0.1", hub.port, timeout=60)
    connection.request("POST", "/v1/videos", body, {"authorization": f"Bearer {tenant.key}"})
    assert provider.accepting.wait(60)
    connection.close()
    provider.released.set()
    hub.wait(lambda: bool(hub.get("/v1/videos", tenant).json()["data"]), "there is no task")
    poll(hub, tenant)
    (video,) = hub.get("/v1/videos", tenant).json()["data"]
    assert (video["status"], holds(hub, tenant)) == ("completed", ["settled"])
    assert spent(hub, tenant) == PER_MS * provider.billed_ms("left #hold")


def test_deleted_videos_are_in_no_list(hub: Hub, provider: FakeVideos, model: str) -> None:
    tenant = hub.tenant()
    ids = [accepted(hub, tenant, model, f"listed {n}")["id"] for n in range(3)]
    hub.connection.execute(
        "UPDATE gateway_mediatask SET deleted_at = now() WHERE public_id = %s", [ids[1]]
    )
    for order_, left in (("asc", [ids[0], ids[2]]), ("desc", [ids[2], ids[0]])):
        listed = hub.get(f"/v1/videos?order={order_}", tenant).json()["data"]
        assert [one["id"] for one in listed] == left
        after = hub.get(f"/v1/videos?order={order_}&after={left[0]}", tenant).json()["data"]
        assert [one["id"] for one in after] == left[1:]


def test_the_price_is_that_of_the_order(hub: Hub, provider: FakeVideos) -> None:
    """Also of one that is dearer by its size than by its resolution."""
    rates = {"video_ms[720p]": PER_MS * 10**6, "video_ms[1280x720]": 2 * PER_MS * 10**6}
    tenant, model = hub.tenant(), video_model(hub, provider, rates=rates)
    answer = order(hub, tenant, model, "priced")
    assert answer.headers["x-weir-hold"] == "1.60"
    upright = order(hub, tenant, model, "upright", size="720x1280")
    hub.connection.execute(
        "UPDATE billing_priceversion SET valid_to = now() "
        "WHERE price_id IN (SELECT id FROM billing_price WHERE model = %s)", [model],
    )  # fmt: skip
    hub.bump()
    poll(hub, tenant)
    assert hub.record(answer.headers["x-request-id"])["charge_nano"] == 1_600_000_000
    assert hub.record(upright.headers["x-request-id"])["charge_nano"] == 800_000_000


def test_content_streams_without_memory_and_ends_with_its_client(
    hub: Hub, provider: FakeVideos, model: str
) -> None:
    tenant = hub.tenant()
    video = accepted(hub, tenant, model, "long #endless")
    poll(hub, tenant)
    assert hub.process is not None
    status = Path(f"/proc/{hub.process.pid}/status")
    before = peak_kib(status)
    connection = http.client.HTTPConnection("127.0.0.1", hub.port, timeout=60)
    path, headers = f"/v1/videos/{video['id']}/content", {"authorization": f"Bearer {tenant.key}"}
    connection.request("GET", path, headers=headers)
    with connection.getresponse() as answer:
        assert answer.status == 200
        for _ in range(100):
            assert len(answer.read(2**20)) == 2**20
    connection.close()
    assert peak_kib(status) - before < 20 * 1024
    assert provider.left.wait(60)


def peak_kib(status: Path) -> int:
    """The most memory that a process has had."""
    match = re.search(r"VmHWM:\s+(\d+) kB", status.read_text())
    assert match is not None
    return int(match[1])
