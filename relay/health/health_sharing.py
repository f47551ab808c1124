"""The web processes share what they know about the channels, so that a new process starts with
it.

Each process writes its findings into one row, with ages and durations instead of times, so that
clocks need not agree, and reads the rows of the others. If two disagree about a channel or key, the
newer finding wins. Only findings by the same catalogue count.

    shared      the breaker of a channel, a key that its provider refuses, and the end of either
    not shared  limits of one model and doubts about one organisation: each process detects them
                itself, and only pages show those of all processes

While a channel cannot be connected to, a connection is tried each second, so that its recovery is
noticed before the next request.
"""

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from typing import Final, NamedTuple
from uuid import UUID

import msgspec

from gateway.breaker.state_names import ChannelStatus, KeyReason, KeyStatus, ModelStatus
from relay.catalogue.snapshot import Snapshot
from relay.database.database import Row, Statement
from relay.health.channel_health import ChannelState, Health
from relay.upstream.upstream import Upstreams

TICK_S: Final = 1.0
"""Seconds between two reports while there is something to report."""
QUIET_TICKS: Final = 5
"""The same without anything to report. It is well within `channel_reports.LIVE`."""
_RECONNECT_S: Final = 1.0
_KNOWN_S: Final = 900.0
# Two processes whose ends of a rest differ by less than this agree.
_SAME_S: Final = 1.0
_CHANNEL: Final = -1


class KeyReport(msgspec.Struct, frozen=True):
    """The state of one key, and since when it is unavailable or available again."""

    status: KeyStatus
    out: bool
    rest_s: float
    age_s: float


class ChannelReport(msgspec.Struct, frozen=True):
    """The state of one channel in one process. Times count from when the report was written.
    `models` are the upstream names of the models that rest in this channel, for pages only."""

    status: ChannelStatus
    out: bool
    rest_s: float
    age_s: float
    keys: tuple[KeyReport, ...]
    models: dict[str, ModelStatus] = {}


class _SharedState(NamedTuple):
    """The last known state of a channel or key from any process: until when it is unavailable, and
    how old the information is."""

    out: bool
    until: float
    at: float


_NOTHING: Final = _SharedState(False, 0.0, float("-inf"))
_REPORTS: Final = msgspec.json.Decoder(dict[str, ChannelReport])


class HealthSharing:
    """Writes the reports of one process, and merges those of other processes."""

    def __init__(self, health: Health) -> None:
        self._health = health
        self._known: dict[tuple[str, int], _SharedState] = {}
        self._connecting: dict[str, float] = {}

    def report(self) -> dict[str, ChannelReport]:
        """Return a report of each channel that has problems."""
        now = self._health.now()
        states = self._health.states()
        for state in states:
            self._record_changes(state, now)
        self._forget(now, {state.channel.id for state in states})
        noted = {channel_id for channel_id, _ in self._known}
        return {
            state.channel.id: self._report_of(state, now)
            for state in states
            if state.channel.id in noted or not state.calm(now) or state.barred(now)
        }

    def adopt(self, reports: Mapping[str, ChannelReport], age_s: float, snapshot: Snapshot) -> None:
        """Merge the newer parts of another process's report, which is `age_s` old."""
        now = self._health.now()
        for channel_id, report in reports.items():
            channel = snapshot.channels.get(channel_id)
            if channel is None or len(channel.headers) != len(report.keys):
                continue
            state = self._health.state_of(channel)
            self._record_changes(state, now)
            parts: tuple[ChannelReport | KeyReport, ...] = (report, *report.keys)
            for n, part in enumerate(parts, _CHANNEL):
                known = self._known.get((channel_id, n), _NOTHING)
                at, until = now - age_s - part.age_s, now - age_s + part.rest_s
                if at <= known.at or now - at > _KNOWN_S or not (part.out or known.out):
                    continue
                self._known[channel_id, n] = _SharedState(part.out, until, at)
                if n == _CHANNEL:
                    state.kind, state.since = report.status.kind, at
                    _change_channel(state, now, until if part.out else None)
                else:
                    reason = report.keys[n].status.reason
                    _change_key(state, n, now, until if part.out else None, reason, at)
            self._health.adopted(state, now)

    async def reconnect(self, upstreams: Upstreams, snapshot: Snapshot) -> None:
        """Try to connect to the unreachable channels."""
        now = self._health.now()
        due = [
            state
            for state in self._health.states()
            if state.kind == "upstream_unreachable"
            and state.breaker.seconds_open(now)
            and snapshot.channels.get(state.channel.id) == state.channel
            and now >= self._connecting.get(state.channel.id, 0.0)
        ]
        self._connecting = {
            **{name: at for name, at in self._connecting.items() if at > now},
            **{state.channel.id: now + _RECONNECT_S for state in due},
        }
        reachable = await asyncio.gather(
            *(upstreams.reachable(state.channel, snapshot.egress) for state in due)
        )
        for state, reached in zip(due, reachable, strict=True):
            if reached:
                state.breaker.reachable(self._health.now())

    def _record_changes(self, state: ChannelState, now: float) -> None:
        """Record the changes that this process itself has observed since the last call."""
        for n, out, until in _parts(state, now):
            name = (state.channel.id, n)
            known = self._known.get(name, _NOTHING)
            if out != known.out or (out and until > max(known.until, now) + _SAME_S):
                self._known[name] = _SharedState(out, until, now)

    def _forget(self, now: float, channel_ids: set[str]) -> None:
        self._known = {
            name: known
            for name, known in self._known.items()
            if name[0] in channel_ids and (known.out or now - known.at < _KNOWN_S)
        }

    def _report_of(self, state: ChannelState, now: float) -> ChannelReport:
        channel_id = state.channel.id
        of_parts = [self._known.get((channel_id, n), _NOTHING) for n, _, _ in _parts(state, now)]
        times = [
            (known.out, max(known.until - now, 0.0), min(now - known.at, 2 * _KNOWN_S))
            for known in of_parts
        ]
        statuses = [key.status(now) for key in state.keys]
        keys = [KeyReport(status, *key) for status, key in zip(statuses, times[1:], strict=True)]
        status, models = self._health.channel_status(channel_id), state.models_out(now)
        return ChannelReport(status, *times[0], tuple(keys), models)


