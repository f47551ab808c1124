"""Idempotency-Key on the relay (P5): one request, however often it is sent, and one charge."""

import asyncio
import base64
import http.client
import json
import uuid
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace
from typing import Any, cast

import pytest
import pytest_asyncio
from hypothesis import given
from hypothesis import strategies as st

from dialects.codec import Target
from dialects.errors.errors import RequestFault
from lib.id_types import RequestId
from lib.vault import Vault
from relay.answers import idempotency
from relay.answers.idempotency import (
    _PAGE,
    AnswerKeeper,
    IdempotentAnswer,
    IdempotentRequest,
    IdempotentRequests,
    KeptHead,
    KeyUse,
    RunnerDied,
    body_digest,
)
from relay.database.database import PipelinedConnection, Row, Statement
from relay.downstream.downstream import Head
from relay.errors import DatabaseAway
from relay.requests.invocation import Invocation
from relay.states.state_store import StateStore
from tests.fakes.upstream import FakeUpstream
from tests.relay.asking import ask, chunks_of, text_of
from tests.relay.clients import Clients
from tests.relay.own_keys.test_own_keys import channel_of, knows
from tests.support.hub import Answer, Hub, Tenant

KEPT = "SELECT * FROM gateway_idempotentanswer WHERE organisation_id = %s"
RECORDS = "SELECT * FROM usage_usagerecord WHERE organisation_id = %s"
MIB = 1024 * 1024


# Its answers are always streamed, and held in the middle where the client waits for the whole.
FOLDED: dict[str, Any] = {"provider": "qwen", "upstream_model": "qwen3-omni-flash"}


def named(key: str | None = None) -> dict[str, str]:
    return {"idempotency-key": key or uuid.uuid4().hex}


def charges(hub: Hub, tenant: Tenant) -> list[int]:
    """What the ended requests of an organisation were charged, without those that cost nothing."""
    hub.settled(tenant)
    return paid(hub, tenant)


def paid(hub: Hub, tenant: Tenant) -> list[int]:
    rows = hub.rows(RECORDS, tenant.organisation_id)
    return [row["charge_nano"] for row in rows if row["charge_nano"]]


def beginning_of(
    clients: Clients, hub: Hub, tenant: Tenant, body: dict[str, Any], headers: dict[str, str]
) -> tuple[http.client.HTTPConnection, http.client.HTTPResponse]:
    """A stream whose head has been read."""
    connection = clients.connect(hub)
    sent = {"content-type": "application/json", "authorization": f"Bearer {tenant.key}"}
    connection.request("POST", "/v1/chat/completions", json.dumps(body), sent | headers)
    return connection, connection.getresponse()


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("provider", ["openai", "anthropic"])
def test_repeated_request_gets_the_same_answer(
    hub: Hub, fake: FakeUpstream, stream: bool, provider: str
) -> None:
    tenant, model = hub.tenant(), hub.model(fake, provider=provider)
    body, headers = ask(model, "#tokens=5", stream=stream), named()
    first = hub.post(tenant, body, headers=headers)
    assert (first.status, "idempotent-replayed" in first.headers) == (200, False)
    for _ in range(3):
        again = hub.post(tenant, body, headers=headers)
        assert (again.status, again.body) == (200, first.body)
        assert again.headers.pop("idempotent-replayed") == "true"
        del again.headers["date"], first.headers["date"]
        assert again.headers == first.headers
        first.headers["date"] = ""
    assert len(charges(hub, tenant)) == 1
    (row,) = hub.rows(KEPT, tenant.organisation_id)
    pieces = hub.rows(
        "SELECT sealed FROM gateway_answerpiece WHERE request_id = %s", row["request_id"]
    )
    assert pieces
    assert not any(b"choices" in one["sealed"] for one in pieces)
    assert b"json" not in row["head"]


@pytest.mark.parametrize("path", ["/v1/embeddings", "/v1/responses", "/v1/messages"])
def test_every_paid_endpoint_is_idempotent(hub: Hub, fake: FakeUpstream, path: str) -> None:
    tenant, model = hub.tenant(), hub.model(fake)
    bodies: dict[str, dict[str, Any]] = {
        "/v1/embeddings": {"input": "one two"},
        "/v1/responses": {"input": "hi #tokens=2"},
        "/v1/messages": {"messages": [{"role": "user", "content": "hi"}], "max_tokens": 9},
    }
    body, headers = bodies[path] | {"model": model}, named()
    first, again = (hub.post(tenant, body, path=path, headers=headers) for _ in range(2))
    assert first.status == 200, first.body
    assert (again.status, again.body) == (200, first.body)
    assert len(charges(hub, tenant)) == 1


