"""Models as the choices of a field: names, and patterns with the names that they match. A name that
no model has is refused, and similar names are suggested."""

import difflib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from django.http import HttpRequest, HttpResponse
from django.utils.translation import gettext, ngettext
from django.views.decorators.http import require_safe

from accounts.access.actors import Actor
from accounts.guards.guards import operator_page, organisation_page
from billing.prices.name_patterns import matches
from billing.templatetags.rates import rate
from gateway.channels.served_models import served_models
from gateway.listed_models.public_models import public_models
from gateway.listed_models.shown_models import ListedModel, models_for
from gateway.settings.installation import installation_settings
from lib.forms.picker import CHOICES_MAX, Choice, answer_choices, split_words, typed_text

ANY = "any"
"""The parameter that makes a list also offer, with a warning, a name that no model has now."""
_SIMILAR_MAX = 3


@dataclass(frozen=True, slots=True)
class ModelNames:
    """The available names, each with its description. `wildcards` are patterns of channels, which
    serve further names."""

    notes: Mapping[str, str]
    wildcards: Sequence[str]

    def describe(self, values: Sequence[str]) -> list[Choice]:
        """Return the chosen names and patterns with their descriptions."""
        return [self._describe(value) for value in values]

    def search(self, text: str) -> list[Choice]:
        """Return the names that contain a text, and the patterns that equal it or begin with it.
        Several words are a pasted list; those of them that are available are returned."""
        words = split_words(text)
        if len(words) > 1:
            known = [word for word in words if "*" in word or self.knows(word)]
            return [*self.describe(known), *self._similar_choices(set(words) - set(known))]
        word = "".join(words)
        folded = word.casefold()
        fitting = [name for name in self.notes if _matches_word(word, folded, name)]
        fitting.sort(key=lambda name: (name != word, not name.casefold().startswith(folded), name))
        choices = [Choice(name, name, self.notes[name]) for name in fitting[: CHOICES_MAX - 1]]
        if "*" in word:
            return [self._pattern(word), *choices]
        if word and word not in self.notes and self.knows(word):
            choices.insert(0, Choice(word, word, gettext("Served by a pattern of a channel")))
        if word and sum(matches(f"{word}*", name) for name in self.notes) > 1:
            choices.append(self._pattern(f"{word}*"))
        return choices or self._similar_choices({word})

    def knows(self, name: str) -> bool:
        """Return whether a request can use this name."""
        return name in self.notes or any(matches(wildcard, name) for wildcard in self.wildcards)

    def refusal(self, names: Iterable[str]) -> str:
        """Return the error for the first name that no model has, or "". Patterns are accepted,
        because they may match later models."""
        for name in names:
            if "*" in name or self.knows(name):
                continue
            if similar := self._similar(name):
                text = gettext("There is no model named %(name)s. Did you mean %(similar)s?")
                return text % {"name": name[:60], "similar": similar[0]}
            return gettext("There is no model named %(name)s.") % {"name": name[:60]}
        return ""

    def _describe(self, name: str) -> Choice:
        if "*" in name:
            return self._pattern(name)
        if self.knows(name):
            return Choice(name, name)
        return Choice(name, name, mark=gettext("No such model"), tone="warn")

    def _pattern(self, pattern: str) -> Choice:
        count = sum(matches(pattern, name) for name in self.notes)
        if not count:
            return Choice(pattern, pattern, mark=gettext("Matches no model now"), tone="warn")
        text = ngettext("%(n)s model", "%(n)s models", count) % {"n": count}
        return Choice(pattern, pattern, mark=text)

    def _similar(self, name: str) -> list[str]:
        return difflib.get_close_matches(name, self.notes, _SIMILAR_MAX)

    def _similar_choices(self, words: Iterable[str]) -> list[Choice]:
        names = dict.fromkeys(name for word in words for name in self._similar(word))
        return [Choice(name, name, self.notes[name]) for name in names]


def offered_names(actor: Actor) -> ModelNames:
    """Return what an organisation may call."""
    free = installation_settings().unpriced_models != "reject"
    wildcards = [model.name for model in served_models() if model.pattern] if free else []
    return ModelNames({model.name: _note(model) for model in models_for(actor)}, wildcards)


def installation_names() -> ModelNames:
    """Return every name of the installation."""
    models = public_models()
    notes = {
        model.name: " · ".join(
            [gettext("Alias of %(model)s") % {"model": model.target}]
            if model.target
            else dict.fromkeys(server.channel.name for server in model.servers)
        )
        for model in models
        if not model.pattern
    }
    return ModelNames(notes, [model.name for model in models if model.pattern])


@organisation_page("models.read")
@require_safe
def model_choices(request: HttpRequest, actor: Actor) -> HttpResponse:
    return _answer(request, offered_names(actor))


@operator_page("models.read")
@require_safe
def installation_model_choices(request: HttpRequest, actor: Actor) -> HttpResponse:
    return _answer(request, installation_names())


def _answer(request: HttpRequest, names: ModelNames) -> HttpResponse:
    text = typed_text(request)
    choices, words = names.search(text), split_words(text)
    if ANY in request.GET and len(words) == 1 and not names.knows(words[0]) and "*" not in text:
        choices += names.describe(words)
    empty = names.refusal(words) or gettext("There are no models yet.")
    return answer_choices(request, choices, empty)


def _matches_word(word: str, folded: str, name: str) -> bool:
    return matches(word, name) if "*" in word else folded in name.casefold()


def _note(model: ListedModel) -> str:
    if model.input_rate is None and model.output_rate is None:
        return model.owner
    prices = gettext("%(input)s in · %(output)s out") % {
        "input": rate(model.input_rate),
        "output": rate(model.output_rate),
    }
    return f"{model.owner} · {prices}" if model.owner else prices
