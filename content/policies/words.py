"""What guards, their places and actions are called on pages."""

from typing import Any, Final, Literal, NamedTuple

from django.utils.translation import gettext_lazy as _
from django.utils.translation import pgettext_lazy

from content.policies.guards import KNOWN

SettingKind = Literal[
    "lines",
    "codes",
    "tools",
    "topics",
    "text",
    "secret",
    "milliseconds",
    "share",
    "failures",
    "json",
]


class Setting(NamedTuple):
    """A setting of a guard in the form. `name` is "" for all settings together."""

    name: str
    kind: SettingKind
    label: Any
    hint: Any = ""


class GuardWords(NamedTuple):
    """The name of a guard, its settings, and what it looks for if that is not its name."""

    name: Any
    settings: tuple[Setting, ...] = ()
    looks_for: Any = ""


FAILURES: Final = {
    "deadline": _("No answer in time"),
    "connection": _("No connection"),
    "answer": _("No valid answer"),
}
_CALL: Final = (
    Setting("deadline_ms", "milliseconds", _("Time for an answer, in milliseconds")),
    Setting(
        "passes_on",
        "failures",
        _("Let texts pass unchecked after"),
        _("After other failures, the request ends with an error."),
    ),
)
_WAITS: Final = _("A streamed answer waits here until each of its blocks ends.")
_GUARDS: Final = {
    "email": GuardWords(_("Email addresses")),
    "card": GuardWords(_("Card numbers")),
    "iban": GuardWords(_("Bank accounts (IBAN)")),
    "telephone": GuardWords(_("Telephone numbers with a country code")),
    "national_number": GuardWords(
        _("National numbers of people"),
        (
            Setting(
                "countries",
                "codes",
                _("Countries"),
                _("Two letters each: BR CH CN DE ES FR GB IN IT JP KR NL PL SE TR US ZA."),
            ),
        ),
    ),
    "secret": GuardWords(_("Secrets of known vendors")),
    "private_key": GuardWords(_("Private keys")),
    "words": GuardWords(
        _("Words"),
        (Setting("words", "lines", _("Words and phrases"), _("One per line.")),),
        _("words and phrases that the policy lists"),
    ),
    "expressions": GuardWords(
        _("Regular expressions"),
        (
            Setting(
                "expressions",
                "lines",
                _("Expressions"),
                _("One per line, with a longest match: a{1,100} instead of a+."),
            ),
        ),
        _("what the policy's regular expressions match"),
    ),
    "hook": GuardWords(
        _("Own service (HTTP hook)"),
        (
            Setting("url", "text", _("URL of the hook"), _WAITS),
            Setting(
                "secret",
                "secret",
                _("Secret of the signature"),
                _("whsec_ and the base64 of 24 to 64 random bytes. It is not shown again."),
            ),
            *_CALL,
        ),
        _("what the policy's own service rejects"),
    ),
    "moderation": GuardWords(
        _("Moderation by a model"),
        (
            Setting("model", "text", _("Model"), _WAITS),
            Setting(
                "categories",
                "lines",
                _("Categories"),
                _("One per line. Empty: whatever the model flags."),
            ),
            Setting("threshold", "share", _("Lowest score of a category, from 0 to 1")),
            *_CALL,
        ),
        _("content that a moderation model flags"),
    ),
    "topics": GuardWords(
        _("Topics judged by a chat model"),
        (
            Setting("model", "text", _("Chat model"), _WAITS),
            Setting(
                "topics",
                "topics",
                _("Topics"),
                _(
                    "One per line, as name: description. The name has small letters and _. "
                    "prompt_injection needs no description."
                ),
            ),
            *_CALL,
        ),
        _("topics that the policy lists, as a chat model judges them"),
    ),
    "presidio": GuardWords(
        _("Personal data (Presidio)"),
        (
            Setting("url", "text", _("URL of the analyzer"), _WAITS),
            Setting("language", "text", _("Language"), _("Two letters, such as en.")),
            Setting(
                "entities",
                "codes",
                _("Entities"),
                _("Such as PERSON LOCATION. Empty: all that the analyzer knows."),
            ),
            Setting("score_threshold", "share", _("Lowest score, from 0 to 1")),
            *_CALL,
        ),
        _("personal data, as Presidio finds it"),
    ),
    "tool": GuardWords(
        _("Tools of agents"),
        (
            Setting(
                "rules",
                "tools",
                _("Rules for tools"),
                _(
                    "One per line: refuse, ask or allow, a tool's name with *, and what its "
                    "arguments contain: refuse shell /command sudo. The first rule that fits a "
                    "call decides."
                ),
            ),
        ),
        _("tool calls that the policy's rules reject"),
    ),
}


def guard_words(guard: str) -> GuardWords:
    """Return the words of a guard, also of one that is not installed any more."""
    known = KNOWN.get(guard)
    if guard in _GUARDS or known is None:
        return _GUARDS.get(guard, GuardWords(guard))
    # A guard of an extension.
    return GuardWords(known.label or guard, (Setting("", "json", _("Settings as JSON"), _WAITS),))


PLACES: Final = {
    "request": _("Requests"),
    "answer": _("Answers"),
    "tool_call": _("Tool calls"),
    "tool_result": _("Tool results"),
}
ACTIONS: Final = {
    "": _("Off"),
    "mask": pgettext_lazy("guard", "Mask"),
    "refuse": pgettext_lazy("guard", "Reject"),
    "flag": pgettext_lazy("guard", "Flag"),
    "decide": pgettext_lazy("guard", "What it answers"),
}
SCOPES: Final = {"organisation": _("Organisation"), "team": _("Team"), "key": _("API key")}
LIMITS: Final = {
    "model_patterns": _("Models"),
    "networks": _("IP addresses"),
    "retention_hours": _("Content log"),
    "budgets": _("Budgets"),
}
