"""What a policy may contain, and what it does to a text."""

import re
from collections.abc import Sequence
from typing import Final, NamedTuple

from content.detectors.registry import GUARDS
from content.guards.guard import check, detectors_of
from content.guards.masks import Masks
from content.guards.rules import PLACES, GuardRule, Place, refusal_text
from content.guards.tool_calls import TOOL, judge_call

RULES_MAX: Final = 50
_CALL: Final = re.compile(r"(?P<name>[^\s{(]{1,128})\s*\(?(?P<arguments>\{.*\})\)?", re.DOTALL)
_CODE: Final = re.compile(r"[a-z][a-z0-9_]{0,39}")


def secret_place(policy: str, guard: str) -> str:
    """Return the place that the secret of a policy's guard is sealed for."""
    return f"content_policysecret|{policy}|{guard}"


def check_rules(rules: Sequence[GuardRule]) -> None:
    """Raise `ValueError` for the first rule that cannot be."""
    if len(rules) > RULES_MAX:
        raise ValueError(f"A policy has at most {RULES_MAX} rules.")
    for n, rule in enumerate(rules):
        if any(rule.guard == other.guard for other in rules[:n]):
            raise ValueError(f"{rule.guard} stands there twice: make a policy for each.")
        if not rule.places:
            raise ValueError(f"{rule.guard}: choose a place.")
        if not _CODE.fullmatch(rule.code):
            raise ValueError(f"{rule.guard}: a code has small letters, digits and _, at most 40.")
        if rule.guard == TOOL and rule.action == "mask":
            raise ValueError(f"{rule.guard}: calls of tools are rejected or flagged, not masked.")
        if (rule.action == "decide") != (rule.guard in GUARDS and GUARDS[rule.guard].decides):
            raise ValueError(f"{rule.guard}: this action is not one of this guard.")
        detectors_of(rule)


class Tried(NamedTuple):
    """What a policy makes of a text in one place. `refused_by` is a refusal's code, or "", and
    `message` what the client is told. `failure` says which guard did not answer, and how; "" for
    none. `requests` are the ids of those that guards sent to models."""

    place: Place
    text: str
    refused_by: str
    flags: tuple[str, ...]
    message: str = ""
    failure: str = ""
    requests: tuple[str, ...] = ()


def try_rules(rules: Sequence[GuardRule], text: str) -> list[Tried]:
    """Return what these rules make of a text in each place. A tool's name with a JSON object behind
    it is a call of the tool too."""
    tried = []
    call = _CALL.fullmatch(text.strip())
    for place in PLACES:
        out = check(rules, place, text, Masks())
        by, refused_by = out.refused_by, out.refused_by.code if out.refused_by else ""
        flags = out.flags
        if call and place == "tool_call":
            judged = judge_call(rules, place, call["name"], call["arguments"])
            flags = (*flags, *judged.flags)
            by, refused_by = by or judged.by, refused_by or judged.code
        message = refusal_text(by, place, refused_by) if by and refused_by else ""
        text_after = "" if refused_by else out.text
        tried.append(Tried(place, text_after, refused_by, flags, message))
    return tried
