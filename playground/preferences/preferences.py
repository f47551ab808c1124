"""Settings of a person for the playground, within the organisation's limits."""

from collections.abc import Mapping

from django.db import transaction

from accounts.access.access import require
from accounts.access.actors import Actor, organisation_of, person_of
from accounts.audit import audit
from accounts.models import Organisation, User
from playground.models import Leaving, LeavingRule, OrganisationPreference, Preference
from playground.preferences.unwatched import unwatched_ms_max


def preference_of(user: User) -> Preference:
    """Return the person's settings, with defaults for those not set."""
    return Preference.objects.filter(user=user).first() or Preference(user=user)


def leaving_seconds_max(organisation: Organisation) -> int | None:
    """Return the organisation's limit in seconds for unwatched answers, or None."""
    rule = LeavingRule.objects.filter(organisation=organisation).first()
    return rule.seconds_max if rule else None


def unwatched_ms_of(organisation: Organisation, user: User) -> int | None:
    """Return after how many milliseconds without a viewer an answer of this person is stopped, or
    None for never."""
    return unwatched_ms_max(preference_of(user).leaving, leaving_seconds_max(organisation))


def choose_leaving(actor: Actor, leaving: Leaving) -> None:
    """Set what happens to the person's unwatched answers, from the next one on."""
    require(actor, "playground.use")
    Preference.objects.update_or_create(user=person_of(actor), defaults={"leaving": leaving})


def choose_title_model(actor: Actor, model: str) -> None:
    """Set the model that names the person's new chats: CHEAPEST for the cheapest one, "" to use
    their first words."""
    require(actor, "playground.use")
    Preference.objects.update_or_create(user=person_of(actor), defaults={"title_model": model})


def choose_default_model(actor: Actor, model: str) -> None:
    """Set the model of the person's new chats, "" for the last used one."""
    require(actor, "playground.use")
    Preference.objects.update_or_create(user=person_of(actor), defaults={"default_model": model})


def toggle_favourite(actor: Actor, model: str) -> None:
    """Add a model to the person's favourites, or remove it."""
    require(actor, "playground.use")
    with transaction.atomic():
        Preference.objects.get_or_create(user=person_of(actor))
        preference = Preference.objects.select_for_update().get(user=person_of(actor))
        favourites = [name for name in preference.favourite_models if name != model]
        if len(favourites) == len(preference.favourite_models):
            favourites.append(model)
        preference.favourite_models = favourites
        preference.save(update_fields=["favourite_models"])


def organisation_model(organisation: Organisation) -> str:
    """Return the organisation's default model for people who have used none yet, or ""."""
    chosen = OrganisationPreference.objects.filter(organisation=organisation).first()
    return chosen.default_model if chosen else ""


def choose_organisation_model(actor: Actor, model: str) -> None:
    """Set the organisation's default model, "" for none."""
    require(actor, "playground.write")
    organisation = organisation_of(actor)
    with transaction.atomic():
        preference, _ = OrganisationPreference.objects.select_for_update().get_or_create(
            organisation=organisation
        )
        if preference.default_model == model:
            return
        before, preference.default_model = preference.default_model, model
        preference.save(update_fields=["default_model"])
        audit.record(
            actor,
            organisation,
            "playground.default_model_changed",
            organisation,
            before={"default_model": before},
            after={"default_model": model},
        )


def choose_keys(
    actor: Actor, keys: Mapping[str, str], *, letter_keys: bool, enter_sends: bool
) -> None:
    """Set the person's shortcuts (`shortcuts.read_letters`)."""
    require(actor, "playground.use")
    chosen = {"keys": dict(keys), "letter_keys": letter_keys, "enter_sends": enter_sends}
    Preference.objects.update_or_create(user=person_of(actor), defaults=chosen)


def set_leaving_rule(actor: Actor, seconds_max: int | None) -> None:
    """Set the upper limit for everybody in the organisation, from the next answer on."""
    require(actor, "playground.write")
    organisation = organisation_of(actor)
    with transaction.atomic():
        rule, _ = LeavingRule.objects.select_for_update().get_or_create(organisation=organisation)
        if rule.seconds_max == seconds_max:
            return
        before, rule.seconds_max = rule.seconds_max, seconds_max
        rule.save(update_fields=["seconds_max"])
        audit.record(
            actor,
            organisation,
            "playground.leaving_rule_changed",
            organisation,
            before={"seconds_max": before},
            after={"seconds_max": seconds_max},
        )
