"""Responses that run in the background, through the official client: they are admitted, charged
and recorded like any other, and whatever ends their client or their process, they end."""

import http.client
import json
import time
import uuid
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace
from typing import Any, cast

import psycopg
import pytest
from openai import BadRequestError, OpenAI
from psycopg import sql

from lib.id_types import RequestId
from lib.ids import id_text
from relay.answers.background import _PUT
from relay.answers.idempotency import FIRST_BACKGROUND_PIECE, IdempotentAnswer
from tests.fakes.upstream import FakeUpstream
from tests.relay.clients import Clients, OpenAIClient, attempt_of
from tests.relay.own_keys.test_own_keys import channel_of, knows
from tests.support.hub import Answer, Hub, Tenant

pytestmark = pytest.mark.usefixtures("balanced_books")

PATH = "/v1/responses"
# Sweeps up behind dead processes twice a second.
OFTEN = "tests.config.system.often"
WAYS: dict[str, dict[str, Any]] = {
    "own": {"provider": "openai"},
    "chat": {},
    "messages": {"provider": "anthropic"},
    "gemini": {"provider": "gemini"},
}
ROWS = "SELECT * FROM gateway_idempotentanswer WHERE organisation_id = %s"
PIECES = "SELECT * FROM gateway_answerpiece WHERE organisation_id = %s"
RECORDS = "SELECT * FROM usage_usagerecord WHERE organisation_id = %s AND final"


def start(hub: Hub, tenant: Tenant, model: str, text: str, **more: Any) -> Answer:
    body = {"model": model, "input": text, "background": True} | more
    return hub.post(tenant, body, path=PATH)


def started(hub: Hub, tenant: Tenant, model: str, text: str, **more: Any) -> dict[str, Any]:
    answer = start(hub, tenant, model, text, **more)
    assert answer.status == 200, answer.body
    response: dict[str, Any] = answer.json()
    assert (response["status"], response["background"]) == ("queued", True)
    return response


def ended(hub: Hub, tenant: Tenant, id: str) -> dict[str, Any]:
    """A response once it runs no more."""
    found: dict[str, Any] = {}

    def look() -> bool:
        found.clear()
        found.update(hub.get(f"{PATH}/{id}", tenant).json())
        return found["status"] not in ("queued", "in_progress")

    hub.wait(look, f"{id} does not end")
    return found


def events_of(raw: bytes) -> list[dict[str, Any]]:
    return [
        json.loads(line.removeprefix(b"data: "))
        for line in raw.split(b"\n")
        if line.startswith(b"data: ")
    ]


def replayed(hub: Hub, tenant: Tenant, id: str, after: str = "") -> list[dict[str, Any]]:
    answer = hub.get(f"{PATH}/{id}?stream=true{after}", tenant)
    assert (answer.status, answer.headers["content-type"]) == (200, "text/event-stream")
    return events_of(answer.body)


def one_record(hub: Hub, tenant: Tenant) -> dict[str, Any]:
    """The only final record of an organisation, once nothing of it is held."""
    hub.wait(lambda: bool(hub.rows(RECORDS, tenant.organisation_id)), "no record")
    hub.settled(tenant)
    (record,) = hub.rows(RECORDS, tenant.organisation_id)
    return record


def is_dead(hub: Hub) -> None:
    """The heartbeat of whatever ran has ended, and was missed for long enough: that of its answers,
    and that of the process with their holds."""
    hub.connection.execute(
        "UPDATE gateway_idempotentanswer "
        "SET alive_until = now(), suspected_at = now() - interval '10 seconds'"
    )
    hub.connection.execute(
        "UPDATE billing_process SET alive_until = now() - interval '7 s', "
        "suspected_at = now() - interval '6 s' "
        "WHERE id IN (SELECT process_id FROM billing_hold WHERE state = 'open')"
    )


def holding(fake: FakeUpstream, count: int = 1) -> None:
    fake.wait_for(lambda totals: totals["holding"] == count)


# ---- to the end


