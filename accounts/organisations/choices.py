"""Organisations, teams and members as the choices of a field."""

from collections.abc import Sequence

from django.db.models import Q, Value
from django.db.models.functions import Coalesce, NullIf
from django.http import HttpRequest, HttpResponse
from django.urls import reverse_lazy
from django.utils.translation import gettext
from django.views.decorators.http import require_safe

from accounts.access.access import all_organisations, visible_teams
from accounts.access.actors import Actor
from accounts.guards.guards import operator_page, organisation_page
from accounts.models import Organisation
from lib.forms.picker import CHOICES_MAX, Choice, PickText, answer_choices, typed_text


def pick_organisation(*, many: bool = False) -> PickText:
    """Return the form field that picks an organisation, or several, by slug."""
    return PickText(many=many, url=reverse_lazy("organisation_choices"), describe=_describe)


def pick_holder() -> PickText:
    """Return the form field that picks a team, by slug, or a member, by address, of the
    organisation in the field `slug`."""
    return PickText(url=reverse_lazy("holder_choices"), beside="slug")


@operator_page("organisations.read")
@require_safe
def organisation_choices(request: HttpRequest, actor: Actor) -> HttpResponse:
    text = typed_text(request)
    named = Q(name__icontains=text) | Q(slug__icontains=text)
    rows = all_organisations(actor).filter(named).order_by("name", "id")[:CHOICES_MAX]
    choices = [Choice(row.slug, row.name, row.slug) for row in rows]
    return answer_choices(request, choices, gettext("No organisation has this name."))


@operator_page("organisations.read")
@require_safe
def holder_choices(request: HttpRequest, actor: Actor) -> HttpResponse:
    """Return the teams and members of the organisation that the form's other field names."""
    text, slug = typed_text(request), request.GET.get("slug", "").replace("\x00", "")
    chosen = all_organisations(actor).filter(slug=slug).first()
    if chosen is None:
        return answer_choices(request, [], gettext("Choose an organisation first."))
    teams = chosen.teams.filter(archived_at=None, name__icontains=text).order_by("name")
    members = chosen.memberships.filter(
        Q(user__name__icontains=text) | Q(user__email__icontains=text)
    ).select_related("user")
    members = members.order_by(Coalesce(NullIf("user__name", Value("")), "user__email"))
    choices = [Choice(team.slug, team.name, gettext("Team")) for team in teams[:CHOICES_MAX]]
    choices += [
        Choice(member.user.email, member.user.name or member.user.email, member.user.email)
        for member in members[:CHOICES_MAX]
    ]
    return answer_choices(request, choices, gettext("Nothing matches."))


@organisation_page("teams.read")
@require_safe
def team_choices(request: HttpRequest, actor: Actor) -> HttpResponse:
    """Return the teams of the actor's organisation, by slug."""
    teams = visible_teams(actor).filter(archived_at=None, name__icontains=typed_text(request))
    choices = [Choice(team.slug, team.slug, team.name) for team in teams[:CHOICES_MAX]]
    return answer_choices(request, choices, gettext("Nothing matches."))


def _describe(slugs: Sequence[str]) -> list[Choice]:
    names = dict(Organisation.objects.filter(slug__in=slugs).values_list("slug", "name"))
    return [Choice(slug, names.get(slug, slug)) for slug in slugs]
