"""Changing a channel on its pages: what will change before it does, keys, copies, the archive."""

import re
from collections.abc import Iterator
from typing import Any

import pytest
from django.db import connection
from django.test import Client

from accounts.access.actors import SYSTEM
from billing.models import RateSecond
from gateway.channels.channels import change_channel, create_channel, switch_key, version_of
from gateway.channels.sealed_keys import open_secret
from gateway.models import Channel, ChannelSpend
from gateway.settings.installation import save_settings
from lib import clock
from lib.ids import id_text
from tests.fakes.upstream import FakeUpstream
from tests.support import cast
from tests.support.cast import Cast
from tests.support.reviewing import digest_in, save_reviewed

pytestmark = pytest.mark.django_db

SECRET, OTHER = "sk-fake-provider-key-of-an-edit-4f2a", "sk-fake-provider-key-of-an-edit-9c1d"


@pytest.fixture(scope="module")
def fake() -> Iterator[FakeUpstream]:
    with FakeUpstream(name="edit", keys=(SECRET,), fsync=False) as upstream:
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
            "models": {"fake": "", "gone": "", "alias": "fake-64"},
        },
    )


@pytest.fixture
def dora(people: Cast) -> Client:
    return cast.signed_in(people.dora)


def path_of(channel: Channel, rest: str = "") -> str:
    return f"/admin/channels/{id_text(channel.id)}{rest}"


def settings(channel: Channel, **over: Any) -> dict[str, Any]:
    """The form as the page has it."""
    fields = {
        "enabled": "on", "provider": channel.provider, "base_url": channel.base_url,
        "priority": "0", "weight": "1", "retries": "2", "on_leave": "cancel",
        "names_client": "on", "rpm": "", "tpm": "", "parallel": "",
        "spend_cap_day": "", "spend_cap_month": "", "balance_source": "none",
        "balance_warn_below": "", "balance_rest_below": "",
        "connect": "3", "first_content": "60", "idle": "60", "total": "1800",
        "breaker_enabled": "on", "failures": "", "window": "10",
        "open_for": "10", "test_variant": "streamed", "version": version_of(channel),
    } | over  # fmt: skip
    return {name: value for name, value in fields.items() if value is not None}


def routes(channel: Channel, *rows: tuple[str, str, str, str], **more: Any) -> dict[str, Any]:
    names, upstreams, priorities, weights = zip(*rows, strict=True)
    return {
        "name": names, "upstream": upstreams, "priority": priorities, "weight": weights,
        "version": version_of(channel),
    } | more  # fmt: skip


def text_of(html: str) -> str:
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", html))


def changes_in(html: str) -> list[str]:
    table = html.partition('aria-labelledby="review-title"')[2].partition("</table>")[0]
    return [text_of(row).strip() for row in re.findall(r"<tr>.*?</tr>", table, re.S)][1:]


def test_changes_are_previewed_before_saving(dora: Client, channel: Channel) -> None:
    path = path_of(channel, "/edit")
    assert dora.get(path).status_code == 200
    assert "Nothing changes." in dora.post(path, settings(channel)).content.decode()
    inputs = settings(
        channel, weight="7", on_leave="drain", idle="7.5", breaker_enabled=None, failures="3"
    )
    text = dora.post(path, inputs).content.decode()
    assert changes_in(text) == [
        "Weight 1 7",
        "When a client disconnects Cancel at the provider Read the answer to the end",
        "Between chunks 60 7.5",
        "Circuit breaker Yes No",
        "Failures – 3",
    ]
    channel.refresh_from_db()
    assert channel.weight == 1
    assert save_reviewed(dora, path, inputs).status_code == 303
    channel.refresh_from_db()
    assert (channel.weight, channel.on_leave, channel.timeouts["idle"]) == (7, "drain", 7.5)
    assert channel.breaker == {"enabled": False, "failures": 3}
    assert [open_secret(key) for key in channel.keys.all()] == [SECRET]


