"""The guards on a request's page: their time, and what their requests to models cost."""

import datetime as dt
import html
import re
from collections.abc import Callable
from typing import Any, Final

import pytest
from django.utils.html import strip_tags

from accounts.models import Key, User
from content.guards.rules import GuardRule, Place, refusal_text
from content.models import Policy
from content.policies import policies
from content.policies.guards import KNOWN
from content.policies.words import guard_words
from lib import clock
from lib.ids import id_text, new_id
from relay.attempts.guard_models import APPLICATION
from tests.extensions.record_sink.texts import say
from tests.support import cast
from tests.support.markup import squeezed
from tests.usage.overview.test_api import get, management
from tests.usage.rows import NOON, happen
from usage.limits.budget_simulation import look_back
from usage.requests.guard_uses import (
    GuardEffect,
    GuardRefusal,
    GuardRequest,
    GuardUse,
    guard_effects,
    guard_refusal,
    guard_uses,
)

pytestmark = pytest.mark.django_db

DETECTORS: Final = frozenset(
    {"email", "card", "iban", "telephone", "national_number", "secret", "private_key"}
)


def words_of(person: User, request_id: str) -> str:
    """What somebody reads on the page of a request."""
    page = cast.signed_in(person).get(f"/o/acme/requests/{request_id}").content.decode()
    return " ".join(html.unescape(strip_tags(page)).split())


def page_of(person: User, request_id: str) -> str:
    response = cast.signed_in(person).get(f"/o/acme/requests/{request_id}")
    assert response.status_code == 200
    return html.unescape(squeezed(response.content.decode()))


def test_page_shows_time_and_cost_of_guards(people: cast.Cast, key: Key) -> None:
    judged = happen(key, charge_nano=42_000_000, client_app="guard")
    asked, other = id_text(judged.request_id), id_text(new_id())
    flags = [
        "guard:weapons", "guard_pure:email", "guard_pure:card", "guard_ms::0",
        "guard_ms:topics:812",
        f"guard_request:{asked}", f"guard_request:{other}", "guard_ms:hook:7",
    ]  # fmt: skip
    record = happen(key, flags=flags)
    uses = guard_uses(cast.actor(people.alice, people.acme), record.request_id, flags)
    assert [(use.ms, use.requests) for use in uses] == [
        (0, ()), (812, (GuardRequest(asked, 42_000_000), GuardRequest(other, None))),
        (7, ()),
    ]  # fmt: skip
    text = page_of(people.alice, id_text(record.request_id))
    panel = text[text.index('id="guards-title"') :]
    assert "Email addresses, Card numbers" in panel
    assert "under 1 ms" in panel
    assert "Topics judged by a chat model" in panel
    assert "812 ms" in panel
    (amount,) = re.findall(rf'href="/o/acme/requests/{asked}">([^<]*)<', panel)
    assert amount.strip() == "$0.042"
    assert "charge pending" in panel
    for flag in ("guard_ms", "guard_pure", "guard_request"):
        assert flag not in text
    assert 'id="guards-title"' not in page_of(people.alice, asked)


def test_charges_of_others_are_not_shown(people: cast.Cast, key: Key) -> None:
    theirs = happen(cast.make_key(people.stranger.teams.get())[0], charge_nano=0, hold_nano=0)
    asked = id_text(theirs.request_id)
    flags = ["guard_ms:gone:3", f"guard_request:{asked}"]
    alice = cast.actor(people.alice, people.acme)
    uses = guard_uses(alice, happen(key, NOON, flags=flags).request_id, flags)
    assert uses == [GuardUse(("gone",), 3, (GuardRequest(asked, None),))]


def test_usage_is_grouped_and_filtered_by_what_guards_asked(
    people: cast.Cast, key: Key, sum_up: Callable[[], None]
) -> None:
    """A guard's request is in the usage of its key, apart from the request that it checked."""
    judged = happen(key, charge_nano=42_000_000, client_app=APPLICATION)
    flags = ["guard_ms:topics:812", f"guard_request:{id_text(judged.request_id)}"]
    happen(key, charge_nano=7_000_000, client_app="codex", flags=flags)
    sum_up()
    client, day = management(people), "from=2026-11-18&to=2026-11-18"
    grouped = get(client, f"usage?{day}&group_by=app")["items"]
    assert {(one["group"], one["requests"], one["charge"]) for one in grouped} == {
        ("guard", 1, "0.042"), ("codex", 1, "0.007"),
    }  # fmt: skip
    filtered = get(client, f"usage?{day}&group_by=model&app=guard")["items"]
    assert [(one["requests"], one["charge"]) for one in filtered] == [(1, "0.042")]
    (listed,) = get(client, f"requests?{day}&app=guard")["items"]
    assert (listed["id"], listed["app"]) == (id_text(judged.request_id), "guard")


@pytest.fixture
def privacy(people: cast.Cast) -> Policy:
    return policies.create_policy(
        cast.actor(people.alice, people.acme), people.acme, look_back, name="Privacy <1>"
    )


