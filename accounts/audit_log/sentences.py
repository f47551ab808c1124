"""Audit events as sentences: "Ana raised the budget of team core from $50.00 to $80.00".

Of a kind without words of its own, or if the facts of no form are all known, a general sentence is
used.
"""

from collections.abc import Callable, Mapping
from typing import Final

from django.utils.html import escape, format_html
from django.utils.safestring import SafeString, mark_safe
from django.utils.translation import gettext_lazy as _

from accounts.audit_log.words import SENTENCES
from lib.sentences import close_blanks

_ANY: Final = _("%(who)s acted on %(object)s")


def kinds_of(act: str) -> list[str]:
    """Return the kinds of events in a group of actions."""
    return [kind for kind, sentence in SENTENCES.items() if sentence.act == act]


def sentence_text(kind: str, facts: Mapping[str, str], *, own: bool = False) -> str:
    """Return the sentence of an event as plain text."""
    return _write(kind, facts, own, str, str)


def sentence_html(kind: str, facts: Mapping[str, str], *, own: bool = False) -> SafeString:
    """Return the sentence of an event as HTML. Each fact is isolated, so a name cannot change the
    direction or the markup of the text around it."""
    text = _write(kind, facts, own, escape, lambda fact: format_html("<bdi>{}</bdi>", fact))
    return mark_safe(text)  # noqa: S308 - the form and the facts are escaped above


def _write(
    kind: str,
    facts: Mapping[str, str],
    own: bool,
    write_form: Callable[[str], str],
    write_fact: Callable[[str], str],
) -> str:
    known = {name: write_fact(fact) for name, fact in facts.items() if fact}
    sentence = SENTENCES.get(kind)
    forms = sentence.forms if sentence else ()
    if own and sentence and sentence.own:
        forms = (sentence.own, *forms)
    for form in (*forms, _ANY):
        try:
            return write_form(close_blanks(str(form), facts)) % known
        except KeyError:
            continue
    raise ValueError("an event without an actor or an object")
