"""Requests to task services (Midjourney, Suno): once a provider accepts one, it becomes a media
task. Their common parts are here; the tables below have the differences.
"""

import secrets
from collections.abc import Callable, Mapping
from typing import Any, Final, NamedTuple, Protocol, Self
from uuid import uuid4

from dialects.chat.chat import Encoded
from dialects.chat.fold import AnswerFault
from dialects.chat.operation import Operation
from dialects.codec import Target
from dialects.errors.errors import ErrorKind, RequestFault
from dialects.json.body import Body
from dialects.media import midjourney, suno
from dialects.media.midjourney import Submitted
from dialects.media.suno import Action
from dialects.openai.unary import PlainAnswer, failure
from dialects.usage.usage import Quantities
from gateway.providers import midjourney_proxy, suno_api
from gateway.providers.task_form import TaskForm
from lib.network.egress import EgressDenied, check_form_of_named
from relay.media_tasks.media_tasks import Task, TaskKind
from relay.media_tasks.video_order import Ordered
from relay.operations.sourced_operation import SourcedOperation
from relay.operations.unary import Exchange, Sending, UnaryFacts, Unit, not_offered, pass_unchanged
from relay.upstream.failures import UpstreamFailed

_ACCEPTED: Final = PlainAnswer(Quantities({}, ()))
_CALL: Final = Unit("requests", 1, lambda family: 1)


class TaskRequest(Protocol):
    """The facts of a request. `source_id` is the task that it refers to, "" for none; `detail` is
    shown to its clients later; `hook` is the address to notify at its end, "" for none; `pictures`
    is their number.
    """

    @property
    def body(self) -> Body: ...
    @property
    def model(self) -> str: ...
    @property
    def prompt(self) -> str: ...
    @property
    def source_id(self) -> str: ...
    @property
    def detail(self) -> Mapping[str, Any]: ...
    @property
    def hook(self) -> str: ...
    @property
    def pictures(self) -> int: ...
    @property
    def text_bytes(self) -> int: ...
    @property
    def max_cost_nano(self) -> int | None: ...


class TaskService(NamedTuple):
    """One service. `name` appears in the error for a provider that does not offer it; `hook_field`
    is the member with the address to notify at a task's end. `encode` receives the provider's id of
    the task that a request refers to. `read_accepted` returns the provider's id of the new task; it
    raises AnswerFault for an invalid answer, UpstreamFailed for a refusal. `write_accepted` turns
    the provider's answer into the client's, with our id."""

    kind: TaskKind
    name: str
    hook_field: str
    form: TaskForm
    new_id: Callable[[], str]
    encode: Callable[[Any, str], Encoded]
    read_accepted: Callable[[bytes], str]
    write_accepted: Callable[[bytes, str], dict[str, Any]]


class TaskAddress(NamedTuple):
    """One address of a service, below `/submit/`. `id_field` is the member that names the earlier
    task, "" for none; `while_running` permits a task that has not finished."""

    path: str
    model: str
    read: Callable[[bytes], TaskRequest]
    id_field: str = ""
    while_running: bool = False


class AcceptedOrder(NamedTuple):
    """Handles an answer by which a provider accepts a task."""

    service: TaskService
    request: TaskRequest
    public_id: str
    hook_secret: str

    @property
    def form(self) -> TaskForm:
        return self.service.form

    @property
    def ordered(self) -> Ordered:
        request = self.request
        return Ordered(
            request.model,
            request.prompt,
            source_id=request.source_id,
            detail=dict(request.detail),
            hook=request.hook,
            hook_secret=self.hook_secret,
        )

    def upstream_id(self, raw: bytes) -> str:
        return self.service.read_accepted(raw)

    def answer(self, raw: bytes, created_at: int) -> dict[str, Any]:
        return self.service.write_accepted(raw, self.public_id)


