"""The lines of config: Home, first steps, system."""

from typing import Final

from tests.isolation.kinds.gateway import CHANNEL_ROW
from tests.isolation.table.route import Route, at, sends

PAGES: Final[dict[str, Route]] = {
    # For everybody: whoever asks, it holds nothing of others
    "root": at("public"),
    "appearance": at("public"),
    "metrics": at("public"),
    "api_reference": at("public"),
    "api_section": at("public", rest={"section": "none"}),
    # The organisation
    "home": at("models.read"),
    "home_panel": at("models.read", rest={"name": "spend"}),
    "start": at("models.read"),
    "start_key": at("keys.write_own"),
    "start_skip": at("models.read"),
    "first_request": at("models.read"),
    "palette": at("models.read"),
    # The installation: for everybody else it does not exist
    "channel_overrides": at("channels.write", CHANNEL_ROW),
    "operator_palette": at("models.read"),
    "health": at("channels.read"),
    "route_preview": at("channels.read"),
    "route_preview_keys": at("channels.read"),
    "set_up_steps": at("channels.write"),
    "set_up_organisation": at("channels.write", body=sends(name="made")),
    "set_up_skip": at("channels.write"),
    "design": at("channels.read"),
}

OPERATIONS: Final[dict[str, Route]] = {
    "POST /channels/{id}/preview": at(
        "channels.write", CHANNEL_ROW, body=sends(body={"model": "m-1", "messages": []})
    ),
    "GET /jobs": at("channels.read"),
    "POST /routes/preview": at("channels.read", nothing=True, body=sends(key="gone", body={})),
    "GET /system": at("channels.read"),
}  # fmt: skip
