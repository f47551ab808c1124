"""`/metrics`: Prometheus' own parser reads it, and its sums are those of the books."""

import json
import re
import threading
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import psycopg
import pytest
import yaml
from django.conf import settings as django_settings
from django.db import connection, transaction
from django.test import Client
from django.test.utils import CaptureQueriesContext
from prometheus_client.parser import text_string_to_metric_families

from accounts.access.actors import SYSTEM
from accounts.models import Key
from billing.prices.meters import TOKEN_METERS
from config.processes.processes import Reporter, WebLoad
from config.system.metrics import metrics_text
from gateway.channels.channels import create_channel
from gateway.channels.fields import ChannelFields
from gateway.health.metric_labels import LABELS_MAX, OTHER, Total, limit_names
from gateway.health.sql import add_to_total
from gateway.health.traffic import count_new_records
from gateway.models import Channel, ChannelReport, Route, TrafficCursor, TrafficTotal
from gateway.settings.installation import save_settings
from lib import clock
from lib.ids import new_id
from tests.fakes.upstream import FakeUpstream
from tests.relay.asking import ask
from tests.relay.health.test_many_processes import processes
from tests.support import cast
from tests.support.hub import Hub, fake, own_hub
from tests.usage.rollups.test_rollups import another, write_elsewhere
from tests.usage.rows import admit, credit, happen, refuse
from usage.models import UsageRecord

__all__ = ["another", "fake", "own_hub"]

NANO = 10**9
Samples = Mapping[str, Mapping[tuple[str, ...], float]]


@pytest.fixture
def key(transactional_db: None) -> Key:
    people = cast.assemble()
    created, _ = cast.make_key(people.core, user=people.bob)
    credit(created)
    save_settings(SYSTEM, egress_allow=["127.0.0.1/32"])
    routes = {"gpt-5": "", "open-*": "", "open-source_%*": ""}
    fields: ChannelFields = {
        "provider": "openai_compatible",
        "base_url": "http://127.0.0.1:9",
        "keys": ["sk-none"],
        "models": routes,
    }
    create_channel(SYSTEM, "main", fields)
    return created


def read(text: bytes) -> Samples:
    """name -> {values of the labels, by their names' order: value}."""
    samples: defaultdict[str, dict[tuple[str, ...], float]] = defaultdict(dict)
    for family in text_string_to_metric_families(text.decode()):
        assert family.documentation, family.name
        for sample in family.samples:
            labels = tuple(value for _, value in sorted(sample.labels.items()))
            assert labels not in samples[sample.name], "a sample is there twice"
            samples[sample.name][labels] = sample.value
    return samples


def scrape() -> Samples:
    return read(metrics_text())


def test_sums_match_the_books(key: Key) -> None:
    happen(key, charge_nano=5)
    happen(key, charge_nano=7, status=502, kind="upstream_error", ttft_ms=None)
    happen(key, charge_nano=0, final=False, status=429, kind="upstream_rate_limited", ttft_ms=None)
    happen(key, charge_nano=11, meters={"in_text": 3, "in_cache_read": 4, "images[1024]": 2})
    refuse(key)
    result = scrape()
    assert result["weir_requests_total"] == {
        ("gpt-5", "200"): 2, ("gpt-5", "502"): 1, ("gpt-5", "402"): 1,
    }  # fmt: skip
    assert result["weir_attempts_total"] == {
        (OTHER, "ok"): 2, (OTHER, "upstream_error"): 1, (OTHER, "upstream_rate_limited"): 1,
    }  # fmt: skip
    assert result["weir_charge_usd_total"] == {("gpt-5",): pytest.approx(23 / NANO)}
    tokens = result["weir_tokens_total"]
    assert tokens[("in_cache_read", "gpt-5")] == 4
    assert not any(meter.startswith("images") for meter, _ in tokens)
    assert result["weir_time_to_first_token_seconds_count"] == {("gpt-5",): 2}
    assert result["weir_time_to_first_token_seconds_sum"] == {("gpt-5",): 0.8}
    buckets = result["weir_time_to_first_token_seconds_bucket"]
    assert buckets[("0.3", "gpt-5")] == 0
    assert buckets[("0.5", "gpt-5")] == buckets[("+Inf", "gpt-5")] == 2


