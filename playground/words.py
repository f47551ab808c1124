"""What parameters are called on pages, and what is wrong with what somebody typed."""

from collections.abc import Callable, Mapping
from typing import Any, Final

from django.utils.functional import Promise
from django.utils.translation import gettext, pgettext_lazy
from django.utils.translation import gettext_lazy as _

from lib.egress import EgressError, Unreachable
from playground.rules.files import UnsupportedFile
from playground.rules.openapi import Unusable
from playground.rules.parameters import Wrong

Name = str | Promise

PARAMETERS: Final[Mapping[str, tuple[Name, Name]]] = {
    "reasoning_effort": (_("Reasoning effort"), _("How much it thinks before it answers.")),
    "thinking_budget": (_("Thinking budget"), _("Tokens that it may think with.")),
    "thinking": (_("Thinking"), _("Whether it thinks before it answers.")),
    "temperature": (_("Temperature"), _("Lower repeats itself, higher surprises.")),
    "top_p": (_("Top P"), _("Only the likeliest words that add up to this share.")),
    "top_k": (_("Top K"), _("Only so many of the likeliest words.")),
    "frequency_penalty": (_("Frequency penalty"), _("Above 0 it repeats words less often.")),
    "presence_penalty": (_("Presence penalty"), _("Above 0 it turns to new subjects.")),
    "max_output": (_("Max output"), _("Tokens of the answer at most, reasoning included.")),
    "stop": (_("Stop sequences"), _("The answer ends before any of these, one on each line.")),
    "seed": (_("Seed"), _("The same seed and request tend to give the same answer.")),
    "service_tier": (_("Service tier"), _("How fast the provider serves, at its own price.")),
    "verbosity": (_("Verbosity"), _("How much it says.")),
    "n": (_("Answers"), _("So many answers to one question, each charged; they are versions.")),
    "logprobs": (
        _("Token probabilities"),
        _("Shows how likely each token was, beside so many others."),
    ),
    "cache": (_("Prompt cache"), _("Marks the prompt so far to be kept by the provider.")),
    "web_search": (_("Web search"), _("The provider searches the web; each search is charged.")),
    "voice": (_("Voice"), _("The answer is spoken as well.")),
}

SHORTCUTS: Final[Mapping[str, Name]] = {
    "new_chat": _("New chat"),
    "model": _("Model picker"),
    "system": _("System prompt"),
    "params": _("Parameters"),
    "tools": _("Tools"),
    "code": pgettext_lazy("program", "Code"),
    "attach": _("Attach files"),
    "edit": _("Edit the last message"),
    "regenerate": _("Regenerate"),
    "rename": _("Rename the chat"),
}

FIELDS: Final[Mapping[str, Name]] = {
    "tools": _("Tools"),
    "tool_choice": _("Tool choice"),
    "schema": _("Output schema"),
    "raw": _("Request body"),
    "system": _("System prompt"),
    "max_cost": _("Limit this turn"),
}


def name_of(field: str) -> str:
    """What a field is called."""
    name = PARAMETERS[field][0] if field in PARAMETERS else FIELDS.get(field, field)
    return str(name)


def wrong_text(wrong: Wrong) -> str:
    """What is wrong, where, and what is expected."""
    told = _WRONG[wrong.code]() % {"field": name_of(wrong.field), **wrong.detail}
    return told


_WRONG: Final[Mapping[str, Callable[[], str]]] = {
    "too_many": lambda: gettext("%(field)s: %(high)s at most."),
    "no_choice": lambda: gettext("%(field)s: choose one of %(choices)s."),
    "no_number": lambda: gettext("%(field)s: a number is expected."),
    "out_of_range": lambda: gettext("%(field)s: expected from %(low)s to %(high)s."),
    "too_long": lambda: gettext("%(field)s: %(high)s characters at most."),
    "no_amount": lambda: gettext("%(field)s: an amount in USD is expected, such as 0.05."),
    "no_json": lambda: gettext("%(field)s, line %(line)s, column %(column)s: %(reason)s."),
    "no_list": lambda: gettext("%(field)s: a JSON list of definitions is expected."),
    "no_object": lambda: gettext("%(field)s, %(path)s: a JSON object is expected."),
    "no_name": lambda: gettext(
        "%(field)s, %(path)s: a name of at most 64 letters, digits, - and _ is expected."
    ),
    "no_mock": lambda: gettext("%(field)s, %(path)s: what is always answered needs a mock."),
    "twice": lambda: gettext("%(field)s, %(path)s: %(name)s is there twice."),
    "unknown_member": lambda: gettext("%(field)s, %(path)s: %(name)s is not known here."),
    "wrong_type": lambda: gettext("%(field)s, %(path)s: expected %(expected)s."),
    "bad_schema": lambda: gettext("%(field)s, %(path)s: %(reason)s."),
    "reserved": lambda: gettext(
        "%(field)s, %(path)s: %(name)s is said by the conversation. Leave it out here."
    ),
}


def unusable_text(unusable: Unusable) -> str:
    """Why no tools can be made of a description."""
    words = {
        "nothing": gettext("Give an address, or choose a file."),
        "too_big": gettext("The description is too large: the limit is 2 MB."),
        "no_text": gettext("The description is no text in UTF-8."),
        "no_json": gettext("The description cannot be read: line %(line)s, %(reason)s."),
        "no_openapi": gettext("This is no description in OpenAPI 3: it has no “openapi: 3…”."),
        "no_operations": gettext("The description has no operations."),
        "too_many": gettext("The description has more than %(high)s operations."),
        "too_much": gettext("The description is too large once its references are put in place."),
    }
    return words[unusable.code] % unusable.detail


def file_text(refused: UnsupportedFile, name: str) -> str:
    """Why a file cannot be attached."""
    words = {
        "empty": gettext("%(name)s is empty."),
        "too_big": gettext("%(name)s is too large: the limit is 20 MB, 1 MB for text."),
        "unknown": gettext(
            "%(name)s is none of the kinds that models read: image, PDF, text, audio."
        ),
    }
    return words[refused.code] % {"name": name}


def unfetched_text(error: EgressError) -> str:
    """Why nothing came from the address that somebody named."""
    reason = str(error)
    if isinstance(error, Unreachable):
        reason = gettext(
            "No public https address answers there, on port 443 with a trusted certificate."
        )
    return gettext("The address cannot be fetched: %(reason)s") % {"reason": reason}


def unread_text(model: str, kinds: Mapping[str, Any]) -> str:
    """A model that cannot read what is attached."""
    names = {"image": gettext("images"), "audio": gettext("audio"), "file": gettext("PDF files")}
    return gettext("%(model)s cannot read %(kinds)s. Switch model or remove the file.") % {
        "model": model,
        "kinds": ", ".join(names.get(kind, kind) for kind in kinds),
    }
