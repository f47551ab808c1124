"""Many streams held open at once: each has had its first content and waits for the next."""

import asyncio
from collections.abc import Callable, Sequence

from tests.bench.client import Target
from tests.bench.process import BenchError

_OPENED_AT_ONCE = 50
_LIMIT_S = 150.0
_REST_S = 1.5


def hold_open(
    target: Target,
    body: bytes,
    levels: Sequence[int],
    look: Callable[[], float],
    release: Callable[[], None],
) -> list[float]:
    """What `look` sees with no stream open, then with each level of them; BenchError."""
    return asyncio.run(_hold_open(target, body, levels, look, release))


async def _hold_open(
    target: Target,
    body: bytes,
    levels: Sequence[int],
    look: Callable[[], float],
    release: Callable[[], None],
) -> list[float]:
    raw = target.request(body)
    seen = [look()]
    streams: list[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = []
    places = asyncio.Semaphore(_OPENED_AT_ONCE)

    async def open_one() -> None:
        async with places:
            reader, writer = await asyncio.open_connection("127.0.0.1", target.port, limit=2**16)
            streams.append((reader, writer))
            writer.write(raw)
            head = await reader.readuntil(b"\r\n\r\n")
            if b" 200 " not in head.split(b"\r\n", 1)[0]:
                raise BenchError(f"port {target.port}: {head[:200]!r}")
            # The frame of the role comes first, its text is empty.
            while b'"content":"' not in (line := await reader.readuntil(b"\n")) or (
                b'"content":""' in line
            ):
                pass

    try:
        async with asyncio.timeout(_LIMIT_S):
            for level in levels:
                await asyncio.gather(*(open_one() for _ in range(level - len(streams))))
                await asyncio.sleep(_REST_S)
                seen.append(await asyncio.to_thread(look))
            await asyncio.to_thread(release)
            await asyncio.gather(*(reader.readuntil(b"0\r\n\r\n") for reader, _ in streams))
    except TimeoutError:
        raise BenchError(f"port {target.port}: {len(streams)} streams could not be held") from None
    except asyncio.IncompleteReadError as error:
        raise BenchError(f"port {target.port}: a held stream was cut") from error
    finally:
        for _, writer in streams:
            writer.transport.abort()
    return seen