@pytest.mark.parametrize("way", WAYS)
def test_polled_by_the_official_client(
    hub: Hub, openai_client: OpenAIClient, fake: FakeUpstream, way: str
) -> None:
    tenant, model = hub.tenant(), hub.model(fake, **WAYS[way])
    responses = openai_client(tenant.key).responses
    first = responses.create(model=model, input="one two #tokens=3 #hold=1", background=True)
    assert (first.status, first.background, first.model) == ("queued", True, model)
    holding(fake)
    running = responses.retrieve(first.id)
    assert running.status in ("queued", "in_progress")
    assert running.id == first.id
    fake.release()
    whole = ended(hub, tenant, first.id)
    assert (whole["status"], whole["id"], whole["background"]) == ("completed", first.id, True)
    response = responses.retrieve(first.id)
    assert len(response.output_text.split()) == 3
    assert response.usage is not None
    record = one_record(hub, tenant)
    assert (record["status"], record["basis"], record["stream"]) == (200, "measured", True)
    assert record["charge_nano"] > 0
    # A later request continues it, at its provider too, which knows it by another id.
    second = responses.create(
        model=model, input="three #tokens=2", previous_response_id=first.id, background=True
    )
    last = ended(hub, tenant, second.id)
    assert (last["status"], last["previous_response_id"]) == ("completed", first.id)
    items = responses.input_items.list(second.id, order="asc").data
    assert [getattr(item, "role", "") for item in items] == ["user", "assistant", "user"]


def test_a_provider_continues_it_by_its_own_id(hub: Hub, fake: FakeUpstream) -> None:
    """Its provider is told the id that it knows, and not the whole conversation."""
    tenant, model = hub.tenant(), hub.model(fake, **WAYS["own"])
    text = "one two three four five six seven eight #tokens=2"
    first = started(hub, tenant, model, text)
    ended(hub, tenant, first["id"])
    alone = fake.wait_for_row(attempt_of(hub, tenant))["prompt_tokens"]
    body = {"model": model, "input": "more", "previous_response_id": first["id"]}
    answer = hub.post(tenant, body, path=PATH)
    assert answer.status == 200, answer.body
    record = hub.record(answer.headers["x-request-id"])
    assert fake.wait_for_row(id_text(record["id"]))["prompt_tokens"] < alone


@pytest.mark.parametrize("way", WAYS)
def test_a_dropped_stream_is_resumed(
    hub: Hub, openai_client: OpenAIClient, fake: FakeUpstream, way: str
) -> None:
    tenant, model = hub.tenant(), hub.model(fake, **WAYS[way])
    responses = openai_client(tenant.key).responses
    kinds, text, cursor, id = [], "", -1, ""
    with responses.create(
        model=model, input="go #tokens=8 #hold=4", background=True, stream=True
    ) as stream:
        for event in stream:
            kinds.append(event.type)
            cursor = event.sequence_number
            if event.type == "response.created":
                id = event.response.id
            if event.type == "response.output_text.delta":
                text += event.delta
                break
    assert kinds[:2] == ["response.created", "response.queued"]
    holding(fake)
    fake.release()
    numbers = []
    for event in responses.retrieve(id, stream=True, starting_after=cursor):
        numbers.append(event.sequence_number)
        if event.type == "response.output_text.delta":
            text += event.delta
    assert numbers == list(range(cursor + 1, cursor + 1 + len(numbers)))
    assert event.type == "response.completed"
    assert event.response.id == id
    assert text == event.response.output_text == responses.retrieve(id).output_text
    assert one_record(hub, tenant)["status"] == 200
    # The whole stream is there for as long as the response is.
    again = replayed(hub, tenant, id)
    assert [one["sequence_number"] for one in again] == list(range(numbers[-1] + 1))
    assert {one["response"]["id"] for one in again if "response" in one} == {id}
    assert replayed(hub, tenant, id, f"&starting_after={numbers[-1]}") == []


def test_background_response_outlives_its_client(
    hub: Hub, clients: Clients, fake: FakeUpstream
) -> None:
    tenant, model = hub.tenant(), hub.model(fake)
    connection = clients.connect(hub)
    body = {"model": model, "input": "#tokens=6 #hold=2", "background": True, "stream": True}
    headers = {"content-type": "application/json", "authorization": f"Bearer {tenant.key}"}
    connection.request("POST", PATH, json.dumps(body), headers)
    first = connection.getresponse().readline() + b""
    assert first == b"event: response.created\n"
    holding(fake)
    connection.close()
    fake.release()
    record = one_record(hub, tenant)
    assert (record["status"], record["basis"]) == (200, "measured")
    assert fake.wait_for_row(id_text(record["id"]))["outcome"] == "finished"


# ---- cancel


