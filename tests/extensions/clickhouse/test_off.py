"""ClickHouse switched off: Weir works as without one, and says of months that are in files that
their requests are not counted, although ClickHouse had them."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.runner.databases import own_database
from tests.support.extensions import ask

ADDRESS = {"CLICKHOUSE_URL": "http://127.0.0.1:9", "ALLOWED_HOSTS": "testserver"}
PAGES = """
from django.conf import settings
storage = "django.contrib.staticfiles.storage.StaticFilesStorage"
settings.STORAGES["staticfiles"]["BACKEND"] = storage
import datetime as dt, json
from uuid import UUID
from django.core.management import get_commands
from django.db import connection
from config.jobs.schedule import JOBS
from config.system.metrics import metrics_text
from lib import clock
from tests.support import cast
from usage.models import DetachedMonth
from usage.rollups.rollups import roll_up
people = cast.assemble()
start = dt.datetime(2026, 10, 1, tzinfo=dt.UTC)
DetachedMonth.objects.create(
    month=start.date(), first_id=UUID(int=10), end_id=UUID(int=20), from_at=start,
    to_at=start + dt.timedelta(days=31), price_version_ids=[],
)
roll_up()
with connection.cursor() as cursor:
    cursor.execute(
        "INSERT INTO usage_clickhousecursor (id, schema, fill, batches, snapshot, target, error,"
        " complete_to) VALUES (1, 3, gen_random_uuid(), 0, '1:1:', '', '', %s)", [clock.now()])
alice, dora = cast.signed_in(people.alice), cast.signed_in(people.dora)
def read(person, address):
    answer = person.get(address)
    return [answer.status_code, answer.content.decode()]
query = "group_by=project&range=custom&from=2026-10-01&to=2026-10-31"
print(json.dumps({
    "explore": read(alice, f"/o/acme/usage/explore?{query}"),
    "usage": read(alice, f"/o/acme/usage?{query}"),
    "health": read(dora, "/admin/health"),
    "system": dora.get("/api/v1/system").json(),
    "metrics": metrics_text().decode(),
    "jobs": [job for job in JOBS if "clickhouse" in job],
    "command": "rebuild_clickhouse" in get_commands(),
}))
"""


def read_pages(folder: Path, **over: str) -> dict[str, Any]:
    with own_database(f"clickhouse_{'off' if over else 'on'}") as dsn:
        shown = ask(folder, PAGES, DATABASE_URL=dsn, **ADDRESS, **over)
    pages: dict[str, Any] = json.loads(shown)
    return pages


@pytest.fixture(scope="module")
def off(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    return read_pages(tmp_path_factory.mktemp("nothing"), EXTENSIONS_OFF="clickhouse")


@pytest.fixture(scope="module")
def on(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    return read_pages(tmp_path_factory.mktemp("nothing"))


def test_its_parts_are_there_only_with_the_extension(
    on: dict[str, Any], off: dict[str, Any]
) -> None:
    assert (on["jobs"], on["command"]) == (["extensions.clickhouse.tasks.send_to_clickhouse"], True)
    assert (off["jobs"], off["command"]) == ([], False)


def test_system_says_that_it_is_off(on: dict[str, Any], off: dict[str, Any]) -> None:
    for pages, waiting, state in ((on, 0, "on"), (off, None, "off")):
        assert pages["system"]["clickhouse_waiting"] == waiting
        states = {one["name"]: one["state"] for one in pages["system"]["extensions"]}
        assert states["clickhouse"] == state
        assert pages["health"][0] == 200
        assert ('queue="clickhouse"' in pages["metrics"]) is (state == "on")


@pytest.mark.parametrize("page", ["explore", "usage"])
def test_missing_requests_are_named_without_it(
    on: dict[str, Any], off: dict[str, Any], page: str
) -> None:
    for pages, named in ((on, False), (off, True)):
        status, text = pages[page]
        assert status == 200
        assert ("The requests of October 2026 have been" in text) is named
