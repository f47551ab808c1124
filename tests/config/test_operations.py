"""Every operation of the management API, as its description has it, through a running hub."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from itertools import count
from pathlib import Path
from typing import Any, Final, NamedTuple
from urllib.parse import quote

import pytest

from accounts.access.actors import SYSTEM
from accounts.keys import keys
from accounts.members import members
from accounts.models import KeyKind, Organisation
from accounts.organisations import organisations
from config.api.api import PathTaken, api
from lib.api.openapi import Schema, SchemaNameTaken
from tests.config.api.operation_examples import BY_NAME, TRIED, Hand, described, sent_to
from tests.deploy.shape import Running as Service
from tests.deploy.shape import Shape
from tests.deploy.test_files import GIVEN
from tests.fakes.upstream import FakeUpstream
from tests.house.test_access import operations
from tests.runner.databases import own_database
from tests.support.beside import Beside
from tests.support.cast import make_key
from tests.support.hub import Hub, fake
from tests.support.invoicing import charged, drafted, mid_month
from tests.usage.rows import credit

__all__ = ["fake"]


class Running(NamedTuple):
    """A hub, which is its own front, and nginx as it is shipped before it."""

    hub: Hub
    nginx: str
    beside: Beside
    key: str
    second_key: str

    def ask(
        self,
        method: str,
        path: str,
        body: Any = None,
        organisation: str | None = None,
        front: str | None = None,
    ) -> tuple[int, Any]:
        """The status and the JSON of an answer, None where there is none."""
        import httpx

        headers = {"authorization": f"Bearer {self.key}"}
        if organisation is not None:
            headers["x-weir-organisation"] = organisation
        answer = httpx.request(
            method, f"{front or self.hub.url}{path}", headers=headers, json=body, timeout=30
        )
        is_json = "json" in answer.headers.get("content-type", "")
        return answer.status_code, answer.json() if is_json else None


def operators_keys() -> list[str]:
    """In a process of the hub: two operators with an organisation, and a management key of each."""
    texts = []
    for name in ("ops", "ada"):
        operator = members.add_person(f"{name}@example.org", operator=True, actor=SYSTEM)
        home = organisations.create_organisation(name.title(), owner=operator, actor=SYSTEM)
        _, text = keys.mint_key(
            SYSTEM, home.teams.get(), "evening", kind=KeyKind.MANAGEMENT, user=operator
        )
        texts.append(text)
    return texts


def draft_of_last_month() -> str:
    """In a process of the hub: an organisation that spent something, and the draft of its invoice;
    the organisation's slug."""
    owner = members.add_person("owner@example.org", actor=SYSTEM)
    organisation = organisations.create_organisation("Invoiced", owner=owner, actor=SYSTEM)
    Organisation.objects.filter(id=organisation.id).update(created_at=mid_month(2))
    key, _ = make_key(organisation.teams.get(), "spender")
    credit(key)
    charged(key, mid_month(), 2 * 10**9)
    drafted(organisation, SYSTEM)
    return organisation.slug


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with ExitStack() as until:
        dsn = until.enter_context(own_database("hub_operations"))
        hub = Hub(dsn)
        until.callback(hub.close)
        until.callback(hub.kill)
        hub.settings()
        hub.start()
        beside = Beside({**os.environ, "DATABASE_URL": dsn})
        until.callback(beside.close)
        shape = Shape(tmp_path_factory.mktemp("nginx"), GIVEN, "")
        until.callback(shape.close)
        web = subprocess.Popen(["true"])
        web.wait()
        shape.webs.append(Service("web", web, hub.port, Path(os.devnull)))
        nginx = f"http://127.0.0.1:{shape.start('nginx').port}"
        yield Running(hub, nginx, beside, *beside.call(operators_keys))


class HttpClient:
    """A client of what runs at an address, as Django's is one of this process."""

    def __init__(self, url: str) -> None:
        self._url = url

    def generic(
        self, method: str, path: str, data: str, content_type: str, *, headers: dict[str, str]
    ) -> Any:
        import httpx

        sent = {**headers, "content-type": content_type}
        return httpx.request(method, self._url + path, content=data, headers=sent, timeout=30)


NUMBERS: Final = count(1)
# So many operations answer their own example with success. The others need what the example does
# not have: a month that is over, a request, a code, a processor of payments, a member to remove.
SUCCESSFUL_MIN: Final = 204


