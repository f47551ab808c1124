"""A cap per session: what its sub-agents spend together, however many ask at once (P2, I23), and
sessions that somebody ends (P11)."""

import itertools
import random
import re
import time
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from typing import Any, Final
from uuid import UUID

import pytest

from billing.currency.money import parse_usd
from billing.ledger.accounts import lock_accounts
from billing.limits.budget_windows import count_guards
from lib.ids import id_text, parse_id
from relay.requests.sessions import session_id
from tests.fakes.realtime import FakeRealtime
from tests.fakes.upstream import FakeUpstream
from tests.relay.asking import ask
from tests.relay.clients import Client, Clients, final_record
from tests.relay.endpoints.test_responses_socket import connected
from tests.relay.health.test_many_processes import processes
from tests.relay.realtime.test_realtime import session
from tests.relay.speakers import UPSTREAMS
from tests.support.hub import Answer, Hub, Tenant

pytestmark = pytest.mark.usefixtures("balanced_books")

NAME: Final = "Fix the parser"
OWN: Final = "x-weir-session"
CAP: Final = "x-weir-session-budget"
NANO: Final = 10**9
AGENTS: Final = 50
# 10 and 30 USD per million: with 1 USD a session has some dozens of turns.
RATES: Final = {"in_text": 10 * NANO, "out_text": 30 * NANO}


def turn(hub: Hub, tenant: Tenant, model: str, name: str = NAME, **over: Any) -> Answer:
    headers = {OWN: name, **over.pop("headers", {})}
    return hub.post(tenant, ask(model, **over), headers=headers)


def windows_of(hub: Hub, tenant: Tenant, name: str = NAME) -> list[dict[str, Any]]:
    return hub.rows(
        "SELECT * FROM billing_budgetwindow WHERE session_id = %s ORDER BY budget_id NULLS LAST",
        session_id(tenant.key_id, name),
    )


def raise_budget(hub: Hub, tenant: Tenant, budget: int, usd: str) -> None:
    with hub.connection.transaction():
        for text, parameters in (
            lock_accounts([tenant.organisation_id]),
            count_guards([tenant.organisation_id]),
        ):
            hub.connection.execute(text, parameters)
        hub.connection.execute(
            "UPDATE billing_budget SET amount_nano = %s WHERE id = %s", [parse_usd(usd), budget]
        )
        hub.connection.execute(
            "UPDATE billing_budgetwindow SET cap_nano = %s WHERE budget_id = %s",
            [parse_usd(usd), budget],
        )


def end(hub: Hub, tenant: Tenant, name: str = NAME) -> None:
    end_by_id(hub, tenant, session_id(tenant.key_id, name))


def end_by_id(hub: Hub, tenant: Tenant, session: UUID) -> None:
    with hub.connection.transaction():
        text, parameters = lock_accounts([tenant.organisation_id])
        hub.connection.execute(text, parameters)
        hub.connection.execute(
            "INSERT INTO billing_endedsession (session_id, organisation_id) VALUES (%s, %s)",
            [session, tenant.organisation_id],
        )


def reopen(hub: Hub, tenant: Tenant) -> None:
    hub.connection.execute(
        "DELETE FROM billing_endedsession WHERE organisation_id = %s", [tenant.organisation_id]
    )


# Parallel sub-agents ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "seeds", [range(2), pytest.param(range(2, 20), marks=pytest.mark.slow)], ids=["2", "18"]
)
def test_50_sub_agents_never_overspend_their_session(
    own_hub: Hub, fake: FakeUpstream, seeds: range
) -> None:
    """P2: over two processes, by a budget and by the client's own header: 0 over in every seed."""
    with processes(own_hub, 2) as hubs:
        model = own_hub.model(fake, rates=RATES)
        for hub in hubs:
            hub.know(model)
        for seed in seeds:
            _overspend(own_hub, hubs, model, seed)


