"""P31: an answer is served again, byte for byte, to the identical request of the same key or team,
and its charge is the share that the rule says, exact to the nano."""

import json
import re
import secrets
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from billing.currency.money import round_half_even
from lib.ids import new_id
from tests.fakes.guard_service import guard_service
from tests.fakes.upstream import FakeUpstream
from tests.relay.guarding.conftest import GuardedHub, rule
from tests.support.hub import Answer, Hub, Tenant

pytestmark = pytest.mark.usefixtures("balanced_books")
# So dear that a share of the charge has to be rounded.
RATES = {"in_text": 1_000_000_007, "out_text": 3_000_000_019}
SECONDS = 600
DIALECTS = ["openai", "anthropic", "responses", "gemini", "converse"]


@pytest.fixture(scope="module")
def model(hub: Hub, fake: FakeUpstream) -> Iterator[str]:
    with hub.forgetful():
        yield hub.model(fake, rates=RATES)


def caching(hub: Hub, tenant: Tenant, *, of: str = "key", **over: Any) -> Tenant:
    """The tenant, whose key or team has a rule of the cache."""
    rule = {"cache_seconds": SECONDS, "cache_price_percent": 0} | over
    hub.limit(tenant, of=of, **rule)
    hub.bump()
    return tenant


def asked(dialect: str, model: str, text: str, *, stream: bool) -> tuple[str, dict[str, Any]]:
    """The path and body of a chat in a dialect."""
    messages = [{"role": "user", "content": text}]
    match dialect:
        case "openai":
            return "/v1/chat/completions", {"model": model, "messages": messages, "stream": stream}
        case "anthropic":
            body = {"model": model, "messages": messages, "stream": stream, "max_tokens": 64}
            return "/v1/messages", body
        case "responses":
            body = {"model": model, "input": text, "stream": stream, "store": False}
            return "/v1/responses", body
        case "converse":
            action = "converse-stream" if stream else "converse"
            content = {"messages": [{"role": "user", "content": [{"text": text}]}]}
            return f"/model/{model}/{action}", content
        case _:
            action = "streamGenerateContent?alt=sse" if stream else "generateContent"
            contents = [{"role": "user", "parts": [{"text": text}]}]
            return f"/v1beta/models/{model}:{action}", {"contents": contents}


def question() -> str:
    return f"What is {secrets.token_hex(8)}?"


def chat(model: str, text: str, **over: Any) -> dict[str, Any]:
    return {"model": model, "messages": [{"role": "user", "content": text}]} | over


def stored(hub: Hub, tenant: Tenant, n: int = 1) -> None:
    """Wait until so many answers are stored of the organisation."""
    query = "SELECT FROM gateway_cachedanswer WHERE organisation_id = %s"
    hub.wait(lambda: len(hub.rows(query, tenant.organisation_id)) == n, "the answer is not stored")


def warm(
    hub: Hub, tenant: Tenant, body: Any, headers: Mapping[str, str] | None = None, **over: Any
) -> Answer:
    """Send a request whose answer is stored."""
    before = len(
        hub.rows(
            "SELECT FROM gateway_cachedanswer WHERE organisation_id = %s", tenant.organisation_id
        )
    )
    answer = hub.post(tenant, body, headers=headers, **over)
    assert answer.status == 200, answer.body
    assert answer.headers["cache-status"].startswith("weir; fwd=")
    stored(hub, tenant, before + 1)
    return answer


def is_hit(answer: Answer) -> bool:
    assert answer.status == 200, answer.body
    return answer.headers.get("cache-status", "").startswith("weir; hit; ttl=")


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
@pytest.mark.parametrize("dialect", DIALECTS)
def test_identical_request_is_served_byte_for_byte(
    hub: Hub, fake: FakeUpstream, model: str, dialect: str, stream: bool
) -> None:
    tenant = caching(hub, hub.tenant(), cache_price_percent=37)
    path, body = asked(dialect, model, question(), stream=stream)
    first = warm(hub, tenant, body, path=path)
    seen = len(fake.books())
    again = hub.post(tenant, body, path=path)
    assert is_hit(again)
    assert again.headers["content-type"] == first.headers["content-type"]
    assert again.headers["x-request-id"] != first.headers["x-request-id"]
    assert int(again.headers["age"]) < SECONDS
    if dialect == "converse":
        # It tells how long the answer took.
        assert _words_of(again.body) == _words_of(first.body)
    else:
        assert again.body == first.body
    assert len(fake.books()) == seen

    one = hub.record(first.headers["x-request-id"])
    two = hub.record(again.headers["x-request-id"])
    assert (two["basis"], two["meters"], two["cost_nano"]) == ("cached", {}, 0)
    assert two["charge_nano"] == round_half_even(one["charge_nano"] * 37, 100) > 0
    assert two["finish_reason"] == one["finish_reason"]
    assert (two["model"], two["stream"], two["channel_id"]) == (model, one["stream"], None)


