"""How much of a session's input came from providers' caches, and how much could have."""

import datetime as dt
from collections.abc import Iterable
from itertools import chain
from typing import Any, Final, NamedTuple
from uuid import UUID

from django.db import connection, transaction

from accounts.access.actors import Actor
from usage.filters.filters import Scope
from usage.filters.visibility import Period, where_of
from usage.records.counted_meters import Tokens, read_json, tokens_of

TURNS_MAX: Final = 100_000
"""The maximum number of turns of a session that are read."""
_ROWS: Final = 2_000
LIFETIME: Final = dt.timedelta(minutes=5)
"""Providers keep what they have cached for at least this long after its last use: Anthropic's
default, and the lowest that OpenAI and Bedrock name."""
LONG_LIFETIME: Final = dt.timedelta(hours=1)
"""The lifetime of a prefix that was written to Anthropic's cache of an hour."""
_LONG_METER: Final = "in_cache_write_1h"


class CachedTurn(NamedTuple):
    """One turn. `thread` identifies the turns of one agent with one model, whose prefix it
    continues. `long`: it wrote to a cache of an hour."""

    thread: tuple[str, str]
    began_at: dt.datetime
    ended_at: dt.datetime
    tokens: Tokens
    long: bool
    saved_nano: int


class CacheUse(NamedTuple):
    """Tokens of input: `read` is all input, `cached` the part from cache, and the last is the part
    that would have come from cache if each turn had found everything that the turn before it in its
    thread had read and written, while that was stored. `saved_nano` is how much less was charged
    than without any cache."""

    read: int = 0
    cached: int = 0
    reachable: int = 0
    saved_nano: int = 0


def sum_cache_use(turns: Iterable[CachedTurn]) -> CacheUse:
    """Sum up a session's turns, given in their order. A turn without input continues nothing."""
    read = cached = reachable = saved_nano = 0
    latest: dict[tuple[str, str], CachedTurn] = {}
    for turn in turns:
        before, tokens = latest.get(turn.thread), turn.tokens
        prefix = 0
        if before is not None and turn.began_at - before.ended_at <= _lifetime(before):
            prefix = min(tokens.read, before.tokens.read + before.tokens.written)
        read += tokens.read
        cached += tokens.cached
        reachable += max(tokens.cached, prefix)
        saved_nano += turn.saved_nano
        if tokens.read:
            latest[turn.thread] = turn
    return CacheUse(read, cached, reachable, saved_nano)


def read_cache_use(actor: Actor, id: UUID, turns: int) -> CacheUse | None:
    """Return the sums over all `turns` of a session that the actor may see; None for more than
    TURNS_MAX."""
    if turns > TURNS_MAX:
        return None
    where = where_of(actor, "requests.read", Scope(session_id=id), Period())
    with transaction.atomic(), connection.chunked_cursor() as cursor:
        cursor.execute(_TURNS.format(where=where.text), where.parameters)
        rows = chain.from_iterable(iter(lambda: cursor.fetchmany(_ROWS), []))
        return sum_cache_use(_turn(*row) for row in rows)


def _lifetime(turn: CachedTurn) -> dt.timedelta:
    return LONG_LIFETIME if turn.long else LIFETIME


def _turn(
    agent: str, model: str, began_at: Any, ended_at: Any, meters: Any, saved_nano: int | None
) -> CachedTurn:
    quantities = read_json(meters)
    return CachedTurn(
        thread=(agent, model),
        began_at=began_at,
        ended_at=ended_at,
        tokens=tokens_of(quantities),
        long=quantities.get(_LONG_METER, 0) > 0,
        saved_nano=saved_nano or 0,
    )


_TURNS: Final = """
    SELECT coalesce(r.session->>'agent', ''), r.model, r.admitted_at, r.ended_at, r.meters,
           r.saved_nano
    FROM usage_usagerecord r WHERE {where} AND r.final ORDER BY r.id"""
