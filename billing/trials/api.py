"""The management API of trial credit; for operators. The page calls the same functions."""

from typing import Any, Literal

from django.http import HttpRequest
from pydantic import Field

from accounts.access.actors import Actor
from accounts.access.operations import Router, requires
from accounts.guards import api_auth
from accounts.guards.reauthentication import check_signed_in_recently
from billing.trials import trials
from billing.trials.rules import DAYS_MAX
from lib.api.openapi import RequestBody, Schema

router = Router(tags=["Operator billing"], auth=api_auth.installation_auth)


class TrialCreditChange(RequestBody):
    """Changes to trial credit. Omitted fields stay as they are."""

    amount: str | None = Field(
        None,
        max_length=30,
        description="The credit that an organisation gets, in USD. 0: no credit.",
    )
    once: Literal["domain", "person"] | None = Field(
        None,
        description="`domain`: once for each email domain, and at a public email provider once for "
        "each person. `person`: once for each person.",
    )
    days: int | None = Field(
        None,
        ge=1,
        le=DAYS_MAX,
        strict=True,
        description="After how many days the credit expires. `null`: never.",
    )


class TrialCreditOut(Schema):
    amount: str
    once: str
    days: int | None
    approval: str | None = Field(
        description="ID of the approval that waits, for an amount above the credit limit."
    )
    proposed: str | None = Field(description="The amount that waits for it.")


@router.get("/trial-credit", response=TrialCreditOut, summary="Show trial credit")
@requires("credits.read")
def read_trial_credit(actor: Actor) -> dict[str, Any]:
    """What an organisation gets when a new person creates it."""
    return _serialize()


@router.patch("/trial-credit", response=TrialCreditOut, summary="Change trial credit")
@requires("credits.write")
def change_trial_credit(
    request: HttpRequest, actor: Actor, body: TrialCreditChange
) -> dict[str, Any]:
    """Credit that was given stays as it is. A higher amount than the credit limit waits for the
    approval of another operator."""
    check_signed_in_recently(request)
    trials.save_trial_setting(actor, **body.dict(exclude_unset=True))
    return _serialize()


def _serialize() -> dict[str, Any]:
    waits = trials.waiting_amount()
    return trials.describe_setting() | {
        "approval": waits.outer_id if waits else None,
        "proposed": waits.changes[0]["after"] if waits else None,
    }
