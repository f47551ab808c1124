"""The management API of the settings in effect for a team, a member or a key."""

from django.http import Http404, HttpRequest
from ninja import Query, Router
from pydantic import Field

from accounts.access import access, actors
from accounts.members.access import visible_members
from accounts.models import Membership
from billing.currency.money import format_usd
from lib.api import pagination
from lib.api.openapi import Schema
from usage.limits.effective_limits import Setting, effective_settings

router = Router(tags=["Organisation"])


class Subject(pagination.PageQuery):
    """A team, a member or a key; without any, the organisation itself."""

    team: str | None = Field(None, max_length=60, description="Slug of a team.")
    member: str | None = Field(None, max_length=254, description="Email address of a member.")
    key: str | None = Field(None, max_length=60, description="ID of a key.")


class SettingOut(Schema):
    setting: str
    value: str
    level: str = Field(description="Where it is set; empty if it is not set.")
    binds: bool = Field(description="False when another level has a lower limit.")


class SettingPage(Schema):
    items: list[SettingOut]
    next: str | None


@router.get("/effective-settings", response=SettingPage, summary="List effective settings")
def list_effective_settings(request: HttpRequest, query: Query[Subject]) -> SettingPage:
    """Every limit, budget and setting that applies, and the level each comes from."""
    actor = actors.actor_of(request)
    access.require(actor, "teams.read")
    rows = effective_settings(
        actor,
        team=access.access_any_team(actor, query.team) if query.team else None,
        member=_member(actor, query.member) if query.member else None,
        key=access.access_key(actor, query.key) if query.key else None,
    )
    page = pagination.page_by_position(rows, query.limit, query.cursor)
    return SettingPage(items=[_serialize_setting(row) for row in page.items], next=page.next)


def _member(actor: actors.Actor, email: str) -> Membership:
    """Return a member that the actor may see. Raises Http404."""
    member = visible_members(actor).filter(user__email__iexact=email).first()
    if member is None:
        raise Http404
    return member


def _serialize_setting(row: Setting) -> SettingOut:
    value = format_usd(row.value) if row.kind == "money" else str(row.value)
    return SettingOut(setting=str(row.title), value=value, level=str(row.level), binds=row.binds)
