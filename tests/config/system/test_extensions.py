"""Extensions: what one adds is there; one that cannot be loaded is named and switched off
whole, and the hub starts."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from config.system.extensions import ExtensionsConfig
from lib.extensions.extension import Extension
from tests.runner.databases import own_database
from tests.support.extensions import ROOT, SETTINGS, FreshHub, ask, install

# An extension with every part.
WHOLE = {
    "__init__.py": """
from lib.extensions.extension import Extension
EXTENSION = Extension(
    app="weir_NAME", settings="weir_NAME.settings", urls="weir_NAME.views:URLS",
    pages="weir_NAME.views:PAGES", operations="weir_NAME.api:router", jobs="weir_NAME.jobs:JOBS",
    providers="weir_NAME.provider:PROVIDERS", endpoints="weir_NAME.endpoints:ENDPOINTS",
    importers="weir_NAME.importers:IMPORTERS", guards="weir_NAME.guards:GUARDS",
)
""",
    "settings.py": """
from lib import env
NAME_GREETING = env.text("NAME_GREETING", "Good day")
""",
    "models.py": """
from django.db import models
class Greeting(models.Model):
    text = models.TextField()
    class Meta:
        app_label = "weir_NAME"
""",
    "views.py": """
from django.http import HttpResponse
from django.template import loader
from django.urls import path
from accounts.guards.guards import operator_page
from config.shell.pages import NavigationPage
@operator_page("channels.read")
def greet(request, actor):
    return HttpResponse(loader.render_to_string("weir_NAME/greet.html", {}, request))
URLS = [path("admin/NAME", greet, name="NAME")]
PAGES = {"health": [NavigationPage("NAME", "Greetings of NAME", "channels.read", own=False)]}
""",
    "templates/weir_NAME/greet.html": "<p>This is NAME.</p>",
    "api.py": """
from django.conf import settings
from accounts.access.operations import Router, requires
from accounts.guards import api_auth
router = Router(tags=["Channels"], auth=api_auth.installation_auth)
@router.get("/NAME")
@requires("channels.read")
def read_NAME(actor):
    return {"greeting": settings.NAME_GREETING}
""",
    "tasks.py": """
from celery import shared_task
@shared_task
def greet():
    pass
""",
    "jobs.py": """
from config.jobs.schedule import Job
JOBS = [Job("weir_NAME.tasks.greet", 60, 120, "Greet with NAME")]
""",
    "provider.py": """
from gateway.providers.provider import Provider, Spoken
PROVIDERS = [Provider(name="NAME", label="NAME", needs_secret=True, base_url="https://api.example/v1",
                      dialects={"openai": Spoken(paths={"models": "/models"})})]
""",
    "importers.py": """
from extensions.import_hubs.peers import Peer
IMPORTERS = {"NAME": Peer(("users",), print)}
""",
    "guards.py": """
from content.detectors.call import CallSettings, Verdict
from content.detectors.registry import Guard
class Settings(CallSettings):
    word: str
async def call(settings, question, reach):
    found = any(settings.word in text for text in question.texts)
    return Verdict("refuse" if found else "pass")
GUARDS = {"NAME": Guard(Settings, call=call, decides=True, label="Guard of NAME")}
""",
    "endpoints.py": """
from relay.front.request import Endpoint
async def greet(request):
    await request.respond(b'{"greeting": "NAME"}')
async def greet_one(request):
    await request.respond(b'{"greeting": "one"}')
ENDPOINTS = {"/NAME/greeting": Endpoint(greet, ("GET",), operation="NAME"),
             "/NAME/greeting/{id}": Endpoint(greet_one, ("GET",), operation="NAME")}
""",
}
# Each breaks one part of the whole: the file, and what is written in the place of it.
BROKEN = {
    "nothing": ("__init__.py", "EXTENSION = 'none'"),
    "missing": ("__init__.py", "import weir_not_installed"),
    "quits": ("provider.py", "raise SystemExit(3)"),
    "setting": ("settings.py", "DEBUG = True"),
    "app": ("apps.py", "from django.apps import AppConfig\nclass Mine(AppConfig):\n"
                       "    name, label = 'weir_app', 'config'"),
    "tables": ("models.py", WHOLE["models.py"] + "    owner = models.ForeignKey()\n"),
    "views": ("views.py", "from accounts.guards import no_such_guard"),
    "api": ("api.py", "router = 1 / 0"),
    "tasks": ("tasks.py", "greetings = 1"),
    "provider": ("provider.py", WHOLE["provider.py"].replace('name="NAME"', 'name="openai"')),
    "guard": ("guards.py", WHOLE["guards.py"].replace('"NAME": G', '"email": G')),
    "endpoints": ("endpoints.py", "ENDPOINTS = {'/greeting': 'hello'}"),
    "address": ("endpoints.py", WHOLE["endpoints.py"].replace("/NAME/greeting\"", "/v1/models\"")),
}  # fmt: skip
# What of the extensions is in this process, and what `weir --version` prints of them.
REGISTERED = """
import contextlib, io, json
from django.apps import apps
from django.urls import get_resolver
from config.api.api import api
from config.celery import app
from config.jobs.schedule import JOBS
from config.shell import pages
from content.policies.guards import KNOWN
from extensions.import_hubs.peers import PEERS
from gateway.providers import PROVIDERS
from lib.extensions.installed import installed
from relay.endpoints.table import find_endpoint, listed_rows
from stack.command import main
names = [one.name for one in installed() if one.version == '0.1']
paths = [str(pattern.pattern) for pattern in get_resolver().url_patterns[0].url_patterns]
operations = [path for _, router in api._routers for path in router.path_operations]
with contextlib.redirect_stdout(io.StringIO()) as version, contextlib.suppress(SystemExit):
    main(["--version"])
