"""Keeps what is asked and answered while it passes, if a rule of the content log may keep it."""

from collections.abc import Awaitable, Mapping, Sequence
from hashlib import sha256
from typing import Any, Final, Protocol
from uuid import UUID

import msgspec

from content.log.kept import Kept
from content.log.media import describe_binary, is_text_type, reference_of
from content.rules.rules import Rule, first_rule, keeps, may_keep
from dialects.codec import EVENT_STREAM, JSON
from dialects.endpoints.codecs import MEDIA_CODECS
from dialects.json.not_json import NOT_JSON
from lib.id_types import RequestId
from relay.answers.idempotency import Replayer
from relay.content_log.content_log import ContentLog, caller_of
from relay.content_log.entry import NewEntry
from relay.context.context import RequestContext
from relay.credentials.keys import Principal
from relay.downstream.downstream import ErrorAnswer, Head, Sink
from relay.requests.outcome import Outcome
from relay.requests.uploads import Form, UploadedFile

HEADER: Final = "x-weir-content-log"
BYTES_MAX: Final = 8 * 1024 * 1024
"""The largest request with its answer that is kept."""


class RunningRequest(Protocol):
    """What is known of a request while it runs (`Run`)."""

    @property
    def model_name(self) -> str: ...
    @property
    def session_id(self) -> UUID | None: ...
    @property
    def failures(self) -> tuple[str, ...]: ...
    @property
    def masked(self) -> Mapping[str, str]: ...


class _Store(msgspec.Struct):
    store: bool | None = None


_store = msgspec.json.Decoder(_Store)
# That of an answer without a byte. Each new one takes long for one request.
_NO_DIGEST: Final = sha256()


def handshake_notice(
    principal: Principal, at: float, *, stores: bool
) -> tuple[tuple[bytes, bytes], ...]:
    """Return the header of a WebSocket that says whether requests on it may be kept `at` that time,
    nothing if no rule says so. `stores` is False if a header asks that they are left out."""
    if not principal.log_rules:
        return ()
    kept = may_keep(principal.log_rules, opted_out=not stores, at=at)
    return ((HEADER.encode(), b"kept" if kept else b"not-kept"),)


def could_keep(principal: Principal, model: str, at: float, *, opted_out: bool) -> bool:
    """Return whether a rule keeps requests to this model `at` that time, at least some of them."""
    rule = first_rule(principal.log_rules, model, at)
    return rule is not None and keeps(rule, failed=True, opted_out=opted_out, drawn=0)


