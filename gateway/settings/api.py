"""The management API of the installation's settings; for operators. Pages call the same
functions."""

import datetime as dt
from typing import Any, Literal

from django.http import HttpRequest
from ninja import Query
from pydantic import Field

from accounts.access.actors import Actor
from accounts.access.operations import Router, requires
from accounts.guards import api_auth
from accounts.guards.reauthentication import check_signed_in_recently
from gateway.models.settings import BACKUP_FOLDER, BACKUPS_MAX
from gateway.settings.history import (
    SettingChange,
    access_setting_change,
    setting_changes,
    undo_setting_change,
)
from gateway.settings.installation import current_values, save_settings, set_by_environment
from lib.api import pagination
from lib.api.openapi import RequestBody, Schema

router = Router(tags=["Operators"], auth=api_auth.installation_auth)

_NETWORKS_MAX = 100


class InstallationSettingsChange(RequestBody):
    """Changes to the settings. Omitted fields stay as they are."""

    egress_allow: list[str] | None = Field(
        None, max_length=_NETWORKS_MAX, description="Private networks that channels can reach."
    )
    egress_allow_users: list[str] | None = Field(
        None,
        max_length=_NETWORKS_MAX,
        description="Private networks from which files and tools that people name are fetched.",
    )
    unpriced_models: Literal["reject", "free", "alert"] | None = None
    public_models: bool | None = None
    public_status: bool | None = None
    prefix_sessions: bool | None = Field(
        None,
        description="Whether Weir assigns requests that name no session to one, by a keyed digest "
        "of the beginning of their conversation.",
    )
    task_result_days: int | None = Field(
        None, ge=1, le=365, strict=True, description="How long results of media tasks are kept."
    )
    backup_every_hours: Literal[0, 6, 12, 24, 168] | None = Field(
        None, description="How many hours pass between two backups. 0: Weir makes no backups."
    )
    backup_hour: int | None = Field(
        None, ge=0, le=23, strict=True, description="The hour (UTC) of the first one of a day."
    )
    backup_folder: str | None = Field(
        None, max_length=60, pattern=BACKUP_FOLDER, description="Where, in the data folder."
    )
    backup_keep: int | None = Field(
        None, ge=1, le=BACKUPS_MAX, strict=True, description="How many backups are kept."
    )


class InstallationSettingsOut(Schema):
    """The stored settings."""

    egress_allow: list[str]
    egress_allow_users: list[str]
    unpriced_models: str
    public_models: bool
    public_status: bool
    prefix_sessions: bool
    task_result_days: int
    backup_every_hours: int
    backup_hour: int
    backup_folder: str
    backup_keep: int
    set_by_environment: list[str] = Field(
        description="Settings for which the environment has another value, which is in force."
    )


class SettingChangeOut(Schema):
    """A change of settings. `before` has the replaced values."""

    id: str
    at: dt.datetime
    actor: str
    action: str = Field(description="`settings.changed` or `sign_up.changed`.")
    before: dict[str, Any]
    after: dict[str, Any]
    in_force: bool = Field(description="Whether it can be undone: nothing replaced it since.")


class SettingChangePage(Schema):
    """The last changes, newest first."""

    items: list[SettingChangeOut]
    next: str | None


@router.get("/settings", response=InstallationSettingsOut, summary="Show settings")
@requires("channels.write")
def read_settings(actor: Actor) -> dict[str, Any]:
    """The settings of the installation that can be changed while it runs."""
    return _serialize_settings()


@router.patch("/settings", response=InstallationSettingsOut, summary="Change settings")
@requires("channels.write")
def change_settings(
    request: HttpRequest, actor: Actor, body: InstallationSettingsChange
) -> dict[str, Any]:
    """Changes the given settings. Every process applies them within a second."""
    check_signed_in_recently(request)
    save_settings(actor, **body.dict(exclude_unset=True))
    return _serialize_settings()


@router.get("/settings/changes", response=SettingChangePage, summary="List changes of settings")
def list_changes(actor: Actor, query: Query[pagination.PageQuery]) -> dict[str, Any]:
    """The last 50 changes of settings and of sign-up, with who made them."""
    changes = setting_changes(actor)
    page = pagination.page_by_key(changes, query.limit, query.cursor, lambda change: change.id)
    return {"items": [_serialize_change(change) for change in page.items], "next": page.next}


@router.post(
    "/settings/changes/{id}/undo",
    response=InstallationSettingsOut,
    summary="Undo a change of settings",
)
def undo_change(request: HttpRequest, actor: Actor, id: str) -> dict[str, Any]:
    """Restores the values from before the change, as a new change. Rejected if the settings have
    been changed again since."""
    event = access_setting_change(actor, id)
    check_signed_in_recently(request)
    undo_setting_change(actor, event)
    return _serialize_settings()


def _serialize_settings() -> dict[str, Any]:
    return {**current_values(), "set_by_environment": list(set_by_environment())}


def _serialize_change(change: SettingChange) -> dict[str, Any]:
    event = change.shown.event
    return {
        "id": change.id,
        "at": event.at,
        "actor": change.shown.who,
        "action": event.action,
        "before": event.detail.get("before") or {},
        "after": event.detail.get("after") or {},
        "in_force": change.in_force,
    }