def test_fifty_parallel_repetitions_run_once(hub: Hub, fake: FakeUpstream) -> None:
    """P5: 50 parallel, 1 effect. Those that come while it runs hear so, and a stream hears it."""
    tenant, model = hub.tenant(), hub.model(fake)
    for stream in (False, True):
        body, headers = ask(model, "#tokens=4", stream=stream), named()

        def send(_: int, body: dict[str, Any] = body, headers: dict[str, str] = headers) -> Answer:
            return hub.post(tenant, body, headers=headers)

        with ThreadPoolExecutor(50) as pool:
            answers = list(pool.map(send, range(50)))
        statuses = [answer.status for answer in answers]
        assert set(statuses) <= ({200} if stream else {200, 409})
        whole = {answer.body for answer in answers if answer.status == 200}
        assert len(whole) == 1
        assert len(charges(hub, tenant)) == (2 if stream else 1)
    hub.assert_books_balance()


def test_different_body_is_rejected(hub: Hub, fake: FakeUpstream) -> None:
    tenant, model = hub.tenant(), hub.model(fake)
    headers = named()
    assert hub.post(tenant, ask(model), headers=headers).status == 200
    for other in (ask(model, "other"), json.dumps(ask(model)).encode() + b" "):
        answer = hub.post(tenant, other, headers=headers)
        assert (answer.status, answer.error["code"]) == (422, "idempotency_mismatch")
    same = hub.post(tenant, ask(model), path="/v1/embeddings", headers=headers)
    assert same.status == 422
    assert len(charges(hub, tenant)) == 1


def test_idempotency_keys_are_separate_per_key(hub: Hub, fake: FakeUpstream) -> None:
    """Neither another organisation nor another API key is told what it did not ask."""
    tenant, model = hub.tenant(), hub.model(fake)
    headers = named("1")
    responses = [
        hub.post(one, ask(model), headers=headers)
        for one in (tenant, hub.key(tenant), hub.tenant())
    ]
    assert [answer.status for answer in responses] == [200, 200, 200]
    assert not any("idempotent-replayed" in answer.headers for answer in responses)


def test_repeating_a_running_plain_request_is_a_conflict(hub: Hub, fake: FakeUpstream) -> None:
    tenant, model = hub.tenant(), hub.model(fake, **FOLDED)
    body, headers = ask(model, "#tokens=4 #hold=2"), named()
    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(hub.post, tenant, body, headers=headers)
        fake.wait_for(lambda totals: totals["holding"] == 1)
        answer = hub.post(tenant, body, headers=headers)
        fake.release()
        assert answer.status == 409, answer.body
        assert answer.error["code"] == "conflict"
        assert running.result().status == 200
    assert hub.post(tenant, body, headers=headers).body == running.result().body
    assert len(charges(hub, tenant)) == 1


def test_a_running_stream_is_told_from_its_first_event(
    hub: Hub, clients: Clients, fake: FakeUpstream
) -> None:
    tenant, model = hub.tenant(), hub.model(fake)
    body, headers = ask(model, "#tokens=9 #hold=4", stream=True), named()
    _, response = beginning_of(clients, hub, tenant, body, headers)
    _, attached = beginning_of(clients, hub, tenant, body, headers)
    assert (response.status, attached.status) == (200, 200)
    fake.wait_for(lambda totals: totals["holding"] == 1)
    assert attached.getheader("idempotent-replayed") == "true"
    fake.release()
    assert response.read() == attached.read()
    assert len(charges(hub, tenant)) == 1


