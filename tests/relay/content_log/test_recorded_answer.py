"""What the content log is given of a request and its answer, without a hub: by the rule that began
with the request, with whose it was, and what of it is missing."""

import json
from hashlib import sha256
from types import SimpleNamespace
from typing import Any, cast
from uuid import UUID

import pytest

from content.log.media import describe_binary, reference_of
from content.rules import rules as content_rules
from content.rules.rules import Rule
from dialects.codec import EVENT_STREAM, JSON
from dialects.endpoints.codecs import CODECS
from dialects.json.forms import PartHead
from lib.id_types import RequestId
from relay.content_log import recorded_answer
from relay.content_log.content_log import ContentLog, caller_of
from relay.content_log.entry import NewEntry
from relay.content_log.recorded_answer import (
    BYTES_MAX,
    RecordedAnswer,
    RepeatableAnswer,
    could_keep,
    handshake_notice,
)
from relay.downstream.downstream import Head, NobodySink
from relay.downstream.error_answers import STOPPING
from relay.requests.uploads import Form

KEY, TEAM, ORGANISATION, SESSION = (UUID(int=n) for n in (1, 2, 3, 4))
BODY = b'{"model": "m"}'


def rule(**over: Any) -> Rule:
    known: dict[str, Any] = {
        "scope": "organisation", "subject": "", "keep": "everything", "share_percent": 100,
        "retention_hours": 72, "callers_may_opt_out": True, "redact": ("email",),
    }  # fmt: skip
    return Rule(**(known | over))


def principal(*rules: Rule) -> Any:
    return SimpleNamespace(
        organisation_id=ORGANISATION, team_id=TEAM, key_id=KEY, user_id=7, guard_rules=("g",),
        log_rules=rules,
    )  # fmt: skip


class Log:
    """A content log that keeps everything."""

    def __init__(self) -> None:
        self.entries: list[NewEntry] = []
        self.dropped = 0

    def add(self, entry: NewEntry) -> bool:
        self.entries.append(entry)
        return True

    def count_dropped(self, number: int) -> None:
        self.dropped += number


class Recording:
    """One request that is recorded, whose client takes everything."""

    def __init__(
        self, *rules: Rule, raw: bytes = BODY, operation: str = "chat_completions",
        stores: bool = True, now: float = 100.0, number: int = 42,
    ) -> None:  # fmt: skip
        self.log, self.heads = Log(), list[Head]()
        self.now = [now]
        run: Any = SimpleNamespace(
            model_name="m", session_id=SESSION, failures=("F8 west",), masked={"<A>": "Ann"}
        )
        context: Any = SimpleNamespace(
            downstream=SimpleNamespace(sink=None), request_id=RequestId(UUID(int=number)),
            snapshot=SimpleNamespace(now=lambda: self.now[0], epoch=9),
            principal=principal(*(rules or (rule(),))),
            invocation=SimpleNamespace(operation=operation, codec=CODECS["openai"]),
        )  # fmt: skip
        client = NobodySink()
        told = self.heads.append

        async def answer(head: Head, raw: bytes) -> None:
            told(head)

        async def begin(head: Head) -> None:
            told(head)

        client.answer, client.begin = answer, begin  # type: ignore[method-assign]
        client.replay = lambda _: None  # type: ignore[attr-defined]
        client.without_client = NobodySink  # type: ignore[attr-defined]
        self.recorded = RepeatableAnswer(
            cast(Any, client), context, cast(ContentLog, self.log), raw, run, stores=stores
        )
        assert context.downstream.sink is self.recorded

    async def ended(self, status: int = 200, message: str = "", form: Form | None = None) -> Any:
        outcome: Any = SimpleNamespace(status=status, message=message)
        await self.recorded.end(outcome, form)
        return self.log.entries[0] if self.log.entries else None


def head(kind: str = JSON) -> Head:
    return Head(kind, 0, None, 0)


