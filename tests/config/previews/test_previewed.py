"""Which keys, channels and teams a preview is about."""

from types import SimpleNamespace
from typing import Any

import pytest

from accounts.access.actors import SYSTEM
from accounts.keys import keys
from config.previews import route_preview, sent_preview
from config.previews.api import _serialize_sent
from config.previews.route_preview import preview_route, search_keys
from config.previews.sent_preview import preview_sent
from gateway.channels.channels import create_channel, switch_key
from gateway.models import Channel
from lib.ids import id_text
from relay.downstream.downstream import ErrorAnswer
from relay.pages.sent_preview import SentPreview
from relay.previews.route_preview import RoutePreview, SkippedChannel
from tests.support import cast
from tests.support.cast import Cast

pytestmark = pytest.mark.django_db


def test_revoked_key_is_not_offered_for_a_preview(people: Cast) -> None:
    kept, _ = cast.make_key(people.core, "kept")
    gone, _ = cast.make_key(people.core, "gone")
    keys.revoke_key(SYSTEM, gone)
    assert [key.id for key in search_keys(cast.actor(people.dora), "")] == [kept.id]


def test_channel_is_off_without_a_key_that_works_and_named_once(
    people: Cast, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not one of which another key goes on, nor one that the relay has told of already."""
    key, _ = cast.make_key(people.core)
    for name, disabled in (("none left", 2), ("one left", 1), ("told", 2), ("other model", 2)):
        models = {"brook": ""} if name == "other model" else {"river-*": ""}
        channel = create_channel(
            SYSTEM, name,
            {"provider": "openai", "keys": ["sk-first-0123456789", "sk-second-01234567"],
             "models": models},
        )  # fmt: skip
        for one in list(channel.keys.all())[:disabled]:
            switch_key(SYSTEM, channel, one, enabled=False)

    class Relay:
        async def principal_of_key(self, key_id: Any, user_id: Any = None) -> Any:
            return key_id

        async def preview_route(self, *args: Any) -> RoutePreview:
            return RoutePreview("river-1", skipped=(SkippedChannel("told", "cooling", 3.0),))

    monkeypatch.setattr(route_preview, "relay_of", lambda request: Relay())
    request: Any = SimpleNamespace()
    path = route_preview.PATHS[0]
    preview = preview_route(request, cast.actor(people.dora), id_text(key.id), path, b"{}")
    assert [(one.channel, one.reason) for one in preview.skipped] == [
        ("told", "cooling"), ("none left", "disabled"),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("team", "teams"), [("", []), ("acme", ["acme"]), ("acme/core", ["acme", "acme/core"])]
)
def test_override_of_an_organisation_applies_to_its_teams(
    people: Cast, monkeypatch: pytest.MonkeyPatch, team: str, teams: list[str]
) -> None:
    asked: list[Any] = []

    class Relay:
        async def preview_sent(
            self, row: Any, path: str, headers: Any, body: bytes, of: Any
        ) -> Any:
            asked.append((row, of))
            return None

    monkeypatch.setattr(sent_preview, "relay_of", lambda request: Relay())
    channel: Channel = create_channel(
        SYSTEM,
        "east",
        {"provider": "openai", "keys": ["sk-secret-0123456789"], "models": {"m": "up"}},
    )
    request: Any = SimpleNamespace()
    preview_sent(request, channel, {}, "/v1/messages", [], b"{}", team=team)
    ((row, of),) = asked
    assert of == teams
    # Of its secrets, a preview has no more than their ends.
    assert [(sealed, ending) for _, sealed, ending in row.keys] == [("", "6789")]


def test_refusal_of_a_preview_has_its_status_kind_and_message() -> None:
    refusal = ErrorAnswer("model_not_found", 404, "The model is not there.")
    shown = _serialize_sent(SentPreview(refusal=refusal))
    assert shown["refusal"] == {
        "status": 404, "kind": "model_not_found", "message": "The model is not there.",
    }  # fmt: skip
