"""The hub where the names of Google's hosts lead to this machine, for `Hub(application=…)`: nothing
else answers for them in a test."""

from collections.abc import Sequence

from relay.upstream import dialer

_resolve = dialer._resolve_host


async def _resolve_here(host: str, port: int) -> Sequence[str]:
    return ["127.0.0.1"] if host.endswith(".googleapis.com") else await _resolve(host, port)


dialer._resolve_host = _resolve_here

from tests.support.soon import application  # noqa: E402

__all__ = ["application"]
