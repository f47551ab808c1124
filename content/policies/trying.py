"""Try a policy on a text: pure guards first, then those that make a call, by the relay of this
process."""

from collections.abc import Sequence
from typing import Any, Final, Protocol
from uuid import UUID

from asgiref.sync import async_to_sync
from django.http import HttpRequest
from django.utils.translation import gettext

from accounts.access import access
from accounts.access.actors import Actor, organisation_of
from accounts.keys.keys import playground_key
from content.guards.rules import GuardRule
from content.models import Policy
from content.policies.guards import KNOWN
from content.policies.policies import PolicyRefused, sealed_rules
from content.policies.rules import Tried, try_rules

# Calls of all others, those of extensions included, can ask a model.
_ASK_NO_MODEL: Final = frozenset({"hook", "presidio"})


class TryingRelay(Protocol):
    """The part of the relay that a try needs (`relay.pages.in_process.InProcessRelay`)."""

    async def try_guards(
        self, key_id: UUID, user_id: int | None, rules: Sequence[GuardRule], tried: Sequence[Tried]
    ) -> list[Tried]:
        """Return what guards that make a call make of texts."""


def try_policy(request: HttpRequest, actor: Actor, policy: Policy, text: str) -> list[Tried]:
    """Return what a policy makes of a text in each place. Requests to models are charged to the
    organisation's playground key. Raises AccessDenied if a guard may make such a request and the
    actor may not use the playground, and PolicyRefused if this process has no relay for a guard
    that makes a call."""
    rules = sealed_rules(policy)
    calling = [rule for rule in rules if rule.guard not in KNOWN or KNOWN[rule.guard].call]
    if any(rule.guard not in _ASK_NO_MODEL for rule in calling):
        access.require(actor, "playground.use")
    tried = try_rules([rule for rule in rules if rule not in calling], text)
    asked = [
        one
        for one in tried
        if not one.refused_by and any(one.place in rule.places for rule in calling)
    ]
    if not asked:
        return tried
    scope: dict[str, Any] = getattr(request, "scope", {})
    relay: TryingRelay | None = scope.get("weir.relay")
    if relay is None:
        raise PolicyRefused("text", gettext("This process has no relay."))
    key = playground_key(organisation_of(actor))
    user_id = actor.user.id if actor.user else None
    answered = async_to_sync(relay.try_guards)(key.id, user_id, calling, asked)
    by_place = {one.place: one for one in answered}
    return [by_place.get(one.place, one) for one in tried]
