"""The management API of operators on sign-up. The page calls the same functions."""

from typing import Any, Literal

from django.http import HttpRequest
from pydantic import Field

from accounts.access.actors import Actor
from accounts.access.operations import Router, requires
from accounts.guards import api_auth
from accounts.guards.reauthentication import check_signed_in_recently
from accounts.sign_up import listed_domains, sign_up
from lib.api.openapi import RequestBody, Schema

router = Router(tags=["Organisations"], auth=api_auth.installation_auth)


class SignUpDomainIn(RequestBody):
    """The organisation and role for people of an email domain."""

    domain: str = Field(min_length=3, max_length=253)
    organisation: str = Field(min_length=1, max_length=60, description="Its slug.")
    role: Literal["admin", "billing", "developer", "viewer"]


class SignUpChange(RequestBody):
    """Changes to sign-up. Omitted fields stay as they are."""

    mode: Literal["off", "invite", "domain", "open"] | None = Field(
        None,
        description="`off`: operators create accounts. `invite`: people with an invitation. "
        "`domain`: also people with a listed email domain. `open`: anyone.",
    )
    captcha: bool | None = Field(
        None,
        strict=True,
        description="Whether browsers must do a proof of work before a sign-up without an "
        "invitation in the mode `open`, and from a network's fourth password reset within an hour.",
    )
    domains: list[SignUpDomainIn] | None = Field(
        None, max_length=listed_domains.DOMAINS_MAX, description="Replaces the whole list."
    )


class SignUpDomainOut(Schema):
    domain: str
    organisation: str
    role: str


class SignUpOut(Schema):
    mode: str
    captcha: bool
    domains: list[SignUpDomainOut]


@router.get("/sign-up", response=SignUpOut, summary="Show sign-up settings")
@requires("organisations.read")
def read_sign_up(actor: Actor) -> dict[str, Any]:
    """Who can create an account on the installation."""
    return sign_up.describe_settings()


@router.patch("/sign-up", response=SignUpOut, summary="Change sign-up settings")
@requires("organisations.write")
def change_sign_up(request: HttpRequest, actor: Actor, body: SignUpChange) -> dict[str, Any]:
    """Sets who can create an account. Opening sign-up needs a mail server, because each address
    has to be confirmed."""
    check_signed_in_recently(request)
    sign_up.save_sign_up(actor, **body.dict(exclude_unset=True))
    return sign_up.describe_settings()
