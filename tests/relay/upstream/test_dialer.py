"""How a host is reached: its name, the checks of its addresses, and what each failure is called,
without a network."""

import asyncio
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any, cast

import pytest

from lib.network.egress import EgressDenied, EgressPolicy
from lib.network.outbound import Outbound
from relay.upstream import dialer as module
from relay.upstream.dialer import Dialer, interleave_addresses


class Failed(Exception):
    """What the owner makes of a failure."""


OWNER: Any = SimpleNamespace(failed=lambda kind, text: Failed(kind, text))
EVERYWHERE = EgressPolicy(["0.0.0.0/0", "::/0"])


def dialer(
    url: str = "https://a.example/v1", policy: EgressPolicy = EVERYWHERE, **over: Any
) -> Dialer:
    return Dialer(url, policy, OWNER, Outbound(), connect_s=60.0, tls_s=60.0, **over)


@pytest.fixture(autouse=True)
def no_names() -> Iterator[None]:
    """What was resolved before is not known, and nothing of this stays."""
    known = dict(module._names)
    module._names.clear()
    yield
    module._names.clear()
    module._names.update(known)


@pytest.mark.parametrize(
    ("url", "header"),
    [
        ("https://a.example/v1", "a.example"), ("https://a.example:443/v1", "a.example"),
        ("http://a.example:80/", "a.example"), ("http://a.example:443/", "a.example:443"),
        ("https://a.example:80/", "a.example:80"), ("https://[2001:db8::1]:8443/",
                                                    "[2001:db8::1]:8443"),
        ("https://bücher.example/", "xn--bcher-kva.example"),
    ],
)  # fmt: skip
def test_host_is_named_with_its_port_where_that_is_not_the_usual_one(url: str, header: str) -> None:
    assert dialer(url).host_header == header


async def failure_of(work: Any) -> tuple[str, str]:
    with pytest.raises(Failed) as failed:
        await work
    return cast("tuple[str, str]", failed.value.args)


