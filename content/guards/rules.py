"""The rules of guards: what looks where, and what it does about what it finds."""

from typing import Any, Literal

import msgspec

# A whole answer and a streamed one are both "answer"; so is what a model thinks aloud.
Place = Literal["request", "answer", "tool_call", "tool_result"]
# A guard that decides itself has no other action than that.
Action = Literal["mask", "refuse", "flag", "decide"]
PLACES: tuple[Place, ...] = ("request", "answer", "tool_call", "tool_result")
ACTIONS: tuple[Action, ...] = ("refuse", "mask", "flag")  # the strictest first


class GuardRule(msgspec.Struct, frozen=True, omit_defaults=True):
    """A rule of a policy. `policy` is its id and `sealed` the guard's sealed secret in base64; both
    are "" in the policy itself.
    """

    guard: str
    settings: dict[str, Any]
    places: list[Place]
    action: Action
    code: str
    policy: str = ""
    sealed: str = ""


def refusal_text(rule: GuardRule, place: Place, code: str) -> str:
    """Return what a client is told of a refusal: nothing of the text itself."""
    suffix = f" ({code})" if code != rule.guard else ""
    return f"the guard {rule.guard} rejects {_WHERE[place]}{suffix}"


_WHERE: dict[Place, str] = {
    "request": "the request", "answer": "the answer", "tool_call": "the call of a tool",
    "tool_result": "the result of a tool",
}  # fmt: skip
