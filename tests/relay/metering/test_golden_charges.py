"""P28: the documented usages (tests/relay/metering/golden_usages.py) over a real relay, told by a
provider whole, streamed, through a translation or in a realtime connection. What each comes to is
the same to the nano on the receipt, in the ledger, in exports and by the script that recomputes
it."""

import csv
import io
import json
import os
import secrets
import subprocess
import sys
from collections.abc import Iterator, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from billing.currency.money import parse_usd
from lib.ids import id_text
from tests.fakes.converse_talk import EVENT_STREAM
from tests.fakes.realtime import FakeRealtime
from tests.relay import canned
from tests.relay.canned import Canned
from tests.relay.metering.golden_usages import GOLDEN, IDS, Golden, cost_rate, cost_rates
from tests.relay.metering.test_golden_usages import in_force
from tests.relay.realtime.test_realtime import session
from tests.support.beside import Beside
from tests.support.hub import Answer, Hub, Tenant

SCRIPT = Path(__file__).resolve().parents[3] / "static" / "recompute_receipt.py"
PROVIDERS = {
    "gpt": "openai",
    "deepseek": "deepseek",
    "claude": "anthropic",
    "gemini": "gemini",
    "amazon.nova": "bedrock",
}
BARE = ("anthropic", "gemini", "bedrock")  # fmt: skip
PATHS = {"chat": "/v1/chat/completions", "responses": "/v1/responses", "anthropic": "/v1/messages"}
# A client of which other dialect asks, where the answer is translated.
TRANSLATED = {"chat": "anthropic", "anthropic": "chat", "gemini": "chat", "converse": "chat"}


class Charged(NamedTuple):
    """What a request was charged, in nano, wherever that stands, and what it cost us."""

    record: int
    receipt: int
    receipt_file: int
    ledger: int
    script: int
    cost: int
    basis: str
    flags: tuple[str, ...]


def ways(golden: Golden) -> list[str]:
    """How a usage is told. Who asks for conditions in the words of one dialect cannot in another's
    (`service_tier` alone is translated)."""
    if golden.wire == "realtime":
        return ["realtime"]
    messages = ["whole", "streamed"]
    if golden.wire in TRANSLATED and not golden.asked:
        messages.append("translated")
    return messages


CASES = [(golden, way) for golden in GOLDEN for way in ways(golden)]
CASE_IDS = [f"{id} {way}" for id, golden in zip(IDS, GOLDEN, strict=True) for way in ways(golden)]


