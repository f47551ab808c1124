"""A refusal for money says on pages which budget it was, or that the balance is too low."""

import pytest

from accounts.access.actors import SYSTEM
from billing.currency.money import parse_usd
from lib.ids import id_text
from relay.downstream.limit_answers import UsedUp
from tests.relay.downstream.test_limit_answers import BUDGET
from tests.support.cast import Cast, make_key, signed_in
from tests.support.lists import file_of
from tests.support.markup import squeezed
from tests.usage.rows import refuse
from usage.limits import budget_simulation
from usage.requests.budget_refusals import budget_id_of, budget_refusal
from usage.requests.refusals import display_kind, is_by_budget
from usage.requests.words import kind_text, status_text

KIND = "insufficient_balance"
URL = "http://hub.example"


def test_the_balance_and_a_budget_have_words_of_their_own() -> None:
    by_wallet = UsedUp({"gate": "wallet", "owed": 0}, 10**9, 0, URL).message
    by_budget = UsedUp(BUDGET, 10**9, 25 * 10**9, URL).message
    shown = [
        display_kind(KIND, by_budget=is_by_budget(KIND, message))
        for message in (by_wallet, by_budget)
    ]
    assert [status_text(402, kind) for kind in shown] == [
        "402 Balance too low",
        "402 Budget reached",
    ]
    assert [kind_text(kind) for kind in shown] == ["Balance too low", "Budget reached"]
    assert display_kind("timeout", by_budget=False) == "timeout"
    # Where a page has no message, it does not claim either.
    assert status_text(402, KIND) == "402 Balance or budget too low"


@pytest.mark.django_db
@pytest.mark.parametrize("period", ["month", "total", "session"])
@pytest.mark.parametrize("held", [10**9, 10**9 - 27_500])
def test_the_page_reads_what_the_relay_wrote(period: str, held: int) -> None:
    """Both are in one test, because neither knows the other's code."""
    message = UsedUp(BUDGET | {"period": period, "held": held}, 90_400, 0, URL).message
    refusal = budget_refusal("acme", message)
    assert budget_id_of(message) == 12
    assert refusal.used_nano == 3 * 10**9 + held
    assert refusal.limit_nano == 4 * 10**9
    assert refusal.needed_nano == parse_usd("0.0000904")
    # The budget is gone, and no other organisation's is shown in its place.
    assert (refusal.budget_id, refusal.name) == (None, "")
    assert is_by_budget(KIND, message)


def test_a_budget_of_a_session_links_to_its_form_too() -> None:
    text = f"Insufficient Balance: key budget. Request more: {URL}/b/9. Its turns: {URL}/session/x"
    assert budget_id_of(text) == 9
    assert budget_id_of("Insufficient Balance: team balance is used up") is None


@pytest.mark.django_db
def test_a_refused_request_links_the_budget_and_states_the_cause(people: Cast) -> None:
    """It was "Balance or budget too low" everywhere, with $25 of balance."""
    key, _ = make_key(people.core, "web-prod", user=people.bob)
    budget = budget_simulation.create_budget(
        SYSTEM, people.acme, scope="key", subject=str(key.id), amount_nano=100_000, period="month"
    )
    told = {"budget": budget.id, "scope": "key", "subject": "web-prod", "spent": 27_500, "held": 0}
    fault = UsedUp(BUDGET | told | {"limit": 100_000}, 90_400, 25 * 10**9, URL)
    refused = refuse(key, message=fault.message)
    alice = signed_in(people.alice)
    page = squeezed(alice.get(f"/o/acme/requests/{id_text(refused.request_id)}").content.decode())
    assert "Budget of web-prod reached." in page
    assert (
        "$0.0000275 of $0.0001 was used or reserved, and this request could cost $0.0000904."
        in page
    )
    assert f'<a href="/b/{budget.id}">View budget</a>' in page
    banner = page.partition('id="results"')[2].partition('class="stats"')[0]
    assert "Insufficient Balance" not in banner
    assert "Balance too low" not in page
    assert page.count("402 Budget reached") == 2, "beside the facts and in the timeline"
    assert "402 Budget reached" in alice.get("/o/acme/requests").content.decode()
    exported = file_of(alice, "/o/acme/requests?cols=status&export=csv")
    assert exported == [{"status": "402 Budget reached"}]
