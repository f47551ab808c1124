"""I14, F27: what an operator decides on a doubted count moves the books, once."""

import html
import re
from typing import Any

import pytest
from django.db import IntegrityError, connection, transaction
from django.http import Http404
from django.test import Client

from accounts.access.access import AccessDenied
from accounts.models import AuditEvent, Key
from billing.balances.balances import balance
from billing.ledger.ledger import execute
from billing.limits import budgets
from billing.models import BudgetWindow, Hold, Posting, PriceVersion
from billing.prices import pricing
from lib import clock
from lib.id_types import AttemptId, OrganisationId
from lib.ids import id_text, new_id
from lib.refusal import Refused
from lib.tables.exports import usd
from outbox.models import Fact
from tests.support import cast
from tests.support.books import assert_books_balance
from tests.support.lists import file_of, rows_of
from tests.support.markup import squeezed
from tests.usage.rows import admit, end, happen, price_version
from usage.models import AcceptedMember, Review, SettleAs, UsageRecord
from usage.records.sql import Ending, RecordWritten, publish_unknown
from usage.reviews import accepted_members, reviews
from usage.reviews.reviews import ReviewRefused

HOLD = 10**9
DOUBTED = ["usage_huge", "quarantine"]
OTHER_SIDE = ("platform:loss", "provider:payable", "provider:cost")


def doubt(key: Key) -> UsageRecord:
    """A request that was charged 210,000 nano by our own count."""
    return happen(key, clock.now(), flags=DOUBTED, basis="estimated")


def keep(key: Key, **over: Any) -> UsageRecord:
    """A request without a charge, whose hold is kept."""
    attempt = admit(key, clock.now(), hold_nano=HOLD)
    flags = ["unpriced_meter", "quarantine"]
    return end(attempt, 0, basis="held", meters={"searches": 3}, flags=flags, **over)


def settle(
    people: cast.Cast, record: UsageRecord, settle_as: str, nano: int | None = None
) -> Review:
    return reviews.settle_review(
        cast.actor(people.dora), record.request_id, SettleAs(settle_as), amount_nano=nano,
        reason="Asked the provider",
    )  # fmt: skip


def moved(key: Key) -> dict[str, int]:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT kind, balance_nano FROM billing_account WHERE organisation_id = %s",
            [key.organisation_id],
        )
        return dict(cursor.fetchall())


@pytest.mark.parametrize(
    ("settle_as", "nano", "charge", "loss"),
    [
        ("amount", 150_000, 150_000, 0),
        ("amount", 210_000, 210_000, 0),
        ("amount", 400_000, 400_000, 0),
        ("bound", None, HOLD, 0),
        ("free", None, 0, 210_000),
    ],
)
def test_charge_follows_the_decision(
    people: cast.Cast, key: Key, settle_as: str, nano: int | None, charge: int, loss: int
) -> None:
    record = doubt(key)
    before = balance(key.organisation).available_nano
    review = settle(people, record, settle_as, nano)
    assert (review.before_nano, review.charge_nano) == (210_000, charge)
    after = moved(key)
    assert (after["revenue"], after["customer:available"]) == (charge, before + 210_000 - charge)
    assert after.get("platform:loss", 0) == -loss
    assert UsageRecord.objects.get(id=record.id).charge_nano == 210_000
    assert_books_balance()


@pytest.mark.parametrize(
    ("settle_as", "nano", "charge"),
    [("amount", 123, 123), ("bound", None, HOLD), ("free", None, 0)],
)
def test_decision_releases_a_kept_hold(
    people: cast.Cast, key: Key, settle_as: str, nano: int | None, charge: int
) -> None:
    whole = balance(key.organisation).available_nano
    record = keep(key)
    assert balance(key.organisation)[:2] == (whole - HOLD, HOLD)
    assert_books_balance()
    settle(people, record, settle_as, nano)
    assert balance(key.organisation) == (whole - charge, 0, 0)
    assert Hold.objects.get(id=record.id).state == "settled"
    assert moved(key)["provider:payable"] == charge
    assert_books_balance()