class SubmitTask(SourcedOperation):
    """A request to one address of a service. The action determines the model and so the price; if
    the body refers to an earlier task, the action may depend on that task, which is read first."""

    def __init__(self, service: TaskService, address: TaskAddress) -> None:
        super().__init__()
        self._service = service
        self._address = address
        self.kind = service.kind
        self.id_field = address.id_field
        self.default_model = address.model

    def bare(self) -> Self:
        return type(self)(self._service, self._address)

    def source_id(self, raw: bytes) -> str:
        return self._address.read(raw).source_id if self.id_field else ""

    def check(self, task: Task) -> None:
        if not self._address.while_running or task.video.state == "failed":
            super().check(task)

    def read(self, raw: bytes, target: Target) -> UnaryFacts:
        own, source = self._address.read(raw), self.source
        if own.hook:
            self._check_hook(own.hook)
        return UnaryFacts(
            own=own,
            body=own.body,
            model=own.model,
            user="",
            text_bytes=own.text_bytes,
            max_cost_nano=own.max_cost_nano,
            units=(_CALL,),
            media={"image": own.pictures} if own.pictures else {},
            only_channel=None if source is None else source.channel_id,
            only_key=None if source is None else source.channel_key_id,
        )

    def _check_hook(self, url: str) -> None:
        """Check the address of a hook. Raises RequestFault for an address that would never be
        called. The IP addresses of a host name are checked only at each call, so that a client
        cannot probe internal names."""
        try:
            check_form_of_named(self.hook_policy, url)
        except EgressDenied:
            field = self._service.hook_field
            what = f"{field} must be a public https address on port 443"
            raise RequestFault("invalid_value", field, what) from None

    def send(
        self, facts: UnaryFacts, urls: Mapping[Operation, str], model: str, request_id: str
    ) -> Sending:
        service, own = self._service, facts.own
        if service.form.operation not in urls:
            raise not_offered(facts, service.name)
        encoded = service.encode(own, self.upstream_id(own.source_id))
        accepted = AcceptedOrder(service, own, service.new_id(), self.hook_secret)
        exchange = Exchange(self._read_answer, pass_unchanged, facts.units, accepted=accepted)
        path = f"/submit/{self._address.path}"
        return Sending(service.form.operation, "openai", encoded, exchange, path=path)

    def _read_answer(self, raw: bytes) -> PlainAnswer:
        """Read the provider's answer. Raises UpstreamFailed for an error code, which the client
        receives."""
        try:
            self._service.read_accepted(raw)
        except AnswerFault as fault:
            return failure(fault)
        return _ACCEPTED


def _refuse_task(row: str, kind: ErrorKind, code: str, message: str) -> UpstreamFailed:
    why = message or "The provider gave no reason."
    return UpstreamFailed(row, kind, why, code=code, detail=why)


# ---- Midjourney

# Ids have 16 digits, the first not zero.
_FIRST_ID: Final = 10**15
# The meaning of an error code, and its row of the fault table; any other is a fault of the
# provider.
_MIDJOURNEY_REFUSED: Final[Mapping[int, tuple[str, ErrorKind]]] = {
    3: ("F6", "provider_rejected"),
    4: ("F6", "provider_rejected"),
    23: ("F8", "upstream_rate_limited"),
    24: ("F6", "content_filtered"),
}
_MIDJOURNEY_SOURCES: Final[Mapping[Submitted, str]] = {
    "change": "taskId",
    "simple-change": "content",
    "action": "taskId",
    "modal": "taskId",
}


def _read_picture(raw: bytes) -> str:
    submission = midjourney.read_submission(raw)
    if submission.code not in midjourney.ACCEPTED:
        row, kind = _MIDJOURNEY_REFUSED.get(submission.code, ("F23", "upstream_error"))
        raise _refuse_task(row, kind, str(submission.code), submission.description)
    return submission.upstream_id


_MIDJOURNEY: Final = TaskService(
    kind="midjourney",
    name="Midjourney tasks",
    hook_field="notifyHook",
    form=midjourney_proxy.FORM,
    new_id=lambda: str(_FIRST_ID + secrets.randbelow(9 * _FIRST_ID)),
    encode=midjourney.encode,
    read_accepted=_read_picture,
    write_accepted=lambda raw, id_: midjourney.write_submitted(
        midjourney.read_submission(raw), id_
    ),
)


def submit_picture(path: Submitted, mode: str = "") -> SubmitTask:
    """Return the operation of `/mj/submit/{path}`. `mode` is the speed in the path, "" for none."""
    address = TaskAddress(
        path,
        f"mj_{path}",
        lambda raw: midjourney.read(path, raw, mode),
        _MIDJOURNEY_SOURCES.get(path, ""),
        # A dialog accepts input while its task is running.
        while_running=path == "modal",
    )
    return SubmitTask(_MIDJOURNEY, address)


# ---- Suno


def _read_song(raw: bytes) -> str:
    submission = suno.read_submission(raw)
    if not submission.upstream_id:
        raise _refuse_task("F6", "provider_rejected", submission.code, submission.message)
    return submission.upstream_id


_SUNO: Final = TaskService(
    kind="suno",
    name="Suno tasks",
    hook_field="notify_hook",
    form=suno_api.FORM,
    new_id=lambda: str(uuid4()),
    encode=suno.encode,
    read_accepted=_read_song,
    write_accepted=lambda raw, id_: suno.write_envelope(id_),
)


def submit_song(action: Action) -> SubmitTask:
    """Return the operation of `/suno/submit/{action}`."""
    source = "task_id" if action == "music" else ""
    model = suno.MODEL_OF[action]
    return SubmitTask(_SUNO, TaskAddress(action, model, lambda raw: suno.read(action, raw), source))
