"""Stored responses over the real hub: whoever goes on from one, on whatever channel, loses nothing.

The fake tells in its row how many turns and tokens it was really shown.
"""

import json
from typing import Any

import pytest
from openai import BadRequestError, NotFoundError

from lib.ids import id_text
from tests.fakes.upstream import FakeUpstream
from tests.relay.clients import OpenAIClient
from tests.support.hub import Answer, Hub

pytestmark = pytest.mark.usefixtures("balanced_books")

OPENAI: dict[str, Any] = {"provider": "openai"}
PATH = "/v1/responses"


def model_of(hub: Hub, fake: FakeUpstream, way: str) -> str:
    """Served in its own dialect, or translated to chat or to messages."""
    return hub.model(
        fake, **{"own": OPENAI, "chat": {}, "messages": {"provider": "anthropic"}}[way]
    )


def read_row(hub: Hub, fake: FakeUpstream, answer: Answer) -> dict[str, Any]:
    record = hub.record(answer.headers["x-request-id"])
    row = fake.wait_for_row(id_text(record["id"]))
    assert row is not None
    return row


def completed_of(answer: Answer) -> dict[str, Any]:
    """The whole response that a stream ended with, or the answer itself."""
    if not answer.headers["content-type"].startswith("text/event-stream"):
        body: dict[str, Any] = answer.json()
        return body
    last = answer.body.strip().split(b"\n\n")[-1]
    document: dict[str, Any] = json.loads(last.partition(b"data: ")[2])
    assert document["type"] == "response.completed"
    response: dict[str, Any] = document["response"]
    return response


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("way", ["own", "chat", "messages"])
def test_response_id_continues_a_conversation(
    hub: Hub, fake: FakeUpstream, way: str, stream: bool
) -> None:
    tenant, model = hub.tenant(), model_of(hub, fake, way)
    body = {"model": model, "input": "one two three #tokens=2", "stream": stream}
    first = hub.post(tenant, body, path=PATH)
    assert first.status == 200, first.body
    response = completed_of(first)
    assert response["model"] == model
    answer = hub.get(f"{PATH}/{response['id']}", tenant)
    assert (answer.status, answer.json()) == (200, response)
    more = {"input": "four five #tokens=3", "previous_response_id": response["id"]}
    second = hub.post(tenant, body | more, path=PATH)
    assert second.status == 200, second.body
    completed = completed_of(second)
    assert completed["previous_response_id"] == response["id"]
    # Where the provider has it under this id, it is named; elsewhere all of it is said again.
    seen = read_row(hub, fake, second)["prompt_tokens"]
    alone = read_row(hub, fake, first)["prompt_tokens"]
    assert seen < alone + 4 if way == "own" else seen > alone + 4
    third = hub.post(tenant, body | more | {"previous_response_id": completed["id"]}, path=PATH)
    assert third.status == 200, third.body


@pytest.mark.parametrize(
    ("directives", "status"),
    [("#tokens=3 #usage=open", "completed"), ("#fault=F18 #uncapped", "incomplete")],
    ids=["without its usage", "cut at its cap"],
)
def test_response_that_the_relay_ends_can_be_continued(
    hub: Hub, fake: FakeUpstream, directives: str, status: str
) -> None:
    tenant, model = hub.tenant(), hub.model(fake)
    body = {"model": model, "input": f"one {directives}", "stream": True, "max_output_tokens": 20}
    headers = {"idempotency-key": "1"}
    first, again = (hub.post(tenant, body, path=PATH, headers=headers) for _ in range(2))
    assert again.body == first.body
    last = first.body.strip().split(b"\n\n")[-1]
    response = json.loads(last.partition(b"data: ")[2])["response"]
    assert response["status"] == status
    answer = hub.get(f"{PATH}/{response['id']}", tenant)
    assert (answer.status, answer.json()) == (200, response)
    more = {"model": model, "input": "on", "previous_response_id": response["id"]}
    assert hub.post(tenant, more, path=PATH).status == 200


