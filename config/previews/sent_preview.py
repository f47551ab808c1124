"""Preview the request that a channel would receive, for operators. The relay of this process writes
it exactly as for a real request."""

from collections.abc import Mapping, Sequence
from dataclasses import fields
from typing import Any, Protocol

from asgiref.sync import async_to_sync
from django.http import HttpRequest
from django.utils.translation import gettext

from config.previews.route_preview import relay_of
from dialects.errors.errors import RequestFault
from gateway.models import Channel
from gateway.providers import UnknownProvider
from gateway.providers.provider import BadAddress
from lib.refusal import Refused
from relay.catalogue.snapshot_build import ChannelRow, RouteRow
from relay.downstream.error_answers import answer_to
from relay.errors import DatabaseFailed
from relay.pages.sent_preview import SentPreview


class SentPreviewRefused(Refused):
    """No preview is possible. The message says why."""


class SendingRelay(Protocol):
    """The part of the relay that a preview needs (`relay.pages.in_process.InProcessRelay`)."""

    async def preview_sent(
        self,
        row: ChannelRow,
        path: str,
        headers: Sequence[tuple[str, str]],
        body: bytes,
        teams: Sequence[str] = (),
    ) -> SentPreview:
        """Preview the request to a channel for this body and path, of the organisation and the team
        with these slugs."""


def preview_sent(
    request: HttpRequest,
    channel: Channel,
    overrides: Mapping[str, Any],
    path: str,
    headers: Sequence[tuple[str, str]],
    body: bytes,
    *,
    team: str = "",
) -> SentPreview:
    """Preview the request to a channel with these overrides, of an organisation or a team by its
    slug ("" for none). Nothing is sent or stored. Raises SentPreviewRefused."""
    relay: SendingRelay | None = relay_of(request)
    if relay is None:
        raise SentPreviewRefused("body", gettext("This process has no relay."))
    teams = list(dict.fromkeys([team.partition("/")[0], team])) if team else []
    try:
        return async_to_sync(relay.preview_sent)(
            _channel_row(channel, overrides), path, headers, body, teams
        )
    except RequestFault as fault:
        return SentPreview(refusal=answer_to(fault))
    except (UnknownProvider, BadAddress) as error:
        raise SentPreviewRefused("body", str(error)) from error
    except DatabaseFailed as error:
        raise SentPreviewRefused("body", gettext("The database is not responding.")) from error


# Fields that are not copied as they are: some are read separately, and the secrets are not shown.
_NOT_PLAIN = {"id", "keys", "routes", "overrides", "proxy_login", "client_key"}


def _channel_row(channel: Channel, overrides: Mapping[str, Any]) -> ChannelRow:
    plain = {one.name for one in fields(ChannelRow)} - _NOT_PLAIN
    return ChannelRow(
        id=str(channel.id),
        keys=[(str(key.id), "", key.last4) for key in channel.keys.all()],
        routes=[
            RouteRow(route.model, route.upstream_model, route.can) for route in channel.routes.all()
        ],
        overrides=dict(overrides),
        **{name: getattr(channel, name) for name in plain},
    )