def _overspend(own_hub: Hub, hubs: list[Hub], model: str, seed: int) -> None:
    tenant, draw = own_hub.tenant("100"), random.Random(seed)
    by_header = seed % 2 == 1
    if not by_header:
        own_hub.budget(tenant, "1", period="session")
    asked = [
        (f"agent {n}", draw.randrange(200, 3000), draw.random(), draw.randrange(2))
        for n in range(AGENTS)
    ]

    def work(agent: tuple[str, int, float, int], at: Hub) -> list[int]:
        name, cap, share, delay = agent
        headers = {
            OWN: NAME, "x-claude-code-agent-id": name, **({CAP: "1"} if by_header else {}),
        }  # fmt: skip
        text = f"#tokens={max(1, int(cap * share))} #delay_ms={delay}"
        body = ask(model, text, max_tokens=cap)
        return [at.post(tenant, body, headers=headers).status for _ in range(4)]

    with ThreadPoolExecutor(AGENTS) as pool:
        answers = list(pool.map(work, asked, itertools.cycle(hubs)))
    own_hub.settled(tenant)
    statuses = [status for agent in answers for status in agent]
    assert set(statuses) == {200, 402}, (seed, set(statuses))
    spent = own_hub.balance(tenant)["revenue"]
    assert spent <= NANO, f"seed {seed}: {spent - NANO} nano over"
    (window,) = windows_of(own_hub, tenant)
    assert (window["held_nano"], window["spent_nano"]) == (0, spent), seed
    # What is left is there for whoever asks for it.
    rest, headers = NANO - spent, {OWN: NAME, **({CAP: "1"} if by_header else {})}
    last = own_hub.post(tenant, ask(model, "#tokens=1"), headers=headers)
    if rest > 2_000_000:
        assert Decimal(last.headers["x-weir-hold"]) * NANO >= rest * Decimal("0.9"), seed
    own_hub.settled(tenant)


# The cap ------------------------------------------------------------------------------------------


def test_a_session_at_its_cap_is_refused_and_others_are_not(hub: Hub, fake: FakeUpstream) -> None:
    """The error names session, cap and where it is raised, and clients do not repeat it."""
    tenant, model = hub.tenant(), hub.model(fake, rates=RATES)
    budget = hub.budget(tenant, "0.02", period="session")
    first = turn(hub, tenant, model, text="#tokens=400", max_tokens=400)
    assert first.status == 200
    hub.settled(tenant)
    asked = fake.totals()["requests"]
    refused = turn(hub, tenant, model, text="#tokens=400", max_tokens=400)
    assert (refused.status, refused.error["code"]) == (402, "insufficient_quota")
    message = refused.error["message"]
    named = rf"Insufficient Balance: key budget( .+)? of session {NAME} has too little left: "
    assert re.match(named, message), message
    assert "of 0.02 USD per session" in message
    assert f"/b/{budget}. Its turns: http" in message
    assert message.endswith(f"/session/{id_text(session_id(tenant.key_id, NAME))}")
    assert refused.headers["x-should-retry"] == "false"
    assert fake.totals()["requests"] == asked
    assert turn(hub, tenant, model, "Another", text="#tokens=4", max_tokens=400).status == 200
    unnamed = hub.post(tenant, ask(model, "#tokens=400", max_tokens=4000))
    assert unnamed.status == 200, "what names no session is in none"
    hub.settled(tenant)


def test_raised_budget_continues_the_session_immediately(hub: Hub, fake: FakeUpstream) -> None:
    tenant, model = hub.tenant(), hub.model(fake, rates=RATES)
    budget = hub.budget(tenant, "0.02", "organisation", period="session")
    body: dict[str, Any] = {"text": "#tokens=400", "max_tokens": 400}
    assert turn(hub, tenant, model, **body).status == 200
    hub.settled(tenant)
    assert turn(hub, tenant, model, **body).status == 402
    raise_budget(hub, tenant, budget, "0.05")
    assert turn(hub, tenant, model, **body).status == 200
    hub.settled(tenant)
    (window,) = windows_of(hub, tenant)
    assert window["spent_nano"] == hub.balance(tenant)["revenue"] > 20_000_000


def test_only_a_lower_header_changes_the_session_cap(hub: Hub, fake: FakeUpstream) -> None:
    tenant, model = hub.tenant(), hub.model(fake, rates=RATES)
    hub.budget(tenant, "0.03", "team", period="session")
    body: dict[str, Any] = {"text": "#tokens=400", "max_tokens": 400}
    lower = turn(hub, tenant, model, headers={CAP: "0.001"}, **body)
    assert lower.status == 402
    assert f"client's own budget of session {NAME}" in lower.error["message"]
    assert f"Send a higher {CAP} to continue the session" in lower.error["message"]
    assert turn(hub, tenant, model, headers={CAP: "0.02"}, **body).status == 200
    hub.settled(tenant)
    assert turn(hub, tenant, model, headers={CAP: "0.02"}, **body).status == 402
    assert turn(hub, tenant, model, headers={CAP: "5"}, **body).status == 200
    hub.settled(tenant)
    higher = turn(hub, tenant, model, headers={CAP: "5"}, **body)
    assert higher.status == 402
    assert re.search("team budget .*of session", higher.error["message"])
    spent = hub.balance(tenant)["revenue"]
    of_team, of_client = windows_of(hub, tenant)
    assert spent == of_team["spent_nano"] == of_client["spent_nano"]
    assert of_client["cap_nano"] == 5 * NANO