async def test_entry_has_whose_request_it_is_and_how_long_it_is_kept() -> None:
    one = Recording()
    await one.recorded.answer(head(), b'{"a": 1}')
    entry = await one.ended()
    assert (entry.request_id, entry.session_id) == (UUID(int=42), SESSION)
    caller = entry.caller
    assert (caller.organisation_id, caller.team_id, caller.key_id, caller.user_id) == (
        ORGANISATION, TEAM, KEY, 7,
    )  # fmt: skip
    assert caller.guard_rules == ("g",)
    assert caller_of(principal()) == caller
    assert (entry.model, entry.dialect, entry.operation, entry.status) == (
        "m", "openai", "chat_completions", 200,
    )  # fmt: skip
    assert (entry.at, entry.epoch, entry.retention_hours) == (100.0, 9, 72)
    assert (list(entry.redact), dict(entry.masked)) == (["email"], {"<A>": "Ann"})
    kept = entry.kept
    assert (kept.request, kept.answer, kept.content_type) == (BODY, b'{"a": 1}', JSON)
    assert (kept.stream, kept.error, kept.broken) == (False, "", False)
    assert tuple(kept.failures) == ("F8 west",)
    (told,) = one.heads
    assert told.notices == (("x-weir-content-log", "kept"),)


async def test_error_is_kept_by_its_message_and_a_cut_answer_by_why() -> None:
    refused = Recording()
    await refused.recorded.refuse(STOPPING)
    entry = await refused.ended(503, "outcome")
    assert (entry.kept.error, entry.kept.broken, entry.status) == (STOPPING.message, False, 503)
    cut = Recording()
    await cut.recorded.begin(head(EVENT_STREAM))
    cut.recorded.write_now(b"half")
    await cut.recorded.cut()
    entry = await cut.ended(499, "the client left")
    assert (entry.kept.error, entry.kept.broken, entry.kept.stream, entry.kept.answer) == (
        "the client left", True, True, b"half",
    )  # fmt: skip


async def test_what_is_too_large_is_counted_and_not_kept() -> None:
    one = Recording()
    await one.recorded.begin(head(EVENT_STREAM))
    await one.recorded.write(bytes(BYTES_MAX), last=True)
    assert await one.ended() is None
    assert one.log.dropped == 1
    large = Recording(raw=b"x" * (BYTES_MAX + 1))
    assert await large.ended() is None
    assert large.log.dropped == 1


@pytest.mark.parametrize(
    ("raw", "stores"),
    [
        (b'{"store": false}', True),
        (b'{"\\u0073tore": false}', True),
        (BODY, False),
    ],
    ids=["body", "escaped", "header"],
)
async def test_request_that_its_client_leaves_out_is_not_kept(raw: bytes, stores: bool) -> None:
    one = Recording(raw=raw, stores=stores)
    await one.recorded.answer(head(), b"{}")
    assert await one.ended() is None
    assert one.log.dropped == 0
    assert one.heads[0].notices == (("x-weir-content-log", "not-kept"),)
    assert not one.recorded.could_be_kept
    said_yes = Recording(raw=b'{"store": true}')
    assert await said_yes.ended() is not None
    assert said_yes.recorded.could_be_kept


async def test_answer_that_is_sent_again_is_not_kept_again() -> None:
    one = Recording()
    one.recorded.replay(RequestId(UUID(int=1)))
    await one.recorded.answer(head(), b"{}")
    assert await one.ended() is None
    assert one.heads[0].notices == (("x-weir-content-log", "not-kept"),)


async def test_answer_goes_on_being_kept_after_its_client_left() -> None:
    one = Recording()
    await one.recorded.begin(head(EVENT_STREAM))
    one.recorded.write_now(b"a")
    sink = one.recorded.without_client()
    await sink.write(b"b", last=True)
    assert (await one.ended()).kept.answer == b"ab"


