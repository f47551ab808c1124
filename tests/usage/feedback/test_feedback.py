"""Feedback on its page, in its sums, by the management API and in files: whoever sees the request
sees it (P12), and a comment is only text."""

import csv
import io
from typing import Any

import pytest
from django.test import Client

from accounts.models import AuditEvent, Key, KeyKind, Team, User
from lib.ids import id_text
from lib.refusal import Refused
from tests.support import cast
from tests.support.cast import Cast, actor, signed_in
from tests.usage.rows import credit, happen
from usage.feedback.feedback import (
    SumsBy,
    filter_feedback,
    give_feedback,
    sums_of,
    visible_feedback,
)
from usage.feedback.rules import GOOD_FROM, Opinion
from usage.feedback.sql import give_by_key
from usage.filters.visibility import run
from usage.models import Feedback

pytestmark = pytest.mark.django_db

HOSTILE = '=HYPERLINK("https://evil.example")<script>alert(1)</script>'


def give(key: Key, opinion: Opinion, model: str = "gpt-5", **record_fields: Any) -> Feedback:
    """A request of a key, and what the key says about it."""
    record = happen(key, model=model, **record_fields)
    text, parameters = give_by_key(
        key.organisation_id, record.request_id, opinion,
        team_id=key.team_id, key_id=key.id, user_id=key.user_id,
    )  # fmt: skip
    ((id, _),) = run(text, dict(parameters))
    return Feedback.objects.get(id=id)


@pytest.fixture
def keys(people: Cast) -> dict[str, Key]:
    """A key of alice and one of bob in core, and one in another team."""
    other = Team.objects.create(organisation=people.acme, name="Other", slug="other")
    keys = {
        name: cast.make_key(team, name, user=user)[0]
        for name, team, user in (
            ("alice", people.core, people.alice),
            ("bob", people.core, people.bob),
            ("other", other, people.alice),
        )
    }
    credit(keys["alice"])
    return keys


def test_sums_are_of_what_the_reader_sees(people: Cast, keys: dict[str, Key]) -> None:
    """An owner's by model and team; a developer's of their own requests."""
    give(keys["alice"], Opinion(100))
    give(keys["alice"], Opinion(49, comment="Meh"))
    give(keys["bob"], Opinion(None, label="wrong"), "gpt-mini")
    give(keys["other"], Opinion(0), "gpt-mini")
    alice, bob = (cast.actor(user, people.acme) for user in (people.alice, people.bob))
    by_model = sums_of(visible_feedback(alice), "model")
    assert [
        (one.id, one.total, one.scored, one.good, one.commented, one.mean, one.good_percent)
        for one in by_model
    ] == [("gpt-5", 2, 2, 1, 1, 75, 50), ("gpt-mini", 2, 1, 0, 0, 0, 0)]
    by_team = sums_of(visible_feedback(alice), "team")
    assert [(one.id, one.name, one.total) for one in by_team] == [
        ("core", people.core.name, 3), ("other", "Other", 1),
    ]  # fmt: skip
    of_bob = sums_of(visible_feedback(bob), "model")
    assert [(one.id, one.mean) for one in of_bob] == [("gpt-mini", None)]


def give_around_the_bound(key: Key) -> None:
    for score in (GOOD_FROM - 1, GOOD_FROM, GOOD_FROM + 1):
        give(key, Opinion(score), prompt="bot", prompt_version=1)


def test_score_at_the_bound_counts_as_good(people: Cast, keys: dict[str, Key]) -> None:
    """In each grouping of the sums; one less does not."""
    give_around_the_bound(keys["alice"])
    rows = visible_feedback(cast.actor(people.alice, people.acme))
    groupings: tuple[SumsBy, ...] = ("model", "team", "prompt")
    for by in groupings:
        (one,) = sums_of(rows, by)
        assert (one.scored, one.good, one.good_percent) == (3, 2, 67), by


def test_list_filters_a_score_at_the_bound_as_good(people: Cast, keys: dict[str, Key]) -> None:
    give_around_the_bound(keys["alice"])
    client = signed_in(people.alice)
    for quality, count in (("good", 2), ("bad", 1)):
        listed = client.get(f"/o/acme/usage/feedback?score={quality}").content.decode()
        assert listed.count('href="/o/acme/requests/0') == count, quality


def test_sums_compare_the_versions_of_a_prompt(people: Cast, keys: dict[str, Key]) -> None:
    """On the page, in its file and by the management API; requests without a prompt have no sum."""
    for score, version in ((100, 1), (20, 2), (40, 2), (0, 12)):
        give(keys["alice"], Opinion(score), prompt="bot", prompt_version=version)
    give(keys["alice"], Opinion(10), prompt="robot", prompt_version=2)
    give(keys["alice"], Opinion(0))
    client = signed_in(people.alice)
    page = client.get("/o/acme/usage/feedback/sums?by=prompt").content.decode()
    assert 'href="/o/acme/usage/feedback?prompt=bot%402"' in page
    assert "Prompt version" not in client.get("/o/acme/usage/feedback/sums").content.decode()
    file = client.get("/o/acme/usage/feedback/sums?by=prompt&export=csv")
    body = b"".join(file.streaming_content).decode("utf-8-sig")  # type: ignore[attr-defined]
    rows = [(row["name"], row["version"], row["mean"]) for row in csv.DictReader(io.StringIO(body))]
    assert rows[0] == ("bot", "2", "30")
    assert {*rows[1:]} == {("bot", "1", "100"), ("bot", "12", "0"), ("robot", "2", "10")}
    for query, count in (("prompt=bot%402", 2), ("prompt=bot", 5), ("prompt=bot@x", 0)):
        listed = client.get(f"/o/acme/usage/feedback?{query}").content.decode()
        assert listed.count('href="/o/acme/requests/0') == count, query
    api = management(people, people.alice)
    sums = api.get("/api/v1/feedback/sums?by=prompt").json()["items"]
    assert [(one["group"], one["version"], one["mean_score"]) for one in sums] == [
        ("bot", 2, 30), ("bot", 1, 100), ("bot", 12, 0), ("robot", 2, 10),
    ]  # fmt: skip
    items = api.get("/api/v1/feedback?prompt=bot&prompt_version=1").json()["items"]
    assert [(one["prompt"], one["prompt_version"]) for one in items] == [("bot", 1)]
    assert api.get("/api/v1/feedback?prompt=bot&prompt_version=999999999999").json()["items"] == []


