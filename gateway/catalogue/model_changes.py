"""Changes in a provider's list of models: found on request or by a channel's schedule, and accepted
or dismissed by an operator.

New changes are an audit event (`channel.models_changed`), and one email if they were found by
schedule. Requests are not affected until somebody accepts a change.
"""

import datetime as dt
from collections.abc import Collection, Iterable, Mapping
from typing import Any, Final

from django.db import connection, transaction
from django.utils.translation import gettext

from accounts.access.actors import SYSTEM, Actor
from accounts.audit import audit
from gateway.catalogue.model_change_rules import (
    ModelChange,
    known_after,
    known_decided,
    model_changes,
)
from gateway.channel_setup.channel_setup import set_new_prices
from gateway.channel_setup.proposed_models import ProposedModel, propose_models
from gateway.channels.channel_tests.channel_test import target_of
from gateway.channels.channel_tests.schedule import claim_due
from gateway.channels.channels import change_channel
from gateway.channels.egress import address_of
from gateway.channels.fields import provider_of
from gateway.channels.model_lists import ModelList, list_models
from gateway.channels.refusals import ChannelRefused
from gateway.channels.served_models import prices_in_force
from gateway.models import Channel, ModelListing
from lib import clock
from lib.ids import id_text
from lib.vault import VaultError
from outbox.facts import put

# The email and the event contain at most this many names of each kind; the page shows all.
_NAMED_MAX: Final = 20


def listing_of(channel: Channel) -> ModelListing | None:
    """Return the list of the channel's provider as it was last read, None if it never was."""
    return ModelListing.objects.filter(channel=channel).first()


def changes_of(channel: Channel) -> list[ModelChange]:
    """Return the undecided changes, given what the channel serves now."""
    listing = listing_of(channel)
    return [] if listing is None else _changes(channel, listing)


def proposed_models(channel: Channel, changes: Iterable[ModelChange]) -> dict[str, ProposedModel]:
    """Return proposals for the new names, as for a new channel, by name."""
    names = [change.name for change in changes if change.kind == "added"]
    rows = propose_models(provider_of(channel), names, prices_in_force(), ticked=())
    return {row.upstream: row for row in rows}


# Reading ----------------------------------------------------------------------------------------


def check_models(actor: Actor, channel: Channel) -> ModelList:
    """Read the list of a channel's provider, and store what changed. Takes a minute at most."""
    try:
        target = target_of(channel)
    except VaultError as error:
        listed = ModelList(fault="secret", detail=str(error))
    else:
        if not connection.in_atomic_block:
            # The provider may take a minute, so the connection is returned to the pool.
            connection.close()
        listed = list_models(target)
    with transaction.atomic():
        locked = Channel.objects.select_for_update().filter(id=channel.id).first()
        if locked is not None and address_of(locked) == address_of(channel):
            _keep(actor, locked, listed)
    return listed


def work_off_schedule() -> int:
    """Read the lists that are due, for a limited time. Return how many were read. Several processes
    may run this concurrently."""
    waiting = Channel.objects.filter(check_models_every_h__isnull=False, enabled=True)
    checked = 0
    for channel in claim_due(waiting, "next_models_check_at", _check_interval):
        check_models(SYSTEM, channel)
        checked += 1
    return checked


def _check_interval(channel: Channel) -> dt.timedelta:
    return dt.timedelta(hours=channel.check_models_every_h or 0)


def _keep(actor: Actor, channel: Channel, listed: ModelList) -> None:
    now = clock.now()
    first = ModelListing(channel=channel, checked_at=now)
    listing = listing_of(channel) or first
    listing.checked_at, listing.fault = now, listed.fault or ""
    if listed.ok:
        known = listed.names if listing.listed_at is None else listing.known
        listing.listed, listing.complete, listing.listed_at = listed.names, listed.complete, now
        models = _models(channel)
        listing.known = known_after(models, listed.names, known, complete=listed.complete)
        changes = _changes(channel, listing)
        news = [change for change in changes if not change.signs <= {*listing.told}]
        listing.told = sorted(set[str]().union(*(change.signs for change in changes)))
        if news:
            _publish_changes(actor, channel, news)
    listing.save()


def _publish_changes(actor: Actor, channel: Channel, news: Collection[ModelChange]) -> None:
    named = {
        "added": [change.name for change in news if change.kind == "added"],
        "gone": [change.was for change in news if change.kind == "gone"],
        "renamed": [f"{new.was} → {new.name}" for new in news if new.kind == "renamed"],
    }
    detail: dict[str, Any] = {f"{kind}_count": len(names) for kind, names in named.items()}
    detail |= {kind: names[:_NAMED_MAX] for kind, names in named.items()}
    audit.record(actor, None, "channel.models_changed", channel, name=channel.name, **detail)
    if actor == SYSTEM:
        id = id_text(channel.id)
        put("channel.models_changed", None, channel=channel.name, channel_id=id, **detail)


# Decisions --------------------------------------------------------------------------------------


def decide(
    actor: Actor, channel: Channel, accepted: Mapping[str, str], dismissed: Collection[str]
) -> list[ModelChange]:
    """Accept changes by id, with the public name for an added model ("" for the provider's name),
    and dismiss others. Return the decided ones. Raises ChannelRefused, also for a change that no
    longer exists."""
    with transaction.atomic():
        locked = Channel.objects.select_for_update().get(id=channel.id)
        listing = listing_of(locked)
        pending = (
            {} if listing is None else {change.id: change for change in _changes(locked, listing)}
        )
        if listing is None or not pending.keys() >= {*accepted, *dismissed}:
            text = gettext("The list has changed in the meantime. Look at it again.")
            raise ChannelRefused("changes", text)
        taken = [pending[id] for id in accepted]
        decided = [*taken, *(pending[id] for id in dismissed if id not in accepted)]
        _take_over(actor, locked, taken, accepted)
        listing.known = known_decided(listing.known, decided)
        listing.save(update_fields=["known"])
        audit.record(
            actor, None, "channel.models_decided", locked,
            name=locked.name, accepted=list(accepted),
            dismissed=[id for id in dismissed if id not in accepted],
        )  # fmt: skip
    return decided


def _take_over(
    actor: Actor, channel: Channel, taken: Iterable[ModelChange], public: Mapping[str, str]
) -> None:
    models, chosen = _models(channel), []
    prices, provider = prices_in_force(), provider_of(channel)
    for change in taken:
        if change.kind == "added":
            named = {change.name: public[change.id].strip() or change.name}
            (row,) = propose_models(provider, [change.name], prices, named=named)
            if row.name in models:
                text = gettext("Two models have the name %(name)s.") % {"name": row.name}
                raise ChannelRefused("changes", text)
            models[row.name] = "" if row.name == change.name else change.name
            chosen.append(row)
        for name in change.serves:
            if change.kind == "gone":
                del models[name]
            else:
                models[name] = "" if name == change.name else change.name
    if models != _models(channel):
        change_channel(actor, channel, {"models": models})
    set_new_prices(actor, chosen)


def _changes(channel: Channel, listing: ModelListing) -> list[ModelChange]:
    models = _models(channel)
    return model_changes(models, listing.listed, listing.known, complete=listing.complete)


def _models(channel: Channel) -> dict[str, str]:
    return {route.model: route.upstream_model for route in channel.routes.all()}
