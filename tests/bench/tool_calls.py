"""An agent's run of tool calls, over SSE and over a WebSocket, at a provider that is far away.

    make bench-tool-calls    two minutes; writes its section of docs/background/performance.md

Each round runs every way once, and ratios are taken within a round: a shared machine disturbs all
that is measured in the same minute.

Over SSE each turn sends the whole conversation, as agents do; over the WebSocket only the result of
the tool, and the relay sends only that to a provider that has WebSockets too.
"""

import datetime as dt
import http.client
import json
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from websockets.sync.client import connect

from tests.bench import hub, machine
from tests.bench.far_away import far_away
from tests.bench.page import PAGE, with_section
from tests.bench.spread import Spread, ratio, spread
from tests.fakes.upstream import FakeUpstream
from tests.support.hub import RATES, Tenant

CALLS: Final = 30
ROUND_TRIP_S: Final = 0.020
ROUNDS: Final = 15
RESULT_BYTES: Final = (2_000, 20_000)
_TASK: Final = "Look into it. #tokens=0 #tools=1 #args=8 #again #silent"
_TOOL: Final = {
    "type": "function",
    "name": "read_file",
    "parameters": {"type": "object", "properties": {"city": {"type": "string"}}},
}
JsonObject = dict[str, Any]


@dataclass(frozen=True)
class Place:
    """A provider as a channel has it."""

    url: str
    key: str


def main() -> None:
    hub.make_secrets()
    others = machine.Others()
    with tempfile.TemporaryDirectory(prefix="tool-calls-") as name, ExitStack() as stack:
        dsn, _ = stack.enter_context(hub.database(Path(name)))
        web = stack.enter_context(hub.web(hub.Web, dsn))
        tenant = web.tenant(hub.CREDIT_USD)
        models = []
        for sockets in (False, True):
            fake = FakeUpstream("bench", process=True, sockets=sockets, keep_bodies=False)
            stack.enter_context(fake)
            port = stack.enter_context(far_away(fake.port, ROUND_TRIP_S))
            place = Place(f"http://127.0.0.1:{port}/v1", fake.key)
            models.append(
                web.model(place, rates=RATES, provider="openai", upstream_model="o4-mini")
            )
        seconds = {size: measure(web, tenant, models, size) for size in RESULT_BYTES}
        books = hub.books_line(web)
    section = render(seconds, _about(others), books)
    sys.stdout.write(section + "\n")
    PAGE.write_text(with_section(PAGE.read_text(), section))


