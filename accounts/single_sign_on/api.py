"""The management API of single sign-on. Pages call the same functions."""

import datetime as dt
from typing import Annotated

from django.http import HttpRequest
from ninja import Status
from pydantic import Field

from accounts.access.actors import Actor, organisation_of
from accounts.access.operations import Router, requires
from accounts.guards import api_auth
from accounts.guards.reauthentication import check_may_change_single_sign_on
from accounts.models import SingleSignOn
from accounts.sign_on_connections.connections import provider_id
from accounts.single_sign_on import single_sign_on
from accounts.single_sign_on.oidc import ProviderFailed, callback_url_of
from accounts.single_sign_on.rules import DOMAINS_MAX, RULES_MAX
from lib.api.openapi import RequestBody, Schema

router = Router(tags=["Single sign-on"])
operator_router = Router(tags=["Operators"], auth=api_auth.installation_auth)

Domain = Annotated[str, Field(min_length=3, max_length=253)]
Slug = Annotated[str, Field(min_length=1, max_length=60)]
RoleName = Annotated[str, Field(max_length=40)]


class GroupRuleIn(RequestBody):
    """The role and teams for members of a group of the identity provider."""

    group: str = Field(min_length=1, max_length=200)
    role: RoleName = Field(min_length=1, description="A built-in role or a custom one by name.")
    teams: list[Slug] = Field(
        default_factory=list, max_length=200, description="Slugs; empty for all teams."
    )


class SingleSignOnIn(RequestBody):
    """The whole configuration. Omitted fields get their default."""

    issuer: str = Field(min_length=1, max_length=500, description="The identity provider's URL.")
    client_id: str = Field(min_length=1, max_length=200)
    secret: str | None = Field(
        None,
        min_length=1,
        max_length=500,
        description="The client secret. It is never returned. Leave it out to keep the stored one; "
        "a new issuer or client needs it again.",
    )
    domains: list[Domain] = Field(
        default_factory=list,
        max_length=DOMAINS_MAX,
        description="People with a verified address at these domains join automatically, "
        "once an operator has confirmed the domains.",
    )
    group_claim: str = Field("groups", max_length=100, description="Lists a person's groups.")
    group_rules: list[GroupRuleIn] = Field(
        default_factory=list,
        max_length=RULES_MAX,
        description="The first matching rule sets the role.",
    )
    default_role: RoleName = Field(
        "", description=("The role if no group matches. Empty: no access.")
    )
    required: bool = Field(
        False, description="Members other than owners can only sign in this way."
    )


class GroupRuleOut(Schema):
    group: str
    role: str
    teams: list[str]


class SingleSignOnOut(Schema):
    issuer: str
    client_id: str
    domains: list[str]
    domains_confirmed: bool = Field(
        description="Whether an operator has confirmed every domain for this issuer and client."
    )
    group_claim: str
    group_rules: list[GroupRuleOut]
    default_role: str
    required: bool
    callback_url: str = Field(description="Register it with the identity provider.")
    created_at: dt.datetime


class SingleSignOnTestOut(Schema):
    ok: bool
    problem: str = Field(description="What to correct; empty if the provider responds as it must.")


class DomainsIn(RequestBody):
    """The facts that were checked. The confirmation covers all of them together, and is rejected if
    the organisation has changed one of them since."""

    issuer: str = Field(max_length=500, description="The issuer that was checked.")
    client_id: str = Field(max_length=200, description="The client ID that was checked.")
    domains: list[Domain] = Field(
        max_length=DOMAINS_MAX, description="The domains that were checked."
    )


@router.get("/single-sign-on", response=SingleSignOnOut, summary="Show single sign-on")
def read_single_sign_on(actor: Actor) -> SingleSignOnOut:
    """How members sign in by the organisation's identity provider."""
    return _serialize_single_sign_on(single_sign_on.access_single_sign_on(actor))


