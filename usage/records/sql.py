"""Attempts and usage records as statements (text, params), for sync and async callers alike.

They run inside the transaction that moves the money: an attempt is opened where its hold is
placed, a record is written where the hold is resolved (I5, I10).
"""

from collections.abc import Iterable, Sequence
from typing import Any, Final, NamedTuple, cast
from uuid import UUID

import msgspec

from lib.ids import (
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
    id_array,
    id_bounds,
)

Parameter = str | int | UUID
Statement = tuple[str, dict[str, Parameter]]


END_USER_LENGTH: Final = 256
UPSTREAM_ID_LENGTH: Final = 200
ADDRESS_LENGTH: Final = 64
DROPPED_LENGTH: Final = 500
"""Longer ones are cut."""


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
    channel_id: ChannelId
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
    # JSON text; None where no channel was passed over.
    skipped: str | None = None
    why: str = ""
    # How the provider key ends, and its id.
    channel_key: str = ""
    channel_key_id: UUID | None = None
    asked_model: str = ""
    project: str = ""
    # JSON text; None where it has none.
    tags: str | None = None
    customer: str = ""
    client_app: str = ""
    end_user: str = ""
    # The request that opened its realtime session.
    session_id: RequestId | None = None


class Ending(msgspec.Struct, frozen=True, array_like=True):
    """How an attempt, or a refused request, ended.

    `basis` says where the quantities come from: measured | drained | estimated | absorbed | free |
    none; or that no charge can be named and the hold is kept: held. `meters` and `raw_usage` are
    JSON texts; `charge_nano` above the attempt's hold is cut to it in the record as in the books
    (I13). `total_ms` None = until now, by the database's clock.
    `upstream_request_id` is what the upstream calls it, `dropped` the parameters that were left
    out, joined by a comma, `address` the client's, "" where it is not kept.
    `pricing` says of how it was priced what its meters and version do not: its parts and their
    conditions, and what of its usage nobody has classified (P28).
    `saved_nano` is what cached input saved its customer (`billing.prices.pricing.saved_by_cache`).
    `cost_nano` is what it cost us, None = unknown. The versions of price and cost are those of the
    attempt unless they are named here: an upstream tells its service tier only at the end.
    """

    final: bool
    status: int
    kind: str | None = None
    message: str = ""
    finish_reason: str = ""
    meters: str = "{}"
    charge_nano: int = 0
    basis: str = "none"
    ttft_ms: int | None = None
    total_ms: int | None = None
    raw_usage: str | None = None
    flags: Sequence[str] = ()
    cost_nano: int | None = None
    price_version_id: PriceVersionId | None = None
    cost_version_id: CostVersionId | None = None
    upstream_request_id: str = ""
    dropped: str | None = None
    address: str = ""
    saved_nano: int = 0
    pricing: str | None = None

    def cost_beside(self, loss_nano: int) -> int:
        """What we owe its provider beside what is posted as a loss: where no price of the kind cost
        is known, what is charged (I15)."""
        return self.charge_nano if self.cost_nano is None else self.cost_nano - loss_nano


class RecordWritten(msgspec.Struct, frozen=True, kw_only=True):
    """The end of one attempt; everything else stands in the attempt's row."""

    organisation_id: OrganisationId
    attempt_id: AttemptId
    ending: Ending


class Refusal(msgspec.Struct, frozen=True, array_like=True, kw_only=True):
    """A request that never became an attempt; its record has the request's id. `window_id` is the
    budget window that refused it, if one did. `after_attempts`: there were some; written only where
    none of them is known as the end of the request."""

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
    tags: str | None = None
    customer: str = ""
    client_app: str = ""
    end_user: str = ""
    # The request that opened its realtime session.
    session_id: RequestId | None = None


class AddressNoted(NamedTuple):
    """From which address the request of a final record came."""

    organisation_id: UUID
    record_id: UUID
    address: str


