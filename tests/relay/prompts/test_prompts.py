"""Saved prompts that requests name: filled in before routing, and on the record."""

import json
from collections.abc import Mapping
from typing import Any

import pytest
from psycopg.types.json import Jsonb

from lib.ids import id_text, new_id, parse_id
from tests.fakes.upstream import FakeUpstream
from tests.relay.content_log.test_content_log import add_rule, kept
from tests.relay.guarding.conftest import GuardedHub, rule
from tests.relay.speakers import UPSTREAMS
from tests.support.hub import Answer, Hub, Tenant

pytestmark = pytest.mark.usefixtures("balanced_books")

CHAT, RESPONSES = "/v1/chat/completions", "/v1/responses"
WHO = {"who": "Ann"}


def save(
    hub: Hub,
    tenant: Tenant,
    *versions: Mapping[str, Any],
    model: str = "",
    labels: Mapping[str, list[int]] | None = None,
    shared: bool = True,
) -> None:
    """Save the prompt `bot` of a new person, whose key is the tenant's, with these settings."""
    person = hub.person(tenant)
    prompt = new_id()
    hub.rows(
        "INSERT INTO content_prompt (id, organisation_id, user_id, slug, name, shared, labels)"
        " VALUES (%s, %s, %s, 'bot', 'Bot', %s, %s) RETURNING id",
        prompt, tenant.organisation_id, person, shared, Jsonb(labels or {}),
    )  # fmt: skip
    for number, settings in enumerate(versions, 1):
        hub.rows(
            "INSERT INTO content_promptversion (id, prompt_id, number, model, settings, note)"
            " VALUES (%s, %s, %s, %s, %s, '') RETURNING id",
            new_id(), prompt, number, model or "m", Jsonb(settings),
        )  # fmt: skip


def sent(hub: Hub, fake: FakeUpstream, answer: Answer) -> dict[str, Any]:
    assert answer.status == 200, answer.body
    (record,) = hub.records(answer.headers["x-request-id"])
    row = fake.wait_for_row(id_text(record["id"]))
    assert row is not None
    body: dict[str, Any] = json.loads(row["body"])
    return body


def used(hub: Hub, answer: Answer) -> list[tuple[str | None, int | None]]:
    records = hub.records(answer.headers["x-request-id"])
    return [(record["prompt"], record["prompt_version"]) for record in records]


SETTINGS = {"system": "You are {{who}}, {{ mood }}.", "variables": {"mood": "kind"},
            "params": {"temperature": 0.5, "max_output": 50}}  # fmt: skip


def test_chat_names_nothing_but_a_prompt(hub: Hub, fake: FakeUpstream) -> None:
    tenant, model = hub.tenant(), hub.model(fake)
    save(hub, tenant, SETTINGS, model=model)
    answer = hub.post(tenant, {
        "prompt": {"id": "bot", "variables": WHO},
        "messages": [{"role": "user", "content": "hello"}], "temperature": 1,
    })  # fmt: skip
    body = sent(hub, fake, answer)
    assert body["messages"] == [
        {"role": "system", "content": "You are Ann, kind."},
        {"role": "user", "content": "hello"},
    ]
    assert (body["temperature"], body["max_tokens"], "prompt" in body) == (1, 50, False)
    assert used(hub, answer) == [("bot", 1)]
    alone = hub.post(tenant, {"model": model, "prompt": {"id": "bot", "variables": WHO}})
    assert [message["role"] for message in sent(hub, fake, alone)["messages"]] == ["system"]


@pytest.mark.parametrize("upstream", ["openai", "responses", "anthropic"])
def test_responses_get_the_prompt_in_their_form(
    hub: Hub, fake: FakeUpstream, upstream: str
) -> None:
    tenant, model = hub.tenant(), hub.model(fake, **UPSTREAMS[upstream])
    settings = {**SETTINGS, "schema": {"type": "object", "properties": {}}}
    save(hub, tenant, settings, model=model)
    who = {"type": "input_text", "text": "Ann"}
    prompt = {"id": "bot", "variables": {"who": who}}
    asked = {"input": "hello", "instructions": "Be brief.", "prompt": prompt}
    answer = hub.post(tenant, asked, path=RESPONSES)
    body = sent(hub, fake, answer)
    assert "You are Ann, kind." in json.dumps(body)
    assert "Be brief." in json.dumps(body)
    if upstream == "responses":
        assert body["instructions"] == "You are Ann, kind.\n\nBe brief."
        assert body["max_output_tokens"] == 50
        assert body["text"]["format"]["type"] == "json_schema"
        assert not {"prompt", "store", "include"} & set(body)
    assert used(hub, answer) == [("bot", 1)]


def tool_of(name: str) -> dict[str, Any]:
    return {"name": name, "description": "", "parameters": {"type": "object", "properties": {}}}