@pytest.mark.parametrize("error", [OSError("no such name"), UnicodeError("label too long")])
async def test_name_that_cannot_be_resolved_is_named(
    monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    async def resolve(host: str, port: int) -> Any:
        raise error

    monkeypatch.setattr(module, "_resolve", resolve)
    assert await failure_of(dialer().dial()) == ("name", f"a.example: {error}")


async def test_every_address_of_a_name_is_checked(monkeypatch: pytest.MonkeyPatch) -> None:
    async def resolve(host: str, port: int) -> Any:
        return ["93.184.216.34", "10.0.0.1"]

    monkeypatch.setattr(module, "_resolve", resolve)
    kind, words = await failure_of(dialer(policy=EgressPolicy()).dial())
    assert kind == "denied"
    assert "10.0.0.1" in words
    kind, _ = await failure_of(dialer("https://127.0.0.1/", EgressPolicy()).dial())
    assert kind == "denied"


@pytest.mark.parametrize(
    ("error", "kind"),
    [(ConnectionRefusedError("refused"), "refused"), (TimeoutError(), "timeout"),
     (EgressDenied("rewritten"), "denied")],
)  # fmt: skip
async def test_connection_that_fails_is_named(
    monkeypatch: pytest.MonkeyPatch, error: Exception, kind: str
) -> None:
    async def connect(self: Dialer, address: str) -> Any:
        raise error

    monkeypatch.setattr(Dialer, "_connect", connect)
    assert (await failure_of(dialer("https://93.184.216.34/").dial()))[0] == kind


@pytest.mark.parametrize(
    ("result", "wanted"),
    [
        (TimeoutError(), ("timeout", "no secure connection in time")),
        (OSError("alert"), ("tls", "alert")),
        (False, ("tls", "the connection was closed while it was made secure")),
        (True, None),
    ],
)
async def test_connection_that_is_not_secure_is_cut(
    monkeypatch: pytest.MonkeyPatch, result: Any, wanted: Any
) -> None:
    happened: list[Any] = []

    async def secure(context: Any, host: str) -> bool:
        happened.append(host)
        if isinstance(result, Exception):
            raise result
        return cast(bool, result)

    connection = SimpleNamespace(secure=secure, cut=lambda: happened.append("cut"))

    async def connect(self: Dialer, address: str) -> Any:
        return connection

    monkeypatch.setattr(Dialer, "_connect", connect)
    # To read all authorities takes longer than the rest.
    monkeypatch.setattr(module, "_tls_context", lambda: None)
    if wanted is None:
        assert await dialer("https://93.184.216.34/").dial() is cast(Any, connection)
        assert happened == ["93.184.216.34"]
        assert await dialer("http://93.184.216.34/").dial() is cast(Any, connection)
        assert happened == ["93.184.216.34"]
    else:
        assert await failure_of(dialer("https://93.184.216.34/").dial()) == wanted
        assert happened == ["93.184.216.34", "cut"]


async def test_next_address_is_tried_when_one_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    tried: list[str] = []

    async def connect(self: Dialer, address: str) -> Any:
        tried.append(address)
        if address != "c":
            raise OSError(address)
        return "connected"

    monkeypatch.setattr(Dialer, "_connect", connect)
    assert await dialer()._race(["a", "b", "c", "d"]) == cast(Any, "connected")
    assert tried == ["a", "b", "c"]
    with pytest.raises(OSError, match="b"):
        await dialer()._race(["a", "b"])
    with pytest.raises(OSError, match="no address"):
        await dialer()._race([])


async def test_slow_address_is_overtaken_and_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    cut: list[str] = []
    late = asyncio.Event()

    async def connect(self: Dialer, address: str) -> Any:
        if address == "slow":
            await late.wait()
        return SimpleNamespace(name=address, cut=lambda: cut.append(address))

    monkeypatch.setattr(Dialer, "_connect", connect)
    monkeypatch.setattr(module, "_STAGGER_S", 0.001)
    winner: Any = await dialer()._race(["slow", "quick"])
    assert winner.name == "quick"
    done: Any = asyncio.ensure_future(connect(dialer(), "quick"))
    await done
    module._close_late(done)
    assert cut == ["quick"]


async def test_proxy_gets_a_name_or_a_checked_address(monkeypatch: pytest.MonkeyPatch) -> None:
    tried: list[tuple[str, str]] = []

    async def tunnel(self: Dialer, proxy: Any, address: str, target: str) -> Any:
        tried.append((address, target))
        if len(tried) < 3:
            raise OSError("no")
        return "connected"

    monkeypatch.setattr(Dialer, "_tunnel", tunnel)
    for by_address, policy, wanted in (
        (False, None, [("p1", "a.example"), ("p2", "a.example")]),
        (True, None, [("p1", "x"), ("p2", "x"), ("p1", "y")]),
        (False, EVERYWHERE, [("p1", "x"), ("p2", "x"), ("p1", "y")]),
    ):
        tried.clear()
        one = dialer(proxy_policy=policy)
        proxy: Any = SimpleNamespace(by_address=by_address)
        work = one._connect_through_proxy(proxy, ["p1", "p2"], ["x", "y"])
        if len(wanted) < 3:
            with pytest.raises(OSError, match="no"):
                await work
        else:
            assert await work == cast(Any, "connected")
        assert tried == wanted


async def test_name_is_resolved_once_a_minute_and_known_while_it_cannot_be(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    now, answers, asked = [1_000.0], [["1.1.1.1"]], list[str]()
    loop = asyncio.get_running_loop()
    monkeypatch.setattr(loop, "time", lambda: now[0])

    async def resolve(host: str, port: int) -> Any:
        asked.append(host)
        if not answers:
            raise OSError("no DNS")
        return answers.pop(0)

    monkeypatch.setattr(module, "_resolve_host", resolve)
    for later_s, questions in ((0.0, 1), (59.9, 1), (60.0, 2), (299.9, 3)):
        now[0] = 1_000.0 + later_s
        assert await module._resolve("a.example", 443) == ["1.1.1.1"]
        assert len(asked) == questions
    now[0] = 1_300.0
    with pytest.raises(OSError, match="no DNS"):
        await module._resolve("a.example", 443)


@pytest.mark.parametrize(
    ("addresses", "order"),
    [
        ([], []), (["1", "2"], ["1", "2"]), (["::1", "1", "2"], ["::1", "1", "2"]),
        (["1", "2", "::1", "::2", "::3"], ["1", "::1", "2", "::2", "::3"]),
    ],
)  # fmt: skip
def test_addresses_alternate_between_their_families(addresses: Any, order: Any) -> None:
    assert interleave_addresses(addresses) == order