def open_attempts(opened: Sequence[AttemptOpened]) -> Statement:
    """Write the attempts whose holds were placed; run it after `billing/limits/enforcement.py`."""
    columns = list(zip(*map(msgspec.structs.astuple, opened), strict=True))
    return _OPEN_ATTEMPTS, {
        **id_bounds(columns[1]),
        "organisations": id_array(columns[0]),
        "ids": id_array(columns[1]),
        "requests": id_array(columns[2]),
        "ns": _array(columns[3]),
        "teams": id_array(columns[4]),
        "keys": id_array(columns[5]),
        "users": _array(columns[6]),
        "models": _quoted(columns[7]),
        "channels": id_array(columns[8]),
        "channel_names": _quoted(columns[9]),
        "upstream_models": _quoted(columns[10]),
        "dialects": _array(columns[11]),
        "operations": _array(columns[12]),
        "streams": _array(columns[13]),
        "sources": _array(columns[14]),
        "price_versions": _array(columns[15]),
        "holds": _array(columns[16]),
        "multipliers": _array(columns[17]),
        "cost_versions": _array(columns[18]),
        "estimates": _array(columns[19]),
        "skipped": _quoted(columns[20]) if any(columns[20]) else "{}",
        "whys": _quoted(columns[21]),
        "channel_keys": _quoted(columns[22]),
        "channel_key_ids": _ids(columns[23]),
        "asked_models": _quoted(columns[24]),
        **_attributions(columns[25:31]),
    }


def write_records(written: Sequence[RecordWritten]) -> Statement:
    """Write the records of attempts that ended; one that is there already stays as it is (I10)."""
    organisations, ids, endings = zip(*map(msgspec.structs.astuple, written), strict=True)
    return _WRITE_RECORDS, {
        **id_bounds(ids),
        "organisations": id_array(organisations),
        "ids": id_array(ids),
        "price_versions": _array([ending.price_version_id for ending in endings]),
        "cost_versions": _array([ending.cost_version_id for ending in endings]),
        **_endings(endings),
    }


def tell_doubted(written: Sequence[RecordWritten]) -> Statement:
    """Tell the operators of records that are under review (I14, F27): one fact for a channel and a
    day, however many requests it spoils."""
    return _TELL_DOUBTED, {
        "organisations": id_array([record.organisation_id for record in written]),
        "ids": id_array([record.attempt_id for record in written]),
    }


def tell_unknown(written: Sequence[RecordWritten]) -> Statement:
    """Tell the operators of usage that nobody has classified (P28): one fact for a provider and
    what is unknown of it, ever."""
    return _TELL_UNKNOWN, {
        "organisations": id_array([record.organisation_id for record in written]),
        "ids": id_array([record.attempt_id for record in written]),
    }


def note_addresses(noted: Sequence[AddressNoted]) -> Statement:
    """Keep from where requests came, until `usage/requests/client_addresses.py` forgets it."""
    return _NOTE_ADDRESSES, {
        "organisations": id_array([item.organisation_id for item in noted]),
        "ids": id_array([item.record_id for item in noted]),
        "addresses": _quoted([item.address for item in noted]),
        "made_ms": _array([item.record_id.int >> 80 for item in noted]),
    }


def learn_late(written: Sequence[RecordWritten]) -> Statement:
    """Note the endings of attempts that were taken for dead: their holds have expired (I7)."""
    return _LEARN_LATE, {
        **id_bounds([record.attempt_id for record in written]),
        "organisations": id_array([record.organisation_id for record in written]),
        "ids": id_array([record.attempt_id for record in written]),
        "meters": _quoted([record.ending.meters for record in written]),
        "charges": _array([record.ending.charge_nano for record in written]),
        "raw_usages": _quoted([record.ending.raw_usage for record in written]),
    }


def write_refusals(refused: Sequence[Refusal]) -> Statement:
    """Write the records of requests that were refused before any attempt."""
    return _WRITE_REFUSALS, _refusals(refused)


