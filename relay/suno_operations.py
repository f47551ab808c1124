"""Requests for songs and lyrics of Suno: accepted by a provider, they become media tasks."""

from collections.abc import Mapping
from typing import Any, Final, NamedTuple, Self
from uuid import uuid4

from dialects import suno
from dialects.codec import Target
from dialects.fold import AnswerFault
from dialects.operation import Operation
from dialects.suno import Action, SunoRequest
from dialects.unary import PlainAnswer, failure
from dialects.usage import Quantities
from gateway.providers.suno_api import FORM
from gateway.providers.task_form import TaskForm
from relay.sourced_operation import SourcedOperation
from relay.unary import Exchange, Sending, UnaryFacts, Unit, as_it_came, not_offered
from relay.upstream import UpstreamFailed
from relay.video_order import Ordered

_ACCEPTED: Final = PlainAnswer(Quantities({}, ()))
_CALL: Final = Unit("requests", 1, lambda family: 1)


class AcceptedMusic(NamedTuple):
    """What becomes of an answer by which a provider has accepted one."""

    request: SunoRequest
    public_id: str
    form: TaskForm = FORM

    @property
    def ordered(self) -> Ordered:
        request = self.request
        return Ordered(
            request.model,
            request.prompt,
            source_id=request.source_id,
            detail=dict(request.detail),
        )

    def upstream_id(self, raw: bytes) -> str:
        return suno.read_submission(raw).upstream_id

    def answer(self, raw: bytes, created_at: int) -> dict[str, Any]:
        return suno.envelope(self.public_id)


class SubmitMusic(SourcedOperation):
    """`/suno/submit/{action}`."""

    kind = "suno"
    id_field = "task_id"

    def __init__(self, action: Action) -> None:
        super().__init__()
        self._action: Action = action
        self.default_model = suno.MODEL_OF[action]

    def bare(self) -> Self:
        return type(self)(self._action)

    def source_id(self, raw: bytes) -> str:
        return suno.read(self._action, raw).source_id

    def read(self, raw: bytes, target: Target) -> UnaryFacts:
        own = suno.read(self._action, raw)
        source = self.source
        return UnaryFacts(
            own,
            own.body,
            own.model,
            "",
            own.text_bytes,
            own.max_cost_nano,
            (_CALL,),
            only_channel=None if source is None else source.channel_id,
            only_key="" if source is None else source.channel_key,
        )

    def send(
        self, facts: UnaryFacts, urls: Mapping[Operation, str], model: str, request_id: str
    ) -> Sending:
        if FORM.operation not in urls:
            raise not_offered(facts, "Suno tasks")
        own: SunoRequest = facts.own
        encoded = suno.encode(own, self.upstream_id(own.source_id))
        accepted = AcceptedMusic(own, str(uuid4()))
        exchange = Exchange(_read, as_it_came, facts.units, accepted=accepted)
        return Sending(FORM.operation, "openai", encoded, exchange, path=f"/submit/{self._action}")


def _read(raw: bytes) -> PlainAnswer:
    """Raises UpstreamFailed for a refusing code, which its client is told."""
    try:
        submission = suno.read_submission(raw)
    except AnswerFault as fault:
        return failure(fault)
    if submission.upstream_id:
        return _ACCEPTED
    why = submission.message or "The provider gave no reason."
    raise UpstreamFailed("F6", "provider_rejected", why, code=submission.code, detail=why)
