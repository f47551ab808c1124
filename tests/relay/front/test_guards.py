"""Budgets and limits as clients meet them (P2, I23)."""

import re
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from typing import Any

import pytest

from tests.fakes.upstream import FakeUpstream
from tests.relay.asking import ask, chunks_of
from tests.relay.clients import Clients
from tests.support.hub import Answer, Hub, Tenant

pytestmark = pytest.mark.usefixtures("balanced_books")

NANO = Decimal(10) ** 9


def hold_of(hub: Hub, body: object) -> int:
    """What the request holds where nothing limits it."""
    return int(Decimal(hub.post(hub.tenant(), body).headers["x-weir-hold"]) * NANO)


def usd(nano: int) -> str:
    return f"{nano / NANO:f}"


def limited(hub: Hub, **limits: Any) -> Tenant:
    tenant = hub.tenant()
    hub.limit(tenant, **limits)
    return tenant


# Budgets ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("scope", ["organisation", "team", "key"])
def test_budget_limits_spending_and_says_so(hub: Hub, fake: FakeUpstream, scope: str) -> None:
    """P2: the refusal names scope, spent, limit and reset time; no upstream is asked."""
    model = hub.model(fake)
    body = ask(model, "#tokens=10", max_tokens=100)
    hold = hold_of(hub, body)
    tenant = hub.tenant()
    budget = hub.budget(
        tenant, usd(hold + 20), scope, period="month", anchor=1, timezone="Asia/Shanghai"
    )
    assert hub.post(tenant, body).status == 200
    hub.settled(tenant)
    spent = hub.windows(tenant)[scope]["spent_nano"]
    assert spent == hub.balance(tenant)["revenue"] > 20
    asked = fake.totals()["requests"]
    answer = hub.post(tenant, body)
    assert (answer.status, answer.error["code"]) == (402, "insufficient_quota")
    match = re.fullmatch(
        rf"Insufficient Balance: {scope} budget( .+)? has too little left: ([\d.]+) USD spent "
        r"and 0.00 USD reserved of ([\d.]+) USD per month; this request may cost ([\d.]+) USD\. "
        rf"It resets at (\S+)\. Request more: http://\S+/b/{budget}",
        answer.error["message"],
    )
    assert match is not None, answer.error["message"]
    assert [Decimal(match[n]) * NANO for n in (2, 3, 4)] == [spent, hold + 20, hold]
    # A key or team is named; the organisation needs no name.
    assert (match[1] is None) == (scope == "organisation")
    assert match[5].endswith("-30T16:00:00Z") or match[5][8:].startswith(
        ("31T16", "28T16", "29T16")
    )
    assert fake.totals()["requests"] == asked
    hub.settled(tenant)
    # For the people who want to hear that it refuses.
    hub.wait(lambda: hub.windows(tenant)[scope]["refused_at"] is not None, "is not noted")


def test_uncapped_request_shrinks_to_the_budget(hub: Hub, fake: FakeUpstream) -> None:
    tenant, model = hub.tenant(), hub.model(fake)
    hub.budget(tenant, "0.000000500")
    answer = hub.post(tenant, ask(model, "#tokens=900"))
    assert answer.status == 200
    assert 16 <= int(answer.headers["x-weir-output-cap"]) < 500 // 3
    hub.settled(tenant)


def test_most_limiting_of_several_budgets_is_named(hub: Hub, fake: FakeUpstream) -> None:
    tenant, model = hub.tenant(), hub.model(fake)
    for scope, amount in (("organisation", "1"), ("team", "0.0000001"), ("key", "0.0001")):
        hub.budget(tenant, amount, scope)
    answer = hub.post(tenant, ask(model, max_tokens=1000))
    assert answer.error["message"].startswith("Insufficient Balance: team budget ")
    assert "It does not reset. Request more: http" in answer.error["message"]


def test_budget_for_a_model_tag_or_label_covers_its_requests(hub: Hub, fake: FakeUpstream) -> None:
    model = hub.model(fake)
    other = hub.model(fake)
    for scope, subject, headers, asked in (
        ("model", f"{model[:-2]}*", {}, model),
        ("tag", "beta", {"x-weir-labels": '{"tags": ["eu", "beta"]}'}, model),
        ("project", "search", {"x-weir-labels": '{"project": "search"}'}, model),
        ("customer", "c-1", {"x-weir-labels": '{"customer": "c-1"}'}, model),
    ):
        tenant = hub.tenant()
        hub.budget(tenant, "0.000000001", scope, subject)
        answer = hub.post(tenant, ask(asked, max_tokens=10), headers=headers)
        assert answer.error["message"].startswith(
            f"Insufficient Balance: {scope} budget {subject} has too little left"
        )
        if scope == "model":
            assert hub.post(tenant, ask(other, max_tokens=10)).status == 200
        else:
            assert hub.post(tenant, ask(model, max_tokens=10)).status == 200


