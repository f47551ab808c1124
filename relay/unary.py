"""Requests that are no chat: one body up, one answer down, and no output that a cap could bound.

client's body --read--> UnaryFacts --send--> Sending: the upstream's body, and how its answer is
                                             read for what it used and written for the client
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, NamedTuple

from dialects.body import Body
from dialects.chat import Dialect, Encoded
from dialects.codec import Target
from dialects.errors import RequestFault
from dialects.operation import Operation
from dialects.unary import PlainAnswer
from gateway.rules.tokenizers import Family


class Unit(NamedTuple):
    """One way in which a request may be billed: on which meter, at most how much, and how it is
    counted here, as a family of models does, where no upstream tells it."""

    meter: str
    most: int
    here: Callable[[Family], int]


@dataclass(frozen=True, slots=True)
class UnaryFacts:
    """The Facts of such a request; `own` are those of its codec. Which of its `units` is billed is
    for the price and the upstream to say."""

    own: Any
    body: Body
    model: str
    user: str
    text_bytes: int
    max_cost_nano: int | None
    units: tuple[Unit, ...]
    stream: bool = False
    output_cap: int | None = 0
    choices: int = 1
    media: Mapping[Any, int] = field(default_factory=dict)
    audio_output: bool = False


class Exchange(NamedTuple):
    """How the body of a 200 is read, and written for the client once it is known what is billed.

    `write` takes that body and the meters, and raises AnswerFault for what cannot be converted.
    """

    read: Callable[[bytes], PlainAnswer]
    write: Callable[[bytes, Mapping[str, int]], bytes]
    units: tuple[Unit, ...]

    def counted_here(self, rates: Collection[str], family: Family) -> dict[str, int]:
        """Our own count, on the first meter that has a rate."""
        unit = next((unit for unit in self.units if unit.meter in rates), self.units[0])
        return {unit.meter: unit.here(family)}


class Sending(NamedTuple):
    """What an upstream is asked, and in whose dialect it tells of errors."""

    operation: Operation
    dialect: Dialect
    encoded: Encoded
    exchange: Exchange


class UnaryOperation(ABC):
    """One such operation in one client's form. `default_model` is asked where a body names none."""

    default_model: ClassVar[str] = ""

    @abstractmethod
    def read(self, raw: bytes, target: Target) -> UnaryFacts:
        """What must be known of a client's request. Raises RequestFault."""

    @abstractmethod
    def send(
        self, facts: UnaryFacts, urls: Mapping[Operation, str], model: str, request_id: str
    ) -> Sending:
        """The request for an upstream that has these operations and calls the model so.

        Raises RequestFault, `unsupported_capability` where it has none that would do.
        """


def not_offered(facts: UnaryFacts, what: str) -> RequestFault:
    """The refusal of a model whose provider has no such operation."""
    message = f"model {facts.model} has no {what}: its provider does not offer them"
    return RequestFault("unsupported_capability", "model", message)


def as_it_came(raw: bytes, meters: Mapping[str, int]) -> bytes:
    """The `write` of an exchange that converts nothing."""
    return raw