def named_anew(body: dict[str, Any]) -> dict[str, Any]:
    """The body with a name that nothing has yet."""
    return {**body, "name": f"{body['name']}-{next(NUMBERS)}"} if "name" in body else body


class Maker(Hand):
    """Makes each thing under a name that nothing has yet."""

    def made(self, path: str, body: Any) -> Any:
        return super().made(path, named_anew(body))


def sendable(hand: Hand, fake: FakeUpstream, path: str) -> tuple[str, dict[str, Any]] | None:
    """What a creating operation is sent; None where what it refers to can be made once only."""
    try:
        where, body = sent_to(hand, fake, path)
    except AssertionError:
        return None
    return where, named_anew(body)


def ready(hand: Hand, fake: FakeUpstream, method: str, path: str) -> tuple[str, Any]:
    """The address and the body of an operation's own example, for an object that is made for it;
    "nothing" where none can be."""
    if method == "POST" and path in TRIED and (sent := sendable(hand, fake, path)):
        return sent
    operation = BY_NAME[f"{method} /api/v1{path}"]
    whole = {
        one["name"]
        for one in operation.get("parameters", [])
        if one["schema"].get("type") == "integer"
    }
    content = operation.get("requestBody", {}).get("content", {})
    example = content.get("application/json", {}).get("example")
    while match := re.search(r"/\{(\w+)\}", path):
        above = path[: match.start()]
        one = make_in(hand, fake, above) or (listed_in(hand, above) if method == "GET" else {})
        own = one.get(match[1], one.get("id", 0 if match[1] in whole else "nothing"))
        path = path.replace(match[0], f"/{quote(str(own), safe='')}", 1)
    return path, example


def make_in(hand: Hand, fake: FakeUpstream, collection: str) -> dict[str, Any]:
    """What its creating operation makes, if it can be made again."""
    sent = sendable(hand, fake, collection) if collection in TRIED else None
    answer = hand.ask("POST", *sent) if sent else None
    if answer is None or answer.status_code != 201:
        return {}
    body: dict[str, Any] = answer.json()
    return body["items"][0] if "items" in body else body


def listed_in(hand: Hand, collection: str) -> dict[str, Any]:
    answer = hand.ask("GET", collection)
    items = answer.json().get("items") if answer.status_code == 200 else None
    return items[0] if items else {}


@pytest.mark.parametrize("front", ["embedded", "nginx"])
def test_every_operation_answers_its_own_example(
    running: Running, fake: FakeUpstream, front: str
) -> None:
    """/api/v1/models belonged to the relay, so four operations could not be reached."""
    url = {"embedded": running.hub.url, "nginx": running.nginx}[front]
    hand = Maker(HttpClient(url), running.key)
    faults, successful, others = [], 0, []
    for method, path, operation in described():
        filled, body = ready(hand, fake, method, path.removeprefix("/api/v1"))
        answer = hand.ask(method, filled, body)
        status, text = answer.status_code, answer.text
        error = (answer.json().get("error") or {}) if text.startswith('{"error"') else {}
        unread = error.get("code") in ("unknown_url", "unknown_parameter",
                                       "missing_required_parameter", "invalid_type")  # fmt: skip
        declared = {str(one) for one in operation["responses"]}
        if str(status) not in declared or unread or status in (400, 401, 405):
            faults.append(f"{method} {path}: {status} {text}")
        if 200 <= status < 300:
            successful += 1
        else:
            others.append(f"{method} {path}: {status} {text[:150]}")
    assert not faults, "\n".join(faults)
    assert successful >= SUCCESSFUL_MIN, f"{successful}:\n" + "\n".join(others)


def test_path_of_the_relay_is_rejected() -> None:
    from ninja import Router

    from config.api import api as module

    router = Router()
    router.get("/models/{name}")(lambda request, name: None)
    with pytest.raises(PathTaken, match="/api/v1/models/x"):
        module._check_operations(router)


def test_two_schemas_cannot_have_one_name() -> None:
    """Six names were used by two classes each, and nine operations showed the wrong body."""
    with pytest.raises(SchemaNameTaken, match="KeyIn"):
        type("KeyIn", (Schema,), {"__module__": "elsewhere"})