def test_recounting_counts_nothing_twice(key: Key) -> None:
    happen(key)
    first = scrape()["weir_requests_total"]
    assert scrape()["weir_requests_total"] == first == {("gpt-5", "200"): 1}
    happen(key)
    assert scrape()["weir_requests_total"] == {("gpt-5", "200"): 2}


def test_killed_count_leaves_no_trace(key: Key) -> None:
    happen(key)
    with transaction.atomic():
        assert count_new_records()
        transaction.set_rollback(True)
    assert not TrafficTotal.objects.exists()
    assert scrape()["weir_requests_total"] == {("gpt-5", "200"): 1}


def test_no_record_is_missed_in_any_commit_order(
    key: Key, another: psycopg.Connection[Any]
) -> None:
    """One that was begun first and commits last is counted when it is there, and keeps no other
    from being counted meanwhile."""
    first = happen(key)
    write_elsewhere(another, first.id, key)
    for _ in range(2):
        happen(key, status=201)
        scrape()
    assert scrape()["weir_requests_total"] == {("gpt-5", "200"): 1, ("gpt-5", "201"): 2}
    another.commit()
    assert scrape()["weir_requests_total"] == {("gpt-5", "200"): 2, ("gpt-5", "201"): 2}


def test_one_process_counts_at_a_time(key: Key) -> None:
    happen(key)
    counts: list[bool] = []

    def elsewhere() -> None:
        counts.append(count_new_records())
        connection.close()

    with transaction.atomic():
        assert count_new_records()
        thread = threading.Thread(target=elsewhere)
        thread.start()
        thread.join()
    assert counts == [False]
    assert scrape()["weir_requests_total"] == {("gpt-5", "200"): 1}


def test_a_restored_dump_is_not_counted_again(key: Key) -> None:
    """Its transactions are those of another server, ahead of this one's."""
    happen(key)
    scrape()
    TrafficCursor.objects.update(snapshot=f"{2**40 + 5}:{2**40 + 5}:")
    assert scrape()["weir_requests_total"] == {("gpt-5", "200"): 1}
    happen(key, clock.now())
    assert scrape()["weir_requests_total"] == {("gpt-5", "200"): 2}


def test_client_chosen_names_are_no_labels(key: Key) -> None:
    for name in ("open-sesame", "open-source_%x", "open-sourceXYZ", "junk", "GPT-5", "gpt-5\n"):
        happen(key, model=name)
        refuse(key, model=name)
    models = {model for model, _ in scrape()["weir_requests_total"]}
    assert models == {"open-*", "open-source_%*", OTHER}


def test_many_names_stay_below_a_megabyte(key: Key) -> None:
    """The first that are used keep their labels; the sums stay those of the books."""
    route = Route.objects.first()
    assert route is not None
    names = [f"a-model-with-a-rather-long-name-{n:04}" for n in range(3 * LABELS_MAX)]
    Route.objects.bulk_create(
        Route(channel=route.channel, model=name, upstream_model="") for name in names
    )
    template = happen(key, ttft_ms=700)
    fields = {
        field.attname: getattr(template, field.attname)
        for field in UsageRecord._meta.concrete_fields
        if field.attname not in ("pk", "id", "model", "status")
    }
    UsageRecord.objects.bulk_create(
        UsageRecord(**fields, id=new_id(), model=name, status=status)
        for name in names
        for status in (200, 400, 429, 502)
    )
    text = metrics_text()
    assert len(text) < 1_000_000
    requests = read(text)["weir_requests_total"]
    assert sum(requests.values()) == UsageRecord.objects.filter(final=True).count()
    assert len({model for model, _ in requests}) == LABELS_MAX + 1
    happen(key, model=names[-1])
    again = scrape()["weir_requests_total"]
    assert all(again[labels] >= value for labels, value in requests.items())


def test_a_label_is_kept_whoever_comes_later() -> None:
    first = [Total("requests", (f"m{n}", "200"), 1, ()) for n in range(LABELS_MAX)]
    later = [Total("requests", (f"later{n}", "200"), 1, ()) for n in range(3)]
    channels = [Total("attempts", (f"c{n}", "ok"), 1, ()) for n in range(LABELS_MAX)]
    results = {total.labels: total.value for total in limit_names([*first, *later, *channels])}
    assert results[(OTHER, "200")] == 3
    assert len(results) == 2 * LABELS_MAX + 1


