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

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any, Final, Literal, NamedTuple

from django.db import connection, transaction

from accounts import audit
from accounts.actors import Actor
from dialects.chat import ChatRequest, Encoded, Message, Text
from dialects.codec import Codec, Decoder
from dialects.codecs import CODECS
from dialects.errors import RequestFault
from dialects.events import Broken, End, Finish, UpstreamError
from dialects.operation import chat_operation
from gateway.channel_egress import outbound_of
from gateway.channels import open_secret
from gateway.installation import egress_policy
from gateway.models import Channel
from gateway.providers.models import capabilities_of
from gateway.providers.provider import BadAddress, Provider
from gateway.providers.targets import dialect_for, upstream_of
from gateway.rules import routing
from gateway.rules.request_overrides import NO_OVERRIDES, read_overrides
from gateway.staged_calls import (
    CallFailed,
    CallResult,
    StagedCall,
    Target,
    fault_of_status,
    first_text,
)
from lib import clock
from lib.egress import Answer, EgressPolicy
from lib.ids import id_text, new_id
from lib.vault import VaultError

Stage = Literal["address", "connect", "accept", "answer", "stream", "usage"]
STAGES: Final[tuple[Stage, ...]] = ("address", "connect", "accept", "answer", "stream", "usage")

_BODY_BYTES_MAX: Final = 1 << 20
_OUTPUT_TOKENS_MAX: Final = 64


@dataclass
class ChannelCheck(CallResult):
    """What one test found, as it is stored in `Channel.last_test`."""

    at: str = ""
    model: str = ""
    upstream_model: str = ""


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
    policy = egress_policy()
    result = _new_result(model, name)
    try:
        target = target_of(channel)
    except VaultError as error:
        failure = {"name": STAGES[0], "ok": False, "ms": 0}
        result.stages, result.fault, result.detail = [failure], "secret", str(error)
    else:
        if not connection.in_atomic_block:
            # The provider may take a minute; the connection goes back to the pool meanwhile.
            connection.close()
        _Run(target, policy, result).run()
    with transaction.atomic():
        Channel.objects.filter(id=channel.id).update(last_test=stored_form(result))
        audit.record(
            actor, None, "channel.tested", channel, model=model, ok=result.ok, fault=result.fault
        )
    channel.last_test = stored_form(result)
    return result


def try_model(target: Target, model: str, upstream_model: str) -> ChannelCheck:
    """The same test of what is no channel yet. Nothing is kept."""
    result = _new_result(model, upstream_model or model)
    _Run(target, egress_policy(), result).run()
    return result


def stored_form(result: ChannelCheck) -> dict[str, Any]:
    """A result as it is stored, and as pages show it."""
    return asdict(result)


def target_of(channel: Channel) -> Target:
    """Whom a channel calls, by the first of its keys that is in use. Raises VaultError."""
    key = channel.keys.filter(disabled_at=None).first()
    secret = open_secret(key) if key else ""
    overrides = read_overrides(channel.overrides) or NO_OVERRIDES
    return Target(
        channel.provider,
        channel.base_url,
        secret,
        channel.timeouts,
        overrides,
        outbound_of(channel),
    )


def _new_result(model: str, upstream_model: str) -> ChannelCheck:
    return ChannelCheck(at=clock.now().isoformat(), model=model, upstream_model=upstream_model)


class _CheckRequest(NamedTuple):
    codec: Codec[Any]
    url: str
    headers: Mapping[str, str]
    encoded: Encoded
    body: bytes


class _Run:
    def __init__(self, target: Target, policy: EgressPolicy, result: ChannelCheck) -> None:
        self._call = StagedCall(target, policy, STAGES, result)
        self._target = target
        self._result = result
        self._request = ChatRequest(
            dialect="openai",
            request_id=id_text(new_id()),
            received_at=int(clock.now().timestamp()),
            model=result.upstream_model,
            messages=(Message("user", (Text("Answer with one word: ready"),)),),
            output_cap=_OUTPUT_TOKENS_MAX,
            stream=True,
            include_usage=True,
        )

    def run(self) -> None:
        with self._call.told():
            prepared = self._prepare()
            with self._call.answered(
                "POST", prepared.url, prepared.headers, prepared.body
            ) as answer:
                self._read(answer, prepared)

    def _prepare(self) -> "_CheckRequest":
        """The request in the dialect in which the relay would send a chat request."""
        provider = self._call.provider()
        try:
            return self._encode(provider)
        except BadAddress as error:
            raise CallFailed("configuration", str(error)) from error
        except RequestFault as error:
            raise CallFailed("configuration", error.message) from error

    def _encode(self, provider: Provider) -> "_CheckRequest":
        model = self._result.upstream_model
        capabilities = capabilities_of(model, provider, self._result.model)
        dialect = dialect_for(provider, capabilities, self._request.dialect)
        upstream = upstream_of(provider, dialect, model, capabilities)
        codec = CODECS[dialect]
        address = self._target.address(provider)
        own = {"content-type": "application/json", "x-client-request-id": self._request.request_id}
        encoded = codec.encode(self._request, upstream)
        return _CheckRequest(
            codec,
            address.url(chat_operation(dialect, stream=True), upstream.model),
            self._target.headers(provider, dialect, model=self._result.model) | own,
            encoded,
            self._target.overrides.chat_body(encoded.body, dialect),
        )

    def _read(self, answer: Answer, prepared: "_CheckRequest") -> None:
        pieces = answer.iter_raw()
        if answer.status_code != 200:
            status = answer.status_code
            raise CallFailed(fault_of_status(status), status=status, body=first_text(pieces))
        self._call.reach("accept")
        kind = answer.headers.get("content-type", "").partition(";")[0].strip().lower()
        if kind != "text/event-stream":
            body = first_text(pieces)
            raise CallFailed("not_stream", f"content-type: {kind}", status=200, body=body)
        self._decode(pieces, prepared)

    def _decode(self, pieces: Iterator[bytes], prepared: "_CheckRequest") -> None:
        decoder: Decoder = prepared.codec.translating_decoder(
            self._request, prepared.encoded.answer_tool
        )
        size, ended = 0, False
        for piece in pieces:
            size += len(piece)
            if self._call.late or size > _BODY_BYTES_MAX:
                raise CallFailed("timeout", "the answer does not come to its end")
            ended = self._look_at(decoder.feed(piece)) or ended
            if ended:
                break
        if not ended:
            self._look_at(decoder.end())
        if not self._call.reached("answer"):
            raise CallFailed("broken", "the stream ended without an answer", status=200)
        self._call.reach("stream")
        counted = prepared.codec.quantities(decoder)
        if counted.missing or not counted.meters:
            raise CallFailed("no_usage", ", ".join(counted.flags), status=200)
        self._call.reach("usage")

    def _look_at(self, steps: list[Any]) -> bool:
        """Whether the stream has ended. Raises CallFailed when it ended badly."""
        for step in steps:
            for event in step.events:
                if isinstance(event, UpstreamError):
                    raise CallFailed("failed", event.message, status=200)
                if isinstance(event, Broken):
                    raise CallFailed("broken", f"fault {event.fault}", status=200)
                if isinstance(event, End):
                    return True
                if event.is_content or isinstance(event, Finish):
                    self._call.reach("answer")
        return False
