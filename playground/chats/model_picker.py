"""The list for choosing a model, with capabilities and prices. The person's favourites come
first."""

from dataclasses import dataclass
from typing import Final

from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils.translation import gettext
from django.views.decorators.http import require_POST, require_safe

from accounts.access.actors import Actor, person_of
from accounts.guards.guards import organisation_page
from gateway.listed_models.shown_models import ListedModel, models_for
from playground.conversations.conversations import models_last_used
from playground.models_offered.offered_models import chat_models
from playground.preferences.preferences import choose_default_model, preference_of, toggle_favourite

LAST_USED_MAX: Final = 5
ICONS: Final = {
    "tools": "wrench",
    "schema": "table",
    "vision": "image",
    "files": "file-text",
    "audio": "music",
    "reasoning": "zap",
    "search": "search",
}


@dataclass(frozen=True)
class PickedModel:
    """A row of the list. `abilities` are icons with their labels."""

    model: ListedModel
    favourite: bool
    default: bool
    abilities: list[tuple[str, str]]

    @property
    def searched(self) -> str:
        """Return the text that a search matches."""
        words = [self.model.name, self.model.owner, *(word for _, word in self.abilities)]
        return " ".join(words).lower()


def picker_groups(actor: Actor) -> list[tuple[str, list[PickedModel]]]:
    """Return the chat models under headings: favourites, last used, and the others by name."""
    offered = {model.name for model in chat_models(actor)}
    preference = preference_of(person_of(actor))
    favourites = set(preference.favourite_models)
    rows = {
        model.name: PickedModel(
            model,
            model.name in favourites,
            model.name == preference.default_model,
            [(ICONS[key], word) for key, word in model.capabilities.items() if key in ICONS],
        )
        for model in models_for(actor)
        if model.name in offered
    }
    used = [name for name in models_last_used(actor) if name in rows and name not in favourites]
    used = used[:LAST_USED_MAX]
    first = [
        (gettext("Favourites"), [row for row in rows.values() if row.favourite]),
        (gettext("Last used"), [rows[name] for name in used]),
    ]
    remaining = [row for name, row in rows.items() if not row.favourite and name not in used]
    groups = [*first, (gettext("All models"), remaining)]
    return [(heading, group) for heading, group in groups if group]


@organisation_page("playground.use")
@require_safe
def model_options(request: HttpRequest, actor: Actor) -> HttpResponse:
    return _options(request, actor)


@organisation_page("playground.use")
@require_POST
def model_favourite(request: HttpRequest, actor: Actor) -> HttpResponse:
    """Add a model to the person's favourites, or remove it."""
    toggle_favourite(actor, _default_key(request, actor))
    return _options(request, actor)


@organisation_page("playground.use")
@require_POST
def model_default(request: HttpRequest, actor: Actor) -> HttpResponse:
    """Make a model the default of the person's new chats. Choosing the default again removes it."""
    name = _default_key(request, actor)
    same = preference_of(person_of(actor)).default_model == name
    choose_default_model(actor, "" if same else name)
    return _options(request, actor)


def _options(request: HttpRequest, actor: Actor) -> HttpResponse:
    return render(
        request, "playground/models_offered/_model_options.html", {"groups": picker_groups(actor)}
    )


def _default_key(request: HttpRequest, actor: Actor) -> str:
    name = request.POST.get("model", "")
    if name not in {model.name for model in chat_models(actor)}:
        raise Http404
    return name