def test_free_hit_costs_nothing_and_needs_no_budget(hub: Hub, model: str) -> None:
    tenant = caching(hub, hub.tenant())
    body = chat(model, question(), max_tokens=64)
    warm(hub, tenant, body)
    hub.settled(tenant)
    left = hub.balance(tenant)
    hub.budget(tenant, "0.000000001")
    hub.bump()
    again = hub.post(tenant, body)
    assert is_hit(again)
    assert (again.headers["x-weir-hold"], again.headers["x-weir-cost"]) == ("0.00", "0.00")
    record = hub.record(again.headers["x-request-id"])
    assert (record["charge_nano"], record["hold_nano"]) == (0, 0)
    hub.settled(tenant)
    assert hub.balance(tenant) == left


def test_books_move_by_exactly_the_share(hub: Hub, model: str) -> None:
    """I10, I15: revenue is the sum of the records; nothing of a hit is owed to a provider."""
    tenant = caching(hub, hub.tenant(), cache_price_percent=33)
    hub.budget(tenant, "5.00")
    hub.bump()
    body = chat(model, question())
    first = warm(hub, tenant, body)
    hub.settled(tenant)
    before, window = hub.balance(tenant), hub.windows(tenant)["key"]
    hits = [hub.post(tenant, body) for _ in range(3)]
    assert all(map(is_hit, hits))
    one = hub.record(first.headers["x-request-id"])["charge_nano"]
    charges = [hub.record(hit.headers["x-request-id"])["charge_nano"] for hit in hits]
    assert charges == [round_half_even(one * 33, 100)] * 3
    hub.settled(tenant)
    after, spent = hub.balance(tenant), hub.windows(tenant)["key"]
    moved = {kind: after[kind] - before[kind] for kind in after if after[kind] != before[kind]}
    assert moved == {"revenue": sum(charges), "customer:available": -sum(charges)}
    assert spent["spent_nano"] - window["spent_nano"] == sum(charges)
    assert spent["held_nano"] == 0


def test_used_up_budget_refuses_a_hit_that_costs(hub: Hub, model: str) -> None:
    tenant = caching(hub, hub.tenant(), cache_price_percent=100)
    body = chat(model, question())
    warm(hub, tenant, body)
    hub.budget(tenant, "0.000000001")
    hub.bump()
    refused = hub.post(tenant, body)
    assert refused.status == 402
    assert "this request may cost 0.000051 USD" in refused.error["message"]


def test_hit_counts_as_a_request_of_the_limits(hub: Hub, model: str) -> None:
    tenant = caching(hub, hub.tenant(), rpm=2, tpm=100_000)
    body = chat(model, question(), max_tokens=16)
    warm(hub, tenant, body)
    assert is_hit(hub.post(tenant, body))
    assert hub.post(tenant, body).status == 429
    used = hub.rows(
        "SELECT tokens FROM billing_ratesecond WHERE subject_id = %s ORDER BY second",
        tenant.key_id,
    )
    hub.settled(tenant)
    assert used[-1]["tokens"] >= 0


@pytest.mark.parametrize("of", ["key", "team"])
def test_answers_are_shared_by_the_owner_of_the_rule_alone(hub: Hub, model: str, of: str) -> None:
    """P12: by a rule of a key no other key is served; by that of a team, no other team."""
    tenant, body = caching(hub, hub.tenant(), of=of), chat(model, question())
    other = hub.key(tenant)
    if of == "key":
        caching(hub, other)
    warm(hub, tenant, body)
    assert is_hit(hub.post(other, body)) is (of == "team")
    stranger = caching(hub, hub.tenant(), of=of)
    assert not is_hit(hub.post(stranger, body))


def test_two_teams_of_an_organisation_share_nothing(hub: Hub, model: str) -> None:
    tenant, body = caching(hub, hub.tenant(), of="team"), chat(model, question())
    warm(hub, tenant, body)
    team_id = new_id()
    hub.connection.execute(
        "INSERT INTO accounts_team (id, organisation_id, name, slug, cache_seconds) "
        "VALUES (%s, %s, 'other', 'other', 600)",
        [team_id, tenant.organisation_id],
    )
    other = hub.key(Tenant(tenant.organisation_id, team_id, new_id(), ""))
    hub.bump()
    assert not is_hit(hub.post(other, body))


