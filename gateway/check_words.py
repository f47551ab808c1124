"""The test of a channel in words: its stages, and for each fault the cause and the fix."""

import datetime as dt
from dataclasses import dataclass
from typing import Any, Final

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy

from gateway.checks import STAGES, Fault, Stage

STAGE_NAMES: Final[dict[Stage, Promise]] = {
    "address": gettext_lazy("Address found and permitted"),
    "connect": gettext_lazy("Connected"),
    "accept": gettext_lazy("Key and model accepted"),
    "answer": gettext_lazy("First piece of the answer"),
    "stream": gettext_lazy("Stream complete"),
    "usage": gettext_lazy("Usage reported"),
}

# Fault -> (what happened, what to do)
FAULTS: Final[dict[Fault, tuple[Promise, Promise]]] = {
    "configuration": (
        gettext_lazy("The channel is not complete."),
        gettext_lazy("Correct the channel in the configuration file and apply it."),
    ),
    "secret": (
        gettext_lazy("The stored key cannot be opened with this installation's WEIR_KEK."),
        gettext_lazy("Start with the WEIR_KEK that the key was stored with, or give the key anew."),
    ),
    "denied": (
        gettext_lazy("The host leads to a private address, which is not permitted."),
        gettext_lazy("If it is yours, add its network to egress_allow under settings."),
    ),
    "unresolved": (
        gettext_lazy("The host name has no address."),
        gettext_lazy("Check the spelling of the base URL and the server's DNS."),
    ),
    "refused": (
        gettext_lazy("Nothing listens at that address and port."),
        gettext_lazy("Start the provider's server, or correct the port of the base URL."),
    ),
    "tls": (
        gettext_lazy("No secure connection could be made."),
        gettext_lazy("Check the certificate, and whether the server speaks https at all."),
    ),
    "timeout": (
        gettext_lazy("The provider did not answer in time."),
        gettext_lazy("Try again; if it stays slow, raise the channel's timeouts."),
    ),
    "key": (
        gettext_lazy("The provider refused the key."),
        gettext_lazy("Give the channel a valid key with access to this model."),
    ),
    "model": (
        gettext_lazy("The provider does not know this model or path."),
        gettext_lazy("Correct the upstream name of the model, or the path of the base URL."),
    ),
    "limited": (
        gettext_lazy("The provider's limit or balance is used up."),
        gettext_lazy("Wait and try again, or raise the limit at the provider."),
    ),
    "rejected": (
        gettext_lazy("The provider rejected the request."),
        gettext_lazy("Read what it said below; the model may not support chat or streaming."),
    ),
    "redirected": (
        gettext_lazy("The provider sent a redirect, and redirects are not followed."),
        gettext_lazy("Set the base URL to where the provider's API really is."),
    ),
    "unavailable": (
        gettext_lazy("The provider has a fault of its own."),
        gettext_lazy("Try again later; requests go to the next channel meanwhile."),
    ),
    "not_stream": (
        gettext_lazy("The answer is not a stream of the expected dialect."),
        gettext_lazy("Check that the base URL points to an OpenAI-compatible API."),
    ),
    "failed": (
        gettext_lazy("The provider reported an error inside its answer."),
        gettext_lazy("Read what it said below, and try again."),
    ),
    "broken": (
        gettext_lazy("The answer broke off or cannot be read."),
        gettext_lazy("Try again; if it stays so, something between here and there cuts streams."),
    ),
    "no_usage": (
        gettext_lazy("The answer is fine, but it does not say what it used."),
        gettext_lazy("Turn on usage in streams at the provider; until then charges are estimated."),
    ),
}


@dataclass(frozen=True)
class ShownStage:
    """One line of a result; `state` is `ok`, `bad` or `waiting` (not reached)."""

    name: Promise
    state: str
    ms: int | None


@dataclass(frozen=True)
class ShownCheck:
    """A stored result for the page."""

    ok: bool
    at: dt.datetime
    model: str
    upstream_model: str
    total_ms: int
    stages: list[ShownStage]
    cause: Promise | None
    fix: Promise | None
    status: int | None
    detail: str
    body: str


def shown_check(stored: dict[str, Any] | None) -> ShownCheck | None:
    """What `Channel.last_test` holds, in words; None before the first test."""
    if stored is None:
        return None
    ran = {stage["name"]: stage for stage in stored["stages"]}
    stages = [
        ShownStage(
            STAGE_NAMES[name],
            "waiting" if name not in ran else "ok" if ran[name]["ok"] else "bad",
            ran[name]["ms"] if name in ran else None,
        )
        for name in STAGES
    ]
    cause, fix = FAULTS[stored["fault"]] if stored["fault"] else (None, None)
    return ShownCheck(
        ok=stored["ok"],
        at=dt.datetime.fromisoformat(stored["at"]),
        model=stored["model"],
        upstream_model=stored["upstream_model"],
        total_ms=stored["total_ms"],
        stages=stages,
        cause=cause,
        fix=fix,
        status=stored["status"],
        detail=stored["detail"],
        body=stored["body"],
    )
