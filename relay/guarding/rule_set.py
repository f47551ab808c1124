"""The rules of a key's guards, sorted once for all its requests."""

from collections.abc import Iterable
from functools import cached_property
from typing import Any, Protocol

from content.guards.guard import Looking
from content.guards.prefilter import Prefilter
from content.guards.rules import GuardRule, Place
from content.guards.tool_calls import TOOL, has_tool_rules
from content.policies.guards import KNOWN


class KeyRules:
    """`pure` rules decide here, `calling` ones make a call. `places` are those of all rules,
    `called_places` those of calling ones. `uses` are the flags that name the pure guards."""

    def __init__(self, rules: Iterable[GuardRule]) -> None:
        rules = tuple(rules)
        self.calling = tuple(rule for rule in rules if _calls(rule))
        self.pure = tuple(rule for rule in rules if not _calls(rule))
        self.places = frozenset(place for rule in rules for place in rule.places)
        self.called_places = frozenset(place for rule in self.calling for place in rule.places)
        self.uses = tuple(dict.fromkeys(f"guard_pure:{rule.guard}" for rule in self.pure))
        # Whether a rule is about answers; about the texts of requests, not only about their tools;
        # whether a pure one is about anything in requests.
        self.checks_answers = not self.places.isdisjoint(("answer", "tool_call"))
        self.checks_request_texts = any(
            "request" in rule.places and rule.guard != TOOL for rule in rules
        )
        self.checks_requests = any(place != "answer" for rule in self.pure for place in rule.places)
        # Whether a rule judges the tools of requests, and the calls of answers.
        self.judges_requests = any(rule.guard == TOOL for rule in self.pure)
        self.judges_calls = has_tool_rules(self.pure, "tool_call")
        self._looking: dict[Place, Looking] = {}

    def looking(self, place: Place) -> Looking:
        """Return the detectors of pure rules in a place. Raises ValueError where settings do not
        fit."""
        known = self._looking.get(place)
        if known is None:
            known = self._looking[place] = Looking(self.pure, place)
        return known

    @cached_property
    def of_requests(self) -> Prefilter:
        """What tells that pure rules find nothing in a request's texts."""
        places: tuple[Place, ...] = ("request", "tool_call", "tool_result")
        return Prefilter(one for place in places for one in self.looking(place).in_all)


class HasRules(Protocol):
    """Who asks: a principal, which keeps its rules sorted."""

    @property
    def guard_rules(self) -> tuple[GuardRule, ...]: ...

    @property
    def sorted_rules(self) -> Any: ...


def rules_of(principal: HasRules) -> KeyRules:
    """Return the rules of a principal, sorted by its first request."""
    known: KeyRules | None = principal.sorted_rules
    if known is None:
        known = KeyRules(principal.guard_rules)
        object.__setattr__(principal, "sorted_rules", known)
    return known


def _calls(rule: GuardRule) -> bool:
    """Return whether a rule's guard makes a call. One that is not installed here is asked too, and
    fails."""
    guard = KNOWN.get(rule.guard)
    return guard is None or guard.call is not None
