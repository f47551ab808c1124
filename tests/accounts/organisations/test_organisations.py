from functools import partial

import pytest

from accounts.access.access import AccessDenied, require, scope_of
from accounts.access.actors import SYSTEM, key_actor
from accounts.keys import keys
from accounts.limits.data_policy import REGIONS_MAX
from accounts.models import AuditEvent, Epoch, Key, KeyKind
from accounts.organisations import organisations
from lib.ids import id_text
from lib.refusal import Refused
from tests.support.cast import Cast, actor, make_key, signed_in


def test_an_organisation_begins_with_a_team_and_a_playground_key(db: None) -> None:
    organisation = organisations.create_organisation("Acme Inc.", owner=None, actor=SYSTEM)
    assert organisation.slug == "acme-inc"
    team = organisation.teams.get()
    key = keys.playground_key(organisation)
    assert (key.team, key.kind, key.prefix, key.last4) == (team, KeyKind.PLAYGROUND, "", "")
    assert Key.objects.count() == 1
    assert Epoch.objects.get().n == 1


@pytest.mark.parametrize("name", ["Acme", "北京", "!!!"])
def test_every_name_gets_a_slug_of_its_own(people: Cast, name: str) -> None:
    one = organisations.create_organisation(name, owner=None, actor=SYSTEM)
    two = organisations.create_organisation(name, owner=None, actor=SYSTEM)
    assert len({"acme", one.slug, two.slug}) == 3
    assert one.slug


def test_effects_and_messages_of_a_suspension(people: Cast) -> None:
    """P11: a suspended or archived organisation has no living key; what is so already stays."""
    _, text = make_key(people.core, "ci", user=people.bob)
    suspend = partial(organisations.suspend_organisation, people.acme, "unpaid", actor=SYSTEM)
    archive = partial(organisations.archive_organisation, people.acme, actor=SYSTEM)
    for stop, again in (
        (suspend, organisations.lift_suspension),
        (archive, organisations.restore_organisation),
    ):
        assert key_actor(text) is not None
        stop()
        assert key_actor(text) is None
        stop()
        again(people.acme, actor=SYSTEM)
    assert key_actor(text) is not None
    actions = AuditEvent.objects.filter(object_id=id_text(people.acme.id)).order_by("id")
    assert [one.action for one in actions] == [
        "organisation.created",
        "organisation.suspended",
        "organisation.unsuspended",
        "organisation.archived",
        "organisation.restored",
    ]


def test_suspended_organisation_can_be_read_and_topped_up(people: Cast) -> None:
    organisations.suspend_organisation(people.acme, "Invoice 7 is unpaid.", actor=SYSTEM)
    people.acme.refresh_from_db()
    alice = actor(people.alice, people.acme)
    assert scope_of(alice, "usage.read") == scope_of(alice, "topups.write") == "all"
    assert scope_of(alice, "keys.write") is None
    with pytest.raises(AccessDenied, match=r"Acme is suspended. Invoice 7 is unpaid. Contact"):
        require(alice, "keys.write")


@pytest.mark.parametrize("name", ["", " ", "a" * 121, "a\nb", "a\0b"])
def test_invalid_names(people: Cast, name: str) -> None:
    with pytest.raises(Refused) as refusal:
        organisations.rename_organisation(people.acme, name, actor=SYSTEM)
    assert refusal.value.field == "name"


def test_an_archived_organisation_has_no_pages(people: Cast) -> None:
    organisations.archive_organisation(people.acme, actor=SYSTEM)
    assert signed_in(people.alice).get("/o/acme/").status_code == 404


def test_labels_that_are_required_are_labels(people: Cast) -> None:
    organisations.require_labels(people.core, ["tags", "project"], actor=SYSTEM)
    people.core.refresh_from_db()
    assert people.core.required_labels == ["project", "tags"]
    with pytest.raises(Refused, match="Unknown label colour"):
        organisations.require_labels(people.core, ["colour"], actor=SYSTEM)


def test_currency_is_chosen_in_any_case_and_spacing(people: Cast) -> None:
    chosen = organisations.set_display_currency(people.acme, " eur ", actor=SYSTEM)
    assert chosen.display_currency == "EUR"


def test_as_many_regions_as_are_offered_are_accepted(people: Cast) -> None:
    regions = [f"eu-{n}" for n in range(REGIONS_MAX + 1)]
    set_regions = partial(organisations.set_data_policy, zero_retention=False, actor=SYSTEM)
    assert len(set_regions(people.acme, regions=regions[1:]).data_regions) == REGIONS_MAX
    with pytest.raises(Refused, match="up to 20 entries"):
        set_regions(people.acme, regions=regions)
