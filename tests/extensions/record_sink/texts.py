"""What tests of texts in the record sink share."""

import json
from pathlib import Path
from typing import Any

from accounts.models import Key
from content.access import visible_entries
from content.log import log
from content.log.kept import Kept
from content.models import Entry
from lib import clock
from tests.content.log.entries import REQUEST, keep
from tests.content.log.test_log import reader
from tests.extensions.record_sink.sinks import objects_in
from tests.fakes.record_receiver import Fake
from tests.support.cast import Cast
from tests.usage.rows import happen

Lines = dict[str, dict[str, Any]]


def say(key: Key, text: str, **over: Any) -> Entry:
    """A request that ended now, and is kept."""
    request = REQUEST | {"messages": [{"role": "user", "content": text}]}
    kept = Kept(json.dumps(request).encode(), json.dumps({"echo": text}).encode())
    return keep(happen(key, clock.now()), kept, **over)


def held(people: Cast) -> Lines:
    """What the content log holds, as its reader downloads it, by request."""
    bob = reader(people)
    lines = [*map(json.loads, log.download(bob, visible_entries(bob), "to compare"))]
    assert lines.pop() == {"next": None}
    return {line["request_id"]: line for line in lines}


def texts_of(lines: list[dict[str, Any]]) -> Lines:
    """Each request's text once, as the guide says: the line with the end of the task, if any."""
    texts: Lines = {}
    for line in lines:
        if line.pop("type", "") == "content":
            known = texts.get(line["request_id"])
            if known is None or line["final"]:
                texts[line["request_id"]] = line
    return texts


def texts_in(folder: Path) -> Lines:
    return texts_of([line for lines in objects_in(folder).values() for line in lines])


def texts_at(fake: Fake) -> Lines:
    return texts_of([dict(line) for lines in fake.batches.values() for line in lines])
