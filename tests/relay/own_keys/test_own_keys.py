"""Requests with an organisation's own provider key: whose key is used, what is charged, what
budgets count, and what a bad key may do to others (P12, I23)."""

import json
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from decimal import Decimal
from http.client import HTTPException
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

from lib.ids import id_text
from tests.fakes.media import wav
from tests.fakes.upstream import FakeUpstream
from tests.relay.asking import ask
from tests.relay.clients import Clients, attempt_of, final_record
from tests.relay.ledger.test_marks import let_die, mark_of
from tests.relay.many import Post, post_all
from tests.relay.operations.test_images import post_form
from tests.relay.sweeper import receipt, sweep
from tests.runner.databases import own_database
from tests.support.hub import RATES, START_LIMIT_S, Hub, Tenant

SCRIPT = Path(__file__).resolve().parents[3] / "static" / "recompute_receipt.py"
PICTURE_TOKENS = {
    "in_text": 10**6,
    "in_image": 2 * 10**6,
    "out_image": 3 * 10**6,
    "out_text": 10**6,
}
SHARED, ALICE, BOB = "sk-shared-0000", "sk-alice-11111", "sk-bobby-22222"


@pytest.fixture(scope="module")
def provider() -> Iterator[FakeUpstream]:
    """A provider with three accounts."""
    with FakeUpstream(name="o", keys=(SHARED, ALICE, BOB), fsync=False) as fake:
        yield fake


@pytest.fixture
def struck_hub() -> Iterator[Hub]:
    """A hub with failpoints and a database of its own: nobody else adopts its journal."""
    with own_database("hub") as dsn:
        hub = Hub(dsn, application="tests.relay.failpoints")
        try:
            hub.settings()
            hub.start()
            yield hub
        finally:
            hub.kill()
            hub.close()


def channel_of(hub: Hub, model: str) -> UUID:
    (row,) = hub.rows("SELECT channel_id FROM gateway_route WHERE model = %s", model)
    channel_id: UUID = row["channel_id"]
    return channel_id


def knows(hub: Hub) -> None:
    """The hub has read everything that was written until now."""
    name = hub.model("http://127.0.0.1:9")
    hub.know(name)


def used_key(hub: Hub, fake: FakeUpstream, request_id: str) -> list[str]:
    """The provider's accounts that a request came to, one for each attempt."""
    attempts = hub.records(request_id)
    rows = [fake.row(id_text(row["id"])) for row in attempts]
    return [row["key"] for row in rows if row is not None]


def test_own_key_is_used_and_only_for_its_organisation(hub: Hub, provider: FakeUpstream) -> None:
    """P12: two organisations with keys of their own, and one with none, at the same channel."""
    model = hub.model(provider)
    alice, bob, charlie = hub.tenant(), hub.tenant(), hub.tenant()
    hub.own_key(alice, channel_of(hub, model), ALICE)
    hub.own_key(bob, channel_of(hub, model), BOB, fall_back=False)
    knows(hub)
    for tenant, key in ((alice, ALICE), (bob, BOB), (charlie, SHARED)):
        for stream in (False, True):
            answer = hub.post(tenant, ask(model, "#tokens=7", stream=stream))
            assert answer.status == 200, answer.body
            assert used_key(hub, provider, answer.headers["x-request-id"]) == [key]


def test_team_key_serves_only_its_team(hub: Hub, provider: FakeUpstream) -> None:
    model, alice = hub.model(provider), hub.tenant()
    hub.own_key(alice, channel_of(hub, model), ALICE, team=True)
    other_team = hub.rows(
        "INSERT INTO accounts_team (id, organisation_id, name, slug) "
        "VALUES (gen_random_uuid(), %s, 'other', 'other') RETURNING id",
        alice.organisation_id,
    )[0]["id"]
    other = hub.key(Tenant(alice.organisation_id, other_team, alice.key_id, ""))
    knows(hub)
    for tenant, key in ((alice, ALICE), (other, SHARED)):
        answer = hub.post(tenant, ask(model))
        assert used_key(hub, provider, answer.headers["x-request-id"]) == [key]


