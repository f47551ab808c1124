"""The test of a channel: one short streamed request, told stage by stage.

    address    the host has addresses, and every one of them may be reached
    connect    a connection stands, with TLS where the address says https
    accept     the provider takes the key and the model
    answer     the first piece of an answer arrives
    stream     the answer comes to its end in the form of its dialect
    usage      it says what it used, so that it can be charged

The first stage that fails ends the test. Nothing is billed to anybody: the request is the
operator's own, it has no hold and leaves no usage record.
"""

import time
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Final, Literal, NamedTuple

from django.db import connection, transaction

from accounts import audit
from accounts.actors import Actor
from dialects.chat import ChatRequest, Encoded, Message, Text
from dialects.codec import Codec, Decoder
from dialects.codecs import CODECS
from dialects.errors import RequestFault, clean_upstream
from dialects.events import Broken, End, Finish, UpstreamError
from dialects.operation import chat_operation
from gateway.channels import open_secret
from gateway.installation import egress_policy
from gateway.models import Channel
from gateway.providers import UnknownProvider, provider_named
from gateway.providers.models import capabilities_of
from gateway.providers.provider import BadAddress, Provider
from gateway.providers.targets import dialect_for, upstream_of
from gateway.rules import routing
from gateway.rules.timeouts import Timeouts
from lib import clock
from lib.egress import (
    Answer,
    EgressDenied,
    EgressFailed,
    EgressPolicy,
    Unresolved,
    guarded_client,
    host_and_port,
    permitted_addresses,
    posted,
)
from lib.ids import id_text, new_id
from lib.vault import VaultError

Stage = Literal["address", "connect", "accept", "answer", "stream", "usage"]
STAGES: Final[tuple[Stage, ...]] = ("address", "connect", "accept", "answer", "stream", "usage")

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
    "failed",
    "broken",
    "no_usage",
]
"""Why a test failed; the page has a cause and a fix in words for each."""

_TEST_S_MAX: Final = 60.0
_BODY_BYTES_MAX: Final = 1 << 20
_SHOWN_BYTES_MAX: Final = 4096
_OUTPUT_TOKENS_MAX: Final = 64


@dataclass
class ChannelCheck:
    """What one test found, as it is stored in `Channel.last_test`.

    `stages` are the passed ones with their milliseconds, then the failed one if one failed.
    `body` is a short piece of what the provider said, with secrets masked.
    """

    at: str
    model: str
    upstream_model: str
    ok: bool = False
    stages: list[dict[str, Any]] = field(default_factory=list)
    fault: Fault | None = None
    status: int | None = None
    detail: str = ""
    body: str = ""
    total_ms: int = 0


class _Failed(Exception):
    def __init__(
        self, fault: Fault, detail: str = "", *, status: int | None = None, body: str = ""
    ) -> None:
        super().__init__(detail or fault)
        self.fault = fault
        self.detail = detail
        self.status = status
        self.body = body


def upstream_name(channel: Channel, model: str) -> str | None:
    """What the channel calls a model at its provider; None when it does not serve it."""
    routes = [
        routing.Route(str(channel.id), route.model, route.upstream_model)
        for route in channel.routes.all()
    ]
    plan = routing.plan(model, routes, seed=0)
    return plan[0].upstream_model if plan else None


def check_channel(actor: Actor, channel: Channel, model: str) -> ChannelCheck:
    """Ask `model` of a channel, whether it is enabled or not, and keep the result.

    Takes as long as the channel's timeouts allow, a minute at most. The model must be one that the
    channel serves (ValueError).
    """
    name = upstream_name(channel, model)
    if name is None:
        raise ValueError(f"{channel.name} does not serve {model}")
    result = ChannelCheck(clock.now().isoformat(), model, name)
    run = _Run(channel, name, egress_policy(), result)
    if not connection.in_atomic_block:
        # The provider may take a minute; the connection goes back to the pool meanwhile.
        connection.close()
    run.run()
    with transaction.atomic():
        Channel.objects.filter(id=channel.id).update(last_test=asdict(result))
        audit.record(
            actor, None, "channel.tested", channel, model=model, ok=result.ok, fault=result.fault
        )
    channel.last_test = asdict(result)
    return result


class _CheckRequest(NamedTuple):
    codec: Codec[Any]
    url: str
    headers: Mapping[str, str]
    encoded: Encoded


