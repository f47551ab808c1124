"""Requests to task services: once a provider accepts one, it becomes a media task. A service says
what is particular to it in its `OrderForm`."""

from collections.abc import Callable, Mapping
from typing import Any, Final, NamedTuple, Protocol, Self

from dialects.chat.chat import Encoded
from dialects.chat.fold import AnswerFault
from dialects.chat.operation import Operation
from dialects.codec import Target
from dialects.errors.errors import RequestFault
from dialects.errors.kinds import ErrorKind
from dialects.json.body import Body
from dialects.openai.unary import PlainAnswer, failure
from dialects.usage.usage import Quantities
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


class OrderForm(NamedTuple):
    """How clients order tasks of a service. `name` appears in the error for a provider that does
    not offer it; `hook_field` is the member with the address to notify at a task's end. `encode`
    receives the provider's id of the task that a request refers to. `read_accepted` returns the
    provider's id of the new task; it raises AnswerFault for an invalid answer, UpstreamFailed for a
    refusal. `write_accepted` turns the provider's answer into the client's, with our id."""

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

    service: OrderForm
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

    def __init__(self, service: OrderForm, address: TaskAddress) -> None:
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


def refuse_task(row: str, kind: ErrorKind, code: str, message: str) -> UpstreamFailed:
    """Return the failure for a provider's refusal of a task."""
    why = message or "The provider gave no reason."
    return UpstreamFailed(row, kind, why, code=code, detail=why)
