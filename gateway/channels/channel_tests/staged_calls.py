"""A call to a provider by the guarded connector, recorded stage by stage.

    address    the host has addresses, and every one of them may be reached
    connect    a connection is established, with TLS for an https address
    …          the caller's stages

The first stage that fails ends the call, with a cause for which pages have texts.
"""

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Final, Literal

from django.conf import settings

from dialects.chat.chat import Dialect
from dialects.codec import Codec
from dialects.errors.masking import clean_upstream
from gateway.channels.channel_tests.fetched_credentials import fetch
from gateway.channels.overrides.rules import (
    NO_OVERRIDES,
    VARIABLES,
    OverriddenRequest,
    RequestOverrides,
    Variable,
)
from gateway.channels.timeouts import Timeouts
from gateway.providers import UnknownProvider, provider_named
from gateway.providers.cloud_credentials.credentials import CredentialsFailed, CredentialsRefused
from gateway.providers.provider import Address, BadAddress, Provider
from gateway.providers.signing import Signer, secret_words
from lib.ids import id_text, new_id
from lib.network.credential_sources import FileDenied
from lib.network.egress import (
    Answer,
    EgressDenied,
    EgressFailed,
    EgressPolicy,
    TooLarge,
    Unresolved,
    guarded_client,
    host_and_port,
    permitted_addresses,
    resolve,
    stream_request,
)
from lib.network.outbound import DIRECT, BadPem, Outbound

Fault = Literal[
    "configuration",
    "secret",
    "denied",
    "unresolved",
    "refused",
    "tls",
    "timeout",
    "key",
    "model",
    "limited",
    "rejected",
    "redirected",
    "unavailable",
    "not_stream",
    "not_answer",
    "failed",
    "broken",
    "no_usage",
    "no_tool_call",
    "not_seen",
    "not_read",
    "not_heard",
    "not_thought",
    "not_schema",
    "not_cancelled",
    "no_list",
    "not_list",
    "no_prices",
    "not_prices",
    "no_group",
    "no_balance",
    "not_balance",
]
"""Why a call failed. Pages have texts for the cause and the fix of each."""

CALL_S_MAX: Final = 60.0
_SHOWN_BYTES_MAX: Final = 4096
# The faults of the fault table that are about the key, or its account.
_OF_ACCOUNT: Final[Mapping[str, Fault]] = {"F5": "key", "F9": "limited"}


@dataclass(frozen=True, slots=True)
class Target:
    """The target of a call: an existing or planned channel. `secret` is "" for none; `timeouts` are
    in seconds; `overrides` are its changes to requests, `outbound` is its network route."""

    provider: str
    base_url: str
    secret: str
    timeouts: Mapping[str, float]
    overrides: RequestOverrides = NO_OVERRIDES
    outbound: Outbound = DIRECT

    def headers(self, provider: Provider, dialect: Dialect, *, model: str = "") -> dict[str, str]:
        """Return the headers of a request without a client. Raises BadAddress."""
        variables: dict[Variable, str] = dict.fromkeys(VARIABLES, "")
        variables |= {"request_id": id_text(new_id()), "model": model}
        own = self.overrides_of(model).written_headers(variables)
        return provider.headers(self.secret or None, dialect) | own

    def overrides_of(self, model: str) -> RequestOverrides:
        """Return the changes to a test of a model, which has neither a client's endpoint nor a
        team."""
        return self.overrides.fitting(OverriddenRequest(model, "", ()))

    def address(self, provider: Provider) -> Address:
        """Return the address of the provider's operations; without a base URL, the provider's
        default. Raises BadAddress."""
        return provider.address(self.base_url.strip() or provider.base_url)


@dataclass
class CallResult:
    """The progress of a call. `stages` are the passed ones with their milliseconds, then the failed
    one if any. `body` is an excerpt of the provider's response, with secrets masked."""

    ok: bool = False
    stages: list[dict[str, Any]] = field(default_factory=list)
    fault: Fault | None = None
    status: int | None = None
    detail: str = ""
    body: str = ""
    total_ms: int = 0


class CallFailed(Exception):
    """The current stage of a call failed."""

    def __init__(
        self, fault: Fault, detail: str = "", *, status: int | None = None, body: str = ""
    ) -> None:
        super().__init__(detail or fault)
        self.fault = fault
        self.detail = detail
        self.status = status
        self.body = body


