"""Attempts and usage records as statements (text, params), for sync and async callers.

They run inside the transaction that moves the money: an attempt is opened where its hold is placed,
a record is written where the hold is resolved (I5, I10).
"""

from collections.abc import Mapping, Sequence
from typing import Final
from uuid import UUID

import msgspec

from lib.database.row_arrays import JoinedWords, Json, RowArrays, Words, array
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
from lib.ids import id_array, id_bounds

Parameter = str | int | UUID | None
Statement = tuple[str, dict[str, Parameter]]


UPSTREAM_ID_LENGTH: Final = 200
ADDRESS_LENGTH: Final = 64
DROPPED_LENGTH: Final = 500
"""Longer texts are cut."""


class AttemptOpened(msgspec.Struct, frozen=True, kw_only=True):
    """One request that is about to be sent to one channel; the fields are those of the model."""

    organisation_id: OrganisationId
    id: AttemptId
    request_id: RequestId
    n: int
    team_id: TeamId
    key_id: KeyId
    user_id: UserId | None
    model: ModelName
    # None if a stored answer was served.
    channel_id: ChannelId | None
    channel_name: ChannelName
    upstream_model: UpstreamModelName
    dialect: str
    operation: str
    stream: bool
    source: str
    price_version_id: PriceVersionId | None
    hold_nano: int
    multiplier_ppm: int = 1_000_000
    cost_version_id: CostVersionId | None = None
    input_estimate: int = 0
    # The channels that were passed over; None without any.
    skipped: Json | None = None
    why: str = ""
    # The last characters of the provider key, and its id.
    channel_key: str = ""
    channel_key_id: UUID | None = None
    asked_model: str = ""
    project: str = ""
    tags: Json | None = None
    customer: str = ""
    client_app: str = ""
    end_user: str = ""
    # `session` has the client's name for the session: relay/requests/sessions.py.
    session_id: UUID | None = None
    session: Json | None = None
    # The saved prompt that it used: its slug, and the number of its version.
    prompt: str | None = None
    prompt_version: int | None = None
    # The fee for the organisation's own key; None for the installation's keys.
    own_fee: Json | None = None


class Ending(msgspec.Struct, frozen=True, array_like=True, kw_only=True):
    """How an attempt, or a refused request, ended.

    `basis` is the source of the quantities: measured | drained | estimated | absorbed | free |
    none; or held, if no charge can be determined and the hold is kept. A `charge_nano` above the
    attempt's hold is cut to the hold in the record as in the books (I13). `total_ms` None means
    until now, by the database's clock. `upstream_request_id` is the upstream's id of the request,
    `dropped` are the omitted parameters, `address` is the client's address, "" if it is not stored.
    `pricing` has what the meters and the version do not say about the price: the parts and their
    conditions, and unclassified usage (P28). `saved_nano` is the customer's saving by cached input
    (`billing.prices.pricing.saved_by_cache`). `own_nano` is what the organisation pays its provider
    itself, None for the installation's keys. `cost_nano` is our cost, None if unknown. The versions
    of price and cost are the attempt's unless they are given here, because an upstream reports its
    service tier only at the end.
    """

    final: bool
    status: int
    kind: str | None = None
    message: str = ""
    finish_reason: str = ""
    meters: Json = "{}"
    charge_nano: int = 0
    basis: str = "none"
    ttft_ms: int | None = None
    total_ms: int | None = None
    raw_usage: Json | None = None
    flags: Words = ()
    cost_nano: int | None = None
    price_version_id: PriceVersionId | None = None
    cost_version_id: CostVersionId | None = None
    upstream_request_id: str = ""
    dropped: JoinedWords | None = None
    address: str = ""
    saved_nano: int = 0
    pricing: Json | None = None
    own_nano: int | None = None

    def cost_beyond_loss(self, loss_nano: int) -> int:
        """Return what we owe the provider in addition to the posted loss. Without a cost price,
        this is the charge (I15)."""
        return self.charge_nano if self.cost_nano is None else self.cost_nano - loss_nano