@pytest.mark.parametrize("path", [CHAT, RESPONSES])
def test_tools_of_the_body_replace_all_that_the_prompt_says_of_tools(
    hub: Hub, fake: FakeUpstream, path: str
) -> None:
    """A choice of a tool that is not there would be refused by the provider."""
    upstream = "responses" if path == RESPONSES else "openai"
    tenant, model = hub.tenant(), hub.model(fake, **UPSTREAMS[upstream])
    settings = {"tools": [tool_of("look")], "tool_choice": "look", "serial": True}
    save(hub, tenant, settings, model=model)
    members = {"tools", "tool_choice", "parallel_tool_calls"}
    messages = [{"role": "user", "content": "Hi"}]
    asked: dict[str, Any] = {"prompt": {"id": "bot"}}
    asked |= {"input": "Hi"} if path == RESPONSES else {"messages": messages}
    whole = sent(hub, fake, hub.post(tenant, asked, path=path))
    assert members <= whole.keys()
    own = tool_of("own")
    tool = {"type": "function", **(own if path == RESPONSES else {"function": own})}
    body = sent(hub, fake, hub.post(tenant, {**asked, "tools": [tool]}, path=path))
    assert members & body.keys() == {"tools"}
    assert "look" not in json.dumps(body)


def test_version_is_a_number_or_a_label(hub: Hub, fake: FakeUpstream) -> None:
    tenant, model = hub.tenant(), hub.model(fake)
    labels = {"production": [2, 1], "staging": [3]}
    save(hub, tenant, *({"system": f"v{n}"} for n in (1, 2, 3, 4)), model=model, labels=labels)
    for version, number in (
        ({}, 2), ({"version": None}, 2), ({"version": "4"}, 4), ({"version": 1}, 1),
        ({"version": "staging"}, 3), ({"version": "production"}, 2),
    ):  # fmt: skip
        answer = hub.post(tenant, {"prompt": {"id": "bot", **version}})
        assert sent(hub, fake, answer)["messages"][0]["content"] == f"v{number}"
        assert used(hub, answer) == [("bot", number)]


@pytest.mark.parametrize("path", [CHAT, RESPONSES])
@pytest.mark.parametrize(
    ("prompt", "param", "what"),
    [
        ({"id": "bot"}, "prompt.variables.who", "needs a value for who"),
        ({"id": "bot", "variables": {"who": " "}}, "prompt.variables.who", "needs a value for who"),
        ({"id": "bot", "variables": {**WHO, "x": "y"}}, "prompt.variables.x", "no variable"),
        ({"id": "bot", "variables": {"who": 3}}, "prompt", "must be an object"),
        ({"id": "bot", "versions": "3"}, "prompt", "must be an object"),
        ({"id": "bot", "version": "7"}, "prompt.version", "no version or label"),
        ({"id": "bot", "version": "staging"}, "prompt.version", "no version or label"),
        ({"id": "bat"}, "prompt.id", "no prompt that this key may use"),
    ],
)  # fmt: skip
def test_unusable_prompts_are_clear_errors(
    hub: Hub, fake: FakeUpstream, path: str, prompt: dict[str, Any], param: str, what: str
) -> None:
    tenant, model = hub.tenant(), hub.model(fake)
    save(hub, tenant, SETTINGS, model=model)
    answer = hub.post(tenant, {"prompt": prompt, "input": "x", "messages": []}, path=path)
    error = answer.json()["error"]
    assert (answer.status, error["param"]) == (400, param), answer.body
    assert what in error["message"]


@pytest.mark.parametrize("name", ["id", "version"])
@pytest.mark.parametrize("text", ["bot\x00", "\x00", "b'ot\\", "💡" * 500])
def test_strange_names_are_clear_errors(hub: Hub, fake: FakeUpstream, name: str, text: str) -> None:
    tenant, model = hub.tenant(), hub.model(fake)
    save(hub, tenant, SETTINGS, model=model)
    prompt = {"id": "bot", "variables": WHO, name: text}
    answer = hub.post(tenant, {"prompt": prompt})
    assert (answer.status, answer.json()["error"]["param"]) == (400, f"prompt.{name}"), answer.body


def test_filled_prompt_has_a_bound(hub: Hub, fake: FakeUpstream) -> None:
    """A value may replace thousands of variables, and must not exhaust the memory."""
    tenant, model = hub.tenant(), hub.model(fake)
    save(hub, tenant, {"system": "{{x}}" * 1_000}, model=model)
    for length, status in ((1_000, 200), (1_001, 400)):
        prompt = {"id": "bot", "variables": {"x": "y" * length}}
        answer = hub.post(tenant, {"prompt": prompt})
        assert answer.status == status, answer.body
    assert answer.json()["error"]["param"] == "prompt.variables"