def write_last_refusals(refused: Sequence[Refusal]) -> Statement:
    """The same of requests that ended behind their attempts; run it after `write_records`."""
    return _WRITE_LAST_REFUSALS, _refusals(refused)


def _refusals(refused: Sequence[Refusal]) -> dict[str, Parameter]:
    columns = list(zip(*map(msgspec.structs.astuple, refused), strict=True))
    return {
        "organisations": id_array(columns[0]),
        "requests": id_array(columns[1]),
        "teams": id_array(columns[2]),
        "keys": id_array(columns[3]),
        "users": _array(columns[4]),
        "models": _quoted(columns[5]),
        "dialects": _array(columns[6]),
        "operations": _array(columns[7]),
        "streams": _array(columns[8]),
        "sources": _array(columns[9]),
        **_endings(columns[10]),
        **_attributions(columns[13:19]),
    }


def _attributions(columns: Sequence[Sequence[Any]]) -> dict[str, Parameter]:
    # Most have none of most: what lacks at the end of an array comes out of `unnest` as null.
    *texts, sessions = columns
    named = zip(_ATTRIBUTED_TO, texts, strict=True)
    return {
        "sessions": _ids(sessions) if any(sessions) else "{}",
        **{name: _quoted(column) if any(column) else "{}" for name, column in named},
    }


def key_charges(organisation_id: UUID, key_id: UUID, days: tuple[str, str] | None) -> Statement:
    """What a key was charged, as far as it is summed: (day, model, charge_nano), sorted; `days` are
    the first day (UTC) and the one after the last."""
    first, end = days or ("-infinity", "infinity")
    return _KEY_CHARGES, {
        "organisation": organisation_id, "key": key_id, "first": first, "end": end,
    }  # fmt: skip


def _endings(endings: Sequence[Ending]) -> dict[str, Parameter]:
    (
        finals, statuses, kinds, messages, finish_reasons, meters, charges, bases, ttfts, totals,
        raw_usages, flags, costs, _, _, upstream_requests, dropped, _, saved, pricings,
    ) = zip(*map(msgspec.structs.astuple, endings), strict=True)  # fmt: skip
    return {
        "finals": _array(finals),
        "statuses": _array(statuses),
        "kinds": _array(kinds),
        "messages": _quoted(messages),
        "finish_reasons": _quoted(finish_reasons),
        "meters": _quoted(meters),
        "charges": _array(charges),
        "bases": _array(bases),
        "ttfts": _array(ttfts),
        "totals": _array(totals),
        "raw_usages": _quoted(raw_usages),
        # An array of arrays would have to be rectangular: flags are words, joined by a comma.
        "flags": _quoted([*map(",".join, flags)]),
        "costs": _array(costs),
        "upstream_requests": _quoted(upstream_requests),
        "dropped": _quoted(dropped) if any(dropped) else "{}",
        "saved": _array(saved),
        "pricings": _quoted(pricings) if any(pricings) else "{}",
    }


def _ids(ids: Iterable[UUID | None]) -> str:
    """An array literal of ids; None is null."""
    return _array([None if id_ is None else id_.hex for id_ in ids])


def _array(values: Sequence[object]) -> str:
    """An array literal of values whose text needs no quoting; None is null."""
    if None in values:
        values = ["null" if value is None else value for value in values]
    return "{" + ",".join(map(str, values)) + "}"


def _quoted(texts: Sequence[str | None]) -> str:
    """An array literal of any texts; NUL, which the database has no place for, is left out."""
    if None in texts:
        quoted = ["null" if text is None else _quote([text]) for text in texts]
        return "{" + ",".join(quoted) + "}"
    return "{" + _quote(cast(Sequence[str], texts)) + "}"