@pytest.mark.parametrize("way", WAYS)
def test_a_cancel_ends_its_upstream_within_a_second(
    hub: Hub, openai_client: OpenAIClient, fake: FakeUpstream, way: str
) -> None:
    tenant, model = hub.tenant(), hub.model(fake, **WAYS[way])
    responses = openai_client(tenant.key).responses
    first = responses.create(model=model, input="one two #tokens=9 #hold=4", background=True)
    holding(fake)
    hub.wait(
        lambda: hub.get(f"{PATH}/{first.id}", tenant).json()["status"] == "in_progress",
        "it does not begin",
    )
    at = time.monotonic_ns()
    cancelled = responses.cancel(first.id)
    assert (cancelled.id, cancelled.status) == (first.id, "cancelled")
    record = one_record(hub, tenant)
    row = fake.wait_for_row(id_text(record["id"]))
    assert row["outcome"] == "cut"
    assert row["left_at"] - at < 1_000_000_000
    # What was sent and received is charged, once: by our own count where the provider has not
    # told its own.
    assert (record["status"], record["basis"]) == (
        499,
        "drained" if way == "gemini" else "estimated",
    )
    assert record["meters"]["out_text"] > 0
    assert record["charge_nano"] > 0
    assert responses.cancel(first.id).status == "cancelled"
    # As in OpenAI's reference: its cancelled response has no usage.
    assert responses.retrieve(first.id).to_dict() == cancelled.to_dict()
    assert cancelled.usage is None
    seen = replayed(hub, tenant, first.id)
    assert [event["type"] for event in seen[:2]] == ["response.created", "response.queued"]
    assert not {"response.completed", "response.failed"} & {event["type"] for event in seen}
    with pytest.raises(BadRequestError) as caught:
        responses.create(model=model, input="on", previous_response_id=first.id)
    assert caught.value.param == "previous_response_id"


def test_a_cancel_before_content(hub: Hub, fake: FakeUpstream) -> None:
    tenant, model = hub.tenant(), hub.model(fake)
    response = started(hub, tenant, model, "one two #tokens=9 #hold=0")
    holding(fake)
    answer = hub.post(tenant, {}, path=f"{PATH}/{response['id']}/cancel")
    assert (answer.status, answer.json()["status"]) == (200, "cancelled")
    record = one_record(hub, tenant)
    assert (record["status"], record["meters"].get("out_text", 0)) == (499, 0)
    assert fake.wait_for_row(id_text(record["id"]))["outcome"] == "cut"


def test_a_cancel_after_the_end_changes_nothing(hub: Hub, fake: FakeUpstream) -> None:
    tenant, model = hub.tenant(), hub.model(fake)
    response = started(hub, tenant, model, "hi #tokens=2")
    whole = ended(hub, tenant, response["id"])
    for _ in range(2):
        answer = hub.post(tenant, {}, path=f"{PATH}/{response['id']}/cancel")
        assert (answer.status, answer.json()) == (200, whole)
    one_record(hub, tenant)


def test_a_drained_channel_reads_a_cancelled_one_to_its_end(hub: Hub, fake: FakeUpstream) -> None:
    """As when a client leaves: its provider finishes it in any case, so that its usage counts. The
    response stays cancelled, and is not continued."""
    tenant, model = hub.tenant(), hub.model(fake, on_leave="drain")
    response = started(hub, tenant, model, "one #tokens=6 #hold=2")
    holding(fake)
    hub.post(tenant, {}, path=f"{PATH}/{response['id']}/cancel")
    # The process has heard of it once it looks no more: a while after the cancel.
    time_over = time.monotonic() + 1
    hub.wait(lambda: time.monotonic() > time_over, "")
    fake.release()
    record = one_record(hub, tenant)
    assert (record["status"], record["meters"]["out_text"]) == (499, 6)
    assert ended(hub, tenant, response["id"])["status"] == "cancelled"
    body = {"model": model, "input": "on", "previous_response_id": response["id"]}
    hub.wait(lambda: hub.post(tenant, body, path=PATH).status == 400, "it can be continued")


def test_deleting_a_running_response_stops_it(hub: Hub, fake: FakeUpstream) -> None:
    tenant, model = hub.tenant(), hub.model(fake)
    response = started(hub, tenant, model, "one #tokens=9 #hold=2")
    holding(fake)
    answer = hub.request("DELETE", f"{PATH}/{response['id']}", tenant)
    assert (answer.status, answer.json()["deleted"]) == (200, True)
    record = one_record(hub, tenant)
    assert record["status"] == 499
    assert fake.wait_for_row(id_text(record["id"]))["outcome"] == "cut"
    assert hub.get(f"{PATH}/{response['id']}", tenant).status == 404
    assert hub.request("DELETE", f"{PATH}/{response['id']}", tenant).status == 404
    assert hub.rows(ROWS, tenant.organisation_id) == []


