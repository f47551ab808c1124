"""Videos by each provider, asked for in each form: what goes out, what is told, what is paid."""

import base64
import json
import secrets
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.fakes.video_services import PROVIDERS, SERVICES, FakeServices
from tests.relay.media.test_videos import PER_MS, holds, spent
from tests.relay.poller import poll
from tests.support.hub import Answer, Hub, Tenant

pytestmark = pytest.mark.usefixtures("balanced_books")

RATES = {"video_ms[720p]": PER_MS * 10**6, "video_ms[1080p]": 2 * PER_MS * 10**6}
PNG = base64.b64encode(b"\x89PNG\r\n\x1a\n\0\xff").decode()
FIXTURE = {
    one["id"]: one
    for one in json.loads(
        (Path(__file__).parents[2] / "golden" / "media" / "async_tasks.json").read_text()
    )["exchanges"]
}


@pytest.fixture(scope="module")
def fake() -> Iterator[FakeServices]:
    with FakeServices() as fake_services:
        yield fake_services


@pytest.fixture(scope="module")
def models(hub: Hub, fake: FakeServices) -> dict[str, str]:
    """A model of each service."""
    results = {}
    for service in SERVICES:
        name = f"{service}-{secrets.token_hex(4)}"
        hub.price(name, RATES)
        hub.channel(
            name, fake.base(service), fake.secret(service), provider=PROVIDERS[service],
            upstream_model=f"{service}-up",
        )  # fmt: skip
        results[service] = name
    for name in results.values():
        hub.know(name)
    return results


def generate(hub: Hub, tenant: Tenant, model: str, prompt: str, **over: Any) -> Answer:
    body = {"model": model, "prompt": prompt, "duration": 5, "size": "1280x720"} | over
    return hub.post(tenant, body, path="/v1/video/generations")


def without_ours(body: dict[str, Any]) -> dict[str, Any]:
    """What was ordered, but for our own id of it."""
    return {name: value for name, value in body.items() if name != "external_task_id"}


def fetch_video(hub: Hub, tenant: Tenant, id_: str) -> dict[str, Any]:
    body: dict[str, Any] = hub.get(f"/v1/video/generations/{id_}", tenant).json()
    return body


@pytest.mark.parametrize("service", SERVICES)
def test_generic_form_reaches_every_service(
    hub: Hub, fake: FakeServices, models: dict[str, str], service: str
) -> None:
    tenant, prompt = hub.tenant(), f"{service} plays piano #polls=2"
    answer = generate(hub, tenant, models[service], prompt)
    assert answer.status == 200, answer.body
    id_ = answer.json()["task_id"]
    poll(hub, tenant)
    assert fetch_video(hub, tenant, id_)["status"] in ("queued", "in_progress")
    poll(hub, tenant)
    assert fetch_video(hub, tenant, id_)["status"] == "completed"
    assert (spent(hub, tenant), holds(hub, tenant)) == (PER_MS * 5000, ["settled"])
    path = f"/v1/videos/{id_}/content"
    assert hub.get(path, tenant).body == fake.of(prompt).content
    part = hub.request("GET", path, tenant, headers={"range": "bytes=5-14"})
    assert (part.status, part.body) == (206, fake.of(prompt).content[5:15])
    assert hub.get(f"{path}?variant=thumbnail", tenant).status == 400


@pytest.mark.parametrize("service", SERVICES)
def test_order_states_its_time(hub: Hub, models: dict[str, str], service: str) -> None:
    tenant = hub.tenant()
    order = {"model": models[service], "prompt": service, "seconds": "5", "size": "1280x720"}
    before = int(time.time())
    answer = hub.post(tenant, order, path="/v1/videos")
    assert answer.status == 200, answer.body
    assert before <= answer.json()["created_at"] <= time.time()


@pytest.mark.parametrize("service", SERVICES)
def test_failed_video_costs_nothing(hub: Hub, models: dict[str, str], service: str) -> None:
    tenant = hub.tenant()
    id_ = generate(hub, tenant, models[service], f"{service} #fail").json()["task_id"]
    for words in ("#refuse", "#wrong"):
        refused = generate(hub, tenant, models[service], f"{service} {words}")
        assert (refused.status, refused.error["type"]) == (400, "invalid_request_error")
    poll(hub, tenant)
    assert fetch_video(hub, tenant, id_)["status"] == "failed"
    hub.settled(tenant)
    assert spent(hub, tenant) == 0


