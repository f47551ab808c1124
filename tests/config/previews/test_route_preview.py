"""The route preview of operators, as a page and over the management API."""

import json
import re
from typing import Any
from uuid import UUID

import pytest
from django.test import Client

from accounts.models import Key, KeyKind
from config.previews import route_preview, sent_preview
from config.previews.views import RoutePreviewForm
from gateway.models import Channel, Route
from lib.ids import id_text, new_id
from relay.downstream.downstream import ErrorAnswer
from relay.hold_sizes.bound import Bound
from relay.previews.route_preview import PreviewedAttempt, RoutePreview, SkippedChannel
from tests.support import cast

pytestmark = pytest.mark.django_db

BODY = {"model": "m", "messages": [{"role": "user", "content": "x"}]}
TOLD = RoutePreview(
    "m",
    (
        PreviewedAttempt("m", "east", "up-1", "weight", 75),
        PreviewedAttempt("m", "west", "m", "failover", 25),
    ),
    (SkippedChannel("north", "cooling", 12.4),),
    bound=Bound(2_000_000, None, 10, 20, 1, 1_000_000_000, True, 300_000),
    fallbacks=("n",),
    causes=frozenset({"error"}),
)
REFUSED = RoutePreview("", refusal=ErrorAnswer("model_not_found", 404, "The model is not there."))


@pytest.mark.parametrize(
    ("sent", "advanced", "wrong"),
    [
        ({}, False, {"key", "path", "model", "message"}),
        ({"body": "{}"}, True, {"key", "path"}),
        ({"model": "m", "message": "Hi", "labels": "{}"}, True, {"key", "path"}),
        ({"model": "m", "message": "Hi", "data_policy": "zdr"}, True, {"key", "path"}),
    ],
)
def test_body_takes_the_place_of_model_and_message(
    people: cast.Cast, sent: dict[str, str], advanced: bool, wrong: set[str]
) -> None:
    form = RoutePreviewForm(cast.actor(people.dora), sent or {"labels": ""})
    assert (form.advanced, {*form.errors}) == (advanced, wrong)


class ScriptedRelay:
    """Tells what it was given."""

    def __init__(self, new_route_preview: RoutePreview) -> None:
        self.told = new_route_preview
        self.asked: list[tuple[UUID, str, bytes]] = []
        self.headers: Any = ()

    async def principal_of_key(self, key_id: UUID, user_id: int | None = None) -> Any:
        return key_id

    async def preview_route(
        self, principal: Any, path: str, body: bytes, headers: Any = ()
    ) -> RoutePreview:
        self.asked.append((principal, path, body))
        self.headers = headers
        return self.told


@pytest.fixture
def people() -> cast.Cast:
    people = cast.assemble()
    off = Channel.objects.create(
        name="south", provider="openai", base_url="https://x.example/v1", enabled=False
    )
    Route.objects.create(channel=off, model="m*")
    return people


@pytest.fixture
def key(people: cast.Cast) -> Key:
    return cast.make_key(people.core, "ci", user=people.bob)[0]


def answering(monkeypatch: pytest.MonkeyPatch, new_route_preview: RoutePreview) -> ScriptedRelay:
    relay = ScriptedRelay(new_route_preview)
    # Whoever imports the one while the other is replaced would keep what it is replaced by.
    for module in (route_preview, sent_preview):
        monkeypatch.setattr(module, "relay_of", lambda request: relay)
    return relay


def operator(people: cast.Cast) -> Client:
    return cast.signed_in(people.dora)


def post(client: Client, key_id: str) -> tuple[int, Any]:
    data = {"key": key_id, "path": "/v1/chat/completions", "body": BODY}
    response = client.post(
        "/api/v1/routes/preview", json.dumps(data), content_type="application/json"
    )
    return response.status_code, response.json()


def test_the_management_api(people: cast.Cast, key: Key, monkeypatch: pytest.MonkeyPatch) -> None:
    relay = answering(monkeypatch, TOLD)
    client = operator(people)
    status, message = post(client, id_text(key.id))
    assert (status, message) == (
        200,
        {
            "model": "m",
            "attempts": [
                {
                    "model": "m",
                    "channel": "east",
                    "upstream_model": "up-1",
                    "why": "weight",
                    "share_percent": 75,
                },
                {
                    "model": "m",
                    "channel": "west",
                    "upstream_model": "m",
                    "why": "failover",
                    "share_percent": 25,
                },
            ],
            "skipped": [
                {"channel": "north", "reason": "cooling", "wait_s": 12.4},
                {"channel": "south", "reason": "disabled", "wait_s": 0.0},
            ],
            "refusal": None,
            "hold": {
                "hold": "0.002",
                "expected": "0.0003",
                "available": "1.00",
                "fits": True,
            },
            "fallbacks": ["n"],
            "causes": ["error"],
        },
    )
    ((asked_key, path, body),) = relay.asked
    assert (asked_key, path, json.loads(body)) == (key.id, "/v1/chat/completions", BODY)
    assert post(client, id_text(new_id()))[0] == 404


