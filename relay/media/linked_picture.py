"""The bytes of a picture that an answer links to (relay/answers/picture_links.py). The provider
stores it, and it is forwarded as it arrives. The link is all that is needed to open it: browsers
send no key."""

from typing import Final

from dialects.endpoints.codecs import CODECS
from dialects.errors.errors import RequestFault
from lib.ids import id_text
from lib.process.waiting import timeout
from relay.answers.picture_links import LinkedPicture, open_link
from relay.catalogue.snapshot import Channel
from relay.downstream.error_answers import answer_to_failures
from relay.front.request import Request
from relay.media.task_content import asked_range, pass_on
from relay.preparation.file_fetching import PICTURE_BYTES_MAX
from relay.upstream.failures import UpstreamFailed, upstream_failure
from relay.upstream.upstream import Answer

_GONE: Final = frozenset({403, 404, 410})


async def stream_linked_picture(request: Request) -> None:
    """Answer with the picture of a link."""
    snapshot, text = request.snapshot, request.invocation.target.task
    picture = open_link(request.life.config.pepper, text, snapshot.now())
    if picture is None:
        raise _missing()
    channel = snapshot.channels.get(picture.channel)
    if channel is None:
        raise RequestFault("no_channel", None, "", model=picture.model)
    try:
        answer = await _open(request, picture, channel)
    except UpstreamFailed as failure:
        if failure.upstream_status in _GONE:
            raise _missing() from None
        await request.sink.refuse(answer_to_failures([failure]))
        return
    await pass_on(answer, channel, request.receive, request.sink, PICTURE_BYTES_MAX)


def _missing() -> RequestFault:
    what = "this link to an image is not valid, or has expired"
    return RequestFault("route_not_found", None, what)


async def _open(request: Request, picture: LinkedPicture, channel: Channel) -> Answer:
    """Return the provider's answer once its headers have arrived. Raises UpstreamFailed."""
    first_content_s = channel.timeouts.first_content
    try:
        async with timeout(first_content_s):
            answer = await request.life.parts.upstreams.get_elsewhere(
                channel,
                request.snapshot.egress,
                picture.url,
                id_text(request.sink.request_id),
                codec=CODECS["openai"],
                range_=asked_range(request.scope),
            )
    except TimeoutError:
        raise upstream_failure("F11", seconds=int(first_content_s)) from None
    length = answer.headers.get("content-length", "")
    if length.isdecimal() and int(length) > PICTURE_BYTES_MAX:
        answer.cut()
        raise upstream_failure("F34", "the provider's image is too large")
    return answer
