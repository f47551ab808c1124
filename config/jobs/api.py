"""The management API of background jobs; for operators. The page of the system's health shows the
same."""

import datetime as dt
from typing import Any, Literal

from ninja import Query
from pydantic import Field

from accounts.access.actors import Actor
from accounts.access.operations import Router, requires
from accounts.guards import api_auth
from config.jobs.runs import JobState, job_states
from lib.api import pagination
from lib.api.openapi import Schema

router = Router(tags=["Operators"], auth=api_auth.installation_auth)


class JobOut(Schema):
    """How a background job fares."""

    task: str = Field(description="Its name in the worker's log.")
    title: str
    state: Literal["good", "late", "waiting"] = Field(
        description="`late`: operators are notified. `waiting`: it has not run yet and is not late."
    )
    every_s: int = Field(description="Seconds between two runs.")
    late_s: int = Field(
        description=("Seconds without a successful run after which the job is late.")
    )
    last_good_at: dt.datetime | None
    last_run_at: dt.datetime | None = Field(
        description=("When the last run ended, whether or not it succeeded.")
    )
    error: str = Field(description="The type of the last run's error; empty if it succeeded.")


class JobPage(Schema):
    """The background jobs; none where no web process has ever looked."""

    items: list[JobOut]
    next: str | None


@router.get("/jobs", response=JobPage, summary="List background jobs")
@requires("channels.read")
def list_jobs(actor: Actor, query: Query[pagination.PageQuery]) -> dict[str, Any]:
    """Background jobs and their status."""
    page = pagination.page_by_key(
        job_states(), query.limit, query.cursor, lambda state: state.job.task
    )
    return {"items": [_serialize_job(state) for state in page.items], "next": page.next}


def _serialize_job(state: JobState) -> dict[str, Any]:
    fares = "good" if state.run.good_at else "waiting"
    return {
        "task": state.job.task,
        "title": str(state.job.title),
        "state": "late" if state.late else fares,
        "every_s": state.job.every_s,
        "late_s": state.job.late_s,
        "last_good_at": state.run.good_at,
        "last_run_at": state.run.ended_at,
        "error": state.run.error,
    }
