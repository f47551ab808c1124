"""Which paths are the relay's."""

import re
import time
from pathlib import Path

import pytest

from accounts.limits import rules as limit_rules
from extensions.midjourney import answers as midjourney_answers
from extensions.midjourney.picture import stream_picture
from extensions.suno import answers as suno_answers
from relay.endpoints import cloud_rows
from relay.endpoints.generation import generate
from relay.endpoints.models import list_models, show_model
from relay.endpoints.table import ENDPOINTS, find_endpoint, is_claimed
from relay.front.request import Handler
from tests.fakes.upstream import FakeUpstream
from tests.support.hub import Hub

NGINX = Path(__file__).parents[3] / "deploy/nginx/hub.conf"


@pytest.mark.parametrize(
    ("path", "handler"),
    [
        ("/v1/chat/completions", generate),
        ("/api/v1/chat/completions", generate),
        ("/chat/completions", generate),
        ("/v1/chat/completions/", generate),
        ("/v1/v1/chat/completions", generate),
        ("/api/v1/v1/chat/completions", generate),
        ("/v1/v1/v1/models/", list_models),
        ("/api/v1/models", list_models),
        ("/v1beta/models/", list_models),
        ("/v1/models/owner/name", show_model),
        ("/api/v1/models/name:8b", show_model),
        ("/v1/models/name:embedContent", generate),
        ("/v1beta/models/owner/name:batchEmbedContents", generate),
        ("/api/v1/engines/owner/name/embeddings", generate),
        ("/v1/v1/embeddings", generate),
        ("/v2/rerank", generate),
        ("/rerank/", generate),
        ("/api/v1/moderations", generate),
        ("/completions", generate),
        ("/edits", generate),
        ("/mj/submit/imagine", generate),
        ("/mj-turbo/mj/submit/simple-change/", generate),
        ("/mj-fast/mj/task/1/fetch", midjourney_answers.show_task),
        ("/mj/task/list-by-condition", midjourney_answers.list_tasks),
        ("/mj/image/1", stream_picture),
        ("/suno/submit/lyrics", generate),
        ("/suno/fetch/1", suno_answers.show_task),
        ("/suno/fetch", suno_answers.list_tasks),
    ],
)
def test_rows_and_their_aliases(path: str, handler: Handler) -> None:
    endpoint = find_endpoint(path)
    assert endpoint is not None
    assert endpoint.handler is handler
    assert is_claimed(path)


@pytest.mark.parametrize("path", ["/v1", "/v1/", "/v1/nothing", "/v1/v1", "/v1/v1/x"])
def test_unknown_paths_under_v1_are_answered_here(path: str) -> None:
    assert find_endpoint(path) is None
    assert is_claimed(path)


@pytest.mark.parametrize(
    "path", ["/", "/api/v1", "/api/v1/keys", "/api/v1/chat", "/v1x", "/v2/models", "/o/v1/models"]
)
def test_everything_else_is_not(path: str) -> None:
    assert not is_claimed(path)


def test_nginx_treats_every_path_as_the_relay_does() -> None:
    """With its size of body, and its patience."""
    match = re.search(r'^location ~ "(.+)" \{$', NGINX.read_text(), re.MULTILINE)
    assert match is not None
    relays = re.compile(match[1])
    of_clouds = (*cloud_rows.LISTED, *(f"{start}x" for start in cloud_rows.CLOUDS))
    assert [path for path in (*ENDPOINTS, *of_clouds) if not relays.match(path)] == []
    assert not any(map(relays.match, ("/", "/api/v1/keys", "/api/v1/docs", "/o/v1/models")))


@pytest.mark.parametrize(
    "path",
    [
        "/mj/submit/paint",
        "/mj-fast/mj/task/1",
        "/mj/x/",
        "/suno/submit/dance",
        "/suno",
        "/kling/v1/videos/lip-sync",
        "/jimeng/v1/?Action=CVSync2AsyncSubmitTask",
    ],
)
def test_task_service_paths_answer_in_their_own_form(hub: Hub, path: str) -> None:
    """No page of ours, whoever asks."""
    answer = hub.post(hub.tenant(), {}, path=path)
    assert answer.status == 404
    assert answer.headers["content-type"] == "application/json"
    body = answer.json()
    assert "Unknown request URL" in (body.get("message") or body["description"])
    assert "x-request-id" in answer.headers


def test_bearer_lists_models_in_the_form_of_its_version_header(
    hub: Hub, fake: FakeUpstream
) -> None:
    """The official client of Anthropic sends its key so."""
    tenant, model = hub.tenant(), hub.model(fake)
    version = {"anthropic-version": "2023-06-01"}
    one = hub.request("GET", f"/v1/models/{model}", tenant, headers=version).json()
    assert (one["type"], one["id"]) == ("model", model)
    listed = hub.request("GET", "/v1/models?limit=1", tenant, headers=version).json()
    assert len(listed["data"]) == 1
    assert "has_more" in listed
    refused = hub.request("GET", "/v1/models/nowhere", tenant, headers=version)
    assert refused.json()["type"] == "error"


@pytest.mark.parametrize(
    "path",
    [
        "/v1beta/files/http://" + "/models/" * 3_800,
        "/v1beta/files/http://" + "/files/a" * 3_800,
        "/v1/models/" + "/operations" * 2_700 + "/",
        "/v1/engines/" + "/embeddings" * 2_700 + "x",
        "/model/" + "/invoke" * 2_700 + "x",
        "/v1/projects/" + "/publishers/google/models/a" * 1_100,
    ],
)
def test_long_path_delays_no_one(path: str) -> None:
    """Nobody is known yet where paths are read; this one took half a second."""
    begun = time.thread_time()
    is_claimed(path)
    assert time.thread_time() - begun < 0.1


@pytest.mark.parametrize("name", limit_rules.ENDPOINTS)
def test_limited_endpoint_is_described_by_its_path(name: str) -> None:
    endpoint = find_endpoint(limit_rules.ENDPOINTS[name].replace("{model}", "m-1"))
    assert endpoint is not None
    assert endpoint.operation == name