def test_key_takes_no_part_in_its_teams_rule(hub: Hub, model: str) -> None:
    tenant, body = caching(hub, hub.tenant(), of="team"), chat(model, question())
    warm(hub, tenant, body)
    caching(hub, tenant, cache_seconds=0)
    hub.wait(
        lambda: "cache-status" not in hub.post(tenant, body).headers, "the cache is still used"
    )


def test_nothing_is_stored_without_a_rule(hub: Hub, model: str) -> None:
    tenant, body = hub.tenant(), chat(model, question())
    assert "cache-status" not in hub.post(tenant, body).headers
    assert "cache-status" not in hub.post(tenant, body).headers
    assert rows_of(hub, tenant) == []


@pytest.mark.parametrize(
    ("cache_control", "is_served", "is_stored"),
    [
        ("no-store", False, False),
        ("no-cache", False, True),
        ("max-age=0", True, True),
        ("max-age=60, unknown", True, True),
        ("NO-CACHE", False, True),
        ('max-age="x", private', True, True),
    ],
)
def test_caller_may_leave_the_cache_out(
    hub: Hub, model: str, cache_control: str, is_served: bool, is_stored: bool
) -> None:
    tenant, body = caching(hub, hub.tenant()), chat(model, question())
    warm(hub, tenant, body)
    headers = {"cache-control": cache_control}
    answer = hub.post(tenant, body, headers=headers)
    # An answer of this second is not older than 0.
    if cache_control != "max-age=0":
        assert is_hit(answer) is is_served
    other = chat(model, question())
    fresh = hub.post(tenant, other, headers=headers)
    assert fresh.headers["cache-status"] == (
        "weir; fwd=request"
        if cache_control.lower() in ("no-store", "no-cache")
        or "=0" in cache_control
        or "=60" in cache_control
        else "weir; fwd=miss"
    )
    stored(hub, tenant, 1 + is_stored)
    warm(hub, tenant, chat(model, question()))
    assert is_hit(hub.post(tenant, other)) is is_stored


def test_older_than_the_caller_takes_is_not_served(hub: Hub, model: str) -> None:
    tenant, body = caching(hub, hub.tenant()), chat(model, question())
    warm(hub, tenant, body)
    age(hub, tenant, 30)
    aged = hub.post(tenant, body, headers={"cache-control": "max-age=60"})
    assert is_hit(aged)
    assert int(aged.headers["age"]) >= 30
    assert not is_hit(hub.post(tenant, body, headers={"cache-control": "max-age=20"}))


def test_header_that_keeps_content_out_is_heard(hub: Hub, model: str) -> None:
    tenant, body = caching(hub, hub.tenant()), chat(model, question())
    answer = hub.post(tenant, body, headers={"x-weir-store": "false"})
    assert answer.headers["cache-status"] == "weir; fwd=miss"
    warm(hub, tenant, chat(model, question()))
    assert len(rows_of(hub, tenant)) == 1


def test_time_to_live_is_by_the_databases_clock(hub: Hub, model: str) -> None:
    tenant, body = caching(hub, hub.tenant()), chat(model, question())
    warm(hub, tenant, body)
    (row,) = rows_of(hub, tenant)
    assert (row["expires_at"] - row["stored_at"]).total_seconds() == SECONDS
    age(hub, tenant, SECONDS - 1)
    age(hub, tenant, 2)
    again = hub.post(tenant, body)
    assert not is_hit(again)
    assert is_hit(hub.post(tenant, body))


def test_shorter_time_to_live_holds_at_once(hub: Hub, model: str) -> None:
    tenant, body = caching(hub, hub.tenant()), chat(model, question())
    warm(hub, tenant, body)
    age(hub, tenant, 120)
    assert is_hit(hub.post(tenant, body))
    caching(hub, tenant, cache_seconds=60)
    hub.wait(lambda: not is_hit(hub.post(tenant, body)), "the old answer is still served")


@pytest.mark.parametrize(
    "over",
    [
        {"temperature": 0.5},
        {"stream": True},
        {"messages": [{"role": "user", "content": "Another question"}]},
    ],
    ids=["parameter", "stream", "messages"],
)
def test_every_byte_of_the_body_counts(hub: Hub, model: str, over: dict[str, Any]) -> None:
    tenant, body = caching(hub, hub.tenant()), chat(model, question())
    warm(hub, tenant, body)
    assert not is_hit(hub.post(tenant, body | over))
    assert not is_hit(hub.post(tenant, json.dumps(body, indent=1).encode()))
    assert is_hit(hub.post(tenant, body))


