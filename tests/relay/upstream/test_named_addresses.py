"""Addresses that a provider names lead nowhere inside, although channels may go there (P13)."""

from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager

import pytest

from lib.network.egress import EgressDenied, EgressPolicy, check_form_of_named
from lib.network.outbound import Outbound, read_proxy
from relay.asgi import Relay
from relay.upstream.connection_pool import ConnectionPool
from relay.upstream.failures import UpstreamFailed
from tests.fakes.midjourney import PICTURE, FakeMidjourney
from tests.fakes.proxies import FakeProxy
from tests.fakes.suno import SOUND, FakeSuno
from tests.fakes.task_server import TaskServer
from tests.lib.inside import Canary, canary, inside_forms
from tests.relay.pages.test_in_process import config, principal
from tests.relay.poller import poll
from tests.relay.task_services import serve
from tests.relay.upstream.test_http1 import WAITS, Failed
from tests.support.hub import Hub, Tenant

pytestmark = pytest.mark.usefixtures("balanced_books")

# An address of a listener inside, by its port. Users may name 127.0.0.9 (tests/support/hub.py).
_INSIDE: dict[str, Callable[[int], str]] = {
    "beside the channel": lambda port: f"http://127.0.0.1:{port}/x",
    "by name": lambda port: f"http://localhost:{port}/x",
    "listed for users": lambda port: f"http://127.0.0.9:{port}/x",
    "mapped": lambda port: f"http://[::ffff:127.0.0.1]:{port}/x",
}


@pytest.fixture
def inside() -> Iterator[Canary]:
    with canary() as counted:
        yield counted


@asynccontextmanager
async def running_relay(hub: Hub) -> AsyncIterator[Relay]:
    relay = Relay(config(hub))
    await relay.start()
    try:
        yield relay
    finally:
        await relay.stop()


def _finish_task(hub: Hub, tenant: Tenant, provider: TaskServer, word: str) -> str:
    """A finished task whose provider says that its picture or clip is there."""
    if isinstance(provider, FakeSuno):
        path, body = "/suno/submit/music", {"prompt": f"a song #clips=1 #sound={word}"}
    else:
        path, body = "/mj/submit/imagine", {"prompt": f"a cat #picture={word}"}
    answer = hub.post(tenant, body, path=path)
    assert answer.status == 200, answer.body
    document = answer.json()
    poll(hub, tenant)
    return str(document["data"] if "data" in document else document["result"])


@pytest.mark.parametrize("place", _INSIDE)
def test_internal_image_is_not_fetched(hub: Hub, inside: Canary, place: str) -> None:
    tenant, url = hub.tenant(), _INSIDE[place](inside.port)
    with FakeMidjourney() as fake, hub.forgetful():
        serve(hub, fake, "midjourney_proxy", ["mj_imagine"])
        fake.elsewhere = url
        for named in (url, f"{fake.url}/away", url.replace("//", "//me:secret@")):
            id_ = _finish_task(hub, tenant, fake, named)
            assert hub.get(f"/mj/image/{id_}", tenant).status == 502
        # The channel's own origin, in another form, is what its operator allowed.
        own = f"{fake.url.replace('http', 'HTTP')}/pictures/x.png"
        id_ = _finish_task(hub, tenant, fake, own)
        assert hub.get(f"/mj/image/{id_}", tenant).body == PICTURE
        fake.elsewhere = "/pictures/y.png"
        id_ = _finish_task(hub, tenant, fake, f"{fake.url}/away")
        assert hub.get(f"/mj/image/{id_}", tenant).body == PICTURE
    assert inside.hits == []


