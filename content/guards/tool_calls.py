"""A firewall for the tools of agents: which calls pass, by the tool's name and its arguments.

The first rule that fits a call decides about it, and a call that none fits is allowed. Of several
policies the strictest decision counts: refuse, then ask, then allow.

    refuse   the call ends with an error
    ask      so it does, and its code says that a person must approve the call
    allow    it passes
"""

from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Final, NamedTuple

import msgspec

from content.detectors.tools import Decision, ToolRule, ToolRules, read_arguments
from content.guards.rules import GuardRule, Place

TOOL: Final = "tool"
APPROVAL_REQUIRED: Final = "approval_required"
"""The code of a refusal that asks for a person's approval."""
_STRICTEST: Final[tuple[Decision, ...]] = ("refuse", "ask", "allow")


class Judged(NamedTuple):
    """`by` is the rule whose decision counts, None if the call passes. `flags` are the codes of
    rules that only flag."""

    decision: Decision
    by: GuardRule | None
    flags: tuple[str, ...]

    @property
    def code(self) -> str:
        """The code of the refusal: the rule's own, unless a person's approval is missing."""
        if self.by is None:
            return ""
        return APPROVAL_REQUIRED if self.decision == "ask" else self.by.code


def has_tool_rules(rules: Sequence[GuardRule], place: Place) -> bool:
    """Return whether a rule is about tools in this place."""
    return any(rule.guard == TOOL and place in rule.places for rule in rules)


def judge_call(rules: Sequence[GuardRule], place: Place, name: str, arguments: str) -> Judged:
    """Return what rules decide about a call whose arguments are this JSON text."""
    read = read_arguments(arguments)

    def decide(listed: Sequence[ToolRule]) -> Decision:
        fitting = (one for one in listed if one.fits_name(name) and one.fits_arguments(read))
        return next((one.decision for one in fitting), "allow")

    return _judge(rules, place, decide)


def judge_tool(rules: Sequence[GuardRule], place: Place, name: str) -> Judged:
    """Return what rules decide about a tool whose arguments are not known: it is refused if every
    call of it would be."""

    def decide(listed: Sequence[ToolRule]) -> Decision:
        for one in listed:
            if one.fits_name(name) and not (one.arguments and one.decision == "refuse"):
                return "refuse" if one.decision == "refuse" else "allow"
        return "allow"

    return _judge(rules, place, decide)


def _judge(
    rules: Sequence[GuardRule], place: Place, decide: Callable[[Sequence[ToolRule]], Decision]
) -> Judged:
    strictest, flags = Judged("allow", None, ()), dict[str, None]()
    for rule in rules:
        if rule.guard != TOOL or place not in rule.places:
            continue
        decision = decide(_listed(msgspec.json.encode(rule.settings)))
        if rule.action == "flag":
            flags.update({} if decision == "allow" else {rule.code: None})
        elif _STRICTEST.index(decision) < _STRICTEST.index(strictest.decision):
            strictest = Judged(decision, rule, ())
    return strictest._replace(flags=tuple(flags))


@lru_cache(1_000)
def _listed(settings: bytes) -> list[ToolRule]:
    return msgspec.json.decode(settings, type=ToolRules).rules
