"""What an order of a video says of us: our id, and where the provider reports changes."""

import json
from types import SimpleNamespace
from typing import Any, cast

import pytest

from dialects.chat.chat import Encoded
from relay.media_tasks.video_order import AcceptedVideo
from relay.operations.unary import Exchange, Passing, Sending
from relay.operations.video_callbacks import add_callback

URL = "https://hub.example"


def order(external: str = "", callback: str = "") -> Sending:
    form: Any = SimpleNamespace(external=external, callback=callback)
    accepted = AcceptedVideo(cast(Any, SimpleNamespace()), form, "video_9", "", lambda video: {})
    exchange = Exchange(cast(Any, None), cast(Any, None), (), accepted=accepted)
    return Sending("videos", "openai", Encoded(b' {"prompt":"a cat"}'), exchange)


def sent(sending: Sending) -> tuple[dict[str, Any], str]:
    """The body, and the token that is stored with the task."""
    accepted: Any = cast(Exchange, sending.exchange).accepted
    return json.loads(sending.encoded.body), accepted.callback_token


@pytest.mark.parametrize("public_url", [URL, "http://hub.example", ""])
@pytest.mark.parametrize("callback", ["", "callback_url"])
@pytest.mark.parametrize("external", ["", "external_task_id"])
def test_order_has_our_id_and_a_secret_address_where_they_are_taken(
    external: str, callback: str, public_url: str
) -> None:
    body, token = sent(add_callback(order(external, callback), public_url))
    reports = bool(callback) and public_url == URL
    assert bool(token) is reports
    wanted = {"prompt": "a cat"}
    if external:
        wanted[external] = "video_9"
    if reports:
        wanted[callback] = f"{URL}/callbacks/videos/video_9/{token}"
        assert len(token) >= 43
        assert sent(add_callback(order(external, callback), public_url))[1] != token
    assert body == wanted


def test_other_requests_stay_as_they_are() -> None:
    plain = order("external_task_id", "callback_url")
    passing: Any = Passing(cast(Any, None), cast(Any, None), cast(Any, None))
    for exchange in (passing, Exchange(cast(Any, None), cast(Any, None), ())):
        other = plain._replace(exchange=exchange)
        assert add_callback(other, URL) is other