def test_limits_are_set_and_their_use_is_shown(dora: Client, channel: Channel) -> None:
    path = path_of(channel, "/edit")
    inputs = settings(channel, rpm="60", tpm=" 100000 ")
    assert changes_in(dora.post(path, inputs).content.decode()) == [
        "Requests per minute – 60",
        "Tokens per minute – 100000",
    ]
    assert dora.post(path, settings(channel, rpm="0")).status_code == 422
    assert save_reviewed(dora, path, inputs).status_code == 303
    channel.refresh_from_db()
    assert (channel.rpm, channel.tpm, channel.parallel) == (60, 100_000, None)
    second = int(clock.now().timestamp())
    RateSecond.objects.create(subject_id=channel.id, second=second, requests=60, tokens=1_500)
    html = text_of(dora.get(path_of(channel)).content.decode())
    assert "Requests per minute 60 of 60 Reached" in html
    assert "Tokens per minute 1,500 of 100,000" in html
    assert "Concurrent requests" not in html


def test_spend_caps_are_set_and_what_is_spent_is_shown(dora: Client, channel: Channel) -> None:
    path = path_of(channel, "/edit")
    inputs = settings(channel, spend_cap_day="12.5", spend_cap_month="$1,000")
    assert changes_in(dora.post(path, inputs).content.decode()) == [
        "Per day (USD) – 12.50",
        "Per month (USD) – 1000.00",
    ]
    assert dora.post(path, settings(channel, spend_cap_day="0")).status_code == 422
    assert save_reviewed(dora, path, inputs).status_code == 303
    channel.refresh_from_db()
    assert channel.spend_cap_month_nano == 1_000 * 10**9
    same = settings(channel, spend_cap_day="12.50", spend_cap_month="1000")
    assert "Nothing changes." in dora.post(path, same).content.decode()
    with connection.cursor() as cursor:
        cursor.execute("SELECT (now() AT TIME ZONE 'UTC')::date")
        (today,) = cursor.fetchone()
    ChannelSpend.objects.create(channel_id=channel.id, day=today, cost_nano=12_500_000_000)
    html = text_of(dora.get(path_of(channel)).content.decode())
    assert "Cost today $12.50 of $12.50 Reached" in html
    assert "Cost this month $12.50 of $1,000.00" in html


def test_second_editor_sees_both_versions_and_may_overwrite(dora: Client, channel: Channel) -> None:
    path = path_of(channel, "/edit")
    inputs = settings(channel, weight="7")
    change_channel(SYSTEM, channel, {"weight": 5})
    stale = save_reviewed(dora, path, inputs)
    html = stale.content.decode()
    assert stale.status_code == 409
    assert "Something changed since the review" in html
    assert changes_in(html) == ["Weight 5 7"]
    (version,) = re.findall(r'name="version" value="([0-9a-f]+)"', html)
    assert save_reviewed(dora, path, inputs | {"version": version}).status_code == 303
    channel.refresh_from_db()
    assert channel.weight == 7


def test_only_reviewed_changes_are_saved(dora: Client, channel: Channel) -> None:
    """Enter in a field presses the button of an earlier review."""
    path = path_of(channel, "/edit")
    inputs = settings(channel, weight="7")
    reviewed = digest_in(dora.post(path, inputs).content.decode())
    moved = inputs | {"base_url": "http://127.0.0.1:9/v1"}
    answer = dora.post(path, moved | {"reviewed": reviewed, "save": "1"})
    html = answer.content.decode()
    assert answer.status_code == 409
    assert "Something changed since the review" in html
    assert "the 1 stored key is removed" in text_of(html)
    channel.refresh_from_db()
    assert (channel.weight, channel.keys.count()) == (1, 1)
    assert dora.post(path, moved | {"reviewed": digest_in(html), "save": "1"}).status_code == 303


