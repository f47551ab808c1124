"""Shadow traffic: its rule, its page, its API and its file."""

import datetime as dt
from pathlib import Path
from typing import Any

import pytest
from django.core.management.base import CommandError
from django.db import connection
from django.db.models import Sum
from django.test import Client

from gateway.models import ModelRule, ShadowAnswer, ShadowSpend
from gateway.routing.shadow_answers import KEPT, drop_old, shadow_figures, spent_today
from gateway.routing.shadow_sql import write_shadow_answers
from lib import clock
from lib.ids import id_text, new_id
from tests.config.applying import Installation
from tests.support.cast import Cast, signed_in
from tests.support.hostile import NUL, STORABLE
from tests.support.markup import squeezed

pytestmark = pytest.mark.django_db
FILE = """\
version: 1
channels:
  - {name: trial, provider: openai_compatible, base_url: "https://api.example.com/v1"}
model_rules:
  - {model: gpt, shadow: {channel: trial, model: gpt-next, percent: 5, cap: "2.50"}}
"""
SHADOW = {"channel": "trial", "model": "gpt-next", "percent": 5, "cap": "2.50"}
ANSWER: dict[str, Any] = {
    "rule": "gpt", "model": "gpt", "main_channel": "main", "main_status": 200,
    "main_ttft_ms": 100, "main_total_ms": 900, "main_tokens": 40, "main_finish": "stop",
    "main_cost_nano": 5, "channel": "trial", "upstream_model": "gpt-next", "fault": "",
    "ttft_ms": 200, "total_ms": 700, "tokens": 60, "finish": "stop", "cost_nano": 10**9,
    "cost_unknown": False, "likeness": 80, "same_structure": None,
}  # fmt: skip


@pytest.fixture
def dora(people: Cast) -> Client:
    return signed_in(people.dora)


@pytest.fixture
def installation(tmp_path: Path) -> Installation:
    new_installation = Installation(tmp_path)
    new_installation.apply(FILE)
    return new_installation


def row(id_: Any, **over: Any) -> dict[str, Any]:
    ids = {"id": str(id_), "request_id": str(new_id()), "channel_id": str(new_id())}
    return {**ANSWER, **ids, **over}


def write(*rows: dict[str, Any]) -> None:
    with connection.cursor() as cursor:
        cursor.execute(*write_shadow_answers(rows))


def add(**over: Any) -> ShadowAnswer:
    ids = {"request_id": new_id(), "channel_id": new_id()}
    return ShadowAnswer.objects.create(**{**ANSWER, **ids, **over})


def test_file_and_export_round_trip(installation: Installation) -> None:
    exported = installation.export()
    wanted = "shadow:\n    channel: trial\n    model: gpt-next\n    percent: 5\n    cap: '2.50'"
    assert wanted in exported
    assert "nothing to change" in installation.apply(FILE)
    unknown = (
        "version: 1\nmodel_rules: [{model: gpt, shadow: {channel: other, percent: 5, cap: '1'}}]\n"
    )
    with pytest.raises(CommandError, match="no channel named other"):
        installation.apply(unknown)
    installation.apply("version: 1\nmodel_rules: [{model: gpt, shadow: null}]\n")
    assert ModelRule.objects.get().shadow == {}


@pytest.mark.parametrize(
    ("over", "param"),
    [
        ({"channel": "no"}, "shadow_channel"),
        ({"cap": "0"}, "shadow_cap"),
        ({"cap": "much"}, "shadow_cap"),
        ({"percent": 0}, "percent"),
        ({"model": "m" * 201}, "model"),
        *(({"channel": text[:200]}, "channel") for text in (*STORABLE, NUL)),
    ],
)
def test_invalid_rules_are_rejected(
    installation: Installation, dora: Client, over: dict[str, Any], param: str
) -> None:
    path = f"/api/v1/model-rules/{ModelRule.objects.get().id}"
    body = {"shadow": {**SHADOW, **over}}
    answer = dora.patch(path, body, content_type="application/json")
    assert answer.status_code in (400, 422), answer.content
    assert param in str(answer.json()["error"]["param"])
    assert ModelRule.objects.get().shadow == SHADOW


