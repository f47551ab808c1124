"""Several channels changed at once: what would change of each first, then all of them or none."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from django.db import connection
from django.test import Client

from accounts.access.actors import SYSTEM
from accounts.models import AuditEvent, Epoch
from gateway.channels import channels as rules
from gateway.channels.channels import (
    FieldsOfChannel,
    archive_channel,
    change_channel,
    change_channels,
    create_channel,
    version_of,
)
from gateway.channels.refusals import ChannelRefused
from gateway.models import Channel
from lib.ids import id_text, new_id
from tests.billing.credits.test_operator_api import api_of, post
from tests.support import cast
from tests.support.cast import Cast
from tests.support.hostile import EVERYTHING
from tests.support.reviewing import digest_in, save_reviewed

pytestmark = pytest.mark.django_db

PAGE = "/admin/channels/several"


def channel(name: str, **over: Any) -> Channel:
    return create_channel(SYSTEM, name, {"provider": "openai", "models": {"m": ""}, **over})  # type: ignore[typeddict-item]


@pytest.fixture
def channels() -> list[Channel]:
    return [channel("a", priority=5), channel("b", weight=7), channel("c", labels=["eu", "old"])]


@pytest.fixture
def dora(people: Cast) -> Client:
    return cast.signed_in(people.dora)


def ids_of(channels: list[Channel]) -> list[str]:
    return [id_text(channel.id) for channel in channels]


def form(channels: list[Channel], **over: Any) -> dict[str, Any]:
    return {"id": ids_of(channels), **over}


def seen_of(channels: list[Channel]) -> list[str]:
    return [f"{id_text(channel.id)} {version_of(channel)}" for channel in channels]


def test_the_list_leads_to_the_form(dora: Client, channels: list[Channel]) -> None:
    page = dora.get("/admin/channels").content.decode()
    assert page.count('form="bulk"') == 3
    assert f'action="{PAGE}"' in page
    page = dora.post(PAGE, form(channels, act="edit")).content.decode()
    assert "Edit 3 channels" in page
    assert "Save" not in page
    assert dora.post(PAGE, {"act": "edit"})["Location"] == "/admin/channels"


def test_preview_comes_first(dora: Client, channels: list[Channel]) -> None:
    sent = form(
        channels, change=["priority", "rpm", "zero_retention"], priority="5", rpm="60",
        zero_retention="1", add_labels="eu, \"x, y\"", remove_labels="old",
    )  # fmt: skip
    before = list(Channel.objects.values())
    page = dora.post(PAGE, sent).content.decode()
    assert "Change 3 channels" in page
    assert list(Channel.objects.values()) == before
    answer = save_reviewed(dora, PAGE, sent | {"seen": seen_of(channels)})
    assert answer.status_code == 303
    rows = Channel.objects.order_by("name").values_list(
        "name", "priority", "weight", "rpm", "zero_retention", "labels"
    )
    assert list(rows) == [
        ("a", 5, 1, 60, True, ["eu", "x, y"]),
        ("b", 5, 7, 60, True, ["eu", "x, y"]),
        ("c", 5, 1, 60, True, ["eu", "x, y"]),
    ]
    events = AuditEvent.objects.filter(action="channel.changed").order_by("id")
    assert [sorted(event.detail["after"]) for event in events] == [
        ["labels", "rpm", "zero_retention"],
        ["labels", "priority", "rpm", "zero_retention"],
        ["labels", "priority", "rpm", "zero_retention"],
    ]


def test_unchanged_channel_is_not_written(dora: Client, channels: list[Channel]) -> None:
    sent = form(channels, change=["priority"], priority="5")
    page = dora.post(PAGE, sent).content.decode()
    assert "Change 2 channels" in page
    save_reviewed(dora, PAGE, sent | {"seen": seen_of(channels)})
    changed = AuditEvent.objects.filter(action="channel.changed")
    assert {event.detail["name"] for event in changed} == {"b", "c"}
    assert "Nothing changes." in dora.post(PAGE, sent).content.decode()


def test_ticked_empty_limit_is_removed(dora: Client) -> None:
    one = channel("one", rpm=5, region="eu")
    sent = form([one], change=["rpm", "region"], rpm="", region="")
    save_reviewed(dora, PAGE, sent | {"seen": seen_of([one])})
    one.refresh_from_db()
    assert (one.rpm, one.region) == (None, "")


def test_only_reviewed_changes_are_saved(dora: Client, channels: list[Channel]) -> None:
    """The button of a review stays on the page while fields change."""
    sent = form(channels, change=["weight"], weight="9", seen=seen_of(channels))
    reviewed = digest_in(dora.post(PAGE, sent).content.decode())
    for changed in ({"weight": "8"}, {"id": sent["id"][:2]}):
        answer = dora.post(PAGE, sent | changed | {"reviewed": reviewed, "save": "1"})
        assert answer.status_code == 409
        assert "Your changes are not saved." in answer.content.decode()
    assert not Channel.objects.filter(weight__in=(8, 9)).exists()
    assert dora.post(PAGE, sent | {"reviewed": reviewed, "save": "1"}).status_code == 303


@pytest.mark.parametrize(
    ("over", "text"),
    [
        ({}, "Tick a setting or enter labels."),
        ({"weight": "3"}, "Tick this setting to change it."),
        ({"zero_retention": "1"}, "Tick this setting to change it."),
        ({"change": ["weight"], "weight": ""}, "Enter a value."),
        ({"change": ["enabled"], "enabled": ""}, "Enter a value."),
        ({"change": ["on_leave"], "on_leave": ""}, "Enter a value."),
        ({"change": ["weight"], "weight": "-1"}, "Enter 0 or more."),
        ({"change": ["provider"]}, "provider is not one of the choices"),
        ({"change": ["region"], "region": "moon base"}, "Enter a region such as eu"),
        ({"add_labels": ",".join(map(str, range(21)))}, "at most 20 labels"),
        ({"add_labels": EVERYTHING}, "cannot be a label"),
    ],
)
def test_invalid_input_is_reported_and_changes_nothing(
    dora: Client, channels: list[Channel], over: dict[str, Any], text: str
) -> None:
    before = list(Channel.objects.values())
    answer = save_reviewed(dora, PAGE, form(channels, **over, seen=seen_of(channels)))
    assert (answer.status_code, text in answer.content.decode()) == (422, True)
    assert list(Channel.objects.values()) == before


def test_concurrently_changed_channel_stops_the_whole_change(
    dora: Client, channels: list[Channel]
) -> None:
    sent = form(channels, change=["weight"], weight="9", seen=seen_of(channels))
    change_channel(SYSTEM, channels[2], {"priority": 1})
    answer = save_reviewed(dora, PAGE, sent)
    assert answer.status_code == 409
    assert "Something changed since the review" in answer.content.decode()
    assert not Channel.objects.filter(weight=9).exists()


@pytest.mark.parametrize("missing", ["archived", "none", "nonsense"])
def test_missing_channel_is_404(dora: Client, channels: list[Channel], missing: str) -> None:
    archived = archive_channel(SYSTEM, channel("away"))
    names = {"archived": id_text(archived.id), "none": id_text(new_id()), "nonsense": "x"}
    sent = {"id": [*ids_of(channels), names[missing]], "act": "edit"}
    assert dora.post(PAGE, sent).status_code == 404


def test_all_of_them_or_none(channels: list[Channel]) -> None:
    before, epoch = list(Channel.objects.values()), Epoch.objects.get().n
    fields = [{"weight": 3}, {"region": "moon base"}, {"weight": 3}]
    with pytest.raises(ChannelRefused, match=r"^b: Enter a region"):
        change_channels(
            SYSTEM,
            [FieldsOfChannel(*pair, None) for pair in zip(channels, fields, strict=True)],  # type: ignore[arg-type]
        )
    assert list(Channel.objects.values()) == before
    assert Epoch.objects.get().n == epoch
    assert not AuditEvent.objects.filter(action="channel.changed").exists()


@pytest.mark.django_db(transaction=True)
def test_two_changes_of_the_same_channels_are_serialised(channels: list[Channel]) -> None:
    def change(order: int) -> None:
        try:
            for weight in range(10):
                several = [
                    FieldsOfChannel(one, {"weight": weight}, None) for one in channels[::order]
                ]
                change_channels(SYSTEM, several)
        finally:
            connection.close()

    with ThreadPoolExecutor(2) as pool:
        assert list(pool.map(change, (1, -1))) == [None, None]
    assert set(Channel.objects.values_list("weight", flat=True)) == {9}


def test_a_label_finds_its_channels(dora: Client, channels: list[Channel]) -> None:
    page = dora.get("/admin/channels", {"q": "old"}).content.decode()
    assert page.count('form="bulk"') == 1


# The API -----------------------------------------------------------------------------------------


def change(api: Client, channels: list[Channel], **over: Any) -> Any:
    return post(api, "/channel-changes", {"ids": ids_of(channels), **over})


def test_api_returns_the_differences(people: Cast, channels: list[Channel]) -> None:
    """With `preview` it would, and does not."""
    api, wanted = api_of(people, "dora"), {"change": {"weight": 7, "timeouts": {"idle": 9}}}
    before = list(Channel.objects.values())
    preview = change(api, channels, **wanted, add_labels=["x"], preview=True)
    assert preview.status_code == 200, preview.content
    assert list(Channel.objects.values()) == before
    assert not AuditEvent.objects.filter(action="channel.changed").exists()
    done = change(api, channels, **wanted, add_labels=["x"])
    assert done.json() == preview.json()
    item = next(item for item in done.json()["items"] if item["name"] == "b")
    timeouts = {"connect": 3.0, "first_content": 60.0, "idle": 60.0, "total": 1800.0}
    assert item["before"] == {"labels": [], "timeouts": timeouts}
    assert item["after"] == {"labels": ["x"], "timeouts": timeouts | {"idle": 9.0}}
    assert change(api, channels, **wanted, add_labels=["x"]).json() == {"items": []}


@pytest.mark.parametrize(
    ("over", "status"),
    [
        ({"change": {"base_url": "http://x"}}, 422),
        ({"change": {"keys": ["sk-1"]}}, 422),
        ({"change": {"models": {}}}, 422),
        ({"change": {"nonsense": 1}}, 400),
        ({"change": {"weight": True}}, 400),
        ({"ids": []}, 422),
        ({"ids": ["x"]}, 404),
        ({"add_labels": ["a\u0000b"]}, 422),
        ({"add_labels": ["x" * 101]}, 422),
        ({"add_labels": [" "]}, 422),
    ],
)
def test_api_rejects_fields_of_a_single_channel(
    people: Cast, channels: list[Channel], over: dict[str, Any], status: int
) -> None:
    before = list(Channel.objects.values())
    assert change(api_of(people, "dora"), channels, **over).status_code == status
    assert list(Channel.objects.values()) == before


def test_two_programs_that_label_the_same_channels_both_succeed(
    people: Cast, channels: list[Channel], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The second one waits for the first, and adds its label to what the first has stored."""
    lock = rules.lock_channels

    def wait(waiting: list[Channel]) -> None:
        for one in Channel.objects.all():
            change_channel(SYSTEM, one, {"labels": [*one.labels, "first"]})
        lock(waiting)

    monkeypatch.setattr(rules, "lock_channels", wait)
    done = change(api_of(people, "dora"), channels, add_labels=["second"], remove_labels=["old"])
    assert done.status_code == 200
    labels = {one.name: sorted(one.labels) for one in Channel.objects.all()}
    both = ["first", "second"]
    assert labels == {"a": both, "b": both, "c": ["eu", *both]}


def test_labels_are_part_of_a_channel(people: Cast) -> None:
    api = api_of(people, "dora")
    made = post(api, "/channels", {"name": "l", "provider": "openai", "labels": ["b", "a"]})
    assert made.json()["labels"] == ["b", "a"]
    twice = post(api, "/channels", {"name": "t", "provider": "openai", "labels": ["b", "b"]})
    assert (twice.status_code, twice.json()["error"]["param"]) == (422, "labels")