def test_cost_is_owed_whatever_is_charged(people: cast.Cast, key: Key) -> None:
    """I15."""
    record = keep(key, cost_nano=777)
    settle(people, record, "free")
    after = moved(key)
    assert {kind: after[kind] for kind in OTHER_SIDE if kind in after} == {
        "platform:loss": 0, "provider:payable": 777, "provider:cost": -777,
    }  # fmt: skip
    assert_books_balance()


def test_a_budget_follows_the_decision(people: cast.Cast, key: Key) -> None:
    """I23: what is kept stays held in the budget, too."""
    record = keep(key)
    budgets.create_budget(
        cast.actor(people.alice, people.acme), people.acme,
        lambda budget, since: budgets.Past(0, [record.id]),
        scope="organisation", subject="", amount_nano=2 * HOLD, period="total",
    )  # fmt: skip
    window = BudgetWindow.objects.get()
    assert (window.held_nano, window.spent_nano) == (HOLD, 0)
    settle(people, record, "amount", 400)
    window.refresh_from_db()
    assert (window.held_nano, window.spent_nano) == (0, 400)
    assert_books_balance()


def test_a_decision_is_made_once(people: cast.Cast, key: Key) -> None:
    record = doubt(key)
    settle(people, record, "free")
    with pytest.raises(ReviewRefused, match="already settled this request"):
        settle(people, record, "bound")
    with pytest.raises(IntegrityError, match="written once"), transaction.atomic():
        Review.objects.update(charge_nano=1)
    assert Posting.objects.filter(idempotency_id=f"adjust:{record.id}:review").count() == 1
    [event] = AuditEvent.objects.filter(action="request.reviewed")
    assert (event.detail["before"], event.detail["charge"]) == ("0.00021", "0.00")
    assert event.organisation_id == key.organisation_id


def test_impossible_decisions(people: cast.Cast, key: Key) -> None:
    record = doubt(key)
    for settle_as, nano, field in (
        ("amount", HOLD + 1, "amount"), ("amount", None, "amount"), ("free", 5, "amount"),
    ):  # fmt: skip
        with pytest.raises(ReviewRefused) as refused:
            settle(people, record, settle_as, nano)
        assert refused.value.field == field
    with pytest.raises(Http404):
        settle(people, happen(key), "free")
    with pytest.raises(AccessDenied):
        reviews.settle_review(
            cast.actor(people.alice, people.acme), record.request_id, SettleAs.FREE,
            amount_nano=None, reason="I want it so",
        )  # fmt: skip
    assert Review.objects.count() == 0


# Pages ------------------------------------------------------------------------------------------


def path_of(record: UsageRecord) -> str:
    return f"/o/acme/requests/{id_text(record.request_id)}"


def read(client: Client, path: str, status: int = 200) -> str:
    response = client.get(path)
    assert response.status_code == status
    return squeezed(response.content.decode())


def test_operators_see_pending_reviews_everywhere(people: cast.Cast, key: Key) -> None:
    dora = cast.signed_in(people.dora)
    assert 'class="count"' not in read(dora, "/admin/reviews")
    record = doubt(key)
    assert '<span class="count">1</span>' in read(dora, "/admin/credits")
    listed = read(dora, "/admin/reviews")
    assert path_of(record) in listed
    settle(people, record, "free")
    assert path_of(record) not in read(dora, "/admin/reviews")
    read(cast.signed_in(people.alice), "/admin/reviews", 404)


def test_reviews_are_filtered_sorted_and_exported(people: cast.Cast, key: Key) -> None:
    record = doubt(key)
    dora, page = cast.signed_in(people.dora), "/admin/reviews"
    assert len(rows_of(dora, f"{page}?q=acme&state=charged&sort=charged")) == 1
    assert rows_of(dora, f"{page}?state=held") == []
    exported = file_of(dora, f"{page}?cols=id,charged&export=csv")
    assert exported == [{"id": id_text(record.request_id), "charged_usd": usd(record.charge_nano)}]


