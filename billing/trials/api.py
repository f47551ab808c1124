"""The management API of trial credit; for operators. The page calls the same functions."""

from typing import Any, Literal

from django.http import HttpRequest
from ninja import Router
from pydantic import Field

from accounts.access import access, actors
from accounts.guards import api_auth
from accounts.guards.reauthentication import check_signed_in_recently
from billing.trials import trials
from billing.trials.rules import DAYS_MAX
from lib.api.openapi import RequestBody, Schema

router = Router(tags=["Operator billing"], auth=api_auth.installation_auth)


class TrialCreditChange(RequestBody):
    """Changes to trial credit. Omitted fields stay as they are."""

    amount: str | None = Field(
        None, max_length=30, description="USD that an organisation gets; 0 gives none."
    )
    once: Literal["domain", "person"] | None = Field(
        None,
        description="`domain`: once for an email domain, but for each person of a public email "
        "provider. `person`: once for each person.",
    )
    days: int | None = Field(
        None,
        ge=1,
        le=DAYS_MAX,
        strict=True,
        description="After how many days it expires. `null`: never.",
    )


class TrialCreditOut(Schema):
    amount: str
    once: str
    days: int | None


@router.get("/trial-credit", response=TrialCreditOut, summary="Show trial credit")
def read_trial_credit(request: HttpRequest) -> dict[str, Any]:
    """What an organisation gets when a new person creates it."""
    access.require(actors.actor_of(request), "credits.read")
    return trials.describe_setting()


@router.patch("/trial-credit", response=TrialCreditOut, summary="Change trial credit")
def change_trial_credit(request: HttpRequest, body: TrialCreditChange) -> dict[str, Any]:
    """Credit that was given stays as it is."""
    actor = actors.actor_of(request)
    access.require(actor, "credits.write")
    check_signed_in_recently(request)
    trials.save_trial_setting(actor, **body.dict(exclude_unset=True))
    return trials.describe_setting()