@pytest.mark.parametrize(
    ("fee", "charged"), [((0, 0), 0), ((5_000, 0), 5_000), ((0, 2_000_000), 2 * 9)]
)
def test_request_costs_the_fee_alone_and_counts_the_price(
    hub: Hub, provider: FakeUpstream, fee: tuple[int, int], charged: int
) -> None:
    """Budgets count what the request costs in all; the wallet pays the fee, and the ledger says
    nothing of the price."""
    model, tenant = hub.model(provider), hub.tenant("0.01")
    hub.own_key(tenant, channel_of(hub, model), ALICE, fee=fee)
    hub.budget(tenant, "1")
    knows(hub)
    before = hub.balance(tenant)
    answer = hub.post(tenant, ask(model, "two words #tokens=6", max_tokens=20))
    record = hub.record(answer.headers["x-request-id"])
    tokens = answer.json()["usage"]
    price = tokens["prompt_tokens"] + 3 * tokens["completion_tokens"]
    if fee[1]:
        charged = 2 * tokens["total_tokens"]
    assert (record["charge_nano"], record["own_nano"]) == (charged, price)
    assert record["cost_nano"] == 0
    hub.settled(tenant)
    after = hub.balance(tenant)
    assert before["customer:available"] - after["customer:available"] == charged
    assert after["customer:held"] == 0
    assert hub.windows(tenant)["key"]["spent_nano"] == charged + price
    assert hub.windows(tenant)["key"]["held_nano"] == 0
    hub.assert_books_balance()


def test_free_own_key_needs_no_balance(hub: Hub, provider: FakeUpstream) -> None:
    model, tenant = hub.model(provider), hub.tenant("0.000000001")
    hub.own_key(tenant, channel_of(hub, model), ALICE, fall_back=False)
    knows(hub)
    assert hub.post(tenant, ask(model, max_tokens=500)).status == 200
    hub.settled(tenant)
    hub.assert_books_balance()


def test_failed_own_key_falls_back_only_where_it_may(hub: Hub, provider: FakeUpstream) -> None:
    """A key that its provider rejects: the shared channel answers at its price, or nobody does."""
    model, falls, stays = hub.model(provider), hub.tenant(), hub.tenant()
    hub.own_key(falls, channel_of(hub, model), "sk-wrong-11111")
    hub.own_key(stays, channel_of(hub, model), "sk-wrong-22222", fall_back=False)
    knows(hub)
    answer = hub.post(falls, ask(model, "#tokens=3"))
    assert answer.status == 200, answer.body
    record = hub.record(answer.headers["x-request-id"])
    assert record["own_nano"] is None
    assert record["charge_nano"] > 0
    asked = provider.totals()["requests"]
    refused = hub.post(stays, ask(model))
    assert refused.status >= 500, refused.body
    # It rests after the second refusal, and the owner hears which key it is.
    assert "your organisation's own key" in hub.post(stays, ask(model)).error["message"]
    assert provider.totals()["requests"] == asked
    hub.settled(falls)
    hub.settled(stays)
    hub.assert_books_balance()


def test_bad_own_key_never_rests_the_shared_channel(hub: Hub, provider: FakeUpstream) -> None:
    """It is marked on the key and told to its owner; other organisations notice nothing."""
    model, bad, other = hub.model(provider), hub.tenant(), hub.tenant()
    key_id = hub.own_key(bad, channel_of(hub, model), "sk-wrong-33333", fall_back=False, team=True)
    knows(hub)
    for _ in range(6):
        assert hub.post(bad, ask(model)).status >= 500
        assert hub.post(other, ask(model)).status == 200

    def marked() -> bool:
        (row,) = hub.rows("SELECT refused_at, refusal FROM gateway_ownkey WHERE id = %s", key_id)
        return row["refused_at"] is not None and row["refusal"] == "key_refused"

    hub.wait(marked, "the key is not marked")
    facts = hub.rows(
        "SELECT kind, team_id FROM outbox_fact WHERE organisation_id = %s", bad.organisation_id
    )
    # Its email reaches nobody who is limited to other teams.
    assert [(row["kind"], row["team_id"]) for row in facts] == [("own_key.refused", bad.team_id)]
    channel = str(channel_of(hub, model))
    assert not hub.rows(
        "SELECT 1 FROM outbox_fact WHERE kind = 'channel.troubled' AND body->>'channel_id' = %s",
        channel,
    )


def test_receipt_shows_who_was_paid_what_and_can_be_recomputed(
    hub: Hub, provider: FakeUpstream
) -> None:
    model, tenant = hub.model(provider), hub.tenant()
    hub.own_key(tenant, channel_of(hub, model), ALICE, fee=(0, 2_500_000))
    knows(hub)
    answer = hub.post(tenant, ask(model, "two words #tokens=6", max_tokens=20))
    record = hub.record(answer.headers["x-request-id"])
    body = receipt(hub, tenant.key, answer.headers["x-request-id"])
    assert Decimal(body["own"]) * 10**9 == record["own_nano"]
    assert Decimal(body["charge"]) * 10**9 == Decimal(body["fee"]) * 10**9 == record["charge_nano"]
    assert record["charge_nano"] > 0
    checked = subprocess.run(
        [sys.executable, str(SCRIPT)], input=json.dumps(body), capture_output=True, text=True,
        check=False,
    )  # fmt: skip
    assert checked.returncode == 0, checked.stdout + checked.stderr
    hub.assert_books_balance()