def test_only_reviewed_models_are_saved(dora: Client, channel: Channel) -> None:
    path = path_of(channel, "/models")
    inputs = routes(channel, ("fake", "", "", "3"))
    reviewed = digest_in(dora.post(path, inputs).content.decode())
    changed = routes(channel, ("fake", "", "", "4"), reviewed=reviewed, save="1")
    answer = dora.post(path, changed)
    assert answer.status_code == 409
    assert "Something changed since the review." in answer.content.decode()
    assert channel.routes.count() == 3


def test_another_address_removes_the_keys_and_takes_a_new_one(
    dora: Client, channel: Channel
) -> None:
    path = path_of(channel, "/edit")
    inputs = settings(channel, base_url="http://127.0.0.1:9/v1", secret=OTHER)
    text = dora.post(path, inputs).content.decode()
    assert "the 1 stored key is removed" in text_of(text)
    assert OTHER not in text
    assert SECRET not in text
    assert save_reviewed(dora, path, inputs).status_code == 303
    channel.refresh_from_db()
    assert [open_secret(key) for key in channel.keys.all()] == [OTHER]
    kept = dora.post(path, settings(channel, secret=SECRET))
    assert kept.status_code == 422
    assert "The address does not change" in kept.content.decode()


@pytest.mark.parametrize(
    ("over", "text"),
    [
        ({"weight": "-1"}, "Weight"),
        ({"retries": "x"}, "Attempts after a failure"),
        ({"idle": "0"}, "Between chunks"),
        ({"base_url": "ftp://x"}, "Base URL"),
        ({"provider": "nobody"}, "Provider"),
    ],
)
def test_invalid_input_is_reported_at_its_field(
    dora: Client, channel: Channel, over: dict[str, str], text: str
) -> None:
    answer = save_reviewed(dora, path_of(channel, "/edit"), settings(channel, **over))
    assert answer.status_code == 422
    assert f"<strong>{text}</strong>" in answer.content.decode()
    assert Channel.objects.filter(weight=1, retries=2).exists()


def test_models_are_changed_with_names_priorities_and_weights(
    dora: Client, channel: Channel
) -> None:
    path = path_of(channel, "/models")
    assert 'value="fake-64"' in dora.get(path).content.decode()
    inputs = routes(
        channel,
        ("alias", "fake-64", "", "3"), ("fake", "", "-1", ""), ("gone", "", "", ""),
        ("gpt-*", "", "", ""), ("", "", "", ""),
        remove=["2"], add=["fake-1000"],
    )  # fmt: skip
    text = dora.post(path, inputs).content.decode()
    assert changes_in(text) == [
        "alias fake-64 fake-64, weight 3",
        "fake Same name Same name, priority -1",
        "fake-1000 – Same name",
        "gone Same name Removed",
        "gpt-* – Same name",
    ]
    assert channel.routes.count() == 3
    assert save_reviewed(dora, path, inputs).status_code == 303
    stored = list(channel.routes.values_list("model", "upstream_model", "priority", "weight"))
    assert stored == [
        ("alias", "fake-64", None, 3),
        ("fake", "", -1, None),
        ("fake-1000", "", None, None),
        ("gpt-*", "", None, None),
    ]
    assert "weight 3" in dora.get(path_of(channel)).content.decode()
    stale = save_reviewed(dora, path, inputs)
    assert stale.status_code == 409


@pytest.mark.parametrize(
    ("row", "text"),
    [
        (("fake", "", "", ""), "Two models have the name fake."),
        (("new", "", "x", ""), "Enter a number from -1000000 to 1000000."),
        (("new", "", "", "-1"), "Enter a number from 0 to 1000000."),
        (("new", "", "", "٣"), "Enter a number from 0 to 1000000."),
        (("new", "", "9" * 5_000, ""), "Enter a number from -1000000 to 1000000."),
        (("two words", "", "", ""), "is not a model name"),
    ],
)
def test_a_wrong_row_is_named(
    dora: Client, channel: Channel, row: tuple[str, str, str, str], text: str
) -> None:
    inputs = routes(channel, ("fake", "", "", ""), row)
    answer = save_reviewed(dora, path_of(channel, "/models"), inputs)
    assert answer.status_code == 422
    assert text in text_of(answer.content.decode())
    assert channel.routes.count() == 3


