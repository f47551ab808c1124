"""What offers Undo takes back what was done: each such address, both ways."""

import json
from collections.abc import Callable
from typing import Any, Final

import pytest
from django.contrib.messages import get_messages
from django.test import Client
from django.urls import reverse

from accounts.access.actors import SYSTEM
from accounts.keys import keys
from billing.models import Budget, EndedSession
from lib import clock
from lib.ids import id_text, new_id
from playground.models import Conversation
from tests.house.test_style import ROOT
from tests.support import cast
from tests.usage.rows import credit, happen
from usage.limits import budget_simulation

pytestmark = pytest.mark.django_db

_HTMX: Final = {"HX-Request": "true"}
_CHATS: Final = "playground/chats"
# The views that offer it, and the tests that press it.
OFFERED: Final = {
    "usage/keys/views.py": "here",
    "usage/limits/views.py": "here",
    "usage/sessions/views.py": "here",
    f"{_CHATS}/chat_views.py": "here",
    f"{_CHATS}/history_views.py": "here",
    f"{_CHATS}/tree_views.py": "tests/playground/conversations/test_tree.py",
}
Case = Callable[[cast.Cast], tuple[str, dict[str, str], Callable[[], Any]]]


def _key(people: cast.Cast, *, disabled: bool) -> tuple[str, dict[str, str], Callable[[], Any]]:
    key, _ = cast.make_key(people.core, "ci", user=people.alice)
    if not disabled:
        keys.change_key(SYSTEM, key, disabled=True)
    name = "key_disable" if disabled else "key_enable"

    def state() -> Any:
        key.refresh_from_db()
        return key.disabled

    return reverse(name, args=["acme", id_text(key.id)]), {}, state


def _budget(people: cast.Cast, *, enabled: bool) -> tuple[str, dict[str, str], Callable[[], Any]]:
    budget = budget_simulation.create_budget(
        SYSTEM, people.acme, scope="team", subject=str(people.core.id), amount_nano=10**9,
        period="month", timezone="UTC",
    )  # fmt: skip
    Budget.objects.filter(pk=budget.pk).update(enabled=enabled)

    def state() -> Any:
        return Budget.objects.filter(pk=budget.pk).values_list("enabled", "removed_at").first()

    return reverse("budget_remove", args=["acme", budget.id]), {}, state


def _chat(
    people: cast.Cast, name: str, act: str = ""
) -> tuple[str, dict[str, str], Callable[[], Any]]:
    chat = Conversation.objects.create(
        organisation=people.acme, team=people.core, user=people.alice, title="Weir", model="m"
    )
    id = id_text(chat.id)

    def state() -> Any:
        rows = Conversation.objects.filter(pk=chat.pk)
        return rows.values_list("archived_at", "deleted_at").first()

    args = ["acme", id] if name == "chat_delete" else ["acme"]
    return reverse(name, args=args), {"act": act, "id": id}, state


def _session(people: cast.Cast) -> tuple[str, dict[str, str], Callable[[], Any]]:
    key, _ = cast.make_key(people.core, "ci", user=people.alice)
    session = new_id()
    credit(key)
    happen(key, clock.now(), session_id=session)

    def state() -> Any:
        return EndedSession.objects.filter(session_id=session, ended_at__isnull=False).exists()

    return reverse("agent_session_end", args=["acme", id_text(session)]), {}, state


CASES: Final[dict[str, Case]] = {
    "disabled key": lambda people: _key(people, disabled=True),
    "enabled key": lambda people: _key(people, disabled=False),
    "budget": lambda people: _budget(people, enabled=True),
    "budget that was off": lambda people: _budget(people, enabled=False),
    "session": _session,
    "chat": lambda people: _chat(people, "chat_delete"),
    "deleted chats": lambda people: _chat(people, "history_change", "delete"),
    "archived chats": lambda people: _chat(people, "history_change", "archive"),
}


@pytest.mark.parametrize("case", CASES)
def test_undo_restores_what_was(people: cast.Cast, case: str) -> None:
    client = cast.signed_in(people.alice)
    path, form, state = CASES[case](people)
    before = state()
    answer = client.post(path, form, headers=_HTMX)
    assert state() != before
    assert client.post(_undo_of(client, answer), headers=_HTMX).status_code < 400
    assert state() == before


def _undo_of(client: Client, answer: Any) -> str:
    """The address of the toast's button, now or on the next page."""
    if toast := json.loads(answer.headers.get("HX-Trigger", "{}")).get("toast"):
        return str(toast["post"])
    (message,) = get_messages(answer.wsgi_request)
    return str(message.extra_tags)


def test_each_view_that_offers_undo_is_tried() -> None:
    rooms = ("accounts", "billing", "config", "gateway", "notify", "playground", "usage")
    offering = {
        str(path.relative_to(ROOT))
        for room in rooms
        for path in (ROOT / room).rglob("*.py")
        if 'gettext("Undo")' in (text := path.read_text()) or "extra_tags=undo" in text
    }
    assert offering == OFFERED.keys()
