"""The guards of one request: what its key's rules make of what is asked and answered.

    request     its texts are checked before it is routed; what is masked stays masked in all that
                leaves this process
    answer      checked piece by piece, then what was masked in the request is put back

A refusal is a RequestFault before an answer begins, and a `Refused` event within one.
"""

import asyncio
from collections.abc import Sequence
from typing import Final

from content.guards.guard import GuardRule, Place, check
from content.guards.masks import Masks
from content.guards.tool_calls import TOOL, Judged
from dialects.errors.errors import RequestFault
from dialects.json.body import Body
from relay.guarding.request_texts import check_texts
from relay.guarding.request_tools import judge_request

_CHECK_HERE_MAX: Final = 64 * 1024


class GuardRefused(RequestFault):
    """A rule refuses a text or a call. `code` is the rule's own, or that of what it decided."""

    def __init__(self, rule: GuardRule, place: Place, code: str = "") -> None:
        code = code or rule.code or rule.guard
        super().__init__("guard_refused", None, refusal_text(rule, place, code))
        self.code = code


_WHERE: dict[Place, str] = {
    "request": "the request", "answer": "the answer", "tool_call": "the call of a tool",
    "tool_result": "the result of a tool",
}  # fmt: skip


def refusal_text(rule: GuardRule, place: Place, code: str) -> str:
    """Return what a client is told of a refusal: nothing of the text itself."""
    shown = f" ({code})" if code != rule.guard else ""
    return f"the guard {rule.guard} rejects {_WHERE[place]}{shown}"


class Guarding:
    """The guards of one request, with what they masked and flagged so far."""

    __slots__ = ("_flags", "masks", "rules")

    def __init__(self, rules: Sequence[GuardRule]) -> None:
        self.rules = rules
        self.masks = Masks()
        self._flags: dict[str, None] = {}

    @property
    def reads_answers(self) -> bool:
        """Whether answers must be read: a rule is about them, or something is put back."""
        return bool(self.masks.originals) or self.checks_answers

    @property
    def checks_answers(self) -> bool:
        """Whether a rule is about answers."""
        return any("answer" in rule.places or "tool_call" in rule.places for rule in self.rules)

    @property
    def flags(self) -> tuple[str, ...]:
        """The codes of the rules that flagged something, as they are recorded."""
        return tuple(self._flags)

    def flag(self, codes: Sequence[str]) -> None:
        """Note what rules flagged."""
        self._flags.update((f"guard:{code}", None) for code in codes)

    async def checked_request(self, body: Body) -> bytes:
        """Return the body to send. A long one is checked in another thread, so that others do not
        wait for it. Raises GuardRefused."""
        if len(body.raw) > _CHECK_HERE_MAX:
            return await asyncio.to_thread(self.check_request, body)
        return self.check_request(body)

    def check_request(self, body: Body) -> bytes:
        """Return the body to send. Raises GuardRefused."""
        self.masks.reserve(body.raw.decode())
        if any(rule.guard == TOOL for rule in self.rules):
            judge_request(self.rules, body, self._decide)
        return check_texts(body, self.check_text)

    def _decide(self, judged: Judged, place: Place) -> None:
        self.flag(judged.flags)
        if judged.by is not None:
            raise GuardRefused(judged.by, place, judged.code)

    def check_text(self, place: Place, text: str) -> str:
        """Return a whole text of the request. Raises GuardRefused."""
        checked = check(self.rules, place, text, self.masks)
        self.flag(checked.flags)
        if checked.refused_by is not None:
            raise GuardRefused(checked.refused_by, place)
        return checked.text
