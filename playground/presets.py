"""Presets: settings under a name, for their maker or for the whole organisation."""

from django.db.models import Q, QuerySet
from django.http import Http404

from accounts.access import Actor, organisation_of, person_of, require
from lib.ids import parse_id
from playground.models import Preset
from playground.rules.settings import Settings

NAME_MAX = 80


def visible_presets(actor: Actor) -> QuerySet[Preset]:
    """The actor's own presets and those that are shared, by name."""
    require(actor, "playground.read")
    theirs = Q(user=actor.user) | Q(shared=True)
    return Preset.objects.filter(theirs, organisation=actor.organisation)


def access_preset(actor: Actor, id: str, *, own: bool = False) -> Preset:
    """One preset that the actor sees; with `own` only one of its own. Http404 otherwise."""
    wanted = parse_id(id)
    if wanted is None:
        raise Http404
    presets = visible_presets(actor)
    found = (presets.filter(user=actor.user) if own else presets).filter(id=wanted).first()
    if found is None:
        raise Http404
    return found


def save_preset(actor: Actor, name: str, settings: Settings, *, shared: bool) -> Preset:
    """Keep settings under a name; one of the actor's own of that name is replaced."""
    require(actor, "playground.use")
    preset, _ = Preset.objects.update_or_create(
        organisation=organisation_of(actor),
        user=person_of(actor),
        name=name.strip()[:NAME_MAX],
        defaults={"settings": settings.stored(), "shared": shared},
    )
    return preset


def delete_preset(preset: Preset) -> None:
    """Remove a preset."""
    preset.delete()