def _quote(texts: Sequence[str]) -> str:
    """The items of an array literal, quoted all at once: most need nothing more than the quotes.
    NUL parts them meanwhile."""
    joined = "\0".join(texts)
    if joined.count("\0") >= len(texts):
        joined = "\0".join([text.replace("\0", "") for text in texts])
    if "\\" in joined:
        joined = joined.replace("\\", "\\\\")
    if '"' in joined:
        joined = joined.replace('"', '\\"')
    return '"' + joined.replace("\0", '","') + '"' if texts else ""


_ATTRIBUTED_TO: Final = ("projects", "tags", "customers", "client_apps", "end_users")
_ATTRIBUTION = "project, tags, customer, client_app, end_user, session_id"
_ATTRIBUTED = """coalesce(t.project, ''), t.tags, coalesce(t.customer, ''),
           coalesce(t.client_app, ''), coalesce(t.end_user, ''), t.session_id"""
_ATTRIBUTION_ARRAYS = """%(projects)s::text[], %(tags)s::jsonb[], %(customers)s::text[],
        %(client_apps)s::text[], %(end_users)s::text[], %(sessions)s::uuid[]"""

_OPEN_ATTEMPTS = f"""
    INSERT INTO usage_attempt (
        organisation_id, id, request_id, n, team_id, key_id, user_id, model, channel_id,
        channel_name, upstream_model, dialect, operation, stream, source, price_version_id,
        hold_nano, multiplier_ppm, cost_version_id, input_estimate, skipped, why, channel_key,
        channel_key_id, asked_model, admitted_at, {_ATTRIBUTION}
    )
    SELECT t.organisation_id, t.id, t.request_id, t.n, t.team_id, t.key_id, t.user_id, t.model,
           t.channel_id, t.channel_name, t.upstream_model, t.dialect, t.operation, t.stream,
           t.source, t.price_version_id, t.hold_nano, t.multiplier_ppm, t.cost_version_id,
           t.input_estimate, t.skipped, t.why, t.channel_key, t.channel_key_id, t.asked_model,
           hold.opened_at, {_ATTRIBUTED}
    FROM unnest(
        %(organisations)s::uuid[], %(ids)s::uuid[], %(requests)s::uuid[], %(ns)s::smallint[],
        %(teams)s::uuid[], %(keys)s::uuid[], %(users)s::bigint[], %(models)s::text[],
        %(channels)s::uuid[], %(channel_names)s::text[], %(upstream_models)s::text[],
        %(dialects)s::text[], %(operations)s::text[], %(streams)s::boolean[], %(sources)s::text[],
        %(price_versions)s::bigint[], %(holds)s::bigint[], %(multipliers)s::bigint[],
        %(cost_versions)s::bigint[], %(estimates)s::int[], %(skipped)s::jsonb[],
        %(whys)s::text[], %(channel_keys)s::text[], %(channel_key_ids)s::uuid[],
        %(asked_models)s::text[],
        {_ATTRIBUTION_ARRAYS}
    ) AS t (organisation_id, id, request_id, n, team_id, key_id, user_id, model, channel_id,
            channel_name, upstream_model, dialect, operation, stream, source, price_version_id,
            hold_nano, multiplier_ppm, cost_version_id, input_estimate, skipped, why,
            channel_key, channel_key_id, asked_model, {_ATTRIBUTION})
    JOIN billing_hold hold ON hold.id = t.id
        AND hold.id BETWEEN %(first)s::uuid AND %(last)s::uuid"""  # noqa: S608 - only constants are put in

_ENDING_ARRAYS = """
        %(finals)s::boolean[], %(statuses)s::smallint[], %(kinds)s::text[], %(messages)s::text[],
        %(finish_reasons)s::text[], %(meters)s::jsonb[], %(charges)s::bigint[], %(bases)s::text[],
        %(ttfts)s::int[], %(totals)s::int[], %(raw_usages)s::jsonb[], %(flags)s::text[],
        %(costs)s::bigint[], %(upstream_requests)s::text[], %(dropped)s::text[],
        %(saved)s::bigint[], %(pricings)s::jsonb[]"""