@pytest.mark.parametrize("kind", ["http", "socks5"])
def test_a_channels_proxy_reaches_no_inside_host_by_name(
    hub: Hub, inside: Canary, kind: str
) -> None:
    tenant = hub.tenant()
    with FakeProxy(kind) as proxy, FakeMidjourney() as fake, hub.forgetful():  # type: ignore[arg-type]
        serve(hub, fake, "midjourney_proxy", ["mj_imagine"])
        hub.connection.execute(
            "UPDATE gateway_channel SET proxy_url = %s WHERE base_url = %s", [proxy.url, fake.url]
        )
        hub.bump()
        for place in _INSIDE.values():
            id_ = _finish_task(hub, tenant, fake, place(inside.port))
            assert hub.get(f"/mj/image/{id_}", tenant).status == 502
        id_ = _finish_task(hub, tenant, fake, f"{fake.url}/pictures/x.png")
        asked = len(proxy.asked)
        assert hub.get(f"/mj/image/{id_}", tenant).body == PICTURE
        assert proxy.asked[asked:] == [("127.0.0.1", fake.server_port)]
    assert inside.hits == []


async def test_internal_clip_is_not_fetched(hub: Hub, inside: Canary) -> None:
    tenant = hub.tenant()
    with FakeSuno() as fake, hub.forgetful():
        serve(hub, fake, "suno_api", ["suno_music"])
        led = [_finish_task(hub, tenant, fake, place(inside.port)) for place in _INSIDE.values()]
        own = _finish_task(hub, tenant, fake, f"{fake.url}/clips/1.mp3")
        async with running_relay(hub) as relay:
            who = await principal(relay, hub, tenant)
            for id_ in led:
                with pytest.raises(UpstreamFailed):
                    await relay.in_process.service_file("suno", who, id_, 0)
            clip = await relay.in_process.service_file("suno", who, own, 0)
            assert b"".join([piece async for piece in clip.pieces()]) == SOUND
    assert inside.hits == []


async def test_proxy_gets_the_checked_address() -> None:
    """It would resolve a name again, with another answer perhaps. It is judged by itself."""
    with FakeProxy("http") as proxy, canary() as counted:
        for proxy_policy, message in (
            (EgressPolicy(["127.0.0.1/32"]), "127.0.0.1"),
            (None, "name"),
        ):
            pool = ConnectionPool(
                f"http://localhost:{counted.port}",
                EgressPolicy(["127.0.0.1/32", "::1/128"]),
                Failed,
                **WAITS,
                reuse=False,
                outbound=Outbound(read_proxy(proxy.url)),
                proxy_policy=proxy_policy,
            )
            connection = await pool.connection(fresh=True)
            connection.cut()
            host, _ = proxy.asked[-1]
            assert (host in ("127.0.0.1", "::1")) == (message != "name")


def test_internal_hook_address_is_rejected_by_its_text() -> None:
    """Names, which hold the word inside in these forms, are judged when they are called."""
    policy, passed = EgressPolicy(), []
    for form in inside_forms(443):
        try:
            check_form_of_named(policy, form)
        except EgressDenied:
            continue
        passed.append(form)
    assert [form for form in passed if "inside" not in form.lower()] == []
    for url in ("https://a.example/x", "https://8.8.8.8/x", "https://a.example:443/"):
        check_form_of_named(policy, url)
    listed = EgressPolicy(["127.0.0.0/8"])
    check_form_of_named(listed, "http://127.0.0.1:8000/x")
    check_form_of_named(listed, "http://a.example:8000/x")
    with pytest.raises(EgressDenied):
        check_form_of_named(listed, "http://10.0.0.1/x")


@pytest.mark.parametrize(
    "url",
    ["https://127.0.0.2/x", "http://169.254.169.254/x", "https://[::1]/x", "https://0x7f.1/x",
     "https://me:secret@a.example/x", "ftp://a.example/x", "http://10.0.0.1:8000/"],
)  # fmt: skip
def test_order_with_an_internal_hook_is_rejected(hub: Hub, url: str) -> None:
    tenant = hub.tenant()
    with FakeMidjourney() as picture, FakeSuno() as song, hub.forgetful():
        serve(hub, picture, "midjourney_proxy", ["mj_imagine"])
        serve(hub, song, "suno_api", ["suno_music"])
        for path, field in (
            ("/mj/submit/imagine", "notifyHook"),
            ("/suno/submit/music", "notify_hook"),
        ):
            answer = hub.post(tenant, {"prompt": "x", field: url}, path=path)
            assert answer.status == 422, answer.body
            assert field in answer.body.decode()
        assert (picture.tasks, song.songs) == ({}, {})