def test_embeddings_and_other_text_operations_use_it_too(hub: Hub, provider: FakeUpstream) -> None:
    model, tenant = hub.model(provider), hub.tenant()
    hub.own_key(tenant, channel_of(hub, model), ALICE, fall_back=False)
    knows(hub)
    messages = {"model": model, "max_tokens": 9, "messages": [{"role": "user", "content": "hi"}]}
    for path, body in (
        ("/v1/embeddings", {"model": model, "input": "two words"}),
        ("/v1/responses", {"model": model, "input": "hi #tokens=3"}),
        ("/v1/messages", messages),
    ):
        answer = hub.post(tenant, body, path=path)
        assert answer.status == 200, (path, answer.body)
        assert used_key(hub, provider, answer.headers["x-request-id"]) == [ALICE], path


EACH = 10**6 * 10**9


@pytest.mark.parametrize("case", ["pictures", "picture tokens", "speech", "transcript"])
@pytest.mark.parametrize("fee", [(5_000, 0), (0, 10**9)], ids=["by request", "by tokens"])
def test_pictures_and_sound_cost_the_fee_and_count_the_price(
    hub: Hub, provider: FakeUpstream, case: str, fee: tuple[int, int]
) -> None:
    """The provider's account is the organisation's, and ledger, record and window agree."""
    rates, upstream = {
        "pictures": ({"images": 4 * EACH}, "fake"),
        "picture tokens": (PICTURE_TOKENS, "fake"),
        "speech": ({"characters": 1_000 * 10**6}, "fake"),
        "transcript": ({"audio_ms": 10**6}, "whisper-1"),
    }[case]
    model = hub.model(provider, rates=rates, upstream_model=upstream)
    tenant = hub.tenant("100")
    hub.own_key(tenant, channel_of(hub, model), ALICE, fee=fee, fall_back=False)
    hub.budget(tenant, "100")
    knows(hub)
    if case == "transcript":
        parts = (("model", model), ("file", wav(2_500)))
        answer = post_form(hub, tenant, "/v1/audio/transcriptions", *parts)
    elif case == "speech":
        body: dict[str, Any] = {"model": model, "input": "twelve chars", "voice": "alloy"}
        answer = hub.post(tenant, body, path="/v1/audio/speech")
    else:
        body = {"model": model, "prompt": "a boat #tokens=9", "n": 2, "size": "1024x1024"}
        answer = hub.post(tenant, body, path="/v1/images/generations")
    assert answer.status == 200, answer.body
    request_id = answer.headers["x-request-id"]
    assert used_key(hub, provider, request_id) == [ALICE]
    hub.settled(tenant)
    record = hub.record(request_id)
    price = sum(n * rates[meter] // 10**6 for meter, n in record["meters"].items() if n)
    tokens = sum(n for meter, n in record["meters"].items() if meter in PICTURE_TOKENS)
    assert (record["own_nano"], record["cost_nano"]) == (price, 0)
    assert price > 0
    assert record["charge_nano"] == fee[0] + 1_000 * tokens * bool(fee[1])
    assert hub.balance(tenant).get("revenue", 0) == record["charge_nano"]
    window = hub.windows(tenant)["key"]
    assert window["spent_nano"] == record["charge_nano"] + price
    assert window["held_nano"] == 0
    hub.assert_books_balance()


def test_only_own_key_refuses_what_it_cannot_serve(hub: Hub, provider: FakeUpstream) -> None:
    """Neither a session nor a key that is no longer offered goes silently to the shared channel."""
    model, tenant = hub.model(provider), hub.tenant()
    channel = channel_of(hub, model)
    hub.own_key(tenant, channel, ALICE, fall_back=False)
    knows(hub)
    asked = provider.totals()["requests"]
    with pytest.raises(InvalidStatus) as refused:
        connect(
            f"ws://127.0.0.1:{hub.port}/v1/realtime?model={model}",
            additional_headers={"authorization": f"Bearer {tenant.key}"},
        )
    assert refused.value.response.status_code == 400
    assert b"own provider key only" in refused.value.response.body
    hub.connection.execute("DELETE FROM gateway_ownkeyoffer WHERE channel_id = %s", [channel])
    knows(hub)
    answer = hub.post(tenant, ask(model))
    assert answer.status == 400
    assert "no longer offered" in answer.error["message"]
    assert provider.totals()["requests"] == asked


def test_200_at_once_on_one_budget_over_own_and_shared_channels(
    hub: Hub, provider: FakeUpstream
) -> None:
    """P2: the budget holds whoever is paid. Two keys of one team, of which one model has a key of
    its own and the other has not; from the ledger and the records together nothing is over."""
    own, shared = hub.model(provider), hub.model(provider)
    tenant = hub.tenant("10")
    hub.own_key(tenant, channel_of(hub, own), ALICE, fee=(1_000, 0))
    # Each request costs about 1,000 + 20 + 3 × 50 nano, or 170: some 80 of 200 fit.
    hub.budget(tenant, "0.000050", scope="team")
    knows(hub)
    path = "/v1/chat/completions"
    posts = [
        Post(tenant.key, path, ask(own if n % 2 else shared, f"word {n} #tokens=50", max_tokens=60))
        for n in range(200)
    ]
    answers = post_all(hub, posts, at_once=200)
    statuses = {answer.status for answer in answers}
    assert statuses == {200, 402}, statuses
    hub.settled(tenant)
    (paid,) = hub.rows(
        "SELECT coalesce(sum(e.amount_nano), 0)::bigint AS nano FROM billing_ledgerentry e "
        "JOIN billing_account a ON a.id = e.account_id "
        "WHERE a.organisation_id = %s AND a.kind = 'revenue'", tenant.organisation_id,
    )  # fmt: skip
    (used,) = hub.rows(
        "SELECT coalesce(sum(own_nano), 0)::bigint AS own, sum(charge_nano)::bigint AS charged, "
        "count(*) FILTER (WHERE own_nano > 0) AS with_own, "
        "count(*) FILTER (WHERE own_nano IS NULL AND charge_nano > 0) AS with_shared "
        "FROM usage_usagerecord WHERE organisation_id = %s", tenant.organisation_id,
    )  # fmt: skip
    window = hub.windows(tenant)["team"]
    assert paid["nano"] == used["charged"]
    assert window["spent_nano"] == paid["nano"] + used["own"] <= 50_000
    assert window["held_nano"] == 0
    assert used["with_own"] > 0
    assert used["with_shared"] > 0
    hub.assert_books_balance()


def test_killed_own_attempt_is_charged_its_fee_up_to_the_mark(
    own_hub: Hub, provider: FakeUpstream
) -> None:
    """I24: what a dead process leaves is resolved from its mark: the fee for the wallet, the price
    for the budgets, and nothing for the installation to bear."""
    own_hub.start()
    model, tenant = own_hub.model(provider), own_hub.tenant()
    own_hub.own_key(tenant, channel_of(own_hub, model), ALICE, fee=(0, 1_000_000), fall_back=False)
    own_hub.budget(tenant, "1")
    knows(own_hub)
    body = ask(model, "two words #tokens=500 #hold=70", stream=True)
    asking = threading.Thread(target=lambda: _ignore(own_hub, tenant, body))
    asking.start()

    def mark() -> dict[str, int]:
        rows = own_hub.rows(
            "SELECT mark FROM billing_hold WHERE organisation_id = %s", tenant.organisation_id
        )
        return (rows[0]["mark"] if rows else None) or {}

    own_hub.wait(lambda: mark().get("out_text", 0) == 70, "no mark")
    marked = mark()
    let_die(own_hub)
    assert sweep(own_hub) == 1
    provider.release()
    asking.join()
    (record,) = own_hub.rows(
        "SELECT * FROM usage_usagerecord WHERE organisation_id = %s AND final",
        tenant.organisation_id,
    )
    price = marked["in_text"] * RATES["in_text"] + marked["out_text"] * RATES["out_text"]
    assert record["charge_nano"] == marked["in_text"] + marked["out_text"]
    assert record["own_nano"] == price // 1_000_000
    assert record["cost_nano"] == 0
    window = own_hub.windows(tenant)["key"]
    assert window["spent_nano"] == record["charge_nano"] + record["own_nano"]
    assert window["held_nano"] == 0
    balance = own_hub.balance(tenant)
    assert balance.get("platform:loss", 0) == 0
    assert balance["customer:held"] == 0
    own_hub.assert_books_balance()


@pytest.mark.parametrize("prompt", [1, 1000], ids=["we count more", "we count less"])
def test_late_ending_corrects_the_fee_and_the_price(
    hub: Hub, provider: FakeUpstream, clients: Clients, prompt: int
) -> None:
    """I7, I12: its process was believed dead and its hold resolved by its mark. Afterwards ledger,
    record with correction, and budget window have what the provider counted."""
    model, tenant = hub.model(provider), hub.tenant()
    hub.own_key(tenant, channel_of(hub, model), ALICE, fee=(0, 1_000_000), fall_back=False)
    hub.budget(tenant, "1")
    knows(hub)
    text = f"some words to begin with #tokens=90 #prompt={prompt} #hold=20"
    leaver = clients.ask(hub, tenant, ask(model, text, stream=True))
    hub.wait(lambda: bool(mark_of(hub, tenant)), "no mark")
    hub.connection.execute(
        "UPDATE billing_hold SET expires_at = now() - interval '1 s' WHERE organisation_id = %s",
        [tenant.organisation_id],
    )
    ended = "SELECT 1 FROM billing_hold WHERE organisation_id = %s AND state = 'expired'"
    hub.wait(lambda: sweep(hub) == 1 or bool(hub.rows(ended, tenant.organisation_id)), "not swept")
    record = final_record(hub, tenant)
    assert record["flags"] == ["crash_cut"]
    assert record["own_nano"] != prompt + 3 * 90
    assert hub.windows(tenant)["key"]["spent_nano"] == record["charge_nano"] + record["own_nano"]
    provider.release(attempt_of(hub, tenant))
    leaver.read_until(b"[DONE]")
    assert_corrected(hub, tenant, record, fee=prompt + 90, price=prompt + 3 * 90)
    body = receipt(hub, tenant.key, id_text(record["request_id"]))
    assert Decimal(body["own_correction"]) * 10**9 == prompt + 3 * 90 - record["own_nano"]
    assert Decimal(body["paid"]) * 10**9 == prompt + 90


@pytest.mark.parametrize("fee", [(0, 1_000_000), (0, 0)], ids=["with a fee", "without"])
def test_killed_process_leaves_fee_and_price_to_the_next(
    struck_hub: Hub, provider: FakeUpstream, fee: tuple[int, int]
) -> None:
    """I7, P18: it is killed with its answer counted and nothing committed. Its hold is resolved for
    nothing, and then the next process finds the ending in the journal: where there is no fee, no
    posting says so, and the budget has it all the same."""
    hub = struck_hub
    model, tenant = hub.model(provider), hub.tenant()
    hub.own_key(tenant, channel_of(hub, model), ALICE, fee=fee, fall_back=False)
    hub.budget(tenant, "1")
    knows(hub)
    headers = {"x-failpoint": "kill settling"}
    asking = threading.Thread(
        target=lambda: _ignore(hub, tenant, ask(model, "#tokens=90 #prompt=1000"), headers)
    )
    asking.start()
    assert hub.process is not None
    assert hub.process.wait(START_LIMIT_S) == -signal.SIGKILL
    hub.process = None
    asking.join()
    let_die(hub)
    assert sweep(hub) == 1
    record = final_record(hub, tenant)
    assert (record["charge_nano"], record["own_nano"]) == (0, 0)
    hub.start()
    fee_nano = 1000 + 90 if fee[1] else 0
    assert_corrected(hub, tenant, record, fee=fee_nano, price=1000 + 3 * 90)
    postings = hub.rows(
        "SELECT 1 FROM billing_posting WHERE organisation_id = %s AND kind = 'correct'",
        tenant.organisation_id,
    )
    assert len(postings) == bool(fee_nano)


def assert_corrected(
    hub: Hub, tenant: Tenant, record: dict[str, Any], *, fee: int, price: int
) -> None:
    """Late usage is posted, once: the ledger has the fee, the record and its correction the price,
    the window both."""
    late = "SELECT * FROM usage_latetruth WHERE organisation_id = %s"

    def posted() -> bool:
        sweep(hub)
        return [row["posted_at"] is not None for row in hub.rows(late, tenant.organisation_id)] == [
            True
        ]

    hub.wait(posted, "late usage stays unposted")
    assert sweep(hub) == 0
    (row,) = hub.rows(late, tenant.organisation_id)
    assert record["own_nano"] + row["own_change_nano"] == row["own_nano"] == price
    assert hub.balance(tenant).get("revenue", 0) == fee
    assert hub.balance(tenant).get("platform:loss", 0) == 0
    window = hub.windows(tenant)["key"]
    assert (window["spent_nano"], window["held_nano"]) == (fee + price, 0)
    hub.assert_books_balance()


def _ignore(hub: Hub, tenant: Tenant, body: object, headers: dict[str, str] | None = None) -> None:
    try:
        hub.post(tenant, body, headers=headers)
    except (OSError, HTTPException):
        # The process is killed in the middle of its answer.
        return