@pytest.mark.parametrize("service", SERVICES)
def test_impossible_provider_reports_are_not_believed(
    hub: Hub, models: dict[str, str], service: str
) -> None:
    tenant = hub.tenant()
    lies = ["id", "state", "nourl", "badurl", "html"]
    if service == "jimeng":
        # Its answer does not name the task.
        lies.remove("id")
    ids = [
        generate(hub, tenant, models[service], f"{service} #lie={lie}").json()["task_id"]
        for lie in lies
    ]
    poll(hub, tenant)
    assert {fetch_video(hub, tenant, id_)["status"] for id_ in ids} <= {"queued", "in_progress"}
    assert set(holds(hub, tenant)) == {"open"}
    hub.connection.execute(
        "UPDATE gateway_mediatask SET created_at = now() - interval '86401 s' "
        "WHERE organisation_id = %s", [tenant.organisation_id],
    )  # fmt: skip
    poll(hub, tenant)
    assert set(holds(hub, tenant)) == {"voided"}


def test_request_sent_to_each_service(hub: Hub, fake: FakeServices, models: dict[str, str]) -> None:
    tenant, image = hub.tenant("20"), f"data:image/png;base64,{PNG}"
    metadata = {"negative_prompt": "dull", "seed": 7, "sound": "on"}
    dropped = {}
    for service in SERVICES:
        for kind, more in (("text", {}), ("image", {"image": image})):
            prompt = f"asked {service} {kind}"
            answer = generate(
                hub, tenant, models[service], prompt, size="1080x1920", metadata=metadata, **more
            )
            assert answer.status == 200, (service, answer.body)
            dropped[service] = answer.headers["x-weir-dropped-params"]

    def body(service: str, kind: str) -> dict[str, Any]:
        return without_ours(fake.of(f"asked {service} {kind}").body)

    assert body("kling", "text") == {
        "model_name": "kling-up", "prompt": "asked kling text", "duration": "5", "mode": "pro",
        "aspect_ratio": "9:16", "negative_prompt": "dull",
    }  # fmt: skip
    assert body("kling", "image")["image"] == PNG
    assert fake.of("asked kling image").path == "/v1/videos/image2video"
    assert body("jimeng", "image") == {
        "req_key": "jimeng-up", "prompt": "asked jimeng image", "frames": 121,
        "aspect_ratio": "9:16", "binary_data_base64": [PNG], "negative_prompt": "dull", "seed": 7,
    }  # fmt: skip
    assert body("veo", "image") == {
        "instances": [{
            "prompt": "asked veo image",
            "image": {"bytesBase64Encoded": PNG, "mimeType": "image/png"},
        }],
        "parameters": {
            "aspectRatio": "9:16", "durationSeconds": 5, "resolution": "1080p",
            "negativePrompt": "dull", "seed": 7,
        },
    }  # fmt: skip
    assert body("wan", "text") == {
        "model": "wan-up", "input": {"prompt": "asked wan text", "negative_prompt": "dull"},
        "parameters": {"duration": 5, "size": "1080*1920", "seed": 7},
    }  # fmt: skip
    assert body("wan", "image")["parameters"]["resolution"] == "1080P"
    assert body("ark", "image")["content"][1] == {
        "type": "image_url", "image_url": {"url": image}, "role": "first_frame",
    }  # fmt: skip
    assert (body("ark", "text")["ratio"], body("ark", "text")["duration"]) == ("9:16", 5)
    assert body("minimax", "image")["first_frame_image"] == image
    assert body("minimax", "text")["resolution"] == "1080P"
    assert dropped == {
        "kling": "metadata.seed,metadata.sound", "jimeng": "metadata.sound",
        "veo": "metadata.sound", "wan": "metadata.sound",
        "ark": "metadata.negative_prompt,metadata.sound",
        "minimax": "metadata.negative_prompt,metadata.seed,metadata.sound",
    }  # fmt: skip


