"""Another model answers in place of one that fails before content: `models` in a request. Who
answers is who the answer names, whose price is held and charged."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from tests.fakes.upstream import FakeUpstream, expected_text
from tests.relay.asking import ask, chunks_of
from tests.relay.speakers import SPEAKERS, UPSTREAMS, Wish
from tests.support.hub import Answer, Hub, Tenant

pytestmark = pytest.mark.usefixtures("balanced_books")
CHEAP = {"in_text": 1_000_000, "out_text": 2_000_000}
DEAR = {"in_text": 10_000_000, "out_text": 50_000_000}


def attempts(hub: Hub, tenant: Tenant) -> list[dict[str, Any]]:
    hub.settled(tenant)
    return hub.rows(
        "SELECT model, why, hold_nano, right(channel_name, 1) AS channel FROM usage_attempt "
        "WHERE organisation_id = %s ORDER BY admitted_at, n",
        tenant.organisation_id,
    )


def asked(hub: Hub, tenant: Tenant) -> list[tuple[str, str]]:
    return [(row["model"], row["why"]) for row in attempts(hub, tenant)]


def refusal(answer: Answer) -> tuple[int, str | None]:
    return answer.status, answer.error["param"]


@pytest.mark.parametrize("fault", ["F10", "F8:none", "F5", "F6:context", "F6:content"])
@pytest.mark.parametrize("stream", [False, True])
def test_fallback_answers_and_is_charged(
    hub: Hub, fake: FakeUpstream, other_fake: FakeUpstream, fault: str, stream: bool
) -> None:
    tenant = hub.tenant()
    first, second = hub.model(fake, rates=CHEAP), hub.model(other_fake, rates=DEAR)
    text = f"#a.fault={fault} #tokens=7 #prompt=100"
    body = ask(first, text, models=[second], stream=stream, max_tokens=50)
    if stream:
        body["stream_options"] = {"include_usage": True}
    answer = hub.post(tenant, body)
    assert answer.status == 200, answer.body
    named = chunks_of(answer)[0]["model"] if stream else answer.json()["model"]
    assert named == second
    rows = attempts(hub, tenant)
    assert [(row["model"], row["why"]) for row in rows] == [
        (first, "only"),
        (second, "model_fallback"),
    ]
    record = hub.record(answer.headers["x-request-id"])
    assert (record["model"], record["charge_nano"]) == (second, 100 * 10 + 7 * 50)
    assert rows[1]["hold_nano"] == int(record["hold_nano"]) > rows[0]["hold_nano"]
    charged = hub.rows(
        "SELECT sum(charge_nano)::bigint AS charge FROM usage_usagerecord "
        "WHERE organisation_id = %s",
        tenant.organisation_id,
    )
    assert charged == [{"charge": 100 * 10 + 7 * 50}]


def test_invalid_request_triggers_no_fallback(
    hub: Hub, fake: FakeUpstream, other_fake: FakeUpstream
) -> None:
    tenant, first, second = hub.tenant(), hub.model(fake), hub.model(other_fake)
    answer = hub.post(tenant, ask(first, "#a.fault=F6:400 #tokens=1", models=[second]))
    assert answer.status == 400
    assert asked(hub, tenant) == [(first, "only")]


def test_last_of_three_attempts_is_the_fallbacks(
    hub: Hub, fake: FakeUpstream, other_fake: FakeUpstream
) -> None:
    """P21: a list of models does not multiply attempts."""
    tenant, first = hub.tenant(), hub.model(fake, fake, fake)
    second, third = hub.model(other_fake), hub.model(other_fake)
    body = ask(first, "#fault=F10 #tokens=1", models=[second, third])
    assert hub.post(tenant, body).status == 502
    assert [row["channel"] for row in attempts(hub, tenant)] == ["0", "1", "0"]
    assert asked(hub, tenant) == [
        (first, "priority"),
        (first, "failover"),
        (second, "model_fallback"),
    ]


def test_an_outage_of_all_models_is_not_amplified(
    hub: Hub, fake: FakeUpstream, other_fake: FakeUpstream
) -> None:
    """P21: at most 1.2 attempts for each of 240 requests, each of which names another model."""
    tenant = hub.tenant("100.00")
    first, second = hub.model(fake), hub.model(other_fake)
    body = ask(first, "#fault=F10", models=[second])
    with ThreadPoolExecutor(12) as pool:
        answers = list(pool.map(lambda _: hub.post(tenant, body), range(240)))
    assert {answer.status for answer in answers} <= {502, 503}
    assert len(attempts(hub, tenant)) <= 1.2 * len(answers)


def test_model_without_channels_costs_no_attempt(
    hub: Hub, fake: FakeUpstream, other_fake: FakeUpstream
) -> None:
    tenant, first, second = hub.tenant(), hub.model(fake), hub.model(other_fake)
    assert hub.post(tenant, ask(first, "#a.fault=F8:huge #tokens=1")).status == 429
    answer = hub.post(tenant, ask(first, "#tokens=1", models=[second]))
    assert (answer.status, answer.json()["model"]) == (200, second)
    assert asked(hub, tenant) == [(first, "only"), (second, "model_fallback")]


def test_a_dearer_fallback_is_held_for_or_not_asked(
    hub: Hub, fake: FakeUpstream, other_fake: FakeUpstream
) -> None:
    """P2: what the first model held does not pay for the second one."""
    first, second = hub.model(fake, rates=CHEAP), hub.model(other_fake, rates=DEAR)
    poor = hub.tenant("0.000002")
    body = ask(first, "#a.fault=F10 #tokens=1", models=[second], max_tokens=100)
    asked_before = len(other_fake.books())
    answer = hub.post(poor, body)
    assert (answer.status, answer.error["code"]) == (402, "insufficient_quota")
    assert asked(hub, poor) == [(first, "only")]
    assert hub.balance(poor)["customer:available"] == 2_000
    capped = hub.tenant()
    answer = hub.post(capped, body | {"max_cost": "0.000002"})
    assert answer.status in (500, 502, 503)
    assert asked(hub, capped) == [(first, "only"), (first, "retry"), (first, "retry")]
    assert len(other_fake.books()) == asked_before


def test_fallback_list_is_checked_before_any_request(
    hub: Hub, fake: FakeUpstream, other_fake: FakeUpstream
) -> None:
    tenant, first, second = hub.tenant(), hub.model(fake), hub.model(other_fake)
    kept = hub.key(tenant, patterns=(first,))
    assert refusal(hub.post(tenant, ask(first, models=["nobody-has-it"]))) == (404, "models")
    assert refusal(hub.post(tenant, ask(first, models=second))) == (400, "models")
    assert refusal(hub.post(tenant, ask(first, models=[1]))) == (400, "models")
    assert refusal(hub.post(tenant, ask(first, models=[second] * 9))) == (422, "models")
    assert refusal(hub.post(kept, ask(first, models=[second]))) == (403, "models")
    embedding = {"model": first, "input": "x", "models": [second]}
    assert refusal(hub.post(tenant, embedding, path="/v1/embeddings")) == (400, "models")
    assert asked(hub, tenant) == []


def test_null_and_its_own_name_are_no_fallback(hub: Hub, fake: FakeUpstream) -> None:
    tenant, model = hub.tenant(), hub.model(fake)
    for models in (None, [], [model]):
        assert hub.post(tenant, ask(model, "#tokens=1", models=models)).status == 200
    assert asked(hub, tenant) == [(model, "only")] * 3


# ---- by an operator's rule


@pytest.mark.parametrize(
    ("fault", "cause"),
    [("F10", "error"), ("F6:context", "context_length"), ("F6:content", "content_policy")],
)
def test_a_rule_names_the_fallback_for_its_causes_alone(
    hub: Hub, fake: FakeUpstream, other_fake: FakeUpstream, fault: str, cause: str
) -> None:
    tenant, causes = hub.tenant(), ["error", "context_length", "content_policy"]
    first, second = hub.model(fake, rates=CHEAP), hub.model(other_fake, rates=DEAR)
    body = ask(first, f"#a.fault={fault} #tokens=7 #prompt=100", max_tokens=50)
    hub.rule(first, fallbacks=[second], causes=[cause])
    answer = hub.post(tenant, body)
    assert (answer.status, answer.json()["model"]) == (200, second)
    record = hub.record(answer.headers["x-request-id"])
    assert (record["model"], record["charge_nano"]) == (second, 100 * 10 + 7 * 50)
    rows = hub.rows(
        "SELECT model, why, asked_model FROM usage_attempt WHERE organisation_id = %s ORDER BY n",
        tenant.organisation_id,
    )
    assert rows == [
        {"model": first, "why": "only", "asked_model": ""},
        {"model": second, "why": "fallback_rule", "asked_model": first},
    ]
    other = hub.tenant()
    third = hub.model(fake, rates=CHEAP)
    hub.rule(third, fallbacks=[second], causes=[one for one in causes if one != cause])
    assert hub.post(other, body | {"model": third}).status >= 400
    assert {model for model, _ in asked(hub, other)} == {third}


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("dialect", SPEAKERS)
def test_every_client_may_fall_back(
    hub: Hub, fake: FakeUpstream, other_fake: FakeUpstream, dialect: str, stream: bool
) -> None:
    """In the form of every dialect, from a model of its own and to one of another; the answer
    names who answered, and its price is paid."""
    tenant, speaker = hub.tenant(), SPEAKERS[dialect]
    first = hub.model(fake, rates=CHEAP, retries=0, **UPSTREAMS[dialect])
    second = hub.model(other_fake, rates=DEAR)
    hub.rule(first, fallbacks=[second], causes=["error"])
    wish = Wish("#a.fault=F10:500 #tokens=7 #prompt=100", stream)
    path = speaker.path(first, stream=stream)
    answer = hub.post(tenant, speaker.body(first, wish), path=path)
    assert answer.status == 200, answer.body
    text = speaker.read(answer)
    assert (text.text, text.whole) == (expected_text("b", wish.text, 7), True)
    assert asked(hub, tenant) == [(first, "only"), (second, "fallback_rule")]
    record = hub.record(answer.headers["x-request-id"])
    assert (record["model"], record["charge_nano"]) == (second, 100 * 10 + 7 * 50)
    # Amazon's dialect names no model.
    assert (f'"{second}"'.encode() in answer.body) == (dialect != "converse")
    assert f'"{first}"'.encode() not in answer.body


def test_request_overrides_rules_and_keys_limit_models(
    hub: Hub, fake: FakeUpstream, other_fake: FakeUpstream
) -> None:
    first, second, third = hub.model(fake), hub.model(other_fake), hub.model(other_fake)
    hub.rule(first, fallbacks=["nobody-has-it", second], causes=["error"])
    body = ask(first, "#a.fault=F5 #tokens=1")
    tenant = hub.tenant()
    assert hub.post(tenant, body | {"models": []}).status >= 400
    assert hub.post(tenant, body | {"models": [third]}).json()["model"] == third
    assert hub.post(tenant, body | {"models": None}).json()["model"] == second
    kept = hub.key(tenant, patterns=(first, third))
    assert hub.post(kept, body).status >= 400


def test_fallback_rule_never_blocks_the_own_model(
    hub: Hub, fake: FakeUpstream, other_fake: FakeUpstream
) -> None:
    """P2: the dearer model is not asked, and its price is not what the client hears of."""
    first, second = hub.model(fake, rates=CHEAP), hub.model(other_fake, rates=DEAR)
    hub.rule(first, fallbacks=[second], causes=["error"])
    poor, asked_before = hub.tenant("0.000002"), len(other_fake.books())
    answer = hub.post(poor, ask(first, "#a.fault=F10 #tokens=1", max_tokens=100))
    assert answer.status in (500, 502, 503)
    assert {model for model, _ in asked(hub, poor)} == {first}
    assert hub.balance(poor)["customer:available"] == 2_000
    assert len(other_fake.books()) == asked_before
    hub.settled(poor)
    # It is written after the hold of its attempt is released.
    assert hub.record(answer.headers["x-request-id"])["status"] == answer.status


# A budget that is used up ------------------------------------------------------------------------


@pytest.mark.parametrize("stream", [False, True])
def test_a_cheaper_model_answers_where_a_budget_is_used_up(
    hub: Hub, fake: FakeUpstream, other_fake: FakeUpstream, stream: bool
) -> None:
    """P2: what is left of the budget reaches for it, and is never overspent; the answer says so."""
    first, second = hub.model(fake, rates=DEAR), hub.model(other_fake, rates=CHEAP)
    hub.rule(first, fallbacks=[second], causes=["budget"])
    tenant, asked_before = hub.tenant(), len(fake.books())
    hub.budget(tenant, "0.000001")
    body = ask(first, "#tokens=7 #prompt=20", max_tokens=50, stream=stream)
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: hub.post(tenant, body), range(40)))
    hub.settled(tenant)
    good = [answer for answer in answers if answer.status == 200]
    assert 0 < len(good) < len(answers)
    for answer in good:
        named = chunks_of(answer)[0]["model"] if stream else answer.json()["model"]
        assert (named, answer.headers["x-weir-fallback"]) == (second, "budget")
    for answer in answers:
        if answer not in good:
            assert (answer.status, answer.error["code"]) == (402, "insufficient_quota")
            assert "key budget" in answer.error["message"]
            assert hub.record(answer.headers["x-request-id"])["model"] == first
    assert len(fake.books()) == asked_before
    rows = hub.rows(
        "SELECT DISTINCT model, why, asked_model FROM usage_attempt WHERE organisation_id = %s",
        tenant.organisation_id,
    )
    assert rows == [{"model": second, "why": "budget_rule", "asked_model": first}]
    window = hub.windows(tenant)["key"]
    assert window["spent_nano"] == len(good) * (20 * 1 + 7 * 2) <= 1_000


def test_a_budget_of_one_model_does_not_bind_the_other(
    hub: Hub, fake: FakeUpstream, other_fake: FakeUpstream
) -> None:
    first, second, third = hub.model(fake), hub.model(fake), hub.model(other_fake)
    hub.rule(first, fallbacks=[second, third], causes=["budget"])
    tenant = hub.tenant()
    for name in (first, second):
        hub.budget(tenant, "0", scope="model", subject=name)
    answer = hub.post(tenant, ask(first, "#tokens=1"))
    assert (answer.status, answer.json()["model"]) == (200, third)
    assert answer.headers["x-weir-fallback"] == "budget"
    assert asked(hub, tenant) == [(third, "budget_rule")]
    assert "x-weir-fallback" not in hub.post(tenant, ask(third, "#tokens=1")).headers


def test_cheaper_model_continues_a_capped_session(
    hub: Hub, fake: FakeUpstream, other_fake: FakeUpstream
) -> None:
    first, second = hub.model(fake, rates=DEAR), hub.model(other_fake, rates=CHEAP)
    hub.rule(first, fallbacks=[second], causes=["budget"])
    headers = {"x-weir-session": "s", "x-weir-session-budget": "0.000001"}
    answer = hub.post(hub.tenant(), ask(first, "#tokens=1", max_tokens=50), headers=headers)
    assert (answer.status, answer.json()["model"]) == (200, second)


def test_only_a_budget_rule_lets_a_cheaper_model_answer(
    hub: Hub, fake: FakeUpstream, other_fake: FakeUpstream
) -> None:
    """Not one for failures, nor the models that a request names; nor for an empty wallet."""
    first, second = hub.model(fake, rates=DEAR), hub.model(other_fake, rates=CHEAP)
    ruled = hub.model(fake, rates=DEAR)
    hub.rule(first, fallbacks=[second], causes=["error", "context_length", "content_policy"])
    hub.rule(ruled, fallbacks=[second], causes=["budget"])
    capped, poor = hub.tenant(), hub.tenant("0.000001")
    hub.budget(capped, "0.000001")
    body = ask(first, "#tokens=1", max_tokens=50)
    assert hub.post(capped, body).status == 402
    assert hub.post(capped, body | {"models": [second]}).status == 402
    assert hub.post(poor, body | {"model": ruled}).status == 402
    failed = hub.post(hub.tenant(), body | {"model": ruled} | ask(ruled, "#a.fault=F10"))
    assert failed.status in (500, 502, 503), "and a failure is no matter of budgets"
    for tenant in (capped, poor):
        assert asked(hub, tenant) == []
