"""P31: the end of a media task is kept with its request, as the rules of its time say."""

import json
from pathlib import Path
from typing import Any

import pytest

from accounts.access.actors import SYSTEM
from accounts.models import Key
from content.data_keys.data_keys import open_data_key
from content.data_keys.sealing import place_of_entry, seal
from content.guards.rules import GuardRule
from content.log import final_states, log
from content.log.final_states import FinalState, keep_final_states
from content.log.sealed import take_sealed
from content.models import Entry, LogRule
from content.policies import policies
from content.policies.policies import Assigned
from content.rules import log_rules
from lib.ids import id_text, new_id
from tests.content.log.entries import put_in_store
from tests.content.log.test_log import kept, reader
from tests.content.log.test_sealed import folder as folder
from tests.content.log.test_sealed import take_away
from tests.support.cast import Cast, actor
from usage.limits.budget_simulation import look_back

pytestmark = pytest.mark.django_db

CARD = "4111 1111 1111 1111"
EMAIL = "bob@example.org"
WORD = "Zanzibar"


def end_of(entry: Entry, **state: Any) -> FinalState:
    return FinalState(entry.organisation_id, entry.request_id, {"status": "succeeded"} | state)


def final_of(entry: Entry) -> bytes:
    entry.refresh_from_db()
    opened = log.try_open(entry, take_sealed([entry]), {})
    assert opened is not None
    return opened[1].final


@pytest.mark.parametrize("stored", ["a row", "an object"])
def test_end_of_a_task_is_kept_where_texts_are_stored(
    people: Cast, folder: Path, settings: Any, stored: str
) -> None:
    log_rules.add_rule(SYSTEM, people.acme, scope="organisation")
    [entry] = kept(people.core, "needle")
    if stored == "a row":
        settings.CONTENT_STORE = ""
    else:
        put_in_store(entry)
    keep_final_states([end_of(entry)])
    entry.refresh_from_db()
    assert ("a row" if entry.object_id is None else "an object") == stored
    _, opened = log.read_entry(reader(people), entry.request_id, "why")
    assert json.loads(opened.final) == {"status": "succeeded"}


def forbid_by_rule(people: Cast, key: Key) -> None:
    log_rules.add_rule(SYSTEM, people.acme, scope="team", subject=str(key.team_id), keep="nothing")


def forbid_by_policy(people: Cast, key: Key) -> None:
    policies.create_policy(
        actor(people.alice, people.acme), people.acme, look_back, name="Nothing", retention_hours=0,
        assigned=[Assigned("key", str(key.id))],
    )  # fmt: skip


def keep_errors_alone(people: Cast, key: Key) -> None:
    log_rules.add_rule(SYSTEM, people.acme, scope="key", subject=str(key.id), keep="errors")


def remove_rule(people: Cast, key: Key) -> None:
    """One of another team is still there."""
    log_rules.remove_rule(SYSTEM, LogRule.objects.get())
    log_rules.add_rule(SYSTEM, people.acme, scope="team", subject=str(new_id()))


@pytest.mark.parametrize(
    "change", [forbid_by_rule, forbid_by_policy, keep_errors_alone, remove_rule]
)
def test_end_that_may_no_longer_be_kept_is_not(people: Cast, change: Any) -> None:
    log_rules.add_rule(SYSTEM, people.acme, scope="organisation")
    [entry] = kept(people.core, "needle")
    change(people, Key.objects.get(id=entry.key_id))
    keep_final_states([end_of(entry)])
    assert final_of(entry) == b""


def test_failure_is_an_error_that_a_rule_keeps(people: Cast) -> None:
    log_rules.add_rule(SYSTEM, people.acme, scope="organisation", keep="errors")
    [entry] = kept(people.core, "needle")
    keep_final_states([end_of(entry, error={"code": "blocked"})])
    assert b"blocked" in final_of(entry)


@pytest.mark.parametrize(
    ("redact", "masked"), [([], {CARD, WORD}), (["email"], {CARD, EMAIL, WORD})]
)
def test_end_is_masked_by_default_and_by_rule_and_policies(
    people: Cast, redact: list[str], masked: set[str]
) -> None:
    """A rule that masks less may be younger than the request."""
    log_rules.add_rule(SYSTEM, people.acme, scope="organisation", redact=redact)
    words = GuardRule("words", {"words": [WORD]}, ["request"], "mask", "word")
    policies.create_policy(
        actor(people.alice, people.acme), people.acme, look_back, name="Words", rules=[words],
        assigned=[Assigned("organisation")],
    )  # fmt: skip
    [entry] = kept(people.core, "needle")
    keep_final_states([end_of(entry, result={"text": f"{CARD}, {EMAIL}, {WORD}"})])
    final = final_of(entry).decode()
    assert {text for text in (CARD, EMAIL, WORD) if text not in final} == masked
    assert "result" in final


def test_store_that_is_away_is_asked_once(
    people: Cast,
    folder: Path,
    settings: Any,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Its timeout would pass once more for each end."""
    log_rules.add_rule(SYSTEM, people.acme, scope="organisation")
    entries = kept(people.core, "one", "two", "three")
    put_in_store(*entries)
    take_away(folder, settings)
    asked = list[float]()

    def take(entries: list[Entry], within_s: float = 30) -> dict[Any, bytes]:
        asked.append(within_s)
        return take_sealed(entries, within_s)

    monkeypatch.setattr(final_states, "take_sealed", take)
    keep_final_states([end_of(entry) for entry in entries])
    assert asked == [5]
    assert "the ends of at most 3 requests are not kept" in caplog.text


def test_ends_are_kept_for_a_limited_time(
    people: Cast, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    log_rules.add_rule(SYSTEM, people.acme, scope="organisation")
    entries = kept(people.core, "one", "two")
    monkeypatch.setattr(final_states, "_ROUND_S", 0.0)
    keep_final_states([end_of(entry) for entry in entries])
    assert [final_of(entry) for entry in entries] == [b"", b""]
    assert "the ends of at most 2 requests are not kept" in caplog.text


def test_end_that_cannot_be_kept_harms_no_other(
    people: Cast, caplog: pytest.LogCaptureFixture
) -> None:
    log_rules.add_rule(SYSTEM, people.acme, scope="organisation")
    damaged, still = kept(people.core, "one", "two")
    place = place_of_entry(damaged.organisation_id, damaged.request_id)
    sealed = seal(open_data_key(damaged.data_key_id), b"no archive", place)
    Entry.objects.filter(request_id=damaged.request_id).update(sealed=sealed)
    keep_final_states([end_of(damaged), end_of(still)])
    assert f"{id_text(damaged.request_id)} is not kept: error" in caplog.text
    assert final_of(still)


def test_end_before_its_entry_is_logged(people: Cast, caplog: pytest.LogCaptureFixture) -> None:
    log_rules.add_rule(SYSTEM, people.acme, scope="organisation")
    id = new_id()
    with caplog.at_level("INFO"):
        keep_final_states([FinalState(people.acme.id, id, {"status": "succeeded"})])
    assert f"nothing is kept of request {id_text(id)}, or not yet" in caplog.text
