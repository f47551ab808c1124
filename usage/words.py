"""What meters, kinds of errors, bases and flags are called on pages."""

from collections.abc import Mapping
from typing import Final

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _
from django.utils.translation import pgettext_lazy

METERS: Final[Mapping[str, Promise]] = {
    "in_text": _("Input"),
    "in_cache_read": _("Cached input"),
    "in_audio_cached": _("Cached audio input"),
    "in_image_cached": _("Cached image input"),
    "in_cache_write_1h": _("Cache write, 1 h"),
    "in_cache_write_5m": _("Cache write, 5 min"),
    "in_audio": _("Audio input"),
    "in_image": _("Image input"),
    "in_video_ms": _("Video input, ms"),
    "out_text": _("Output"),
    "out_reasoning": _("Reasoning"),
    "out_audio": _("Audio output"),
    "out_image": _("Image output"),
    "images": _("Images"),
    "video_ms": _("Video, ms"),
    "audio_ms": _("Audio, ms"),
    "characters": _("Characters"),
    "pages": _("Pages"),
    "searches": _("Web searches"),
    "file_searches": _("File searches"),
    "code_sessions": _("Code sessions"),
    "requests": _("Requests"),
}

BASES: Final[Mapping[str, Promise]] = {
    "measured": pgettext_lazy("basis", "measured"),
    "drained": pgettext_lazy("basis", "drained"),
    "estimated": pgettext_lazy("basis", "estimated"),
    "absorbed": pgettext_lazy("basis", "absorbed"),
    "held": pgettext_lazy("basis", "held"),
    "free": pgettext_lazy("basis", "free"),
    "none": pgettext_lazy("basis", "none"),
}

# Why a request was charged as it was, in one sentence each.
CHARGED_BY: Final[Mapping[str, Promise]] = {
    "measured": _("Charged by the usage that the upstream reported."),
    "drained": _("The client left; the answer was read on to its end and charged by its usage."),
    "estimated": _(
        "The upstream reported no usable count; charged by our own, never above what was held."
    ),
    "absorbed": _("What it cost upstream is carried by this installation."),
    "held": _("A part of it has no price. What was held stays held until an operator decides."),
    "free": _("The model has no price and is free here."),
    "none": _("Nothing was sent to a model, so nothing was charged."),
}

KINDS: Final[Mapping[str, Promise]] = {
    "malformed_json": _("The body was not valid JSON"),
    "missing_parameter": _("A required parameter was missing"),
    "invalid_type": _("A parameter had the wrong type"),
    "invalid_value": _("A parameter had a value that is not allowed"),
    "context_length_exceeded": _("The request was longer than the model's context"),
    "content_filtered": _("The provider blocked the content"),
    "provider_rejected": _("The provider found the request wrong"),
    "unsupported_capability": _("The model cannot do what was asked"),
    "thread_unsupported": _("Conversations are not kept here for the provider's threads"),
    "authentication": _("The key was not accepted"),
    "key_conflict": _("Two different keys were sent"),
    "insufficient_balance": _("The balance did not cover the request"),
    "max_cost_exceeded": _("The cost limit of the request was too low"),
    "model_unpriced": _("The model has no price"),
    "permission": _("The key may not do this"),
    "model_not_found": _("No such model"),
    "task_not_found": _("No such task"),
    "conflict": _("The request clashed with another"),
    "idempotency_mismatch": _("The idempotency key was used for another body"),
    "body_too_large": _("The body was too large"),
    "unsupported_media_type": _("The body was of a type that is not read"),
    "rate_limited": _("A rate limit was reached"),
    "upstream_rate_limited": _("The upstream was at its limit"),
    "internal": _("The gateway failed"),
    "upstream_error": _("The upstream failed"),
    "upstream_truncated": _("The answer broke off"),
    "upstream_malformed": _("The upstream's answer could not be read"),
    "upstream_unreachable": _("The upstream could not be reached"),
    "upstream_auth": _("The upstream refused the channel's own key"),
    "no_channel": _("No channel could serve the model"),
    "overloaded": _("The upstream or the gateway was overloaded"),
    "server_shutting_down": _("The gateway was shutting down"),
    "timeout": _("No answer within the time limit"),
    "not_implemented": _("This is not offered"),
    "client_closed": _("The client went away"),
}

FLAGS: Final[Mapping[str, Promise]] = {
    "crash_cut": _("Cut off by a crash"),
    "above_hold": _("Cost more than was held"),
    "unpriced": _("No price"),
    "quarantine": _("Count under review"),
    "unpriced_meter": _("A meter without a price"),
    "negative_quantity": _("A count below zero"),
    "out_of_range": _("A count out of range"),
    "unstorable": _("Texts could not be stored"),
    "usage_missing": _("No count from the upstream"),
    "usage_unreadable": _("The upstream's count could not be read"),
    "usage_not_integer": _("The upstream's count is not a whole number"),
    "usage_negative": _("The upstream counted below zero"),
    "usage_huge": _("The upstream's count is too large"),
    "usage_cached_above_input": _("More cached than read"),
    "usage_parts_above_total": _("Parts above their total"),
    "usage_mismatch": _("Counts that disagree"),
    # What went wrong with an attempt, by its row in the table of faults.
    "F1": _("Connection refused"),
    "F2": _("Name not found"),
    "F3": _("TLS failed"),
    "F4": _("No connection in time"),
    "F5": _("Channel's key refused"),
    "F6": _("Content refused"),
    "F7": _("Model unknown upstream"),
    "F8": _("Rate limit of the upstream"),
    "F9": _("No credit at the upstream"),
    "F10": _("Upstream failed"),
    "F11": _("No first content in time"),
    "F12": _("No answer in time"),
    "F13": _("Answer stopped midway"),
    "F14": _("Answer cut off"),
    "F15": _("Malformed event"),
    "F16": _("Not UTF-8"),
    "F17": _("Event too large"),
    "F18": _("Answer without end"),
    "F19": _("Wrong content type"),
    "F20": _("Compressed without being asked"),
    "F21": _("Redirect"),
    "F22": _("Headers too large"),
    "F23": _("Error inside a success"),
    "F24": _("Empty answer"),
    "F25": _("No count from the upstream"),
    "F26": _("Count told more than once"),
    "F27": _("Count not believed"),
    "F28": _("Count of nothing"),
    "F29": _("Chunk cut inside a character"),
    "F30": _("Content after the end"),
    "F31": _("Line ends inside text"),
    "F32": _("Connection was closed already"),
    "F33": _("Connection lost after sending"),
    "F34": _("Answer too large"),
    "F35": _("Answered while we were sending"),
    "F36": _("HTTP/2 stream was reset"),
    "F37": _("Interim answer"),
    "F38": _("Tool call cut off"),
    "F39": _("Model cannot do that"),
}


POSTINGS: Final[Mapping[str, Promise]] = {
    "hold": pgettext_lazy("posting", "hold"),
    "settle": pgettext_lazy("posting", "settle"),
    "void": pgettext_lazy("posting", "void"),
    "expire": pgettext_lazy("posting", "expire"),
    "correct": pgettext_lazy("posting", "correct"),
}


def meter_word(name: str) -> str:
    """What a meter is called, with its variant: `images[1024]` is "Images 1024"."""
    plain, _bracket, variant = name.partition("[")
    word = str(METERS.get(plain, plain))
    return f"{word} {variant.rstrip(']')}" if variant else word


def flag_word(name: str) -> str:
    """What a flag means; its own name where nothing better is known."""
    return str(FLAGS.get(name, name))
