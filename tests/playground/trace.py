"""What the main thread of a page did: its tasks, by the processor's time that each took."""

import json
from dataclasses import dataclass, field
from typing import Any

from playwright.sync_api import Browser, Page

_CATEGORIES = ["-*", "toplevel", "devtools.timeline", "disabled-by-default-devtools.timeline", "v8"]
_TASK = "RunTask"


@dataclass
class Task:
    """`ms` is processor time, and `parts` what of it each thing took by itself."""

    ms: float
    parts: dict[str, float] = field(default_factory=dict)

    def __str__(self) -> str:
        most = sorted(self.parts.items(), key=lambda part: -part[1])[:7]
        return f"{self.ms:.1f} ms: " + ", ".join(f"{name} {ms:.1f}" for name, ms in most)


def begin_trace(browser: Browser, page: Page) -> None:
    """Until `browser.stop_tracing()`, which gives the trace."""
    browser.start_tracing(page=page, categories=_CATEGORIES)


def tasks_of(trace: bytes) -> list[Task]:
    """The tasks of the busiest page in a trace, in order."""
    threads: dict[tuple[int, int], list[dict[str, Any]]] = {}
    events = json.loads(trace)["traceEvents"]
    for event in events:
        if event["name"] == "thread_name" and event["args"]["name"] == "CrRendererMain":
            threads[event["pid"], event["tid"]] = []
    for event in events:
        if event.get("ph") == "X" and (event["pid"], event["tid"]) in threads:
            threads[event["pid"], event["tid"]].append(event)
    return max(map(_tasks, threads.values()), key=lambda tasks: sum(task.ms for task in tasks))


def _tasks(events: list[dict[str, Any]]) -> list[Task]:
    tasks: list[Task] = []
    inside: list[tuple[float, str]] = []  # of the task: the end and name of each event around
    for event in sorted(events, key=lambda event: (event["ts"], -event["dur"])):
        name, end, ms = event["name"], event["ts"] + event["dur"], event.get("tdur", 0) / 1000
        while inside and inside[-1][0] <= event["ts"]:
            inside.pop()
        if name == _TASK:
            tasks.append(Task(ms, {name: ms}))
            inside = [(end, name)]
        elif inside:
            parts = tasks[-1].parts
            parts[name] = parts.get(name, 0.0) + ms
            parts[inside[-1][1]] -= ms
            inside.append((end, name))
    return tasks
