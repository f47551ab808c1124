"""The management API of feedback about requests. The pages call the same functions."""

import datetime as dt
from collections.abc import Mapping
from typing import Literal
from uuid import UUID

from ninja import Query, Status
from pydantic import Field

from accounts.access.actors import Actor
from accounts.access.operations import Router, requires
from lib.api import pagination
from lib.api.instants import Instant
from lib.api.openapi import Input, Schema
from lib.ids import id_text
from lib.numbers.whole_numbers import TypedWhole
from usage.feedback.feedback import (
    access_feedback,
    delete_feedback,
    filter_feedback,
    sums_of,
    team_names,
    visible_feedback,
)
from usage.feedback.rules import GOOD_FROM
from usage.filters.queries import Id
from usage.models import Feedback

router = Router(tags=["Usage"])


class FeedbackFilter(Input):
    """The feedback to select."""

    model: str | None = Field(None, max_length=200, description="Only about exactly this model.")
    team: str | None = Field(None, max_length=200, description="Only about this team: its slug.")
    prompt: str | None = Field(
        None, max_length=60, description="Only about requests with this saved prompt: its slug."
    )
    prompt_version: TypedWhole | None = Field(
        None, ge=1, description="Only about requests with this version of a prompt."
    )
    since: Instant | None = Field(None, description="First sent at this time or later.")
    until: Instant | None = Field(None, description="First sent before this time.")


class FeedbackQuery(pagination.PageQuery, FeedbackFilter):
    """A page of the list of feedback."""

    request: Id | None = Field(None, description="Only about this request.")


class SumsQuery(FeedbackFilter):
    by: Literal["model", "team", "prompt"] = "model"


class FeedbackOut(Schema):
    id: str
    request: str = Field(description="The request ID.")
    model: str
    team: str = Field(description="Name of the team of the request.")
    prompt: str | None = Field(description="Slug of the saved prompt that the request used.")
    prompt_version: int | None
    key: str = Field(description="ID of the key that sent it.")
    author: str | None = Field(
        description="Email address of the person of that key, or of the chat; null without one."
    )
    score: int | None = Field(description="From 0, bad, to 100, good.")
    label: str
    comment: str = Field(description="As its author sent it: escape it before you show it.")
    created_at: dt.datetime
    updated_at: dt.datetime


class FeedbackPage(Schema):
    items: list[FeedbackOut]
    next: str | None


class FeedbackSum(Schema):
    group: str = Field(description="Model name, or slug of the team or prompt.")
    version: int | None = Field(description="The version of the prompt; null for other groups.")
    total: int
    scored: int = Field(description="Those with a score.")
    good: int = Field(description=f"Those with a score of {GOOD_FROM} or more.")
    commented: int
    mean_score: int | None = Field(description="Rounded; null without a score.")


class FeedbackSums(Schema):
    items: list[FeedbackSum]


@router.get("/feedback", response=FeedbackPage, summary="List feedback")
def list_feedback(actor: Actor, query: Query[FeedbackQuery]) -> FeedbackPage:
    """Feedback about the requests that you see, newest first."""
    rows = filter_feedback(
        actor, visible_feedback(actor), model=query.model or "", team=query.team or "",
        prompt=query.prompt or "", version=query.prompt_version, request=query.request or "",
        since=query.since, until=query.until,
    )  # fmt: skip
    page = pagination.page_by_id(rows, query.limit, query.cursor)
    names = team_names(page.items)
    return FeedbackPage(items=[_describe(row, names) for row in page.items], next=page.next)


@router.get("/feedback/sums", response=FeedbackSums, summary="Sum feedback")
def sum_feedback(actor: Actor, query: Query[SumsQuery]) -> FeedbackSums:
    """How many, how many good ones, and the mean score, by model, team or version of a prompt."""
    rows = filter_feedback(
        actor, visible_feedback(actor), model=query.model or "", team=query.team or "",
        prompt=query.prompt or "", version=query.prompt_version, since=query.since,
        until=query.until,
    )  # fmt: skip
    items = [
        FeedbackSum(
            group=one.id,
            version=one.version,
            total=one.total,
            scored=one.scored,
            good=one.good,
            commented=one.commented,
            mean_score=one.mean,
        )
        for one in sums_of(rows, query.by)
    ]
    return FeedbackSums(items=items)


@router.get("/feedback/{id}", response=FeedbackOut, summary="Show feedback")
def show_feedback(actor: Actor, id: str) -> FeedbackOut:
    """One that you see."""
    row = access_feedback(actor, id)
    return _describe(row, team_names([row]))


@router.delete("/feedback/{id}", response={204: None}, summary="Delete feedback")
@requires("organisation.write")
def remove_feedback(actor: Actor, id: str) -> Status[None]:
    """Deletes the feedback of anybody, such as one whose comment must not be kept. Only for
    owners."""
    delete_feedback(actor, access_feedback(actor, id))
    return Status(204, None)


def _describe(row: Feedback, names: Mapping[UUID, str]) -> FeedbackOut:
    return FeedbackOut(
        id=id_text(row.id),
        request=id_text(row.request_id),
        model=row.model,
        team=names.get(row.team_id, ""),
        prompt=row.prompt or None,
        prompt_version=row.prompt_version,
        key=id_text(row.author_key_id),
        author=row.author.email if row.author else None,
        score=row.score,
        label=row.label,
        comment=row.comment,
        created_at=row.created_at,
        updated_at=row.updated_at,
    )
