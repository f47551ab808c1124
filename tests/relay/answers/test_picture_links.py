"""Links to pictures of Qwen's answers: they tell nothing of the provider, and lead to what it
returned and nowhere else (P13)."""

import http.client
import json
import os
import time
from urllib.parse import urlsplit

import msgspec
import pytest

from dialects.media import images
from playground.media.answer import read_pictures
from relay.answers import picture_links
from relay.answers.picture_links import LinkedPicture, expiry, open_link, picture_link
from relay.asgi import Relay
from relay.credentials.sealed_texts import open_text, seal_text
from relay.preparation.file_fetching import PICTURE_BYTES_MAX
from tests.fakes.media import picture
from tests.fakes.upstream import FakeUpstream
from tests.lib.inside import canary
from tests.relay.pages.test_in_process import config, principal
from tests.support.hub import Hub, Tenant

pytestmark = pytest.mark.usefixtures("balanced_books")

PRICE = {"images": 10**15}


def made_links(hub: Hub, fake: FakeUpstream, tenant: Tenant, n: int = 1) -> list[str]:
    """The links of an answer, as paths below the hub's address."""
    body = {"model": hub.model(fake, rates=PRICE, provider="qwen"), "prompt": "a boat", "n": n}
    answer = hub.post(tenant, body, path="/v1/images/generations")
    assert answer.status == 200, answer.body
    links = [item["url"] for item in answer.json()["data"]]
    for link in links:
        assert urlsplit(fake.url).netloc not in link
        assert "qwen" not in link
    return [link[link.index("/v1/images/") :] for link in links]


def origin(fake: FakeUpstream) -> str:
    return fake.url.removesuffix("/v1")


def opened(link: str) -> LinkedPicture:
    found = open_link(os.environ["WEIR_KEY_PEPPER"], link.split("/")[3], time.time())
    assert found is not None
    return found


def sealed(found: LinkedPicture) -> str:
    return picture_link(os.environ["WEIR_KEY_PEPPER"], "", found)


def test_our_link_returns_the_providers_image(hub: Hub, fake: FakeUpstream) -> None:
    """Without a key, and at both roots."""
    links = made_links(hub, fake, hub.tenant("100"), 2)
    assert len(set(links)) == 2
    for link in links:
        found = opened(link)
        assert found.url.startswith(f"{origin(fake)}/pictures/")
        assert time.time() < found.expires <= time.time() + 24 * 3600 + 60
        for root in ("", "/api"):
            answer = hub.get(root + link)
            assert (answer.status, answer.body) == (200, picture(urlsplit(found.url).path))
            assert answer.headers["content-type"] == "image/png"
            assert answer.headers["cache-control"] == "private, no-store"


def test_a_changed_or_expired_link_opens_nothing(hub: Hub, fake: FakeUpstream) -> None:
    tenant = hub.tenant("100")
    (link,) = made_links(hub, fake, tenant)
    text, found = link.split("/")[3], opened(link)
    other = "A" if text[40] != "A" else "B"
    content = msgspec.json.encode(found)
    pepper = os.environ["WEIR_KEY_PEPPER"]
    wrong = [
        text[:40] + other + text[41:],
        text[:-4],
        text + "AAAA",
        "x",
        # Of another installation, or sealed for another purpose.
        seal_text(pepper + "x", picture_links._PURPOSE, content),
        seal_text(pepper, b"weir client secret", content),
        sealed(msgspec.structs.replace(found, expires=int(time.time()) - 60)).split("/")[3],
    ]
    for one in wrong:
        for caller in (None, tenant):
            answer = hub.get(f"/v1/images/{one}/content", caller)
            assert (answer.status, answer.error["code"]) == (404, "unknown_url")
    assert hub.get(link).status == 200


def test_image_gone_at_the_provider_is_404(hub: Hub, fake: FakeUpstream) -> None:
    (link,) = made_links(hub, fake, hub.tenant("100"))
    gone = msgspec.structs.replace(opened(link), url=f"{fake.url}/gone.png")
    assert hub.get(sealed(gone)).status == 404