def test_every_definition_has_one_meaning(monkeypatch: pytest.MonkeyPatch) -> None:
    """Also of what is no Schema: an enum, a tuple."""
    from ninja.openapi.schema import OpenAPISchema, get_schema

    clashes = set()

    def add(self: OpenAPISchema, definitions: dict[str, Any]) -> None:
        for name, definition in definitions.items():
            if self.schemas.setdefault(name, definition) != definition:
                clashes.add(name)

    monkeypatch.setattr(OpenAPISchema, "add_schema_definitions", add)
    get_schema(api, "/api/v1/")
    assert clashes == set()


def test_body_without_required_members_is_optional() -> None:
    schemas = api.get_openapi_schema()["components"]["schemas"]
    for method, path, operation in described():
        body = operation.get("requestBody")
        if body is None or "application/json" not in body["content"]:
            continue
        name = body["content"]["application/json"]["schema"].get("$ref", "").rpartition("/")[2]
        if name:
            assert body["required"] == bool(schemas[name].get("required")), f"{method} {path}"


def test_an_invitation_is_resent_without_a_body(running: Running) -> None:
    invited = {"role": "developer", "emails": ["resent@example.org"]}
    status, created = running.ask("POST", "/api/v1/invitations", invited)
    assert status == 201, created
    path = f"/api/v1/invitations/{created['items'][0]['id']}/resend"
    status, again = running.ask("POST", path)
    assert status == 200, again
    assert again["link"] != created["items"][0]["link"]


def test_operators_alone_act_in_another_organisation(running: Running) -> None:
    """P12, P23: with the role that they have there; for others it is as if it were not there."""
    _, created = running.ask("POST", "/api/v1/organisations", {"name": "Elsewhere"})
    slug = created["slug"]
    status, here = running.ask("GET", "/api/v1/organisation", organisation=slug)
    assert (status, here["name"]) == (200, "Elsewhere")
    _, team = running.ask("POST", "/api/v1/teams", {"name": "Research"}, slug)
    key = {"name": "ci", "team": team["slug"]}
    status, minted = running.ask("POST", "/api/v1/keys", key, slug)
    assert status == 201, minted
    model_key = running._replace(key=minted["secret"])
    assert model_key.ask("GET", "/api/v1/balance", organisation=slug)[0] == 404
    assert running.ask("GET", "/api/v1/organisation", organisation="nothing")[0] == 404
    # Where the operator is no member, only what operators may.
    strangers = running.hub.tenant()
    (row,) = running.hub.rows(
        "SELECT slug FROM accounts_organisation WHERE id = %s", strangers.organisation_id
    )
    assert running.ask("GET", "/api/v1/keys", organisation=row["slug"])[0] == 200
    refused, _ = running.ask("POST", "/api/v1/keys", {"name": "ci"}, row["slug"])
    assert refused == 403


def test_an_unknown_owner_is_refused(running: Running) -> None:
    body = {"name": "Nobody's", "owner": "nobody@example.org"}
    status, text = running.ask("POST", "/api/v1/organisations", body)
    assert status == 422
    assert text["error"]["param"] == "owner"


# A client that somebody generates from the description ------------------------------------------

EVENING: Final = (Path(__file__).parent / "operators_evening.py").read_text()


def test_generated_client_does_an_operators_usual_work(
    running: Running, fake: FakeUpstream, tmp_path: Path
) -> None:
    description = tmp_path / "openapi.json"
    description.write_text(json.dumps(api.get_openapi_schema(), default=str))
    settings = tmp_path / "settings.yaml"
    settings.write_text("content_type_overrides: {application/zip: application/octet-stream}")
    bin = Path(sys.executable).parent
    environment = {**os.environ, "PATH": f"{bin}:{os.environ['PATH']}"}
    generated = subprocess.run(
        [bin / "openapi-python-client", "generate", "--path", description, "--meta", "none",
         "--output-path", tmp_path / "weir_client", "--fail-on-warning", "--config", settings],
        env=environment, capture_output=True, text=True,
    )  # fmt: skip
    assert generated.returncode == 0, generated.stdout + generated.stderr
    script = tmp_path / "evening.py"
    script.write_text(EVENING)
    evening = subprocess.run(
        [sys.executable, script, running.hub.url, running.key, running.second_key, fake.url,
         fake.key, running.beside.call(draft_of_last_month)],
        cwd=tmp_path, capture_output=True, text=True,
    )  # fmt: skip
    assert evening.returncode == 0, evening.stdout + evening.stderr
    assert evening.stdout.splitlines()[-1] == "done"


def test_the_operations_are_those_of_the_urls() -> None:
    assert len(list(described())) == len(list(operations()))