answer = {
    "version": version.getvalue().splitlines(),
    "states": {one.name: [one.version, one.state, one.error] for one in installed()},
    "provider": [name for name in names if name in PROVIDERS],
    "app": [name for name in names if f"weir_{name}" in apps.app_configs],
    "models": [name for name in names if apps.all_models.get(f"weir_{name}")],
    "urls": [name for name in names if f"admin/{name}" in paths],
    "pages": [name for name in names if ("health", name) in pages._ADDED],
    "operations": [name for name in names if f"/{name}" in operations],
    "jobs": [name for name in names if f"weir_{name}.tasks.greet" in JOBS],
    "beat": [name for name in names if f"weir_{name}.tasks.greet" in app.conf.beat_schedule],
    "importers": [name for name in names if name in PEERS],
    "guards": [name for name in names if name in KNOWN],
    "endpoints": [name for name in names if find_endpoint(f"/{name}/greeting")],
    "rows": [name for name in names if f"/{name}/greeting/{{id}}" in listed_rows()],
    "named": [name for name in names if find_endpoint(f"/{name}/greeting/1")],
}
"""
# What is told of EXTENSIONS_OFF.
WARNED = """
from lib.extensions.installed import log
warned = []
log.warning = lambda text, *rest: warned.append(text % rest)
installed.cache_clear()
installed()
print(json.dumps({**answer, "warned": warned}))
"""
PAGES = """
from django.conf import settings
storage = "django.contrib.staticfiles.storage.StaticFilesStorage"
settings.STORAGES["staticfiles"]["BACKEND"] = storage
from tests.support import cast
dora = cast.signed_in(cast.assemble().dora)
print(json.dumps({
    **answer,
    "page": dora.get("/admin/whole").content.decode(),
    "health": dora.get("/admin/health?open=checks").content.decode(),
    "system": dora.get("/api/v1/system").json(),
    "operation": dora.get("/api/v1/whole").json(),
    "listed jobs": [job["task"] for job in dora.get("/api/v1/jobs").json()["items"]],
}))
"""
PARTS = ("provider", "app", "models", "urls", "pages", "operations", "jobs", "beat", "importers",
         "guards", "endpoints", "rows", "named")  # fmt: skip


def files(name: str) -> dict[str, str]:
    texts = dict(WHOLE)
    if name in BROKEN:
        file, text = BROKEN[name]
        texts[file] = text
    return {
        file.replace("NAME", name): text.replace("NAME_", f"{name.upper()}_").replace("NAME", name)
        for file, text in texts.items()
    }


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("extensions")
    for name in ("whole", *BROKEN):
        install(place, name, files(name))
    return place


@pytest.fixture(scope="module")
def registered(folder: Path) -> dict[str, Any]:
    with own_database("extension_pages") as dsn:
        over = {"DATABASE_URL": dsn, "WHOLE_GREETING": "Hello", "ALLOWED_HOSTS": "testserver"}
        registered: dict[str, Any] = json.loads(ask(folder, REGISTERED + PAGES, **over))
    return registered


@pytest.fixture(scope="module")
def off(folder: Path) -> dict[str, Any]:
    """With some of them switched off, and one that is not there."""
    names = "whole, missing, nobody"
    off: dict[str, Any] = json.loads(ask(folder, REGISTERED + WARNED, EXTENSIONS_OFF=names))
    return off


def test_whole_extension_adds_every_part(registered: dict[str, Any]) -> None:
    assert registered["states"]["whole"] == ["0.1", "on", ""]
    assert [part for part in PARTS if "whole" not in registered[part]] == []


@pytest.mark.parametrize("name", BROKEN)
def test_broken_extension_is_off_whole(registered: dict[str, Any], name: str) -> None:
    version, state, error = registered["states"][name]
    assert (version, state, bool(error)) == ("0.1", "failed", True)
    assert [part for part in PARTS if name in registered[part]] == []


def test_errors_say_what_is_wrong(registered: dict[str, Any]) -> None:
    errors = {name: error for name, (_, _, error) in registered["states"].items() if error}
    assert errors["missing"] == "ModuleNotFoundError: No module named 'weir_not_installed'"
    assert errors["setting"] == "InvalidContribution: settings: DEBUG exists already"
    assert errors["provider"] == "InvalidContribution: providers: openai exists already"


def test_named_extension_is_off(off: dict[str, Any]) -> None:
    assert [off["states"][name][1] for name in ("whole", "missing")] == ["off", "off"]
    assert [part for part in PARTS if off[part]] == []


def test_unknown_name_is_reported(off: dict[str, Any]) -> None:
    assert off["warned"] == ["EXTENSIONS_OFF: no such extension: nobody"]


def test_version_lists_extensions(registered: dict[str, Any], off: dict[str, Any]) -> None:
    assert registered["version"][0].startswith("weir ")
    missing = "failed: ModuleNotFoundError: No module named 'weir_not_installed'"
    assert "extension whole 0.1, on" in registered["version"]
    assert f"extension missing 0.1, {missing}" in registered["version"]
    assert "extension missing 0.1, off" in off["version"]


@pytest.fixture(scope="module")
def hub(folder: Path) -> Iterator[FreshHub]:
    with (
        own_database("extensions") as dsn,
        closing(FreshHub(dsn, {"PYTHONPATH": str(folder)})) as hub,
    ):
        hub.settings()
        hub.start()
        yield hub


def test_hub_starts_beside_broken_ones(hub: FreshHub) -> None:
    tenant = hub.tenant()
    assert hub.get("/whole/greeting", tenant).json() == {"greeting": "whole"}
    assert hub.get("/whole/greeting/7", tenant).json() == {"greeting": "one"}
    assert hub.get("/whole/greeting").status == 401
    operator = hub.tenant(kind="management")
    hub.person(operator, operator=True)
    assert hub.get("/api/v1/whole", operator).json() == {"greeting": "Good day"}
    for name in BROKEN:
        assert hub.get(f"/api/v1/{name}", operator).status == 404
        assert f"extension {name} 0.1 is switched off" in hub.log()


def test_pages_and_operations_show_extensions(registered: dict[str, Any]) -> None:
    assert registered["page"] == "<p>This is whole.</p>"
    assert registered["operation"] == {"greeting": "Hello"}
    assert "Greetings of whole" in registered["health"]
    assert "Greetings of tables" not in registered["health"]
    assert "No module named &#x27;weir_not_installed&#x27;" in registered["health"]
    states = {
        one["name"]: (one["state"], one["error"]) for one in registered["system"]["extensions"]
    }
    assert states["whole"] == ("on", "")
    assert states["quits"] == ("failed", "SystemExit: 3")


LOADED = """
import json, sys
from dataclasses import fields
from lib.extensions.installed import installed
parts = {(one.name, field.name): getattr(one.extension, field.name).partition(":")[0]
         for one in installed() if one.state == "on" for field in fields(one.extension)}
