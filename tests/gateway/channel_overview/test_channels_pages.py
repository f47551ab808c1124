"""The operator's pages: who may see them, what they show, and that no secret is in them."""

import datetime as dt
import re
from collections.abc import Iterator
from typing import Any

import pytest
from django.db import connection
from django.db.models import Value
from django.test import Client
from django.test.utils import CaptureQueriesContext

from accounts.access.actors import SYSTEM
from accounts.models import AuditEvent
from billing.prices.prices import set_price
from gateway.breaker.state_names import ChannelStatus, KeyStatus, ModelStatus
from gateway.channels.channels import change_channel, create_channel, switch_key
from gateway.health.reports import LIVE
from gateway.health.traffic import count_new_records
from gateway.models import Channel, ChannelReport
from gateway.settings.installation import save_settings
from lib import clock
from lib.ids import id_text, new_id
from tests.billing.credits.test_operator_api import api_of
from tests.fakes.upstream import FakeUpstream
from tests.support import cast
from tests.support.cast import Cast
from tests.support.lists import file_of
from tests.usage.rows import admit, credit, happen

pytestmark = pytest.mark.django_db

SECRET = "sk-fake-provider-key-of-a-page-4f2a"
START = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)


@pytest.fixture(scope="module")
def fake() -> Iterator[FakeUpstream]:
    with FakeUpstream(name="paged", keys=(SECRET,), fsync=False) as upstream:
        yield upstream


@pytest.fixture
def channel(people: Cast, fake: FakeUpstream) -> Channel:
    save_settings(SYSTEM, egress_allow=["127.0.0.1/32"])
    return create_channel(
        SYSTEM,
        "main",
        {
            "provider": "openai_compatible",
            "base_url": fake.url,
            "keys": [SECRET],
            "models": {"fake": "", "alias": "fake-64", "fake-*": ""},
        },
    )


@pytest.fixture
def dora(people: Cast) -> Client:
    return cast.signed_in(people.dora)


def page(client: Client, path: str) -> str:
    response = client.get(path)
    assert response.status_code == 200
    assert response["Cache-Control"] == "private, no-store"
    return response.content.decode()


def test_unknown_channel_is_not_found(dora: Client, channel: Channel) -> None:
    for id in ("0" * 26, "nonsense", str(channel.id)):
        assert dora.get(f"/admin/channels/{id}").status_code == 404


def test_the_list_shows_each_channel_and_how_to_add_one(dora: Client, channel: Channel) -> None:
    html = page(dora, "/admin/channels?cols=name,provider,host,models,tested")
    for text in ("main", "OpenAI-compatible server", "127.0.0.1", "alias, fake, fake-*", "Never"):
        assert text in html
    assert "python manage.py apply" in html
    assert 'href="/admin/channels/new"' in html
    change_channel(SYSTEM, channel, {"enabled": False})
    assert "Off" in page(dora, "/admin/channels")