def test_the_rule_on_its_page_and_by_the_api(installation: Installation, dora: Client) -> None:
    rule = ModelRule.objects.get()
    page, path = f"/admin/models/rules/{rule.id}", f"/api/v1/model-rules/{rule.id}"
    assert 'value="gpt-next"' in dora.get(page).content.decode()
    sent = {"model": "gpt", "pick": "weight", "shadow_channel": "trial", "shadow_percent": "20",
            "shadow_cap": "$1"}  # fmt: skip
    assert dora.post(page, sent).status_code == 303
    assert dora.get(path).json()["shadow"] == {
        "channel": "trial", "model": "", "percent": 20, "cap": "1.00",
    }  # fmt: skip
    refused = dora.post(page, {**sent, "shadow_cap": ""})
    assert (refused.status_code, "may cost per day" in refused.content.decode()) == (422, True)
    body = {"shadow": {"channel": ""}}
    none = dora.patch(path, body, content_type="application/json").json()
    assert none["shadow"] == {"channel": "", "model": "", "percent": 100, "cap": None}


def test_the_figures_are_those_of_both_sides(installation: Installation, dora: Client) -> None:
    first = add()
    add(main_total_ms=1100, total_ms=500, likeness=40, same_structure=True, finish="length")
    add(fault="F10", tokens=0, ttft_ms=None, likeness=None, cost_nano=0)
    add(main_status=502, likeness=None, main_cost_nano=None)
    long_ago = add()
    ShadowAnswer.objects.filter(id=long_ago.id).update(at=clock.now() - dt.timedelta(days=3))
    (row,) = shadow_figures(24)
    assert (row.requests, row.main_ok, row.ok, row.main_percent, row.percent) == (4, 3, 3, 75, 75)
    assert (row.compared, row.likeness, row.same_finish) == (2, 60, 1)
    assert (row.structured, row.same_structure) == (1, 1)
    assert (row.main_total_ms, row.total_ms, row.tokens) == (900, 700, 45)
    assert (row.main_cost_nano, row.cost_nano, row.unknown) == (15, 3 * 10**9, 0)
    ShadowSpend.objects.create(rule="gpt", day=clock.now().date(), cost_nano=3 * 10**9)
    page = squeezed(dora.get("/admin/models/shadows").content.decode())
    assert "gpt: 5% also sent to trial, $3.00 of $2.50 today" in page
    assert page.count("Both answered") == 3
    assert "Shadow failed" in page
    (message,) = dora.get("/api/v1/shadow-traffic").json()["items"]
    assert (message["main_ok"], message["cost"], message["likeness"]) == (3, "3.00", 60)
    listed = dora.get("/api/v1/shadow-answers").json()["items"]
    assert len(listed) == 5
    assert listed[-1] | {"at": ""} == {
        **{name: value for name, value in ANSWER.items() if "cost" not in name},
        "id": id_text(first.id), "at": "", "request_id": id_text(first.request_id),
        "main_cost": "0.000000005", "cost": "1.00",
    }  # fmt: skip


def test_an_unknown_cost_of_the_main_channel_is_not_zero(dora: Client) -> None:
    add(main_cost_nano=0)
    add(main_cost_nano=None)
    (row,) = shadow_figures(24)
    assert (row.main_cost_nano, row.cost_nano) == (None, 2 * 10**9)
    assert dora.get("/api/v1/shadow-traffic").json()["items"][0]["main_cost"] is None
    page = squeezed(dora.get("/admin/models/shadows").content.decode())
    assert '<td class="n" data-label="Cost">–</td>' in page


