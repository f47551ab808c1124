"""What a request may cost, costs.json: it changes in the commit that changes the cost.

python -m tests.relay.request_costs.costs      what has changed since the newest tag
"""

import json
import subprocess
import sys
from pathlib import Path
from typing import Final

PLACE: Final = Path(__file__).with_name("costs.json")
# Another version enters other functions, and takes other steps.
PYTHON: Final = f"{sys.version_info.major}.{sys.version_info.minor}"
_SHARE_MAX: Final = 0.02
# Two hundredths of a chunk are less than one function. Few statements are shared by many requests.
_NEAR: Final = 0.6
_NEAR_OF_FEW: Final = 0.1
_FEW: Final = ("rows", "statements", "transactions")

# The requests of a burst share what the event loop does each time round; the table has them beside
# other programs, and less on a quiet machine is no change.
_MAY_BE_LESS: Final = "burst"

Counts = dict[str, float]
# By version of Python and kind of work.
Table = dict[str, dict[str, Counts]]


def read(text: str) -> Table:
    table: Table = json.loads(text)
    return table


def write(table: Table) -> str:
    rounded = {
        python: {
            work: {name: round(count, 2) for name, count in sorted(counts.items())}
            for work, counts in works.items()
        }
        for python, works in sorted(table.items())
    }
    return json.dumps(rounded, indent=1) + "\n"


def differences(
    work: str, counts: Counts, before: Counts, share_max: float = _SHARE_MAX, near: float = _NEAR
) -> list[str]:
    """One line for each count that differs by more than that share."""
    lines = []
    for name, count in sorted(counts.items()):
        expected = before.get(name, 0)
        close = min(near, _NEAR_OF_FEW) if name in _FEW else near
        less = work == _MAY_BE_LESS and count < expected
        if abs(count - expected) > max(share_max * expected, close) and not less:
            lines.append(f"{work}: {expected:g} -> {round(count, 2):g} {name}")
    return lines


def main() -> None:
    tag = _git("describe", "--tags", "--abbrev=0").strip()
    if not (before := tag and _git("show", f"{tag}:tests/relay/request_costs/{PLACE.name}")):
        return
    old, new = read(before).get(PYTHON, {}), read(PLACE.read_text()).get(PYTHON, {})
    for work, counts in new.items():
        for line in differences(work, counts, old.get(work, {}), 0, 0):
            print(f"since {tag}, {line}")  # noqa: T201


def _git(*command: str) -> str:
    asked = subprocess.run(["git", *command], cwd=PLACE.parent, capture_output=True, text=True)
    return asked.stdout if asked.returncode == 0 else ""


if __name__ == "__main__":
    main()