# ---- sound and pictures


async def test_bytes_that_are_no_text_are_counted_and_not_kept() -> None:
    one = Recording(operation="speech")
    await one.recorded.begin(head("audio/mpeg"))
    for piece in (b"ab", b"c"):
        await one.recorded.write(piece, last=piece == b"c")
    entry = await one.ended()
    digest = sha256(b"abc").hexdigest()
    assert entry.kept.answer == describe_binary("audio/mpeg", 3, digest)
    assert (entry.kept.content_type, entry.kept.stream) == (JSON, False)


@pytest.mark.parametrize(
    ("operation", "kind", "kept"),
    [
        # Half of a picture is none.
        ("image_generations", JSON, b""),
        ("image_generations", EVENT_STREAM, b"half"),
        ("chat_completions", JSON, b"half"),
    ],
)
async def test_half_of_an_answer_is_kept_if_it_can_be_read(
    operation: str, kind: str, kept: bytes
) -> None:
    one = Recording(operation=operation)
    await one.recorded.begin(head(kind))
    one.recorded.write_now(b"half")
    await one.recorded.cut()
    entry = await one.ended(499)
    assert entry.kept.answer == kept
    assert entry.kept.stream == (operation == "chat_completions" or kind == EVENT_STREAM)


async def test_files_of_a_form_are_described_beside_its_texts() -> None:
    form = Form()
    for name, content in (("a.png", b"aa"), ("b.png", b"bbb")):
        form.add(PartHead("image", name), content)
    form.add(PartHead("mask", "m.png"), b"m")
    one = Recording(operation="image_edits", raw=b'{"prompt": "x", "image": "file_1"}')
    await one.recorded.answer(head(), b"{}")
    members = json.loads((await one.ended(form=form)).kept.request)
    assert members["prompt"] == "x"
    assert members["image"][0] == "file_1"
    assert [one["filename"] for one in members["image"][1:]] == ["a.png", "b.png"]
    reference = reference_of(3, sha256(b"bbb").hexdigest())
    assert members["image"][2]["file_data"].endswith(f";base64,{reference}")
    assert [one["filename"] for one in members["mask"]] == ["m.png"]
    form.close()


# ---- before the answer


def test_handshake_says_whether_requests_may_be_kept() -> None:
    name = b"x-weir-content-log"
    assert handshake_notice(principal(), 0.0, stores=True) == ()
    assert handshake_notice(principal(rule()), 0.0, stores=True) == ((name, b"kept"),)
    assert handshake_notice(principal(rule()), 0.0, stores=False) == ((name, b"not-kept"),)
    assert could_keep(principal(rule()), "m", 0.0, opted_out=False)
    assert not could_keep(principal(rule()), "m", 0.0, opted_out=True)
    assert not could_keep(principal(), "m", 0.0, opted_out=False)


async def test_rule_of_the_beginning_applies_to_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    times: list[float] = []
    known = content_rules.first_rule

    def first_rule(rules: Any, model: str, at: float) -> Any:
        times.append(at)
        return known(rules, model, at)

    monkeypatch.setattr(recorded_answer, "first_rule", first_rule)
    one = Recording(now=100.0)
    one.now[0] = 500.0
    entry = await one.ended()
    assert set(times) == {100.0}
    assert entry.at == 500.0


async def test_share_of_requests_is_drawn_by_their_ids() -> None:
    """Of a hundred ids in a row, as many are kept as the rule says."""
    drawn: list[int] = []

    def keeps(rule: Rule, **asked: Any) -> bool:
        drawn.append(asked["drawn"])
        return True

    patch = pytest.MonkeyPatch()
    with patch.context() as patched:
        patched.setattr(recorded_answer, "keeps", keeps)
        for number in range(100):
            await Recording(number=number + 7).ended()
    assert sorted(drawn) == list(range(100))
    assert isinstance(Recording().recorded, RecordedAnswer)
