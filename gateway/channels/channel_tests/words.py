"""Texts about channel tests: their stages, and the cause and fix of each fault."""

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy

from gateway.channels.channel_tests.staged_calls import Fault
from gateway.channels.channel_tests.variants import STAGES, Stage, Variant
from gateway.channels.model_lists import ListStage, ModelList

STAGE_NAMES: Final[dict[Stage, Promise]] = {
    "address": gettext_lazy("Address resolved and allowed"),
    "connect": gettext_lazy("Connected"),
    "accept": gettext_lazy("Key and model accepted"),
    "answer": gettext_lazy("First content received"),
    "stream": gettext_lazy("Stream complete"),
    "tool": gettext_lazy("Tool called"),
    "schema": gettext_lazy("Schema followed"),
    "seen": gettext_lazy("Picture seen"),
    "read": gettext_lazy("File read"),
    "heard": gettext_lazy("Sound heard"),
    "thought": gettext_lazy("Reasoning reported"),
    "cancel": gettext_lazy("Cancelled midway"),
    "usage": gettext_lazy("Usage reported"),
}
VARIANT_NAMES: Final[dict[Variant, Promise]] = {
    "streamed": gettext_lazy("Streamed answer"),
    "plain": gettext_lazy("Whole answer"),
    "tools": gettext_lazy("Tool call"),
    "schema": gettext_lazy("Structured output"),
    "vision": gettext_lazy("Picture"),
    "files": gettext_lazy("File"),
    "audio": gettext_lazy("Sound"),
    "reasoning": gettext_lazy("Reasoning"),
    "cancel": gettext_lazy("Cancellation"),
    "realtime": gettext_lazy("Realtime connection"),
    "live": gettext_lazy("Live session"),
}
LIST_STAGE_NAMES: Final[dict[ListStage, Promise]] = {
    "address": STAGE_NAMES["address"],
    "connect": STAGE_NAMES["connect"],
    "accept": gettext_lazy("Key accepted"),
    "list": gettext_lazy("Models listed"),
}

# Fault -> (what happened, what to do).
FAULTS: Final[dict[Fault, tuple[Promise, Promise]]] = {
    "configuration": (
        gettext_lazy("The channel's configuration is incomplete."),
        gettext_lazy("Correct the base URL or the key, then try again."),
    ),
    "secret": (
        gettext_lazy("The stored key cannot be decrypted with this installation's WEIR_KEK."),
        gettext_lazy(
            "Start with the WEIR_KEK that the key was stored with, or enter the key again."
        ),
    ),
    "denied": (
        gettext_lazy("The host resolves to a private address, which is not allowed."),
        gettext_lazy(
            "If this is intended, add its network to egress_allow under settings in "
            "the configuration file, and apply it."
        ),
    ),
    "unresolved": (
        gettext_lazy("The host name cannot be resolved."),
        gettext_lazy("Check the spelling of the base URL and the server's DNS."),
    ),
    "refused": (
        gettext_lazy("The connection was refused. Nothing is listening on that address and port."),
        gettext_lazy("Start the provider's server, or correct the port in the base URL."),
    ),
    "tls": (
        gettext_lazy("A secure connection could not be established."),
        gettext_lazy("Check the certificate, and whether the server supports https."),
    ),
    "timeout": (
        gettext_lazy("The provider did not respond in time."),
        gettext_lazy("Try again. If it stays slow, increase the channel's timeouts."),
    ),
    "key": (
        gettext_lazy("The provider rejected the key."),
        gettext_lazy("Use a valid key with access to this model."),
    ),
    "model": (
        gettext_lazy("The provider does not know this model or path."),
        gettext_lazy("Correct the provider's model name, or the path in the base URL."),
    ),
    "limited": (
        gettext_lazy("The provider's rate limit or credit is used up."),
        gettext_lazy("Wait and try again, or raise the limit with the provider."),
    ),
    "rejected": (
        gettext_lazy("The provider rejected the request."),
        gettext_lazy(
            "Read the provider's message below. The model may not support chat or streaming."
        ),
    ),
    "redirected": (
        gettext_lazy("The provider sent a redirect. Redirects are not followed."),
        gettext_lazy("Set the base URL to the provider's actual API address."),
    ),
    "unavailable": (
        gettext_lazy("The provider returned a server error."),
        gettext_lazy("Try again later. Until then, requests go to the next channel."),
    ),
    "not_stream": (
        gettext_lazy("The response is not a stream in the expected format."),
        gettext_lazy("Check that the base URL points to an OpenAI-compatible API."),
    ),
    "not_answer": (
        gettext_lazy("The response is not JSON."),
        gettext_lazy("Check that the base URL points to the provider's API."),
    ),
    "no_tool_call": (
        gettext_lazy("The model did not call the tool that it had to call."),
        gettext_lazy("Turn off tools for this model on the channel, or choose another model."),
    ),
    "not_schema": (
        gettext_lazy("The response does not follow the JSON schema."),
        gettext_lazy(
            "Turn off structured output for this model on the channel, or choose another model."
        ),
    ),
    "not_seen": (
        gettext_lazy("The model did not name the colour of the picture."),
        gettext_lazy("Turn off vision for this model on the channel, or choose another model."),
    ),
    "not_read": (
        gettext_lazy("The model did not name the word in the file."),
        gettext_lazy("Turn off files for this model on the channel, or choose another model."),
    ),
    "not_heard": (
        gettext_lazy("The provider reported no audio tokens."),
        gettext_lazy("Some providers do not report them. Ask the model about a recording."),
    ),
    "not_thought": (
        gettext_lazy("The provider reported no reasoning."),
        gettext_lazy("Turn off reasoning for this model on the channel, or choose another model."),
    ),
    "not_cancelled": (
        gettext_lazy("The response was complete before it could be cancelled."),
        gettext_lazy("Check that no proxy between this server and the provider buffers streams."),
    ),
    "failed": (
        gettext_lazy("The provider reported an error inside its response."),
        gettext_lazy("Read the provider's message below, then try again."),
    ),
    "broken": (
        gettext_lazy("The response was cut off or could not be read."),
        gettext_lazy(
            "Try again. If it keeps happening, something between this server and the provider is "
            "interrupting streams."
        ),
    ),
    "no_usage": (
        gettext_lazy("The response is valid, but it does not report token usage."),
        gettext_lazy(
            "Turn on usage reporting for streams at the provider. Until then, "
            "charges are estimated."
        ),
    ),
    "no_list": (
        gettext_lazy("The provider has no list of models at this address."),
        gettext_lazy("Check the path in the base URL, or enter the model names yourself."),
    ),
    "no_prices": (
        gettext_lazy("The provider publishes no prices at this address."),
        gettext_lazy("Check the base URL, or enter the prices yourself."),
    ),
    "not_prices": (
        gettext_lazy("The response is not a list of prices."),
        gettext_lazy("Check the base URL, or enter the prices yourself."),
    ),
    "no_group": (
        gettext_lazy("The provider's prices depend on the group of your key."),
        gettext_lazy("Enter the group that your key has there."),
    ),
    "no_balance": (
        gettext_lazy("The provider reports no balance at this address."),
        gettext_lazy("Check the base URL, or choose another way to read the balance."),
    ),
    "not_balance": (
        gettext_lazy("The response is not a balance in the expected format."),
        gettext_lazy("Choose another way to read the balance, or turn it off."),
    ),
    "not_list": (
        gettext_lazy("The response is not a list of models."),
        gettext_lazy(
            "Check that the base URL points to the provider's API, or enter the model names "
            "yourself."
        ),
    ),
}