class RecordWritten(msgspec.Struct, frozen=True, kw_only=True):
    """The end of one attempt. Everything else is in the attempt's row."""

    organisation_id: OrganisationId
    attempt_id: AttemptId
    ending: Ending


class Refusal(msgspec.Struct, frozen=True, array_like=True, kw_only=True):
    """A request that never became an attempt; its record has the request's id. `window_id` is the
    budget window that refused the request, if one did. With `after_attempts` there were attempts,
    and the record is written only if none of these is recorded as the end of the request."""

    organisation_id: OrganisationId
    request_id: RequestId
    team_id: TeamId
    key_id: KeyId
    user_id: UserId | None
    model: ModelName
    dialect: str
    operation: str
    stream: bool
    source: str
    ending: Ending
    window_id: int | None = None
    after_attempts: bool = False
    project: str = ""
    tags: Json | None = None
    customer: str = ""
    client_app: str = ""
    end_user: str = ""
    # `session` has the client's name for the session: relay/requests/sessions.py.
    session_id: UUID | None = None
    session: Json | None = None
    prompt: str | None = None
    prompt_version: int | None = None


class AddressNoted(msgspec.Struct, frozen=True, kw_only=True):
    """The client address of the request of a final record."""

    organisation_id: OrganisationId
    record_id: AttemptId | RequestId
    address: str


def open_attempts(opened: Sequence[AttemptOpened]) -> Statement:
    """Write the attempts whose holds were placed. Run it after `billing/limits/enforcement.py`."""
    return _OPEN_ATTEMPTS, {
        **id_bounds([attempt.id for attempt in opened]),
        **_ATTEMPT_ARRAYS.parameters(opened),
    }


def open_attempt(opened: AttemptOpened) -> tuple[str, Mapping[str, Parameter]]:
    """Write a single attempt, inside the statement that places its hold (`place_hold` in
    `billing/limits/enforcement.py`)."""
    return _OPEN_ATTEMPT, _ATTEMPT_ARRAYS.values(opened)


def write_records(written: Sequence[RecordWritten]) -> Statement:
    """Write the records of attempts that ended. Existing records are not changed (I10)."""
    return _alone(written[0]) if len(written) == 1 else _in_arrays(written)


def _alone(record: RecordWritten) -> Statement:
    return _WRITE_RECORD, {
        **_RECORD_ARRAYS.values(record),
        **_ENDING_ARRAYS.values(record.ending),
    }


def _in_arrays(written: Sequence[RecordWritten]) -> Statement:
    return _WRITE_RECORDS, {
        **id_bounds([record.attempt_id for record in written]),
        **_RECORD_ARRAYS.parameters(written),
        **_ENDING_ARRAYS.parameters([record.ending for record in written]),
    }


def publish_doubted(written: Sequence[RecordWritten]) -> Statement:
    """Notify the operators of records under review (I14, F27): one fact for each channel and day,
    however many requests are affected."""
    return _PUBLISH_DOUBTED, {
        "organisations": id_array([record.organisation_id for record in written]),
        "ids": id_array([record.attempt_id for record in written]),
    }


def publish_unknown(written: Sequence[RecordWritten]) -> Statement:
    """Notify the operators of unclassified usage (P28): one fact ever for each kind, as
    `usage/reviews` lists them."""
    return _PUBLISH_UNKNOWN, {
        "organisations": id_array([record.organisation_id for record in written]),
        "ids": id_array([record.attempt_id for record in written]),
    }


def note_addresses(noted: Sequence[AddressNoted]) -> Statement:
    """Store the client addresses of requests, until `usage/requests/client_addresses.py` deletes
    them."""
    return _NOTE_ADDRESSES, {
        **_ADDRESS_ARRAYS.parameters(noted),
        "made_ms": array([item.record_id.int >> 80 for item in noted]),
    }