def test_deleting_an_ended_response_leaves_nothing(hub: Hub, fake: FakeUpstream) -> None:
    tenant, model = hub.tenant(), hub.model(fake)
    response = started(hub, tenant, model, "one #tokens=2")
    ended(hub, tenant, response["id"])
    assert hub.request("DELETE", f"{PATH}/{response['id']}", tenant).status == 200
    kept = "SELECT * FROM gateway_keptstate WHERE organisation_id = %s"
    for query in (ROWS, PIECES, kept):
        assert hub.rows(query, tenant.organisation_id) == []


def test_deleting_while_events_are_stored_leaves_nothing(hub: Hub, fake: FakeUpstream) -> None:
    """P14: a piece that another transaction stores meanwhile is deleted too."""
    tenant, model = hub.tenant(), hub.model(fake)
    id = started(hub, tenant, model, "one #tokens=9 #hold=0")["id"]
    holding(fake)
    (row,) = hub.rows(ROWS, tenant.organisation_id)
    piece = {
        "organisation": row["organisation_id"],
        "id": row["id"],
        "n": FIRST_BACKGROUND_PIECE + 999,
        "sealed": b"piece",
    }
    waits = (
        "SELECT * FROM pg_stat_activity "
        "WHERE datname = current_database() AND wait_event_type = 'Lock'"
    )
    with psycopg.connect(hub.dsn) as other, ThreadPoolExecutor(1) as pool:
        other.execute(_PUT, piece)
        deleted = pool.submit(hub.request, "DELETE", f"{PATH}/{id}", tenant)
        hub.wait(lambda: bool(hub.rows(waits)), "the deletion does not wait")
        other.commit()
        assert deleted.result().status == 200
    one_record(hub, tenant)
    assert hub.rows(PIECES, tenant.organisation_id) == []


# ---- refused and failed


def test_response_without_money_is_rejected_immediately(hub: Hub, fake: FakeUpstream) -> None:
    tenant, model = hub.tenant("0"), hub.model(fake)
    answer = start(hub, tenant, model, "hi")
    assert answer.status == 402, answer.body
    assert hub.record(answer.headers["x-request-id"])["status"] == 402
    assert hub.rows(ROWS, tenant.organisation_id) == []
    assert hub.rows(PIECES, tenant.organisation_id) == []


@pytest.mark.parametrize(
    ("more", "status", "param"),
    [
        ({"store": False}, 400, "store"),
        ({"model": "no-such-model"}, 404, "model"),
        ({"max_output_tokens": "many"}, 400, "max_output_tokens"),
        ({"background": "yes"}, 400, "background"),
    ],
)
def test_invalid_request_is_rejected_immediately(
    hub: Hub, fake: FakeUpstream, more: dict[str, Any], status: int, param: str
) -> None:
    tenant, model = hub.tenant(), hub.model(fake)
    body = {"model": model, "input": "hi", "background": True} | more
    answer = hub.post(tenant, body, path=PATH)
    assert (answer.status, answer.error["param"]) == (status, param), answer.body
    assert hub.record(answer.headers["x-request-id"])["status"] == status
    assert hub.rows(ROWS, tenant.organisation_id) == []


def test_client_that_may_store_nothing_gets_the_reason(hub: Hub, fake: FakeUpstream) -> None:
    """P14: a key that stores no content, and an organisation without retention."""
    tenant = hub.tenant()
    quiet = hub.key(tenant)
    hub.limit(quiet, log_content=False)
    model = hub.model(fake)
    refused = [start(hub, quiet, model, "secret-words")]
    hub.limit(tenant, of="organisation", retention_hours=0)
    # Whoever knows the newer model has forgotten what it knew of the organisation.
    refused.append(start(hub, tenant, hub.model(fake), "secret-words"))
    for answer in refused:
        assert (answer.status, answer.error["param"]) == (400, "background")
        assert "no responses are stored for this key" in answer.error["message"]
        assert hub.record(answer.headers["x-request-id"])["status"] == 400
    assert hub.rows(ROWS, tenant.organisation_id) == []


