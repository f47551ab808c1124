"""Videos in Veo's form, as clients of the Gemini API order, follow and download them."""

import json
import re
import warnings
from typing import Any
from urllib.parse import quote

import pytest

from tests.fakes.video_services import FakeServices
from tests.relay.media.test_video_services import FIXTURE, PNG, fake, models  # noqa: F401
from tests.relay.media.test_videos import PER_MS, holds, spent
from tests.relay.poller import poll
from tests.support.hub import Answer, Hub, Tenant

with warnings.catch_warnings():
    warnings.simplefilter("ignore", DeprecationWarning)
    from google import genai
    from google.genai import types

pytestmark = pytest.mark.usefixtures("balanced_books")

PARAMETERS = {"aspectRatio": "16:9", "durationSeconds": 5}


def order(
    hub: Hub, tenant: Tenant, model: str, instance: Any, parameters: Any = PARAMETERS, **more: Any
) -> Answer:
    body = {"instances": [instance], "parameters": parameters, **more}
    path = f"/v1beta/models/{model}:predictLongRunning"
    return hub.request(
        "POST", path, body=json.dumps(body).encode(), headers={"x-goog-api-key": tenant.key}
    )


def fetch_operation(hub: Hub, tenant: Tenant, name: str) -> dict[str, Any]:
    answer = hub.get(f"/v1beta/{name}", tenant)
    assert answer.status == 200, answer.body
    body: dict[str, Any] = answer.json()
    return body


def test_veos_form(hub: Hub, fake: FakeServices, models: dict[str, str]) -> None:  # noqa: F811
    tenant, prompt, model = hub.tenant(), "a lion #polls=2", models["veo"]
    picture = {"bytesBase64Encoded": PNG, "mimeType": "image/png"}
    instance = {"prompt": prompt, "image": picture, "lastFrame": {"inlineData": {"data": PNG}}}
    options = {"resolution": "1080p", "negativePrompt": "dull", "fps": 24}
    answer = order(hub, tenant, model, instance, PARAMETERS | options, max_cost="1")
    body = answer.json()
    assert body.keys() == FIXTURE["veo_create"]["response"]["body"].keys()
    assert re.fullmatch(rf"models/{model}/operations/task_[0-9a-z]{{26}}", body["name"])
    assert answer.headers["x-weir-hold"] == "1.00"
    assert answer.headers["x-weir-dropped-params"] == "parameters.fps"
    created = fake.of(prompt)
    assert created.path == "/v1/models/veo-up:predictLongRunning"
    assert created.body == {
        "instances": [{"prompt": prompt, "image": picture, "lastFrame": picture}],
        "parameters": PARAMETERS | {"resolution": "1080p", "negativePrompt": "dull"},
    }
    poll(hub, tenant)
    assert fetch_operation(hub, tenant, body["name"]) == {"name": body["name"]}
    task = body["name"].rpartition("/")[2]
    file = task.replace("_", "")
    early = hub.get(f"/v1beta/files/{file}:download?alt=media", tenant)
    assert (early.status, early.json()["error"]["status"]) == (409, "ABORTED")
    poll(hub, tenant)
    wanted = FIXTURE["veo_done"]["response"]["body"]
    for name in (body["name"], f"operations/{task}"):
        done = fetch_operation(hub, tenant, name)
        assert done.keys() == wanted.keys()
        assert done["response"]["@type"] == wanted["response"]["@type"]
    (sample,) = done["response"]["generateVideoResponse"]["generatedSamples"]
    uri = sample["video"]["uri"]
    assert uri.endswith(f"/v1beta/files/{file}:download?alt=media")
    path = uri[uri.index("/v1beta/") :]
    for asked in (path, f"{path}&key={tenant.key}", f"/v1beta/files/{uri}:download?alt=media"):
        by = None if "key=" in asked else tenant
        part = hub.request("GET", asked, by, headers={"range": "bytes=5-14"})
        assert (part.status, part.body) == (206, created.content[5:15]), asked
    assert hub.get(path).status == 401
    assert hub.get(f"/v1/videos/{task}", tenant).json()["status"] == "completed"
    record = hub.record(answer.headers["x-request-id"])
    assert (record["operation"], record["dialect"]) == ("predict_long_running", "gemini")
    assert record["meters"] == {"video_ms[1080p]": 5000}
    assert (spent(hub, tenant), holds(hub, tenant)) == (2 * PER_MS * 5000, ["settled"])


@pytest.mark.parametrize("service", ["kling", "jimeng", "wan", "ark", "minimax"])
def test_a_client_of_veos_form_is_served_by_others(
    hub: Hub,
    fake: FakeServices,  # noqa: F811
    models: dict[str, str],  # noqa: F811
    service: str,
) -> None:
    tenant, prompt = hub.tenant(), f"by {service} for a client of Veo"
    answer = order(hub, tenant, models[service], {"prompt": prompt}, PARAMETERS | {"seed": 7})
    assert answer.status == 200, answer.body
    poll(hub, tenant)
    assert fetch_operation(hub, tenant, answer.json()["name"])["done"] is True
    assert spent(hub, tenant) == PER_MS * 5000