def learn_late(written: Sequence[RecordWritten]) -> Statement:
    """Store the late endings of attempts whose process was believed dead, because their holds have
    expired (I7)."""
    return _LEARN_LATE, {
        **id_bounds([record.attempt_id for record in written]),
        **_RECORD_ARRAYS.parameters(written),
        **_LATE_ENDING_ARRAYS.parameters([record.ending for record in written]),
    }


def write_refusals(refused: Sequence[Refusal]) -> Statement:
    """Write the records of requests that were refused before any attempt."""
    return _WRITE_REFUSALS, _refusals(refused)


def write_last_refusals(refused: Sequence[Refusal]) -> Statement:
    """Write the records of requests that were refused after attempts. Run it after
    `write_records`."""
    return _WRITE_LAST_REFUSALS, _refusals(refused)


def _refusals(refused: Sequence[Refusal]) -> dict[str, Parameter]:
    return {
        **_REFUSAL_ARRAYS.parameters(refused),
        **_ENDING_ARRAYS.parameters([refusal.ending for refusal in refused]),
    }


def key_charges(organisation_id: UUID, key_id: UUID, days: tuple[str, str] | None) -> Statement:
    """Return the summed charges of a key: (day, model, charge_nano), sorted. `days` are the first
    day (UTC) and the one after the last."""
    first, end = days or ("-infinity", "infinity")
    return _KEY_CHARGES, {
        "organisation": organisation_id, "key": key_id, "first": first, "end": end,
    }  # fmt: skip


_ATTEMPT_ARRAYS: Final = RowArrays(AttemptOpened)
_RECORD_ARRAYS: Final = RowArrays(RecordWritten, without=["ending"])
_ENDING_ARRAYS: Final = RowArrays(Ending, without=["address"])
_REFUSAL_ARRAYS: Final = RowArrays(Refusal, without=["ending", "window_id", "after_attempts"])
_ADDRESS_ARRAYS: Final = RowArrays(AddressNoted)
_LATE_ENDING_ARRAYS: Final = RowArrays(
    Ending, only=["meters", "charge_nano", "raw_usage", "own_nano"]
)

_OPEN_ATTEMPTS = f"""
    INSERT INTO usage_attempt ({_ATTEMPT_ARRAYS.names}, admitted_at)
    SELECT {_ATTEMPT_ARRAYS.select()}, hold.opened_at
    FROM unnest({_ATTEMPT_ARRAYS.arrays}) AS t ({_ATTEMPT_ARRAYS.names})
    JOIN billing_hold hold ON hold.id = t.id
        AND hold.id BETWEEN %(first)s::uuid AND %(last)s::uuid"""  # noqa: S608 - only constants are put in

_OPEN_ATTEMPT = f"""
    INSERT INTO usage_attempt ({_ATTEMPT_ARRAYS.names}, admitted_at)
    SELECT {_ATTEMPT_ARRAYS.select()}, held.opened_at
    FROM held, {_ATTEMPT_ARRAYS.one_row}"""  # noqa: S608 - only constants are put in

# Fields that the record of an attempt does not repeat, or may have from its ending.
_ATTEMPT_ONLY: Final = {
    "n", "input_estimate", "skipped", "why", "channel_key", "channel_key_id", "asked_model",
    "price_version_id", "cost_version_id", "own_fee",
}  # fmt: skip
_COPIED: Final = [name for name in AttemptOpened.__struct_fields__ if name not in _ATTEMPT_ONLY]
_ENDING_VALUES = _ENDING_ARRAYS.select(
    charge_nano="least(t.charge_nano, a.hold_nano)",
    # 24 days at most, as many as the column has.
    total_ms="""coalesce(t.total_ms, least(extract(epoch FROM now() - a.admitted_at) * 1000,
                                           2147483647))::int""",
    price_version_id="coalesce(t.price_version_id, a.price_version_id)",
    cost_version_id="coalesce(t.cost_version_id, a.cost_version_id)",
)
_INSERT_RECORDS = f"""
    INSERT INTO usage_usagerecord (
        {", ".join(_COPIED)}, admitted_at, ended_at, {_ENDING_ARRAYS.names}
    )
    SELECT {", ".join(f"a.{name}" for name in _COPIED)}, a.admitted_at, now(), {_ENDING_VALUES}"""