def test_tags_of_a_key_count_for_all_its_requests(hub: Hub, fake: FakeUpstream) -> None:
    tenant, model = limited(hub, tags=["beta"]), hub.model(fake)
    hub.budget(tenant, "0.000000001", "tag", "beta")
    assert hub.post(tenant, ask(model, max_tokens=10)).status == 402


def test_new_budget_applies_immediately(hub: Hub, fake: FakeUpstream) -> None:
    """No process needs to have heard of it: the database knows that they have not."""
    tenant, model = hub.tenant(), hub.model(fake)
    assert hub.post(tenant, ask(model, max_tokens=10)).status == 200
    hub.budget(tenant, "0.000000001")
    assert hub.post(tenant, ask(model, max_tokens=10)).status == 402
    hub.connection.execute(
        "UPDATE billing_budget SET enabled = false WHERE organisation_id = %s",
        [tenant.organisation_id],
    )
    assert hub.post(tenant, ask(model, max_tokens=10)).status == 200


def test_invalid_labels_are_rejected(hub: Hub, fake: FakeUpstream) -> None:
    tenant, model = hub.tenant(), hub.model(fake)
    for header, status in (
        ('{"tags": "x"}', 400),
        ('{"project": ""}', 422),
        ('{"tags": [" x"]}', 422),
    ):
        answer = hub.post(tenant, ask(model), headers={"x-weir-labels": header})
        assert (answer.status, answer.error["param"]) == (status, "x-weir-labels")


def test_warning_budget_rejects_nothing(hub: Hub, fake: FakeUpstream) -> None:
    tenant, model = hub.tenant(), hub.model(fake)
    hub.budget(tenant, "0.000000001", action="warn")
    for _ in range(2):
        assert hub.post(tenant, ask(model, "#tokens=5")).status == 200
    hub.settled(tenant)
    assert hub.windows(tenant)["key"]["spent_nano"] == hub.balance(tenant)["revenue"] > 1


def test_slow_budget_rejects_parallel_requests(
    hub: Hub, clients: Clients, fake: FakeUpstream
) -> None:
    tenant, model = hub.tenant(), hub.model(fake)
    budget = hub.budget(tenant, "0.000000001", action="slow")
    running = clients.ask(hub, tenant, ask(model, "#tokens=5000 #delay_ms=10", stream=True))
    running.read_until(b'"content":" ')
    answer = hub.post(tenant, ask(model))
    assert (answer.status, answer.error["code"]) == (429, "rate_limit_exceeded")
    assert answer.headers["retry-after"] == "1"
    assert re.search("key budget .*is used up: 0.00 USD spent", answer.error["message"])
    assert "so its requests run one at a time" in answer.error["message"]
    assert f"/b/{budget}" in answer.error["message"]
    running.leave("fin")
    hub.settled(tenant)
    assert hub.post(tenant, ask(model)).status == 200
    hub.settled(tenant)


def test_parallel_requests_never_overspend_any_kind_of_budget(
    hub: Hub, fake: FakeUpstream, other_fake: FakeUpstream
) -> None:
    """P2 in small: money for ten on key, user, team and model at once, and the first channel always
    fails; most of the rest can be spent after."""
    model = hub.model(fake, other_fake)
    body = ask(model, "#a.fault=F10 #tokens=10 #delay_ms=5", max_tokens=1000)
    hold = hold_of(hub, body)
    tenant = hub.tenant()
    user = hub.person(tenant)
    budget = usd(10 * hold)
    for scope, subject in (("key", None), ("team", None), ("user", user), ("model", model)):
        hub.budget(tenant, budget, scope, subject)
    with ThreadPoolExecutor(60) as pool:
        answers = list(pool.map(lambda _: hub.post(tenant, body), range(60)))
    statuses = sorted(answer.status for answer in answers)
    assert set(statuses) <= {200, 402}
    assert statuses.count(200) >= 10
    hub.settled(tenant)
    windows = hub.windows(tenant)
    assert set(windows) == {"key", "team", "user", "model"}
    spent = hub.balance(tenant)["revenue"]
    assert {(row["held_nano"], row["spent_nano"]) for row in windows.values()} == {(0, spent)}
    # The rest can be spent: with caps that fit it.
    rest = 10 * hold - spent
    answer = hub.post(tenant, ask(model, "#tokens=100000", stream=False))
    assert answer.status == 200
    assert Decimal(answer.headers["x-weir-hold"]) * NANO >= rest * Decimal("0.95")