class Installation:
    """Every model of the documented usages at its shipped prices, and one organisation that asks
    for all of them."""

    def __init__(self, hub: Hub, upstream: Canned, realtime: FakeRealtime) -> None:
        self.hub, self.upstream, self.realtime = hub, upstream, realtime
        self.tenant = hub.tenant("1000.00")
        self.names = {model: self._serve(model) for model in {one.model for one in GOLDEN}}
        # Whose parts stand in the answers of others.
        for other in ("claude-opus-4-8", "claude-opus-5"):
            self._price(other, other)
        hub.know(hub.model(upstream.url))
        self.charged: dict[str, Charged] = {}
        self.ids: dict[str, str] = {}
        self.cookie = ""

    def _serve(self, model: str) -> str:
        """A name of its own for a vendor's model."""
        hub, name = self.hub, f"m-{secrets.token_hex(6)}"
        provider = PROVIDERS[model.split("-")[0]]
        url = self.upstream.url if provider in BARE else self.upstream.url + "/v1"
        if "realtime" in model:
            url, provider = self.realtime.url, "openai"
        hub.channel(name, url, "sk-of-a-test", provider=provider, upstream_model=model, retries=0)
        self._price(name, model)
        hub.know(name)
        return name

    def _price(self, name: str, model: str) -> None:
        for row in in_force(model):
            where = {"service_tier": row.service_tier, "hours": row.hours}
            for kind, rates in (("charge", row.rates), ("cost", cost_rates(row.rates))):
                version = self.hub.price(name, rates["meters"], kind=kind, **where)
                self.hub.connection.execute(
                    "UPDATE billing_priceversion SET rates = %s, source = 'genai-prices of a test' "
                    "WHERE id = %s",
                    [json.dumps(rates), version],
                )

    def ask_all(self) -> None:
        receipts = list[str]()
        for (golden, way), id in zip(CASES, CASE_IDS, strict=True):
            self.ids[id], receipt, self.charged[id] = self._ask(golden, way)
            receipts.append(receipt)
        for id, charge in zip(CASE_IDS, recompute(receipts), strict=True):
            self.charged[id] = self.charged[id]._replace(script=charge)

    def _ask(self, golden: Golden, way: str) -> tuple[str, str, Charged]:
        """The request's id, its receipt, and what it was charged wherever no script is needed."""
        before = self._available()
        if way == "realtime":
            request_id = self._talk(golden)
        else:
            answer = self._post(golden, way)
            assert answer.status == 200, answer.body
            request_id = answer.headers["x-request-id"]
        record = self.hub.record(request_id)
        self.hub.settled(self.tenant)
        response = self.hub.get(f"/api/v1/requests/{request_id}/receipt", self.tenant)
        assert response.status == 200, response.body
        return (
            request_id,
            response.body.decode(),
            Charged(
                record["charge_nano"],
                parse_usd(response.json()["charge"]),
                parse_usd(json.loads(self.page(f"/requests/{request_id}/receipt.json"))["charge"]),
                before - self._available(),
                -1,
                record["cost_nano"],
                record["basis"],
                tuple(record["flags"]),
            ),
        )

    def _available(self) -> int:
        return self.hub.balance(self.tenant)["customer:available"]

    def _post(self, golden: Golden, way: str) -> Answer:
        self.upstream.answer = answer_of(golden, streamed=way == "streamed")
        binary = golden.wire == "converse" and way == "streamed"
        self.upstream.headers = {"content-type": EVENT_STREAM} if binary else {}
        name = self.names[golden.model]
        client = TRANSLATED[golden.wire] if way == "translated" else golden.wire
        body = body_of(client, name, golden, streamed=way == "streamed")
        path = PATHS.get(client)
        if client == "converse":
            path = f"/model/{name}/converse{'-stream' if binary else ''}"
        elif path is None:
            verb = "streamGenerateContent?alt=sse" if way == "streamed" else "generateContent"
            path = f"/v1beta/models/{name}:{verb}"
        return self.hub.post(
            self.tenant, body, path=path, headers={"anthropic-version": "2023-06-01"}
        )

    def _talk(self, golden: Golden) -> str:
        self.realtime.usage = golden.usage
        with session(self.hub, self.tenant.key, self.names[golden.model]) as talk:
            talk.hear("session.created")
            talk.ask("hello there")
        query = (
            "SELECT request_id FROM usage_usagerecord "
            "WHERE organisation_id = %s AND final AND operation = 'realtime'"
        )
        results: list[dict[str, Any]] = []

        def written() -> bool:
            results[:] = self.hub.rows(query, self.tenant.organisation_id)
            return bool(results)

        self.hub.wait(written, "no record of the session")
        return id_text(results[0]["request_id"])

    def page(self, path: str) -> bytes:
        """A page of the organisation, as its owner has it."""
        if not self.cookie:
            self.cookie = sign_in(self.hub, self.tenant)
        slug = self.hub.rows(
            "SELECT slug FROM accounts_organisation WHERE id = %s", self.tenant.organisation_id
        )[0]["slug"]
        answer = self.hub.request("GET", f"/o/{slug}{path}", headers={"cookie": self.cookie})
        assert answer.status == 200, (answer.status, answer.headers, answer.body[:500])
        return answer.body


def sign_in(hub: Hub, tenant: Tenant) -> str:
    """The cookie of an owner who has just signed in."""
    process = Beside(os.environ)
    try:
        return process.call(owner_cookie, hub.connection.info.dbname, str(tenant.organisation_id))
    finally:
        process.close()


def owner_cookie(database: str, organisation: str) -> str:
    """Beside the hub."""
    from django.conf import settings
    from django.db import connection

    from accounts.access.actors import SYSTEM
    from accounts.members import members
    from accounts.models import Organisation, Role
    from tests.support import cast

    connection.settings_dict["NAME"] = database
    owner = cast.person(f"owner-{secrets.token_hex(4)}")
    members.set_member(
        Organisation.objects.get(pk=organisation), owner.email, Role.OWNER, actor=SYSTEM
    )
    morsel = cast.signed_in(owner).cookies[settings.SESSION_COOKIE_NAME]
    return f"{morsel.key}={morsel.value}"


def answer_of(golden: Golden, *, streamed: bool) -> dict[str, Any] | bytes:
    """The vendor's answer that tells the usage; it grants the service tier that was asked for."""
    model, usage = golden.model, golden.usage
    tier = {name: word for name, word in golden.asked.items() if name == "service_tier"}
    match golden.wire, streamed:
        case "chat", False:
            return canned.completion(model, usage, **tier)
        case "chat", True:
            return canned.completion_stream(model, usage, **tier)
        case "responses", False:
            return canned.response(model, usage, **tier)
        case "responses", True:
            return canned.response_stream(model, usage, **tier)
        case "anthropic", False:
            return canned.message(model, usage)
        case "anthropic", True:
            return canned.message_stream(model, usage | {"output_tokens": 0}, usage)
        case "converse", False:
            return canned.converse(usage)
        case "converse", True:
            return canned.converse_stream(usage)
        case _, False:
            return canned.content(usage)
        case _:
            return canned.content_stream(usage)