def test_reviews_are_paged_to_the_last(people: cast.Cast, key: Key) -> None:
    ids = [id_text(doubt(key).request_id) for _ in range(26)]
    dora, page = cast.signed_in(people.dora), "/admin/reviews?cols=id&rows=25"
    for sort in ("started", "-charged", "organisation", "model,-maximum"):
        first = dora.get(f"{page}&sort={sort}").content.decode()
        (rest,) = re.findall(r'rel="next"\s+href="([^"]+)"', first)
        rows = rows_of(dora, f"{page}&sort={sort}")
        assert len(rows) == 25
        rows += rows_of(dora, f"/admin/reviews{html.unescape(rest)}")
        assert sorted(rows) == sorted(ids)


def test_an_operator_settles_on_the_page_of_the_request(people: cast.Cast, key: Key) -> None:
    record = keep(key)
    dora, alice = cast.signed_in(people.dora), cast.signed_in(people.alice)
    assert "review-title" in read(alice, path_of(record))
    assert "Settle as" not in read(alice, path_of(record))
    assert "Settle as" in read(dora, path_of(record))
    asked = {"settle_as": "amount", "amount": "5", "reason": "Three searches", "once": "f1"}
    refused = dora.post(f"{path_of(record)}/review", asked)
    assert refused.status_code == 422
    assert b"more than its maximum cost, 1.00 USD" in refused.content
    asked |= {"amount": "0.03", "once": "f2"}
    assert alice.post(f"{path_of(record)}/review", asked).status_code == 403
    assert dora.post(f"/o/stranger{path_of(record)[7:]}/review", asked).status_code == 404
    for _ in range(2):
        assert dora.post(f"{path_of(record)}/review", asked).status_code == 303
    text = read(alice, path_of(record))
    assert "Three searches" in text
    assert "Count under review" not in text
    assert "dora@example.org" not in text
    assert moved(key)["revenue"] == 30_000_000
    assert_books_balance()


# API --------------------------------------------------------------------------------------------


def test_the_api_lists_and_settles(people: cast.Cast, key: Key) -> None:
    from tests.billing.credits.test_operator_api import api_of, post

    kept, doubted = keep(key), doubt(key)
    dora = api_of(people, "dora")
    first = dora.get("/api/v1/reviews?limit=1").json()
    assert first["items"][0]["request"] == id_text(doubted.request_id)
    rest = dora.get(f"/api/v1/reviews?limit=1&cursor={first['next']}").json()
    assert rest["next"] is None
    [item] = rest["items"]
    assert (item["kept"], item["bound"], item["flags"]) == (True, "1.00", ["unpriced_meter"])
    path = f"/requests/{id_text(kept.request_id)}/review"
    asked = {"settle_as": "amount", "amount": "0.5", "reason": "Half of it"}
    settled = post(dora, path, asked, "k1")
    assert (settled.status_code, settled.json()["charge"]) == (201, "0.50")
    assert post(dora, path, asked, "k1").json() == settled.json()
    assert post(dora, path, asked, "k2").status_code == 409
    assert post(dora, path, {**asked, "amount": "1e3"}).status_code == 422
    assert post(dora, f"/requests/{id_text(new_id())}/review", asked).status_code == 404
    assert post(api_of(people, "alice"), path, asked).status_code == 403
    assert_books_balance()


def unknown(
    key: Key, *members: str, provider: str = "openai", wire: str = "", **over: Any
) -> UsageRecord:
    """A request whose usage told what nobody has classified: its hold is kept."""
    version = PriceVersion.objects.filter(price__model="gpt-5").first() or price_version()
    attempt = admit(key, clock.now(), hold_nano=HOLD, price_version_id=version.id)
    flags = ["unknown_member", "quarantine"]
    pricing = {"unknown": list(members), "provider": provider, "wire": wire}
    pricing |= over.pop("pricing", {})
    over = {"meters": {"in_text": 1000, "out_text": 100}, **over}
    return end(attempt, 0, basis="held", flags=flags, pricing=pricing, **over)