def test_unstated_length_is_the_providers_default(
    hub: Hub, fake: FakeServices, models: dict[str, str]
) -> None:
    tenant = hub.tenant()
    body = {"model": models["kling"], "prompt": "as long as usual", "size": "1280x720"}
    answer = hub.post(tenant, body, path="/v1/video/generations")
    assert (answer.status, answer.headers["x-weir-hold"]) == (200, "0.80")
    assert fake.of("as long as usual").body["duration"] == "5"
    poll(hub, tenant)
    assert spent(hub, tenant) == PER_MS * 5000


@pytest.mark.parametrize(
    ("service", "name", "usual"),
    [("kling", "duration", "5"), ("jimeng", "frames", 121), ("wan", "duration", 5)],
)
def test_openai_form_without_a_length_orders_the_default(
    hub: Hub, fake: FakeServices, models: dict[str, str], service: str, name: str, usual: Any
) -> None:
    tenant, prompt = hub.tenant(), f"unsaid {service}"
    answer = hub.post(tenant, {"model": models[service], "prompt": prompt}, path="/v1/videos")
    assert answer.status == 200, answer.body
    body = fake.of(prompt).body
    assert (body["parameters"] if service == "wan" else body)[name] == usual
    poll(hub, tenant)
    assert spent(hub, tenant) == PER_MS * 5000


@pytest.mark.parametrize(
    ("service", "path", "body", "named"),
    [
        ("kling", "/v1/videos", {"seconds": "4"}, "seconds must be 5 or 10"),
        ("kling", "/v1/video/generations", {"duration": 7}, "duration must be 5 or 10"),
        ("kling", "/kling/v1/videos/text2video", {"duration": "4"}, "duration must be 5 or 10"),
        ("jimeng", "/v1/videos", {"seconds": 12}, "seconds must be 5 or 10"),
        ("jimeng", "jimeng", {"frames": 97}, "frames must be 121 or 241"),
        ("kling", "veo", {"durationSeconds": 8}, "parameters.durationSeconds must be 5 or 10"),
    ],
)
def test_unsupported_length_is_rejected(
    hub: Hub,
    fake: FakeServices,
    models: dict[str, str],
    service: str,
    path: str,
    body: dict[str, Any],
    named: str,
) -> None:
    tenant, model, prompt = hub.tenant(), models[service], f"never made {path}"
    body = body | {"model": model, "prompt": prompt}
    if path == "jimeng":
        path, body = "/jimeng/?Action=CVSync2AsyncSubmitTask", body | {"req_key": model}
    elif path == "veo":
        length = {"durationSeconds": body["durationSeconds"]}
        path = f"/v1beta/models/{model}:predictLongRunning"
        body = {"instances": [{"prompt": prompt}], "parameters": length}
    answer = hub.post(tenant, body, path=path)
    assert 400 <= answer.status < 500, answer.body
    assert f"{named} for model {model}" in answer.body.decode()
    with pytest.raises(ValueError, match="unpack"):
        fake.of(prompt)
    hub.settled(tenant)
    assert "revenue" not in hub.balance(tenant)


def test_internal_address_is_not_fetched(
    hub: Hub, fake: FakeServices, models: dict[str, str]
) -> None:
    """A provider that leads elsewhere leads nobody to where users may not go, and gets no key."""
    tenant = hub.tenant()
    id_ = generate(hub, tenant, models["kling"], "lead me #elsewhere").json()["task_id"]
    poll(hub, tenant)
    for address in ("http://127.0.0.2:9/x", "http://169.254.169.254/latest", "ftp://a.example/x"):
        fake.elsewhere = address
        assert hub.get(f"/v1/videos/{id_}/content", tenant).status >= 500


# ---- Kling's own form


def kling(hub: Hub, tenant: Tenant, model: str, kind: str = "text2video", **over: Any) -> Answer:
    body = dict(FIXTURE["kling_create"]["request"]["body"]) | {"model_name": model} | over
    return hub.post(tenant, body, path=f"/kling/v1/videos/{kind}")