# Limits -----------------------------------------------------------------------------------------


def test_requests_per_minute(hub: Hub, fake: FakeUpstream) -> None:
    tenant, model = limited(hub, rpm=2), hub.model(fake)
    first, second = (hub.post(tenant, ask(model, "#tokens=2")) for _ in range(2))
    assert [answer.headers["x-ratelimit-remaining-requests"] for answer in (first, second)] == [
        "1", "0",
    ]  # fmt: skip
    assert first.headers["x-ratelimit-limit-requests"] == "2"
    assert first.headers["x-ratelimit-reset-requests"] == "1m0s"
    answer = hub.post(tenant, ask(model))
    assert (answer.status, answer.error["code"]) == (429, "rate_limit_exceeded")
    assert answer.error["message"].startswith(
        "Rate Limit Reached: 2 requests per minute of this key, 2 are used; retry in "
    )
    assert "No wait" not in answer.error["message"]
    assert 50 <= int(answer.headers["retry-after"]) <= 60
    assert answer.headers["x-ratelimit-remaining-requests"] == "0"
    record = hub.record(answer.headers["x-request-id"])
    assert (record["kind"], record["charge_nano"]) == ("rate_limited", 0)


def test_malformed_request_does_not_count(hub: Hub, fake: FakeUpstream) -> None:
    tenant, model = limited(hub, rpm=1), hub.model(fake)
    assert hub.post(tenant, b"{").status == 400
    assert hub.post(tenant, ask("no-such-model")).status == 404
    assert hub.post(tenant, ask(model)).status == 200


def test_claude_clients_hear_of_limits_in_their_headers(hub: Hub, fake: FakeUpstream) -> None:
    tenant, model = limited(hub, rpm=1), hub.model(fake)
    body = {"model": model, "max_tokens": 5, "messages": [{"role": "user", "content": "hi"}]}
    answer = hub.post(tenant, body, path="/v1/messages")
    assert answer.status == 200
    assert answer.headers["anthropic-ratelimit-requests-limit"] == "1"
    assert answer.headers["anthropic-ratelimit-requests-remaining"] == "0"
    reset = answer.headers["anthropic-ratelimit-requests-reset"]
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", reset)
    answer = hub.post(tenant, body, path="/v1/messages")
    assert (answer.status, answer.json()["error"]["type"]) == (429, "rate_limit_error")
    assert "retry-after" in answer.headers


def test_tokens_per_minute_are_held_and_corrected(hub: Hub, fake: FakeUpstream) -> None:
    """TPM is decided on the hold's tokens; what was not used is free again."""
    tenant, model = limited(hub, tpm=1000), hub.model(fake)
    body = ask(model, "#tokens=10", max_tokens=700)
    assert hub.post(tenant, body).status == 200
    hub.settled(tenant)
    answer = hub.post(tenant, body)
    assert answer.status == 200
    hub.settled(tenant)
    (row,) = hub.rows(
        "SELECT sum(tokens)::int AS tokens FROM billing_ratesecond WHERE subject_id = %s",
        tenant.key_id,
    )
    used = hub.rows(
        "SELECT sum((meters->>'in_text')::int + (meters->>'out_text')::int)::int AS tokens "
        "FROM usage_usagerecord WHERE key_id = %s", tenant.key_id,
    )  # fmt: skip
    assert row == used[0]
    answer = hub.post(tenant, ask(model, max_tokens=2000))
    assert answer.status == 429
    assert "tokens per minute of this key" in answer.error["message"]
    assert "this request needs 2" in answer.error["message"]
    assert "so waiting does not help: request fewer tokens" in answer.error["message"]
    assert "retry in" not in answer.error["message"]
    assert not {"retry-after", "retry-after-ms"} & set(answer.headers)
    response = hub.post(
        tenant,
        {"contents": [{"parts": [{"text": "a"}]}], "generationConfig": {"maxOutputTokens": 2000}},
        path=f"/v1beta/models/{model}:generateContent",
    )
    assert response.status == 429
    assert "retry-after" not in response.headers
    assert "retryDelay" not in response.body.decode()