def test_unknown_usage_is_listed_by_provider_and_settled_at_once(
    people: cast.Cast, key: Key
) -> None:
    """P28: first and last time of each, one decision for all of a kind, and no other is touched."""
    dora = cast.actor(people.dora)
    first, second = (unknown(key, "holo_tokens") for _ in range(2))
    other, tier = unknown(key, "holo_tokens", provider="xai"), unknown(key, "service_tier=ultra")
    kinds = {(kind.provider, kind.name): kind for kind in reviews.unknown_kinds(dora)}
    assert set(kinds) == {
        ("openai", "holo_tokens"), ("xai", "holo_tokens"), ("openai", "service_tier=ultra")
    }  # fmt: skip
    kind = kinds["openai", "holo_tokens"]
    assert (kind.requests, kind.waiting, kind.held_nano) == (2, 2, 2 * HOLD)
    assert (kind.first_at, kind.last_at) == (first.admitted_at, second.admitted_at)
    settled = reviews.settle_kind(dora, "openai", "", ["holo_tokens"], SettleAs.COUNT)
    assert settled == (2, 0, 0, None)
    decided = {review.request_id: review.charge_nano for review in Review.objects.all()}
    # 1,000 tokens at 150 nano and 100 at 600: what is known of the count.
    assert decided == {first.request_id: 210_000, second.request_id: 210_000}
    assert {kind.waiting for kind in reviews.unknown_kinds(dora)} == {0, 1}
    with pytest.raises(Http404):
        reviews.settle_kind(dora, "openai", "", ["holo_tokens"], SettleAs.COUNT)
    with pytest.raises(ReviewRefused):
        reviews.settle_kind(dora, "xai", "", ["holo_tokens"], SettleAs.AMOUNT)
    reviews.settle_kind(dora, "xai", "", ["holo_tokens"], SettleAs.FREE)
    reviews.settle_kind(dora, "openai", "", ["service_tier=ultra"], SettleAs.BOUND)
    after = {review.request_id: review.charge_nano for review in Review.objects.all()}
    assert (after[other.request_id], after[tier.request_id]) == (0, HOLD)
    assert_books_balance()


def test_a_request_that_cannot_be_settled_with_its_kind_delays_no_other(
    people: cast.Cast, key: Key
) -> None:
    """P28: it is named with the reason, and waits for a decision of its own."""
    from tests.billing.credits.test_operator_api import api_of, post

    client, dora = cast.signed_in(people.dora), api_of(people, "dora")
    first = unknown(key, "holo_tokens")
    # Only the unknown member was counted, or the stored price of a part cannot be read.
    bare = unknown(key, "holo_tokens", meters={})
    part = {"meters": {"in_text": 5}, "rates": {"meters": {"in_text": "?"}}}
    unknown(key, "holo_tokens", pricing={"parts": [part]})
    last = unknown(key, "holo_tokens")
    sent = {
        "provider": "openai", "wire": "", "unknown": '["holo_tokens"]', "settle_as": "count",
    }  # fmt: skip
    said = squeezed(client.post("/admin/reviews/kinds", sent, follow=True).content.decode())
    assert "2 requests settled." in said
    assert (
        f"2 requests cannot be settled like this. The first is {id_text(bare.request_id)}" in said
    )
    assert "Settle them again" not in said
    assert {review.request_id for review in Review.objects.all()} == {
        first.request_id, last.request_id,
    }  # fmt: skip
    # Nothing else waits, so the reason is the answer.
    body = {"provider": "openai", "unknown": ["holo_tokens"], "settle_as": "count"}
    refused = post(dora, "/review-kinds/settle", body)
    assert (refused.status_code, refused.json()["error"]["param"]) == (422, "settle_as")
    unknown(key, "holo_tokens")
    answer = post(dora, "/review-kinds/settle", body).json()
    assert (answer["settled"], answer["waiting"], answer["refused"]) == (1, 2, 2)
    assert answer["first_refusal"] == {
        "request": id_text(bare.request_id), "why": "There is no count with a price.",
    }  # fmt: skip
    assert_books_balance()


