"""CPU of a stream whose answer three guards check beside the same without guards.

    make bench-guards-cpu    some minutes; prints a table

Two organisations ask the same web process for streams whose chunks come one by one, in turns of
some seconds: one without a policy, and one whose policy has the guards email, card and iban.
"""

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Final

from tests.bench import hub, machine
from tests.bench.client import Load, Target, run
from tests.bench.process import cpu_clock
from tests.bench.provider import started_provider
from tests.bench.spread import quantile
from tests.relay.guarding.conftest import GuardedHub, guards_of

KINDS: Final = ("off", "on")
_CHUNKS: Final = 64
_APART_MS: Final = 20
_CONNECTIONS: Final = 32
_SECONDS: Final = 4.0
_WARM_S: Final = 1.0


def main(argv: Sequence[str]) -> None:
    parser = argparse.ArgumentParser(prog="make bench-guards-cpu")
    parser.add_argument("--rounds", type=int, default=9)
    rounds = parser.parse_args(argv).rounds
    hub.make_secrets()
    others = machine.Others()
    with tempfile.TemporaryDirectory(prefix="guards-") as name, ExitStack() as stack:
        dsn, _ = stack.enter_context(hub.database(Path(name)))
        fake = stack.enter_context(started_provider(Path(name)))
        web = stack.enter_context(hub.web(hub.Web, dsn))
        model, guarded = web.model(fake), GuardedHub(web)
        off = guarded.hub.tenant(hub.CREDIT_USD)
        on = guarded.hub.tenant(hub.CREDIT_USD)
        guarded.guard(on, *guards_of("email", "card", "iban"))
        web.bump()
        targets = {
            kind: Target(web.port, (("Authorization", f"Bearer {tenant.key}"),), model)
            for kind, tenant in zip(KINDS, (off, on), strict=True)
        }
        asked = f"hello #tokens={_CHUNKS} #delay_ms={_APART_MS}"
        body = json.dumps(
            {"model": model, "stream": True, "messages": [{"role": "user", "content": asked}]}
        ).encode()
        load = Load(body, _CONNECTIONS, _SECONDS, warm_s=_WARM_S, events=_CHUNKS)
        assert web.served is not None
        clock = cpu_clock(web.served.pid)
        results: dict[str, list[float]] = {kind: [] for kind in KINDS}
        for number in range(rounds):
            for kind in sorted(KINDS, reverse=bool(number % 2)):
                fake.reset()
                taken = run(targets[kind], load, lambda: [time.clock_gettime_ns(clock)])
                (before,), (after,) = taken.seen
                results[kind].append((after - before) / 1e3 / taken.count)
                sys.stderr.write(f"{kind}: {results[kind][-1]:,.0f} µs, {taken.count} streams\n")
        books = hub.books_line(web)
    sys.stdout.write(f"{render(results)}\n\n{machine.machine_line()}; {others.line()}. {books}.\n")


def render(results: Mapping[str, Sequence[float]]) -> str:
    """The table: microseconds a stream, and how many times those without guards, round by round."""
    times = [on / off for on, off in zip(results["on"], results["off"], strict=True)]
    rows = [*((f"guards {kind}, µs", results[kind], 0) for kind in KINDS), ("times", times, 3)]
    return "\n".join(
        [
            "| CPU of a stream | lower quartile | median | upper quartile |",
            "| --- | --- | --- | --- |",
            *(
                f"| {name} | "
                + " | ".join(f"{quantile(of, share):,.{digits}f}" for share in (0.25, 0.5, 0.75))
                + " |"
                for name, of, digits in rows
            ),
        ]
    )


if __name__ == "__main__":
    main(sys.argv[1:])