@router.put("/single-sign-on", response=SingleSignOnOut, summary="Set up single sign-on")
@requires("sign_in.write")
def save_single_sign_on(
    request: HttpRequest, actor: Actor, body: SingleSignOnIn
) -> SingleSignOnOut:
    """Sets it up, or replaces its configuration. Another issuer or client ends all connections and
    confirmations; domains that are added have to be confirmed. Keys may change it only where the
    installation sets `SSO_CHANGES_BY_KEY`."""
    check_may_change_single_sign_on(request)
    fields = body.dict()
    secret = fields.pop("secret") or ""
    organisation = organisation_of(actor)
    saved = single_sign_on.save_single_sign_on(
        actor, organisation, secret=secret, keep_session=_own_session(request), **fields
    )
    return _serialize_single_sign_on(saved)


@router.delete("/single-sign-on", response={204: None}, summary="Remove single sign-on")
def remove_single_sign_on(request: HttpRequest, actor: Actor) -> Status[None]:
    """Removes it and every connection to it. Members without a password reset it by email."""
    row = single_sign_on.access_single_sign_on(actor)
    check_may_change_single_sign_on(request)
    single_sign_on.remove_single_sign_on(actor, row, keep_session=_own_session(request))
    return Status(204, None)


@router.post("/single-sign-on/test", response=SingleSignOnTestOut, summary="Test single sign-on")
def test_single_sign_on(actor: Actor) -> SingleSignOnTestOut:
    """Reads the identity provider's configuration. To see the claims of a person, sign in through
    the test on the settings page."""
    row = single_sign_on.access_single_sign_on(actor)
    try:
        single_sign_on.check_provider(row)
    except ProviderFailed as failed:
        return SingleSignOnTestOut(ok=False, problem=str(failed))
    return SingleSignOnTestOut(ok=True, problem="")


@operator_router.get(
    "/organisations/{slug}/single-sign-on",
    response=SingleSignOnOut,
    summary="Show an organisation's single sign-on",
)
def read_single_sign_on_of(actor: Actor, slug: str) -> SingleSignOnOut:
    """The configuration of any organisation, without its secret."""
    return _serialize_single_sign_on(single_sign_on.access_single_sign_on_of(actor, slug))


@operator_router.post(
    "/organisations/{slug}/single-sign-on/confirm-domains",
    response=SingleSignOnOut,
    summary="Confirm email domains",
)
@requires("organisations.write")
def confirm_domains(
    request: HttpRequest, actor: Actor, slug: str, body: DomainsIn
) -> SingleSignOnOut:
    """Confirms that the domains belong to the organisation, and the issuer and client with them.
    People with these addresses then join it by single sign-on."""
    check_may_change_single_sign_on(request)
    row = single_sign_on.access_single_sign_on_of(actor, slug)
    return _serialize_single_sign_on(single_sign_on.confirm_domains(actor, row, seen=body.dict()))


@operator_router.delete(
    "/organisations/{slug}/single-sign-on/confirm-domains",
    response=SingleSignOnOut,
    summary="Withdraw confirmation of email domains",
)
@requires("organisations.write")
def unconfirm_domains(request: HttpRequest, actor: Actor, slug: str) -> SingleSignOnOut:
    """Withdraws the confirmation. The connections it created end, with the sessions that used them.
    Connections that people created while signed in remain."""
    check_may_change_single_sign_on(request)
    row = single_sign_on.access_single_sign_on_of(actor, slug)
    return _serialize_single_sign_on(single_sign_on.unconfirm_domains(actor, row))


def _own_session(request: HttpRequest) -> str | None:
    """Return the session that makes the change, or None if a key makes it."""
    return request.session.session_key


def _serialize_single_sign_on(row: SingleSignOn) -> SingleSignOnOut:
    return SingleSignOnOut(
        **single_sign_on.describe_settings(row),
        callback_url=callback_url_of(provider_id(row)),
        created_at=row.created_at,
    )