def test_a_person_rates_only_their_own_requests(people: Cast, keys: dict[str, Key]) -> None:
    record = happen(keys["alice"])
    with pytest.raises(Refused):
        give_feedback(cast.actor(people.bob, people.acme), record.request_id, Opinion(0))
    with pytest.raises(Refused):
        give_feedback(cast.actor(people.alice, people.acme), record.request_id, Opinion(101))
    assert not Feedback.objects.exists()
    give_feedback(cast.actor(people.alice, people.acme), record.request_id, Opinion(100))
    row = Feedback.objects.get()
    assert (row.author, row.author_key_id) == (people.alice, keys["alice"].id)


def test_a_hostile_comment_is_text_on_the_page_and_in_files(
    people: Cast, keys: dict[str, Key]
) -> None:
    row = give(keys["alice"], Opinion(0, "=1+1", HOSTILE))
    client = signed_in(people.alice)
    html = client.get("/o/acme/usage/feedback").content.decode()
    assert "&lt;script&gt;alert(1)" in html
    assert "<script>alert(1)" not in html
    assert f"/o/acme/requests/{id_text(row.request_id)}" in html
    response = client.get("/o/acme/usage/feedback?export=csv")
    body = b"".join(response.streaming_content).decode("utf-8-sig")  # type: ignore[attr-defined]
    (cells,) = csv.DictReader(io.StringIO(body))
    assert not cells["comment"].startswith("=")
    assert not cells["label"].startswith("=")
    assert HOSTILE in cells["comment"]
    sums = client.get("/o/acme/usage/feedback/sums?by=team&export=csv")
    body = b"".join(sums.streaming_content).decode("utf-8-sig")  # type: ignore[attr-defined]
    assert people.core.name in body


@pytest.mark.parametrize(
    ("query", "count"),
    [
        ("", 2), ("q=wrong", 1), ("score=good", 1), ("score=bad", 1), ("model=MINI", 1),
        ("since=2026-01-01", 2), ("until=2026-01-01", 0), ("since=nonsense", 2),
        ("since=0001-01-01", 2), ("until=9999-12-31", 2),
    ],
)  # fmt: skip
def test_list_is_filtered(people: Cast, keys: dict[str, Key], query: str, count: int) -> None:
    give(keys["alice"], Opinion(100, comment="Right"))
    give(keys["bob"], Opinion(0, "wrong"), "gpt-mini")
    html = signed_in(people.alice).get(f"/o/acme/usage/feedback?{query}").content.decode()
    assert html.count('href="/o/acme/requests/0') == count


def management(people: Cast, user: User) -> Client:
    _, text = cast.make_key(people.core, f"of {user.name}", user=user, kind=KeyKind.MANAGEMENT)
    return cast.with_key(text)


def test_management_api_lists_sums_and_deletes(people: Cast, keys: dict[str, Key]) -> None:
    """Only owners delete, and that is audited without the comment."""
    first = give(keys["alice"], Opinion(80, "good", HOSTILE))
    give(keys["other"], Opinion(20), "gpt-mini")
    client, other = (management(people, user) for user in (people.alice, people.bob))
    items = client.get("/api/v1/feedback").json()["items"]
    assert [item["score"] for item in items] == [20, 80]
    assert items[1]["comment"] == HOSTILE
    assert items[1]["author"] == people.alice.email
    for query in ("team=core", "model=gpt-5", f"request={id_text(first.request_id)}"):
        (item,) = client.get(f"/api/v1/feedback?{query}").json()["items"]
        assert item["id"] == id_text(first.id)
    sums = client.get("/api/v1/feedback/sums?by=team").json()["items"]
    assert {one["group"]: one["mean_score"] for one in sums} == {"core": 80, "other": 20}
    path = f"/api/v1/feedback/{id_text(first.id)}"
    assert other.delete(path).status_code == 403
    assert client.delete(path).status_code == 204
    assert not Feedback.objects.filter(id=first.id).exists()
    event = AuditEvent.objects.get(action="feedback.deleted")
    assert HOSTILE not in str(event.detail)


def test_requests_without_a_prompt_have_no_sum_by_prompt(
    people: Cast, keys: dict[str, Key]
) -> None:
    give(keys["alice"], Opinion(100), prompt="bot", prompt_version=1)
    give(keys["alice"], Opinion(0))
    sums = sums_of(visible_feedback(actor(people.alice, people.acme)), "prompt")
    assert [(one.id, one.version, one.total) for one in sums] == [("bot", 1, 1)]


def test_feedback_of_an_instant_is_since_it_and_not_before_it(
    people: Cast, keys: dict[str, Key]
) -> None:
    at = give(keys["alice"], Opinion(100)).created_at
    alice = actor(people.alice, people.acme)
    rows = visible_feedback(alice)
    assert filter_feedback(alice, rows, since=at).count() == 1
    assert filter_feedback(alice, rows, until=at).count() == 0
