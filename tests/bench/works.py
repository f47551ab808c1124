"""The pieces of work that are measured, and how long each is done."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Literal

from tests.bench.client import Load
from tests.bench.systems import BARE, DIRECT, LITELLM, NGINX, PORTKEY, WEIR

ALL = (DIRECT, NGINX, WEIR, LITELLM, PORTKEY)
ALL_SYSTEMS = (*ALL, BARE)
STREAM_CHUNKS = (16, 256, 4096)
BODY_KB = (1, 100, 1000)
CONNECTIONS = (1, 8, 32, 128, 2000)
OPEN_STREAMS = (500, 2000)
BURST_CHUNKS = PACED_CHUNKS = 64

_NO_CHUNK_IS_LONGER = 100_000

Kind = Literal["plain", "stream", "paced"]


@dataclass(frozen=True)
class Work:
    """What is asked of which systems; `chunks` of streams, `prompt_bytes` beside a short text,
    `delay_ms` between the chunks of a paced stream.

    The provider writes each chunk of a stream by itself, without waiting; `in_one_piece` it writes
    as many at once as there are. `quick` says who is measured in a quick run.
    """

    name: str
    kind: Kind
    systems: tuple[str, ...]
    connections: int
    prompt_bytes: int = 0
    chunks: int = 0
    in_one_piece: bool = False
    delay_ms: int = 10
    quick: tuple[str, ...] = ALL_SYSTEMS

    def body(self, model: str) -> bytes:
        """The request, with the wishes that the provider reads in it."""
        wish = "#tokens=32"
        if self.kind == "stream":
            wish = f"#tokens={self.chunks}"
            if not self.in_one_piece:
                wish += f" #chunk_bytes={_NO_CHUNK_IS_LONGER}"
        elif self.kind == "paced":
            wish = f"#tokens={self.chunks} #delay_ms={self.delay_ms} #times"
        padding = "river stone " * (self.prompt_bytes // 12)
        asked: Mapping[str, object] = {
            "model": model,
            "messages": [
                {"role": "system", "content": "You answer in short and plain sentences."},
                {"role": "user", "content": f"{padding}How deep is the water today? {wish}"},
            ],
            "temperature": 0.7,
            **({"stream": True} if self.kind != "plain" else {}),
        }
        return json.dumps(asked).encode()


@dataclass(frozen=True)
class Pace:
    """How much is measured: rounds (more of them while there is time, in seconds), seconds of
    warming up, of each slot and of nobody asking, paced streams of each connection, rounds of
    memory."""

    quick: bool
    rounds: tuple[int, int]
    memory_rounds: tuple[int, int]
    seconds: float
    first_warm_s: float
    warm_s: float
    slot_s: float
    idle_s: float
    paced_times: int

    def systems(self, work: Work) -> tuple[str, ...]:
        """Who is measured at this work."""
        return tuple(name for name in work.systems if not self.quick or name in work.quick)

    def first_warming(self, model: str) -> list[Load]:
        """What a system does before all rounds: compilers that work while a program runs need
        many requests until they are done."""
        return [
            Load(work.body(model), work.connections, self.first_warm_s)
            for work in (PLAIN[32], BURST)
        ]

    def load(self, work: Work, model: str) -> Load:
        """What is put on a system for this work."""
        body = work.body(model)
        events = work.chunks + 1 if work.kind != "plain" else 0
        asked = Load(body, work.connections, self.slot_s, warm_s=self.warm_s, events=events)
        if work.kind == "paced":
            return replace(asked, times=self.paced_times, timed=True, stagger_s=0.011)
        return asked


FULL = Pace(
    quick=False,
    rounds=(3, 5),
    memory_rounds=(1, 3),
    seconds=14 * 60,
    first_warm_s=2.5,
    warm_s=0.2,
    slot_s=1.0,
    idle_s=120.0,
    paced_times=2,
)
QUICK = Pace(
    quick=True,
    rounds=(3, 3),
    memory_rounds=(1, 1),
    seconds=3 * 60,
    first_warm_s=1.5,
    warm_s=0.1,
    slot_s=0.5,
    idle_s=20.0,
    paced_times=1,
)


def plain(connections: int) -> Work:
    # A request to LiteLLM's proxy would wait ten seconds behind 2,000 others.
    systems = ALL if connections <= 128 else (NGINX, WEIR)
    if connections in (1, 128):
        systems = (*systems, BARE)
    count = "1 connection" if connections == 1 else f"{connections:,} connections"
    return Work(f"plain, {count}", "plain", systems, connections)


def paced(connections: int, *, delay_ms: int = 10) -> Work:
    name = f"{PACED_CHUNKS} chunks, {delay_ms} ms apart"
    return Work(name, "paced", ALL, connections, chunks=PACED_CHUNKS, delay_ms=delay_ms)


def _long(name: str, kind: Kind, connections: int, *, kb: int = 0, chunks: int = 0) -> Work:
    return Work(
        name,
        kind,
        ALL,
        connections,
        prompt_bytes=kb * 1000,
        chunks=chunks,
        quick=(NGINX, WEIR),
    )


BURST = Work(f"burst of {BURST_CHUNKS} chunks", "stream", ALL, 32, chunks=BURST_CHUNKS)
BURST_IN_ONE = replace(BURST, name=f"{BURST_CHUNKS} chunks in one piece", in_one_piece=True)
PACED = paced(8)
PLAIN = {connections: plain(connections) for connections in CONNECTIONS}
INSTALLED_WORK = PLAIN[32]
BODIES = {kb: _long(f"body of {kb:,} KB", "plain", 4, kb=kb) for kb in BODY_KB}
STREAMS = {
    chunks: _long(f"stream of {chunks:,} chunks", "stream", 2, chunks=chunks)
    for chunks in STREAM_CHUNKS
}
WORKS = (*PLAIN.values(), BURST, BURST_IN_ONE, PACED, *BODIES.values(), *STREAMS.values())
