"""Access to objects of the control plane: operators can access all of them, others none."""

from collections.abc import Sequence

from django.db.models import Count, OuterRef, QuerySet, Subquery
from django.db.models.functions import Coalesce
from django.http import Http404

from accounts.access.access import get_by_id, require
from accounts.access.actors import Actor
from billing.models import (
    MemberPlan,
    OrganisationPlan,
    Plan,
    Price,
    PriceProposal,
    PriceVersion,
    TeamPlan,
)
from gateway.models import (
    Channel,
    ChannelKey,
    ChannelTestRun,
    ModelAlias,
    ModelRule,
    PricePreview,
    ShadowAnswer,
)
from lib.ids import parse_id, parse_number


def visible_channels(actor: Actor) -> QuerySet[Channel]:
    """Return every channel that is not archived, in the order in which requests try them."""
    return every_channel(actor).filter(archived_at=None)


def every_channel(actor: Actor) -> QuerySet[Channel]:
    """Return every channel, including archived ones, in the order in which requests try them."""
    require(actor, "channels.read")
    return Channel.objects.prefetch_related("routes", "keys").order_by("priority", "name")


def access_channel(actor: Actor, id: str) -> Channel:
    """Return a channel by its id as text, archived or not. Raises Http404."""
    return get_by_id(every_channel(actor), id)


def access_channels(actor: Actor, ids: Sequence[str]) -> list[Channel]:
    """Return the channels with these ids as text, in the order in which requests try them. Raises
    Http404 if one is missing or archived."""
    wanted = {parse_id(id) for id in ids}
    rows = visible_channels(actor).filter(id__in=[id for id in wanted if id is not None])
    if len(rows) < len(wanted):
        raise Http404
    return list(rows)


def access_channel_key(actor: Actor, channel: Channel, id: str) -> ChannelKey:
    """Return a key of a channel by its id as text. Raises Http404."""
    require(actor, "channels.read")
    return get_by_id(channel.keys.all(), id)


def visible_rules(actor: Actor) -> QuerySet[ModelRule]:
    """Return the operators' rules for models, by name."""
    require(actor, "channels.read")
    return ModelRule.objects.order_by("model")


def access_rule(actor: Actor, id: str | int) -> ModelRule:
    """Return a model rule. Raises Http404."""
    return get_by_id(visible_rules(actor), parse_number(id) if isinstance(id, str) else id)


def visible_shadow_answers(actor: Actor) -> QuerySet[ShadowAnswer]:
    """Return the requests that also went to shadows, newest first."""
    require(actor, "channels.read")
    return ShadowAnswer.objects.order_by("-id")


def visible_aliases(actor: Actor) -> QuerySet[ModelAlias]:
    """Return the aliases, by name."""
    require(actor, "channels.read")
    return ModelAlias.objects.order_by("name")


def access_alias(actor: Actor, id: str | int) -> ModelAlias:
    """Return an alias. Raises Http404."""
    return get_by_id(visible_aliases(actor), parse_number(id) if isinstance(id, str) else id)


def visible_test_runs(actor: Actor) -> QuerySet[ChannelTestRun]:
    """Return the tests of all channels, newest first."""
    require(actor, "channels.read")
    return ChannelTestRun.objects.select_related("made_by").order_by("-id")


def access_test_run(actor: Actor, id: str) -> ChannelTestRun:
    """Return a test of all channels. Raises Http404."""
    return get_by_id(visible_test_runs(actor), id)


def access_price(actor: Actor, id: int) -> Price:
    """Return a price with its versions. Raises Http404."""
    require(actor, "prices.write")
    return get_by_id(Price.objects.all(), id)


def access_proposal(actor: Actor, id: str) -> PriceProposal:
    """Return a proposal, decided or not. Raises Http404."""
    return get_by_id(visible_proposals(actor), id)


def visible_proposals(actor: Actor) -> QuerySet[PriceProposal]:
    """Return the proposals, decided or not, newest first."""
    require(actor, "prices.write")
    rows = PriceProposal.objects.select_related("made_by", "decided_by")
    return rows.order_by("-id")


def visible_versions(actor: Actor) -> QuerySet[PriceVersion]:
    """Return the versions of every price."""
    require(actor, "prices.write")
    return PriceVersion.objects.select_related("price")


def access_version(actor: Actor, id: int) -> PriceVersion:
    """Return a version of a price. Raises Http404."""
    return get_by_id(visible_versions(actor), id)


def access_preview(actor: Actor, id: str) -> PricePreview:
    """Return a price preview. Raises Http404."""
    return get_by_id(visible_previews(actor), id)


def visible_previews(actor: Actor) -> QuerySet[PricePreview]:
    """Return the previews, newest first."""
    require(actor, "prices.write")
    return PricePreview.objects.select_related("made_by").order_by("-id")


def access_price_plan(actor: Actor, id: str | int) -> Plan:
    """Return a plan. Raises Http404."""
    return get_by_id(visible_price_plans(actor), parse_number(id) if isinstance(id, str) else id)


def visible_price_plans(actor: Actor) -> QuerySet[Plan]:
    """Return the plans, by name. Each has `organisation_count`, `team_count` and `member_count`,
    the number of those that are on it."""
    require(actor, "prices.write")
    return Plan.objects.order_by("name").annotate(
        organisation_count=_holder_count(OrganisationPlan),
        team_count=_holder_count(TeamPlan),
        member_count=_holder_count(MemberPlan),
    )


def _holder_count(model: type[OrganisationPlan | TeamPlan | MemberPlan]) -> Coalesce:
    # A join with all three would multiply their rows.
    holders = model._default_manager.filter(plan=OuterRef("pk")).order_by().values("plan")
    return Coalesce(Subquery(holders.annotate(n=Count("pk")).values("n")), 0)