def test_a_video_of_another_form_is_downloaded_as_a_file(
    hub: Hub,
    fake: FakeServices,  # noqa: F811
    models: dict[str, str],  # noqa: F811
) -> None:
    tenant, prompt = hub.tenant(), "ordered as OpenAI's"
    body = {"model": models["veo"], "prompt": prompt, "seconds": "4", "size": "1280x720"}
    id_ = hub.post(tenant, body, path="/v1/videos").json()["id"]
    poll(hub, tenant)
    done = fetch_operation(hub, tenant, f"models/{models['veo']}/operations/{id_}")
    (sample,) = done["response"]["generateVideoResponse"]["generatedSamples"]
    uri = sample["video"]["uri"]
    assert hub.get(uri[uri.index("/v1beta/") :], tenant).body == fake.of(prompt).content


def test_the_official_client_follows_and_downloads(
    hub: Hub,
    fake: FakeServices,  # noqa: F811
    models: dict[str, str],  # noqa: F811
) -> None:
    """From version 3 on it orders none of the Gemini API, only of another."""
    tenant, prompt = hub.tenant(), "followed #polls=2"
    name = order(hub, tenant, models["veo"], {"prompt": prompt}).json()["name"]
    options = types.HttpOptions(base_url=hub.url, retry_options=types.HttpRetryOptions(attempts=1))
    with genai.Client(api_key=tenant.key, http_options=options) as client:
        ordered = types.GenerateVideosOperation.from_api_response({"name": name})
        operation = client.operations.get(ordered)
        assert not operation.done
        poll(hub, tenant, 2)
        operation = client.operations.get(operation)
        assert operation.done
        assert operation.response is not None
        generated_videos = operation.response.generated_videos
        assert generated_videos is not None
        assert client.files.download(file=generated_videos[0]) == fake.of(prompt).content


@pytest.mark.parametrize(
    ("words", "error"),
    [("#fail", {"code": 3, "message": "no"}), ("#filtered", None)],
)
def test_failed_or_filtered_video(
    hub: Hub,
    models: dict[str, str],  # noqa: F811
    words: str,
    error: dict[str, Any] | None,
) -> None:
    tenant = hub.tenant()
    name = order(hub, tenant, models["veo"], {"prompt": f"blocked {words}"}).json()["name"]
    poll(hub, tenant)
    done = fetch_operation(hub, tenant, name)
    assert (done["done"], done.get("error")) == (True, error)
    if error is None:
        generateVideoResponse = done["response"]["generateVideoResponse"]
        assert generateVideoResponse == {
            "raiMediaFilteredCount": 1,
            "raiMediaFilteredReasons": ["Not safe."],
        }
    assert (spent(hub, tenant), holds(hub, tenant)) == (0, ["voided"])


@pytest.mark.parametrize(
    ("instance", "parameters", "word"),
    [
        ({}, {}, "instances[0].prompt"),
        ({"prompt": ""}, {}, "instances[0].prompt"),
        ({"prompt": 7}, {}, "instances[0].prompt"),
        ({"prompt": "x", "image": {"bytesBase64Encoded": "%"}}, {}, "instances[0].image"),
        ({"prompt": "x", "image": {}}, {}, "instances[0].image.bytesBase64Encoded"),
        ({"prompt": "x", "video": {"uri": "files/x"}}, {}, "instances[0].video"),
        ({"prompt": "x"}, {"durationSeconds": "soon"}, "parameters.durationSeconds"),
        ({"prompt": "x"}, {"aspectRatio": "1:1"}, "parameters.aspectRatio"),
        ({"prompt": "x"}, {"resolution": "8k"}, "parameters.resolution"),
        ({"prompt": "x"}, {"sampleCount": 2}, "parameters.sampleCount"),
        ({"prompt": "x"}, [], "parameters"),
        ({"prompt": "x #refuse"}, {}, "unsafe"),
    ],
)  # fmt: skip
def test_errors_have_geminis_form(
    hub: Hub,
    models: dict[str, str],  # noqa: F811
    instance: Any,
    parameters: Any,
    word: str,
) -> None:
    answer = order(hub, hub.tenant(), models["veo"], instance, parameters)
    assert (answer.status, answer.json()["error"]["code"]) == (400, 400)
    assert word in answer.json()["error"]["message"]


def test_only_its_team_sees_a_video(
    hub: Hub,
    models: dict[str, str],  # noqa: F811
) -> None:
    tenant, stranger = hub.tenant(), hub.tenant()
    name = order(hub, tenant, models["veo"], {"prompt": "secret"}).json()["name"]
    poll(hub, tenant)
    file = name.rpartition("/")[2].replace("_", "")
    for path in (f"/v1beta/{name}", f"/v1beta/files/{file}:download?alt=media"):
        assert hub.get(path, hub.key(tenant)).status == 200
        answer = hub.get(path, stranger)
        assert (answer.status, answer.json()["error"]["status"]) == (404, "NOT_FOUND")
    for wrong in ("operations/x%00", f"operations/{quote('😀')}", "files/a:download"):
        assert hub.get(f"/v1beta/{wrong}", tenant).status == 404
    assert order(hub, tenant, "nobody-has-it", {"prompt": "x"}).status == 404
    assert order(hub, hub.tenant("0.01"), models["veo"], {"prompt": "x"}).status == 402
