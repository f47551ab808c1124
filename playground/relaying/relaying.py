"""The interface of the process's relay that the playground uses."""

from collections.abc import AsyncIterator
from typing import Protocol, cast
from uuid import UUID

from django.http import HttpRequest

from accounts.key_uses.last_uses import PLAYGROUND
from relay.credentials.keys import Principal
from relay.downstream.downstream import Head
from relay.hold_sizes.bound import Bound
from relay.media.task_content import VideoContent
from relay.requests.labels import NO_LABELS, Labels
from relay.requests.options import Source
from relay.requests.outcome import Outcome
from relay.requests.uploads import Form


class ChatRelay(Protocol):
    """The part of the running relay that a run uses (`relay.pages.in_process.InProcessRelay`)."""

    async def principal_of_key(self, key_id: UUID, user_id: int | None = None) -> Principal:
        """Return the principal of a key without its text, as a person uses it."""

    async def bound(
        self,
        principal: Principal,
        body: bytes,
        *,
        operation: str = "chat_completions",
        labels: Labels = NO_LABELS,
        form: Form | None = None,
    ) -> Bound:
        """Return the hold that `chat` would place for this body now."""

    async def connection_bound(self, principal: Principal, model: str) -> Bound:
        """Return the hold for the first response of a realtime connection with this model."""

    def chat(
        self,
        principal: Principal,
        body: bytes,
        *,
        source: Source,
        request_id: UUID | None = None,
        operation: str = "chat_completions",
        labels: Labels = NO_LABELS,
        form: Form | None = None,
        client_app: str = PLAYGROUND,
    ) -> AsyncIterator[Head | bytes | Outcome]:
        """Yield the answer's head and bytes, then its Outcome. `form` has the files that belong to
        the body; `client_app` is the application that the books name."""

    async def video_content(
        self, principal: Principal, task_id: str, *, range_: bytes = b""
    ) -> VideoContent:
        """Return a finished video, streamed from its provider. Raises RequestFault, UpstreamFailed,
        DatabaseFailed."""

    async def service_file(
        self, service: str, principal: Principal, task_id: str, number: int, *, range_: bytes = b""
    ) -> VideoContent:
        """Return a file of a finished task of that service, streamed from its provider. Files are
        numbered from 0. Raises RequestFault, UpstreamFailed, DatabaseFailed."""


def relay_of(request: HttpRequest) -> ChatRelay:
    """Return this process's relay, which config/asgi.py puts in each request's scope."""
    return cast(ChatRelay, request.scope["weir.relay"])  # type: ignore[attr-defined]