def test_uncapped_request_fits_a_token_limit(hub: Hub, fake: FakeUpstream) -> None:
    tenant, model = limited(hub, tpm=1000), hub.model(fake)
    answer = hub.post(tenant, ask(model, "#tokens=2000"))
    assert answer.status == 200, answer.body
    assert 16 <= int(answer.headers["x-weir-output-cap"]) < 1000


def test_parallel_request_limit(hub: Hub, fake: FakeUpstream) -> None:
    tenant, model = limited(hub, parallel=2), hub.model(fake)
    body = ask(model, "#tokens=5 #delay_ms=100", stream=True)
    with ThreadPoolExecutor(6) as pool:
        answers = list(pool.map(lambda _: hub.post(tenant, body), range(6)))
    statuses = sorted(answer.status for answer in answers)
    assert statuses.count(200) >= 2
    assert set(statuses) == {200, 429}
    hub.settled(tenant)
    assert hub.post(tenant, ask(model)).status == 200


def test_limit_of_a_team_is_shared_by_its_keys(hub: Hub, fake: FakeUpstream) -> None:
    tenant, model = hub.tenant(), hub.model(fake)
    hub.limit(tenant, of="team", rpm=2)
    keys = [tenant, hub.key(tenant), hub.key(tenant)]
    assert [hub.post(key, ask(model)).status for key in keys] == [200, 200, 429]


def test_limit_of_an_organisation_is_shared_by_its_teams_and_named(
    hub: Hub, fake: FakeUpstream
) -> None:
    tenant, model = hub.tenant(), hub.model(fake)
    hub.limit(tenant, of="organisation", rpm=2)
    hub.limit(tenant, rpm=5)
    keys = [tenant, hub.key(tenant), hub.key(tenant)]
    answers = [hub.post(key, ask(model)) for key in keys]
    assert [answer.status for answer in answers] == [200, 200, 429]
    assert "2 requests per minute of this organisation" in answers[2].error["message"]


def test_limit_of_a_person_is_shared_by_their_keys(hub: Hub, fake: FakeUpstream) -> None:
    tenant, model = hub.tenant(), hub.model(fake)
    user, other = hub.person(tenant), hub.key(tenant)
    hub.connection.execute("UPDATE accounts_membership SET rpm = 1 WHERE user_id = %s", [user])
    hub.connection.execute("UPDATE accounts_key SET user_id = %s WHERE id = %s",
                           [user, other.key_id])  # fmt: skip
    answers = [hub.post(key, ask(model)) for key in (tenant, other, hub.key(tenant))]
    assert [answer.status for answer in answers] == [200, 429, 200]
    assert "1 requests per minute of this user" in answers[1].error["message"]


def test_failover_counts_one_request_of_the_limit(
    hub: Hub, fake: FakeUpstream, other_fake: FakeUpstream
) -> None:
    tenant, model = limited(hub, rpm=1, parallel=1), hub.model(fake, other_fake)
    answer = hub.post(tenant, ask(model, "#a.fault=F10"))
    assert answer.status == 200
    assert len(hub.records(answer.headers["x-request-id"])) == 2
    assert hub.post(tenant, ask(model)).status == 429


# Where a key may be used ------------------------------------------------------------------------


def test_key_is_rejected_from_other_networks(hub: Hub, fake: FakeUpstream) -> None:
    model = hub.model(fake)
    near, far = limited(hub, networks=["127.0.0.0/8"]), limited(hub, networks=["10.0.0.0/8"])
    assert hub.post(near, ask(model)).status == 200
    answer = hub.post(far, ask(model))
    assert (answer.status, answer.error["code"]) == (403, "permission_denied")
    assert answer.error["message"] == "The API key may not use address 127.0.0.1"
    assert hub.get("/v1/models", far).status == 403


def test_key_is_rejected_at_other_endpoints(hub: Hub, fake: FakeUpstream) -> None:
    tenant, model = limited(hub, endpoints=["embeddings"]), hub.model(fake)
    answer = hub.post(tenant, ask(model))
    assert (answer.status, answer.error["message"]) == (
        403, "The API key may not use endpoint chat_completions",
    )  # fmt: skip
    assert hub.get("/v1/models", tenant).status == 200


def test_unlimited_answers_have_no_limit_headers(hub: Hub, fake: FakeUpstream) -> None:
    answer: Answer = hub.post(hub.tenant(), ask(hub.model(fake)))
    assert not [name for name in answer.headers if "ratelimit" in name]


# What clients are told of money -----------------------------------------------------------------


