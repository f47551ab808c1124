"""The contract of a guard that makes one call: to a service, for whole texts.

It is not pure, but it connects by nothing of its own: it gets a `Reach`, for permitted addresses
and for models. Whoever calls it limits its time, and handles all its errors.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Annotated, Any, Final, Literal, NamedTuple, Protocol

import msgspec

from content.detectors.detector import Match

Failure = Literal["deadline", "connection", "answer"]
FAILURES: Final[tuple[Failure, ...]] = ("deadline", "connection", "answer")
"""The classes of failures: no answer in time; no connection, or one that broke off; an answer that
is not one, such as another status than 200."""
DEADLINE_MS_MIN: Final = 50
DEADLINE_MS_MAX: Final = 10_000


class CallFailed(Exception):
    """The call has no valid answer. `why` is logged, so it contains nothing of texts or answers.
    `kind` is that of the error of a request to a model (`dialects.errors.errors`)."""

    def __init__(self, failure: Failure, why: str, kind: str | None = None) -> None:
        super().__init__(why)
        self.failure: Failure = failure
        self.kind = kind


class CallSettings(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """The settings of every guard that makes a call. `passes_on` are the failures after which texts
    pass unchecked; after others they are rejected. A setting named `secret` is sealed, and is never
    shown again.
    """

    deadline_ms: Annotated[int, msgspec.Meta(ge=DEADLINE_MS_MIN, le=DEADLINE_MS_MAX)] = 1_000
    passes_on: list[Failure] = []


class Question(NamedTuple):
    """The texts of a request or answer in one place. `id` names this call, `key` and `team` are
    ids, and `asked_at` is in Unix seconds.
    """

    id: str
    asked_at: int
    request_id: str
    place: str
    texts: Sequence[str]
    model: str
    key: str
    team: str


class Verdict(NamedTuple):
    """What a guard makes of the texts of a question.

    `texts` replace them after a change, one for each. `code` is that of a refusal or a flag, "" for
    the rule's own. `matches`, for each text, are handled by the rule's action.
    """

    action: Literal["pass", "change", "refuse", "flag"]
    texts: Sequence[str] = ()
    code: str = ""
    matches: Sequence[Sequence[Match]] = ()


PASS: Final = Verdict("pass")

ModelOperation = Literal["moderations", "chat_completions"]


class Reach(Protocol):
    """What a guard may use. Both raise CallFailed."""

    def post(self, url: str, headers: Mapping[str, str], body: bytes, /) -> Awaitable[bytes]:
        """Send a body with headers to a URL, and return the body of an answer with status 200.
        Redirects are not followed.
        """

    def ask_model(self, operation: ModelOperation, body: bytes, /) -> Awaitable[bytes]:
        """Send a request in OpenAI's form to a model of the installation, and return the whole
        answer. It is charged like a request of the key whose texts are checked.
        """


Call = Callable[[Any, Question, Reach], Awaitable[Verdict]]
"""A guard's function of its settings, a question, and its reach. Raises CallFailed."""