print(json.dumps([[field, module in sys.modules]
                  for (_, field), module in parts.items() if module]))
"""


def test_a_process_loads_all_parts_at_its_start_but_two(folder: Path) -> None:
    """As the guide says, and the docstring of their reader."""
    answer = json.loads(ask(folder, LOADED, CLICKHOUSE_URL="http://127.0.0.1:9"))
    assert {field for field, _ in answer} == set(Extension.__dataclass_fields__)
    assert {field for field, loaded in answer if not loaded} == {"importers", "service_pages"}
    reader = ExtensionsConfig.__doc__ or ""
    assert "Left out are `importers` and `service_pages`" in reader
    guide = (ROOT / "docs/guides/writing-an-extension.md").read_text()
    assert "Every Django process" in guide
    assert "Every Django process loads the parts" in (Extension.__doc__ or "")


def test_class_fits_on_a_screen() -> None:
    text = Path(__import__(Extension.__module__, fromlist=["x"]).__file__ or "").read_text()
    assert len(text.splitlines()) <= 60
    assert text.count('"""\n') - 2 >= len(Extension.__dataclass_fields__)


def test_ours_load_where_a_worker_begins() -> None:
    """Celery reads the jobs before Django's setup, when no model can be imported."""
    question = (
        "import config.celery, json; from config.jobs.schedule import JOBS; "
        "from lib.extensions.installed import installed; "
        "print(json.dumps([{one.name: one.error for one in installed()}, list(JOBS)]))"
    )
    done = subprocess.run(
        [sys.executable, "-c", question], cwd=ROOT, check=True, capture_output=True, text=True,
        env=os.environ | SETTINGS | {"CLICKHOUSE_URL": "http://127.0.0.1:9"},
    )  # fmt: skip
    errors, jobs = json.loads(done.stdout)
    assert set(errors.values()) == {""}
    assert "extensions.clickhouse.tasks.send_to_clickhouse" in jobs
