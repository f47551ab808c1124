"""Attempts and records are written as they are said to be: each field in its own column."""

import datetime as dt
from collections.abc import Sequence
from typing import Any

import msgspec
import pytest

from billing.ledger.ledger import execute
from billing.models import Hold
from lib import clock
from lib.id_types import (
    AttemptId,
    ChannelId,
    ChannelName,
    CostVersionId,
    KeyId,
    ModelName,
    OrganisationId,
    PriceVersionId,
    RequestId,
    TeamId,
    UpstreamModelName,
    UserId,
)
from lib.ids import id_array, new_id, new_ids
from tests.support import cast
from tests.usage.rows import admit, credit
from usage.models import Attempt, ClientAddress, UsageRecord
from usage.records.sql import (
    AddressNoted,
    AttemptOpened,
    Ending,
    RecordWritten,
    Refusal,
    note_addresses,
    open_attempts,
    write_records,
    write_refusals,
)
from usage.records.unsettled_attempts import resolve_due


@pytest.mark.parametrize(
    ("texts", "literal"),
    [
        (["a"], '{"a"}'),
        (["", "b", ""], '{"","b",""}'),
        (['"', "\\", "a,b}{"], '{"\\"","\\\\","a,b}{"}'),
        (["null", 'a\\"'], '{"null","a\\\\\\""}'),
        # The database has no place for NUL: neither alone, nor beside others.
        (["\0"], '{""}'),
        (["a\0b", "c", "\0\0"], '{"ab","c",""}'),
    ],
)
def test_texts_are_quoted(texts: Sequence[str], literal: str) -> None:
    owner, id = OrganisationId(new_id()), AttemptId(new_id())
    _, parameters = note_addresses(
        [AddressNoted(organisation_id=owner, record_id=id, address=text) for text in texts]
    )
    assert parameters["address"] == literal


def test_missing_value_is_null() -> None:
    endings = [
        Ending(final=True, status=200, raw_usage='{"a": "\0"}', flags=("x", "y")),
        Ending(
            final=False, status=500, kind="internal", total_ms=7, price_version_id=PriceVersionId(3)
        ),
    ]
    owner, id = OrganisationId(new_id()), AttemptId(new_id())
    records = [
        RecordWritten(organisation_id=owner, attempt_id=id, ending=ending) for ending in endings
    ]
    _, parameters = write_records(records)
    assert parameters["raw_usage"] == '{"{\\"a\\": \\"\\"}",null}'
    assert parameters["flags"] == '{"x,y",""}'
    assert parameters["final"] == "{True,False}"
    assert parameters["kind"] == '{null,"internal"}'
    assert parameters["total_ms"] == "{null,7}"
    assert parameters["price_version_id"] == "{null,3}"
    assert parameters["dropped"] == "{}"


def test_ids_are_written_without_hyphens() -> None:
    ids = new_ids(3)
    assert id_array(ids) == "{" + ",".join(id.hex for id in ids) + "}"
    assert id_array([]) == "{}"


# No two values are the same: one in another's column is seen.
ENDING = Ending(
    final=True, status=418, kind="teapot", message="It is a teapot.", finish_reason="length",
    meters='{"in_text": 3}', charge_nano=17, basis="measured", ttft_ms=19, total_ms=23,
    raw_usage='{"prompt_tokens": 3}', flags=("one", "two"), cost_nano=29,
    price_version_id=PriceVersionId(31), cost_version_id=CostVersionId(37),
    upstream_request_id="req_up", dropped="seed,user", address="192.0.2.41", saved_nano=43,
    pricing='{"conditions": ["speed"]}', own_nano=47,
)  # fmt: skip


@pytest.fixture
def attempt(people: cast.Cast) -> AttemptOpened:
    """One that is opened, with its hold."""
    opened = AttemptOpened(
        organisation_id=OrganisationId(people.acme.id),
        id=AttemptId(new_id()),
        request_id=RequestId(new_id()),
        n=2,
        team_id=TeamId(new_id()),
        key_id=KeyId(new_id()),
        user_id=UserId(5),
        model=ModelName("asked"),
        channel_id=ChannelId(new_id()),
        channel_name=ChannelName("channel"),
        upstream_model=UpstreamModelName("upstream"),
        dialect="gemini",
        operation="chat",
        stream=True,
        source="playground",
        price_version_id=PriceVersionId(7),
        hold_nano=1_000,
        multiplier_ppm=900_000,
        cost_version_id=CostVersionId(11),
        input_estimate=13,
        skipped='[{"channel": "other", "reason": "rests"}]',
        why="weight",
        channel_key="k3y4",
        channel_key_id=new_id(),
        asked_model="alias",
        own_fee='{"request_nano": 59}',
        project="project",
        tags='{"a": "b"}',
        customer="customer",
        client_app="app",
        end_user="end-user",
        session_id=RequestId(new_id()),
    )
    Hold.objects.create(
        id=opened.id,
        organisation_id=opened.organisation_id,
        amount_nano=opened.hold_nano,
        expires_at=clock.now() + dt.timedelta(hours=1),
        posted=False,
    )
    execute(open_attempts([opened]))
    return opened