def test_failover_keeps_the_whole_conversation(
    hub: Hub, fake: FakeUpstream, other_fake: FakeUpstream
) -> None:
    """The channel that has the response fails: the next one is told the whole conversation."""
    tenant, model = hub.tenant(), hub.model(fake, other_fake, **OPENAI)
    body = {"model": model, "input": "one two three #tokens=2"}
    first = hub.post(tenant, body, path=PATH)
    more = {"input": "four #a.fault=F10", "previous_response_id": first.json()["id"]}
    second = hub.post(tenant, body | more, path=PATH)
    assert second.status == 200, second.body
    seen = read_row(hub, other_fake, second)["prompt_tokens"]
    assert seen > read_row(hub, fake, first)["prompt_tokens"] + 1


@pytest.mark.parametrize("way", ["own", "chat", "messages"])
def test_item_is_referenced_by_its_id(hub: Hub, fake: FakeUpstream, way: str) -> None:
    tenant, model = hub.tenant(), model_of(hub, fake, way)
    question = {"role": "user", "content": "one two three #tokens=2"}
    first = hub.post(tenant, {"model": model, "input": [question]}, path=PATH)
    (item,) = first.json()["output"]
    reference = {"type": "item_reference", "id": item["id"]}
    body = {"model": model, "input": [question, reference, {"role": "user", "content": "more"}]}
    second = hub.post(tenant, body, path=PATH)
    assert second.status == 200, second.body
    whole = hub.post(tenant, body | {"input": [question, item, body["input"][2]]}, path=PATH)
    assert whole.status == 200, whole.body
    seen, text = (read_row(hub, fake, one)["heard"] for one in (second, whole))
    # Its provider has it under this id; every other is told what it says.
    assert seen == text if way != "own" else len(seen) < len(text)
    third = hub.post(
        tenant,
        {"model": model, "input": "on", "previous_response_id": second.json()["id"]},
        path=PATH,
    )
    assert third.status == 200, third.body


def test_an_item_goes_to_another_channel_whole(
    hub: Hub, fake: FakeUpstream, other_fake: FakeUpstream
) -> None:
    tenant, model = hub.tenant(), hub.model(fake, other_fake, **OPENAI)
    first = hub.post(tenant, {"model": model, "input": "one #tokens=2"}, path=PATH).json()
    reference = {"type": "item_reference", "id": first["output"][0]["id"]}
    more = {"role": "user", "content": "more #a.fault=F10"}
    second = hub.post(tenant, {"model": model, "input": [reference, more]}, path=PATH)
    assert second.status == 200, second.body
    text = first["output"][0]["content"][0]["text"]
    assert f"assistant: {text}" in read_row(hub, other_fake, second)["heard"]


def test_response_is_deleted_with_its_items(
    hub: Hub, openai_client: OpenAIClient, fake: FakeUpstream
) -> None:
    tenant, model = hub.tenant(), hub.model(fake)
    message = openai_client(tenant.key).responses.create(model=model, input="hi #tokens=2")
    openai_client(tenant.key).responses.delete(message.id)
    kept = "SELECT * FROM gateway_keptstate WHERE organisation_id = %s"
    assert hub.rows(kept, tenant.organisation_id) == []


def test_other_keys_item_is_not_found(hub: Hub, fake: FakeUpstream) -> None:
    """P12: all keys share the provider's account, so nothing is asked there that is not theirs."""
    tenant, model = hub.tenant(), hub.model(fake, **OPENAI)
    first = hub.post(tenant, {"model": model, "input": "one"}, path=PATH).json()
    answers = [
        hub.post(
            asking,
            {"model": model, "input": [{"id": id_}, {"role": "user", "content": "on"}]},
            path=PATH,
        )
        for asking, id_ in (
            (tenant, first["output"][0]["id"][::-1]),
            (hub.tenant(), first["output"][0]["id"]),
            (hub.key(tenant), first["output"][0]["id"]),
        )
    ]
    for answer in answers:
        assert answer.status == 400
        assert answer.error["param"] == "input"
        assert "send the item itself" in answer.error["message"]


