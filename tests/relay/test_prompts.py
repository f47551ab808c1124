"""Several prompts for completions of a model that only chats: k requests, one answer."""

from decimal import Decimal
from typing import Any

import pytest
from openai import OpenAI

from lib.ids import id_text
from relay.requests.sessions import session_id
from tests.fakes.upstream import FakeUpstream, expected_text
from tests.relay.asking import chunks_of
from tests.relay.operations.test_text_endpoints import CHANNELS, TALK, price_of
from tests.support.hub import Answer, Hub, Tenant

pytestmark = pytest.mark.usefixtures("balanced_books")

PATH = "/v1/completions"
PROMPTS = ["#tokens=3 a", "#tokens=5 b", "#tokens=4 c"]
chats = pytest.mark.parametrize("channel", [name for name in CHANNELS if name != "completions"])


def records(hub: Hub, tenant: Tenant) -> list[dict[str, Any]]:
    hub.settled(tenant)
    return hub.rows(
        "SELECT * FROM usage_usagerecord WHERE organisation_id = %s ORDER BY id",
        tenant.organisation_id,
    )


def paid(hub: Hub, fake: FakeUpstream, tenant: Tenant, answer: Answer, count: int) -> int:
    """Each prompt has its record, its attempt and its charge; the first is the client's request."""
    result = records(hub, tenant)
    assert len(result) == count
    assert len({one["request_id"] for one in result}) == count
    assert id_text(result[0]["request_id"]) == answer.headers["x-request-id"]
    charged = 0
    for one in result:
        row = fake.wait_for_row(id_text(one["id"]))
        assert row is not None
        assert one["charge_nano"] == price_of(row["usage"])
        charged += one["charge_nano"]
    return charged


@chats
def test_a_plain_answer_of_all(hub: Hub, fake: FakeUpstream, channel: str) -> None:
    tenant, model = hub.tenant(), hub.model(fake, rates=TALK, **CHANNELS[channel])
    answer = hub.post(tenant, {"model": model, "prompt": PROMPTS, "max_tokens": 20}, path=PATH)
    assert answer.status == 200, answer.body
    body = answer.json()
    assert [(one["index"], one["text"]) for one in body["choices"]] == [
        (place, expected_text("a", prompt, int(prompt[8]))) for place, prompt in enumerate(PROMPTS)
    ]
    charged = paid(hub, fake, tenant, answer, 3)
    assert price_of(body["usage"]) == charged
    assert Decimal(answer.headers["x-weir-cost"]) == Decimal(charged).scaleb(-9)


def test_each_prompt_has_the_options_of_the_request(hub: Hub, fake: FakeUpstream) -> None:
    """Its application and its session, and where its data may go."""
    tenant, model = hub.tenant(), hub.model(fake, rates=TALK, **CHANNELS["anthropic"])
    body = {"model": model, "prompt": PROMPTS, "max_tokens": 20}
    headers = {"x-title": "My App", "x-weir-session": "s"}
    answer = hub.post(tenant, body, path=PATH, headers=headers)
    assert answer.status == 200, answer.body
    kept = [(one["client_app"], one["session_id"]) for one in records(hub, tenant)]
    assert kept == [("My App", session_id(tenant.key_id, "s"))] * 3
    elsewhere = {"x-weir-data-policy": '{"regions": ["eu"]}'}
    assert hub.post(tenant, body, path=PATH, headers=elsewhere).status == 403


@chats
def test_a_stream_of_all(hub: Hub, fake: FakeUpstream, channel: str) -> None:
    tenant, model = hub.tenant(), hub.model(fake, rates=TALK, **CHANNELS[channel])
    body = {
        "model": model,
        "prompt": PROMPTS,
        "max_tokens": 20,
        "stream": True,
        "stream_options": {"include_usage": True},
    }
    answer = hub.post(tenant, body, path=PATH)
    assert answer.body.count(b"data: [DONE]") == 1
    assert answer.body.endswith(b"data: [DONE]\n\n")
    chunks = chunks_of(answer)
    assert len({chunk["id"] for chunk in chunks}) == 1
    texts, reasons = ["", "", ""], ["", "", ""]
    for chunk in chunks:
        for choice in chunk["choices"]:
            texts[choice["index"]] += choice["text"]
            reasons[choice["index"]] = choice["finish_reason"]
    assert texts == [expected_text("a", prompt, int(prompt[8])) for prompt in PROMPTS]
    assert reasons == ["stop"] * 3
    assert price_of(chunks[-1]["usage"]) == paid(hub, fake, tenant, answer, 3)


def test_the_official_client(hub: Hub, fake: FakeUpstream) -> None:
    tenant, model = hub.tenant(), hub.model(fake, rates=TALK, **CHANNELS["gemini"])
    with OpenAI(base_url=f"{hub.url}/v1", api_key=tenant.key, max_retries=0) as client:
        answer = client.completions.create(model=model, prompt=PROMPTS[:2], n=2, max_tokens=20)
        assert [choice.index for choice in answer.choices] == [0, 1, 2, 3]


@pytest.mark.parametrize("stream", [False, True], ids=["plain", "stream"])
def test_one_failing_prompt_ends_the_request(hub: Hub, fake: FakeUpstream, stream: bool) -> None:
    """A fault is never told as success: an error in whole, or behind what was delivered."""
    tenant = hub.tenant()
    model = hub.model(fake, rates=TALK, retries=0, **CHANNELS["anthropic"])
    prompts = [PROMPTS[0], "#a.fault=F10 b", PROMPTS[2]]
    answer = hub.post(tenant, {"model": model, "prompt": prompts, "stream": stream}, path=PATH)
    hub.settled(tenant)
    result = records(hub, tenant)
    assert [one["status"] for one in result] == [200, 502]
    if not stream:
        assert (answer.status, answer.error["code"]) == (502, "upstream_error")
        assert "prompt[1] failed" in answer.error["message"]
        return
    assert answer.status == 200
    assert b"[DONE]" not in answer.body
    *output, last = chunks_of(answer)
    text = "".join(choice["text"] for chunk in output for choice in chunk["choices"])
    assert text == expected_text("a", prompts[0], 3)
    assert last["error"]["code"] == "upstream_error"


def test_request_limit_applies_to_all_prompts(hub: Hub, fake: FakeUpstream) -> None:
    tenant, model = hub.tenant(), hub.model(fake, rates=TALK, **CHANNELS["anthropic"])
    body = {"model": model, "prompt": PROMPTS, "max_tokens": 20}
    whole = hub.post(tenant, body, path=PATH)
    cost = Decimal(whole.headers["x-weir-cost"])
    held = Decimal(whole.headers["x-weir-hold"])
    assert hub.post(tenant, body | {"max_cost": f"{held:f}"}, path=PATH).status == 200
    refused = hub.post(tenant, body | {"max_cost": f"{cost:f}"}, path=PATH)
    assert (refused.status, refused.error["code"]) == (402, "max_cost_exceeded")


def test_the_same_key_gives_the_same_answer(hub: Hub, fake: FakeUpstream) -> None:
    """P5: paid once."""
    tenant, model = hub.tenant(), hub.model(fake, rates=TALK, **CHANNELS["anthropic"])
    body = {"model": model, "prompt": PROMPTS, "max_tokens": 20}
    first, again = (
        hub.post(tenant, body, path=PATH, headers={"idempotency-key": "k"}) for _ in range(2)
    )
    assert first.status == again.status == 200
    assert first.json() == again.json()
    assert len(records(hub, tenant)) == 3
