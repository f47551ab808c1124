"""What the form and the list of policies offer, and what a typed setting means."""

from typing import Any

import pytest
from django.http import QueryDict

from accounts.access.actors import SYSTEM
from accounts.models import Key, KeyKind
from accounts.organisations import teams
from billing.limits.policy_budgets import PolicyBudget
from content.models import Policy
from content.policies import policies
from content.policies.policies import Assigned
from content.policies.words import SCOPES, Setting
from lib import clock
from lib.ids import id_text
from tests.support.cast import Cast, actor, make_key
from usage.limits.budget_simulation import look_back
from usage.policies.forms import PolicyForm, _read, _value_of
from usage.policies.views import _limits, _row

USD = 10**9


@pytest.mark.parametrize(
    ("kind", "typed", "means", "shown"),
    [
        ("lines", "a\n\n b ", ["a", " b "], "a\n b "),
        ("codes", "de fr", ["DE", "FR"], "DE FR"),
        ("topics", "law: courts\n\nsport", [{"name": "law", "description": "courts"},
         {"name": "sport", "description": ""}], "law: courts\nsport"),
        ("json", {"a": 1}, {"a": 1}, {"a": 1}),
        ("json", [1], {}, {}),
        ("text", "", None, None),
        ("text", "x", "x", "x"),
        ("milliseconds", 0, 0, 0),
        ("share", None, None, None),
    ],
)  # fmt: skip
def test_typed_setting_is_shown_as_it_is_stored(
    kind: Any, typed: Any, means: Any, shown: Any
) -> None:
    setting = Setting("one", kind, "One")
    assert _read(setting, typed) == means
    assert _value_of(setting, {"one": means}) == shown


@pytest.mark.parametrize(
    ("over", "limited"),
    [
        ({}, []), ({"retention_hours": 0}, ["retention_hours"]),
        ({"model_patterns": ["m"]}, ["model_patterns"]), ({"networks": ["::/0"]}, ["networks"]),
    ],
)  # fmt: skip
def test_policy_that_keeps_nothing_has_a_limit(over: Any, limited: list[str]) -> None:
    names = ("model_patterns", "networks", "retention_hours")
    assert [name for name in names if _limits(Policy(**over), name)] == limited


@pytest.mark.django_db
def test_what_a_policy_applies_to_is_offered_though_it_has_ended(people: Cast) -> None:
    alice = actor(people.alice, people.acme)
    old, other = (teams.create_team(people.acme, name, actor=SYSTEM) for name in ("old", "other"))
    kept, gone = (make_key(people.core, name)[0] for name in ("kept", "gone"))
    make_key(people.core, "of a program", user=people.alice, kind=KeyKind.MANAGEMENT)
    policy = policies.create_policy(
        alice, people.acme, look_back, name="Thrift",
        assigned=[Assigned("organisation"), Assigned("team", str(old.id)),
                  Assigned("team", str(people.core.id)), Assigned("key", str(kept.id))],
        budgets=[PolicyBudget(amount_nano=3 * USD, period="day", anchor=5)],
    )  # fmt: skip
    for team in (old, other):
        teams.archive_team(team, actor=SYSTEM)
    Key.objects.update(revoked_at=clock.now())
    live, _ = make_key(people.core, "live")
    blank = PolicyForm(None, actor=alice)
    known = PolicyForm(None, actor=alice, policy=policy)
    assert [value for value, _ in blank.fields["teams"].choices] == ["core"]  # type: ignore[attr-defined]
    assert [value for value, _ in known.fields["teams"].choices] == ["core", "old"]  # type: ignore[attr-defined]
    assert [value for value, _ in blank.fields["keys"].choices] == [id_text(live.id)]  # type: ignore[attr-defined]
    assert dict(known.fields["keys"].choices) == {  # type: ignore[attr-defined]
        id_text(live.id): "live", id_text(kept.id): "kept (revoked)",
    }  # fmt: skip
    assert gone.name == "gone"
    assert (blank.gives_budgets, known.gives_budgets) == (False, True)
    row = _row(alice, policy)
    assert row["applies"] == f"{SCOPES['organisation']}, {SCOPES['team']}: 2, {SCOPES['key']}: 1"
    # The start of a period is kept; budgets of other periods are new.
    sent = QueryDict("name=Thrift&amount_day=4&amount_week=9&action_at_week=slow")
    form = PolicyForm(sent, actor=alice, policy=policy)
    form.is_valid()
    listed = {one.period: one for one in form.budgets() or ()}
    assert (listed["day"].amount_nano, listed["day"].anchor) == (4 * USD, 5)
    assert (listed["week"].action, listed["week"].amount_nano) == ("slow", 9 * USD)
    assert PolicyForm(sent, actor=actor(people.bob, people.acme)).may_budget is False