def test_listed_models_are_offered_and_missing_ones_marked(dora: Client, channel: Channel) -> None:
    inputs = routes(
        channel, ("alias", "fake-64", "", ""), ("fake", "", "", ""), ("gone", "", "", "")
    )
    html = dora.post(path_of(channel, "/models/fetch"), inputs).content.decode()
    assert re.findall(r'name="add" value="([^"]*)"', html) == ["fake-1000"]
    assert html.count("Not listed by the provider") == 1
    change_channel(SYSTEM, channel, {"keys": [OTHER]})
    html = dora.post(path_of(channel, "/models/fetch"), inputs).content.decode()
    assert "The provider rejected the key." in html
    assert 'value="fake-64"' in html


def test_keys_are_added_disabled_enabled_and_removed(dora: Client, channel: Channel) -> None:
    page = path_of(channel)
    added = dora.post(f"{page}/keys", {"secret": OTHER})
    assert (added.status_code, added["Location"]) == (303, page)
    _, second = channel.keys.all()
    of_key = f"{page}/keys/{id_text(second.id)}"
    html = dora.get(page).content.decode()
    assert "••••9c1d" in html
    assert OTHER not in html
    assert 'value="remove"' not in html
    dora.post(of_key, {"act": "disable"})
    html = dora.get(page).content.decode()
    assert "Disabled" in html
    assert 'value="remove"' in html
    dora.post(of_key, {"act": "enable"})
    assert channel.keys.filter(disabled_at=None).count() == 2
    dora.post(of_key, {"act": "remove"})
    assert dora.post(of_key, {"act": "remove"}).status_code == 404
    assert [open_secret(key) for key in channel.keys.all()] == [SECRET]
    again = dora.post(f"{page}/keys", {"secret": SECRET})
    assert (again.status_code, "already has this key" in again.content.decode()) == (422, True)
    assert SECRET not in again.content.decode()


def test_disabled_key_is_not_used_for_tests(
    dora: Client, channel: Channel, fake: FakeUpstream
) -> None:
    change_channel(SYSTEM, channel, {"keys": [OTHER, SECRET]})
    switch_key(SYSTEM, channel, channel.keys.get(position=0), enabled=False)
    html = dora.post(path_of(channel, "/test"), {"model": "fake"}, headers={"HX-Request": "true"})
    assert html.content.decode().count("Passed") == 7


def test_a_copy_is_named_and_edited_next(dora: Client, channel: Channel) -> None:
    path = path_of(channel, "/copy")
    assert 'value="main-2"' in dora.get(path).content.decode()
    taken = dora.post(path, {"name": "main"})
    assert taken.status_code == 422
    assert "channel is already named main" in taken.content.decode()
    answer = dora.post(path, {"name": "second"})
    copy = Channel.objects.get(name="second")
    assert (answer.status_code, answer["Location"]) == (303, path_of(copy, "/edit"))
    assert copy.enabled is False
    dora.post(path, {"name": "main-2"})
    assert 'value="main-3"' in dora.get(path).content.decode()


def test_a_channel_is_turned_off_archived_and_brought_back(dora: Client, channel: Channel) -> None:
    dora.post(path_of(channel, "/enable"), {"on": "0"})
    assert Channel.objects.get().enabled is False
    dora.post(path_of(channel, "/enable"), {"on": "1"})
    assert Channel.objects.get().enabled is True
    dora.post(path_of(channel, "/archive"))
    assert "This channel is archived" in dora.get(path_of(channel)).content.decode()
    for path in ("/admin/channels", "/admin/models"):
        assert ">main<" not in dora.get(path).content.decode()
    listed = dora.get("/admin/channels?state=archived").content.decode()
    assert path_of(channel) in listed
    dora.post(path_of(channel, "/enable"), {"on": "1"})
    assert Channel.objects.get().enabled is False
    dora.post(path_of(channel, "/archive"), {"restore": "1"})
    assert Channel.objects.get().archived_at is None