def test_more_requests_that_cannot_be_settled_than_one_call_ends_delay_no_other(
    people: cast.Cast, key: Key, monkeypatch: pytest.MonkeyPatch
) -> None:
    """P28: the same sent again reaches all that can be settled, although the oldest cannot."""
    monkeypatch.setattr(reviews, "KIND_BATCH", 2)
    dora = cast.actor(people.dora)
    bare = [unknown(key, "holo_tokens", meters={}) for _ in range(5)]
    priced = [unknown(key, "holo_tokens") for _ in range(3)]

    def settle() -> tuple[int, bool, int]:
        settled = reviews.settle_kind(dora, "openai", "", ["holo_tokens"], SettleAs.COUNT)
        assert settled.first_refusal is not None
        assert settled.first_refusal.request_id == bare[0].request_id
        return settled.settled, settled.waiting > settled.refused, settled.refused

    assert settle() == (2, True, 5)
    assert settle() == (1, False, 5)
    decided = {review.request_id for review in Review.objects.all()}
    assert decided == {record.request_id for record in priced}
    with pytest.raises(ReviewRefused):
        settle()
    assert_books_balance()


def test_a_kind_of_one_dialect_is_settled_without_the_other(people: cast.Cast, key: Key) -> None:
    """P28: what the dialects call the same may differ in meaning, so each has its own decision."""
    from tests.billing.credits.test_operator_api import api_of, post

    client, dora = cast.signed_in(people.dora), api_of(people, "dora")
    rows = {wire: unknown(key, "holo_tokens", wire=wire) for wire in ("chat", "responses", "")}
    page = client.get("/admin/reviews").content.decode()
    assert sorted(re.findall(r'name="wire" value="(\w*)"', page)) == ["", "chat", "responses"]
    sent = {"provider": "openai", "unknown": '["holo_tokens"]', "settle_as": "free"}
    assert client.post("/admin/reviews/kinds", sent | {"wire": "chat"}).status_code == 303
    assert [review.request_id for review in Review.objects.all()] == [rows["chat"].request_id]
    waiting = {kind.wire: kind.waiting for kind in reviews.unknown_kinds(cast.actor(people.dora))}
    assert waiting == {"chat": 0, "responses": 1, "": 1}
    body = {"provider": "openai", "unknown": ["holo_tokens"], "settle_as": "bound"}
    assert post(dora, "/review-kinds/settle", body | {"dialect": "chat"}).status_code == 404
    for wire in ("responses", ""):
        settled = post(dora, "/review-kinds/settle", body | {"dialect": wire})
        assert settled.json() == {
            "settled": 1, "waiting": 0, "refused": 0, "first_refusal": None,
        }  # fmt: skip
    assert_books_balance()


def test_operators_get_one_email_about_each_kind(people: cast.Cast, key: Key) -> None:
    """P28: whoever has settled a kind of one dialect learns that the other dialect's waits."""
    records = [unknown(key, "holo_tokens", wire=wire) for wire in ("chat", "responses", "chat")]
    written = [
        RecordWritten(
            organisation_id=OrganisationId(record.organisation_id),
            attempt_id=AttemptId(record.id),
            ending=Ending(final=True, status=200),
        )
        for record in records
    ]
    for some in (written[:1], written):
        execute(publish_unknown(some))
    assert Fact.objects.filter(kind="usage.unknown").count() == 2