def test_balance_in_the_old_form(hub: Hub, fake: FakeUpstream) -> None:
    """What the key used and can still use; a budget over it is the narrower one."""
    tenant, model = hub.tenant("10.00"), hub.model(fake)
    for path in ("/v1", "/api/v1", ""):
        body = hub.get(f"{path}/dashboard/billing/subscription", tenant).json()
        assert body["object"] == "billing_subscription"
        assert body["hard_limit_usd"] == body["system_hard_limit_usd"] == 10.0
    hub.budget(tenant, "2.50", "team")
    hub.budget(tenant, "0.10", "model", f"{model}")
    assert hub.post(tenant, ask(model, "#tokens=5", max_tokens=10)).status == 200
    hub.settled(tenant)
    hub.connection.execute(
        "INSERT INTO usage_rollup (organisation_id, bucket_at, team_id, key_id, user_id, model, "
        "channel_id, channel_name, requests, errors, meters, charge_nano) "
        "VALUES (%s, '2026-11-02T10:00:00Z', %s, %s, 0, %s, %s, 'c', 1, 0, '{}', 123000000)",
        [tenant.organisation_id, tenant.team_id, tenant.key_id, model, tenant.key_id],
    )
    spent = hub.balance(tenant)["revenue"]
    raw = hub.get("/v1/dashboard/billing/subscription", tenant).body.decode()
    limit = re.search(r'"hard_limit_usd":([\d.]+)', raw)
    assert limit is not None
    assert Decimal(limit[1]) * NANO == 2_500_000_000 - spent + 123_000_000
    usage = hub.get("/v1/dashboard/billing/usage", tenant).json()
    assert usage == {"object": "list", "total_usage": 12.3}
    dated = "/v1/dashboard/billing/usage?start_date=2026-11-02&end_date=2026-11-03"
    assert hub.get(dated, tenant).json() == {
        "object": "list", "total_usage": 12.3,
        "daily_costs": [
            {"timestamp": 1793577600, "line_items": [{"name": model, "cost": 12.3}]}
        ],
    }  # fmt: skip
    grants = hub.get("/v1/dashboard/billing/credit_grants", tenant).json()
    assert (grants["object"], grants["total_used"]) == ("credit_summary", 0.123)
    wrong = hub.get("/v1/dashboard/billing/usage?start_date=yesterday", tenant)
    assert (wrong.status, wrong.error["param"]) == (422, "start_date")
    assert hub.get("/v1/dashboard/billing/usage").status == 401
    # No records stand behind what was put in, and the books are asked for that (I16).
    hub.connection.execute(
        "DELETE FROM usage_rollup WHERE organisation_id = %s", [tenant.organisation_id]
    )


@pytest.mark.parametrize("stream", [False, True])
def test_usage_includes_the_cost_when_asked(hub: Hub, fake: FakeUpstream, stream: bool) -> None:
    tenant, model = hub.tenant(), hub.model(fake)
    body = ask(model, "#tokens=5", max_tokens=10, stream=stream)
    answer = hub.post(tenant, body, headers={"x-weir-include-cost": "true"})
    record = hub.record(answer.headers["x-request-id"])
    usage = chunks_of(answer)[-1]["usage"] if stream else answer.json()["usage"]
    assert Decimal(usage["cost"]) * NANO == record["charge_nano"] > 0
    assert usage["completion_tokens"] == 5
    assert not stream or answer.body.endswith(b"data: [DONE]\n\n")
    assert b'"cost"' not in hub.post(tenant, body).body


def test_usage_includes_the_cost_if_the_organisation_wants_it(hub: Hub, fake: FakeUpstream) -> None:
    tenant, model = hub.tenant(), hub.model(fake)
    hub.connection.execute(
        "UPDATE accounts_organisation SET include_cost = true WHERE id = %s",
        [tenant.organisation_id],
    )
    body = ask(model, "#tokens=5", max_tokens=10)
    assert Decimal(hub.post(tenant, body).json()["usage"]["cost"]) > 0
    assert b'"cost"' not in hub.post(tenant, body, headers={"x-weir-include-cost": "false"}).body


def test_claude_usage_includes_the_cost_too(hub: Hub, fake: FakeUpstream) -> None:
    tenant, model = hub.tenant(), hub.model(fake)
    body = {"model": model, "max_tokens": 5, "messages": [{"role": "user", "content": "hi"}]}
    headers = {"x-weir-include-cost": "1"}
    answer = hub.post(tenant, body, path="/v1/messages", headers=headers)
    record = hub.record(answer.headers["x-request-id"])
    assert Decimal(answer.json()["usage"]["cost"]) * NANO == record["charge_nano"]
