"""The guards of one request: what its key's rules make of what is asked and answered.

    request     its texts are checked before it is routed; what is masked stays masked in all that
                leaves this process
    answer      checked piece by piece, then what was masked in the request is put back

Pure rules come first, so that guards which call a service get masked texts. Then each of these is
asked, one after the other. A refusal is a RequestFault before an answer begins, and a `Refused`
event within one.
"""

import asyncio
import time
from collections.abc import Callable, Sequence
from typing import Final, TypeVar
from uuid import UUID

from content.detectors.call import CallFailed, Verdict
from content.guards.guard import check_text
from content.guards.masks import Masks
from content.guards.rules import GuardRule, Place
from content.guards.tool_calls import Judged
from dialects.json.body import Body, read_body
from lib.ids import id_text
from relay.guarding.asking import Ask, CheckText, no_calls
from relay.guarding.refusals import GuardFailed, GuardRefused
from relay.guarding.request_texts import check_texts, has_texts_as_written
from relay.guarding.request_tools import judge_request
from relay.guarding.rule_set import KeyRules

_C = TypeVar("_C")

MASKED: Final = "masked"
"""The flag of a request in which something was masked."""
_CHECK_HERE_MAX: Final = 64 * 1024


class Guarding:
    """The guards of one request, with what they masked and flagged so far. Rules that make a call
    make it by `ask`, which notes the ids of `requests` to models. `masks` are those that other
    prompts share, None for masks of its own.
    """

    __slots__ = (
        "_ask",
        "_asked",
        "_flags",
        "_ms",
        "_refused",
        "_requests",
        "masks",
        "pure_s",
        "rules",
    )

    def __init__(
        self,
        rules: KeyRules,
        ask: Ask = no_calls,
        requests: Sequence[str] = (),
        masks: Masks | None = None,
    ) -> None:
        self.rules = rules
        self.masks = Masks() if masks is None else masks
        self._ask, self._requests = ask, requests
        self._flags: dict[str, None] = {}
        self._refused: tuple[GuardRule, Place] | None = None
        # How long pure guards took together. The times of the others, and the ids of the requests
        # of each.
        self.pure_s = 0.0
        self._ms: dict[str, float] = {}
        self._asked: dict[str, list[str]] = {}

    @property
    def reads_answers(self) -> bool:
        """Whether answers must be read: a rule is about them, or something is put back."""
        return self.rules.checks_answers or bool(self.masks.originals)

    @property
    def flags(self) -> tuple[str, ...]:
        """What rules flagged; what each policy's guards masked and refused, and where; and which
        guards checked: the names of pure ones and their time together, then each other one that was
        asked, with its time and its requests to models. A record's flags have at most 40
        characters."""
        times = []
        if self.rules.pure and self.pure_s:
            times.append(f"guard_ms::{round(self.pure_s * 1000)}")
        for guard, ms in self._ms.items():
            times.append(f"guard_ms:{guard}:{round(ms)}")
            times += (f"guard_request:{id}" for id in self._asked.get(guard, ()))
        effects = self._effects() if self.masks.by_rule or self._refused is not None else ()
        return (*self._flags, *effects, *self.rules.uses, *times)

    def _effects(self) -> list[str]:
        """A policy, behind it a place, and behind that what the policy's guards did there."""
        of_policies: dict[str, dict[str, list[str]]] = {}
        for (policy, guard, side), placeholders in self.masks.by_rule.items():
            masked = f"guard_masked:{guard}:{len(placeholders)}"
            of_policies.setdefault(policy, {}).setdefault(side, []).append(masked)
        if self._refused is not None:
            rule, place = self._refused
            of_place = of_policies.setdefault(rule.policy, {}).setdefault(place, [])
            of_place.append(f"guard_refused:{rule.guard}")
        flags = [MASKED] if self.masks.by_rule else []
        for policy, places in of_policies.items():
            flags += [f"guard_policy:{id_text(UUID(policy))}"] if policy else []
            for where, did in places.items():
                flags += [f"guard_in:{where}", *did]
        return flags

    def refusal(self, rule: GuardRule, place: Place, code: str = "") -> GuardRefused:
        """Note that a rule refuses, and return the error. `code` is as GuardRefused has it."""
        self._refused = rule, place
        return GuardRefused(rule, place, code)

    def flag(self, codes: Sequence[str]) -> None:
        """Note what rules flagged."""
        self._flags.update((f"guard:{code}", None) for code in codes)

    async def checked_request(self, body: Body) -> bytes:
        """Return the body to send. A long one is checked in another thread, so that others do not
        wait for it. Raises GuardRefused, GuardFailed."""
        rules = self.rules
        if long := len(body.raw) > _CHECK_HERE_MAX:
            raw = await asyncio.to_thread(self.check_request, body)
        else:
            raw = self.check_request(body)
        return await self.ask(raw, _check_raw, long=long) if rules.calling else raw

    def check_request(self, body: Body) -> bytes:
        """Return the body as pure rules let it pass. Raises GuardRefused."""
        began, rules, raw = time.perf_counter(), self.rules, body.raw
        try:
            if b"<" in raw:
                self.masks.reserve(raw.decode())
            if rules.judges_requests:
                judge_request(rules.pure, body, self._decide)
            if not rules.checks_requests:
                return raw
            if has_texts_as_written(raw) and not rules.of_requests.may_match(raw):
                return raw
            return check_texts(body, self.check_text)
        finally:
            self.pure_s += time.perf_counter() - began

    def _decide(self, judged: Judged, place: Place) -> None:
        self.flag(judged.flags)
        if judged.by is not None:
            raise self.refusal(judged.by, place, judged.code)

    def check_text(self, place: Place, text: str) -> str:
        """Return a whole text of the request. Raises GuardRefused."""
        checked = check_text(self.rules.looking(place), text, self.masks)
        if checked.flags:
            self.flag(checked.flags)
        if checked.refused_by is not None:
            raise self.refusal(checked.refused_by, place)
        return checked.text

    async def ask(
        self,
        content: _C,
        visit: Callable[[_C, CheckText], _C],
        masks: Masks | None = None,
        *,
        long: bool = False,
    ) -> _C:
        """Return content as guards that make a call let it pass. `visit` returns content with each
        of its texts replaced by what a function returns for it; in another thread if `long`.
        `masks` get what is masked, those of the request if None. Raises GuardRefused, GuardFailed.
        """
        for rule in self.rules.calling:
            content = await self._ask_rule(rule, content, visit, masks or self.masks, long=long)
        return content

    async def _ask_rule(
        self,
        rule: GuardRule,
        content: _C,
        visit: Callable[[_C, CheckText], _C],
        masks: Masks,
        *,
        long: bool,
    ) -> _C:
        asked: dict[Place, dict[str, None]] = {}

        def collect(place: Place, text: str) -> str:
            if place in rule.places and text:
                asked.setdefault(place, {})[text] = None
            return text

        changed: dict[tuple[Place, str], str] = {}

        def replace(place: Place, text: str) -> str:
            return changed.get((place, text), text)

        if long:
            await asyncio.to_thread(visit, content, collect)
        else:
            visit(content, collect)
        for place, texts in asked.items():
            await self._ask_about(rule, place, list(texts), masks, changed)
        if not changed:
            return content
        return await asyncio.to_thread(visit, content, replace) if long else visit(content, replace)

    async def _ask_about(
        self,
        rule: GuardRule,
        place: Place,
        texts: list[str],
        masks: Masks,
        changed: dict[tuple[Place, str], str],
    ) -> None:
        began, before = time.perf_counter(), len(self._requests)
        try:
            answered = await self._ask(rule, place, texts)
        except CallFailed as failed:
            raise GuardFailed(rule, failed.failure) from failed
        finally:
            ms = (time.perf_counter() - began) * 1000
            self._ms[rule.guard] = self._ms.get(rule.guard, 0) + ms
            self._asked.setdefault(rule.guard, []).extend(self._requests[before:])
        if answered is None:
            self.flag([f"{rule.guard}:unchecked"])
            return
        for _, verdict in answered:
            if verdict.action == "refuse" or (rule.action == "refuse" and any(verdict.matches)):
                raise self.refusal(rule, place, verdict.code)
        for some, verdict in answered:
            if verdict.action == "flag" or (rule.action == "flag" and any(verdict.matches)):
                self.flag([verdict.code or rule.code])
            for text, new in zip(some, _changed(rule, some, verdict, masks), strict=True):
                if new != text:
                    changed[place, text] = new


def _changed(
    rule: GuardRule, texts: Sequence[str], verdict: Verdict, masks: Masks
) -> Sequence[str]:
    """Return texts as a verdict changes them."""
    if verdict.texts:
        return verdict.texts
    if rule.action != "mask" or not verdict.matches:
        return texts
    return [masks.masked(*one, rule) for one in zip(texts, verdict.matches, strict=True)]


def _check_raw(raw: bytes, check: CheckText) -> bytes:
    return check_texts(read_body(raw), check)
