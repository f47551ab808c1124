"""The lines of config: Home, first steps, system."""

from collections.abc import Mapping
from typing import Any, Final

from accounts.models import Membership, User
from tests.isolation.kinds.accounts import MEMBER, PERSON
from tests.isolation.kinds.gateway import CHANNEL_ROW
from tests.isolation.table.route import Route, at, sends


def erases(id: str) -> Mapping[str, Any]:
    """What erases a member: the address again, if there is such a member."""
    people = User.objects.filter(id__in=Membership.objects.filter(id=id).values("user"))
    return {"email": str(people.values_list("email", flat=True).first()), "reason": "left"}


PAGES: Final[dict[str, Route]] = {
    # For everybody: whoever asks, it holds nothing of others
    "root": at("public"),
    "appearance": at("public"),
    "metrics": at("public"),
    "api_description": at("public"),
    "claude_code_settings": at("public"),
    "claude_code_spending": at("public"),
    "api_reference": at("public"),
    "account_erased": at("public"),
    "api_section": at("public", rest={"section": "none"}),
    # Oneself
    "own_data": at("signed in"),
    "own_data_download": at("signed in"),
    "own_erasure": at("signed in"),
    # The organisation
    "member_erase": at(
        "organisation.write", MEMBER, write="members.write", others=True, body=erases
    ),
    "member_erasure": at("organisation.write", rest={"id": "0"}, nothing=True),
    "home": at("models.read"),
    "home_panel": at("models.read", rest={"name": "spend"}),
    "installation": at("channels.read"),
    "installation_panel": at("channels.read", rest={"name": "traffic"}),
    "start": at("models.read"),
    "start_key": at("keys.write_own"),
    "connect": at("keys.write_own"),
    "connect_request": at("keys.write_own"),
    "start_skip": at("models.read"),
    "first_request": at("models.read"),
    "palette": at("models.read"),
    # The installation: for everybody else it does not exist
    "channel_overrides": at("channels.write", CHANNEL_ROW),
    "operator_palette": at("models.read"),
    "health": at("channels.read"),
    "backups": at("channels.write"),
    "person_erase": at("organisations.write", PERSON),
    "person_erasure": at("organisations.read", PERSON, nothing=True),
    "route_preview": at("channels.read"),
    "route_preview_keys": at("channels.read"),
    "set_up_steps": at("channels.write"),
    "set_up_organisation": at("channels.write", body=sends(name="made")),
    "set_up_skip": at("channels.write"),
    "design": at("channels.read"),
    "design_chat": at("channels.read"),
}

OPERATIONS: Final[dict[str, Route]] = {
    # Erasing people
    "GET /members/{id}/erasure": at(
        "organisation.write", MEMBER, write="members.write", others=True
    ),
    "POST /members/{id}/erase": at(
        "organisation.write", MEMBER, write="members.write", others=True, by_session=True,
        body=erases,
    ),
    "GET /members/{id}/data": at(
        "organisation.write", MEMBER, write="members.write", others=True, by_session=True
    ),
    "GET /people/{id}/erasure": at("organisations.write", PERSON),
    "POST /people/{id}/erase": at(
        "organisations.write", PERSON, by_session=True,
        body=sends(email="nobody@example.org", reason="left"),
    ),
    "GET /people/{id}/data": at("organisations.write", PERSON, by_session=True),
    "POST /channels/{id}/preview": at(
        "channels.write", CHANNEL_ROW, body=sends(body={"model": "m-1", "messages": []})
    ),
    "GET /jobs": at("channels.read"),
    "POST /routes/preview": at("channels.read", nothing=True, body=sends(key="gone", body={})),
    "GET /system": at("channels.read"),
}  # fmt: skip
