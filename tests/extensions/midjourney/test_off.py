"""Midjourney switched off: its paths and its provider are unknown, and what it has left in the
database breaks nothing."""

import json
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from tests.fakes.upstream import FakeUpstream
from tests.relay.asking import ask as ask_for
from tests.runner.databases import own_database
from tests.support.extensions import FreshHub, ask

OFF = {"EXTENSIONS_OFF": "midjourney"}


@pytest.fixture(scope="module")
def hub() -> Iterator[FreshHub]:
    with own_database("midjourney_off") as dsn, closing(FreshHub(dsn, OFF)) as hub:
        hub.settings()
        hub.channel("mj_imagine", "http://127.0.0.1:9", provider="midjourney_proxy")
        hub.start()
        yield hub


@pytest.mark.parametrize(
    ("path", "unknown"),
    [("/mj/submit/imagine", "/nothing/submit/imagine"), ("/mj-fast/mj/x", "/nothing/mj/x")],
)
def test_paths_are_unknown(hub: FreshHub, path: str, unknown: str) -> None:
    tenant = hub.tenant()
    answer, other = (hub.post(tenant, {"prompt": "p"}, path=one) for one in (path, unknown))
    # Django's, whose page needs collected static files that a tree lacks.
    assert answer.status == other.status
    assert answer.headers["content-type"] == other.headers["content-type"]
    assert b'"description"' not in answer.body


def test_other_channels_answer_beside_its_channel(hub: FreshHub) -> None:
    with FakeUpstream() as fake:
        model = hub.model(fake)
        assert hub.post(hub.tenant(), ask_for(model)).status == 200


PAGES = """
from django.conf import settings
storage = "django.contrib.staticfiles.storage.StaticFilesStorage"
settings.STORAGES["staticfiles"]["BACKEND"] = storage
import json
from gateway.media_tasks.media_tasks import poll
from gateway.models import Channel
from gateway.providers import PROVIDERS
from lib.ids import new_id
from playground.models import MediaRun, RunState
from relay.endpoints.table import is_claimed
from tests.support import cast
people = cast.assemble()
channel = Channel.objects.create(
    name="drawings", provider="midjourney_proxy", base_url="http://127.0.0.1:9"
)
channel.routes.create(model="mj_imagine")
MediaRun.objects.create(
    organisation=people.acme, user=people.bob, kind="midjourney", operation="midjourney_imagine",
    model="mj_imagine", prompt="boat", token=new_id(), state=RunState.DONE,
)
bob, dora = cast.signed_in(people.bob), cast.signed_in(people.dora)
channel_page = f"/admin/channels/{channel.id.hex}"
def read(person, address):
    answer = person.get(address)
    return [answer.status_code, answer.content.decode()]
o = f"/o/{people.acme.slug}/playground"
mine = ["/mj", "/mj/submit/imagine", "/mj-fast/mj/task/1/fetch", "/mj/image/1"]
print(json.dumps({
    "claimed": [path for path in mine if is_claimed(path)],
    "providers": list(PROVIDERS),
    "channels": read(dora, "/admin/channels"),
    "new": read(dora, "/admin/channels/new"),
    "health": read(dora, "/admin/health"),
    "models": read(dora, "/models"),
    "gallery": read(bob, f"{o}/gallery"),
    "images": read(bob, f"{o}/images"),
    "page": read(bob, f"{o}/midjourney"),
    "reference": read(bob, "/docs/midjourney-imagine"),
    "docs": read(bob, "/docs"),
    "polled": poll(),
}))
"""


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    with own_database("midjourney_off_pages") as dsn:
        folder: Path = tmp_path_factory.mktemp("nothing")
        shown = ask(folder, PAGES, DATABASE_URL=dsn, ALLOWED_HOSTS="testserver", **OFF)
    pages: dict[str, Any] = json.loads(shown)
    return pages


@pytest.mark.parametrize("name", ["channels", "health", "models", "gallery", "images", "docs"])
def test_other_pages_work(pages: dict[str, Any], name: str) -> None:
    assert pages[name][0] == 200


def test_relay_claims_none_of_its_paths(pages: dict[str, Any]) -> None:
    assert pages["claimed"] == []


def test_its_pages_are_unknown(pages: dict[str, Any]) -> None:
    assert (pages["page"][0], pages["reference"][0]) == (404, 404)
    assert "midjourney" not in pages["docs"][1].lower()


def test_its_provider_is_not_offered(pages: dict[str, Any]) -> None:
    assert pages["new"][0] == 200
    assert "midjourney_proxy" not in pages["new"][1]
    assert "midjourney_proxy" not in pages["providers"]


def test_its_channel_and_its_results_are_shown(pages: dict[str, Any]) -> None:
    assert "drawings" in pages["channels"][1]
    assert "The extension with its provider is disabled." in pages["channels"][1]
    assert "The service that made this is disabled." in pages["gallery"][1]