class _Run:
    def __init__(
        self, channel: Channel, model: str, policy: EgressPolicy, result: ChannelCheck
    ) -> None:
        self._channel = channel
        self._model = model
        self._policy = policy
        self._result = result
        self._secret = ""
        self._request = ChatRequest(
            dialect="openai",
            request_id=id_text(new_id()),
            received_at=int(clock.now().timestamp()),
            model=model,
            messages=(Message("user", (Text("Answer with one word: ready"),)),),
            output_cap=_OUTPUT_TOKENS_MAX,
            stream=True,
            include_usage=True,
        )
        self._began = self._mark = time.monotonic()
        self._deadline = self._began + min(_TEST_S_MAX, Timeouts.of(channel.timeouts).total)

    def run(self) -> None:
        result = self._result
        try:
            self._ask()
            result.ok = True
        except _Failed as failed:
            passed = len(result.stages)
            result.stages.append({"name": STAGES[passed], "ok": False, "ms": self._lap()})
            result.fault, result.status = failed.fault, failed.status
            result.detail = self._clean(failed.detail)
            result.body = self._clean(failed.body)
        result.total_ms = int((time.monotonic() - self._began) * 1000)

    def _pass(self, stage: Stage) -> None:
        self._result.stages.append({"name": stage, "ok": True, "ms": self._lap()})

    def _lap(self) -> int:
        now = time.monotonic()
        ms, self._mark = int((now - self._mark) * 1000), now
        return ms

    def _clean(self, text: str) -> str:
        if self._secret:
            text = text.replace(self._secret, "••••")
        return clean_upstream(text)

    def _ask(self) -> None:
        prepared = self._prepare()
        timeouts = Timeouts.of(self._channel.timeouts)
        try:
            host, port = host_and_port(prepared.url)
            addresses = permitted_addresses(self._policy, host, port)
            self._pass("address")
            client = guarded_client(
                self._policy,
                connect_s=timeouts.connect,
                read_s=min(timeouts.first_content, _TEST_S_MAX),
                schemes=("http", "https"),
                # Resolved above, once, for the stage and for the connection.
                resolver=lambda host, port: addresses,
            )
            with (
                client,
                posted(
                    client,
                    prepared.url,
                    prepared.headers,
                    prepared.encoded.body,
                    connected=lambda: self._pass("connect"),
                ) as answer,
            ):
                self._read(answer, prepared)
        except EgressDenied as error:
            raise _Failed("denied", str(error)) from error
        except Unresolved as error:
            raise _Failed("unresolved", str(error)) from error
        except EgressFailed as error:
            raise _Failed(error.reason, str(error)) from error

    def _prepare(self) -> "_CheckRequest":
        """The request in the dialect in which the relay would send a chat request."""
        try:
            provider = provider_named(self._channel.provider)
            key = self._channel.keys.first()
            self._secret = open_secret(key) if key else ""
            return self._encode(provider)
        except (UnknownProvider, BadAddress) as error:
            raise _Failed("configuration", str(error)) from error
        except RequestFault as error:
            raise _Failed("configuration", error.message) from error
        except VaultError as error:
            raise _Failed("secret", str(error)) from error

    def _encode(self, provider: Provider) -> "_CheckRequest":
        capabilities = capabilities_of(self._model, provider, self._result.model)
        dialect = dialect_for(provider, capabilities, self._request.dialect)
        upstream = upstream_of(provider, dialect, self._model, capabilities)
        codec = CODECS[dialect]
        address = provider.address(self._channel.base_url)
        own = {"content-type": "application/json", "x-client-request-id": self._request.request_id}
        return _CheckRequest(
            codec,
            address.url(chat_operation(dialect, stream=True), upstream.model),
            provider.headers(self._secret or None, dialect) | own,
            codec.encode(self._request, upstream),
        )

    def _read(self, answer: Answer, prepared: "_CheckRequest") -> None:
        pieces = answer.iter_raw()
        if answer.status_code != 200:
            status = answer.status_code
            raise _Failed(_fault_of_status(status), status=status, body=self._first_text(pieces))
        self._pass("accept")
        kind = answer.headers.get("content-type", "").partition(";")[0].strip().lower()
        if kind != "text/event-stream":
            body = self._first_text(pieces)
            raise _Failed("not_stream", f"content-type: {kind}", status=200, body=body)
        self._decode(pieces, prepared)

    def _first_text(self, pieces: Iterator[bytes]) -> str:
        body = b""
        for piece in pieces:
            body += piece
            if len(body) >= _SHOWN_BYTES_MAX:
                break
        return body[:_SHOWN_BYTES_MAX].decode("utf-8", "replace")

    def _decode(self, pieces: Iterator[bytes], prepared: "_CheckRequest") -> None:
        decoder: Decoder = prepared.codec.translating_decoder(
            self._request, prepared.encoded.answer_tool
        )
        size, ended = 0, False
        for piece in pieces:
            size += len(piece)
            if time.monotonic() > self._deadline or size > _BODY_BYTES_MAX:
                raise _Failed("timeout", "the answer does not come to its end")
            ended = self._look_at(decoder.feed(piece)) or ended
            if ended:
                break
        if not ended:
            self._look_at(decoder.end())
        if not self._passed("answer"):
            raise _Failed("broken", "the stream ended without an answer", status=200)
        self._pass("stream")
        counted = prepared.codec.quantities(decoder)
        if counted.missing or not counted.meters:
            raise _Failed("no_usage", ", ".join(counted.flags), status=200)
        self._pass("usage")

    def _look_at(self, steps: list[Any]) -> bool:
        """Whether the stream has ended. Raises _Failed when it ended badly."""
        for step in steps:
            for event in step.events:
                if isinstance(event, UpstreamError):
                    raise _Failed("failed", event.message, status=200)
                if isinstance(event, Broken):
                    raise _Failed("broken", f"fault {event.fault}", status=200)
                if isinstance(event, End):
                    return True
                if (event.is_content or isinstance(event, Finish)) and not self._passed("answer"):
                    self._pass("answer")
        return False

    def _passed(self, stage: Stage) -> bool:
        return any(entry["name"] == stage for entry in self._result.stages)


def _fault_of_status(status: int) -> Fault:
    if status in (401, 403):
        return "key"
    if status == 404:
        return "model"
    if status in (402, 429):
        return "limited"
    if 300 <= status < 400:
        return "redirected"
    return "rejected" if status < 500 else "unavailable"
