"""The guards on a request's page: their time, and what their requests to models cost."""

import html
import re
from collections.abc import Callable

import pytest

from accounts.models import Key, User
from lib.ids import id_text, new_id
from relay.attempts.guard_models import APPLICATION
from tests.support import cast
from tests.support.markup import squeezed
from tests.usage.overview.test_api import get, management
from tests.usage.rows import NOON, happen
from usage.requests.guard_uses import GuardRequest, GuardUse, guard_uses

pytestmark = pytest.mark.django_db


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