def test_official_client_stores_and_deletes(
    hub: Hub, openai_client: OpenAIClient, fake: FakeUpstream
) -> None:
    tenant, model = hub.tenant(), hub.model(fake)
    responses = openai_client(tenant.key).responses
    first = responses.create(model=model, input="hi #tokens=2", store=True)
    second = responses.create(model=model, input="more", previous_response_id=first.id)
    assert responses.retrieve(second.id).output_text == second.output_text
    items = responses.input_items.list(second.id, order="asc").data
    assert [(item.type, getattr(item, "role", "")) for item in items] == [
        ("message", "user"), ("message", "assistant"), ("message", "user"),
    ]  # fmt: skip
    assert len(responses.input_items.list(second.id, limit=2).data) == 2
    responses.delete(second.id)
    with pytest.raises(NotFoundError):
        responses.retrieve(second.id)
    with pytest.raises(NotFoundError):
        responses.delete(second.id)
    with pytest.raises(BadRequestError) as caught:
        responses.create(model=model, input="more", previous_response_id=second.id)
    assert caught.value.param == "previous_response_id"
    assert responses.retrieve(first.id).id == first.id


def named(answer: Answer) -> bytes:
    """The body, without the id of its own request."""
    return answer.body.replace(answer.headers["x-request-id"].encode(), b"")


@pytest.mark.parametrize("way", ["own", "chat"])
def test_other_keys_response_is_not_found(hub: Hub, fake: FakeUpstream, way: str) -> None:
    """P12: everybody shares the provider's account, and only the key that made a response has it:
    for a stranger, for another key of the team and of the same person it is as if there were none.
    """
    tenant, model = hub.tenant(), model_of(hub, fake, way)
    hub.person(tenant)
    same_team, same_person = hub.key(tenant), hub.key(tenant)
    hub.connection.execute(
        "UPDATE accounts_key SET user_id = (SELECT user_id FROM accounts_key WHERE id = %s) "
        "WHERE id = %s", [tenant.key_id, same_person.key_id],
    )  # fmt: skip
    body = {"model": model, "input": "secret words #tokens=2"}
    document = hub.post(tenant, body, path=PATH).json()
    more = body | {"input": "go on", "previous_response_id": document["id"]}
    for other in (hub.tenant(), same_team, same_person):
        for method, path in (
            ("GET", ""), ("DELETE", ""), ("GET", "/input_items"), ("POST", "/cancel")
        ):  # fmt: skip
            missing = hub.request(method, f"{PATH}/resp_none{path}", other)
            answer = hub.request(method, f"{PATH}/{document['id']}{path}", other)
            assert answer.status == missing.status == 404
            assert named(answer) == named(missing).replace(b"resp_none", document["id"].encode())
        answer = hub.post(other, more, path=PATH)
        assert (answer.status, answer.error["param"]) == (400, "previous_response_id")
    elsewhere = hub.key(tenant)
    hub.limit(elsewhere, endpoints=["embeddings"])
    assert hub.request("DELETE", f"{PATH}/{document['id']}", elsewhere).status == 403
    assert hub.get(f"{PATH}/{document['id']}", tenant).status == 200
    assert hub.post(tenant, more, path=PATH).status == 200


def test_ended_response_cannot_be_cancelled(hub: Hub, fake: FakeUpstream) -> None:
    """It did not run in the background, so there is nothing to cancel; it stays as it was."""
    tenant, model = hub.tenant(), hub.model(fake)
    document = hub.post(tenant, {"model": model, "input": "hi #tokens=2"}, path=PATH).json()
    refused = hub.post(tenant, {}, path=f"{PATH}/{document['id']}/cancel")
    assert (refused.status, "background" in refused.error["message"]) == (400, True)
    assert hub.get(f"{PATH}/{document['id']}", tenant).json()["status"] == "completed"