def test_the_list_shows_each_channels_last_day_by_one_query(
    people: Cast,
    dora: Client,
    channel: Channel,
    django_assert_max_num_queries: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    key, _ = cast.make_key(people.core)
    credit(key)
    now = clock.now()
    monkeypatch.setattr("gateway.health.uptime.clock.now", lambda: now)
    for status, kind in ((200, None), (200, None), (200, None), (502, "timeout")):
        happen(key, now, 0, channel_id=channel.id, status=status, kind=kind, ended_at=now)
    count_new_records()
    html = page(dora, "/admin/channels")
    words = "Attempts answered in the last 24 hours: 75.0% of 4"
    assert f'aria-label="{words}. Hours with failures (UTC): {now:%H}:00"' in html
    assert "Failed attempts: 1 of 4" in html
    assert "20% or more failed" in html
    (row,) = file_of(dora, "/admin/channels?export=csv&cols=name,uptime")
    assert list(row.values()) == ["main", "75.00"]
    with CaptureQueriesContext(connection) as few:
        page(dora, "/admin/channels")
    for n in range(20):
        create_channel(SYSTEM, f"more-{n}", {"provider": "openai", "keys": [SECRET], "models": {}})
    with django_assert_max_num_queries(len(few)):
        page(dora, "/admin/channels")


def test_the_list_without_channels_says_how_to_add_one(dora: Client) -> None:
    html = page(dora, "/admin/channels")
    assert "No channels yet" in html
    assert 'href="/admin/channels/new"' in html
    assert "No models" in page(dora, "/admin/models")


def test_detail_shows_only_four_characters_of_the_secret(dora: Client, channel: Channel) -> None:
    html = page(dora, f"/admin/channels/{id_text(channel.id)}")
    assert "••••4f2a" in html
    assert SECRET not in html
    for text in ("alias", "fake-64", "Same as requested", "1800 s", "Cancel at the provider"):
        assert text in html


def test_a_test_answers_in_place_and_the_page_keeps_it(
    dora: Client, channel: Channel, fake: FakeUpstream
) -> None:
    path = f"/admin/channels/{id_text(channel.id)}"
    part = dora.post(f"{path}/test", {"model": "alias"}, headers={"HX-Request": "true"})
    html = part.content.decode()
    assert part.status_code == 200
    assert html.lstrip().startswith("<section")
    assert html.count("Passed") == 7
    assert "Usage reported" in page(dora, path)
    assert "Passed" in page(dora, "/admin/channels")
    assert SECRET not in html


def test_a_test_without_scripts_leads_back_to_the_page(dora: Client, channel: Channel) -> None:
    path = f"/admin/channels/{id_text(channel.id)}"
    answer = dora.post(f"{path}/test", {"model": "fake"})
    assert (answer.status_code, answer["Location"]) == (303, path)


def test_a_failed_test_says_cause_and_fix(
    dora: Client, channel: Channel, fake: FakeUpstream
) -> None:
    fake.script("#fault=F5")
    answer = dora.post(
        f"/admin/channels/{id_text(channel.id)}/test",
        {"model": "fake"},
        headers={"HX-Request": "true"},
    )
    html = answer.content.decode()
    assert "The provider rejected the key." in html
    assert "Use a valid key" in html
    assert html.count("Not reached") == 3
    assert SECRET not in html
    # The state says so too: in place, on the page and in the list, until a test passes.
    assert "Test failed" in html.partition('hx-target="#channel-state"')[2]
    own = f"/admin/channels/{id_text(channel.id)}"
    for path in (own, "/admin/channels"):
        page_text = page(dora, path)
        assert "Test failed" in page_text
        assert not re.search(r"</svg>\s*On\s*<", page_text)
    fake.script("")
    part = dora.post(f"{own}/test", {"model": "fake"}, headers={"HX-Request": "true"})
    assert "Test failed" not in part.content.decode()
    assert re.search(r"</svg>\s*On\s*<", page(dora, "/admin/channels"))


def test_only_a_model_of_the_channel_can_be_tested(dora: Client, channel: Channel) -> None:
    path = f"/admin/channels/{id_text(channel.id)}/test"
    for model in ("elsewhere", ""):
        answer = dora.post(path, {"model": model}, headers={"HX-Request": "true"})
        assert answer.status_code == 422
        assert "does not serve this model" in answer.content.decode()
    assert not AuditEvent.objects.filter(action="channel.tested").exists()
    assert dora.get(path).status_code == 405


def test_a_pattern_is_tested_by_a_priced_name_that_it_meets(dora: Client, channel: Channel) -> None:
    set_price(SYSTEM, "fake-1000", START, {"meters": {"in_text": 1}}, source="file")
    assert "fake-1000" in page(dora, f"/admin/channels/{id_text(channel.id)}")


def test_models_show_who_serves_them_and_the_price_in_force(dora: Client, channel: Channel) -> None:
    rates = {"meters": {"in_text": 150_000_000, "out_text": 600_000_000}}
    set_price(SYSTEM, "fake", START, rates, source="file")
    set_price(SYSTEM, "fake-7*", START, {"meters": {"in_text": 9}}, source="genai-prices 1")
    html = page(dora, "/admin/models")
    text = re.sub(r"<[^>]+>", "", html)
    assert "$0.15" in text
    assert "$0.60" in text
    assert "fake-64" in html
    assert "2 models have no price." in html
    assert "Requests to them are rejected." in html
    save_settings(SYSTEM, unpriced_models="free")
    assert "Requests to them are free." in page(dora, "/admin/models")
    set_price(SYSTEM, "fake-64", START, {"meters": {"in_text": 9}}, source="file")
    html = page(dora, "/admin/models")
    assert "1 model has no price." in html
    assert "Requests to it are free. Set its price in the price book." in html


def test_models_are_found_by_name_channel_and_price(dora: Client, channel: Channel) -> None:
    set_price(SYSTEM, "fake", START, {"meters": {"in_text": 1}}, source="file")

    def names(query: str) -> int:
        part = dora.get(f"/admin/models?{query}", headers={"HX-Request": "true"})
        return part.content.decode().count('<th scope="row"')

    assert names("") == 3
    assert names("q=ALIAS") == 1
    assert names("q=main") == 3
    assert names("state=priced") == 1
    assert names("state=unpriced") == 2
    assert names("q=nothing") == 0


def test_a_price_that_has_ended_or_not_begun_is_not_shown(dora: Client, channel: Channel) -> None:
    later = dt.datetime(2100, 1, 1, tzinfo=dt.UTC)
    ended = dt.datetime(2026, 2, 1, tzinfo=dt.UTC)
    set_price(SYSTEM, "fake", START, {"meters": {"in_text": 10**9}}, valid_to=ended, source="file")
    set_price(SYSTEM, "fake", later, {"meters": {"in_text": 2 * 10**9}}, source="file")
    html = page(dora, "/admin/models")
    assert "/ 1M" not in html
    assert "3 models have no price." in html


@pytest.fixture(autouse=True)
def unmoved_clocks(monkeypatch: pytest.MonkeyPatch) -> None:
    """What processes report of a channel does not age while a test looks at it: neither by the
    clock of the hub nor by that of the database."""
    now = clock.now()
    monkeypatch.setattr(clock, "now", lambda: now)
    monkeypatch.setattr("gateway.health.reports.Now", lambda: Value(now))


def reported(
    channel: Channel, status: ChannelStatus, *keys: KeyStatus, **models: ModelStatus
) -> None:
    """A web process tells this of the channel; for one key alone where no key is named."""
    of_keys = keys or (KeyStatus("good"),)
    body = {
        "status": list(status),
        "keys": [{"status": list(key)} for key in of_keys],
        "models": {name: list(its) for name, its in models.items()},
    }
    ChannelReport.objects.create(
        process_id=new_id(),
        reported_at=clock.now(),
        epoch=1,
        channels={str(channel.id): body},
    )


@pytest.mark.parametrize(
    ("channel_status", "words"),
    [
        (ChannelStatus("good"), ["On"]),
        (ChannelStatus("open", 8, "upstream_unreachable"),
         ["Unavailable", "The provider could not be reached. Next attempt within 8 s"]),
        (ChannelStatus("keys_out", 50, "upstream_auth"),
         ["Keys paused", "Next attempt within 50 s"]),
        (ChannelStatus("models_out", 7, "upstream_rate_limited"),
         ["Models paused", "Next attempt within 7 s"]),
        (ChannelStatus("half_open", 0, "timeout"), ["Probing", "No answer within the time limit"]),
    ],
)  # fmt: skip
def test_process_findings_are_shown(
    channel: Channel, dora: Client, channel_status: ChannelStatus, words: list[str]
) -> None:
    reported(channel, channel_status)
    for path in ("/admin/channels", f"/admin/channels/{id_text(channel.id)}"):
        page = dora.get(path).content.decode()
        for word in words:
            assert word in page


def test_worst_state_among_live_processes_is_shown(channel: Channel, dora: Client) -> None:
    """What a process knew that has ended is out of date."""
    path = f"/admin/channels/{id_text(channel.id)}"
    reported(channel, ChannelStatus("open", 500, "upstream_unreachable"))
    ChannelReport.objects.update(reported_at=clock.now() - LIVE)
    reported(channel, ChannelStatus("models_out", 7, "upstream_rate_limited"))
    reported(channel, ChannelStatus("good"))
    assert "Models paused" in page(dora, path)
    reported(channel, ChannelStatus("open", 8, "upstream_unreachable"))
    assert "Unavailable" in page(dora, path)
    reported(channel, ChannelStatus("half_open"))
    assert "Next attempt within 8 s" in page(dora, path)
    ChannelReport.objects.all().delete()
    assert "Unavailable" not in page(dora, path)


def test_a_capability_is_switched_by_hand(dora: Client, channel: Channel) -> None:
    """What the catalogue does not know of a server of one's own."""
    path = f"/admin/channels/{id_text(channel.id)}"
    ids = re.findall(r' id="([^"]+)"', page(dora, path))
    assert len(ids) == len(set(ids))
    for state, can, page_text in (
        ("off", {"tools": False}, "Tools: off"),
        ("on", {"tools": True}, "Tools: on"),
        ("unsaid", {}, "None</span>"),
    ):
        fields = {"model": "alias", "capability": "tools", "state": state}
        response = dora.post(f"{path}/switch", fields)
        assert (response.status_code, response["Location"]) == (303, path)
        assert {route.model: route.can for route in channel.routes.all()} == {
            "fake": {},
            "alias": can,
            "fake-*": {},
        }
        assert page_text in page(dora, path)
    actions = AuditEvent.objects.filter(action="channel.changed")
    off, on = {"alias": {"tools": False}}, {"alias": {"tools": True}}
    assert [event.detail for event in actions.order_by("id")][:2] == [
        {"name": "main", "before": {"can": {}}, "after": {"can": off}},
        {"name": "main", "before": {"can": off}, "after": {"can": on}},
    ]
    # What is applied without a word of it stays as it was.
    dora.post(f"{path}/switch", {"model": "alias", "capability": "vision", "state": "off"})
    change_channel(SYSTEM, channel, {"models": {"alias": "fake-64"}})
    assert channel.routes.get().can == {"vision": False}


def test_only_existing_capabilities_can_be_switched(
    dora: Client, people: Cast, channel: Channel
) -> None:
    path = f"/admin/channels/{id_text(channel.id)}/switch"
    fields = {"model": "alias", "capability": "tools", "state": "off"}
    for wrong in ({"model": "other"}, {"capability": "magic"}, {"state": "perhaps"}):
        assert dora.post(path, fields | wrong).status_code == 422
    assert cast.signed_in(people.alice).post(path, fields).status_code in (403, 404)
    assert not any(route.can for route in channel.routes.all())


def test_a_key_says_that_it_is_refused_for_some_models(channel: Channel, dora: Client) -> None:
    reported(channel, ChannelStatus("good"), KeyStatus("limited", 70, "key_refused"))
    html = page(dora, f"/admin/channels/{id_text(channel.id)}").partition('id="keys"')[2]
    (row,) = (row for row in rows_of(html) if "••••" in row)
    for words in ("Rejected for some models", "The provider rejected the key."):
        assert words in row


def test_each_key_says_how_it_is_and_why(channel: Channel, dora: Client) -> None:
    """A disabled one has no place among those that the relay knows."""
    change_channel(SYSTEM, channel, {"keys": ["sk-first-0123456789", SECRET, "sk-third-012345678"]})
    switch_key(SYSTEM, channel, channel.keys.get(position=0), enabled=False)
    refused = KeyStatus("paused", 50, "key_refused", 40)
    reported(channel, ChannelStatus("good"), refused, KeyStatus("limited", 7))
    html = page(dora, f"/admin/channels/{id_text(channel.id)}").partition('id="keys"')[2]
    first, second, third = (row for row in rows_of(html) if "••••" in row)
    assert "Disabled" in first
    for words in ("Paused", "The provider rejected the key.", "For 40 s.", "within 50 s"):
        assert words in second
    assert "At its rate limit" in third


def rows_of(html: str) -> list[str]:
    """The text of each row of the tables."""
    rows = re.findall(r"<tr>.*?</tr>", html, re.S)
    return [re.sub(r"(<[^>]+>|\s)+", " ", row).strip() for row in rows]


def test_channel_links_its_audit_log(channel: Channel, dora: Client) -> None:
    create_channel(SYSTEM, "another", {"provider": "openai", "base_url": "http://127.0.0.1:9/v1"})
    change_channel(SYSTEM, channel, {"weight": 3})
    html = page(dora, f"/admin/channels/{id_text(channel.id)}")
    match = re.search(r'href="(/admin/audit\?object=[^"]+)"', html)
    assert match is not None
    listed = page(dora, match[1])
    events = AuditEvent.objects.filter(object_id=id_text(channel.id))
    assert {event.action for event in events} >= {"channel.created", "channel.changed"}
    assert all(id_text(event.id) in listed for event in events)
    others = AuditEvent.objects.exclude(object_id=id_text(channel.id))
    assert others.exists()
    assert not any(id_text(event.id) in listed for event in others)


def health_of(client: Client, channel: Channel) -> dict[str, str]:
    """What the panel says of each model, of each key and of the channel."""
    html = page(client, f"/admin/_f/channels/{id_text(channel.id)}")
    names = (re.sub(r".*<th[^>]*>|</th>.*", "", row, flags=re.S) for row in html.split("<tr>")[2:])
    words = [re.sub(r"(<[^>]+>|\s)+", "", name) for name in names]
    # Keys may end alike.
    words = [f"{word} again" if word in words[:n] else word for n, word in enumerate(words)]
    return dict(zip(words, rows_of(html)[1:], strict=True))


def test_the_health_of_each_model_and_key_is_shown(
    channel: Channel, dora: Client, people: Cast
) -> None:
    """Attempts, successes, the time to the first token, tokens per second, and what is under way:
    of each key as of each model, also of keys that end alike."""
    change_channel(SYSTEM, channel, {"keys": [SECRET, "sk-second-of-a-page-4f2a"]})
    one, other = channel.keys.all()
    created, _ = cast.make_key(people.core)
    credit(created)
    now = clock.now()
    asked = {"channel_id": channel.id, "model": "fake", "ended_at": now}
    meters = {"in_text": 60, "out_text": 90}
    for _ in range(3):
        good = {"meters": meters, "ttft_ms": 400, "total_ms": 1300}
        happen(created, now, 0, channel_key="4f2a", channel_key_id=one.id, **good, **asked)
    failed = {"status": 502, "kind": "upstream_error", "ttft_ms": None, "meters": {}}
    happen(created, now, 0, channel_key="4f2a", channel_key_id=other.id, **failed, **asked)
    admit(created, now, channel_id=channel.id, model="fake", channel_key_id=other.id)
    count_new_records()
    health = health_of(dora, channel)
    assert list(health) == ["alias", "fake", "fake-*", "••••4f2a", "••••4f2a again", "Channel"]
    assert health["fake"] == "fake Active 1 4 75.0% 400 ms 490 ms 100"
    assert health["••••4f2a"] == "••••4f2a Active 0 3 100% 400 ms 490 ms 100"
    assert health["••••4f2a again"] == "••••4f2a Failing 1 1 0% – – –"
    assert health["Channel"] == "Channel On 1 4 75.0% 400 ms 490 ms 100"
    message = health_told(people, channel)
    figures = {
        "attempts": 4, "failed": 1, "success_percent": 75.0, "ttft_p50_ms": 400,
        "ttft_p95_ms": 490, "tokens_per_second": 100, "in_flight": 1,
    }  # fmt: skip
    assert message.items() >= {"state": "good", "kind": None, **figures}.items()
    models = {model["model"]: model for model in message["models"]}
    assert models["fake"].items() >= {"state": "good", "keys_out": 0, **figures}.items()
    first, second = message["keys"]
    assert (first["last4"], first["attempts"], first["success_percent"]) == ("4f2a", 3, 100.0)
    failed_figures = figures | {
        "attempts": 1, "success_percent": 0.0, "ttft_p50_ms": None, "ttft_p95_ms": None,
        "tokens_per_second": None,
    }  # fmt: skip
    assert second.items() >= {"last4": "4f2a", "state": "good", **failed_figures}.items()
    assert first["last_used_at"] is not None
    assert first["last_used_at"] == second["last_used_at"]
    panel = page(dora, f"/admin/channels/{id_text(channel.id)}").split('id="keys"')[1]
    # When each was used last, and when it was added.
    assert panel.split("</section>")[0].count("data-ago") == 4


def health_told(people: Cast, channel: Channel) -> dict[str, Any]:
    """The same by the management API, where the list has what the channel itself has."""
    api = api_of(people, "dora")
    body: dict[str, Any] = api.get(f"/api/v1/channels/{id_text(channel.id)}/health").json()
    (listed,) = api.get("/api/v1/channel-health").json()["items"]
    assert body.items() >= listed.items()
    return body


def test_resting_part_of_a_channel_is_named(channel: Channel, dora: Client, people: Cast) -> None:
    """The worst of what the processes know; of a pattern, of the models that it stands for."""
    change_channel(SYSTEM, channel, {"keys": [SECRET, "sk-second-of-a-page-9c1d"]})
    good, limited = KeyStatus("good"), ModelStatus("limited", 40, 1)
    state = ChannelStatus("models_out", 7, "upstream_rate_limited")
    known = {"fake-64": limited, "fake-9": limited, "fake-10": ModelStatus("model_unknown", 9, 2)}
    reported(channel, state, good, KeyStatus("paused", 50), **known)
    reported(channel, state, good, good, **{"fake-64": ModelStatus("limited", 4, 2)})
    health = health_of(dora, channel)
    assert "At its rate limit" in health["alias"]
    assert "Active" in health["fake"]
    assert "Unknown to the provider" in health["fake-*"]
    assert "Active" in health["••••4f2a"]
    assert "Paused" in health["••••9c1d"]
    assert "Models paused" in health["Channel"]
    html = page(dora, f"/admin/_f/channels/{id_text(channel.id)}")
    assert 'title="On 2 of 2 keys. Next attempt within 4 s"' in html
    message = health_told(people, channel)
    assert (message["state"], message["kind"], message["retry_in_seconds"]) == (
        "models_out", "upstream_rate_limited", 7,
    )  # fmt: skip
    states = {model["model"]: (model["state"], model["keys_out"]) for model in message["models"]}
    assert states == {"alias": ("limited", 2), "fake": ("good", 0), "fake-*": ("model_unknown", 2)}
    assert [(key["state"], key["retry_in_seconds"]) for key in message["keys"]] == [
        ("good", None), ("paused", 50),
    ]  # fmt: skip
    # A rest that ended since the report is none.
    later = clock.now() - dt.timedelta(seconds=10)
    ChannelReport.objects.update(reported_at=later)
    assert "At its rate limit" in health_of(dora, channel)["fake-*"]


def test_the_forms_say_what_openai_no_longer_offers(dora: Client, channel: Channel) -> None:
    """A preset without videos says so where it is chosen."""
    ended = "OpenAI shut down its Videos API on 2026-09-24."
    assert ended in dora.get("/admin/channels/new?provider=openai").content.decode()
    assert ended not in dora.get("/admin/channels/new?provider=gemini").content.decode()
    edit = dora.get(f"/admin/channels/{id_text(channel.id)}/edit").content.decode()
    assert (ended in edit) == (channel.provider == "openai")


def test_missing_attempt_after_a_failure_is_not_called_fail_over(
    dora: Client, channel: Channel
) -> None:
    address = f"/admin/channels/{id_text(channel.id)}"
    assert "no fail-over" not in dora.get(address).content.decode()
    Channel.objects.filter(id=channel.id).update(retries=0)
    assert "no fail-over" in dora.get(address).content.decode()
    assert "0 turns fail-over off." in dora.get(f"{address}/edit").content.decode()
