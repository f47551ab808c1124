"""The guards that rules can name, and the settings that each one has."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import msgspec

from content.detectors.call import Call
from content.detectors.detector import Detector
from content.detectors.hook import HookSettings, call_hook
from content.detectors.moderation import ModerationSettings, call_moderation
from content.detectors.numbers import CARD, IBAN, TELEPHONE, numbers_of_people
from content.detectors.own import Expression, words
from content.detectors.patterns import EMAIL, PRIVATE_KEY, SECRETS
from content.detectors.presidio import PresidioSettings, call_presidio
from content.detectors.tools import ToolRules, check_tool_rules
from content.detectors.topics import TEXTS_MAX, TopicSettings, call_topics

Detectors = Sequence[Detector]


class _None(msgspec.Struct, forbid_unknown_fields=True):
    pass


class _Countries(msgspec.Struct, forbid_unknown_fields=True):
    countries: list[str]


class _Words(msgspec.Struct, forbid_unknown_fields=True):
    words: list[str]


class _Expressions(msgspec.Struct, forbid_unknown_fields=True):
    expressions: list[str]
    ignore_case: bool = False


def _no_texts(rules: ToolRules) -> Detectors:
    check_tool_rules(rules)
    return ()


class Guard(NamedTuple):
    """A guard is pure and has `detectors`, or it makes a `call`.

    `texts_max` is how many texts a call is about at most, 0 for all of them: there are as many
    calls as that takes. `decides`: what happens to a text is in the answer to the call, not in the
    rule. `label` is its name on pages, for a guard of an extension. `reads_texts`: it finds
    something in texts; the other one judges calls of tools.
    """

    settings: type[msgspec.Struct]
    detectors: Callable[[Any], Detectors] | None = None
    call: Call | None = None
    texts_max: int = 0
    decides: bool = False
    label: str = ""
    reads_texts: bool = True


GUARDS: dict[str, Guard] = {
    "email": Guard(_None, lambda _: (EMAIL,)),
    "card": Guard(_None, lambda _: (CARD,)),
    "iban": Guard(_None, lambda _: (IBAN,)),
    "telephone": Guard(_None, lambda _: (TELEPHONE,)),
    "national_number": Guard(_Countries, lambda one: numbers_of_people(one.countries)),
    "secret": Guard(_None, lambda _: SECRETS),
    "private_key": Guard(_None, lambda _: (PRIVATE_KEY,)),
    "words": Guard(_Words, lambda one: words(one.words)),
    "expressions": Guard(
        _Expressions, lambda one: [Expression(each, one.ignore_case) for each in one.expressions]
    ),
    "tool": Guard(ToolRules, _no_texts, reads_texts=False),
    "hook": Guard(HookSettings, call=call_hook, decides=True),
    "moderation": Guard(ModerationSettings, call=call_moderation),
    "topics": Guard(TopicSettings, call=call_topics, texts_max=TEXTS_MAX),
    "presidio": Guard(PresidioSettings, call=call_presidio, texts_max=1),
}


def read_settings(guard: str, settings: dict[str, Any]) -> Any:
    """Return the settings of a guard; raise `ValueError` where there is none, or they do not
    fit.
    """
    if guard not in GUARDS:
        raise ValueError(f"There is no guard {guard!r}.")
    try:
        return msgspec.convert(settings, GUARDS[guard].settings)
    except msgspec.ValidationError as error:
        raise ValueError(f"Settings of {guard}: {error}.") from error


def make_detectors(guard: str, settings: dict[str, Any]) -> Detectors:
    """Return what finds for a guard, nothing for one that makes a call or judges calls; raise
    `ValueError` where there is none, or its settings do not fit.
    """
    known = read_settings(guard, settings)
    if (make := GUARDS[guard].detectors) is None:
        return ()
    detectors = make(known)
    if not detectors and GUARDS[guard].reads_texts:
        raise ValueError(f"Settings of {guard}: choose at least one.")
    return detectors