def test_unstorable_response_is_not_stored(hub: Hub, fake: FakeUpstream) -> None:
    tenant, model = hub.tenant(), hub.model(fake)
    body: dict[str, Any] = {"model": model, "input": "hi #tokens=2"}
    document = hub.post(tenant, body | {"store": False}, path=PATH).json()
    assert hub.get(f"{PATH}/{document['id']}", tenant).status == 404
    more = body | {"previous_response_id": document["id"]}
    answer = hub.post(tenant, more, path=PATH)
    assert (answer.status, answer.error["param"]) == (400, "previous_response_id")
    hub.connection.execute(
        "UPDATE accounts_organisation SET retention_hours = 0 WHERE id = %s",
        [tenant.organisation_id],
    )
    # Whoever knows the newer model has forgotten what it knew of the organisation.
    body["model"] = hub.model(fake)
    document = hub.post(tenant, body, path=PATH).json()
    assert hub.get(f"{PATH}/{document['id']}", tenant).status == 404
    answer = hub.post(tenant, body | {"previous_response_id": "resp_1"}, path=PATH)
    assert "retention is 0" in answer.error["message"]
    kept = "SELECT * FROM gateway_keptstate WHERE organisation_id = %s"
    assert hub.rows(kept, tenant.organisation_id) == []


def test_key_without_content_storage_leaves_nothing(hub: Hub, fake: FakeUpstream) -> None:
    """Neither responses, nor seals, nor repeatable answers; another key of the team still may."""
    tenant = hub.tenant()
    quiet = hub.key(tenant)
    hub.limit(quiet, log_content=False)
    model = hub.model(fake)
    body: dict[str, Any] = {"model": model, "input": "hi #tokens=2"}
    once = {"idempotency-key": "one"}
    document = hub.post(quiet, body, path=PATH, headers=once).json()
    assert hub.get(f"{PATH}/{document['id']}", quiet).status == 404
    answer = hub.post(quiet, body | {"previous_response_id": document["id"]}, path=PATH)
    assert (answer.status, answer.error["param"]) == (400, "previous_response_id")
    assert "the key stores no content" in answer.error["message"]
    kept = "SELECT * FROM gateway_keptstate WHERE organisation_id = %s"
    assert hub.rows(kept, tenant.organisation_id) == []
    pieces = "SELECT * FROM gateway_answerpiece WHERE organisation_id = %s"
    assert hub.rows(pieces, tenant.organisation_id) == []
    document = hub.post(tenant, body, path=PATH).json()
    assert hub.get(f"{PATH}/{document['id']}", tenant).status == 200


def test_stored_response_is_sealed_for_its_row_and_expires(hub: Hub, fake: FakeUpstream) -> None:
    tenant, other, model = hub.tenant(), hub.tenant(), hub.model(fake)
    body = {"model": model, "input": "the-secret-words #tokens=2"}
    ids = [hub.post(one, body, path=PATH).json()["id"] for one in (tenant, other)]
    kept = "SELECT *, expires_at - now() AS rest FROM gateway_keptstate WHERE organisation_id = %s"
    # The response, and its item by the id of its own.
    row, item = hub.rows(kept, tenant.organisation_id)
    for one in (row, item):
        assert b"the-secret-words" not in one["sealed"]
        assert 23 * 3600 < one["rest"].total_seconds() <= 24 * 3600
    # Moved to another row it does not open, and is as good as gone.
    hub.connection.execute(
        "UPDATE gateway_keptstate SET sealed = %s WHERE organisation_id = %s",
        [row["sealed"], other.organisation_id],
    )
    assert hub.get(f"{PATH}/{ids[1]}", other).status == 404
    hub.connection.execute(
        "UPDATE gateway_keptstate SET expires_at = now() WHERE organisation_id = %s",
        [tenant.organisation_id],
    )
    assert hub.get(f"{PATH}/{ids[0]}", tenant).status == 404