def statement(process_id: UUID, epoch: int, reports: Mapping[str, ChannelReport]) -> Statement:
    """Return the statement that writes a process's report and reads the reports of others, as rows
    of (seconds ago, report)."""
    text = msgspec.json.encode(reports).decode()
    return _TELL, {"process": process_id, "epoch": epoch, "channels": text, "known": int(_KNOWN_S)}


def read(rows: Sequence[Row]) -> list[tuple[float, dict[str, ChannelReport]]]:
    """Parse the result of `statement`. Reports from other catalogue versions are ignored."""
    reports = []
    for age_s, text in rows:
        try:
            reports.append((float(age_s or 0), _REPORTS.decode(text or "{}")))
        except msgspec.ValidationError:
            continue
    return reports


def _parts(state: ChannelState, now: float) -> Iterator[tuple[int, bool, float]]:
    """Yield the channel and each of its keys: its number, whether it is unavailable, and until
    when."""
    yield _CHANNEL, not state.breaker.closed, now + state.breaker.seconds_open(now)
    for n, key in enumerate(state.keys):
        yield n, not key.rest.calm(now), now + key.rest.left(now)


def _change_channel(state: ChannelState, now: float, until: float | None) -> None:
    if until is None:
        state.breaker.recover()
    else:
        state.breaker.adopt(now, max(until - now, 0.0))


def _change_key(
    state: ChannelState,
    n: int,
    now: float,
    until: float | None,
    reason: KeyReason | None,
    since: float,
) -> None:
    key = state.keys[n]
    if until is None:
        key.rest.recover()
    else:
        key.adopt(now, max(until - now, 0.0), reason, since)


_TELL: Final = """
    WITH mine AS (
        INSERT INTO gateway_channelreport (process_id, reported_at, epoch, channels)
        VALUES (%(process)s::uuid, now(), %(epoch)s::bigint, %(channels)s::jsonb)
        ON CONFLICT (process_id) DO UPDATE SET
            reported_at = now(), epoch = excluded.epoch, channels = excluded.channels
    )
    SELECT extract(epoch FROM now() - reported_at)::text, channels::text
    FROM gateway_channelreport
    WHERE process_id <> %(process)s::uuid AND epoch = %(epoch)s::bigint AND channels <> '{}'
      AND reported_at > now() - %(known)s::int * interval '1 second'"""
