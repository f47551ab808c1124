"""What rules do to a text: the same for a whole one and for one that arrives in pieces.

A detector finds; a rule says where to look and what to do about it. Where findings of several rules
overlap, the strictest acts on all that they cover: refuse, then mask, then flag.
"""

import re
from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache
from typing import Final, NamedTuple

import msgspec

from content.detectors.detector import LETTERS, WORD_CHARACTERS_MAX, WORDS, Detector
from content.detectors.folded import folded
from content.detectors.registry import make_detectors
from content.guards.masks import Masks
from content.guards.rules import ACTIONS, GuardRule, Place

_LOOKED_BACK: Final = 2  # characters before a match at which a detector looks
# Before a text: a match that begins with it is one that begins a line.
_BEFORE: Final = "\n" * _LOOKED_BACK
# Words of several scripts, short and long.
_ANY_WORDS: Final = [one * n for one in LETTERS for n in (1, 2, 3, WORD_CHARACTERS_MAX)]


class Checked(msgspec.Struct, frozen=True, gc=False):
    """`text` may go out. After a refusal it ends before what was refused."""

    text: str
    refused_by: GuardRule | None = None
    masked: dict[str, str] = {}  # text by placeholder
    flags: tuple[str, ...] = ()  # the codes of rules that flag


class _Finding(NamedTuple):
    start: int
    end: int
    kind: str
    rule: GuardRule


def detectors_of(rule: GuardRule) -> Sequence[Detector]:
    """Return what finds for `rule`; raise `ValueError` where its settings do not fit."""
    return _detectors_for(rule).detectors


class _RuleDetectors(NamedTuple):
    """The detectors of a rule. `begin_any_word`: a match of one of them may begin with any word."""

    detectors: Sequence[Detector]
    begin_any_word: bool


def _detectors_for(rule: GuardRule) -> _RuleDetectors:
    return _detectors_by_settings(
        rule.guard, msgspec.json.encode(rule.settings, order="deterministic")
    )


@lru_cache(1_000)
def _detectors_by_settings(guard: str, settings: bytes) -> _RuleDetectors:
    detectors = make_detectors(guard, msgspec.json.decode(settings))
    return _RuleDetectors(detectors, any(map(_begins_any_word, detectors)))


class Looking:
    """The detectors of rules in one place, made once for all texts there. Raises ValueError where
    settings do not fit."""

    __slots__ = ("detectors", "folds", "in_all", "in_words", "needed", "skips_words", "words_wait")

    def __init__(self, rules: Sequence[GuardRule], place: Place) -> None:
        by_rule = [(rule, _detectors_for(rule)) for rule in rules if place in rule.places]
        self.detectors = [(rule, one) for rule, its in by_rule for one in its.detectors]
        self.in_all = [one for _, one in self.detectors]
        self.in_words = [one for one in self.in_all if one.begins_words]
        # Whether words that nothing can begin in are not searched, and whether the last one waits.
        self.skips_words = all(one.passes_words for one in self.in_all)
        self.words_wait = any(its.begin_any_word for _, its in by_rule)
        self.folds = any(one.reads_folded for one in self.in_all)
        self.needed = _needed(self.in_all)


def check(rules: Sequence[GuardRule], place: Place, text: str, masks: Masks) -> Checked:
    """Return what rules make of a whole text."""
    return check_text(Looking(rules, place), text, masks)


def check_text(looking: Looking, text: str, masks: Masks) -> Checked:
    """Return what is made of a whole text."""
    masks.reserve(text)
    return Held(looking, masks).check(text) if looking.in_all else Checked(text)