_UNLESS_WRITTEN = """
    ON CONFLICT (organisation_id, id) DO NOTHING"""

_WRITE_RECORDS = f"""{_INSERT_RECORDS}
    FROM unnest({_RECORD_ARRAYS.arrays}, {_ENDING_ARRAYS.arrays})
        AS t ({_RECORD_ARRAYS.names}, {_ENDING_ARRAYS.names})
    CROSS JOIN LATERAL (
        SELECT * FROM usage_attempt
        WHERE organisation_id = t.organisation_id AND id = t.attempt_id
          -- The executor leaves out partitions by it: to open each of them for every batch would
          -- cost more, the older the installation is.
          AND id BETWEEN %(first)s::uuid AND %(last)s::uuid
        LIMIT 1
    ) a{_UNLESS_WRITTEN}"""  # noqa: S608 - only constants are put in

# That of a single attempt, which takes the database less time.
_WRITE_RECORD = f"""{_INSERT_RECORDS}
    FROM usage_attempt a, {_ENDING_ARRAYS.one_row}
    WHERE a.organisation_id = %(organisation_id)s::uuid
      AND a.id = %(attempt_id)s::uuid{_UNLESS_WRITTEN}"""

_REFUSALS = f"""
    INSERT INTO usage_usagerecord (
        id, {_REFUSAL_ARRAYS.names}, {_ENDING_ARRAYS.names}, channel_name, upstream_model,
        admitted_at, ended_at, hold_nano
    )
    SELECT t.request_id, {_REFUSAL_ARRAYS.select()},
           {_ENDING_ARRAYS.select(total_ms="coalesce(t.total_ms, 0)")}, '', '', now(), now(), 0
    FROM unnest({_REFUSAL_ARRAYS.arrays}, {_ENDING_ARRAYS.arrays})
        AS t ({_REFUSAL_ARRAYS.names}, {_ENDING_ARRAYS.names})"""  # noqa: S608 - only constants are put in
_WRITE_REFUSALS = _REFUSALS + _UNLESS_WRITTEN
_UNLESS_ENDED = """
    WHERE NOT EXISTS (
        SELECT FROM usage_usagerecord r
        WHERE r.organisation_id = t.organisation_id AND r.request_id = t.request_id AND r.final
    )"""
_WRITE_LAST_REFUSALS = _REFUSALS + _UNLESS_ENDED + _UNLESS_WRITTEN

_PUBLISH_DOUBTED = """
    INSERT INTO outbox_fact (id, kind, body)
    SELECT DISTINCT ON (r.channel_id)
           md5('count.doubted:' || r.channel_id || ':' || (now() AT TIME ZONE 'UTC')::date)::uuid,
           'count.doubted',
           jsonb_build_object(
               'channel', r.channel_name, 'model', r.model, 'slug', o.slug,
               'flags', array_to_string(array_remove(r.flags, 'quarantine'), ', '))
    FROM unnest(%(organisations)s::uuid[], %(ids)s::uuid[]) AS t (organisation_id, id)
    JOIN usage_usagerecord r
      ON r.organisation_id = t.organisation_id AND r.id = t.id AND 'quarantine' = ANY (r.flags)
    JOIN accounts_organisation o ON o.id = r.organisation_id
    WHERE r.pricing->'unknown' IS NULL
    ON CONFLICT (id) DO NOTHING"""