def test_members_of_a_kind_are_free_from_now_on(people: cast.Cast, key: Key) -> None:
    """P28: chosen with the settlement, with a reason; listed, revocable, and in the audit log."""
    dora = cast.actor(people.dora)
    unknown(key, "holo_tokens", "fees.a", wire="chat")
    (kind,) = reviews.unknown_kinds(dora)
    assert (kind.wire, kind.may_be_accepted) == ("chat", True)
    names = ["holo_tokens", "fees.a"]

    def accept(members: list[str] = names, reason: str = "Told for statistics") -> None:
        reviews.settle_kind(
            dora, "openai", "chat", members, SettleAs.COUNT, reason=reason, accept=True
        )

    for members, reason in (
        (names, " "), (["speed=warp"], "r"), (["prompt_tokens"], "r"), (["prompt_tokens.a"], "r"),
        (["prompt_tokens_details"], "r"), (["a?b"], "r"), (["x" * 80], "r"),
    ):  # fmt: skip
        with pytest.raises(Refused):
            accept(members, reason)
    assert not AcceptedMember.objects.exists()
    assert not Review.objects.exists()
    accept()
    accept()
    assert Review.objects.get().charge_nano == 210_000
    listed = {member.member: member for member in accepted_members.accepted_members(dora)}
    assert set(listed) == set(names)
    assert listed["fees.a"].accepted_by == people.dora
    accepted_members.revoke_member(dora, str(listed["fees.a"].id))
    with pytest.raises(Http404):
        accepted_members.revoke_member(dora, str(listed["fees.a"].id))
    assert [one.member for one in accepted_members.accepted_members(dora)] == ["holo_tokens"]
    events = AuditEvent.objects.filter(object_type="acceptedmember").order_by("id")
    assert [event.action for event in events] == [
        "usage_member.accepted", "usage_member.accepted", "usage_member.revoked",
    ]  # fmt: skip
    assert_books_balance()


def test_revoked_member_is_named(people: cast.Cast) -> None:
    AcceptedMember.objects.create(
        provider="openai", wire="chat", member="holo_tokens", reason="Free", accepted_by=people.dora
    )
    path = f"/admin/reviews/accepted/{AcceptedMember.objects.get().id}/revoke"
    page = cast.signed_in(people.dora).post(path, follow=True).content.decode()
    assert "Requests whose usage has holo_tokens are reviewed again." in page


def test_usage_members_are_accepted_and_revoked_by_page_and_api(
    people: cast.Cast, key: Key
) -> None:
    from tests.billing.credits.test_operator_api import api_of, post

    unknown(key, "holo_tokens", wire="chat")
    client, dora = Client(), api_of(people, "dora")
    client.force_login(people.dora)
    assert 'name="accept"' in client.get("/admin/reviews").content.decode()
    sent = {"provider": "openai", "unknown": '["holo_tokens"]', "settle_as": "free",
            "wire": "chat", "accept": "on", "reason": "Free by their list"}  # fmt: skip
    assert client.post("/admin/reviews/kinds", sent).status_code == 303
    page = squeezed(client.get("/admin/reviews").content.decode())
    assert "Free by their list" in page
    (item,) = dora.get("/api/v1/accepted-members").json()["items"]
    assert (item["member"], item["accepted_by"]) == ("holo_tokens", people.dora.email)
    assert client.post(f"/admin/reviews/accepted/{item['id']}/revoke").status_code == 303
    body = {"provider": "openai", "unknown": ["holo_tokens"], "settle_as": "free",
            "accept": True, "reason": "Again"}  # fmt: skip
    assert post(dora, "/review-kinds/settle", body).status_code == 422
    assert post(dora, "/review-kinds/settle", body | {"dialect": "chat"}).status_code == 200
    (item,) = dora.get("/api/v1/accepted-members").json()["items"]
    assert post(dora, f"/accepted-members/{item['id']}/revoke", {}).status_code == 200
    assert dora.get("/api/v1/accepted-members").json()["items"] == []


def test_only_operators_settle_a_kind(people: cast.Cast, key: Key) -> None:
    unknown(key, "holo_tokens")
    with pytest.raises(AccessDenied):
        reviews.settle_kind(
            cast.actor(people.alice, people.acme), "openai", "", ["holo_tokens"], SettleAs.FREE
        )


def test_a_kind_is_settled_on_the_page_and_by_the_api(people: cast.Cast, key: Key) -> None:
    unknown(key, "holo_tokens", "speed=warp")
    client = Client()
    client.force_login(people.dora)
    page = client.get("/admin/reviews").content.decode()
    assert "holo_tokens, speed=warp" in squeezed(html.unescape(page))
    sent = {"provider": "openai", "unknown": '["holo_tokens", "speed=warp"]', "settle_as": "free"}
    assert client.post("/admin/reviews/kinds", sent).status_code == 303
    (review,) = Review.objects.all()
    assert (review.settle_as, review.charge_nano) == ("free", 0)
    assert "holo_tokens" in review.reason
    broken = client.post("/admin/reviews/kinds", sent | {"unknown": "[5"})
    assert broken.status_code == 303