_ENDING_COLUMNS = """
        final, status, kind, message, finish_reason, meters, charge_nano, basis, ttft_ms, total_ms,
        raw_usage, flags, cost_nano, upstream_request_id, dropped, saved_nano, pricing"""

_WRITE_RECORDS = f"""
    INSERT INTO usage_usagerecord (
        organisation_id, id, request_id, team_id, key_id, user_id, model, channel_id,
        channel_name, upstream_model, dialect, operation, stream, source, admitted_at, ended_at,
        hold_nano, price_version_id, multiplier_ppm, cost_version_id, {_ATTRIBUTION},
        {_ENDING_COLUMNS}
    )
    SELECT a.organisation_id, a.id, a.request_id, a.team_id, a.key_id, a.user_id, a.model,
           a.channel_id, a.channel_name, a.upstream_model, a.dialect, a.operation, a.stream,
           a.source, a.admitted_at, now(), a.hold_nano,
           coalesce(t.price_version_id, a.price_version_id), a.multiplier_ppm,
           coalesce(t.cost_version_id, a.cost_version_id),
           a.project, a.tags, a.customer, a.client_app, a.end_user, a.session_id,
           t.final, t.status, t.kind, t.message, t.finish_reason, t.meters,
           least(t.charge_nano, a.hold_nano), t.basis, t.ttft_ms,
           coalesce(t.total_ms, extract(epoch FROM now() - a.admitted_at) * 1000)::int,
           t.raw_usage, string_to_array(t.flags, ','), t.cost_nano, t.upstream_request_id,
           string_to_array(t.dropped, ','), t.saved_nano, t.pricing
    FROM unnest(
        %(organisations)s::uuid[], %(ids)s::uuid[], %(price_versions)s::bigint[],
        %(cost_versions)s::bigint[], {_ENDING_ARRAYS}
    ) AS t (organisation_id, id, price_version_id, cost_version_id, {_ENDING_COLUMNS})
    CROSS JOIN LATERAL (
        SELECT * FROM usage_attempt
        WHERE organisation_id = t.organisation_id AND id = t.id
          -- The executor leaves out partitions by it: to open each of them for every batch would
          -- cost more, the older the installation is.
          AND id BETWEEN %(first)s::uuid AND %(last)s::uuid
        LIMIT 1
    ) a
    ON CONFLICT (organisation_id, id) DO NOTHING"""  # noqa: S608 - only constants are put in

_REFUSALS = f"""
    INSERT INTO usage_usagerecord (
        organisation_id, id, request_id, team_id, key_id, user_id, model, channel_name,
        upstream_model, dialect, operation, stream, source, admitted_at, ended_at, hold_nano,
        {_ATTRIBUTION}, {_ENDING_COLUMNS}
    )
    SELECT t.organisation_id, t.id, t.id, t.team_id, t.key_id, t.user_id, t.model, '', '',
           t.dialect, t.operation, t.stream, t.source, now(), now(), 0,
           {_ATTRIBUTED},
           t.final, t.status, t.kind, t.message, t.finish_reason, t.meters,
           t.charge_nano, t.basis, t.ttft_ms, coalesce(t.total_ms, 0),
           t.raw_usage, string_to_array(t.flags, ','), t.cost_nano, t.upstream_request_id,
           string_to_array(t.dropped, ','), t.saved_nano, t.pricing
    FROM unnest(
        %(organisations)s::uuid[], %(requests)s::uuid[], %(teams)s::uuid[], %(keys)s::uuid[],
        %(users)s::bigint[], %(models)s::text[], %(dialects)s::text[], %(operations)s::text[],
        %(streams)s::boolean[], %(sources)s::text[], {_ATTRIBUTION_ARRAYS}, {_ENDING_ARRAYS}
    ) AS t (organisation_id, id, team_id, key_id, user_id, model, dialect, operation, stream,
            source, {_ATTRIBUTION}, {_ENDING_COLUMNS})"""  # noqa: S608 - only constants are put in
