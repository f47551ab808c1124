"""One change of several keys is shown key by key before it is done, and done as it was shown."""

import datetime as dt
import re
from collections import defaultdict
from types import SimpleNamespace
from typing import Any

import pytest
from django.http import QueryDict
from django.test import Client

from accounts.access.actors import SYSTEM
from accounts.custom_roles.custom_roles import create_role
from accounts.keys import keys
from accounts.members.members import set_member
from accounts.models import AuditEvent, Key, KeyKind, Role
from billing.models import Budget
from lib import clock
from lib.ids import id_text, new_id
from tests.support.cast import Cast, actor, make_key, member, signed_in
from tests.support.markup import squeezed
from usage.keys import bulk_views
from usage.keys.bulk import (
    Planned,
    apply_planned,
    budget_change,
    digest_of,
    plan_change,
    state_change,
)

pytestmark = pytest.mark.django_db

URL = "/o/acme/keys/bulk"


@pytest.fixture
def alice(people: Cast) -> Client:
    return signed_in(people.alice)


def several(people: Cast, *names: str, **over: Any) -> list[Key]:
    return [make_key(people.core, name, user=people.alice, **over)[0] for name in names]


def post(client: Client, chosen: list[Key], act: str, **fields: Any) -> tuple[int, str]:
    answer = client.post(URL, {"act": act, "id": [id_text(key.id) for key in chosen], **fields})
    return answer.status_code, squeezed(answer.content.decode())


def apply(client: Client, chosen: list[Key], act: str, **fields: Any) -> int:
    """Preview, and confirm what was shown."""
    _, page = post(client, chosen, act, **({"step": "preview"} if fields else {}), **fields)
    plan = re.search(r'name="plan" value="([0-9a-f]+)"', page)
    assert plan is not None
    return post(client, chosen, act, step="apply", plan=plan[1], **fields)[0]


def preview_texts(page: str) -> dict[str, str]:
    """What the preview says of each key."""
    rows = re.findall(r'<th scope="row">(\w+)\s*<code.*?</th>\s*<td>(.*?)</td>', page)
    return {name: re.sub("<[^>]*>", "", text) for name, text in rows}


def test_preview_shows_changes_and_skipped_keys(people: Cast, alice: Client) -> None:
    one, two, three, four = several(people, "one", "two", "three", "four")
    keys.change_key(actor(people.alice, people.acme), two, disabled=True)
    keys.revoke_key(actor(people.alice, people.acme), three)
    Key.objects.filter(id=four.id).update(expires_at=clock.now() - dt.timedelta(days=1))
    events = AuditEvent.objects.count()
    status, page = post(alice, [one, two, three, four], "disable")
    assert status == 200
    assert preview_texts(page) == {
        "one": "Active→Disabled",
        "two": "No change · Disabled",
        "three": "No change · Already revoked",
        "four": "No change · Has expired",
    }
    assert "1 key changes" in page
    assert "Apply to 1 key" in page
    one.refresh_from_db()
    assert not one.disabled
    assert AuditEvent.objects.count() == events


def test_plan_has_each_chosen_key_in_its_order(people: Cast) -> None:
    alice = actor(people.alice, people.acme)
    one, two, gone = several(people, "one", "two", "gone")
    Key.objects.filter(id=gone.id).update(revoked_at=clock.now())
    gone.refresh_from_db()
    planned = plan_change(alice, [two, gone, one], state_change(alice, disabled=True))
    assert [(row.key.name, row.changes, row.reason) for row in planned] == [
        ("two", True, ""), ("gone", False, "Already revoked"), ("one", True, ""),
    ]  # fmt: skip


def test_confirmed_change_is_done_and_audited_once_per_key(people: Cast, alice: Client) -> None:
    chosen = several(people, "one", "two")
    assert apply(alice, chosen, "disable") == 303
    assert Key.objects.filter(disabled=True).count() == 2
    assert AuditEvent.objects.filter(action="key.changed").count() == 2
    assert apply(alice, chosen, "enable") == 303
    assert not Key.objects.filter(disabled=True).exists()