def _values(row: msgspec.Struct, *, without: Sequence[str] = ()) -> dict[str, Any]:
    """The fields of a struct as the database keeps them."""
    values = msgspec.structs.asdict(row)
    for name in ("skipped", "tags", "meters", "raw_usage", "pricing", "own_fee"):
        if values.get(name) is not None:
            values[name] = msgspec.json.decode(values[name])
    for name in ("flags", "dropped"):
        if values.get(name):
            words = values[name]
            values[name] = words.split(",") if isinstance(words, str) else list(words)
    return {name: value for name, value in values.items() if name not in without}


def test_each_field_of_an_attempt_is_in_its_own_column(attempt: AttemptOpened) -> None:
    stored = Attempt.objects.get(id=attempt.id)
    assert {name: getattr(stored, name) for name in _values(attempt)} == _values(attempt)


@pytest.mark.usefixtures("form")
def test_each_field_of_an_ending_is_in_its_own_column(attempt: AttemptOpened) -> None:
    written = RecordWritten(
        organisation_id=attempt.organisation_id, attempt_id=attempt.id, ending=ENDING
    )
    execute(write_records([written]))
    stored = UsageRecord.objects.get(id=attempt.id)
    of_the_attempt = _values(
        attempt,
        without=[
            "n", "input_estimate", "skipped", "why", "channel_key", "channel_key_id",
            "asked_model", "price_version_id", "cost_version_id", "own_fee",
        ],
    )  # fmt: skip
    expected = of_the_attempt | _values(ENDING, without=["address"])
    assert {name: getattr(stored, name) for name in expected} == expected


@pytest.mark.usefixtures("form")
def test_ending_without_versions_uses_its_attempts(attempt: AttemptOpened) -> None:
    ending = Ending(final=True, status=200, charge_nano=5_000)
    written = RecordWritten(
        organisation_id=attempt.organisation_id, attempt_id=attempt.id, ending=ending
    )
    execute(write_records([written]))
    stored = UsageRecord.objects.get(id=attempt.id)
    assert (stored.price_version_id, stored.cost_version_id) == (7, 11)
    assert stored.charge_nano == attempt.hold_nano, "I13: never above the hold"
    assert (stored.kind, stored.message, stored.dropped, stored.flags) == (None, "", None, [])


def test_each_field_of_a_refusal_is_in_its_own_column(people: cast.Cast) -> None:
    refusal = Refusal(
        organisation_id=OrganisationId(people.acme.id),
        request_id=RequestId(new_id()),
        team_id=TeamId(new_id()),
        key_id=KeyId(new_id()),
        user_id=UserId(5),
        model=ModelName("asked"),
        dialect="gemini",
        operation="chat",
        stream=True,
        source="playground",
        ending=ENDING,
        project="project",
        tags='{"a": "b"}',
        customer="customer",
        client_app="app",
        end_user="end-user",
        session_id=RequestId(new_id()),
    )
    execute(write_refusals([refusal]))
    stored = UsageRecord.objects.get(id=refusal.request_id)
    expected = _values(refusal, without=["ending", "window_id", "after_attempts"])
    expected |= _values(ENDING, without=["address"])
    assert {name: getattr(stored, name) for name in expected} == expected


def test_an_address_is_noted_for_its_record(people: cast.Cast) -> None:
    noted = AddressNoted(
        organisation_id=OrganisationId(people.acme.id),
        record_id=AttemptId(new_id()),
        address="192.0.2.41",
    )
    execute(note_addresses([noted]))
    stored = ClientAddress.objects.get(record_id=noted.record_id)
    assert (stored.organisation_id, stored.address) == (people.acme.id, "192.0.2.41")


def test_hold_of_a_hub_that_was_down_for_a_month_is_resolved(people: cast.Cast) -> None:
    """I24: its time in ms is more than its column has."""
    key, _ = cast.make_key(people.core, user=people.alice)
    credit(key)
    attempt = admit(key, clock.now() - dt.timedelta(days=30))
    assert resolve_due() == 1
    assert UsageRecord.objects.get(id=attempt.id).total_ms == 2**31 - 1