def test_page_says_what_guards_did_and_by_which_policy(
    people: cast.Cast, key: Key, privacy: Policy
) -> None:
    """Everybody who sees the request; the policy's page is for those who may change it. Records
    from before have no places."""
    id = id_text(privacy.id)
    flags = [
        "masked", f"guard_policy:{id}", "guard_masked:secret:3", "guard_in:request",
        "guard_masked:email:2", "guard_in:answer", "guard_masked:card:1",
        f"guard_policy:{id_text(new_id())}", "guard_refused:iban",
        "guard_pure:email", "guard_ms::0",
    ]  # fmt: skip
    effects = guard_effects(cast.actor(people.alice, people.acme), flags)
    assert effects == [
        GuardEffect("secret", 3, "", "Privacy <1>", id),
        GuardEffect("email", 2, "request", "Privacy <1>", id),
        GuardEffect("card", 1, "answer", "Privacy <1>", id),
        GuardEffect("iban", None),
    ]
    of_bob = happen(key, flags=flags, kind="guard_refused", status=400)
    request_id = id_text(of_bob.request_id)
    for person, is_link in ((people.alice, True), (people.bob, False)):
        text = page_of(person, request_id)
        panel = text[text.index('id="guards-title"') :]
        texts = words_of(person, request_id)
        assert "Secrets of known vendors 3 different values masked by the policy" in texts
        assert "Email addresses 2 different values masked in the request by the policy" in texts
        assert "Card numbers 1 value masked in the answer by the policy" in texts
        assert panel.count("Privacy <1>") == 3
        leads = re.findall(rf'href="/o/acme/policies/{id}#guard-(\w+)"', panel)
        assert leads == (["secret", "email", "card"] if is_link else [])
        policy = cast.signed_in(people.alice).get(f"/o/acme/policies/{id}").content.decode()
        assert all(policy.count(f'id="guard-{guard}"') == 1 for guard in leads)
        assert "rejected" in panel
        assert "400 Rejected: Bank accounts (IBAN)" in text
        # No red: nothing has failed.
        assert 'data-tone="bad"' not in text
        assert "A guard rejected the content. It looks for: Bank accounts (IBAN)." in texts
        assert "guard_masked" not in text
        assert "guard_in" not in text
    # A policy of another organisation has no name here.
    stranger = cast.actor(people.dora, people.stranger)
    assert [one.policy for one in guard_effects(stranger, flags)] == [""] * 4


@pytest.mark.parametrize("place", ["request", "answer", "tool_call", "tool_result"])
def test_page_says_why_a_request_was_rejected(
    people: cast.Cast, key: Key, privacy: Policy, place: Place
) -> None:
    id = id_text(privacy.id)
    rule = GuardRule("words", {}, [place], "refuse", "own_words")
    flags = [f"guard_policy:{id}", f"guard_in:{place}", "guard_refused:words"]
    record = happen(
        key, charge_nano=0, flags=flags, kind="guard_refused", status=400,
        message=f"API request failed: {refusal_text(rule, place, rule.code)}",
    )  # fmt: skip
    where = {
        "request": "the request", "answer": "the answer",
        "tool_call": "a tool call", "tool_result": "a tool result",
    }  # fmt: skip
    link = f'<a href="/o/acme/policies/{id}#guard-words">View policy</a>'
    for person, is_link in ((people.alice, True), (people.bob, False)):
        text = page_of(person, id_text(record.request_id))
        assert (
            f"A guard of policy Privacy <1> rejected {where[place]}. It looks for: words and "
            "phrases that the policy lists. Code of the error: own_words. You were not charged."
        ) in words_of(person, id_text(record.request_id))
        assert (link in text) == is_link
        assert "the guard words" not in text


def test_page_of_a_rejected_request_without_stored_effects_is_not_red(
    people: cast.Cast, key: Key
) -> None:
    """Nothing has failed, although old records, and those of very many guards, do not name the one
    that rejected."""
    rejected, failed = (
        happen(key, charge_nano=0, flags=[], kind=kind, status=400, message="No.")
        for kind in ("guard_refused", "guard_failed")
    )
    text = page_of(people.bob, id_text(rejected.request_id))
    assert 'class="banner" data-tone="warn"' in text
    assert 'data-tone="bad"' not in text
    failed_text = page_of(people.bob, id_text(failed.request_id))
    assert 'class="banner" data-tone="bad"' in failed_text


def test_a_rule_without_a_code_has_the_name_of_its_guard() -> None:
    rule = GuardRule("card", {}, ["request"], "refuse", "card")
    message = refusal_text(rule, "request", rule.code)
    refusal = guard_refusal([GuardEffect("email", 1), GuardEffect("card", None)], message)
    assert refusal == GuardRefusal(GuardEffect("card", None), "card")
    assert guard_refusal([GuardEffect("email", 1)], message) is None


def test_each_guard_says_what_it_looks_for() -> None:
    """A detector's name is what it finds; the others judge by what the policy says."""
    for guard in KNOWN:
        found = GuardEffect(guard, None).looks_for
        name = str(guard_words(guard).name)
        assert (found == name) == (guard in DETECTORS), guard
    assert GuardEffect("gone", None).looks_for == "gone"