def test_returning_client_gets_its_stream(hub: Hub, clients: Clients, fake: FakeUpstream) -> None:
    """It gave the key to be able to: its answer is made to the end, and paid once."""
    tenant, model = hub.tenant(), hub.model(fake)
    body, headers = ask(model, "#tokens=9 #hold=4", stream=True), named()
    connection, response = beginning_of(clients, hub, tenant, body, headers)
    assert response.status == 200
    response.close()
    connection.close()
    _, attached = beginning_of(clients, hub, tenant, body, headers)
    fake.wait_for(lambda totals: totals["holding"] == 1)
    fake.release()
    answer = Answer(200, {"content-type": "text/event-stream"}, attached.read())
    assert answer.body.endswith(b"data: [DONE]\n\n")
    assert len(text_of(answer).split()) == 9
    record = hub.record(attached.getheader("x-request-id") or "")
    assert (record["status"], record["kind"], record["basis"]) == (200, None, "measured")
    assert len(charges(hub, tenant)) == 1


def test_rejected_request_may_be_retried(hub: Hub, fake: FakeUpstream) -> None:
    """Nothing was spent, so that a retry is worth something."""
    tenant, model = hub.tenant("0.000000001"), hub.model(fake)
    headers = named()
    assert hub.post(tenant, ask(model), headers=headers).status == 402
    assert hub.post(tenant, ask(model), headers=headers).status == 402
    rich = hub.tenant()
    body = ask(model, "#fault=F10")
    assert hub.post(rich, body, headers=headers).status == 502
    assert hub.post(rich, body, headers=headers).status == 502
    assert charges(hub, rich) == []
    for one in (tenant, rich):
        (row,) = hub.rows(KEPT, one.organisation_id)
        assert row["head"] is None


def used(
    clients: Clients, hub: Hub, fake: FakeUpstream, how: str
) -> tuple[Tenant, str, dict[str, str]]:
    """A key under which something has been asked, a while ago or just now."""
    tenant = hub.tenant("0.000000001" if how == "402" else "10.00")
    model, headers = hub.model(fake, retries=0), named()
    texts = {"502": "#fault=F10", "400": "#fault=F6:400", "running": "#hold=2", "dead": "#hold=2"}
    wish = texts.get(how, "#tokens=4")
    body = ask(model, wish, stream=how in ("running", "dead"), store=how != "not_kept")
    if how in ("running", "dead"):
        connection, response = beginning_of(clients, hub, tenant, body, headers)
        response.close()
        connection.close()
    else:
        status = int(how) if how.isdecimal() else 200
        assert hub.post(tenant, body, headers=headers).status == status
    if how == "dead":
        # As a process that was killed before the answer began.
        hub.connection.execute(
            "UPDATE gateway_idempotentanswer SET head = NULL, alive_until = now(), "
            "suspected_at = now() - interval '10 seconds' WHERE organisation_id = %s",
            [tenant.organisation_id],
        )
    return tenant, model, headers


@pytest.mark.parametrize("how", ["200", "400", "402", "502", "not_kept", "running", "dead"])
def test_different_body_under_a_used_key_is_rejected(
    hub: Hub, clients: Clients, fake: FakeUpstream, how: str
) -> None:
    """P5: whatever became of the first, and whether or not its process lives: 422, and nothing of
    the first is touched."""
    tenant, model, headers = used(clients, hub, fake, how)
    (before,) = hub.rows(KEPT, tenant.organisation_id)
    for stream in (False, True):
        answer = hub.post(tenant, ask(model, "another", stream=stream), headers=headers)
        assert (answer.status, answer.error["code"]) == (422, "idempotency_mismatch")
    (after,) = hub.rows(KEPT, tenant.organisation_id)
    assert [after[name] for name in ("body_digest", "request_id", "state")] == [
        before[name] for name in ("body_digest", "request_id", "state")
    ]
    fake.release()
    hub.settled(tenant)


def test_what_an_own_key_paid_is_not_run_again(hub: Hub, fake: FakeUpstream) -> None:
    """P5: its organisation pays its provider, also if it pays no fee to us."""
    tenant, model = hub.tenant(), hub.model(fake)
    hub.own_key(tenant, channel_of(hub, model), fake.key)
    knows(hub)
    body, headers = ask(model, "#tokens=4"), named()
    first = hub.post(tenant, body, headers=headers)
    record = hub.record(first.headers["x-request-id"])
    assert (record["charge_nano"], record["own_nano"] > 0) == (0, True)
    # As if its process had died before the answer was kept.
    hub.connection.execute(
        "UPDATE gateway_idempotentanswer SET head = NULL, state = 'running', alive_until = now(), "
        "suspected_at = now() - interval '10 seconds' WHERE organisation_id = %s",
        [tenant.organisation_id],
    )
    answer = hub.post(tenant, body, headers=headers)
    assert (answer.status, answer.error["param"]) == (400, "idempotency-key")