@pytest.mark.parametrize("fault", ["F10", "F14@3", "F23:error@3"])
@pytest.mark.parametrize("way", ["own", "chat"])
def test_failing_provider_fails_the_response(
    hub: Hub, fake: FakeUpstream, way: str, fault: str
) -> None:
    tenant, model = hub.tenant(), hub.model(fake, retries=0, **WAYS[way])
    response = started(hub, tenant, model, f"one #tokens=9 #fault={fault}")
    whole = ended(hub, tenant, response["id"])
    assert (whole["status"], whole["error"]["code"]) == ("failed", "server_error")
    assert whole["error"]["message"]
    seen = replayed(hub, tenant, response["id"])
    assert [event["sequence_number"] for event in seen] == list(range(len(seen)))
    last = seen[-1]["response"]
    assert (seen[-1]["type"], last | {"usage": None}) == (
        "response.failed",
        whole | {"usage": None},
    )
    record = one_record(hub, tenant)
    assert record["status"] >= 500
    # What was delivered before a stream broke off is charged, and shown once the books have it.
    assert (record["charge_nano"] > 0) is (fault == "F14@3")
    usage = hub.get(f"{PATH}/{response['id']}", tenant).json()["usage"]
    if not record["charge_nano"]:
        assert usage is None
    else:
        meters = record["meters"]
        assert usage["input_tokens"] == meters["in_text"] > 0
        assert usage["output_tokens"] == meters["out_text"] > 0
        assert usage["total_tokens"] == meters["in_text"] + meters["out_text"]


def test_failed_response_shows_what_an_own_key_paid(hub: Hub, fake: FakeUpstream) -> None:
    tenant, model = hub.tenant(), hub.model(fake, retries=0, **WAYS["own"])
    hub.own_key(tenant, channel_of(hub, model), fake.key)
    knows(hub)
    response = started(hub, tenant, model, "one #tokens=9 #fault=F14@3")
    assert ended(hub, tenant, response["id"])["status"] == "failed"
    record = one_record(hub, tenant)
    assert (record["charge_nano"], record["own_nano"] > 0) == (0, True)
    usage = hub.get(f"{PATH}/{response['id']}", tenant).json()["usage"]
    assert usage["output_tokens"] == record["meters"]["out_text"] > 0


def test_other_keys_response_is_not_found(hub: Hub, fake: FakeUpstream) -> None:
    """P12: another key of the team does not see it, and cannot end it."""
    tenant, model = hub.tenant(), hub.model(fake)
    id = started(hub, tenant, model, "secret #tokens=3 #hold=1")["id"]
    holding(fake)
    for other in (hub.tenant(), hub.key(tenant)):
        for method, path in (
            ("GET", ""),
            ("GET", "?stream=true"),
            ("GET", "/input_items"),
            ("DELETE", ""),
            ("POST", "/cancel"),
        ):
            answer = hub.request(method, f"{PATH}/{id}{path}", other)
            assert answer.status == 404
            assert answer.error["message"] == f"Response {id} does not exist"
    fake.release()
    assert ended(hub, tenant, id)["status"] == "completed"


def test_response_that_cannot_be_shown(hub: Hub, fake: FakeUpstream) -> None:
    tenant, model = hub.tenant(), hub.model(fake)
    plain = hub.post(tenant, {"model": model, "input": "hi #tokens=2"}, path=PATH).json()["id"]
    answer = hub.get(f"{PATH}/{plain}?stream=true", tenant)
    assert (answer.status, answer.error["param"]) == (422, "stream")
    for query, param in (
        ("stream=yes", "stream"),
        ("starting_after=1", "starting_after"),
        ("stream=true&starting_after=-1", "starting_after"),
        ("stream=true&starting_after=1e3", "starting_after"),
    ):
        answer = hub.get(f"{PATH}/{plain}?{query}", tenant)
        assert (answer.status, answer.error["param"]) == (422, param)


def listed(hub: Hub, tenant: Tenant, id: str, query: str = "?order=asc") -> dict[str, Any]:
    answer = hub.get(f"{PATH}/{id}/input_items{query}", tenant)
    assert answer.status == 200, answer.body
    listing: dict[str, Any] = answer.json()
    return listing


