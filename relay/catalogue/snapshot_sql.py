"""The statements with which a relay process checks its database and loads its snapshot."""

from collections.abc import Sequence
from dataclasses import fields

from gateway.provider_accounts.balances.rules import EVERY
from relay.catalogue.snapshot_build import ChannelRow
from relay.database.database import Statement


def load_statement() -> Statement:
    """Return a statement that loads everything at one instant. It returns one row with one JSON
    text."""
    return _LOAD, {}


def epoch_statement() -> Statement:
    """Return a statement with one row: the epoch, the database's clock (Unix seconds), and a number
    that changes when migrations are added or reverted.
    """
    return _EPOCH, {}


def secret_check_statement() -> Statement:
    """Return a statement with the fingerprint of this database's secrets, as hex, and the ids of
    the KEKs that it needs, separated by commas. It returns no row if no fingerprint is recorded."""
    return (
        "SELECT encode(sealed, 'hex'), array_to_string(kek_ids, ',') FROM accounts_secretcheck",
        {},
    )


def needed_kek_statement(id: str) -> Statement:
    """Return a statement that records that data may be sealed with a KEK from now on."""
    return (
        "UPDATE accounts_secretcheck SET kek_ids = kek_ids || %(id)s::varchar(8) "
        "WHERE NOT kek_ids @> ARRAY[%(id)s::varchar(8)]",
        {"id": id},
    )


def missing_statement(migrations: Sequence[tuple[str, str]]) -> Statement:
    """Return a statement with one row: how many of these migrations the database lacks."""
    return _MISSING, {
        "apps": "{" + ",".join(app for app, _ in migrations) + "}",
        "names": "{" + ",".join(name for _, name in migrations) + "}",
    }


_MISSING = """
    SELECT count(*) FROM unnest(%(apps)s::text[], %(names)s::text[]) AS wanted (app, name)
    WHERE NOT EXISTS (
        SELECT FROM django_migrations done
        WHERE done.app = wanted.app AND done.name = wanted.name)"""
_EPOCH = """
    SELECT coalesce((SELECT n FROM accounts_epoch WHERE id = 1), 0),
           extract(epoch FROM clock_timestamp()),
           (SELECT coalesce(sum(hashtextextended(app || ' ' || name, 0)), 0)
            FROM django_migrations)"""