def test_headers_that_change_an_answer_count(hub: Hub, model: str) -> None:
    tenant = caching(hub, hub.tenant())
    path, body = asked("anthropic", model, question(), stream=False)
    plain = {"anthropic-version": "2023-06-01", "user-agent": "one"}
    warm(hub, tenant, body, plain, path=path)
    beta = plain | {"anthropic-beta": "context-1m-2025-08-07"}
    assert not is_hit(hub.post(tenant, body, path=path, headers=beta))
    agent = plain | {"user-agent": "two", "x-weir-labels": '{"customer": "c"}'}
    assert is_hit(hub.post(tenant, body, path=path, headers=agent))


@pytest.mark.parametrize(
    ("dialect", "over"),
    [
        ("openai", {"store": True}),
        ("responses", {"store": True}),
        ("responses", {"store": None}),
        ("anthropic", {"container": "c1"}),
    ],
)
def test_stored_state_keeps_a_request_out(
    hub: Hub, model: str, dialect: str, over: dict[str, Any]
) -> None:
    tenant = caching(hub, hub.tenant())
    path, body = asked(dialect, model, question(), stream=False)
    body = {name: value for name, value in (body | over).items() if value is not None}
    answer = hub.post(tenant, body, path=path)
    assert answer.headers.get("cache-status", "weir; fwd=bypass") == "weir; fwd=bypass"
    warm(hub, tenant, chat(model, question()))
    assert len(rows_of(hub, tenant)) == 1


@pytest.mark.parametrize(
    ("of", "limits"),
    [("organisation", {"retention_hours": 0}), ("key", {"log_content": False})],
)
def test_who_keeps_nothing_caches_nothing(
    hub: Hub, model: str, of: str, limits: dict[str, Any]
) -> None:
    tenant, body = hub.tenant(), chat(model, question())
    hub.limit(tenant, of=of, **limits)
    caching(hub, tenant)
    assert hub.post(tenant, body).headers["cache-status"] == "weir; fwd=bypass"
    assert hub.post(tenant, body).headers["cache-status"] == "weir; fwd=bypass"
    assert rows_of(hub, tenant) == []


@pytest.mark.parametrize("word", ["[[429]]", "[[500]]"])
def test_failures_are_not_stored(hub: Hub, model: str, word: str) -> None:
    tenant = caching(hub, hub.tenant())
    body = chat(model, f"{word} {question()}", n=-1)
    assert hub.post(tenant, body).status >= 400
    warm(hub, tenant, chat(model, question()))
    assert len(rows_of(hub, tenant)) == 1


def test_key_that_may_not_use_the_model_gets_nothing(hub: Hub, model: str) -> None:
    tenant, body = caching(hub, hub.tenant(), of="team"), chat(model, question())
    warm(hub, tenant, body)
    other = hub.key(tenant, patterns=("other-*",))
    assert hub.post(other, body).status == 403
    hub.limit(tenant, disabled=True)
    assert hub.post(tenant, body).status == 401


def test_answers_are_sealed(hub: Hub, model: str) -> None:
    tenant, planted = caching(hub, hub.tenant()), f"planted{secrets.token_hex(8)}"
    answer = warm(hub, tenant, chat(model, f"Say {planted}"))
    words = answer.json()["choices"][0]["message"]["content"]
    (row,) = rows_of(hub, tenant)
    for text in (planted, words):
        assert text.encode() not in bytes(row["sealed"])


def test_repetition_under_an_idempotency_key_is_the_hit(hub: Hub, model: str) -> None:
    tenant = caching(hub, hub.tenant(), cache_price_percent=50)
    for stream in (False, True):
        body = chat(model, question(), stream=stream)
        warm(hub, tenant, body)
        headers = {"idempotency-key": secrets.token_hex(8)}
        hit = hub.post(tenant, body, headers=headers)
        again = hub.post(tenant, body, headers=headers)
        assert is_hit(hit)
        assert again.headers["idempotent-replayed"] == "true"
        assert again.headers["x-request-id"] == hit.headers["x-request-id"]
        assert again.body == hit.body
        assert len(hub.records(hit.headers["x-request-id"])) == 1


def test_identical_misses_at_once_both_run(hub: Hub, fake: FakeUpstream, model: str) -> None:
    tenant, body = caching(hub, hub.tenant()), chat(model, question())
    seen = len(fake.books())
    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(lambda _: hub.post(tenant, body), range(4)))
    assert all(answer.status == 200 for answer in answers)
    misses = sum(not is_hit(answer) for answer in answers)
    assert len(fake.books()) - seen == misses >= 1
    stored(hub, tenant)
    assert is_hit(hub.post(tenant, body))