def test_change_since_the_preview_is_shown_again(people: Cast, alice: Client) -> None:
    chosen = several(people, "one", "two")
    _, page = post(alice, chosen, "disable")
    plan = re.findall(r'name="plan" value="([0-9a-f]+)"', page)[0]
    keys.change_key(actor(people.alice, people.acme), chosen[0], disabled=True)
    status, page = post(alice, chosen, "disable", step="apply", plan=plan)
    assert status == 422
    assert "Something changed since the preview" in page
    assert Key.objects.filter(disabled=True).count() == 1


def test_keys_of_others_and_budgets_are_not_changed_by_a_developer(people: Cast) -> None:
    """P12, P23: also if only one of the keys is another's."""
    [hers], bob = several(people, "hers"), signed_in(people.bob)
    his, _ = make_key(people.core, "his", user=people.bob)
    assert post(bob, [his], "disable")[0] == 200
    assert post(bob, [his, hers], "disable")[0] == 404
    assert post(bob, [his], "budget")[0] == 403


def test_nothing_is_done_without_a_preview(people: Cast, alice: Client) -> None:
    status, _ = post(alice, several(people, "one"), "disable", step="apply")
    assert status == 422
    assert not Key.objects.filter(disabled=True).exists()


def test_keys_are_revoked_only_by_typing_how_many(people: Cast, alice: Client) -> None:
    """Of those that are not revoked yet."""
    chosen = several(people, "one", "two", "gone")
    Key.objects.filter(name="gone").update(revoked_at=clock.now())
    page = post(alice, chosen, "revoke")[1]
    assert "2 keys change" in page
    assert "1 stays the same" in page
    assert apply(alice, chosen, "revoke") == 422
    assert apply(alice, chosen, "revoke", confirm="3") == 422
    assert Key.objects.exclude(revoked_at=None).count() == 1
    assert apply(alice, chosen, "revoke", confirm="2") == 303
    assert Key.objects.exclude(revoked_at=None).count() == 3
    assert AuditEvent.objects.filter(action="key.revoked").count() == 2


def test_keys_that_stay_the_same_count_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bulk_views, "digest_of", lambda planned: "p")
    monkeypatch.setattr(bulk_views, "use_of_keys", lambda actor, keys: defaultdict(str))
    planned: list[Any] = [
        SimpleNamespace(changes=changes, key=SimpleNamespace(id=n))
        for n, changes in enumerate((True, False, True))
    ]
    sent = {"2": "", " 2 ": "", "3": "The number does not match. Nothing was revoked."}
    for typed, refusal in sent.items():
        data = QueryDict(f"plan=p&confirm={typed}")
        assert bulk_views._refusal(data, "revoke", planned) == refusal
    assert bulk_views._refusal(QueryDict("plan=p"), "disable", planned) == ""
    changed = bulk_views._refusal(QueryDict("plan=q&confirm=2"), "revoke", planned)
    assert changed.startswith("Something changed since the preview.")
    context = bulk_views._context(SYSTEM, "revoke", None, [], planned)
    assert (context["changing"], context["left"], context["verb"]) == (2, 1, "Revoke 2 keys")


def test_the_expiry_of_keys_is_set_to_a_days_end_or_removed(people: Cast, alice: Client) -> None:
    chosen = several(people, "one")
    day = clock.now().date() + dt.timedelta(days=30)
    assert apply(alice, chosen, "expiry", on=day.isoformat()) == 303
    chosen[0].refresh_from_db()
    assert chosen[0].expires_at is not None
    assert chosen[0].expires_at.date() == day
    status, page = post(alice, chosen, "expiry", step="preview", on="2020-01-01")
    assert (status, "This day has passed." in page) == (422, True)
    assert apply(alice, chosen, "expiry", on="") == 303
    chosen[0].refresh_from_db()
    assert chosen[0].expires_at is None