def test_its_input_is_listed_from_the_start(hub: Hub, fake: FakeUpstream) -> None:
    """With the same ids before and after its end: what it continues, what it refers to, its own."""
    tenant, model = hub.tenant(), hub.model(fake)
    first = hub.post(tenant, {"model": model, "input": "one #tokens=2"}, path=PATH).json()
    referred = hub.post(tenant, {"model": model, "input": "two #tokens=2"}, path=PATH).json()
    own = [
        {"type": "item_reference", "id": referred["output"][0]["id"]},
        {"role": "user", "content": "three #tokens=3 #hold=1"},
    ]
    body = {"model": model, "input": own, "background": True, "previous_response_id": first["id"]}
    running = hub.post(tenant, body, path=PATH).json()
    listing = listed(hub, tenant, running["id"])
    holding(fake)
    assert listed(hub, tenant, running["id"]) == listing
    fake.release()
    ended(hub, tenant, running["id"])
    assert listed(hub, tenant, running["id"]) == listing
    roles = [item["role"] for item in listing["data"]]
    assert roles == ["user", "assistant", "assistant", "user"]
    assert listing["data"][2] == referred["output"][0]
    page = listed(hub, tenant, running["id"], "?limit=1")
    assert (page["data"], page["has_more"]) == (listing["data"][-1:], True)


@pytest.mark.parametrize("how", ["cancelled", "failed", "at once"])
def test_input_of_an_unanswered_response_is_listed(hub: Hub, fake: FakeUpstream, how: str) -> None:
    """Also a large one, and one that ends before its client knows it."""
    tenant, model = hub.tenant(), hub.model(fake, retries=0)
    text = {"cancelled": "#hold=0", "failed": "#hold=0 #fault=F14@3", "at once": "#fault=F10"}[how]
    more = "x " * 1_500_000
    id = started(hub, tenant, model, f"one {text} #tokens=3 {more}")["id"]
    if how == "cancelled":
        holding(fake)
        hub.post(tenant, {}, path=f"{PATH}/{id}/cancel")
    fake.release()
    ended(hub, tenant, id)
    (item,) = listed(hub, tenant, id)["data"]
    assert item["content"][0]["text"].startswith(f"one {text}")
    assert item["content"][0]["text"].endswith(more)
    hub.settled(tenant)
    assert hub.request("DELETE", f"{PATH}/{id}", tenant).status == 200
    assert hub.rows(PIECES, tenant.organisation_id) == []
    assert hub.get(f"{PATH}/{id}/input_items", tenant).status == 404


def test_stored_content_is_sealed(hub: Hub, fake: FakeUpstream) -> None:
    tenant, model = hub.tenant(), hub.model(fake)
    more = {"instructions": "the-secret-words"}
    id = started(hub, tenant, model, "hi #tokens=2", **more)["id"]
    assert ended(hub, tenant, id)["instructions"] == "the-secret-words"
    (row,) = hub.rows(ROWS, tenant.organisation_id)
    pieces = hub.rows(PIECES, tenant.organisation_id)
    assert pieces
    for content in (row["head"], *(piece["sealed"] for piece in pieces)):
        assert b"secret" not in bytes(content)
        assert b"response" not in bytes(content)
    for table in ("gateway_idempotentanswer", "gateway_keptstate"):
        hub.connection.execute(
            sql.SQL("UPDATE {} SET expires_at = now() WHERE organisation_id = %s").format(
                sql.Identifier(table)
            ),
            [tenant.organisation_id],
        )
    assert hub.get(f"{PATH}/{id}", tenant).status == 404


# ---- sent twice


@pytest.mark.parametrize("stream", [False, True])
def test_repeated_request_is_the_same_response(hub: Hub, fake: FakeUpstream, stream: bool) -> None:
    """P5: one run and one charge, and the pieces of the two stored answers do not meet."""
    tenant, model = hub.tenant(), hub.model(fake)
    headers = {"idempotency-key": uuid.uuid4().hex}
    body = {"model": model, "input": "hi #tokens=4", "background": True, "stream": stream}
    first = hub.post(tenant, body, path=PATH, headers=headers)
    assert first.status == 200, first.body
    again = hub.post(tenant, body, path=PATH, headers=headers)
    assert (again.status, again.body) == (200, first.body)
    assert again.headers["idempotent-replayed"] == "true"
    id = events_of(first.body)[0]["response"]["id"] if stream else first.json()["id"]
    assert ended(hub, tenant, id)["status"] == "completed"
    assert replayed(hub, tenant, id)[-1]["type"] == "response.completed"
    if stream:
        assert events_of(first.body) == replayed(hub, tenant, id)
    assert one_record(hub, tenant)["status"] == 200