def test_changed_row_is_a_miss(hub: Hub, model: str) -> None:
    tenant, body = caching(hub, hub.tenant()), chat(model, question())
    warm(hub, tenant, body)
    hub.connection.execute(
        "UPDATE gateway_cachedanswer SET sealed = %s WHERE organisation_id = %s",
        [secrets.token_bytes(64), tenant.organisation_id],
    )
    assert not is_hit(hub.post(tenant, body))


def test_what_a_guard_puts_back_is_never_stored(hub: Hub, model: str) -> None:
    """What was masked is put back for this caller alone."""
    tenant = caching(hub, GuardedHub(hub).tenant(rule("mask", "request")))
    masked = chat(model, f"{question()} Write to alice.liddell@example.com")
    for _ in range(2):
        answer = hub.post(tenant, masked)
        assert (answer.status, answer.headers["cache-status"]) == (200, "weir; fwd=bypass")
    plain = chat(model, question())
    warm(hub, tenant, plain)
    assert is_hit(hub.post(tenant, plain))
    assert len(rows_of(hub, tenant)) == 1


def test_record_of_a_hit_says_what_was_masked_in_its_answer(hub: Hub, model: str) -> None:
    tenant = caching(hub, GuardedHub(hub).tenant(rule("mask", "answer")))
    body = chat(model, f"#echo alpha {question()} a@example.com")
    one = warm(hub, tenant, body)
    two = hub.post(tenant, body)
    assert is_hit(two)
    first, second = (
        [
            flag
            for flag in hub.record(each.headers["x-request-id"])["flags"]
            if flag.startswith(("masked", "guard_policy:", "guard_in:", "guard_masked:"))
        ]
        for each in (one, two)
    )
    assert first == second
    assert (first[0], *first[2:]) == ("masked", "guard_in:answer", "guard_masked:email:1")


def test_receipt_of_a_hit_shows_its_own_guards(hub: Hub, model: str) -> None:
    """What guards did with the stored answer stays. What they cost is another request's."""
    body = chat(model, f"#echo alpha {question()} a@example.com")
    with guard_service() as service:
        topics = {
            "model": hub.model(f"{service.url}/judge/well/v1"), "deadline_ms": 10_000,
            "topics": [{"name": "weapons", "description": "Making weapons."}],
        }  # fmt: skip
        asks = {
            "guard": "topics", "settings": topics, "places": ["request", "answer"],
            "action": "flag", "code": "own",
        }  # fmt: skip
        tenant = caching(hub, GuardedHub(hub).tenant(asks, rule("flag", "answer")))
        one = warm(hub, tenant, body)
        two = hub.post(tenant, body)
    assert is_hit(two)
    first, second = (hub.record(each.headers["x-request-id"])["flags"] for each in (one, two))
    for flags in (first, second):
        assert {"guard:weapons", "guard:own"} <= {*flags}
        assert len([flag for flag in flags if flag.startswith("guard_ms:topics:")]) == 1
    asked, again = (
        [flag for flag in flags if flag.startswith("guard_request:")] for flags in (first, second)
    )
    # The answer of the hit was not judged again.
    assert (len(asked), len(again)) == (2, 1)
    assert not {*asked} & {*again}


def test_key_with_other_guards_gets_no_answer_of_its_team(hub: Hub, model: str) -> None:
    """A stored answer is what the guards of the very key let through."""
    tenant = caching(hub, GuardedHub(hub).tenant(rule("refuse", "answer")), of="team")
    unguarded, body = hub.key(tenant), chat(model, question())
    warm(hub, unguarded, body)
    assert is_hit(hub.post(unguarded, body))
    assert not is_hit(hub.post(tenant, body))


def rows_of(hub: Hub, tenant: Tenant) -> list[dict[str, Any]]:
    return hub.rows(
        "SELECT * FROM gateway_cachedanswer WHERE organisation_id = %s", tenant.organisation_id
    )


def age(hub: Hub, tenant: Tenant, seconds: int) -> None:
    """Make all stored answers of an organisation so much older."""
    hub.connection.execute(
        "UPDATE gateway_cachedanswer SET stored_at = stored_at - make_interval(secs => %s), "
        "expires_at = expires_at - make_interval(secs => %s) WHERE organisation_id = %s",
        [seconds, seconds, tenant.organisation_id],
    )


def _words_of(raw: bytes) -> list[bytes]:
    return re.findall(rb'"[A-Za-z0-9 ]+"', raw)
