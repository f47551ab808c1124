"""Keys as they are listed, chosen and given away."""

import datetime as dt

import pytest

from accounts.access.actors import SYSTEM
from accounts.keys import choices, departures, keys, service_accounts
from accounts.keys.forms import KeyForm
from accounts.models import (
    KeyKind,
    Role,
)
from lib import clock
from lib.ids import id_text
from tests.support.cast import Cast, actor, make_key, member, with_key

pytestmark = pytest.mark.django_db
DAY = dt.timedelta(days=1)


def test_list_of_keys_leaves_out_revoked_ones_unless_asked(people: Cast) -> None:
    _, text = make_key(people.core, "manager", user=people.alice, kind=KeyKind.MANAGEMENT)
    client = with_key(text)
    ended, _ = make_key(people.core, "ended", expires_at=clock.now() + DAY)
    living, _ = make_key(people.core, "living", expires_at=clock.now() + DAY)
    keys.revoke_key(SYSTEM, ended)

    def names(query: str) -> list[str]:
        return [row["name"] for row in client.get(f"/api/v1/keys{query}").json()["items"]]

    assert names("") == ["living", "manager"]
    assert names("?state=all") == ["living", "ended", "manager"]
    shown = client.get(f"/api/v1/keys/{id_text(ended.id)}").json()
    assert (shown["state"], shown["disabled"]) == ("revoked", False)
    assert shown["expires_at"] > shown["revoked_at"]
    shown = client.get(f"/api/v1/keys/{id_text(living.id)}").json()
    assert (shown["state"], shown["revoked_at"]) == ("active", None)


@pytest.mark.parametrize("days", [7, 30, 90, 365])
def test_new_key_lives_as_long_as_its_form_says(days: int) -> None:
    form = KeyForm({"name": "ci", "kind": "relay", "lifetime": str(days)})
    assert form.is_valid()
    left = form.cleaned_data["lifetime"] - clock.now()
    assert round(left / DAY, 3) == days


def test_choices_of_keys_are_those_that_call_models(people: Cast) -> None:
    ours, text = make_key(people.core, "web")
    make_key(people.core, "m", user=people.alice, kind=KeyKind.MANAGEMENT)
    gone, _ = make_key(people.core, "web-old")
    keys.revoke_key(SYSTEM, gone)
    by = actor(people.alice, people.acme)
    for typed in ("", "WE", text[-4:], text[:12]):
        assert [one.value for one in choices.key_choices(by, typed)] == [id_text(ours.id)]
    assert choices.key_choices(by, "old") == []


def test_key_of_who_leaves_goes_to_others_who_can_use_it(people: Cast) -> None:
    key, _ = make_key(people.core, "ci", user=people.bob)
    for name, disabled in (("bot", False), ("old", True)):
        account = service_accounts.create_service_account(people.core, name, actor=SYSTEM)
        service_accounts.change_service_account(
            account, role=Role.DEVELOPER, disabled=disabled, actor=SYSTEM
        )
    member(people.acme, "vic", Role.VIEWER)
    anna = member(people.acme, "anna", Role.ADMIN)
    found = departures.receivers(actor(people.alice, people.acme), key)
    assert [departures.name_of(one) for one in found] == [people.alice.email, anna.email, "bot"]