def test_prompt_of_others_is_none(hub: Hub, fake: FakeUpstream) -> None:
    """P12: another organisation's prompt, and a colleague's own, are as if they were not there."""
    tenant, other, model = hub.tenant(), hub.tenant(), hub.model(fake)
    save(hub, tenant, {"system": "Mine."}, model=model, shared=False)
    asked = {"prompt": {"id": "bot"}}
    assert used(hub, hub.post(tenant, asked)) == [("bot", 1)]
    for caller in (other, hub.key(tenant)):
        assert hub.post(caller, asked).json()["error"]["param"] == "prompt.id"


@pytest.mark.parametrize("prompt", [{"id": "pmpt_123", "version": "2"}, {}, "words"])
def test_other_prompts_pass_as_they_are(hub: Hub, fake: FakeUpstream, prompt: Any) -> None:
    tenant, model = hub.tenant(), hub.model(fake, **UPSTREAMS["responses"])
    asked = {"model": model, "input": "hello", "prompt": prompt}
    answer = hub.post(tenant, asked, path=RESPONSES)
    assert sent(hub, fake, answer)["prompt"] == prompt
    assert used(hub, answer) == [(None, None)]


def test_refused_request_names_its_prompt(hub: Hub, fake: FakeUpstream) -> None:
    tenant, model = hub.tenant("0"), hub.model(fake)
    save(hub, tenant, {"system": "Be kind."}, model=model)
    answer = hub.post(tenant, {"prompt": {"id": "bot"}})
    assert answer.status == 402
    assert used(hub, answer) == [("bot", 1)]


def test_guards_read_the_filled_prompt(hub: Hub, fake: FakeUpstream) -> None:
    """P40: neither the prompt's text nor a variable's gets past them."""
    tenant, model = GuardedHub(hub).tenant(rule("mask", "request")), hub.model(fake)
    save(hub, tenant, {"system": "From a@example.com to {{who}}."}, model=model)
    asked = {"prompt": {"id": "bot", "variables": {"who": "b@example.com"}}, "messages": []}
    answer = hub.post(tenant, asked)
    (message,) = sent(hub, fake, answer)["messages"]
    assert message["content"] == "From <EMAIL_1> to <EMAIL_2>."
    hub.settled(tenant)


@pytest.mark.parametrize(("path", "said"), [(CHAT, "messages"), (RESPONSES, "input")])
def test_content_log_has_the_request_as_it_was_sent(
    hub: Hub, fake: FakeUpstream, path: str, said: str
) -> None:
    tenant, model = hub.tenant(), hub.model(fake)
    save(hub, tenant, SETTINGS, model=model)
    add_rule(hub, tenant, "model", subject=model)
    message = {"role": "user", "content": "hello"}
    asked = {"prompt": {"id": "bot", "variables": WHO}, said: [message]}
    row, content = kept(hub, tenant, hub.post(tenant, asked, path=path))
    assert json.loads(content.request) == asked
    assert row["model"] == model


def test_feedback_is_about_the_version_of_the_prompt(hub: Hub, fake: FakeUpstream) -> None:
    tenant, model = hub.tenant(), hub.model(fake)
    save(hub, tenant, *({"system": f"v{n}"} for n in (1, 2)), model=model)
    request_id = hub.post(tenant, {"prompt": {"id": "bot"}}).headers["x-request-id"]
    answer = hub.post(tenant, {"score": 100}, path=f"/v1/requests/{request_id}/feedback")
    assert answer.status == 200, answer.body
    (row,) = hub.rows(
        "SELECT prompt, prompt_version FROM usage_feedback WHERE request_id = %s",
        parse_id(request_id),
    )
    assert (row["prompt"], row["prompt_version"]) == ("bot", 2)


def test_estimate_is_of_the_filled_prompt(hub: Hub, fake: FakeUpstream) -> None:
    tenant, model = hub.tenant(), hub.model(fake)
    save(hub, tenant, SETTINGS, model=model)
    prompt = {"id": "bot", "variables": WHO}
    answer = hub.post(tenant, {"prompt": prompt}, path=f"/v1/estimate?endpoint={CHAT}")
    assert (answer.status, answer.json()["model"]) == (200, model), answer.body


@pytest.mark.parametrize("stream", [False, True])
def test_response_in_the_background_uses_its_prompt(
    hub: Hub, fake: FakeUpstream, stream: bool
) -> None:
    tenant, model = hub.tenant(), hub.model(fake)
    save(hub, tenant, SETTINGS, model=model)
    prompt = {"id": "bot", "variables": WHO}
    asked = {"prompt": prompt, "input": "hello", "background": True, "stream": stream}
    answer = hub.post(tenant, asked, path=RESPONSES)
    assert answer.status == 200, answer.body
    hub.settled(tenant)
    assert used(hub, answer) == [("bot", 1)]