def test_klings_form(hub: Hub, fake: FakeServices, models: dict[str, str]) -> None:
    tenant, prompt = hub.tenant(), "An astronaut #polls=2"
    answer = kling(hub, tenant, models["kling"], prompt=prompt, callback_url="https://a.example/x")
    body = answer.json()
    wanted = FIXTURE["kling_create"]["response"]["body"]
    assert body.keys() >= wanted.keys()
    assert body["data"].keys() >= wanted["data"].keys()
    assert (body["code"], body["message"]) == (0, "SUCCEED")
    assert body["request_id"] == answer.headers["x-request-id"]
    assert body["data"]["task_status"] == "submitted"
    assert (body["task_id"], body["status"]) == (body["data"]["task_id"], "queued")
    assert answer.headers["x-weir-dropped-params"] == "callback_url"
    sent = dict(FIXTURE["kling_create"]["request"]["body"])
    assert without_ours(fake.of(prompt).body) == sent | {"model_name": "kling-up", "prompt": prompt}
    poll(hub, tenant)
    for root in ("/kling/v1", "/v1"):
        document = hub.get(f"{root}/videos/text2video/{body['task_id']}", tenant).json()
        assert document["data"]["task_status"] == "processing"
    poll(hub, tenant)
    document = hub.get(f"/kling/v1/videos/text2video/{body['task_id']}", tenant).json()
    wanted = FIXTURE["kling_succeed"]["response"]["body"]
    assert document["data"].keys() == wanted["data"].keys()
    (video,) = document["data"]["task_result"]["videos"]
    assert video.keys() == wanted["data"]["task_result"]["videos"][0].keys()
    assert (document["url"].split("?")[0], document["status"]) == (
        video["url"].split("?")[0],
        "completed",
    )
    content = hub.get(video["url"][video["url"].index("/v1/") :], tenant)
    assert content.body == fake.of(prompt).content
    record = hub.record(answer.headers["x-request-id"])
    assert (record["operation"], record["charge_nano"]) == ("kling_text2video", PER_MS * 5000)


def test_klings_form_of_a_picture_that_fails(
    hub: Hub, fake: FakeServices, models: dict[str, str]
) -> None:
    tenant = hub.tenant()
    answer = kling(
        hub, tenant, models["kling"], "image2video", prompt="moves #fail", image=PNG, mode="pro"
    )
    assert fake.of("moves #fail").body["image"] == PNG
    assert answer.headers["x-weir-hold"] == "1.00"
    poll(hub, tenant)
    id_ = answer.json()["task_id"]
    body = hub.get(f"/v1/videos/image2video/{id_}", tenant).json()
    wanted = FIXTURE["kling_failed"]["response"]["body"]
    assert body["data"].keys() == wanted["data"].keys()
    assert body["data"]["task_status_msg"] == wanted["data"]["task_status_msg"]
    assert spent(hub, tenant) == 0


@pytest.mark.parametrize("service", ["jimeng", "veo", "wan", "ark", "minimax"])
def test_a_client_of_klings_form_is_served_by_others(
    hub: Hub, fake: FakeServices, models: dict[str, str], service: str
) -> None:
    tenant, prompt = hub.tenant(), f"by {service}"
    answer = kling(hub, tenant, models[service], prompt=prompt)
    assert answer.status == 200, answer.body
    assert answer.headers["x-weir-dropped-params"] == "cfg_scale"
    poll(hub, tenant)
    id_ = answer.json()["data"]["task_id"]
    body = hub.get(f"/kling/v1/videos/text2video/{id_}", tenant).json()
    assert body["data"]["task_status"] == "succeed"


@pytest.mark.parametrize(
    ("over", "status", "code"),
    [
        ({"prompt": None}, 400, 1201),
        ({"prompt": ""}, 422, 1201),
        ({"duration": "soon"}, 422, 1201),
        ({"mode": "best"}, 422, 1201),
        ({"prompt": "#wrong"}, 400, 1201),
        ({"prompt": "#refuse"}, 400, 1301),
        ({"model_name": "nobody-has-it"}, 404, 1203),
    ],
)
def test_klings_errors(
    hub: Hub, models: dict[str, str], over: dict[str, Any], status: int, code: int
) -> None:
    answer = kling(hub, hub.tenant(), over.pop("model_name", models["kling"]), **over)
    body = answer.json()
    assert (answer.status, body["code"]) == (status, code)
    assert body.keys() >= FIXTURE["kling_error"]["response"]["body"].keys()
    assert body["error"]["message"] == body["message"]


