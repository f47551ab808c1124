"""What a request and its guards know of each other, without the guards themselves."""

from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import NamedTuple, Protocol, TypeVar

from content.detectors.call import CallFailed, Failure, ModelOperation, Verdict
from content.guards.masks import Masks
from content.guards.rules import GuardRule, Place
from relay.guarding.refusals import GuardRefused
from relay.guarding.rule_set import KeyRules

_C = TypeVar("_C")

CheckText = Callable[[Place, str], str]
"""Return a text of a place as guards let it pass."""


class Caller(NamedTuple):
    """Whose texts a guard is asked about. All but the model are ids."""

    request_id: str
    model: str
    key: str
    team: str


class PassedUnchecked(NamedTuple):
    """A failure after which texts passed unchecked."""

    policy: str
    guard: str
    failure: Failure


Answered = tuple[Sequence[str], Verdict]
"""Texts, and what a guard makes of them."""
Ask = Callable[[GuardRule, Place, Sequence[str]], Awaitable[list[Answered] | None]]
"""Return what a rule's guard answers about texts of a place; None if it failed and its rule lets
them pass. Raises CallFailed."""


AskModel = Callable[[ModelOperation, bytes], Awaitable[bytes]]
"""See `Reach.ask_model`."""


async def no_calls(rule: GuardRule, place: Place, texts: Sequence[str]) -> None:
    """The `Ask` of guards that are all pure."""
    raise CallFailed("connection", f"{rule.guard} cannot be called here")


class GuardService(Protocol):
    """See `relay.guarding.calls.GuardCalls`."""

    async def ask(
        self,
        caller: Caller,
        ask_model: AskModel,
        rule: GuardRule,
        place: Place,
        texts: Sequence[str],
    ) -> list[Answered] | None: ...
    def take_passed(self) -> Counter[PassedUnchecked]: ...
    def put_back(self, passed: Mapping[PassedUnchecked, int]) -> None: ...
    async def close(self) -> None: ...


class RequestGuards(Protocol):
    """See `relay.guarding.guarding.Guarding`."""

    pure_s: float

    @property
    def rules(self) -> KeyRules: ...
    @property
    def masks(self) -> Masks: ...
    @property
    def reads_answers(self) -> bool: ...
    @property
    def flags(self) -> tuple[str, ...]: ...
    def flag(self, codes: Sequence[str]) -> None: ...
    def refusal(self, rule: GuardRule, place: Place, code: str = "") -> GuardRefused: ...
    async def ask(
        self,
        content: _C,
        visit: Callable[[_C, CheckText], _C],
        masks: Masks | None = None,
        *,
        long: bool = False,
    ) -> _C: ...
