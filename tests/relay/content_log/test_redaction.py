"""P31: what a rule or a policy redacts is found nowhere in what is stored."""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from content.rules.rules import REDACTED
from lib.ids import new_id
from tests.fakes.upstream import FakeUpstream
from tests.relay.content_log.test_content_log import (
    add_rule,
    entries,
    kept,
    open_entry,
    text_of,
    turns_of,
)
from tests.relay.speakers import SPEAKERS, UPSTREAMS, Wish
from tests.support.hub import Hub, Tenant

PLANTED = {
    "CARD": "4111 1111 1111 1111",
    "IBAN": "DE89 3704 0044 0532 0130 00",
    "EMAIL": "ann@example.com",
    "TELEPHONE": "+49 30 901820",
    "SECRET": "sk-abcdefghijklmnopqrstu123",
    "WORD": "falcon",
}
SENTENCE = ", ".join(PLANTED.values())


@pytest.fixture(scope="module")
def models(hub: Hub, fake: FakeUpstream) -> Iterator[dict[str, str]]:
    with hub.forgetful():
        yield {dialect: hub.model(fake, **UPSTREAMS[dialect]) for dialect in UPSTREAMS}


def guarded(hub: Hub) -> Tenant:
    """A tenant with a policy that masks a word, and a rule that redacts everything it can."""
    tenant = hub.tenant()
    words = [
        {"guard": "words", "settings": {"words": ["falcon"]}, "places": ["tool_result"],
         "action": "mask", "code": "own"}
    ]  # fmt: skip
    hub.connection.execute(
        "WITH policy AS (INSERT INTO content_policy (id, organisation_id, name, rules) "
        "VALUES (%(id)s, %(organisation)s, 'guards', %(rules)s) RETURNING id) "
        "INSERT INTO content_policyassignment (id, organisation_id, policy_id, scope, subject) "
        "SELECT %(id)s, %(organisation)s, id, 'key', %(key)s FROM policy",
        {"id": new_id(), "organisation": tenant.organisation_id, "rules": json.dumps(words),
         "key": str(tenant.key_id)},
    )  # fmt: skip
    # A request to Responses says `store: false`, which else leaves it out.
    add_rule(hub, tenant, redact=list(REDACTED), callers_may_opt_out=False)
    return tenant


def opened(hub: Hub, tenant: Tenant) -> str:
    """All that is stored of an organisation, opened."""
    stored = [open_entry(hub, row) for row in entries(hub, tenant)]
    return "\n".join(f"{one.request!r}{one.answer!r}{one.error}" for one in stored)


@pytest.mark.parametrize("stream", [True, False], ids=["stream", "whole"])
@pytest.mark.parametrize("dialect", UPSTREAMS)
def test_what_is_redacted_is_nowhere_in_the_log(
    hub: Hub, models: dict[str, str], dialect: str, stream: bool
) -> None:
    tenant, speaker, model = guarded(hub), SPEAKERS[dialect], models[dialect]
    body = speaker.body(model, Wish(f"#echo #keep #chunk_bytes=1 {SENTENCE}", stream))
    answer = hub.post(tenant, body, path=speaker.path(model, stream=stream))
    assert speaker.read(answer).text.count(PLANTED["CARD"]) == 1
    _, content = kept(hub, tenant, answer)
    turns = turns_of(content, dialect, model)
    assert [turn.role for turn in turns][-2:] == ["user", "assistant"]
    for turn in turns[-2:]:
        assert all(f"<{kind}_1>" in text_of(turn) for kind in PLANTED), turn
    everything = opened(hub, tenant)
    assert not [text for text in PLANTED.values() if text in everything]


def test_arguments_of_tools_are_redacted(hub: Hub, models: dict[str, str]) -> None:
    tenant, planted = guarded(hub), json.dumps({"list": [{f"\n{SENTENCE}": SENTENCE}]})
    call = {"id": "call_1", "type": "function", "function": {"name": "f", "arguments": planted}}
    messages: list[dict[str, Any]] = [
        {"role": "user", "content": "Hello"},
        {"role": "assistant", "content": None, "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "call_1", "content": json.dumps({"result": planted})},
    ]
    answer = hub.post(tenant, {"model": models["openai"], "messages": messages})
    assert answer.status == 200
    _, content = kept(hub, tenant, answer)
    assert [text_of(turn).count("<CARD_1>") for turn in turns_of(content, "openai", "")[1:3]] == [
        2, 2,
    ]  # fmt: skip
    everything = opened(hub, tenant)
    assert not [text for text in PLANTED.values() if text in everything]


def test_error_that_repeats_a_text_is_redacted(hub: Hub, models: dict[str, str]) -> None:
    tenant = guarded(hub)
    body = {"model": models["openai"], "messages": [], "prompt": {"id": PLANTED["CARD"]}}
    answer = hub.post(tenant, body)
    assert PLANTED["CARD"].encode() in answer.body
    _, content = kept(hub, tenant, answer)
    assert PLANTED["CARD"] not in content.error + content.request.decode()