# The columns of a channel that are not read unchanged.
_NOT_PLAIN = ("proxy_login", "client_key", "keys", "routes")
_LOAD = """
    SELECT json_build_object(
        'changed', coalesce(
            (SELECT extract(epoch FROM min(created_at)) FROM gateway_channel WHERE enabled), 0),
        'epoch', coalesce((SELECT n FROM accounts_epoch WHERE id = 1), 0),
        'egress_allow', coalesce(
            (SELECT to_json(egress_allow) FROM gateway_installationsetting WHERE id = 1),
            '[]'::json),
        'egress_allow_users', coalesce(
            (SELECT to_json(egress_allow_users) FROM gateway_installationsetting WHERE id = 1),
            '[]'::json),
        'unpriced_models', coalesce(
            (SELECT unpriced_models FROM gateway_installationsetting WHERE id = 1), 'reject'),
        'prefix_sessions', coalesce(
            (SELECT prefix_sessions FROM gateway_installationsetting WHERE id = 1), false),
        'channels', coalesce((
            SELECT json_agg(json_build_object(
                CHANNEL_COLUMNS,
                'proxy_login', translate(encode(c.proxy_login, 'base64'), E'\\n', ''),
                'client_key', translate(encode(c.client_key, 'base64'), E'\\n', ''),
                'keys', coalesce((
                    SELECT json_agg(json_build_array(
                        k.id, translate(encode(k.sealed, 'base64'), E'\\n', ''), k.last4)
                        ORDER BY k.position)
                    FROM gateway_channelkey k
                    WHERE k.channel_id = c.id AND k.disabled_at IS NULL), '[]'::json),
                'routes', coalesce((
                    SELECT json_agg(json_build_object(
                        'model', r.model, 'upstream_model', r.upstream_model, 'can', r.can,
                        'priority', r.priority, 'weight', r.weight, 'timeouts', r.timeouts))
                    FROM gateway_route r WHERE r.channel_id = c.id), '[]'::json)))
            FROM gateway_channel c
            WHERE c.enabled
                -- One whose keys are all disabled is not asked without a key instead.
                AND coalesce((
                    SELECT bool_or(k.disabled_at IS NULL)
                    FROM gateway_channelkey k WHERE k.channel_id = c.id), true)), '[]'::json),
        'off', coalesce((
            SELECT json_agg(json_build_object(
                'models', (SELECT coalesce(json_agg(r.model), '[]'::json)
                           FROM gateway_route r WHERE r.channel_id = c.id),
                'reason', CASE
                    WHEN c.enabled THEN 'no_key'
                    WHEN c.archived_at IS NOT NULL THEN 'archived'
                    WHEN c.taken_out IS NOT NULL THEN 'resting'
                    ELSE 'disabled' END,
                'next_check_at', extract(epoch FROM CASE
                    WHEN c.taken_out->>'cause' = 'balance' THEN c.next_balance_at
                    ELSE c.next_test_at END),
                'every_s', CASE
                    WHEN c.enabled OR c.archived_at IS NOT NULL OR c.taken_out IS NULL THEN NULL
                    WHEN c.taken_out->>'cause' = 'balance' THEN BALANCE_EVERY_S
                    ELSE 60 * nullif((c.testing->>'every_min')::int, 0) END))
            FROM gateway_channel c
            -- One that serves nothing makes no model unavailable.
            WHERE EXISTS (SELECT FROM gateway_route r WHERE r.channel_id = c.id)
              AND (NOT c.enabled
                OR EXISTS (SELECT FROM gateway_channelkey k WHERE k.channel_id = c.id)
                   AND NOT EXISTS (
                       SELECT FROM gateway_channelkey k
                       WHERE k.channel_id = c.id AND k.disabled_at IS NULL))), '[]'::json),
        'prices', coalesce((
            SELECT json_agg(json_build_object(
                'id', v.id, 'model', p.model, 'kind', p.kind, 'channel', p.channel,
                'service_tier', p.service_tier, 'hours', p.hours, 'region', p.region,
                'rates', v.rates, 'source', v.source,
                'valid_from', extract(epoch FROM v.valid_from),
                'valid_to', extract(epoch FROM v.valid_to)))
            FROM billing_price p JOIN billing_priceversion v ON v.price_id = p.id
            WHERE v.valid_to IS NULL OR v.valid_to > now()), '[]'::json),
        'plans', coalesce((
            SELECT json_agg(json_build_object(
                'id', id, 'name', name, 'multiplier_ppm', multiplier_ppm,
                'models', to_json(model_patterns)))
            FROM billing_plan), '[]'::json),
        'rules', coalesce((
            SELECT json_agg(json_build_object(
                'model', model, 'fallbacks', to_json(fallbacks), 'causes', to_json(causes),
                'pick', pick, 'charge_rule', charge_rule, 'shadow', shadow))
            FROM gateway_modelrule), '[]'::json),
        'aliases', coalesce((
            SELECT json_object_agg(name, target) FROM gateway_modelalias), '{}'::json),
        'entries', coalesce((
            SELECT json_agg(json_build_object(
                'name', name, 'can', can, 'context_max', context_max, 'output_max', output_max,
                'deprecated_at', extract(epoch FROM deprecated_at),
                'sunset_at', extract(epoch FROM sunset_at),
                'replacement', replacement, 'forwards', forwards,
                'plans', to_json(plans), 'roles', to_json(roles)))
            FROM gateway_modelentry), '[]'::json),
        'accepted', coalesce((
            SELECT json_agg(json_build_object('provider', provider, 'wire', wire, 'member', member))
            FROM usage_acceptedmember WHERE revoked_at IS NULL), '[]'::json),
        'own_keys', coalesce((
            SELECT json_agg(json_build_object(
                'id', own.id, 'channel_id', own.channel_id,
                'organisation_id', own.organisation_id, 'team_id', own.team_id,
                'sealed', translate(encode(own.sealed, 'base64'), E'\\n', ''), 'last4', own.last4,
                'fall_back', own.fall_back,
                'fee', CASE WHEN offer.everyone OR EXISTS (
                    SELECT FROM gateway_ownkeyoffer_organisations one
                    WHERE one.ownkeyoffer_id = offer.channel_id
                      AND one.organisation_id = own.organisation_id)
                    THEN json_build_object(
                        'request_nano', offer.fee_request_nano,
                        'million_nano', offer.fee_million_nano) END,
                'models', (SELECT coalesce(json_agg(r.model), '[]'::json)
                           FROM gateway_route r WHERE r.channel_id = own.channel_id)))
            FROM gateway_ownkey own
            LEFT JOIN gateway_ownkeyoffer offer ON offer.channel_id = own.channel_id
            WHERE own.enabled), '[]'::json),
        'condition_holders', coalesce((
            SELECT json_object_agg(named.holder, coalesce(team.id, owner.id))
            FROM (
                SELECT jsonb_array_elements_text(c.conditions->'teams') AS holder
                FROM gateway_channel c WHERE c.enabled
                UNION
                SELECT jsonb_array_elements_text(rule->'teams')
                FROM gateway_channel c, jsonb_array_elements(c.overrides->'when') AS rule
                WHERE c.enabled
            ) named
            JOIN accounts_organisation owner ON owner.slug = split_part(named.holder, '/', 1)
            LEFT JOIN accounts_team team
              ON team.organisation_id = owner.id
             AND team.slug = split_part(named.holder, '/', 2)
            WHERE team.id IS NOT NULL OR strpos(named.holder, '/') = 0), '{}'::json)
    )::text""".replace(
    "CHANNEL_COLUMNS",
    ", ".join(
        f"'{one.name}', c.{one.name}" for one in fields(ChannelRow) if one.name not in _NOT_PLAIN
    ),
).replace("BALANCE_EVERY_S", str(int(EVERY.total_seconds())))
