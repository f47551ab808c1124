"""The operations of the management API by their description, and the example of each with what it
refers to."""

import datetime as dt
import json
import re
import secrets
from collections.abc import Callable, Iterator
from typing import Any, Final, NamedTuple, Protocol

from config.api.api import api
from lib import clock
from tests.fakes.upstream import FakeUpstream


def described() -> Iterator[tuple[str, str, dict[str, Any]]]:
    """(method, path, operation) of the description."""
    for path, methods in api.get_openapi_schema()["paths"].items():
        for method, operation in methods.items():
            yield method.upper(), path, operation


SCHEMAS: Final[dict[str, Any]] = api.get_openapi_schema()["components"]["schemas"]
BY_NAME: Final = {f"{method} {path}": operation for method, path, operation in described()}


def creating() -> list[str]:
    """The paths of operations that create, as routers write them."""
    return [
        path.removeprefix("/api/v1")
        for method, path, operation in described()
        if method == "POST" and 201 in operation["responses"]
    ]


class Sender(Protocol):
    """A client of Django, or of a running hub."""

    def generic(
        self, method: str, path: str, data: str, content_type: str, *, headers: dict[str, str]
    ) -> Any: ...


class Hand(NamedTuple):
    """An operator's management key in its own organisation."""

    client: Sender
    key: str

    def ask(self, method: str, path: str, body: Any = None, **headers: str) -> Any:
        sent = {"Authorization": f"Bearer {self.key}", **headers}
        data = "" if body is None else json.dumps(body)
        return self.client.generic(
            method, f"/api/v1{path}", data, content_type="application/json", headers=sent
        )

    def made(self, path: str, body: Any) -> Any:
        answer = self.ask("POST", path, body)
        assert answer.status_code == 201, f"{path}: {answer.content.decode()}"
        return answer.json()


def soon(days: int) -> str:
    """The beginning of the minute so many days from now."""
    at = clock.now().replace(second=0, microsecond=0) + dt.timedelta(days=days)
    return at.isoformat().replace("+00:00", "Z")


Body = Callable[[Hand, FakeUpstream], dict[str, Any]]


def example_of(path: str) -> dict[str, Any]:
    operation = BY_NAME[f"POST /api/v1{path}"]
    example: dict[str, Any] = operation["requestBody"]["content"]["application/json"]["example"]
    return json.loads(json.dumps(example))  # type: ignore[no-any-return]


def _channel(hand: Hand, fake: FakeUpstream, name: str = "first") -> Any:
    body = {"provider": "openai_compatible", "name": name, "base_url": fake.url, "keys": [fake.key],
            "models": {"own-model": {"upstream": "fake"}}}  # fmt: skip
    return hand.made("/channels", body)


def _proposal(hand: Hand, fake: FakeUpstream) -> Any:
    return hand.made("/price-proposals", example_of("/price-proposals"))


def _budget(hand: Hand, fake: FakeUpstream) -> Any:
    return hand.made("/budgets", {"scope": "team", "subject": "core", "amount": "5.00",
                                  "period": "month"})  # fmt: skip


def _offer(hand: Hand, fake: FakeUpstream) -> str:
    channel_id: str = _channel(hand, fake)["id"]
    answer = hand.ask("PUT", f"/channels/{channel_id}/own-key-offer", {"everyone": True})
    assert answer.status_code == 200, answer.content.decode()
    return channel_id


# The path's own parameter, and what an example lacks that depends on what is there.
PARENTS: Final[dict[str, Callable[[Hand, FakeUpstream], Any]]] = {
    "/budgets/{id}/requests": _budget,
    "/channels/{id}/copy": _channel,
    "/channels/{id}/keys": _channel,
    "/prompts/{slug}/versions": lambda hand, fake: hand.made("/prompts", example_of("/prompts")),
}
SENT: Final[dict[str, Body]] = {
    "/budgets": lambda hand, fake: {
        "scope": "team", "subject": hand.made("/teams", {"name": "Research Lab"})["slug"],
    },
    "/budgets/{id}/requests": lambda hand, fake: {
        "amount": "5.00", "until": clock.rfc3339(clock.now() + dt.timedelta(days=30)),
    },
    "/catalogue-updates": lambda hand, fake: {
        "models": {"gpt-x": {"mode": "chat", "input_cost_per_token": 1e-06}},
    },
    "/channels": lambda hand, fake: {
        "base_url": fake.url, "provider": "openai_compatible", "keys": [fake.key],
    },
    "/credits": lambda hand, fake: {"organisation": "ops"},
    "/invitations": lambda hand, fake: {"emails": ["new@example.org"]},
    "/provider-keys": lambda hand, fake: {"offer": _offer(hand, fake)},
    "/usage/annotations": lambda hand, fake: {"at": soon(-1)},
    "/provider-bills": lambda hand, fake: {
        "channels": [_channel(hand, fake)["id"]], "first_on": "2026-01-01",
        "day_column": "Day", "model_column": "Model",
    },
    "/price-previews": lambda hand, fake: {"proposals": [_proposal(hand, fake)["id"]]},
}  # fmt: skip
# What a second one needs beside another name.
ANOTHER: Final[dict[str, Callable[[Hand], dict[str, Any]]]] = {
    "/provider-keys": lambda hand: {
        "team": hand.made("/teams", {"name": secrets.token_hex(4)})["slug"]
    },
}
# These need a month that is over, a request to look at, a code or a provider of payments; the tests
# of their rooms do it.
ELSEWHERE: Final = {
    "/documents/{id}/notes",
    "/documents/{id}/payments",
    "/documents/{id}/void",
    "/postings/{id}/reverse",
    "/redemptions",
    "/requests/{id}/review",
    "/top-ups",
}
TRIED: Final = [path for path in creating() if path not in ELSEWHERE]


def sent_to(hand: Hand, fake: FakeUpstream, path: str) -> tuple[str, dict[str, Any]]:
    """The address and the body of an operation's own example, with what it refers to."""
    body = {**example_of(path), **(SENT[path](hand, fake) if path in SENT else {})}
    if path in PARENTS:
        parent = PARENTS[path](hand, fake)
        path = re.sub(r"\{(\w+)\}", lambda name: str(parent[name[1]]), path)
    return path, body
