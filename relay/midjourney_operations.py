"""Requests for pictures of Midjourney: accepted by a provider, they become media tasks."""

import secrets
from collections.abc import Mapping
from typing import Any, Final, NamedTuple, Self

from dialects import midjourney
from dialects.codec import Target
from dialects.errors import ErrorKind
from dialects.fold import AnswerFault
from dialects.midjourney import MidjourneyRequest, Submitted
from dialects.operation import Operation
from dialects.unary import PlainAnswer, failure
from dialects.usage import Quantities
from gateway.providers.midjourney_proxy import FORM
from gateway.providers.task_form import TaskForm
from relay.media_tasks import Task
from relay.sourced_operation import SourcedOperation
from relay.unary import Exchange, Sending, UnaryFacts, Unit, as_it_came, not_offered
from relay.upstream import UpstreamFailed
from relay.video_order import Ordered

_ACCEPTED: Final = PlainAnswer(Quantities({}, ()))
_CALL: Final = Unit("requests", 1, lambda family: 1)
_ABOUT_TASKS: Final = ("change", "simple-change", "action", "modal")
# Ids are 16 digits, none of them a leading zero.
_FIRST_ID: Final = 10**15
# What a refusing code means, and its row of the fault table; any other is a fault of the provider.
_REFUSED: Final[Mapping[int, tuple[ErrorKind, str]]] = {
    3: ("provider_rejected", "F6"),
    4: ("provider_rejected", "F6"),
    23: ("upstream_rate_limited", "F8"),
    24: ("content_filtered", "F6"),
}


class AcceptedPicture(NamedTuple):
    """What becomes of an answer by which a provider has accepted one."""

    request: MidjourneyRequest
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
        return midjourney.read_submission(raw).upstream_id

    def answer(self, raw: bytes, created_at: int) -> dict[str, Any]:
        return midjourney.write_submitted(midjourney.read_submission(raw), self.public_id)


class Submit(SourcedOperation):
    """`/mj/submit/{path}`; `mode` is that of the address, "" for none."""

    kind = "midjourney"

    def __init__(self, path: Submitted, mode: str = "") -> None:
        super().__init__()
        self._path = path
        self._mode = mode
        self.id_field = "content" if path == "simple-change" else "taskId"
        # Of what is about a task the body says more, and is read before.
        self.default_model = f"mj_{path}"

    def bare(self) -> Self:
        return type(self)(self._path, self._mode)

    def source_id(self, raw: bytes) -> str:
        if self._path not in _ABOUT_TASKS:
            return ""
        return midjourney.read(self._path, raw, self._mode).source_id

    def check(self, task: Task) -> None:
        # A dialog is open while its task still runs.
        if self._path != "modal" or task.video.state == "failed":
            super().check(task)

    def read(self, raw: bytes, target: Target) -> UnaryFacts:
        own = midjourney.read(self._path, raw, self._mode)
        source = self.source
        return UnaryFacts(
            own,
            own.body,
            own.model,
            "",
            own.text_bytes,
            own.max_cost_nano,
            (_CALL,),
            media={"image": own.pictures} if own.pictures else {},
            only_channel=None if source is None else source.channel_id,
            only_key="" if source is None else source.channel_key,
        )

    def send(
        self, facts: UnaryFacts, urls: Mapping[Operation, str], model: str, request_id: str
    ) -> Sending:
        if FORM.operation not in urls:
            raise not_offered(facts, "Midjourney tasks")
        own: MidjourneyRequest = facts.own
        encoded = midjourney.encode(own, self.upstream_id(own.source_id))
        accepted = AcceptedPicture(own, str(_FIRST_ID + secrets.randbelow(9 * _FIRST_ID)))
        exchange = Exchange(_read, as_it_came, facts.units, accepted=accepted)
        return Sending(FORM.operation, "openai", encoded, exchange, path=f"/submit/{self._path}")


def _read(raw: bytes) -> PlainAnswer:
    """Raises UpstreamFailed for a refusing code, which its client is told."""
    try:
        submission = midjourney.read_submission(raw)
    except AnswerFault as fault:
        return failure(fault)
    if submission.code in midjourney.ACCEPTED:
        return _ACCEPTED
    kind, row = _REFUSED.get(submission.code, ("upstream_error", "F23"))
    why = submission.description or "The provider gave no reason."
    raise UpstreamFailed(row, kind, why, code=str(submission.code), detail=why)
