"""Emails to operators about problems: at most once an hour for each cause, and once per day or
month for a channel's spending cap.

Each process monitors channels itself (`channel_health.py`) and reports here. A fact's id is derived
from its cause and the hour, so that several processes create one fact. An alert that cannot be
written waits; it does not delay any request.
"""

import time
from collections.abc import Sequence
from typing import Final, Literal, NamedTuple
from uuid import UUID

import msgspec

from relay.database.database import Statement

Cause = Literal[
    "key_refused", "no_credit", "misconfigured", "model_unknown", "compressed", "out", "unusable",
    "unpriced", "spend_day", "spend_month", "own_key_refused", "own_no_credit",
]  # fmt: skip
"""Causes: a key was refused (F5); the account at the provider has no money left (F9); no secure
connection, or a redirect (F3, F21); a model is unknown there (F7); answers are compressed without
being requested (F20); no answer from the channel for a long time; its provider is unknown here, or
its keys cannot be decrypted; a requested model has no price, which concerns no channel; a channel's
cost has reached its daily or monthly cap; an organisation's own key was refused, or its account has
no money left, which its owners are told: `channel_id` is the key's then.
"""

LONG_S: Final = 600.0
_HOUR_S: Final = 3600.0
_KNOWN_MAX: Final = 4096
# Limited, because clients choose the names that patterns match.
_UNPRICED_AN_HOUR: Final = 20


class Alert(NamedTuple):
    """The problem of one channel. `what` is the key or model concerned, "" for the whole channel.
    `last`: the channel has no usable key left."""

    channel_id: str
    channel: str
    cause: Cause
    what: str = ""
    last: bool = False


class Alerts:
    """The alerts of one process."""

    def __init__(self) -> None:
        self._waiting: list[Alert] = []
        # When each alert was last sent, by the monotonic clock.
        self._sent_at: dict[Alert, float] = {}
        self.now = time.monotonic

    def report(self, alert: Alert) -> None:
        """Report a problem, unless it was already reported within the hour."""
        now = self.now()
        if now - self._sent_at.get(alert, -_HOUR_S) < _HOUR_S:
            return
        if len(self._sent_at) >= _KNOWN_MAX:
            self._sent_at.clear()
        self._sent_at[alert] = now
        self._waiting.append(alert)

    def take(self) -> list[Alert]:
        """Return and clear the alerts to write now."""
        taken, self._waiting = self._waiting, []
        return taken

    def put_back(self, alerts: Sequence[Alert]) -> None:
        """Add back alerts that could not be written."""
        self._waiting = [*alerts, *self._waiting]


def statement(alerts: Sequence[Alert]) -> Statement:
    """Return the statement that publishes the alerts. A model without a price is published once a
    day."""
    rows = msgspec.json.encode([alert._asdict() for alert in alerts]).decode()
    return _TELL, {"alerts": rows, "unpriced": _UNPRICED_AN_HOUR}


class DamagedRecords(NamedTuple):
    """Records of a spool or journal that could not be read. `fact_id` makes them one alert, even if
    it is written several times."""

    fact_id: UUID
    records: int


def damaged_statement(damaged: DamagedRecords) -> Statement:
    """Return the statement that publishes the alert and counts the damaged records once."""
    return _DAMAGED, {"id": damaged.fact_id, "records": damaged.records}


_DAMAGED: Final = """
    WITH fact AS (
        INSERT INTO outbox_fact (id, kind, body)
        VALUES (%(id)s, 'records.damaged', jsonb_build_object('records', %(records)s::int))
        ON CONFLICT (id) DO NOTHING RETURNING id)
    INSERT INTO gateway_traffictotal AS total (family, labels, value, counts)
    SELECT 'damaged_records', '{}', %(records)s::bigint, '{}' FROM fact
    ON CONFLICT (family, labels) DO UPDATE SET value = total.value + excluded.value"""

_TELL: Final = """
    WITH alert AS (
        SELECT * FROM jsonb_to_recordset(%(alerts)s::jsonb)
            AS t (channel_id text, channel text, cause text, what text, last boolean)
    ),
    -- In one order in all processes, so that none deadlocks.
    refused AS MATERIALIZED (
        SELECT own.id FROM gateway_ownkey own
        WHERE own.id IN (SELECT channel_id::uuid FROM alert WHERE starts_with(cause, 'own_'))
        ORDER BY own.id FOR UPDATE
    ),
    own AS (
        UPDATE gateway_ownkey own SET refused_at = now(), refusal = substr(alert.cause, 5)
        FROM refused JOIN alert ON alert.channel_id = refused.id::text
        WHERE starts_with(alert.cause, 'own_') AND own.id = refused.id
        RETURNING own.id, own.organisation_id, own.name, alert.cause, own.team_id, own.created_by_id
    ),
    told AS (
        INSERT INTO outbox_fact (id, kind, organisation_id, team_id, people, body)
        SELECT md5(concat_ws('|', 'own_key.refused', own.id, own.cause,
                             (now() AT TIME ZONE 'UTC')::date))::uuid,
               'own_key.refused', own.organisation_id, own.team_id,
               array_remove(ARRAY[own.created_by_id], NULL),
               jsonb_build_object('key', own.name, 'cause', substr(own.cause, 5),
                                  'team', coalesce(team.slug, ''))
        FROM own LEFT JOIN accounts_team team ON team.id = own.team_id
        ON CONFLICT (id) DO NOTHING
    )
    INSERT INTO outbox_fact (id, kind, body)
    (SELECT DISTINCT ON (1)
            md5('model.unpriced|' || what || '|' || (now() AT TIME ZONE 'UTC')::date)::uuid,
            'model.unpriced', jsonb_build_object('model', what)
     FROM alert WHERE cause = 'unpriced'
     LIMIT greatest(%(unpriced)s::int - (
         SELECT count(*) FROM outbox_fact
         WHERE kind = 'model.unpriced' AND created_at > now() - interval '1 hour'), 0))
    UNION ALL
    (SELECT DISTINCT ON (1)
           md5(concat_ws('|', 'channel.troubled', t.channel_id, t.cause, t.what, t.last,
                         date_trunc(CASE t.cause WHEN 'spend_day' THEN 'day'
                                    WHEN 'spend_month' THEN 'month' ELSE 'hour' END,
                                    now() AT TIME ZONE 'UTC')))::uuid,
           'channel.troubled',
           jsonb_build_object('channel', t.channel, 'channel_id', t.channel_id,
                              'cause', t.cause, 'what', t.what, 'last', t.last)
    FROM alert t WHERE cause <> 'unpriced' AND NOT starts_with(cause, 'own_'))
    ON CONFLICT (id) DO NOTHING"""