def test_later_cap_counts_the_whole_session(hub: Hub, clients: Clients, fake: FakeUpstream) -> None:
    """What was spent before it, and what runs while it comes."""
    tenant, model = hub.tenant(), hub.model(fake, rates=RATES)
    assert turn(hub, tenant, model, text="#tokens=300", max_tokens=300).status == 200
    hub.settled(tenant)
    before = hub.balance(tenant)["revenue"]
    body = ask(model, "#tokens=300 #delay_ms=5", stream=True, max_tokens=300, session_id=NAME)
    running = clients.ask(hub, tenant, body)
    running.read_until(b'"content":" ')
    late = turn(hub, tenant, model, text="#tokens=1", max_tokens=16, headers={CAP: "0.02"})
    (window,) = windows_of(hub, tenant)
    assert window["brought_nano"] == before
    assert late.status == (200 if window["held_nano"] + before + 500_000 < 20_000_000 else 402)
    running.read_until(b"[DONE]")
    hub.settled(tenant)
    (window,) = windows_of(hub, tenant)
    assert (window["held_nano"], window["spent_nano"]) == (0, hub.balance(tenant)["revenue"])


def test_a_cap_without_a_session_or_an_amount_is_refused(hub: Hub, fake: FakeUpstream) -> None:
    tenant, model = hub.tenant(), hub.model(fake)
    asked = fake.totals()["requests"]
    unnamed = hub.post(tenant, ask(model), headers={CAP: "1"})
    assert (unnamed.status, unnamed.error["code"]) == (400, "missing_required_parameter")
    assert f"Add {OWN}" in unnamed.error["message"]
    for text in ("", "-1", "1e3", "a"):
        answer = turn(hub, tenant, model, headers={CAP: text})
        assert (answer.status, answer.error["param"]) == (422, CAP), text
    assert fake.totals()["requests"] == asked
    named = hub.post(tenant, ask(model, session_id=NAME), headers={CAP: "1"})
    assert named.status == 200, "a session in the body is one too"
    hub.settled(tenant)


# Sessions that were ended -------------------------------------------------------------------------


def test_streams_of_an_ended_session_end_within_a_second(
    hub: Hub, clients: Clients, fake: FakeUpstream
) -> None:
    """Its client hears why; other sessions of the key hear their whole answer."""
    tenant, model = hub.tenant(), hub.model(fake)
    text = "#tokens=150 #delay_ms=20"
    streams = {
        name: clients.ask(hub, tenant, ask(model, text, stream=True, session_id=name))
        for name in (NAME, "Another")
    }
    for client in streams.values():
        client.read_until(b'"content":" ')
    end(hub, tenant)
    began = time.monotonic()
    hub.bump()
    streams[NAME].read_until(b"0\r\n\r\n")
    assert time.monotonic() - began < 1
    assert b'"code":"session_ended"' in streams[NAME].seen
    assert b"[DONE]" not in streams[NAME].seen
    streams["Another"].read_until(b"[DONE]")
    hub.settled(tenant)
    records = hub.rows(
        "SELECT status, kind, charge_nano, hold_nano FROM usage_usagerecord "
        "WHERE organisation_id = %s AND final AND session_id = %s",
        tenant.organisation_id, session_id(tenant.key_id, NAME),
    )  # fmt: skip
    (record,) = records
    assert (record["status"], record["kind"]) == (403, "session_ended")
    assert 0 < record["charge_nano"] < record["hold_nano"]


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "drained"])
def test_pending_requests_of_an_ended_session_end_too(
    hub: Hub, clients: Clients, fake: FakeUpstream, stream: bool
) -> None:
    tenant, model = hub.tenant(), hub.model(fake, on_leave="drain")
    client: Client = clients.ask(
        hub, tenant, ask(model, "#tokens=90 #delay_ms=20", stream=stream, session_id=NAME)
    )
    if stream:
        client.read_until(b'"content":" ')
    else:
        query = "SELECT id FROM billing_hold WHERE organisation_id = %s"
        hub.wait(lambda: bool(hub.rows(query, tenant.organisation_id)), "no hold")
    end(hub, tenant)
    began = time.monotonic()
    hub.bump()
    client.read_until(b'"code":"session_ended"')
    assert time.monotonic() - began < 1
    record = final_record(hub, tenant)
    assert (record["status"], record["kind"]) == (403, "session_ended")
    if stream:
        assert (record["basis"], record["meters"]["out_text"]) == ("drained", 90)
    hub.settled(tenant)


