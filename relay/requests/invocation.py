"""What the path of a request says of it: its operation, and the dialect of its client."""

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Final, Protocol

import msgspec

from dialects.chat.operation import Operation
from dialects.codec import Codec, Target
from dialects.errors.task_errors import Family

# The maximum length of a model's name in a route, an attempt and a record.
MODEL_LENGTH_MAX: Final = 200


class OtherOperation(Protocol):
    """An operation other than a chat, as a client asks for it (`UnaryOperation`): `read` returns
    its UnaryFacts, and `send` its Sending for an upstream with these operations."""

    default_model: str
    model_fields: ClassVar[tuple[str, ...]]
    lasts_s: ClassVar[float]
    has_tools: ClassVar[bool]

    def read(self, raw: bytes, target: Target) -> Any: ...
    def send(
        self, facts: Any, urls: Mapping[Operation, str], model: str, request_id: str
    ) -> Any: ...


class Invocation(msgspec.Struct, frozen=True):
    """What the path and headers of a request say: the dialect, the name in the records, and the
    client's headers, some of which are forwarded. Requests other than chats are a `unary`
    operation. Errors of a task service are in the form of its `family`."""

    codec: Codec[Any]
    operation: str
    target: Target = Target()
    headers: Sequence[tuple[bytes, bytes]] = ()
    unary: OtherOperation | None = None
    family: Family | None = None