def test_histograms_of_two_names_add_up_in_the_last_label() -> None:
    totals = [Total("duration", (f"m{n}",), 5, (0, 1, 2)) for n in range(LABELS_MAX + 2)]
    assert limit_names(totals)[-1] == Total("duration", (OTHER,), 10, (0, 2, 4))


def test_channels_report_their_state_and_answers(key: Key) -> None:
    channel = Channel.objects.get()
    admit(key, clock.now(), channel_id=channel.id)
    status = {"status": ["keys_out", 50, "upstream_auth"], "keys": []}
    ChannelReport.objects.create(
        process_id=new_id(), reported_at=clock.now(), epoch=1, channels={str(channel.id): status}
    )
    result = scrape()
    states = result["weir_channel_state"]
    assert {state for (name, state), on in states.items() if on} == {"keys_out"}
    assert result["weir_channel_requests_in_flight"] == {("main",): 1}
    assert result["weir_queue_length"][("holds",)] == 1


def test_every_enabled_channel_reports_its_state_and_answers(key: Key) -> None:
    """Also one beyond the labels of counters, and in a fixed number of statements."""
    with CaptureQueriesContext(connection) as of_one:
        metrics_text()
    many = Channel.objects.bulk_create(
        Channel(name=f"later-{n:03}", provider="openai", base_url="https://a.example", priority=9)
        for n in range(3 * LABELS_MAX)
    )
    Channel.objects.filter(name="later-000").update(enabled=False)
    last = many[-1]
    admit(key, clock.now(), channel_id=last.id)
    status = {"status": ["open", 50, "upstream_5xx"], "keys": []}
    ChannelReport.objects.create(
        process_id=new_id(), reported_at=clock.now(), epoch=1, channels={str(last.id): status}
    )
    with CaptureQueriesContext(connection) as of_many:
        result = read(metrics_text())
    enabled = set(Channel.objects.filter(enabled=True).values_list("name", flat=True))
    assert len(enabled) == 3 * LABELS_MAX
    assert {name for name, _ in result["weir_channel_state"]} == enabled
    states = {name: state for (name, state), on in result["weir_channel_state"].items() if on}
    assert states.pop(last.name) == "open"
    assert set(states.values()) == {"good"}
    running = result["weir_channel_requests_in_flight"]
    assert {name for (name,) in running} == enabled
    assert {name: n for (name,), n in running.items() if n} == {last.name: 1}
    assert len(of_many) <= len(of_one)


def test_rejections_of_busy_processes_are_summed(key: Key) -> None:
    assert scrape()["weir_requests_shed_total"] == {(): 0}
    for refused in (2, 3):
        statement, parameters = add_to_total("shed", refused)
        with connection.cursor() as cursor:
            cursor.execute(statement, dict(parameters))
    result = scrape()
    assert result["weir_requests_shed_total"] == {(): 5}
    assert not result["weir_requests_total"]


def dashboard_queries() -> list[str]:
    file = django_settings.BASE_DIR / "deploy/grafana/weir.json"
    panels = json.loads(file.read_text())["panels"]
    return [target["expr"] for panel in panels for target in panel["targets"]]


def rule_queries() -> list[str]:
    file = django_settings.BASE_DIR / "deploy/prometheus/weir.rules.yml"
    groups = yaml.safe_load(file.read_text())["groups"]
    return [rule["expr"] for group in groups for rule in group["rules"]]


@pytest.mark.parametrize(
    ("queries", "later"),
    [
        # Jobs have no samples before a web process has looked at them, nor has a walk that goes on.
        (dashboard_queries, {"weir_job_late"}),
        (rule_queries, {"weir_job_late", "weir_ledger_walked_timestamp_seconds"}),
    ],
)
def test_queried_series_exist(key: Key, queries: Callable[[], list[str]], later: set[str]) -> None:
    """Queries name only what a scrape has, with the labels that it has there."""
    happen(key)
    Reporter("web").report(WebLoad(1, 1, 0.001))
    families = list(text_string_to_metric_families(metrics_text().decode()))
    results = {sample.name: set(sample.labels) for family in families for sample in family.samples}
    text = " ".join(queries())
    asked = set(re.findall(r"(?:weir|process)_\w+", text))
    assert asked - results.keys() == later
    assert later <= {family.name for family in families}
    for name, matchers in re.findall(r"((?:weir|process)_\w+)\{([^}]*)\}", text):
        if name not in later:
            # Prometheus itself adds the job.
            labels = set(re.findall(r"(\w+)(?:=~|!~|!?=)", matchers)) - {"job"}
            assert labels <= results[name]