class StagedCall:
    """One call. `result` is filled as the call proceeds."""

    def __init__(
        self, target: Target, policy: EgressPolicy, stages: Sequence[str], result: CallResult
    ) -> None:
        self.target = target
        self._policy = policy
        self._stages = stages
        self._result = result
        # The signer of the requests, and its values that no page may show.
        self._signer: Signer | None = None
        self._given: list[str] = []
        self._began = self._mark = time.monotonic()
        # The end of the call, by `time.monotonic`.
        self.deadline = self._began + min(CALL_S_MAX, Timeouts.of(target.timeouts).total)

    @contextmanager
    def recorded(self) -> Iterator[None]:
        """Wrap the whole call. A CallFailed is recorded at its stage and not re-raised."""
        result = self._result
        try:
            yield
            result.ok = True
        except CallFailed as failed:
            name = self._stages[len(result.stages)]
            result.stages.append({"name": name, "ok": False, "ms": self._lap()})
            result.fault, result.status = failed.fault, failed.status
            result.detail = self._clean(failed.detail)
            result.body = self._clean(failed.body)
        result.total_ms = int((time.monotonic() - self._began) * 1000)

    def provider(self) -> Provider:
        """Return the target's provider. Raises CallFailed."""
        try:
            return provider_named(self.target.provider)
        except UnknownProvider as error:
            raise CallFailed("configuration", str(error)) from error

    @contextmanager
    def send(
        self, method: str, url: str, headers: Mapping[str, str], body: bytes = b""
    ) -> Iterator[Answer]:
        """Send a request and return the response, whatever its status. The first of several calls
        passes the stages up to the connection."""
        timeouts = Timeouts.of(self.target.timeouts)
        try:
            host, port = host_and_port(url)
            addresses = permitted_addresses(self._policy, host, port)
            self.reach("address")
            client = guarded_client(
                self._policy,
                connect_s=timeouts.connect,
                read_s=min(timeouts.first_content, CALL_S_MAX),
                until=self.deadline,
                schemes=("http", "https"),
                # Resolve once, for both the stage and the connection.
                resolver=lambda name, port: addresses if name == host else resolve(name, port),
                outbound=self.target.outbound,
            )
            with (
                client,
                stream_request(
                    client,
                    method,
                    url,
                    {**headers, **self._signature(method, url, body)},
                    body,
                    connected=lambda: self.reach("connect"),
                ) as answer,
            ):
                yield answer
        except EgressDenied as error:
            raise CallFailed("denied", str(error)) from error
        except Unresolved as error:
            raise CallFailed("unresolved", str(error)) from error
        except EgressFailed as error:
            raise CallFailed(error.reason, str(error)) from error
        except (BadAddress, BadPem) as error:
            raise CallFailed("configuration", str(error)) from error

    def _signature(self, method: str, url: str, body: bytes) -> Mapping[str, str]:
        """Return the headers that sign a request, if the provider requires it. Raises BadAddress,
        CallFailed."""
        if self._signer is None:
            self._signer = self._temporary() or self.provider().signer_of(self.target.secret)
        if self._signer is None:
            return {}
        signed = self._signer.headers(method, url, body, int(time.time()))
        self._given += secret_words(signed)
        return signed

    def _temporary(self) -> Signer | None:
        """Return the signer with temporary credentials, or None if the key is of another kind."""
        source = self.provider().credential_source_of(self.target.secret)
        if source is None:
            return None
        try:
            return fetch(
                source, self._policy, self.target.outbound, settings.CLOUD_TOKEN_FILES
            ).signer
        except CredentialsRefused as error:
            raise CallFailed("key", str(error)) from error
        except FileDenied as error:
            raise CallFailed("configuration", str(error)) from error
        except (CredentialsFailed, TooLarge) as error:
            raise CallFailed("unavailable", str(error)) from error

    def reach(self, stage: str) -> None:
        """Record a stage as passed, once."""
        if not self.reached(stage):
            self._result.stages.append({"name": stage, "ok": True, "ms": self._lap()})

    def reached(self, stage: str) -> bool:
        return any(entry["name"] == stage for entry in self._result.stages)

    @property
    def late(self) -> bool:
        """Whether the time for the whole call is over."""
        return time.monotonic() > self.deadline

    def _lap(self) -> int:
        now = time.monotonic()
        ms, self._mark = int((now - self._mark) * 1000), now
        return ms

    def _clean(self, text: str) -> str:
        # A provider's message may contain one part of the key (`access|secret`).
        secrets = (self.target.secret, *self.target.secret.split("|"), *self._given)
        for secret in filter(None, secrets):
            text = text.replace(secret, "••••")
        return clean_upstream(text)


def first_text(pieces: Iterator[bytes]) -> str:
    """Return the part of a response that is displayed."""
    body = b""
    for piece in pieces:
        body += piece
        if len(body) >= _SHOWN_BYTES_MAX:
            break
    return body[:_SHOWN_BYTES_MAX].decode("utf-8", "replace")


def fault_of_answer(answer: Answer, body: str, codec: Codec[Any]) -> Fault:
    """Return the fault for a response other than 200, whose text begins with `body`: a wrong key
    may have the status of a rejected request."""
    headers = {name.lower(): value for name, value in answer.headers.items()}
    row = codec.read_error(answer.status_code, headers, body.encode(), int(time.time())).fault
    return _OF_ACCOUNT.get(row) or fault_of_status(answer.status_code)


def fault_of_status(status: int) -> Fault:
    """Return the fault for a response other than 200, as far as its status says."""
    if status in (401, 403):
        return "key"
    if status == 404:
        return "model"
    if status in (402, 429):
        return "limited"
    if 300 <= status < 400:
        return "redirected"
    return "rejected" if status < 500 else "unavailable"
