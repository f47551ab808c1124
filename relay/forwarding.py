"""A stream of the client's own dialect: its frames go on as they came."""

from collections.abc import Callable
from typing import Any

from dialects.codec import Codec, Decoder, Facts, Target
from dialects.errors import ErrorKind
from dialects.events import Step
from dialects.model_alias import NamingDecoder
from dialects.openai.outside_reasoning import InsideDecoder
from dialects.service_tier import tier_of_frames
from relay.prepared_request import PreparedRequest
from relay.translating import Source


class Forwarding:
    """Reads frames for what they say, and gives them as the client gets them: under the name that
    it asked for, and otherwise changed only where the model's channel wants it."""

    __slots__ = ("_codec", "_naming", "_request_id", "decoder", "end", "feed")

    def __init__(
        self, prepared: PreparedRequest, facts: Facts, target: Target, request_id: str
    ) -> None:
        codec = prepared.codec
        # What knows how far the answer is.
        self.decoder: Decoder = codec.decoder(facts, target)
        reader: Source = prepared.untagging(self.decoder, facts.choices)
        if prepared.traits.normalises_usage:
            reader = InsideDecoder(reader)
        self._naming: NamingDecoder | None = None
        if model := prepared.traits.requested_model:
            reader = self._naming = NamingDecoder(reader, codec.model_in_frame, model)
        self._codec: Codec[Any] = codec
        self._request_id = request_id
        # Those of the outermost reader: a chunk passes no layer that has nothing to do with it.
        self.feed: Callable[[bytes], list[Step]] = reader.feed
        self.end: Callable[[], list[Step]] = reader.end

    def hear_tiers(self, hear: Callable[[str], None]) -> None:
        """Tell the service tiers that the frames name."""
        layer = _TierReader(self.feed, self.end, hear)
        self.feed, self.end = layer.feed, layer.end

    def cut(self) -> bytes:
        """What ends the client's stream as if it had reached its length (F18)."""
        return self._named(self._codec.cut(self.decoder))

    def fail(self, kind: ErrorKind, message: str) -> bytes:
        """What ends the client's stream when it fails."""
        return self._named(self._codec.fail(self.decoder, kind, message, self._request_id))

    def response(self) -> bytes | None:
        """The response that the stream has told whole, where its dialect has one."""
        return self._codec.response_of(self.decoder)

    def _named(self, frames: bytes) -> bytes:
        """What we add to the stream, which may repeat what the upstream said."""
        return frames if self._naming is None else self._naming.show(frames)


class _TierReader:
    """Hears the service tier of what passes."""

    def __init__(
        self,
        feed: Callable[[bytes], list[Step]],
        end: Callable[[], list[Step]],
        hear: Callable[[str], None],
    ) -> None:
        self._feed = feed
        self._end = end
        self._hear = hear

    def feed(self, chunk: bytes) -> list[Step]:
        """What is whole now."""
        return self._listen(self._feed(chunk))

    def end(self) -> list[Step]:
        """The upstream has closed."""
        return self._listen(self._end())

    def _listen(self, steps: list[Step]) -> list[Step]:
        self._hear(tier_of_frames(b"".join(step.raw for step in steps)))
        return steps