@pytest.mark.parametrize(
    ("settle_as", "amount_nano", "charged"),
    [
        ("free", None, 0), ("bound", None, 5), ("amount", 0, 0), ("amount", 5, 5),
        ("amount", 6, "maximum cost"), ("amount", -1, "maximum cost"),
        ("amount", None, "Enter the amount"), ("free", 0, "Only enter an amount"),
        ("bound", 0, "Only enter an amount"), ("count", None, "no count with a price"),
    ],
)  # fmt: skip
def test_charge_of_a_decision(settle_as: str, amount_nano: int | None, charged: int | str) -> None:
    nothing: list[Any] = [None] * len(reviews.UnderReview._fields)
    request = reviews.UnderReview(*nothing)._replace(hold_nano=5)
    if isinstance(charged, int):
        assert reviews._charge(request, SettleAs(settle_as), amount_nano) == charged
        return
    with pytest.raises(ReviewRefused, match=charged):
        reviews._charge(request, SettleAs(settle_as), amount_nano)


@pytest.mark.parametrize("meters", [None, '{"out_text": 1}'])
def test_count_without_price_or_price_without_count_is_refused(
    people: cast.Cast, meters: str | None
) -> None:
    nothing: list[Any] = [None] * len(reviews.UnderReview._fields)
    version_id = price_version().id if meters is None else 2**31 - 1
    request = reviews.UnderReview(*nothing)._replace(
        hold_nano=5, meters=meters, price_version_id=version_id, multiplier_ppm=10**6
    )
    with pytest.raises(ReviewRefused, match="no count with a price"):
        reviews._charge(request, SettleAs("count"), None)


@pytest.mark.parametrize("multiplier_ppm", [800_000, 1_000_000, 1_250_000])
@pytest.mark.parametrize("parts", [False, True])
def test_known_count_is_charged_as_any_other_request_of_its_plan(
    people: cast.Cast, multiplier_ppm: int, parts: bool
) -> None:
    """I10: of the whole answer, or of the parts of it that models priced separately."""
    meters = {"in_text": 10_000, "out_text": 1_000}
    stored = price_version()
    version = pricing.PriceVersion.from_stored(stored.rates).multiplied(multiplier_ppm)
    row = {"meters": meters, "model": "other", "rates": stored.rates}
    nothing: list[Any] = [None] * len(reviews.UnderReview._fields)
    request = reviews.UnderReview(*nothing)._replace(
        hold_nano=HOLD, meters=meters, price_version_id=stored.id, multiplier_ppm=multiplier_ppm,
        pricing={"parts": [row]} if parts else None,
    )  # fmt: skip
    charged = reviews._charge(request, SettleAs("count"), None)
    assert charged == pricing.total_of(meters, version) == 2_100_000 * multiplier_ppm // 10**6


def test_pending_reviews_are_counted_up_to_a_hundred(
    people: cast.Cast, key: Key, monkeypatch: pytest.MonkeyPatch
) -> None:
    dora = cast.actor(people.dora)
    assert reviews.count_open(dora) == 0
    for _ in range(3):
        doubt(key)
    assert reviews.count_open(dora) == 3
    monkeypatch.setattr(reviews, "COUNT_MAX", 1)
    assert reviews.count_open(dora) == 2


def test_oldest_request_that_cannot_be_settled_is_the_one_named(
    people: cast.Cast, key: Key
) -> None:
    oldest, _ = (unknown(key, "holo_tokens", meters={}) for _ in range(2))
    unknown(key, "holo_tokens")
    dora = cast.actor(people.dora)
    settled = reviews.settle_kind(dora, "openai", "", ["holo_tokens"], SettleAs.COUNT)
    assert settled.first_refusal is not None
    assert (settled.refused, settled.first_refusal.request_id) == (2, oldest.request_id)
