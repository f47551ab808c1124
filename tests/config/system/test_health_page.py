"""The page of the system's health: what is wrong comes first, the rest is one line a group."""

import datetime as dt
import re

import pytest

from accounts.models import AuditCheck
from config.models import JobRun
from config.system import rows
from config.system.folding import fold
from lib import clock
from lib.network.trust import Authority
from tests.support.cast import Cast, signed_in
from tests.support.markup import squeezed
from usage.records import partitions


def test_worst_comes_first_and_healthy_parts_are_counted() -> None:
    tones = ["ok", "warn", "", "bad", "ok", "warn"]
    closed = fold("a", enumerate(tones), lambda row: row[1], [])
    assert closed.rows == [(3, "bad"), (1, "warn"), (5, "warn")]
    assert (closed.fine, closed.opened, closed.toggle) == (3, False, "open=a")
    opened = fold("a", enumerate(tones), lambda row: row[1], ["b", "a"])
    assert opened.rows == [*closed.rows, (0, "ok"), (2, ""), (4, "ok")]
    assert (opened.fine, opened.opened, opened.toggle) == (3, True, "open=b")
    assert fold("a", [], str, []).rows == []


@pytest.mark.parametrize(("days", "tone"), [(-1, "bad"), (1, "ok")])
def test_expired_authority_is_a_failure(days: int, tone: str) -> None:
    ends_at = clock.now() + dt.timedelta(days=days)
    assert rows._authorities([Authority(name="Acme", ends_at=ends_at)]).tone == tone


def health(people: Cast, query: str = "") -> str:
    return squeezed(signed_in(people.dora).get(f"/admin/health{query}").content.decode())


@pytest.mark.django_db
def test_last_success_of_a_failing_job_is_older_than_its_last_run(people: Cast) -> None:
    now = clock.now()
    good_at = now - dt.timedelta(days=3)
    JobRun.objects.create(
        task="notify.tasks.tell", error="DataError", good_at=good_at, ended_at=now
    )
    row = health(people).split("notify.tasks.tell</span>")[1].split("</tr>")[0]
    times = dict(re.findall(r'data-label="(Last success|Last run)".*?datetime="(.{19})', row))
    assert times == {
        "Last success": f"{good_at:%Y-%m-%dT%H:%M:%S}", "Last run": f"{now:%Y-%m-%dT%H:%M:%S}",
    }  # fmt: skip


@pytest.mark.django_db
def test_page_shows_problems_and_the_rest_on_demand(people: Cast) -> None:
    partitions.ensure_partitions()
    AuditCheck.objects.create(checked_at=clock.now(), problem="an event is missing")
    JobRun.objects.create(task="notify.tasks.tell", error="DataError", ended_at=clock.now())
    closed = health(people)
    assert "Run verify" in closed
    assert "Failed, retrying" in closed
    assert "Open holds" not in closed
    assert "Until " not in closed  # of the partitions, which are there
    assert re.search(r"\d+ checks are as they should be", closed)
    assert re.search(r"\d+ queues are empty", closed)
    opened = health(people, "?open=checks&open=queues")
    assert "Open holds" in opened
    assert opened.index("Run verify") < opened.index("Until ")
    assert 'href="?open=queues" aria-expanded="true"' in opened