_UNLESS_WRITTEN = """
    ON CONFLICT (organisation_id, id) DO NOTHING"""
_WRITE_REFUSALS = _REFUSALS + _UNLESS_WRITTEN
_UNLESS_ENDED = """
    WHERE NOT EXISTS (
        SELECT FROM usage_usagerecord r
        WHERE r.organisation_id = t.organisation_id AND r.request_id = t.id AND r.final
    )"""
_WRITE_LAST_REFUSALS = _REFUSALS + _UNLESS_ENDED + _UNLESS_WRITTEN

_TELL_DOUBTED = """
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

_TELL_UNKNOWN = """
    INSERT INTO outbox_fact (id, kind, body)
    SELECT DISTINCT ON (r.pricing->>'provider', r.pricing->'unknown')
           md5('usage.unknown:' || (r.pricing->>'provider') || (r.pricing->>'unknown'))::uuid,
           'usage.unknown',
           jsonb_build_object(
               'provider', r.pricing->>'provider', 'channel', r.channel_name, 'model', r.model,
               'unknown', (SELECT string_agg(one, ', ')
                           FROM jsonb_array_elements_text(r.pricing->'unknown') one))
    FROM unnest(%(organisations)s::uuid[], %(ids)s::uuid[]) AS t (organisation_id, id)
    JOIN usage_usagerecord r
      ON r.organisation_id = t.organisation_id AND r.id = t.id AND r.pricing->'unknown' IS NOT NULL
    ON CONFLICT (id) DO NOTHING"""

_NOTE_ADDRESSES = """
    INSERT INTO usage_clientaddress (organisation_id, record_id, address, noted_at)
    -- Of the age of its request: what a spool has kept for days is as many days older.
    SELECT t.organisation_id, t.record_id, t.address, least(now(), to_timestamp(t.made_ms / 1000.0))
    FROM unnest(
        %(organisations)s::uuid[], %(ids)s::uuid[], %(addresses)s::text[], %(made_ms)s::bigint[]
    ) AS t (organisation_id, record_id, address, made_ms)
    ON CONFLICT DO NOTHING"""

_LEARN_LATE = """
    INSERT INTO usage_latetruth (
        organisation_id, attempt_id, source, meters, charge_nano, raw_usage, tries
    )
    SELECT t.organisation_id, t.id, 'late', t.meters, t.charge_nano, t.raw_usage, 0
    FROM unnest(
        %(organisations)s::uuid[], %(ids)s::uuid[], %(meters)s::jsonb[], %(charges)s::bigint[],
        %(raw_usages)s::jsonb[]
    ) AS t (organisation_id, id, meters, charge_nano, raw_usage)
    JOIN billing_hold hold ON hold.id = t.id AND hold.state = 'expired'
        AND hold.id BETWEEN %(first)s::uuid AND %(last)s::uuid
    UNION ALL
    -- The holds of a detached month are in its file; what ended them is not.
    SELECT t.organisation_id, t.id, 'late', t.meters, t.charge_nano, t.raw_usage, 0
    FROM unnest(
        %(organisations)s::uuid[], %(ids)s::uuid[], %(meters)s::jsonb[], %(charges)s::bigint[],
        %(raw_usages)s::jsonb[]
    ) AS t (organisation_id, id, meters, charge_nano, raw_usage)
    JOIN usage_detachedmonth away ON t.id >= away.first_id AND t.id < away.end_id
    WHERE EXISTS (
            SELECT FROM billing_posting p WHERE p.attempt_id = t.id AND p.kind = 'expire')
        OR EXISTS (SELECT FROM billing_posting p WHERE p.idempotency_id = 'expire:' || t.id)
    ON CONFLICT DO NOTHING"""

# Days as far as there are, then quarters.
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