def test_failed_stream_replays_as_it_was(hub: Hub, fake: FakeUpstream) -> None:
    """What was delivered is paid, and so it is the answer."""
    tenant, model = hub.tenant(), hub.model(fake)
    body, headers = ask(model, "#tokens=6 #fault=F14:eof@3", stream=True), named()
    first, again = (hub.post(tenant, body, headers=headers) for _ in range(2))
    assert first.status == 200, first.body
    assert again.body == first.body
    assert "error" in chunks_of(again)[-1]
    assert len(charges(hub, tenant)) == 1


@pytest.mark.parametrize("stream", [False, True])
def test_unstorable_answer_uses_up_its_key(hub: Hub, fake: FakeUpstream, stream: bool) -> None:
    """`store: false`: the answer is nowhere, and the request is not made twice."""
    tenant, model = hub.tenant(), hub.model(fake)
    body, headers = ask(model, "#tokens=2", stream=stream, store=False), named()
    assert hub.post(tenant, body, headers=headers).status == 200
    answer = hub.post(tenant, body, headers=headers)
    assert (answer.status, answer.error["param"]) == (400, "idempotency-key")
    (row,) = hub.rows(KEPT, tenant.organisation_id)
    assert (row["state"], row["head"]) == ("not_kept", None)
    assert len(charges(hub, tenant)) == 1


@pytest.mark.parametrize("key", ["", "x" * 129])
def test_malformed_idempotency_keys_are_rejected(hub: Hub, fake: FakeUpstream, key: str) -> None:
    headers = {"idempotency-key": key}
    answer = hub.post(hub.tenant(), ask(hub.model(fake)), headers=headers)
    assert (answer.status, answer.error["param"]) == (422, "idempotency-key")


def test_idempotency_key_is_not_sent_upstream(hub: Hub, fake: FakeUpstream) -> None:
    tenant, model = hub.tenant(), hub.model(fake)
    key = uuid.uuid4().hex
    answer = hub.post(tenant, ask(model), headers=named(key))
    record = hub.record(answer.headers["x-request-id"])
    assert record["status"] == 200
    for row in hub.rows("SELECT * FROM gateway_idempotentanswer"):
        assert key.encode() not in b"".join(
            bytes(value) for value in row.values() if isinstance(value, bytes | memoryview)
        )


def killed_at(hub: Hub, fake: FakeUpstream, body: dict[str, Any], headers: dict[str, str],
              tenant: Tenant, when: Callable[[], bool]) -> None:  # fmt: skip
    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(hub.post, tenant, body, headers=headers)
        hub.wait(when, "it does not come so far")
        hub.kill()
        with pytest.raises((http.client.HTTPException, OSError)):
            running.result()
    fake.release()
    hub.start()


def lapse(hub: Hub) -> None:
    hub.connection.execute(
        "UPDATE gateway_idempotentanswer "
        "SET alive_until = now(), suspected_at = now() - interval '10 seconds'"
    )


@pytest.mark.slow
def test_request_killed_before_its_answer_runs_again(own_hub: Hub, fake: FakeUpstream) -> None:
    own_hub.start()
    tenant, model = own_hub.tenant(), own_hub.model(fake, **FOLDED)
    body, headers = ask(model, "#tokens=4 #1.hold=2"), named()
    killed_at(own_hub, fake, body, headers, tenant,
              lambda: fake.totals()["holding"] == 1)  # fmt: skip
    # Until its time is over nobody knows that it is dead.
    assert own_hub.post(tenant, body, headers=headers).status == 409
    lapse(own_hub)
    first, again = (own_hub.post(tenant, body, headers=headers) for _ in range(2))
    assert (first.status, again.body) == (200, first.body)
    own_hub.record(first.headers["x-request-id"])
    assert len(paid(own_hub, tenant)) == 1