def test_a_turn_of_an_ended_session_stops_within_a_second_on_ws(
    hub: Hub, fake: FakeUpstream
) -> None:
    """Its next turn is refused; a turn of another session on the connection goes on."""
    tenant = hub.tenant()
    model = hub.model(fake, rates=RATES, **UPSTREAMS["responses"])
    with connected(hub, tenant.key) as client:
        for name in (NAME, "Another"):
            text = "#tokens=150 #delay_ms=20"
            client.create(model, text, prompt_cache_key=name, stream_id=name[:3])
        heard = {client.until("response.output_text.delta")["stream_id"] for _ in range(20)}
        assert heard == {"Fix", "Ano"}
        end(hub, tenant)
        began = time.monotonic()
        hub.bump()
        failed = client.until("response.failed", "error")
        assert time.monotonic() - began < 1
        assert (failed["type"], failed["stream_id"]) == ("response.failed", "Fix")
        message = failed["response"]["error"]["message"]
        assert f"session {NAME} was ended. Start another session" in message
        whole = client.until("response.completed", "response.failed", "error")
        assert (whole["type"], whole["stream_id"]) == ("response.completed", "Ano")
        client.create(model, "#tokens=2", prompt_cache_key=NAME)
        refused = client.error()
        assert (refused["status"], refused["error"]["code"]) == (403, "session_ended")
    query = (
        "SELECT status, kind, charge_nano, hold_nano FROM usage_usagerecord "
        "WHERE organisation_id = %s AND final AND session_id = %s ORDER BY id"
    )
    of_session = tenant.organisation_id, session_id(tenant.key_id, NAME)
    hub.wait(lambda: len(hub.rows(query, *of_session)) == 2, "no such number of records")
    record, _ = hub.rows(query, *of_session)
    hub.settled(tenant)
    assert (record["status"], record["kind"]) == (403, "session_ended")
    assert 0 < record["charge_nano"] < record["hold_nano"]


def test_ended_realtime_session_says_so_within_a_second(hub: Hub) -> None:
    """What is being made is cancelled at the provider, and paid."""
    tenant = hub.tenant()
    with FakeRealtime() as provider:
        model = hub.model(provider, rates=RATES, upstream_model="gpt-realtime", retries=0)
        with session(hub, tenant.key, model) as talk:
            assert talk.socket.response is not None
            opened = parse_id(talk.socket.response.headers["x-request-id"])
            assert opened is not None
            talk.request("hello #tokens=2000 #slow=5")
            for _ in range(5):
                talk.hear("response.output_text.delta")
            end_by_id(hub, tenant, opened)
            began = time.monotonic()
            hub.bump()
            last, code = talk.end()
            assert time.monotonic() - began < 1
        assert last is not None
        assert (code, last["error"]["code"]) == (1008, "session_ended")
        record = final_record(hub, tenant)
        (usage,) = provider.sessions[-1].responses
    assert record["meters"]["out_text"] == usage["output_tokens"] < 2000
    assert (record["status"], record["kind"]) == (403, "session_ended")


@pytest.mark.parametrize("guarded", [False, True], ids=["plain", "guarded"])
def test_an_ended_session_is_refused_until_it_is_reopened(
    hub: Hub, fake: FakeUpstream, guarded: bool
) -> None:
    """The admission itself sees it, without any notification."""
    tenant, model = hub.tenant(), hub.model(fake)
    if guarded:
        hub.budget(tenant, "1", period="session")
    assert turn(hub, tenant, model).status == 200
    hub.settled(tenant)
    end(hub, tenant)
    asked = fake.totals()["requests"]
    refused = turn(hub, tenant, model)
    assert (refused.status, refused.error["code"]) == (403, "session_ended")
    assert f"session {NAME} was ended. Start another session, or" in refused.error["message"]
    assert refused.headers["x-should-retry"] == "false"
    assert fake.totals()["requests"] == asked
    assert turn(hub, tenant, model, "Another").status == 200
    reopen(hub, tenant)
    assert turn(hub, tenant, model).status == 200
    hub.settled(tenant)


def test_ended_session_ends_only_its_own_requests(hub: Hub, fake: FakeUpstream) -> None:
    """P12: the same name under another key is another session."""
    one, other, model = hub.tenant(), hub.tenant(), hub.model(fake)
    end(hub, one)
    assert turn(hub, other, model).status == 200
    assert turn(hub, hub.key(one), model).status == 200
    assert turn(hub, one, model).status == 403
    hub.settled(one)
    hub.settled(other)