def body_of(client: str, name: str, golden: Golden, *, streamed: bool) -> dict[str, Any]:
    """A request whose hold is above what the usage comes to."""
    tokens = sum(count for count, _ in golden.lines)
    text, cap = "a" * max(1_000, 2 * tokens), max(100, tokens)
    turns = [{"role": "user", "content": text}]
    if client == "gemini":
        config = {"maxOutputTokens": cap}
        asked = {"serviceTier": golden.asked["service_tier"]} if golden.asked else {}
        return {"contents": [{"role": "user", "parts": [{"text": text}]}],
                "generationConfig": config, **asked}  # fmt: skip
    if client == "converse":
        turn = {"role": "user", "content": [{"text": text}]}
        return {"messages": [turn], "inferenceConfig": {"maxTokens": cap}}
    body = {"model": name, "stream": streamed, **golden.asked}
    if client == "responses":
        return body | {"input": text, "max_output_tokens": cap}
    if client == "anthropic":
        body |= {"max_tokens": cap, "messages": turns}
        if golden.wire == "anthropic":
            body["tools"] = [{"type": "web_search_20250305", "name": "web_search", "max_uses": 2}]
        return body
    return body | {"max_completion_tokens": cap, "messages": turns}


# The script for each receipt in turn: starting Python takes longer than what it computes.
_EACH = """
import io, json, runpy, sys
script = sys.argv.pop()
for receipt in json.load(sys.stdin):
    sys.stdin = io.StringIO(receipt)
    try:
        runpy.run_path(script, run_name="__main__")
    except SystemExit as end:
        if end.code:
            raise
"""


def recompute(receipts: Sequence[str]) -> list[int]:
    """What the script says was charged, of each."""
    ran = subprocess.run(
        [sys.executable, "-I", "-c", _EACH, str(SCRIPT)],
        input=json.dumps(receipts), capture_output=True, check=False, text=True,
    )  # fmt: skip
    assert ran.returncode == 0, ran.stdout + ran.stderr
    lines = ran.stdout.splitlines()
    assert len(lines) == len(receipts)
    return [parse_usd(line.partition("was charged ")[2].split(" ")[0]) for line in lines]


@pytest.fixture(scope="module")
def installation(hub: Hub) -> Iterator[Installation]:
    with canned.canned() as upstream, FakeRealtime() as realtime, hub.forgetful():
        new_installation = Installation(hub, upstream, realtime)
        new_installation.ask_all()
        yield new_installation
    hub.assert_books_balance()


@pytest.mark.parametrize(
    ("id", "golden"), [(id, case[0]) for id, case in zip(CASE_IDS, CASES, strict=True)],
    ids=CASE_IDS,
)  # fmt: skip
def test_a_documented_usage_is_charged_to_the_nano(
    installation: Installation, id: str, golden: Golden
) -> None:
    nano, charged = golden.nano, installation.charged[id]
    assert charged == Charged(nano, nano, nano, nano, nano, charged.cost, "measured", ())
    # The cost of an answer in parts is rounded for each part.
    assert charged.cost == pytest.approx(golden.cost_nano, abs=golden.parts // 2)


def test_charges_never_equal_costs() -> None:
    """One that is taken from the other's price stands out in each usage that is charged."""
    charged = [golden for golden in GOLDEN if golden.nano]
    assert all(golden.nano != golden.cost_nano for golden in charged)
    rates = {int(Fraction(usd) * 10**9) for golden in GOLDEN for _, usd in golden.lines}
    costs = {cost_rate(rate) for rate in rates}
    assert len(costs) == len(rates)
    assert not costs & rates


def test_exports_show_the_same_charges(installation: Installation) -> None:
    expected = {
        installation.ids[id]: case[0].nano for id, case in zip(CASE_IDS, CASES, strict=True)
    }
    path = "/requests?cols=id,cost&export="
    rows = csv.DictReader(io.StringIO(installation.page(path + "csv").decode()))
    assert {row["id"]: parse_usd(row["cost_usd"]) for row in rows} == expected
    lines = [json.loads(line) for line in installation.page(path + "jsonl").splitlines()]
    assert {line["id"]: parse_usd(str(line["cost_usd"])) for line in lines} == expected