@dataclass(frozen=True)
class StageDisplay:
    """One line of a result; `state` is `ok`, `bad` or `waiting` (not reached)."""

    name: Promise
    state: str
    ms: int | None


@dataclass(frozen=True, kw_only=True)
class CallDisplay:
    """The progress of a call to a provider, for display."""

    ok: bool
    total_ms: int
    stages: list[StageDisplay]
    cause: Promise | None
    fix: Promise | None
    status: int | None
    detail: str
    body: str


@dataclass(frozen=True, kw_only=True)
class CheckDisplay(CallDisplay):
    """A stored result of a test."""

    at: dt.datetime
    model: str
    upstream_model: str
    variant: Promise
    cost_nano: int | None


def words_of(fault: Fault | None) -> tuple[Promise | None, Promise | None]:
    """Return what happened and what to do; None for both without a fault."""
    return FAULTS[fault] if fault else (None, None)


def describe_check(stored: dict[str, Any] | None) -> CheckDisplay | None:
    """Describe `Channel.last_test`. Return None before the first test."""
    if stored is None:
        return None
    cause, fix = words_of(stored["fault"])
    # Results that an older version stored are of the variant stream.
    variant: Variant = stored.get("variant", "streamed")
    return CheckDisplay(
        ok=stored["ok"],
        at=dt.datetime.fromisoformat(stored["at"]),
        model=stored["model"],
        upstream_model=stored["upstream_model"],
        total_ms=stored["total_ms"],
        variant=VARIANT_NAMES[variant],
        cost_nano=stored.get("cost_nano"),
        stages=_describe_stages(
            {stage: STAGE_NAMES[stage] for stage in STAGES[variant]}, stored["stages"]
        ),
        cause=cause,
        fix=fix,
        status=stored["status"],
        detail=stored["detail"],
        body=stored["body"],
    )


def describe_model_list(result: ModelList) -> CallDisplay:
    """Describe the progress of a request for the list of models."""
    cause, fix = words_of(result.fault)
    return CallDisplay(
        ok=result.ok,
        total_ms=result.total_ms,
        stages=_describe_stages(LIST_STAGE_NAMES, result.stages),
        cause=cause,
        fix=fix,
        status=result.status,
        detail=result.detail,
        body=result.body,
    )


def _describe_stages(
    names: Mapping[Any, Promise], ran: Sequence[Mapping[str, Any]]
) -> list[StageDisplay]:
    by_name = {stage["name"]: stage for stage in ran}
    return [
        StageDisplay(
            words,
            "waiting" if name not in by_name else "ok" if by_name[name]["ok"] else "bad",
            by_name[name]["ms"] if name in by_name else None,
        )
        for name, words in names.items()
    ]