@pytest.mark.parametrize("way", ["chat", "messages"])
def test_response_id_continues_tool_calls(hub: Hub, fake: FakeUpstream, way: str) -> None:
    tool = {"type": "function", "name": "f", "parameters": {"type": "object", "properties": {}}}
    tenant, model = hub.tenant(), model_of(hub, fake, way)
    body: dict[str, Any] = {"model": model, "tools": [tool]}
    first = hub.post(tenant, body | {"input": "hi #tools=1"}, path=PATH)
    document = first.json()
    (call,) = [item for item in document["output"] if item["type"] == "function_call"]
    result = {"type": "function_call_output", "call_id": call["call_id"], "output": "ok"}
    more = {"input": [result], "previous_response_id": document["id"]}
    second = hub.post(tenant, body | more, path=PATH)
    assert second.status == 200, second.body
    assert read_row(hub, fake, second)["results"] == ["ok"]


def test_provider_compacts_a_conversation(
    hub: Hub, openai_client: OpenAIClient, fake: FakeUpstream
) -> None:
    tenant, model = hub.tenant(), hub.model(fake, **OPENAI)
    responses = openai_client(tenant.key).responses
    message = responses.compact(model=model, input="one two three #tokens=4")
    assert (message.object, message.output[0].type) == ("response.compaction", "compaction")
    body = {"model": model, "input": "one two three #tokens=4"}
    answer = hub.post(tenant, body, path=f"{PATH}/compact")
    record = hub.record(answer.headers["x-request-id"])
    row = fake.wait_for_row(id_text(record["id"]))
    assert row is not None
    assert (row["unknown"], row["outcome"]) == ([], "finished")
    assert (record["operation"], record["status"]) == ("responses_compact", 200)
    usage = answer.json()["usage"]
    assert record["meters"] == {"in_text": usage["input_tokens"], "out_text": 4}
    assert record["charge_nano"] == usage["input_tokens"] + 3 * 4
    # What it gives goes on in a request of the same dialect.
    more = [*answer.json()["output"], {"role": "user", "content": "go on #tokens=2"}]
    assert hub.post(tenant, body | {"input": more}, path=PATH).status == 200
    # And so does a stored response.
    first = hub.post(tenant, body, path=PATH).json()
    follow = {"model": model, "previous_response_id": first["id"]}
    assert hub.post(tenant, follow, path=f"{PATH}/compact").status == 200


@pytest.mark.parametrize("way", ["chat", "messages"])
def test_other_models_write_a_summary(hub: Hub, fake: FakeUpstream, way: str) -> None:
    """P3, I10: the compaction is booked as what the provider counted, and any model reads it."""
    tenant, model = hub.tenant(), model_of(hub, fake, way)
    answer = hub.post(
        tenant, {"model": model, "input": "one two #tokens=4"}, path=f"{PATH}/compact"
    )
    assert answer.status == 200, answer.body
    compaction = answer.json()
    record = hub.record(answer.headers["x-request-id"])
    assert (record["operation"], record["status"]) == ("responses_compact", 200)
    assert record["meters"]["out_text"] == compaction["usage"]["output_tokens"]
    heard = fake.wait_for_row(id_text(record["id"]))
    assert heard is not None
    assert "Write a summary" in heard["heard"][-1]
    for reader in ("own", "chat", "messages"):
        body = {
            "model": model_of(hub, fake, reader),
            "input": [*compaction["output"], {"role": "user", "content": "go on #tokens=2"}],
        }
        row = read_row(hub, fake, hub.post(tenant, body, path=PATH))
        assert "Summary of the conversation so far" in row["heard"][0]


def test_compaction_cannot_be_read_by_its_path(hub: Hub, fake: FakeUpstream) -> None:
    assert hub.get(f"{PATH}/compact", hub.tenant()).status == 405