def test_the_dashboard_shows_how_busy_each_process_is() -> None:
    """Web processes, worker and scheduler; Prometheus has the same figure of itself, without a
    role."""
    (query,) = [query for query in dashboard_queries() if "process_cpu_seconds_total" in query]
    assert query.startswith("sum by (role, process) (rate(")
    assert '{role!=""}' in query


# ---- who may read it


def test_the_loopback_reads_it_without_a_token(transactional_db: None) -> None:
    response = Client().get("/metrics")
    assert response.status_code == 200
    assert response["Content-Type"].startswith("text/plain")
    assert response["Cache-Control"] == "no-store"


@pytest.mark.parametrize(
    "meta",
    [
        {"REMOTE_ADDR": "10.1.2.3"},
        {"REMOTE_ADDR": "2001:db8::1"},
        {"REMOTE_ADDR": ""},
        {"HTTP_X_FORWARDED_FOR": "127.0.0.1"},
        {"HTTP_FORWARDED": "for=127.0.0.1"},
        # What a token that is not set would be written as.
        {"REMOTE_ADDR": "10.1.2.3", "HTTP_AUTHORIZATION": "Bearer None"},
        {"REMOTE_ADDR": "10.1.2.3", "HTTP_AUTHORIZATION": "Bearer "},
    ],
)
@pytest.mark.django_db
def test_no_one_else_reads_metrics(meta: dict[str, Any]) -> None:
    response = Client().get("/metrics", **meta)
    assert response.status_code == 401
    assert "METRICS_TOKEN" in response.content.decode()


@pytest.mark.parametrize(
    ("value", "status"),
    [("Bearer s3cret", 200), ("Bearer wrong", 401), ("s3cret", 401), ("", 401), ("Bearer é", 401)],
)
def test_token_authorises_reading(
    transactional_db: None, settings: Any, value: str, status: int
) -> None:
    settings.METRICS_TOKEN = "s3cret"
    for address in ("10.1.2.3", "127.0.0.1"):
        response = Client().get("/metrics", REMOTE_ADDR=address, HTTP_AUTHORIZATION=value)
        assert response.status_code == status


# ---- of several processes


@pytest.fixture
def busy(own_hub: Hub, fake: FakeUpstream) -> Iterator[tuple[Hub, Sequence[Samples]]]:
    """Two processes that both answered requests, and what each of them then tells."""
    with processes(own_hub, 2) as hubs:
        tenant = own_hub.tenant(usd="1.00")
        model = own_hub.model(fake)
        for hub in hubs:
            hub.know(model)
        for n in range(12):
            assert hubs[n % 2].post(tenant, ask(model)).status == 200
        missing = hubs[0].post(tenant, ask("nothing-of-that-name"))
        assert missing.status == 404
        own_hub.settled(tenant)
        # What is refused holds nothing, and is recorded a moment later.
        own_hub.record(missing.headers["x-request-id"])
        yield own_hub, [read(hub.get("/metrics").body) for hub in hubs]


def test_every_process_reports_the_books_of_all(busy: tuple[Hub, Sequence[Samples]]) -> None:
    hub, (one, other) = busy
    records = hub.rows("SELECT * FROM usage_usagerecord")
    counted = Counter(str(record["status"]) for record in records)
    tokens = Counter(
        {meter: sum(record["meters"].get(meter, 0) for record in records) for meter in TOKEN_METERS}
    )
    for result in (one, other):
        by_status: Counter[str] = Counter()
        for (_, status), value in result["weir_requests_total"].items():
            by_status[status] += int(value)
        assert by_status == counted
        by_meter = {meter: value for (meter, _), value in result["weir_tokens_total"].items()}
        assert by_meter == +tokens
        charged = sum(result["weir_charge_usd_total"].values())
        assert round(charged * NANO) == sum(record["charge_nano"] for record in records)
