"""Writes chats of the playground for scenes, and lets models be served that its pages offer."""

import datetime as dt
from collections.abc import Mapping
from typing import Any, Final
from uuid import UUID

from accounts.access.actors import SYSTEM
from billing.models import Price, PriceVersion
from gateway.channels import channels
from gateway.channels.fields import ChannelFields
from lib import clock
from lib.ids import new_id, new_ids
from playground.models import Conversation, Message, Run, RunState
from tests.isolation.world import Place, World

_LONG_AGO: Final = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)


def place_of(world: World) -> Place:
    """Where the owner's things are, who asks for most scenes."""
    return world.places["owner"]


def serve(models: Mapping[str, Mapping[str, int]], provider: str = "openai_compatible") -> None:
    """Let a channel serve these models, each at its rates."""
    given: ChannelFields = {
        "provider": provider, "base_url": "http://127.0.0.1:9/v1",
        "keys": ["upstream-secret"], "models": dict.fromkeys(models, ""),
    }  # fmt: skip
    channels.create_channel(SYSTEM, f"channel of a scene by {provider}", given)
    prices = Price.objects.bulk_create([Price(model=model) for model in models])
    PriceVersion.objects.bulk_create(
        PriceVersion(
            price=price, valid_from=_LONG_AGO, source="test",
            rates={"meters": dict(models[price.model])},
        )
        for price in prices
    )  # fmt: skip


class Talk:
    """A chat that is written message after message. Its ids are in the order of its messages."""

    def __init__(self, at: Place, title: str, **fields: Any) -> None:
        self.at = at
        self.chat = Conversation.objects.create(
            organisation=at.organisation, team=at.team, user=at.user, title=title,
            **{"model": "m-1", "updated_at": clock.now(), **fields},
        )  # fmt: skip
        self._ids = iter(sorted(new_ids(200)))
        self.last: Message | None = None

    def say(self, role: str, text: str = "", **fields: Any) -> Message:
        """Write the next message, or with `parent` a version of one."""
        self.last = Message.objects.create(
            id=next(self._ids), conversation=self.chat, role=role, content=text,
            **{"parent": self.last, "created_at": clock.now(), **fields},
        )  # fmt: skip
        return self.last

    def ask(self, text: str, files: Any = None) -> Message:
        return self.say("user", text, parts={"files": files} if files else {})

    def answer(self, text: str, run: Mapping[str, Any] | None = None, **fields: Any) -> Message:
        """Write an answer with its run, which ended with the outcome in `run`."""
        question = fields.pop("parent", None) or self.last
        assert question is not None
        model = fields.setdefault("model", "m-1")
        state = fields.setdefault("state", RunState.DONE)
        given = {"request_id": new_id(), "token": new_id(), "batch": new_id(), **(run or {})}
        message = self.say("assistant", text, parent=question, **fields)
        now = clock.now()
        message.run = Run.objects.create(
            conversation=self.chat, user_message=question, assistant_message=message,
            user=self.at.user, model=model, state=state, process="gone", started_at=now,
            ended_at=None if state == RunState.RUNNING else now, **given,
        )  # fmt: skip
        message.request_id = given["request_id"]
        message.save(update_fields=["run", "request_id"])
        return message


def charged(charge_nano: int, **over: Any) -> dict[str, Any]:
    """The outcome of an answer that was measured."""
    return {
        "outcome": {"status": 200, "finish_reason": "stop", "meters": {}, "basis": "measured",
                    "charge_nano": charge_nano, **over}
    }  # fmt: skip


def file_of(id: UUID, name: str, kind: str, media_type: str, size: int) -> dict[str, Any]:
    """What a message keeps of its file."""
    return {"id": str(id), "name": name, "kind": kind, "media_type": media_type, "size": size}