def test_a_link_leads_nowhere_inside(hub: Hub, fake: FakeUpstream) -> None:
    """Also if a provider names such an address: only the channel's own origin may be inside."""
    (link,) = made_links(hub, fake, hub.tenant("100"))
    with canary() as inside:
        for host in ("127.0.0.1", "localhost", "127.0.0.9", "[::ffff:127.0.0.1]"):
            url = f"http://{host}:{inside.port}/x.png"
            answer = hub.get(sealed(msgspec.structs.replace(opened(link), url=url)))
            assert answer.status == 502
        assert inside.hits == []


def test_a_link_ends_with_its_channel(hub: Hub, fake: FakeUpstream) -> None:
    (link,) = made_links(hub, fake, hub.tenant("100"))
    answer = hub.get(sealed(msgspec.structs.replace(opened(link), channel="0")))
    assert (answer.status, answer.error["code"]) == (503, "no_channel_available")


def test_oversized_image_is_not_passed_on(hub: Hub, fake: FakeUpstream) -> None:
    (link,) = made_links(hub, fake, hub.tenant("100"))
    large = msgspec.structs.replace(opened(link), url=f"{origin(fake)}/pictures/x?bytes=21000000")
    assert hub.get(sealed(large)).status == 502
    # Its size is not told, so the answer has begun.
    with pytest.raises(http.client.IncompleteRead) as cut:
        hub.get(sealed(msgspec.structs.replace(large, url=f"{large.url}&chunked=1")))
    assert 0 < len(cut.value.partial) <= PICTURE_BYTES_MAX


async def test_the_playground_gets_the_providers_address(hub: Hub, fake: FakeUpstream) -> None:
    """It stores the picture at once; the hub may not reach itself by its public address."""
    body = {"model": hub.model(fake, rates=PRICE, provider="qwen"), "prompt": "a boat"}
    relay = Relay(config(hub))
    await relay.start()
    try:
        who = await principal(relay, hub, hub.tenant("100"))
        asked = relay.in_process.chat(
            who, json.dumps(body).encode(), source="playground", operation="image_generations"
        )
        items = [item async for item in asked]
    finally:
        await relay.stop()
    (url,) = read_pictures(b"".join(item for item in items if isinstance(item, bytes)))
    assert str(url).startswith(f"{origin(fake)}/pictures/")


def test_link_ends_with_the_providers_or_after_a_day() -> None:
    now, day = 1_800_000_000.5, 1_800_086_400
    assert expiry("https://oss.example/a.png?Expires=1800000060&Signature=s", now) == 1_800_000_060
    for query in (
        "",
        "?Expires=1900000000",
        "?expires=3600",
        "?Expires=soon",
        "?Expires=",
        f"?Expires={'9' * 5000}",
    ):
        assert expiry(f"https://oss.example/a.png{query}", now) == day


def test_only_addresses_become_links() -> None:
    urls = ["https://oss.example/a.png", "HTTP://oss.example/b.png", "data:image/png;base64,AAAA"]
    raw = images.encode_answer(7, [*({"url": url} for url in urls), {"b64_json": "AAAA"}])
    assert json.loads(images.with_links(raw, lambda url: url[-5:])) == {
        "created": 7,
        "data": [{"url": "a.png"}, {"url": "b.png"}, {"url": urls[2]}, {"b64_json": "AAAA"}],
    }


def test_link_does_not_reveal_its_target() -> None:
    found = LinkedPicture(url="https://oss.example/a.png", channel="1", model="m", expires=10)
    first, second = (picture_link("pepper", "https://hub.example", found) for _ in range(2))
    assert first != second
    text = first.removeprefix("https://hub.example/v1/images/").removesuffix("/content")
    assert "example" not in text
    content = open_text("pepper", picture_links._PURPOSE, text, 1000)
    assert json.loads(content or b"") == msgspec.to_builtins(found)
    assert open_link("pepper", text, 9.9) == found
    assert open_link("pepper", text, 10) is None
