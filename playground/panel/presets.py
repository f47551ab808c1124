"""Presets: named settings, of their author or for the whole organisation."""

from django.db.models import Q, QuerySet

from accounts.access.access import get_by_id, require
from accounts.access.actors import Actor, organisation_of, person_of
from content.prompts.settings import Settings
from lib.refusal import check_text
from playground.models import Preset

NAME_MAX = 80


def visible_presets(actor: Actor) -> QuerySet[Preset]:
    """Return the actor's own presets and the shared ones, by name."""
    require(actor, "playground.read")
    theirs = Q(user=actor.user) | Q(shared=True)
    return Preset.objects.filter(theirs, organisation=actor.organisation)


def access_preset(actor: Actor, id: str, *, own: bool = False) -> Preset:
    """Return a preset that the actor may see; with `own` only one of its own presets. Raises
    Http404."""
    presets = visible_presets(actor)
    return get_by_id(presets.filter(user=actor.user) if own else presets, id)


def save_preset(actor: Actor, name: str, settings: Settings, *, shared: bool) -> Preset:
    """Save settings under a name, replacing the actor's own preset with that name. Raises
    Refused."""
    require(actor, "playground.use")
    preset, _ = Preset.objects.update_or_create(
        organisation=organisation_of(actor),
        user=person_of(actor),
        name=check_text("preset_name", name, NAME_MAX),
        defaults={"settings": settings.stored(), "shared": shared},
    )
    return preset


def delete_preset(preset: Preset) -> None:
    """Remove a preset."""
    preset.delete()