def measure(
    web: hub.Web, tenant: Tenant, models: Sequence[str], result_bytes: int
) -> dict[str, list[float]]:
    """Return the seconds of each way's runs, round by round, after one that is not counted. The
    `models` are one at a provider without WebSockets, and one with."""
    over_http, over_socket = models
    result = "river stone " * (result_bytes // 12)
    ways: dict[str, Callable[[], float]] = {
        "SSE": lambda: run_over_sse(web, tenant, over_http, result),
        "WebSocket, to the provider over SSE": lambda: run_over_socket(
            web, tenant, over_http, result
        ),
        "WebSocket, all the way": lambda: run_over_socket(web, tenant, over_socket, result),
    }
    for run in ways.values():
        run()
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    for number in range(ROUNDS):
        for name in list(ways)[number % 3 :] + list(ways)[: number % 3]:
            seconds[name].append(ways[name]())
    return seconds


def _about(others: machine.Others) -> str:
    """When, where and of what."""
    today = dt.datetime.now(dt.UTC).date()
    return f"We measured on {today}, on {machine.machine_line()}; {others.line()}."


def run_over_sse(web: hub.Web, tenant: Tenant, model: str, result: str) -> float:
    """Run once; the seconds that it took."""
    items: list[JsonObject] = [{"role": "user", "content": _TASK}]
    began = time.perf_counter()
    connection = http.client.HTTPConnection("127.0.0.1", web.port, timeout=60)
    headers = {"authorization": f"Bearer {tenant.key}", "content-type": "application/json"}
    for _ in range(CALLS):
        body = _body(model, items) | {"stream": True}
        connection.request("POST", "/v1/responses", json.dumps(body), headers)
        answer = connection.getresponse().read()
        last = answer.rstrip().rpartition(b"data: ")[2]
        items += _follow(json.loads(last), result)
    connection.close()
    return time.perf_counter() - began


def run_over_socket(web: hub.Web, tenant: Tenant, model: str, result: str) -> float:
    """Run once; the seconds that it took."""
    items: list[JsonObject] = [{"role": "user", "content": _TASK}]
    more: JsonObject = {}
    began = time.perf_counter()
    headers = {"authorization": f"Bearer {tenant.key}"}
    url = f"ws://127.0.0.1:{web.port}/v1/responses"
    with connect(url, additional_headers=headers, max_size=None, compression=None) as socket:
        for _ in range(CALLS):
            body = _body(model, items) | {"type": "response.create", **more}
            socket.send(json.dumps(body))
            while True:
                event = json.loads(socket.recv(timeout=60))
                if event["type"] in ("response.completed", "response.failed", "error"):
                    break
            items = _follow(event, result)[-1:]
            more = {"previous_response_id": event["response"]["id"]}
        # A client does not wait for the close.
        return time.perf_counter() - began


def _body(model: str, items: Sequence[JsonObject]) -> JsonObject:
    return {"model": model, "input": items, "tools": [_TOOL], "store": False}


def _follow(event: JsonObject, result: str) -> list[JsonObject]:
    """Return what the next turn adds: the calls, and the result of the one that was made."""
    if event["type"] != "response.completed":
        raise AssertionError(event)
    (call,) = [item for item in event["response"]["output"] if item["type"] == "function_call"]
    output = {"type": "function_call_output", "call_id": call["call_id"], "output": result}
    return [*event["response"]["output"], output]


def render(seconds: Mapping[int, Mapping[str, Sequence[float]]], about: str, books: str) -> str:
    """Return the section of the page; `seconds` are those of each way's runs, round by round, by
    the bytes of a result."""
    return "\n".join(
        [
            "## Tool calls",
            "",
            f"In each run, an agent makes {CALLS} tool calls. The table shows how long a run "
            "takes, for two sizes of a call's result. A round trip to the provider takes "
            f"{ROUND_TRIP_S * 1000:.0f} ms, and the provider answers at once. Over SSE (a stream "
            "over HTTP), each turn of the Responses API sends the whole conversation on a "
            "connection that stays open. Over a WebSocket of the Responses API, each turn sends "
            "only its new input. In the rows *to the provider over SSE*, the client uses a "
            "WebSocket to Weir, and Weir uses SSE to the provider. In the rows *all the way*, Weir "
            "also uses a WebSocket to the provider. The time "
            "of a run includes the handshakes of its connections. The table does not show the time "
            "that a real provider saves when it need not read the conversation again. A figure is "
            f"the median of {ROUNDS} rounds, and the brackets contain the lowest and the highest "
            "figure of these rounds. Ratios compare runs of the same round. "
            "`make bench-tool-calls` writes this section.",
            "",
            f"- {about}",
            f"- Afterwards, Weir's accounting contained {books}.",
            "",
            "| Bytes of a result | Client | seconds | ms per call | relative to SSE |",
            "| --- | --- | --- | --- | --- |",
            *(
                _row(f"{size:,} | {name}", taken, of_size["SSE"])
                for size, of_size in seconds.items()
                for name, taken in of_size.items()
            ),
        ]
    )


def _row(name: str, taken: Sequence[float], sse: Sequence[float]) -> str:
    whole, share = spread(taken), ratio(taken, sse)
    per_call = whole.median / CALLS * 1000
    return f"| {name} | {_cell(whole)} | {per_call:.1f} | {_cell(share)} |"


def _cell(value: Spread) -> str:
    return f"{value.median:.2f} ({value.low:.2f}–{value.high:.2f})"


if __name__ == "__main__":
    main()