def test_request_killed_mid_stream_always_reports_it(own_hub: Hub, fake: FakeUpstream) -> None:
    own_hub.start()
    tenant, model = own_hub.tenant(), own_hub.model(fake)
    body, headers = ask(model, "#tokens=9 #hold=4", stream=True), named()
    pieces = "SELECT * FROM gateway_answerpiece WHERE organisation_id = %s"
    killed_at(own_hub, fake, body, headers, tenant,
              lambda: bool(own_hub.rows(pieces, tenant.organisation_id)))  # fmt: skip
    lapse(own_hub)
    first, again = (own_hub.post(tenant, body, headers=headers) for _ in range(2))
    assert (first.status, first.body) == (200, again.body)
    chunks = chunks_of(first)
    assert chunks[0]["choices"]
    assert chunks[-1]["error"]["type"] == "server_error"
    assert len(own_hub.rows("SELECT * FROM usage_attempt")) == 1


def test_unstored_answer_killed_midway_uses_up_its_key(own_hub: Hub, fake: FakeUpstream) -> None:
    """Even before anybody has settled what was answered of it: its mark says that it will be."""
    own_hub.start()
    tenant, model = own_hub.tenant(), own_hub.model(fake)
    body, headers = ask(model, "#tokens=9 #hold=4", stream=True, store=False), named()
    marked = "SELECT * FROM billing_hold WHERE organisation_id = %s AND mark IS NOT NULL"
    killed_at(own_hub, fake, body, headers, tenant,
              lambda: bool(own_hub.rows(marked, tenant.organisation_id)))  # fmt: skip
    lapse(own_hub)
    refused = own_hub.post(tenant, body, headers=headers)
    assert (refused.status, refused.error["param"]) == (400, "idempotency-key")
    assert len(own_hub.rows("SELECT * FROM usage_attempt")) == 1


@pytest.mark.slow
def test_answer_stored_before_a_kill_is_replayed(own_hub: Hub, fake: FakeUpstream) -> None:
    """The answer is kept before it is paid: whatever dies between, it is not made again."""
    own_hub.start()
    tenant, model = own_hub.tenant(), own_hub.model(fake)
    body, headers = ask(model, "#tokens=4"), named()
    first = own_hub.post(tenant, body, headers=headers)
    own_hub.kill()
    own_hub.start()
    again = own_hub.post(tenant, body, headers=headers)
    assert (again.status, again.body) == (200, first.body)
    assert len(own_hub.rows("SELECT * FROM usage_attempt")) == 1


def test_two_processes_share_one_run(own_hub: Hub, clients: Clients, fake: FakeUpstream) -> None:
    """The second process tells what the first one makes, from its first event."""
    own_hub.start()
    other = Hub(own_hub.dsn)
    other.start()
    try:
        tenant, model = own_hub.tenant(), own_hub.model(fake)
        other.know(model)
        body, headers = ask(model, "#tokens=9 #hold=4", stream=True), named()
        _, response = beginning_of(clients, own_hub, tenant, body, headers)
        _, attached = beginning_of(clients, other, tenant, body, headers)
        assert attached.getheader("x-request-id") == response.getheader("x-request-id")
        fake.wait_for(lambda totals: totals["holding"] == 1)
        fake.release()
        assert attached.read() == response.read()
        assert len(charges(own_hub, tenant)) == 1
    finally:
        other.kill()
        other.close()


@given(st.binary(max_size=20), st.binary(max_size=20), st.text(max_size=4), st.text(max_size=4))
def test_digest_distinguishes_bodies(one: bytes, two: bytes, a: str, b: str) -> None:
    same = (one, a) == (two, b)
    assert (body_digest(a, ("m", False), one) == body_digest(b, ("m", False), two)) is same
    assert body_digest(a, ("m", True), one) != body_digest(a, ("m", False), one)


REQUEST: dict[str, Any] = {
    "key": "k", "key_id": uuid.UUID(int=1), "operation": "images", "raw": b"{}", "files": b"digest",
    "model": "m", "stream": False, "array": False, "task": "t",
}  # fmt: skip
OTHER: dict[str, Any] = {
    "key": "l", "key_id": uuid.UUID(int=2), "operation": "edits", "raw": b"{} ", "files": b"",
    "model": "n", "stream": True, "array": True, "task": "u",
}  # fmt: skip


def claimed_as(sent: dict[str, Any]) -> tuple[Any, Any]:
    """As what a request claims its key: the row's id and digest."""
    target = Target(**{name: sent[name] for name in Target.__struct_fields__})
    context = SimpleNamespace(
        invocation=Invocation(cast(Any, None), sent["operation"], target),
        principal=SimpleNamespace(retention_hours=1, organisation_id=None, key_id=sent["key_id"]),
        request_id=uuid.uuid4(),
        parts=SimpleNamespace(config=SimpleNamespace(write_stall_s=1)),
    )
    requests: Any = SimpleNamespace(states=None)
    request = IdempotentRequest(
        requests, cast(Any, context), cast(Any, None), sent["key"], sent["raw"], files=sent["files"]
    )
    row = request._answer.row
    return row["id"], row["digest"]


