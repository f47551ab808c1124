"""Feedback about requests: who sees it, the writes of pages, and its sums by model, team and
version of a prompt."""

import datetime as dt
from collections.abc import Collection, Iterable, Mapping
from functools import reduce
from operator import and_
from typing import Final, Literal, NamedTuple
from uuid import UUID

from django.db import transaction
from django.db.models import Avg, Count, F, Q, QuerySet
from django.db.models.functions import Round
from django.utils.translation import gettext

from accounts.access.access import get_by_id, require
from accounts.access.actors import Actor, organisation_of, person_of
from accounts.audit import audit
from accounts.models import Team
from lib.ids import id_text, parse_id
from lib.refusal import Refused
from usage.feedback.rules import GOOD_FROM, Opinion, problem_of
from usage.feedback.sql import give_by_person
from usage.filters.visibility import NIL, Pick, run, seen_by
from usage.models import Feedback

SumsBy = Literal["model", "team", "prompt"]
_GROUPED_BY: Final[Mapping[SumsBy, tuple[str, ...]]] = {
    "model": ("model",),
    "team": ("team_id",),
    "prompt": ("prompt", "prompt_version"),
}


class Sums(NamedTuple):
    """The feedback about one model, team or version of a prompt: how many, of them how many have a
    score and a comment, how many scores are good, and their mean. `id` is the model's name, or the
    slug of the team or prompt; `version` that of a prompt."""

    id: str
    name: str
    version: int | None
    total: int
    scored: int
    good: int
    commented: int
    mean: int | None

    @property
    def good_percent(self) -> int | None:
        """The share of good scores, rounded half up."""
        return (200 * self.good + self.scored) // (2 * self.scored) if self.scored else None


def visible_feedback(actor: Actor) -> QuerySet[Feedback]:
    """Return the feedback about the requests that the actor sees. Raises AccessDenied."""
    conditions = [_condition(pick) for pick in seen_by(actor, "requests.read")]
    return Feedback.objects.filter(reduce(and_, conditions)).select_related("author")


def _condition(pick: Pick) -> Q:
    condition = Q(**{f"{pick.column}__in": list(pick.values)})
    return condition | _condition(pick.otherwise) if pick.otherwise else condition


def access_feedback(actor: Actor, id: str) -> Feedback:
    """Return one feedback that the actor sees. Raises Http404."""
    return get_by_id(visible_feedback(actor), id)


def sums_of(rows: QuerySet[Feedback], by: SumsBy) -> list[Sums]:
    """Return the sums of feedback by model, team or version of a prompt, the most frequent first.
    By prompt, requests without one have no sum."""
    if by == "prompt":
        rows = rows.exclude(prompt="")
    columns = _GROUPED_BY[by]
    groups = list(
        rows.order_by()
        .values(*columns)
        .annotate(
            total=Count("id"),
            scored=Count("score"),
            good=Count("id", filter=Q(score__gte=GOOD_FROM)),
            commented=Count("id", filter=~Q(comment="")),
            mean=Round(Avg("score")),
        )
    )
    teams = Team.objects.in_bulk([group["team_id"] for group in groups]) if by == "team" else {}
    sums = []
    for group in groups:
        value, *version = [group.pop(column) for column in columns]
        team, mean = teams.get(value), group.pop("mean")
        id, name = (value, value) if by != "team" else (team.slug, team.name) if team else ("", "")
        mean = None if mean is None else int(mean)
        sums.append(Sums(id, name, version[0] if version else None, mean=mean, **group))
    return sorted(sums, key=lambda one: (-one.total, one.name, one.version or 0))


def filter_feedback(
    actor: Actor,
    rows: QuerySet[Feedback],
    *,
    model: str = "",
    team: str = "",
    prompt: str = "",
    version: int | None = None,
    request: str = "",
    since: dt.datetime | None = None,
    until: dt.datetime | None = None,
) -> QuerySet[Feedback]:
    """Select feedback by the model, the slug of the team, the prompt and the id of its request, and
    by when it was first sent; "" and None select all."""
    if model:
        rows = rows.filter(model=model)
    if team:
        own = Team.objects.filter(organisation=organisation_of(actor), slug=team)
        rows = rows.filter(team_id__in=own.values("id"))
    if prompt:
        rows = rows.filter(prompt=prompt)
    if version is not None:
        rows = rows.filter(prompt_version=version)
    if request:
        rows = rows.filter(request_id=parse_id(request) or NIL)
    if since is not None:
        rows = rows.filter(created_at__gte=since)
    return rows if until is None else rows.filter(created_at__lt=until)


def team_names(rows: Iterable[Feedback]) -> dict[UUID, str]:
    """Return the names of the teams of these rows, by id."""
    teams = Team.objects.filter(id__in={row.team_id for row in rows})
    return dict(teams.values_list("id", "name"))


def opinions_of(
    organisation_id: UUID, user_id: int, request_ids: Collection[UUID]
) -> dict[UUID, Opinion]:
    """Return what a person says about these requests of theirs in the playground."""
    rows = Feedback.objects.filter(
        organisation=organisation_id, request_id__in=request_ids, author=user_id,
        author_key_id=F("key_id"),
    )  # fmt: skip
    return {row.request_id: Opinion(row.score, row.label, row.comment) for row in rows}


def give_feedback(actor: Actor, request_id: UUID, opinion: Opinion) -> None:
    """Store a person's feedback about their own request, in place of an earlier one. It is not
    audited, like chats. Raises Refused."""
    require(actor, "playground.use")
    problem = problem_of(opinion)
    if problem is not None:
        raise Refused(problem.member, problem.text)
    text, parameters = give_by_person(
        organisation_of(actor).id, request_id, opinion, user_id=person_of(actor).pk
    )
    if not run(text, dict(parameters)):
        raise Refused("score", gettext("The request of this answer does not exist."))


def withdraw_feedback(actor: Actor, request_id: UUID) -> None:
    """Delete a person's own feedback about a request of theirs."""
    require(actor, "playground.use")
    Feedback.objects.filter(
        organisation=organisation_of(actor), request_id=request_id, author=person_of(actor),
        author_key_id=F("key_id"),
    ).delete()  # fmt: skip


def delete_feedback(actor: Actor, feedback: Feedback) -> None:
    """Delete the feedback of anybody, such as one whose comment should not be kept, unless others
    have deleted it meanwhile."""
    require(actor, "organisation.write")
    with transaction.atomic():
        locked = Feedback.objects.select_for_update().filter(pk=feedback.pk).first()
        if locked is None:
            return
        audit.record(
            actor, organisation_of(actor), "feedback.deleted", locked,
            request=id_text(locked.request_id),
        )  # fmt: skip
        locked.delete()