def test_a_released_key_leaves_the_response_whole(hub: Hub, fake: FakeUpstream) -> None:
    """The answer to an Idempotency-Key and the response that runs have pieces of one request."""
    tenant, model, key = hub.tenant(), hub.model(fake), uuid.uuid4().hex
    body = {"model": model, "input": "hi #tokens=4", "background": True, "stream": True}
    first = hub.post(tenant, body, path=PATH, headers={"idempotency-key": key})
    events = events_of(first.body)
    request_id = hub.record(first.headers["x-request-id"])["request_id"]
    place = SimpleNamespace(
        organisation_id=tenant.organisation_id, key_id=tenant.key_id, retention_hours=1
    )
    released = IdempotentAnswer(
        cast(Any, None), cast(Any, place), key, RequestId(request_id), b""
    ).release()
    count = len(hub.rows(PIECES, tenant.organisation_id))
    for text, parameters in released:
        hub.connection.execute(cast(Any, text), parameters)
    assert len(hub.rows(PIECES, tenant.organisation_id)) < count
    assert replayed(hub, tenant, events[0]["response"]["id"]) == events


# ---- processes


def test_another_process_shows_and_cancels_it(own_hub: Hub, fake: FakeUpstream) -> None:
    own_hub.start()
    other = Hub(own_hub.dsn)
    other.start()
    try:
        tenant, model = own_hub.tenant(), own_hub.model(fake)
        id = started(own_hub, tenant, model, "one #tokens=9 #hold=3")["id"]
        holding(fake)
        other.wait(
            lambda: other.get(f"{PATH}/{id}", tenant).json()["status"] == "in_progress",
            "the other process does not see it",
        )
        at = time.monotonic_ns()
        assert other.post(tenant, {}, path=f"{PATH}/{id}/cancel").json()["status"] == "cancelled"
        record = one_record(own_hub, tenant)
        assert fake.wait_for_row(id_text(record["id"]))["left_at"] - at < 1_000_000_000
        assert own_hub.get(f"{PATH}/{id}", tenant).json()["status"] == "cancelled"
        own_hub.assert_books_balance()
    finally:
        other.kill()
        other.close()


@pytest.mark.parametrize("tokens", [0, 4])
def test_response_fails_when_its_process_is_killed(
    own_hub: Hub, fake: FakeUpstream, tokens: int
) -> None:
    """P1, I6: whatever was received is charged once, the hold is resolved, and the response is
    failed for everybody once nobody can run it."""
    own_hub.application = OFTEN
    own_hub.start()
    tenant, model = own_hub.tenant(), own_hub.model(fake)
    id = started(own_hub, tenant, model, f"one two #tokens=9 #hold={tokens}")["id"]
    holding(fake)
    if tokens:
        marked = "SELECT * FROM billing_hold WHERE organisation_id = %s AND mark IS NOT NULL"
        own_hub.wait(lambda: bool(own_hub.rows(marked, tenant.organisation_id)), "no mark")
    own_hub.kill()
    fake.release()
    own_hub.start()
    # Until its time is over nobody knows that it is dead.
    assert own_hub.get(f"{PATH}/{id}", tenant).json()["status"] in ("queued", "in_progress")
    is_dead(own_hub)
    seen = replayed(own_hub, tenant, id)
    assert seen[-1]["type"] == "response.failed"
    assert [event["sequence_number"] for event in seen] == list(range(len(seen)))
    whole = own_hub.get(f"{PATH}/{id}", tenant).json()
    assert (whole["status"], whole["error"]["code"]) == ("failed", "server_error")
    record = one_record(own_hub, tenant)
    assert (record["charge_nano"] > 0) is bool(tokens)
    whole = own_hub.get(f"{PATH}/{id}", tenant).json()
    assert (whole["usage"] is not None) is bool(tokens)
    assert own_hub.post(tenant, {}, path=f"{PATH}/{id}/cancel").json() == whole
    assert len(own_hub.rows("SELECT * FROM usage_attempt")) == 1
    own_hub.assert_books_balance()


def test_response_survives_a_database_outage(own_hub: Hub, fake: FakeUpstream) -> None:
    """P18: whoever asks after an outage that outlasts its heartbeat does not end it."""
    own_hub.start()
    tenant, model = own_hub.tenant(), own_hub.model(fake)
    id = started(own_hub, tenant, model, "one #tokens=6 #hold=2")["id"]
    holding(fake)
    with ThreadPoolExecutor(1) as pool:
        followed = pool.submit(replayed, own_hub, tenant, id)
        own_hub.connection.execute(
            "UPDATE gateway_idempotentanswer SET alive_until = now() - interval '1 minute'"
        )
        assert own_hub.get(f"{PATH}/{id}", tenant).json()["status"] in ("queued", "in_progress")
        renewed = ROWS + " AND suspected_at IS NULL AND alive_until > now()"
        own_hub.wait(lambda: bool(own_hub.rows(renewed, tenant.organisation_id)), "no heartbeat")
        fake.release()
        assert followed.result()[-1]["type"] == "response.completed"
    assert ended(own_hub, tenant, id)["status"] == "completed"
    assert one_record(own_hub, tenant)["status"] == 200


