"""How guards end a request: they reject a text or a call, or do not answer."""

from content.detectors.call import Failure
from content.guards.rules import GuardRule, Place, refusal_text
from dialects.errors.errors import RequestFault


class GuardRefused(RequestFault):
    """A rule refuses a text or a call. `code` is the rule's own, or that of what was decided."""

    def __init__(self, rule: GuardRule, place: Place, code: str = "") -> None:
        code = code or rule.code or rule.guard
        super().__init__("guard_refused", None, refusal_text(rule, place, code))
        self.code = code


class GuardFailed(RequestFault):
    """A guard does not answer, and its rule lets no text pass unchecked."""

    def __init__(self, rule: GuardRule, failure: Failure) -> None:
        super().__init__("guard_failed", None, f"the guard {rule.guard} {_FAILED[failure]}")


_FAILED: dict[Failure, str] = {
    "deadline": "did not answer in time", "connection": "cannot be reached",
    "answer": "did not answer as expected",
}  # fmt: skip