@pytest.mark.parametrize("query", ["guards=masked", "status=masked"])
def test_list_finds_what_was_masked(people: cast.Cast, key: Key, query: str) -> None:
    """Also by an address from before guards had a filter of their own."""
    masked = happen(key, flags=["masked", "guard_masked:email:1"])
    other = happen(key)
    page = cast.signed_in(people.alice).get(f"/o/acme/requests?{query}").content.decode()
    assert id_text(masked.request_id) in page
    assert id_text(other.request_id) not in page
    assert '<option value="masked" selected>Masked by a guard</option>' in squeezed(page)


def test_each_list_names_the_guards_that_masked_or_rejected(people: cast.Cast, key: Key) -> None:
    """Records from before have no names."""
    session, guards = new_id(), ["guard_masked:email:1", "guard_masked:card:2"]
    happen(key, flags=["masked", *guards, "guard_masked:email:3"], session_id=session)
    rejected = ["masked", *guards[:1], "guard_refused:iban"]
    happen(key, status=400, kind="guard_refused", flags=rejected, session_id=session)
    happen(key, status=499, flags=["masked"], session_id=session)
    # The last one, which the state of a session follows.
    happen(key, NOON + dt.timedelta(minutes=1), session_id=session)
    alice = cast.signed_in(people.alice)
    for path in (
        "requests", f"keys/{id_text(key.id)}", f"sessions/{id_text(session)}", "_f/home/latest",
    ):  # fmt: skip
        page = squeezed(alice.get(f"/o/acme/{path}").content.decode())
        shields = (
            r'(?: title="([^"]*)")?><svg[^>]*><use href="[^"]*#shield[^<]*</use></svg> ?([^<]*)<'
        )
        assert sorted(one for one in re.findall(shields, page) if one[1]) == [
            ("A guard rejected the content", "400 Rejected: Bank accounts (IBAN)"),
            ("Email addresses", "Masked: Email addresses"),
            ("Email addresses, Card numbers", "Masked: Email addresses +1"),
            ("Masked by a guard", "Masked"),
        ], path


def test_what_a_guard_rejected_is_no_error(
    people: cast.Cast, key: Key, sum_up: Callable[[], None]
) -> None:
    """Neither in the sums nor in the lists; it is shown beside the errors. A guard that does not
    answer is an error."""
    session, rejected = new_id(), {"status": 400, "kind": "guard_refused"}
    ends: list[dict[str, Any]] = [
        {}, {}, {"status": 503, "kind": "guard_failed"}, {**rejected}, {**rejected},
    ]  # fmt: skip
    for end in ends:
        happen(key, clock.now(), session_id=session, **end)
    sum_up()
    client = management(people)
    usage = get(client, "usage?group_by=status")
    assert (usage["total"]["requests"], usage["total"]["errors"]) == (5, 1)
    assert {one["group"]: (one["requests"], one["errors"]) for one in usage["items"]} == {
        "ok": (2, 0), "error": (1, 1), "rejected": (2, 0),
    }  # fmt: skip
    assert get(client, "usage?group_by=model")["items"][0]["errors"] == 1
    for status, kinds in (("error", ["guard_failed"]), ("rejected", ["guard_refused"] * 2)):
        listed = get(client, f"requests?status={status}")["items"]
        assert [one["kind"] for one in listed] == kinds
    (session_row,) = get(client, "sessions")["items"]
    assert (session_row["turns"], session_row["failed"]) == (5, 1)

    alice = cast.signed_in(people.alice)

    def text_of(path: str) -> str:
        response = alice.get(f"/o/acme/{path}")
        assert response.status_code == 200
        return squeezed(response.content.decode())

    assert "1 failed" in text_of("_f/home/summary")
    beside = "2 requests rejected by guards</a>"
    for path in ("_f/home/errors", "usage?tab=errors&range=24h"):
        page = text_of(path)
        assert "A guard did not answer" in page, path
        assert "A guard rejected the content" not in page, path
        assert beside in page, path
    link = re.search(rf'href="([^"]*)"> ?{beside}', text_of("_f/home/errors"))
    assert link is not None
    assert "guards=rejected" in html.unescape(link[1])
    explored = text_of("usage/explore?range=24h&group_by=status")
    assert "Rejected by a guard" in explored
    assert "status=rejected" in explored
    # An address with it as a status has the filter of guards.
    assert '<option value="rejected" selected>' in text_of("requests?status=rejected")
    assert re.search(r'title="[^"]*: 5 requests, 1 failed[,"]', text_of("requests?range=24h"))


def test_page_says_that_texts_are_kept_to_those_who_cannot_read_them(
    people: cast.Cast, key: Key
) -> None:
    entry = say(key, "a needle")
    kept, other = id_text(entry.request_id), id_text(happen(key).request_id)
    text = page_of(people.alice, kept)
    assert "you need a role with the permission “Read contents”" in text
    assert f'href="/o/acme/audit?action=read&request={kept}"' in text
    assert "needle" not in text
    assert "Read contents" not in page_of(people.alice, other)
    # Who sees the request, sees this too, but not who read it.
    text = page_of(people.bob, kept)
    assert "you need a role with the permission “Read contents”" in text
    assert "action=read" not in text