class RecordedAnswer:
    """Receives the answer of a request, passes it to its client, and keeps a copy for `end`."""

    def __init__(
        self,
        client: Sink,
        context: RequestContext,
        log: ContentLog,
        raw: bytes,
        run: RunningRequest,
        *,
        stores: bool,
    ) -> None:
        """`stores` is False if a header asks that the request is left out."""
        context.downstream.sink = self
        self._run = run
        self._client = client
        self._context = context
        self._log = log
        # One that is too large is not kept, so its memory is not either.
        self._raw = raw if len(raw) <= BYTES_MAX else b""
        self._opted_out = not stores or not _may_store(raw)
        # The rules of this time apply, also if one ends while the request runs.
        self._began = context.snapshot.now()
        self._drawn = context.request_id.int % 100
        self._pieces: list[bytes] = []
        self._size = len(raw)
        self._content_type = ""
        self._is_media = context.invocation.operation in MEDIA_CODECS
        # An answer that is no text is counted and not kept.
        self._is_text = True
        self._digest, self._digested = _NO_DIGEST, 0
        self._stream = self._broken = False
        self._error = ""
        # The answer of an earlier request was sent again.
        self._replayed = False

    async def end(self, outcome: Outcome, form: Form | None = None) -> None:
        """Hand over what was kept, after the request was settled. The files of its form are
        described, not kept."""
        context, model = self._context, self._run.model_name
        rule = first_rule(context.principal.log_rules, model, self._began)
        if rule is None or self._replayed or not self._keeps(rule, failed=outcome.status >= 400):
            return
        if self._size > BYTES_MAX:
            self._log.count_dropped(1)
            return
        raw, answer, kind = self._raw, b"".join(self._pieces), self._content_type
        if form is not None and self._is_media:
            raw = _with_files(raw, form.files, await form.digests())
        if not self._is_text:
            digest = self._digest.hexdigest()
            answer, kind = describe_binary(kind, self._digested, digest), JSON
        kept = Kept(
            raw, answer, kind, self._stream,
            self._error or (outcome.message if self._broken else ""),
            broken=self._broken, failures=self._run.failures,
        )  # fmt: skip
        self._log.add(
            NewEntry(
                request_id=context.request_id,
                caller=caller_of(context.principal),
                session_id=self._run.session_id,
                model=model,
                dialect=context.invocation.codec.name,
                operation=context.invocation.operation,
                status=outcome.status,
                at=context.snapshot.now(),
                epoch=context.snapshot.epoch,
                retention_hours=rule.retention_hours,
                redact=rule.redact,
                masked=self._run.masked,
                kept=kept,
            )
        )

    @property
    def could_be_kept(self) -> bool:
        """Whether a rule keeps requests like this, at least some of them."""
        principal, model = self._context.principal, self._run.model_name
        return could_keep(principal, model, self._began, opted_out=self._opted_out)

    def _keeps(self, rule: Rule, *, failed: bool) -> bool:
        return keeps(rule, failed=failed, opted_out=self._opted_out, drawn=self._drawn)

    def announced(self, head: Head) -> Head:
        """Return the head with a header that says whether the content is kept."""
        rules, model = self._context.principal.log_rules, self._run.model_name
        rule = first_rule(rules, model, self._began)
        kept = rule is not None and not self._replayed and self._keeps(rule, failed=False)
        notice = (HEADER, "kept" if kept else "not-kept")
        return msgspec.structs.replace(head, notices=(*head.notices, notice))

    def _begin(self, content_type: str) -> None:
        self._content_type, self._is_text = content_type, is_text_type(content_type)

    def _keep(self, raw: bytes) -> None:
        if not self._is_text:
            if self._digest is _NO_DIGEST:
                self._digest = sha256()
            self._digest.update(raw)
            self._digested += len(raw)
            return
        self._size += len(raw)
        if self._size <= BYTES_MAX:
            self._pieces.append(raw)
        else:
            self._pieces.clear()

    # ---- Sink

    async def refuse(self, error: ErrorAnswer) -> None:
        self._error = error.message
        await self._client.refuse(error)

    async def answer(self, head: Head, raw: bytes) -> None:
        self._begin(head.content_type)
        self._keep(raw)
        await self._client.answer(self.announced(head), raw)

    async def begin(self, head: Head) -> None:
        self._begin(head.content_type)
        # Sound and pictures arrive in pieces whether or not they were asked for as a stream.
        self._stream = not self._is_media or head.content_type.startswith(EVENT_STREAM)
        await self._client.begin(self.announced(head))

    async def write(self, raw: bytes, *, last: bool) -> None:
        self._keep(raw)
        await self._client.write(raw, last=last)

    async def cut(self) -> None:
        self._broken = True
        if self._is_media and not self._stream:
            # Half of a picture.
            self._pieces.clear()
        await self._client.cut()

    def write_now(self, raw: bytes) -> Awaitable[None] | None:
        self._keep(raw)
        return self._client.write_now(raw)


class RepeatableAnswer(RecordedAnswer):
    """The answer of a request that may have an Idempotency-Key."""

    def __init__(
        self,
        client: Replayer,
        context: RequestContext,
        log: ContentLog,
        raw: bytes,
        run: RunningRequest,
        *,
        stores: bool,
    ) -> None:
        super().__init__(client, context, log, raw, run, stores=stores)
        self._http = client

    def replay(self, request_id: RequestId) -> None:
        """Announce that the answer which follows is that of an earlier request, which is not kept
        again."""
        self._replayed = True
        self._http.replay(request_id)

    def without_client(self) -> Sink:
        """Return the sink of what follows after the client has left: it is kept all the same."""
        self._client = self._http.without_client()
        return self


def _with_files(raw: bytes, files: Sequence[UploadedFile], digests: Sequence[bytes]) -> bytes:
    """Return the members of a form with its files by reference."""
    members: dict[str, Any] = msgspec.json.decode(raw)
    for file, digest in zip(files, digests, strict=True):
        reference = reference_of(file.size, digest.hex())
        described = {
            "filename": file.filename,
            "file_data": f"data:{file.media_type};base64,{reference}",
        }
        others = members.get(file.name, [])
        members[file.name] = [*(others if isinstance(others, list) else [others]), described]
    return msgspec.json.encode(members)


def _may_store(raw: bytes) -> bool:
    """Return whether the body lacks OpenAI's `store: false`. A body that cannot be read is refused
    later."""
    if b"store" not in raw and b"\\" not in raw:
        # Most bodies have no such member; an escape could hide one.
        return True
    try:
        return _store.decode(raw).store is not False
    except NOT_JSON:
        return True
