"""Display names of parameters, and error messages for their values."""

from collections.abc import Callable, Mapping
from typing import Any, Final

from django.utils.functional import Promise
from django.utils.translation import gettext, pgettext_lazy
from django.utils.translation import gettext_lazy as _

from lib.network.egress import EgressError, Unreachable
from playground.attachments.rules import UnsupportedFile
from playground.models import PayerRule
from playground.panel.openapi_tools import Unusable
from playground.panel.parameters import InvalidSetting

Name = str | Promise

PARAMETERS: Final[Mapping[str, tuple[Name, Name]]] = {
    "reasoning_effort": (_("Reasoning effort"), _("How much the model thinks before it answers.")),
    "thinking_budget": (_("Thinking budget"), _("How many tokens the model may use to think.")),
    "thinking": (_("Thinking"), _("Whether the model thinks before it answers.")),
    "temperature": (_("Temperature"), _("Lower is more predictable, higher is more varied.")),
    "top_p": (_("Top P"), _("Only considers the most likely tokens up to this total probability.")),
    "top_k": (_("Top K"), _("Only considers this many of the most likely tokens.")),
    "frequency_penalty": (_("Frequency penalty"), _("Above 0, repeats the same words less often.")),
    "presence_penalty": (_("Presence penalty"), _("Above 0, moves to new topics more often.")),
    "max_output": (_("Max output"), _("Maximum tokens in the answer, including reasoning.")),
    "stop": (_("Stop sequences"), _("The answer stops before any of these, one per line.")),
    "seed": (_("Seed"), _("The same seed and request usually give the same answer.")),
    "service_tier": (_("Service tier"), _("The provider's speed tier. Each has its own price.")),
    "verbosity": (_("Verbosity"), _("How detailed the answer is.")),
    "n": (_("Answers"), _("How many answers to generate. Each is charged and kept as a version.")),
    "logprobs": (
        _("Token probabilities"),
        _("Shows how likely each token was, and the alternatives."),
    ),
    "cache": (_("Prompt cache"), _("Asks the provider to cache the prompt so far.")),
    "web_search": (_("Web search"), _("Lets the provider search the web. Each search is charged.")),
    "voice": (_("Voice"), _("The answer is also spoken.")),
}

SHORTCUTS: Final[Mapping[str, Name]] = {
    "new_chat": _("New chat"),
    "chats": _("Chat list"),
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
    "max_cost": _("Cost limit for this message"),
}


def name_of(field: str) -> str:
    """Return the display name of a field."""
    name = PARAMETERS[field][0] if field in PARAMETERS else FIELDS.get(field, field)
    return str(name)


def invalid_text(invalid: InvalidSetting) -> str:
    """Return the error message: what is wrong, where, and what is expected."""
    text = _INVALID[invalid.code]() % {"field": name_of(invalid.field), **invalid.detail}
    return text


_INVALID: Final[Mapping[str, Callable[[], str]]] = {
    "too_many": lambda: gettext("%(field)s: at most %(high)s."),
    "no_choice": lambda: gettext("%(field)s: choose one of %(choices)s."),
    "no_number": lambda: gettext("%(field)s: enter a number."),
    "out_of_range": lambda: gettext("%(field)s: enter a value from %(low)s to %(high)s."),
    "too_long": lambda: gettext("%(field)s: at most %(high)s characters."),
    "no_amount": lambda: gettext("%(field)s: enter an amount in USD, such as 0.05."),
    "no_json": lambda: gettext("%(field)s, line %(line)s, column %(column)s: %(reason)s."),
    "no_list": lambda: gettext("%(field)s: enter a JSON list of definitions."),
    "no_object": lambda: gettext("%(field)s, %(path)s: must be a JSON object."),
    "no_name": lambda: gettext(
        "%(field)s, %(path)s: must be a name of up to 64 letters, digits, hyphens and underscores."
    ),
    "no_mock": lambda: gettext("%(field)s, %(path)s: “always” needs a mock result."),
    "twice": lambda: gettext("%(field)s, %(path)s: %(name)s is defined twice."),
    "unknown_member": lambda: gettext("%(field)s, %(path)s: %(name)s is unknown."),
    "wrong_type": lambda: gettext("%(field)s, %(path)s: expected %(expected)s."),
    "bad_schema": lambda: gettext("%(field)s, %(path)s: %(reason)s."),
    "reserved": lambda: gettext(
        "%(field)s, %(path)s: %(name)s is set by the conversation. Remove it here."
    ),
}


def unusable_text(unusable: Unusable) -> str:
    """Return why a description cannot be converted to tools."""
    texts = {
        "nothing": gettext("Enter a URL, or choose a file."),
        "too_big": gettext("The specification is too large. The limit is 2 MB."),
        "no_text": gettext("The specification is not UTF-8 text."),
        "no_json": gettext("The specification could not be read: line %(line)s, %(reason)s."),
        "no_openapi": gettext("This is not an OpenAPI 3 specification: it has no “openapi: 3…”."),
        "no_operations": gettext("The specification has no operations."),
        "too_many": gettext("The specification has more than %(high)s operations."),
        "too_much": gettext("The specification is too large once its references are resolved."),
    }
    return texts[unusable.code] % unusable.detail


def file_text(refused: UnsupportedFile, name: str) -> str:
    """Return why a file cannot be attached."""
    texts = {
        "empty": gettext("%(name)s is empty."),
        "too_big": gettext("%(name)s is too large. The limit is 20 MB, or 1 MB for text."),
        "unknown": gettext(
            "%(name)s is not a supported file type. Models can read images, PDF, text and audio."
        ),
    }
    return texts[refused.code] % {"name": name}


def unfetched_text(error: EgressError) -> str:
    """Return why the user's URL could not be fetched."""
    reason = str(error)
    if isinstance(error, Unreachable):
        reason = gettext(
            "Only public https URLs on port 443 with a trusted certificate can be fetched."
        )
    return gettext("The URL could not be fetched: %(reason)s") % {"reason": reason}


def unread_text(model: str, kinds: Mapping[str, Any]) -> str:
    """Return the message for a model that cannot read the attached kinds."""
    names = {"image": gettext("images"), "audio": gettext("audio"), "file": gettext("PDF files")}
    return gettext("%(model)s cannot read %(kinds)s. Switch the model or remove the file.") % {
        "model": model,
        "kinds": ", ".join(names.get(kind, kind) for kind in kinds),
    }


PAYER_RULES: Final[dict[str, Any]] = {
    PayerRule.ANY: _("The playground key and any key they can see"),
    PayerRule.PEOPLE: _(
        "The playground key and any key they can see, except keys of service accounts"
    ),
    PayerRule.OWN_OR_PLAYGROUND: _("The playground key and their own keys"),
    PayerRule.OWN: _("Only their own keys"),
    PayerRule.PLAYGROUND: _("Only the playground key"),
}