@pytest.mark.slow
def test_each_response_ends_once_when_many_are_killed(own_hub: Hub, fake: FakeUpstream) -> None:
    """P1, P5: of 60 responses some have ended and some run: each is completed or failed afterwards,
    and has one record. One that is completed was paid, settled or not when its process died."""
    own_hub.start()
    tenant, model = own_hub.tenant(), own_hub.model(fake)

    def begin(n: int) -> Answer:
        text = f"number {n} #tokens=9" + (" #hold=4" if n % 2 else f" #delay_ms={n}")
        return start(own_hub, tenant, model, text)

    with ThreadPoolExecutor(12) as pool:
        answers = list(pool.map(begin, range(60)))
    holding(fake, 30)
    own_hub.kill()
    fake.release()
    own_hub.start()
    is_dead(own_hub)
    ends = [
        own_hub.get(f"{PATH}/{answer.json()['id']}", tenant).json()["status"] for answer in answers
    ]
    assert set(ends) <= {"completed", "failed"}
    assert ends.count("failed") >= 30
    own_hub.settled(tenant)
    for answer, end in zip(answers, ends, strict=True):
        # One record, or this fails.
        record = own_hub.record(answer.headers["x-request-id"])
        assert record["charge_nano"] > 0 or end == "failed"
        if record["status"] == 200:
            usage = fake.wait_for_row(id_text(record["id"]))["usage"]
            assert record["meters"]["out_text"] == usage["completion_tokens"]
            assert end == "completed"
    assert len(own_hub.rows(RECORDS, tenant.organisation_id)) == 60
    own_hub.assert_books_balance()


def test_stopping_process_lets_a_response_finish(own_hub: Hub, fake: FakeUpstream) -> None:
    own_hub.start()
    tenant, model = own_hub.tenant(), own_hub.model(fake)
    id = started(own_hub, tenant, model, "one #tokens=6 #hold=2")["id"]
    holding(fake)
    assert own_hub.process is not None
    own_hub.process.terminate()
    own_hub.wait(lambda: _is_away(own_hub), "it still takes requests")
    fake.release()
    own_hub.ended()
    own_hub.start()
    assert own_hub.get(f"{PATH}/{id}", tenant).json()["status"] == "completed"
    assert one_record(own_hub, tenant)["status"] == 200


def test_process_ends_responses_when_its_grace_is_over(own_hub: Hub, fake: FakeUpstream) -> None:
    """What had arrived is charged, as of a stream."""
    own_hub.environment["DRAIN_SECONDS"] = "1"
    own_hub.start()
    tenant, model = own_hub.tenant(), own_hub.model(fake)
    id = started(own_hub, tenant, model, "one #tokens=6 #hold=2")["id"]
    holding(fake)
    own_hub.stop()
    fake.release()
    own_hub.start()
    whole = own_hub.get(f"{PATH}/{id}", tenant).json()
    assert (whole["status"], whole["error"]["code"]) == ("failed", "server_error")
    record = one_record(own_hub, tenant)
    assert (record["status"], record["charge_nano"] > 0) == (503, True)
    own_hub.assert_books_balance()


def _is_away(hub: Hub) -> bool:
    try:
        return hub.get("/readyz").status != 200
    except (OSError, http.client.HTTPException):
        return True


def test_revoked_key_ends_its_response(hub: Hub, fake: FakeUpstream) -> None:
    """P11: as a stream with a client."""
    tenant, model = hub.tenant(), hub.model(fake)
    other = hub.key(tenant)
    client = OpenAI(base_url=f"{hub.url}/v1", api_key=other.key, max_retries=0)
    with client:
        client.responses.create(model=model, input="one #tokens=9 #hold=2", background=True)
    holding(fake)
    hub.connection.execute(
        "UPDATE accounts_key SET revoked_at = now() WHERE id = %s", [other.key_id]
    )
    hub.bump()
    record = one_record(hub, tenant)
    assert record["status"] == 401

    def has_ended() -> bool:
        (row,) = hub.rows(ROWS, tenant.organisation_id)
        return bool(row["state"] == "ended")

    # It ends behind its record.
    hub.wait(has_ended, "the response does not end")