@pytest.mark.parametrize("part", REQUEST)
def test_no_part_of_a_request_may_differ_under_its_key(part: str) -> None:
    """P5: another one of any of them is another request; all else, such as its id, is not."""
    assert claimed_as(REQUEST) == claimed_as(REQUEST)
    assert claimed_as(REQUEST | {part: OTHER[part]}) != claimed_as(REQUEST)


async def test_the_key_of_a_cut_answer_is_not_released() -> None:
    """P5: its run may go on, so that a repetition would be paid once more; nor is it replayed. The
    database is away at the first time."""
    written: list[list[str]] = []

    class Answer:
        def end(self, *, kept: bool) -> Statement:
            return "kept" if kept else "not kept", {}

        def release(self) -> list[Statement]:
            return [("released", {})]

        async def pieces(self, raw: bytes, n: int) -> list[Statement]:
            return []

        async def write(self, statements: list[Statement]) -> bool:
            written.append([text for text, _ in statements])
            return len(written) > 1

    keeper = AnswerKeeper(cast(IdempotentAnswer, Answer()), content=True)
    await keeper.spoil()
    await keeper.release()
    await keeper.close()
    assert written == [["not kept"], ["not kept"]]


async def test_end_that_the_database_takes_late_is_stored_once() -> None:
    """P5: the last bytes are stored before the request is settled, and again when they are sent."""
    taken: list[str] = []

    class Answer:
        tries = 0

        def end(self, *, kept: bool) -> Statement:
            return "end", {}

        async def pieces(self, raw: bytes, n: int) -> list[Statement]:
            return [(raw.decode(), {})] if raw else []

        async def write(self, statements: list[Statement]) -> bool:
            self.tries += 1
            taken.extend([text for text, _ in statements] if self.tries > 1 else [])
            return self.tries > 1

    keeper = AnswerKeeper(cast(IdempotentAnswer, Answer()), content=True)
    for _ in range(3):
        await keeper.end(b"last")
    assert taken == ["last", "end"]


class Failing:
    """The states of Postgres, which fail at some writes: the database has not taken one (`away`),
    or has taken it, and its answer does not come (`silent`)."""

    def __init__(self, states: StateStore) -> None:
        self.states = states
        self.seal, self.open = states.seal, states.open
        self.fails: list[str] = []
        self.sizes: list[int] = []

    async def run(self, statements: list[Statement]) -> list[list[Row]]:
        fails = self.fails.pop(0) if self.fails else ""
        self.sizes.append(sum(len(str(row.get("sealed", ""))) for _, row in statements))
        rows = [] if fails == "away" else await self.states.run(statements)
        if fails:
            raise DatabaseAway(fails)
        return rows


class Stored:
    """A key that is claimed in Postgres, whose states fail at will."""

    def __init__(self, states: StateStore) -> None:
        self.states = Failing(states)
        principal = SimpleNamespace(
            organisation_id=uuid.uuid4(), key_id=uuid.uuid4(), retention_hours=24
        )
        self.request_id = RequestId(uuid.uuid4())
        self.answer = IdempotentAnswer(
            cast(Any, self.states), cast(Any, principal), "key", self.request_id, b"body"
        )
        self.keeper = AnswerKeeper(self.answer, content=True)

    async def replay(self) -> tuple[KeptHead | None, bytes]:
        """What a repetition gets."""
        async with asyncio.timeout(30):
            claimed, use = await self.answer.claim()
            assert not claimed
            assert use is not None
            assert use.state == "ended"
            pieces = [
                raw async for raw, _ in self.answer.read_pieces(self.request_id, lambda: True)
            ]
            return await self.answer.read_head(use) if use.head else None, b"".join(pieces)


@pytest_asyncio.fixture
async def stored(hub: Hub) -> AsyncIterator[Stored]:
    connection = PipelinedConnection(hub.dsn, 20.0)
    await connection.open()
    stored = Stored(StateStore(connection, Vault(base64.b64encode(bytes(32)).decode())))
    claimed, _ = await stored.answer.claim()
    assert claimed
    yield stored
    await connection.close()