class Held:
    """A text that arrives in pieces, of which `feed` returns what may go out by now.

    What could begin a match waits for more text, or for the `end`, and nothing else waits. All that
    goes out together equals what `check` returns of the whole text.
    """

    __slots__ = (
        "_after_words", "_looking", "_masks", "_refused_by", "_skips_words", "_text", "_words_wait",
    )  # fmt: skip

    def __init__(self, looking: Looking, masks: Masks) -> None:
        self._looking = looking
        self._skips_words, self._words_wait = looking.skips_words, looking.words_wait
        self._masks = masks
        self._text = _BEFORE  # what waits, with the two characters before it
        # Whether a word or nothing waits, and what stands between two words is before it.
        self._after_words = looking.words_wait
        self._refused_by: GuardRule | None = None

    def words(self) -> Callable[[str], str | None] | None:
        """Return what takes words, None if there are none to skip: as `feed` it returns what may go
        out by now, but None, and does nothing, if the text is for `search`. It is good until a
        refusal."""
        return self._pass_words if self._skips_words and self._refused_by is None else None

    def feed(self, text: str) -> Checked:
        if not self._looking.in_all:
            return Checked(text)
        pass_words = self.words()
        if pass_words is not None and (passed := pass_words(text)) is not None:
            return Checked(passed)
        return self.search(text)

    def search(self, text: str) -> Checked:
        """Feed a text that is not words alone."""
        self._text += text
        if self._refused_by is not None:
            return self._nothing()
        text, begin = self._text, _LOOKED_BACK
        if self._skips_words:
            words = WORDS.match(text, _LOOKED_BACK - 1) or WORDS.match(text, _LOOKED_BACK)
            begin = words.start(1) if words else begin
        folded_text = self._folded(text)
        safe = self._open_from(text, folded_text, begin, self._looking.in_all)
        # No match starts before `begin`.
        return self._release(safe, begin, folded_text) if safe > begin else self._pass(safe)

    @property
    def waiting(self) -> str:
        """What waits for more text."""
        return self._text[_LOOKED_BACK:]

    def end(self) -> Checked:
        return self._release(len(self._text), _LOOKED_BACK, self._folded(self._text))

    def check(self, text: str) -> Checked:
        self._text += text
        return self.end()

    def _folded(self, text: str) -> str:
        """Return a text as detectors of numbers read it."""
        return folded(text) if self._looking.folds else text

    @staticmethod
    def _open_from(text: str, folded_text: str, begin: int, detectors: Sequence[Detector]) -> int:
        first = len(text)
        for one in detectors:
            position = one.open_from(folded_text if one.reads_folded else text, begin)
            if position < first:
                if position == begin:
                    return begin
                first = position
        return first

    def _pass_words(self, text: str) -> str | None:
        """Most pieces of an answer are a space and a word: this makes nothing but what goes out."""
        before = self._text
        if (
            self._after_words
            and text[:1] == " "
            and text[1:].isalpha()
            and len(text) <= 1 + WORD_CHARACTERS_MAX
        ):
            # As WORDS would match it.
            self._text = before[-1] + text
            return before[_LOOKED_BACK:] + " "
        text = before + text
        words = WORDS.match(text, _LOOKED_BACK - 1) or WORDS.match(text, _LOOKED_BACK)
        if words is None or words.end() != len(text):
            return None
        safe = words.start(1)
        if not self._words_wait:
            safe = self._open_from(text, self._folded(text), safe, self._looking.in_words)
        self._text = text[safe - _LOOKED_BACK :]
        self._after_words = self._words_wait
        return text[_LOOKED_BACK:safe]

    def _nothing(self) -> Checked:
        return Checked("", self._refused_by)

    def _pass(self, safe: int) -> Checked:
        """Let out what contains nothing."""
        text = self._text[_LOOKED_BACK:safe]
        self._keep_from(safe)
        return Checked(text)

    def _release(self, safe: int, begin: int, folded_text: str) -> Checked:
        """Let out what is safe; no match starts before `begin`."""
        if self._refused_by is not None:
            return self._nothing()
        needed = self._looking.needed
        if needed is not None and needed.search(folded_text, begin) is None:
            return self._pass(safe)
        findings = [
            _Finding(*match, rule)
            for rule, one in self._looking.detectors
            for match in one.find(folded_text if one.reads_folded else self._text, begin)
        ]
        if not findings:
            return self._pass(safe)
        findings.sort(key=lambda one: (one.start, -one.end))
        parts: list[str] = []
        masked: dict[str, str] = {}
        flags: dict[str, None] = {}
        position = _LOOKED_BACK
        for start, end, group in _overlapping(findings):
            if end > safe:
                safe = min(start, safe)
                break
            strictest = min(group, key=lambda one: ACTIONS.index(one.rule.action))
            flags.update((one.rule.code, None) for one in group if one.rule.action == "flag")
            parts.append(self._text[position:start])
            if strictest.rule.action == "refuse":
                self._refused_by = strictest.rule
                return Checked("".join(parts), strictest.rule, masked, tuple(flags))
            original = self._text[start:end]
            if strictest.rule.action == "mask":
                placeholder = self._masks.placeholder(strictest.kind, original, strictest.rule)
                masked[placeholder] = original
                parts.append(placeholder)
            else:
                parts.append(original)
            position = end
        parts.append(self._text[position:safe])
        self._keep_from(safe)
        return Checked("".join(parts), None, masked, tuple(flags))

    def _keep_from(self, safe: int) -> None:
        self._text = self._text[safe - _LOOKED_BACK :]
        self._after_words = False


def _needed(detectors: Sequence[Detector]) -> re.Pattern[str] | None:
    """Return what finds a character of which each match has one, None if there may be none. All of
    them are ASCII, so that texts and folded ones have the same."""
    each = [getattr(one, "needed", frozenset[str]()) for one in detectors]
    if not each or not all(each):
        return None
    characters = "".join(sorted(frozenset[str]().union(*each)))
    return re.compile(f"[{re.escape(characters)}]") if characters.isascii() else None


def _begins_any_word(detector: Detector) -> bool:
    return all(detector.open_from(f" {word}", 1) == 1 for word in _ANY_WORDS)


def _overlapping(findings: list[_Finding]) -> Iterator[tuple[int, int, list[_Finding]]]:
    """Yield each run of findings that overlap, with where it starts and ends."""
    group: list[_Finding] = []
    end = 0
    for finding in findings:
        if group and finding.start >= end:
            yield group[0].start, end, group
            group = []
        group.append(finding)
        end = max(end, finding.end) if len(group) > 1 else finding.end
    if group:
        yield group[0].start, end, group