def test_rejection_is_shown(people: cast.Cast, key: Key, monkeypatch: pytest.MonkeyPatch) -> None:
    answering(monkeypatch, REFUSED)
    _, message = post(operator(people), id_text(key.id))
    assert message["attempts"] == []
    assert message["refusal"] == {
        "status": 404,
        "kind": "model_not_found",
        "message": "The model is not there.",
    }


def test_the_page(people: cast.Cast, key: Key, monkeypatch: pytest.MonkeyPatch) -> None:
    relay = answering(monkeypatch, TOLD)
    client = cast.signed_in(people.dora)
    sent = {"key": id_text(key.id), "path": "/v1/messages", "body": json.dumps(BODY)}
    sent["labels"] = '{"tags": ["beta"]}'
    text = client.post("/admin/routes/preview", sent).content.decode()
    messages = ["east", "Picked by weight", "first in 75% of requests", "Next after a failure"]
    messages += ["No channel can serve it, or all of them failed"]
    messages += [
        "north",
        "it was at the provider",
        "tried again in 12 s",
        "south",
        "it is turned off",
    ]
    messages += ["<dd>$0.002</dd>", "$0.0003", "<dd>$1.00</dd>"]
    assert [part for part in messages if part not in text] == []
    assert relay.headers == [(b"x-weir-labels", b'{"tags": ["beta"]}')]
    missing = client.post("/admin/routes/preview", sent | {"key": "nothing"})
    assert missing.status_code == 422
    assert "This API key no longer exists." in missing.content.decode()


@pytest.mark.parametrize("path", route_preview.PATHS)
def test_a_model_and_a_message_make_the_body(
    people: cast.Cast, key: Key, monkeypatch: pytest.MonkeyPatch, path: str
) -> None:
    """Nobody writes JSON; who does, has it sent as it is."""
    relay = answering(monkeypatch, TOLD)
    client = cast.signed_in(people.dora)
    sent = {"key": id_text(key.id), "path": path, "model": "m", "message": "Where is it?"}
    assert client.post("/admin/routes/preview", sent).status_code == 200
    client.post("/admin/routes/preview", sent | {"body": "{}"})
    (_, first, body), (_, _, own) = relay.asked
    assert (first, json.loads(body)["model"], own) == (path, "m", b"{}")
    assert b"Where is it?" in body
    refused = client.post("/admin/routes/preview", sent | {"model": ""})
    assert (refused.status_code, len(relay.asked)) == (422, 2)
    assert "Choose a model." in refused.content.decode()


def test_page_shows_a_rejection(
    people: cast.Cast, key: Key, monkeypatch: pytest.MonkeyPatch
) -> None:
    answering(monkeypatch, REFUSED)
    sent = {"key": id_text(key.id), "path": "/v1/messages", "body": "{}"}
    text = cast.signed_in(people.dora).post("/admin/routes/preview", sent).content.decode()
    assert "This request would be rejected (404)." in text
    assert "The model is not there." in text


@pytest.mark.parametrize(
    ("words", "result"),
    [("ci", ["ci"]), ("core acme", ["ci"]), ("stranger", ["theirs"]), ("ci stranger", []),
     ("%", []), ("\x00", ["theirs", "ci"])],
)  # fmt: skip
def test_the_picker_finds_keys_of_every_organisation(
    people: cast.Cast, key: Key, words: str, result: list[str]
) -> None:
    """By the key, its team and its organisation; those that call no models are not offered."""
    cast.make_key(people.core, "ci-terraform", user=people.bob, kind=KeyKind.MANAGEMENT)
    theirs, _ = cast.make_key(people.stranger.teams.get(), "theirs", user=None)
    # The ends of a secret are found too, and may be like a name by chance.
    Key.objects.filter(id=theirs.id).update(prefix="sk-weir-0000", last4="0000")
    page = operator(people).get("/admin/routes/_f/keys", {"q": words}).content.decode()
    assert re.findall(r'<span class="cut" dir="auto">(.*?)</span>', page) == result


def test_the_picker_finds_a_key_by_the_ends_of_its_secret(people: cast.Cast, key: Key) -> None:
    client = operator(people)
    for masked in (f"{key.prefix}…{key.last4}", f"{key.prefix}...{key.last4}", f"…{key.last4}"):
        page = client.get("/admin/routes/_f/keys", {"q": masked}).content.decode()
        assert f'data-value="{id_text(key.id)}"' in page


def test_chosen_key_is_shown_with_its_owner(people: cast.Cast, key: Key) -> None:
    client = operator(people)
    place = f"Acme · {key.team.name} · {key.prefix}…{key.last4}"
    chosen = client.get("/admin/routes/preview", {"key": id_text(key.id)}).content.decode()
    assert f'name="key" value="{id_text(key.id)}"' in chosen
    assert place in chosen
    unknown = client.get("/admin/routes/preview", {"key": "<b>"}).content.decode()
    assert 'name="key" value="&lt;b&gt;"' in unknown
    refused = client.post("/admin/routes/preview", {"path": "/v1/messages", "body": "{}"})
    assert "Choose an API key." in refused.content.decode()