HEAD = Head("text/event-stream", 0, None, None, headroom={}, notices=[])


@pytest.mark.parametrize("count", [1, _PAGE - 1, _PAGE, _PAGE + 1, 2 * _PAGE, 2 * _PAGE + 1])
async def test_repetition_gets_every_piece_of_a_long_answer(stored: Stored, count: int) -> None:
    """P5: pieces are read some at a time, also when there are as many of them as that."""
    pieces = [b"%d " % n for n in range(count)]
    await stored.keeper.begin(HEAD)
    for piece in pieces[:-1]:
        stored.keeper.piece(piece)
        await stored.keeper._flush()
    await stored.keeper.end(pieces[-1])
    await stored.keeper.close()
    _, content = await stored.replay()
    assert content == b"".join(pieces)


@pytest.mark.parametrize("fails", ["away", "silent"])
@pytest.mark.parametrize("at", range(4))
async def test_failed_writes_lose_nothing_of_a_stream(stored: Stored, fails: str, at: int) -> None:
    """P5: whichever write of a stream fails, its head included, and whether or not the database has
    taken it, a repetition gets the whole answer."""
    stored.states.fails = [""] * at + [fails]
    keeper = stored.keeper
    await keeper.begin(HEAD)
    for piece in (b"one ", b"two ", b"three "):
        keeper.piece(piece)
        await keeper._flush()
        # It comes while nobody knows whether the former one is stored.
        keeper.piece(b"and ")
    await keeper.end(b"four")
    await keeper.close()
    assert not stored.states.fails
    head, raw = await stored.replay()
    assert (head, raw) == (KeptHead(HEAD, True), b"one and two and three and four")


@pytest.mark.parametrize("fails", ["away", "silent"])
@pytest.mark.parametrize("at", range(3))
async def test_failed_writes_lose_nothing_of_a_whole_answer(
    stored: Stored, fails: str, at: int
) -> None:
    """P5: it is stored in transactions of limited size; one that fails is written again."""
    stored.states.fails = [""] * at + [fails]
    raw = bytes(range(256)) * 4096 * 9
    await stored.keeper.whole(HEAD, raw)
    await stored.keeper.close()
    head, whole = await stored.replay()
    assert head == KeptHead(HEAD, False)
    assert whole == raw
    assert max(stored.states.sizes) < 9 * MIB


async def test_provider_waits_for_the_database(stored: Stored) -> None:
    """P9: what is not stored yet is held back at its provider, and stored in parts. Nothing is lost
    when whoever waits is cancelled."""
    keeper = stored.keeper
    await keeper.begin(HEAD)
    assert keeper.piece(bytes(MIB)) is None
    room = keeper.piece(b"1")
    assert room is not None
    waiting = asyncio.ensure_future(room)
    await asyncio.sleep(0)
    waiting.cancel()
    room = keeper.piece(bytes(MIB))
    assert room is not None
    await room
    assert keeper._waiting_bytes == 0
    assert keeper.piece(bytes(MIB)) is None
    await keeper.end(b"end")
    _, raw = await stored.replay()
    assert raw == bytes(MIB) + b"1" + bytes(2 * MIB) + b"end"


async def test_too_large_a_backlog_is_given_up(stored: Stored) -> None:
    """P9: while the database is away, at most 16 MiB of an answer wait for it. Beyond that only the
    use of the key is stored."""
    keeper, limit = stored.keeper, idempotency._WAITING_BYTES_MAX
    stored.states.fails = ["away"] * 100
    await keeper.begin(HEAD)
    assert keeper.piece(bytes(limit)) is not None
    assert keeper._waiting_bytes == limit
    assert keeper.piece(b"1") is None
    assert not keeper._pieces
    assert not keeper._unwritten
    stored.states.fails = []
    await keeper.end(b"end")
    claimed, use = await stored.answer.claim()
    assert not claimed
    assert use is not None
    assert use.state == "not_kept"
    async with asyncio.timeout(30):
        with pytest.raises(RunnerDied):
            [one async for one in stored.answer.read_pieces(stored.request_id, lambda: True)]


