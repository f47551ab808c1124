"""The management API for operators of the health of channels, their models and their keys (W71)."""

import datetime as dt
from typing import Any, Literal

from ninja import Query
from pydantic import Field

from accounts.access.actors import Actor
from accounts.access.operations import Router
from accounts.guards import api_auth
from gateway.access import access_channel, visible_channels
from gateway.breaker.state_names import KeyStatus, ModelStatus
from gateway.health.figures import ChannelFigures, Figures, last_uses
from gateway.health.reports import ChannelTroubles, Trouble
from gateway.health.rests import last_rest
from gateway.health.rows import model_statuses
from gateway.models import Channel
from lib.api import pagination
from lib.api.openapi import Schema
from lib.ids import id_text

router = Router(tags=["Channels"], auth=api_auth.installation_auth)


class FiguresOut(Schema):
    """Figures of the last hour, and of running requests. Times are in milliseconds."""

    attempts: int
    failed: int
    success_percent: float | None = Field(description="Null without attempts.")
    ttft_p50_ms: int | None
    ttft_p95_ms: int | None
    tokens_per_second: int | None = Field(description="While answers are written.")
    in_flight: int


class ModelHealthOut(FiguresOut):
    model: str = Field(description="The public name or pattern.")
    state: Literal["good", "limited", "model_unknown", "key_refused"]
    retry_in_seconds: int | None
    keys_out: int = Field(description="How many of the keys are paused for it.")


class KeyHealthOut(FiguresOut):
    id: str
    last4: str
    state: Literal["good", "paused", "limited", "disabled"]
    reason: Literal["key_refused", "no_credit"] | None
    last_used_at: dt.datetime | None = Field(description="The end of its last attempt.")
    retry_in_seconds: int | None


class ChannelHealthOut(FiguresOut):
    id: str
    name: str
    state: Literal[
        "good", "open", "half_open", "keys_out", "models_out", "limited", "off", "archived"
    ] = Field(description="`open` and `half_open` are those of its circuit breaker.")
    kind: str | None = Field(description="The kind of the last failure, if it is not good.")
    retry_in_seconds: int | None


class LastRestOut(Schema):
    """A time in which the channel got no requests, because most of its attempts had failed or all
    its keys were paused."""

    began_at: dt.datetime
    ended_at: dt.datetime | None = Field(description="Null while it rests.")
    kind: str | None = Field(description="The kind of the last failure, if known.")
    attempts: int = Field(description="Those that ended shortly before it began.")
    failed: int = Field(description="How many of them the channel failed.")


class ChannelHealthDetail(ChannelHealthOut):
    last_rest: LastRestOut | None
    models: list[ModelHealthOut]
    keys: list[KeyHealthOut]


class ChannelHealthPage(Schema):
    items: list[ChannelHealthOut]
    next: str | None


@router.get("/channel-health", response=ChannelHealthPage, summary="List the health of channels")
def list_channel_health(actor: Actor, query: Query[pagination.NamedPageQuery]) -> ChannelHealthPage:
    """State and figures of each channel, over all processes."""
    rows = visible_channels(actor)
    page = pagination.page_by_id(query.filter_by_name(rows), query.limit, query.cursor)
    troubles, figures = ChannelTroubles(), ChannelFigures()
    items = [
        ChannelHealthOut(**_state(channel, troubles.of(channel), figures)) for channel in page.items
    ]
    return ChannelHealthPage(items=items, next=page.next)


@router.get(
    "/channels/{id}/health", response=ChannelHealthDetail, summary="Show the health of a channel"
)
def show_channel_health(actor: Actor, id: str) -> ChannelHealthDetail:
    """State and figures of a channel, of each model that it serves and of each of its keys."""
    channel = access_channel(actor, id)
    trouble, figures = ChannelTroubles().of(channel), ChannelFigures(channel.id)
    statuses = model_statuses(channel, trouble.models)
    models = [
        _model(name, statuses[name], its) for name, its in figures.by_model(channel.id, statuses)
    ]
    return ChannelHealthDetail(
        **_state(channel, trouble, figures),
        last_rest=_last_rest(channel),
        models=models,
        keys=_keys(channel, trouble, figures),
    )


def _last_rest(channel: Channel) -> LastRestOut | None:
    rest = last_rest(channel)
    if rest is None:
        return None
    return LastRestOut(
        began_at=rest.began_at, ended_at=rest.ended_at, kind=rest.kind or None,
        attempts=rest.attempts, failed=rest.failed,
    )  # fmt: skip


def _state(channel: Channel, trouble: Trouble, figures: ChannelFigures) -> dict[str, Any]:
    status = trouble.status
    state: str = "good" if status is None else status.condition
    if not channel.enabled:
        state = "archived" if channel.archived_at else "off"
    return {
        "id": id_text(channel.id),
        "name": channel.name,
        "state": state,
        "kind": None if status is None else status.kind,
        "retry_in_seconds": None if status is None else status.seconds or None,
        **_figures(figures.of_channel(channel.id)),
    }


def _model(name: str, status: ModelStatus | None, its: Figures) -> ModelHealthOut:
    return ModelHealthOut(
        model=name,
        state="good" if status is None else status.condition,
        retry_in_seconds=None if status is None else status.seconds,
        keys_out=0 if status is None else status.keys,
        **_figures(its),
    )


def _keys(channel: Channel, trouble: Trouble, figures: ChannelFigures) -> list[KeyHealthOut]:
    by_key, known = figures.by_key(channel.id), iter(trouble.keys)
    uses = last_uses(channel)
    rows = []
    for key in channel.keys.all():
        status = None if key.disabled_at else next(known, KeyStatus("good"))
        rows.append(
            KeyHealthOut(
                id=id_text(key.id),
                last4=key.last4,
                state="disabled" if status is None else status.condition,
                reason=None if status is None else status.reason,
                last_used_at=uses.get(key.id),
                retry_in_seconds=None if status is None else status.seconds or None,
                **_figures(by_key.get(str(key.id), Figures())),
            )
        )
    return rows


def _figures(its: Figures) -> dict[str, Any]:
    percent = round(100 * its.succeeded / its.attempts, 2) if its.attempts else None
    return {
        "attempts": its.attempts,
        "failed": its.failed,
        "success_percent": percent,
        "ttft_p50_ms": its.p50_ms,
        "ttft_p95_ms": its.p95_ms,
        "tokens_per_second": its.tokens_per_second,
        "in_flight": its.in_flight,
    }