_PUBLISH_UNKNOWN = """
    INSERT INTO outbox_fact (id, kind, body)
    SELECT DISTINCT ON (r.pricing->>'provider', r.pricing->>'wire', r.pricing->'unknown')
           md5('usage.unknown:' || (r.pricing->>'provider')
               || coalesce(':' || (r.pricing->>'wire'), '') || (r.pricing->>'unknown'))::uuid,
           'usage.unknown',
           jsonb_build_object(
               'provider', r.pricing->>'provider', 'channel', r.channel_name, 'model', r.model,
               'unknown', (SELECT string_agg(one, ', ')
                           FROM jsonb_array_elements_text(r.pricing->'unknown') one))
    FROM unnest(%(organisations)s::uuid[], %(ids)s::uuid[]) AS t (organisation_id, id)
    JOIN usage_usagerecord r
      ON r.organisation_id = t.organisation_id AND r.id = t.id AND r.pricing->'unknown' IS NOT NULL
    ON CONFLICT (id) DO NOTHING"""

_NOTE_ADDRESSES = f"""
    INSERT INTO usage_clientaddress ({_ADDRESS_ARRAYS.names}, noted_at)
    -- Of the age of its request: what a spool has kept for days is as many days older.
    SELECT {_ADDRESS_ARRAYS.select()}, least(now(), to_timestamp(t.made_ms / 1000.0))
    FROM unnest({_ADDRESS_ARRAYS.arrays}, %(made_ms)s::bigint[])
        AS t ({_ADDRESS_ARRAYS.names}, made_ms)
    ON CONFLICT DO NOTHING"""  # noqa: S608 - only constants are put in

_SELECT_LATE = f"""
    SELECT {_RECORD_ARRAYS.select()}, {_LATE_ENDING_ARRAYS.select()}, 'late', 0
    FROM unnest({_RECORD_ARRAYS.arrays}, {_LATE_ENDING_ARRAYS.arrays})
        AS t ({_RECORD_ARRAYS.names}, {_LATE_ENDING_ARRAYS.names})"""  # noqa: S608 - only constants are put in
_LEARN_LATE = f"""
    INSERT INTO usage_latetruth ({_RECORD_ARRAYS.names}, {_LATE_ENDING_ARRAYS.names}, source, tries)
    {_SELECT_LATE}
    JOIN billing_hold hold ON hold.id = t.attempt_id AND hold.state = 'expired'
        AND hold.id BETWEEN %(first)s::uuid AND %(last)s::uuid
    UNION ALL
    -- The holds of a detached month are in its file; what ended them is not.
    {_SELECT_LATE}
    JOIN usage_detachedmonth away ON t.attempt_id >= away.first_id AND t.attempt_id < away.end_id
    WHERE EXISTS (
            SELECT FROM billing_posting p WHERE p.attempt_id = t.attempt_id AND p.kind = 'expire')
        OR EXISTS (
            SELECT FROM billing_posting p WHERE p.idempotency_id = 'expire:' || t.attempt_id)
    ON CONFLICT DO NOTHING"""  # noqa: S608 - only constants are put in

# Days where they exist, then quarters.
_KEY_CHARGES = """
    WITH mark AS MATERIALIZED (
        SELECT coalesce(date_trunc('day', max(levels_to), 'UTC'), '-infinity') AS days_to
        FROM usage_rollupwatermark
    )
    SELECT date_trunc('day', bucket_at, 'UTC')::date, model, sum(charge_nano)::bigint
    FROM (
        SELECT bucket_at, model, charge_nano FROM usage_dayrollup
        WHERE organisation_id = %(organisation)s::uuid AND key_id = %(key)s::uuid
          AND bucket_at >= %(first)s::timestamptz AND bucket_at < %(end)s::timestamptz
          AND bucket_at < (SELECT days_to FROM mark)
        UNION ALL
        SELECT bucket_at, model, charge_nano FROM usage_rollup
        WHERE organisation_id = %(organisation)s::uuid AND key_id = %(key)s::uuid
          AND bucket_at >= %(first)s::timestamptz AND bucket_at < %(end)s::timestamptz
          AND bucket_at >= (SELECT days_to FROM mark)
    ) summed
    GROUP BY 1, 2 ORDER BY 1, 2"""
