"""Feedback by the model API: from keys of the request's team, once for each key, and about no
request of others (P12). It is stored as it was sent, and holds and charges nothing."""

import json
import uuid
from dataclasses import replace
from typing import Any

import pytest

from lib.ids import id_text, new_id
from tests.fakes.upstream import FakeUpstream
from tests.support.hub import Answer, Hub, Tenant

pytestmark = pytest.mark.usefixtures("balanced_books")


@pytest.fixture(scope="module")
def tenant(hub: Hub) -> Tenant:
    return hub.tenant()


@pytest.fixture(scope="module")
def model(hub: Hub, fake: FakeUpstream) -> str:
    return hub.model(fake)


def ask(hub: Hub, tenant: Tenant, model: str) -> str:
    """Send a request; return its id."""
    body = {"model": model, "messages": [{"role": "user", "content": "Hello"}]}
    answer = hub.post(tenant, body)
    assert answer.status == 200, answer.body
    return answer.headers["x-request-id"]


def give(hub: Hub, tenant: Tenant, id: str, body: Any) -> Answer:
    return hub.post(tenant, body, path=f"/v1/requests/{id}/feedback")


def stored(hub: Hub, tenant: Tenant) -> list[dict[str, Any]]:
    return hub.rows(
        "SELECT * FROM usage_feedback WHERE organisation_id = %s ORDER BY id",
        tenant.organisation_id,
    )


def test_feedback_is_stored_with_what_it_is_about(hub: Hub, tenant: Tenant, model: str) -> None:
    """Right after the answer, when its record may not be written yet."""
    comment = "Right <b>and</b> short. 👩‍🔬\nThanks!"
    id = ask(hub, tenant, model)
    body = {"score": 87, "label": "good answer", "comment": comment}
    answer = give(hub, tenant, id, body)
    assert answer.status == 200, answer.body
    (row,) = [row for row in stored(hub, tenant) if id_text(row["request_id"]) == id]
    assert answer.json() == {
        "object": "request.feedback", "request_id": id, **body,
        "created_at": f"{row['created_at']:%Y-%m-%dT%H:%M:%SZ}",
    }  # fmt: skip
    assert (row["score"], row["label"], row["comment"]) == (87, "good answer", comment)
    assert (row["model"], row["team_id"], row["key_id"]) == (model, tenant.team_id, tenant.key_id)
    assert row["author_key_id"] == tenant.key_id


def test_feedback_is_about_the_model_that_answered(
    hub: Hub, fake: FakeUpstream, other_fake: FakeUpstream, tenant: Tenant
) -> None:
    """Not about the one that failed before it; whether or not the record is written yet."""
    failing, model = hub.model(fake), hub.model(other_fake)
    messages = [{"role": "user", "content": "Hello #a.fault=F5"}]
    body = {"model": failing, "models": [model], "messages": messages}
    answer = hub.post(tenant, body)
    assert (answer.status, answer.json()["model"]) == (200, model), answer.body
    id = answer.headers["x-request-id"]
    for settled in (False, True):
        if settled:
            hub.settled(tenant)
        assert give(hub, tenant, id, {"score": 1}).status == 200
        (row,) = [row for row in stored(hub, tenant) if id_text(row["request_id"]) == id]
        assert row["model"] == model


def test_a_second_one_of_the_same_key_replaces_the_first(
    hub: Hub, tenant: Tenant, model: str
) -> None:
    """Another key of the team has its own."""
    colleague = replace(tenant, key=hub.key(tenant).key)
    id = ask(hub, tenant, model)
    first = give(hub, tenant, id, {"score": 0, "label": "wrong", "comment": "No."})
    assert give(hub, colleague, id, {"score": 50}).status == 200
    second = give(hub, tenant, id.lower(), {"score": 100})
    assert first.json()["created_at"] == second.json()["created_at"]
    rows = [row for row in stored(hub, tenant) if id_text(row["request_id"]) == id]
    assert [(row["score"], row["label"], row["comment"]) for row in rows] == [
        (100, "", ""), (50, "", ""),
    ]  # fmt: skip
    assert give(hub, tenant, id, {"score": 100}).status == 200
    assert len([row for row in stored(hub, tenant) if id_text(row["request_id"]) == id]) == 2


def test_requests_of_others_do_not_exist(hub: Hub, tenant: Tenant, model: str) -> None:
    """Neither for another organisation, nor for another team of the same one."""
    stranger = hub.tenant()
    team = new_id()
    hub.connection.execute(
        "INSERT INTO accounts_team (id, organisation_id, name, slug) VALUES (%s, %s, 'O', 'o')",
        [team, tenant.organisation_id],
    )
    beside = replace(tenant, team_id=team)
    beside = replace(beside, key=hub.key(beside).key)
    id = ask(hub, tenant, model)
    count = len(stored(hub, tenant))
    for who, about in (
        (stranger, id),
        (beside, id),
        (tenant, id_text(uuid.UUID(int=new_id().int ^ 1))),
        (tenant, "chatcmpl-1"),
    ):
        answer = give(hub, who, about, {"score": 1})
        assert answer.status == 404
        assert answer.error["message"] == f"Request {about} does not exist"
    assert len(stored(hub, tenant)) == count
    assert stored(hub, stranger) == []


@pytest.mark.parametrize(
    ("body", "status", "param", "message"),
    [
        ({}, 422, "score", "at least one of score, label and comment is required"),
        ({"score": None, "comment": ""}, 422, "score", "at least one of"),
        ({"score": 101}, 422, "score", "score must be from 0 to 100"),
        ({"score": -1}, 422, "score", "score must be from 0 to 100"),
        ({"score": True}, 400, "score", "score must be an integer"),
        ({"score": 0.5}, 400, "score", "score must be an integer"),
        ({"score": "5"}, 400, "score", "score must be an integer"),
        ({"label": ["good"]}, 400, "label", "label must be a string"),
        ({"label": "a" * 101}, 422, "label", "label must have 1 to 100 visible characters"),
        ({"label": " a"}, 422, "label", "label must have 1 to 100 visible characters"),
        ({"comment": "a" * 4_001}, 422, "comment", "at most 4000 characters"),
        ({"comment": "a\x00"}, 422, "comment", "control characters"),
        ({"comment": "\x1b[2J"}, 422, "comment", "control characters"),
        ({"comment": "\u202eevil"}, 422, "comment", "direction marks"),
        ({"comment": "\ud800"}, 400, None, ""),
        ({"score": 1, "rating": 5}, 400, "rating", "use score, label, comment"),
        (b"[]", 400, None, ""),
        (b'{"score": 1, "score": 2}', 400, None, ""),
        (b"{", 400, None, ""),
    ],
)
def test_what_is_invalid_is_refused_by_name(
    hub: Hub, tenant: Tenant, body: Any, status: int, param: str | None, message: str
) -> None:
    answer = give(hub, tenant, id_text(new_id()), body)
    assert answer.status == status, answer.body
    assert message in answer.error["message"]
    assert param is None or answer.error["param"] == param


def test_the_longest_comment_fits(hub: Hub, tenant: Tenant, model: str) -> None:
    """In the longest form of its characters."""
    body = json.dumps({"comment": "\U0001f600" * 4_000, "label": "好" * 100}).encode()
    assert give(hub, tenant, ask(hub, tenant, model), body).status == 200