def test_klings_errors_of_keys_and_tasks(hub: Hub, models: dict[str, str]) -> None:
    poor, path = hub.tenant("0.01"), "/kling/v1/videos/image2video"
    assert kling(hub, poor, models["kling"]).json()["code"] == 1102
    assert hub.get(f"{path}/task_0", poor).json()["code"] == 1203
    body = {"model_name": models["kling"], "prompt": "x"}
    assert hub.post(poor, body | {"image": "no picture"}, path=path).json()["code"] == 1201
    assert hub.post(poor, body, path=path).json()["code"] == 1201
    assert hub.post(poor, {"prompt": "x"}, path=path).json()["code"] == 1203
    assert hub.get(f"{path}/task_0").json()["code"] == 1002
    assert hub.get("/kling/v1/nothing", poor).json()["code"] == 1203


# ---- Jimeng's own form


def jimeng(hub: Hub, tenant: Tenant, action: str, body: dict[str, Any]) -> Answer:
    return hub.post(tenant, body, path=f"/jimeng/?Action={action}&Version=2022-08-31")


def test_jimengs_form(hub: Hub, fake: FakeServices, models: dict[str, str]) -> None:
    tenant, model = hub.tenant(), models["jimeng"]
    order = dict(FIXTURE["jimeng_create"]["request"]["body"]) | {"req_key": model}
    answer = jimeng(hub, tenant, "CVSync2AsyncSubmitTask", order)
    body = answer.json()
    assert body.keys() == FIXTURE["jimeng_create"]["response"]["body"].keys()
    assert (answer.status, body["code"], body["status"]) == (200, 10000, 10000)
    question = {"req_key": model, "task_id": body["data"]["task_id"]}
    document = jimeng(hub, tenant, "CVSync2AsyncGetResult", question).json()
    wanted = FIXTURE["jimeng_generating"]["response"]["body"]
    assert (document["data"].keys(), document["data"]["status"]) == (
        wanted["data"].keys(),
        "in_queue",
    )
    poll(hub, tenant)
    document = jimeng(hub, tenant, "CVSync2AsyncGetResult", question).json()
    assert document["data"]["status"] == "done"
    url = document["data"]["video_url"]
    assert hub.get(url[url.index("/v1/") :], tenant).body == fake.of(order["prompt"]).content
    assert spent(hub, tenant) == PER_MS * 5000
    # Any video id works in every form.
    other = hub.get(f"/kling/v1/videos/text2video/{question['task_id']}", tenant).json()
    assert other["data"]["task_status"] == "succeed"


def test_jimengs_errors(hub: Hub, models: dict[str, str]) -> None:
    tenant, model = hub.tenant(), models["jimeng"]
    submit, result = "CVSync2AsyncSubmitTask", "CVSync2AsyncGetResult"
    wanted = FIXTURE["jimeng_error"]["response"]["body"]
    for action, body, status, code in (
        (submit, {"req_key": model, "prompt": "#refuse"}, 400, 50411),
        (submit, {"req_key": model, "prompt": "#wrong"}, 400, 50215),
        (submit, {"prompt": "x"}, 400, 50400),
        (submit, {"req_key": model, "prompt": "x", "image_urls": ["a", "b"]}, 400, 50400),
        (result, {"req_key": model, "task_id": "task_0"}, 404, 50400),
        (result, {"req_key": model}, 400, 50400),
        ("Other", {"req_key": model}, 400, 50400),
    ):
        answer = jimeng(hub, tenant, action, body)
        document = answer.json()
        assert (answer.status, document["code"], document["data"]) == (status, code, None), body
        assert document.keys() >= wanted.keys() - {"time_elapsed"}
    id_ = jimeng(hub, tenant, submit, {"req_key": model, "prompt": "#fail"}).json()["data"]
    poll(hub, tenant)
    answer = jimeng(hub, tenant, result, {"req_key": model, **id_})
    assert (answer.status, answer.json()["code"]) == (200, 50511)


def test_a_client_of_jimengs_form_is_served_by_kling(
    hub: Hub, fake: FakeServices, models: dict[str, str]
) -> None:
    tenant = hub.tenant()
    body = {
        "req_key": models["kling"], "prompt": "from jimeng", "frames": 241, "seed": 1,
        "binary_data_base64": [PNG],
    }  # fmt: skip
    answer = jimeng(hub, tenant, "CVSync2AsyncSubmitTask", body)
    assert answer.headers["x-weir-dropped-params"] == "seed"
    sent = fake.of("from jimeng").body
    assert (sent["duration"], sent["image"], sent["mode"]) == ("10", PNG, "std")
