"""What proposed facts of models are called on pages."""

from collections.abc import Mapping
from typing import Any, Final

from django.utils.functional import Promise
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from gateway.listed_models.shown_models import CAPABILITY_WORDS
from gateway.model_entries.facts import FIELDS, PRICE
from gateway.models import ModelProposal
from lib.ids import id_text
from lib.numbers.formatting import group_digits

FIELD_WORDS: Final[Mapping[str, Promise]] = {
    "context_max": _("Context"),
    "output_max": _("Max output"),
    "sunset_at": _("Retirement"),
    **{name: word for name, word in CAPABILITY_WORDS.items() if name in FIELDS},
}
"""Display names of the facts of models."""
IGNORE_WORDS: Final[Mapping[str, Promise]] = {
    "": _("Everything"),
    PRICE: _("Prices"),
    **FIELD_WORDS,
}


def display_proposal(row: ModelProposal) -> dict[str, Any]:
    """Return a proposed fact as a row of the list."""
    return {
        "id": id_text(row.id),
        "model": row.model,
        "field": FIELD_WORDS[row.field],
        "before": fact_words(row.before),
        "after": fact_words(row.after),
        "source": row.source,
    }


def fact_words(fact: object) -> str:
    """Return a fact as text."""
    if fact is None:
        return gettext("not known")
    if isinstance(fact, bool):
        return gettext("On") if fact else gettext("Off")
    return group_digits(fact) if isinstance(fact, int) else str(fact)
