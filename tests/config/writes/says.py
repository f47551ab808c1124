"""What each write says of itself: its audit events with their sentence and their details, and its
facts. `says.txt` has it, as the product said it when somebody read it.

    name: action: sentence {details}
    name: kind {body}

The ids, days and secrets in it are different each time; they stand as §.
"""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any, Final

from accounts.audit_log import log as audit_log
from accounts.models import AuditEvent
from outbox.models import Fact

_CHANGING: Final = re.compile(
    r"[0-9A-HJKMNP-TV-Z]{26}|[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f-]{22}|\b[0-9a-f]{16,64}\b"
    r"|20\d\d-\d\d-\d\d(?:[T ][0-9:.]+(?:\+00:00|Z)?)?|\b\d{1,2} [A-Z][a-z]{2,8}\.? 20\d\d"
    r'|(?<="budget": )"?\d+"?|(?<="subject": )"\d+"|(?<="last4": )(?:"[^"]{4}"|\["[^"]{4}"\])'
    r"|[0-9a-f]{8} (?=…)"
)


def _read() -> Mapping[str, Sequence[str]]:
    lines = Path(__file__).with_name("says.txt").read_text().splitlines()
    return {name: list(of) for name, of in groupby(lines, lambda line: line.partition(": ")[0])}


LINES: Final = _read()


def lines(name: str, events: Sequence[AuditEvent], facts: Sequence[Fact]) -> list[str]:
    """What a write said, in the form of `says.txt`."""
    said = [
        *(f"{one.event.action}: {one.sentence} {_text(one.event.detail)}"
          for one in audit_log.describe_events(sorted(events, key=lambda event: event.id))),
        *(f"{fact.kind} {_text(fact.body)}" for fact in facts),
    ]  # fmt: skip
    return [f"{name}: {_CHANGING.sub(_sign, text)}" for text in said]


def _sign(match: re.Match[str]) -> str:
    if match[0].endswith(" "):
        return "§ "
    # What is one value of JSON stays one.
    return '"§"' if match[0].isdecimal() or match[0][0] in '"[' else "§"


def _text(values: Mapping[str, Any]) -> str:
    return json.dumps(values, ensure_ascii=False, sort_keys=True)


def unchanged(events: Sequence[AuditEvent]) -> list[str]:
    """The events of changes that changed nothing."""
    return [
        f"{event.action}: {event.detail}"
        for event in events
        if "before" in event.detail and event.detail["before"] == event.detail.get("after")
    ]


def blanks() -> Iterator[tuple[str, str]]:
    """What an event or a fact leaves blank: its kind, and the name."""
    for of in LINES.values():
        for line in of:
            values = json.loads(line[line.index(" {") + 1 :])
            for key, value in values.items():
                if value in ("", None, [], {}):
                    yield line.split(": ", 1)[1].split(" ")[0].rstrip(":"), key