def test_empty_limits_stay(people: Cast, alice: Client) -> None:
    (one,) = several(people, "one", rpm=60, parallel=2)
    _, page = post(alice, [one], "limits", step="preview", tpm="9000", unlimited=["parallel"])
    assert preview_texts(page)["one"] == (
        "60 requests/min, 2 at a time→60 requests/min, 9,000 tokens/min"
    )
    assert apply(alice, [one], "limits", tpm="9000", unlimited=["parallel"]) == 303
    one.refresh_from_db()
    assert (one.rpm, one.tpm, one.parallel) == (60, 9000, None)
    for wrong in ({}, {"rpm": "5", "unlimited": ["rpm"]}):
        status, _ = post(alice, [one], "limits", step="preview", **wrong)
        assert status == 422


def test_budgets_are_made_changed_and_removed(people: Cast, alice: Client) -> None:
    (one,) = several(people, "one")
    (program,) = several(people, "program", kind=KeyKind.MANAGEMENT)
    chosen = [one, program]
    _, page = post(alice, chosen, "budget", step="preview", budget="50", period="month")
    assert preview_texts(page) == {
        "one": "No budget→50.00 USD · Month",
        "program": "No change · A management key spends nothing",
    }
    assert apply(alice, chosen, "budget", budget="50", period="month") == 303
    assert apply(alice, chosen, "budget", budget="60", period="month") == 303
    assert Budget.objects.get(enabled=True).amount_nano == 60 * 10**9
    assert apply(alice, chosen, "budget", budget="", period="month") == 303
    assert not Budget.objects.filter(enabled=True, removed_at=None).exists()


def test_a_budget_is_what_the_preview_says(people: Cast) -> None:
    """Its amount changes, its period, both, or it is removed and made again."""
    (key,) = several(people, "one")
    alice = actor(people.alice, people.acme)
    for amount_nano, period in (
        (5 * 10**9, "month"),
        (5 * 10**9, "day"),
        (6 * 10**9, "day"),
        (7 * 10**9, "month"),
        (None, "month"),
        (7 * 10**9, "week"),
    ):
        own = {row.subject: row for row in Budget.objects.filter(removed_at=None)}
        change = budget_change(alice, own, amount_nano, period)
        (planned,) = plan_change(alice, [key], change)
        assert apply_planned([planned], change) == 1
        rows = Budget.objects.filter(removed_at=None)
        assert [(row.amount_nano, row.period, row.enabled) for row in rows] == (
            [] if amount_nano is None else [(amount_nano, period, True)]
        )
        # What a second preview finds is what the first one promised.
        own = {row.subject: row for row in rows}
        (again,) = plan_change(alice, [key], budget_change(alice, own, amount_nano, period))
        assert (again.reason, again.changes) == (planned.after, False)


def test_a_developer_changes_own_keys_alone_and_sets_no_budget(people: Cast) -> None:
    bob = signed_in(people.bob)
    own, _ = make_key(people.core, "own", user=people.bob)
    (other,) = several(people, "other")
    assert post(bob, [own, other], "disable")[0] == 404
    assert apply(bob, [own], "disable") == 303
    assert post(bob, [own], "budget")[0] == 403
    listed = squeezed(bob.get("/o/acme/keys").content.decode())
    assert 'name="act" value="disable"' in listed
    assert 'name="act" value="budget"' not in listed


def test_foreign_visible_key_is_skipped(people: Cast) -> None:
    lead = member(people.acme, "lea", Role.DEVELOPER)
    role = create_role(people.acme, "lead", ["keys.read", "keys.write_own"], actor=SYSTEM)
    set_member(people.acme, lead.email, Role.CUSTOM, actor=SYSTEM, custom_role=role)
    (other,) = several(people, "other")
    _, page = post(signed_in(lead), [other], "revoke")
    assert preview_texts(page) == {"other": "No change · You cannot change this key"}
    assert 'value="apply"' not in page


def test_confirmed_plan_of_other_keys_is_another() -> None:
    plans = [[Planned(Key(id=new_id()), "Active", "Disabled")] for _ in range(2)]
    assert digest_of(plans[0]) != digest_of(plans[1])
    assert digest_of(plans[0]) == digest_of(list(plans[0]))
