"""Each column of a session is what its title says, whichever of its turns failed, came first
or ran longest: the first, the last, the sum, or all."""

import datetime as dt
from itertools import permutations
from typing import Any, Final

import pytest
from django.test import Client

from accounts.models import Key
from lib import clock
from lib.ids import new_id
from tests.support import cast
from tests.usage.rows import NOON, happen
from usage.sessions.sessions import SessionRow, SessionSource

pytestmark = pytest.mark.django_db

# Three turns that differ in each column; one of them failed, one has what may be missing.
TURNS: Final[tuple[dict[str, Any], ...]] = (
    {"status": 200, "charge": 7, "model": "m-a", "client_app": "codex", "agent": "a-1",
     "meters": {"in_text": 1_000, "out_text": 3}, "own_nano": None, "total_ms": 4_000},
    {"status": 502, "charge": 0, "model": "m-b", "client_app": "", "agent": "",
     "meters": {}, "own_nano": None, "kind": "upstream_error", "total_ms": 90},
    {"status": 200, "charge": 40, "model": "m-c", "client_app": "claude-code", "agent": "a-2",
     "meters": {"in_cache_read": 20_000, "out_reasoning": 50}, "own_nano": 11, "total_ms": 900},
)  # fmt: skip
# What each figure of a session is, by the turns in their order.
FIGURES: Final[dict[str, Any]] = {
    "turns": len,
    "charge_nano": lambda turns: sum(one["charge"] for one in turns),
    "first_at": lambda turns: turns[0]["at"],
    "last_at": lambda turns: turns[-1]["ended"],
    "name": lambda turns: turns[0]["name"],
    "source": lambda turns: turns[0]["source"],
    "app": lambda turns: turns[0]["client_app"],
    "key_id": lambda turns: turns[0]["key"].id,
    "key_name": lambda turns: turns[0]["key"].name,
    "user": lambda turns: turns[0]["key"].user.email,
    "models": lambda turns: ["m-a", "m-b", "m-c"],
    "agents": lambda turns: 2,
    "failed": lambda turns: 1,
    "status": lambda turns: turns[-1]["status"],
    "kind": lambda turns: turns[-1].get("kind"),
    "meters": lambda turns: {
        "in_text": 1_000, "out_text": 3, "in_cache_read": 20_000, "out_reasoning": 50,
    },
    "running": lambda turns: False,
    "ended_at": lambda turns: None,
    "own_nano": lambda turns: 11,
}  # fmt: skip


@pytest.mark.parametrize("order", list(permutations(range(3))), ids=str)
def test_figures_of_a_session_do_not_depend_on_which_turn_is_first(
    people: cast.Cast, key: Key, monkeypatch: pytest.MonkeyPatch, order: tuple[int, ...]
) -> None:
    monkeypatch.setattr(clock, "now", lambda: NOON + dt.timedelta(days=2))
    other, _ = cast.make_key(people.core, "other", user=people.alice)
    session, turns = new_id(), list[dict[str, Any]]()
    for n, place in enumerate(order):
        values, at = TURNS[place], NOON + dt.timedelta(minutes=n)
        made = {name: one for name, one in values.items() if name not in ("charge", "agent")}
        named = {"name": f"Named {place}", "source": f"x-{place}", "agent": values["agent"] or None}
        record = happen(
            (key, other, key)[place], at, values["charge"], session_id=session,
            session={name: one for name, one in named.items() if one}, **made,
        )  # fmt: skip
        used = (key, other, key)[place]
        turns.append({**values, **named, "at": at, "ended": record.ended_at, "key": used})
    (row,) = _rows(cast.signed_in(people.alice), monkeypatch)
    assert FIGURES.keys() == set(SessionRow.__dataclass_fields__) - {"id"}
    shown = {name: getattr(row, name) for name in FIGURES}
    assert shown == {name: figure(turns) for name, figure in FIGURES.items()}


def _rows(client: Client, monkeypatch: pytest.MonkeyPatch) -> list[SessionRow]:
    """The sessions of the list, as its columns read them."""
    seen: list[SessionRow] = []
    fetch = SessionSource.fetch

    def noting(self: Any, *args: Any, **options: Any) -> list[SessionRow]:
        seen[:] = fetch(self, *args, **options)
        return list(seen)

    monkeypatch.setattr(SessionSource, "fetch", noting)
    assert client.get("/o/acme/sessions").status_code == 200
    return seen