async def test_stored_answer_without_its_head_is_refused() -> None:
    """P5: it was stored by an earlier version, and nobody could ever get it: a repetition hears so
    at once."""
    repetition = object.__new__(IdempotentRequest)
    repetition._streams = repetition._keeps = True
    use = KeyUse(RequestId(uuid.uuid4()), True, "ended", None, True)
    with pytest.raises(RequestFault, match="was not kept"):
        await repetition._answer_again(use)


@pytest.mark.parametrize(
    ("state", "head", "alive", "streams", "keeps", "result"),
    [
        ("ended", "head", True, True, True, "replayed"),
        ("ended", "head", False, False, True, "replayed"),
        ("not_kept", "head", True, True, True, "unsupported_capability"),
        ("not_kept", None, False, True, True, "unsupported_capability"),
        ("ended", None, False, True, True, "unsupported_capability"),
        # A stream that runs is followed from its first event; until then, it is asked for again.
        ("running", "head", True, True, True, "replayed"),
        ("running", None, True, True, True, "again"),
        ("running", None, True, False, True, "conflict"),
        ("running", None, True, True, False, "conflict"),
        # Its process died: nothing will come any more.
        ("running", None, False, True, True, "unsupported_capability"),
        ("running", None, False, False, True, "unsupported_capability"),
        ("running", "head", False, True, True, "replayed"),
    ],
)
async def test_repetition_gets_what_the_state_of_its_key_allows(
    state: str, head: str | None, alive: bool, streams: bool, keeps: bool, result: str
) -> None:
    class Repetition(IdempotentRequest):
        replayed = False

        async def _replay(self, use: KeyUse) -> None:
            self.replayed = True

    for same_body in (True, False):
        repetition = object.__new__(Repetition)
        repetition._streams, repetition._keeps = streams, keeps
        use = KeyUse(RequestId(uuid.uuid4()), same_body, state, head, alive)
        try:
            is_over = await repetition._answer_again(use)
        except RequestFault as fault:
            given = str(fault.kind)
        else:
            given = "replayed" if is_over else "again"
        assert given == (result if same_body else "idempotency_mismatch")
        assert repetition.replayed == (given == "replayed")


async def test_repetition_that_reads_nothing_is_dropped() -> None:
    """As the client of any stream: its request does not wait for it for ever."""

    class Kept:
        async def read_head(self, use: None) -> KeptHead:
            return KeptHead(Head("text/event-stream", 0, None, None), True)

        async def read_pieces(self, *_: Any) -> AsyncIterator[tuple[bytes, bool]]:
            yield b"event", False

    class Stalled:
        def replay(self, request_id: None) -> None:
            """Announces nothing."""

        async def begin(self, head: Head) -> None:
            """Begins."""

        async def write(self, raw: bytes, *, last: bool) -> None:
            await asyncio.Event().wait()

    repetition = object.__new__(IdempotentRequest)
    repetition._answer, repetition._client = cast(Any, Kept()), cast(Any, Stalled())
    repetition._stall_s, repetition.gone = 0.01, False
    async with asyncio.timeout(30):
        await repetition._replay(KeyUse(RequestId(uuid.uuid4()), True, "ended", "", True))
    assert repetition.gone


async def test_a_claim_is_renewed_until_its_request_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    """Else a request that takes longer than its lease is run once more, and paid twice (P5)."""
    monkeypatch.setattr(idempotency, "_RENEW_S", 0.0)
    monkeypatch.setattr(idempotency, "_RENEW_AGAIN_S", 0.0)
    renewed: asyncio.Queue[list[Any]] = asyncio.Queue()

    class Keeping:
        """Keeps nothing; the database is away at the first time."""

        async def run(self, statements: list[Any]) -> None:
            away = renewed.empty()
            renewed.put_nowait([parameters for _, parameters in statements])
            if away:
                raise DatabaseAway("away")

    class Running:
        def renewal(self) -> tuple[str, dict[str, int]]:
            return "", {"id": 1}

    running = IdempotentRequests(cast(Any, Keeping()))
    answer = cast(IdempotentAnswer, Running())
    running.enter(answer)
    for _ in range(3):
        async with asyncio.timeout(30):
            assert await renewed.get() == [{"id": 1}]
    running.leave(answer)
    task = running._renewing
    assert task is not None
    await task
    running.enter(answer)
    async with asyncio.timeout(30):
        while await renewed.get() != [{"id": 1}]:
            pass
    running.leave(answer)