def test_an_unknown_cost_of_the_shadow_is_shown_as_unknown(
    installation: Installation, dora: Client
) -> None:
    """The sums contain an estimate of it, which is not shown as the cost of the request."""
    add()
    write(row(new_id(), cost_nano=5 * 10**8, cost_unknown=True))
    (figures,) = shadow_figures(24)
    assert (figures.cost_nano, figures.unknown) == (15 * 10**8, 1)
    api = "/api/v1/"
    (sums,) = dora.get(f"{api}shadow-traffic").json()["items"]
    assert (sums["cost"], sums["unknown"]) == ("1.50", 1)
    costs = [item["cost"] for item in dora.get(f"{api}shadow-answers").json()["items"]]
    assert sorted(costs, key=str) == ["1.00", None]
    spend = dora.get(f"{api}shadow-spend").json()
    assert (spend["total"], spend["unknown"]) == ("0.50", 1)
    assert [item["unknown"] for item in spend["items"]] == [1]
    page = squeezed(dora.get("/admin/models/shadows").content.decode())
    assert "$0.50 of $2.50 today (1 request with unknown cost, estimated)" in page
    assert "1 unknown, estimated" in page


def test_an_unknown_cost_of_nothing_is_counted_too() -> None:
    """Its estimate may be 0, such as that of a model without a rate for input."""
    write(row(new_id(), cost_nano=0, cost_unknown=True))
    write(row(new_id(), cost_nano=0, cost_unknown=True), row(new_id(), cost_nano=0))
    assert (ShadowSpend.objects.get().cost_nano, ShadowSpend.objects.get().unknown) == (0, 2)


def test_shadow_cost_is_listed_by_day(dora: Client) -> None:
    days = [clock.now().date() - dt.timedelta(days=n) for n in (0, 31, 62)]
    for n, day in enumerate(days, start=1):
        ShadowSpend.objects.create(rule="gpt", day=day, cost_nano=n * 10**9)
    path = "/api/v1/shadow-spend"
    body = dora.get(path, {"days": 32}).json()
    assert body["items"] == [
        {"day": str(days[0]), "rule": "gpt", "cost": "1.00", "unknown": 0},
        {"day": str(days[1]), "rule": "gpt", "cost": "2.00", "unknown": 0},
    ]
    assert (body["total"], body["next"]) == ("3.00", None)
    body = dora.get(path, {"until": str(days[2])}).json()
    assert [row["cost"] for row in body["items"]] == ["3.00"]
    for until in ("0001-01-01", "9999-12-31"):
        assert dora.get(path, {"until": until}).json()["items"] == []
    assert dora.get(path, {"until": "now"}).status_code == 400


def test_comparisons_last_30_days_and_their_cost_forever() -> None:
    kept, old = add(), add()
    ShadowAnswer.objects.filter(id=old.id).update(at=clock.now() - KEPT - dt.timedelta(hours=1))
    ShadowSpend.objects.create(rule="gpt", day=dt.date(2020, 1, 1), cost_nano=1)
    drop_old()
    assert list(ShadowAnswer.objects.values_list("id", flat=True)) == [kept.id]
    # What they have cost stands nowhere else.
    assert ShadowSpend.objects.get().cost_nano == 1


def test_todays_cost_is_updated_once_per_comparison() -> None:
    """By rule and channel, whatever is written again; yesterday's does not count."""
    yesterday = clock.now().date() - dt.timedelta(days=1)
    ShadowSpend.objects.create(rule="gpt", day=yesterday, cost_nano=1)
    ids = [str(new_id()) for _ in range(3)]
    write(row(ids[0]), row(ids[1], cost_nano=5), row(new_id(), rule="*", cost_nano=7))
    write(row(ids[1], cost_nano=5), row(ids[2], cost_nano=11), row(new_id(), cost_nano=0))
    costs = {rule: spent.cost_nano for rule, spent in spent_today().items()}
    assert costs == {"gpt": 10**9 + 16, "*": 7}
    summed = ShadowAnswer.objects.filter(rule="gpt").aggregate(nano=Sum("cost_nano"))
    assert summed == {"nano": 10**9 + 16}
