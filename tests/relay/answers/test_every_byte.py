"""P7: an upstream that breaks off at any byte of its answer, in any way. What the client has is
whole from one upstream, or a prefix from one upstream with one typed error; never both, never a
clean end of half an answer; and nothing is tried again behind the first content.

Some offsets here, each and every one in `make chaos`.
"""

import http.client
import json
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from typing import Any

import pytest

from lib.ids import id_text, parse_id
from tests.fakes.converse_talk import EVENT_STREAM
from tests.fakes.tape import Tape, TapeDeck
from tests.fakes.upstream import FakeUpstream, expected_text
from tests.relay.many import Post, post_all
from tests.relay.speakers import SPEAKERS, UPSTREAMS, Wish, key_headers
from tests.relay.test_matrix import CELLS, IN, OUT, RATES
from tests.support.hub import Answer, Hub, Tenant

KINDS = ("cut", "reset", "stall", "garbage")
TOKENS = 4
PATHS = {"openai": "/chat/completions", "responses": "/responses", "anthropic": "/messages",
         "gemini": "enerateContent", "interactions": "/interactions",
         "converse": "/converse"}  # fmt: skip
# What the event holds that says that everything was said.
FINISH = {"openai": b'"finish_reason":"stop"', "responses": b'"type":"response.completed"',
          "anthropic": b'"stop_reason":"end_turn"', "gemini": b'"finishReason":"STOP"',
          "interactions": b'"status":"completed"',
          "converse": b'"stopReason":"end_turn"'}  # fmt: skip
WORDS_OF_FAILURE = {
    "openai": {"upstream_truncated", "upstream_malformed", "timeout"},
    "responses": {"server_error"},
    "anthropic": {"api_error", "timeout_error"},
    "gemini": {"INTERNAL", "DEADLINE_EXCEEDED"},
    "interactions": {"internal", "gateway_timeout"},
    "converse": {"modelStreamErrorException"},
}
# An event's line ends: it may be taken as complete without them.
SLACK = 4
SAMPLES = 9
PATIENT: dict[str, float] = {"connect": 5, "first_content": 60, "idle": 60, "total": 120}
HASTY: dict[str, float] = {"connect": 5, "first_content": 0.1, "idle": 0.1, "total": 120}
# The first content is there at once: only the silence behind it is short.
TIRED: dict[str, float] = {"connect": 5, "first_content": 60, "idle": 0.1, "total": 120}


@dataclass(frozen=True)
class Recorded:
    """A tape and what stands in it: the text, at which byte each word of it is complete, and where
    the finish is."""

    tape: Tape
    text: str
    words_at: tuple[int, ...]
    finish_at: int

    def text_at(self, offset: int) -> str:
        """The text of the events that are complete in the first bytes."""
        return " ".join(self.text.split(" ")[: bisect_right(self.words_at, offset)])


class Stage:
    """The two providers, and a model for every dialect and patience."""

    def __init__(
        self,
        hub: Hub,
        recorded: dict[tuple[str, bool], Recorded],
        text_of_other: str,
        breaking: TapeDeck,
        models: dict[tuple[str, int], str],
    ) -> None:
        self.hub = hub
        self.recorded = recorded
        self.text_of_other = text_of_other
        self.breaking = breaking
        self.models = models


def _record(fake: FakeUpstream, dialect: str, *, stream: bool) -> Recorded:
    speaker = SPEAKERS[dialect]
    model = UPSTREAMS[dialect]["upstream_model"]
    wish = Wish(f"#tokens={TOKENS}", stream)
    with closing(http.client.HTTPConnection("127.0.0.1", fake.port, timeout=60)) as connection:
        body = json.dumps(speaker.body(model, wish))
        path = speaker.path(model, stream=stream)
        connection.request("POST", path, body, key_headers(dialect, fake.key))
        answer = connection.getresponse()
        kind = str(answer.getheader("content-type"))
        raw = answer.read()
    text = expected_text(fake.config.name, wish.text, TOKENS)
    if not stream:
        # Without its framing even the last byte does not make it whole.
        return Recorded(Tape(kind, raw), text, (len(raw) + 1,) * TOKENS, len(raw) + 1)
    words_at, at = [], 0
    for n, word in enumerate(text.split(" ")):
        at = raw.index((" " * bool(n) + word).encode(), at)
        at = _end_of_event(kind, raw, at)
        words_at.append(at)
    finish_at = _end_of_event(kind, raw, raw.index(FINISH[dialect]))
    return Recorded(Tape(kind, raw), text, tuple(words_at), finish_at)


def _end_of_event(kind: str, raw: bytes, at: int) -> int:
    """Where the event around a byte ends: Amazon's messages begin with their length."""
    if kind == EVENT_STREAM:
        end = 0
        while end <= at:
            end += int.from_bytes(raw[end : end + 4])
        return end
    results = [raw.find(end, at) + len(end) for end in (b"\n\n", b"\r\n\r\n") if end in raw[at:]]
    return min(results)


@pytest.fixture(scope="module")
def stage(hub: Hub, fake: FakeUpstream, other_fake: FakeUpstream) -> Iterator[Stage]:
    forms = [(dialect, stream) for dialect in UPSTREAMS for stream in (False, True)]
    recorded = {form: _record(fake, form[0], stream=form[1]) for form in forms}
    others = {form: _record(other_fake, form[0], stream=form[1]) for form in forms}

    def tapes(values: dict[tuple[str, bool], Recorded]) -> dict[tuple[str, bool], Tape]:
        return {(PATHS[form[0]], form[1]): one.tape for form, one in values.items()}

    with (
        TapeDeck(tapes(recorded), obeys=True) as breaking,
        TapeDeck(tapes(others), obeys=False) as good,
    ):
        models: dict[tuple[str, int], str] = {}
        for dialect, upstream in UPSTREAMS.items():
            for n, timeouts in enumerate((PATIENT, HASTY, TIRED)):
                model = models[dialect, n] = f"m-tape-{breaking.port}-{dialect}-{n}"
                asked: dict[str, Any] = {"retries": 1, "breaker": {"enabled": False}}
                asked |= upstream
                hub.channel(model, breaking.url, breaking.key, timeouts=timeouts, **asked)
                hub.channel(model, good.url, good.key, priority=1, timeouts=PATIENT, **asked)
                hub.price(model, RATES)
        hub.know(model)
        yield Stage(hub, recorded, others["openai", True].text, breaking, models)


def offsets_of(recorded: Recorded, samples: int) -> list[int]:
    """Some offsets: the edges of everything, and even steps between."""
    size = len(recorded.tape.body)
    edges = {0, 1, recorded.words_at[0], recorded.words_at[0] - SLACK - 1, recorded.finish_at}
    edges |= {recorded.finish_at - SLACK - 1, size - 1}
    edges |= {size * n // samples for n in range(samples)}
    # Whole, a stream is whole; what stands behind a plain answer spoils it.
    return sorted(offset for offset in edges | {size} if offset <= size)


def check(
    stage: Stage, client: str, upstream: str, kind: str, offsets: Sequence[int], *, stream: bool
) -> None:
    """Ask once for every offset, and judge every answer with its record."""
    hub, tenant, speaker = stage.hub, stage.hub.tenant("1000.00"), SPEAKERS[client]
    recorded = stage.recorded[upstream, stream]
    posts = []
    for offset in offsets:
        behind = offset >= recorded.words_at[0] + SLACK
        model = stage.models[upstream, (1 + behind) if kind == "stall" else 0]
        body = speaker.body(model, Wish(f"tape={kind}@{offset}", stream))
        posts.append(Post(tenant.key, speaker.path(model, stream=stream), body))
    answers = post_all(hub, posts, at_once=64)
    records = _records(hub, tenant, answers)
    for offset, answer in zip(offsets, answers, strict=True):
        message = f"{client} {upstream} {kind}@{offset} {answer.body[-300:]!r}"
        tried = records[answer.headers["x-request-id"]]
        messages = [record for record in tried if record["flags"] != ["F32"]]
        _check_answer(stage, client, recorded, kind, offset, answer, messages, message)
        for record in tried:
            assert stage.breaking.sent[id_text(record["id"])] <= 1, message
            assert 0 <= record["charge_nano"] <= record["hold_nano"], message


def _check_answer(
    stage: Stage,
    client: str,
    recorded: Recorded,
    kind: str,
    offset: int,
    answer: Answer,
    tried: list[dict[str, Any]],
    message: str,
) -> None:
    speaker, final = SPEAKERS[client], tried[-1]
    assert answer.status == 200, message
    text = speaker.read(answer)
    least = recorded.text_at(offset)
    most = recorded.text_at(offset + SLACK)
    if kind == "reset":
        # What was sent may be lost on its way.
        least = ""
    if kind == "stall" and offset < recorded.words_at[0] + SLACK:
        # A busy machine may be too slow for the little time that it has.
        least = ""
    if len(tried) > 1:
        # Before any content: the other channel answers, and nothing of the first is heard.
        if kind in ("cut", "stall"):
            assert least == "", (message, [one["flags"] for one in tried])
        assert (text.text, text.whole, text.error) == (stage.text_of_other, True, None), message
        assert all(one["charge_nano"] == 0 for one in tried[:-1]), message
        assert (final["status"], final["basis"]) == (200, "measured"), message
        return
    assert most, message
    if text.error is None:
        # Complete: everything was said, and only what stands behind it is missing.
        assert offset + SLACK >= recorded.finish_at, message
        assert (text.text, text.whole) == (recorded.text, True), message
        assert text.finish, message
        assert (final["status"], final["kind"]) == (200, None), message
    else:
        assert kind == "reset" or offset < recorded.finish_at, message
        assert not text.whole, message
        assert text.text in (least, most) or (kind == "reset" and most.startswith(text.text)), (
            message
        )
        name = {"anthropic": "type", "gemini": "status", "converse": "__type"}.get(client, "code")
        assert text.error[name] in WORDS_OF_FAILURE[client], message
        assert final["kind"] in ("upstream_truncated", "upstream_malformed", "timeout"), message
    assert final["charge_nano"] > 0, message
    if final["basis"] == "measured" and text.error is None:
        assert final["charge_nano"] == sum(
            count * (IN if meter.startswith("in_") else OUT)
            for meter, count in final["meters"].items()
        ), message


def _records(
    hub: Hub, tenant: Tenant, answers: Sequence[Answer]
) -> dict[str, list[dict[str, Any]]]:
    ids = {parse_id(answer.headers["x-request-id"]): answer for answer in answers}
    results: dict[str, list[dict[str, Any]]] = {}

    def written() -> bool:
        results.clear()
        for row in hub.rows(
            "SELECT * FROM usage_usagerecord WHERE organisation_id = %s ORDER BY id",
            tenant.organisation_id,
        ):
            name = ids[row["request_id"]].headers["x-request-id"]
            results.setdefault(name, []).append(row)
        ended = sum(any(row["final"] for row in rows) for rows in results.values())
        return ended == len(answers)

    hub.wait(written, "records are missing", seconds=60)
    hub.settled(tenant)
    return results


def ends_of(recorded: Recorded) -> list[int]:
    """Where each event ends, from the last one with text on."""
    kind, raw = recorded.tape.content_type, recorded.tape.body
    ends = [recorded.words_at[-1]]
    while ends[-1] < len(raw):
        ends.append(_end_of_event(kind, raw, ends[-1]))
    return ends


by_kind = pytest.mark.parametrize("kind", KINDS)
by_form = pytest.mark.parametrize("stream", [True, False], ids=["stream", "plain"])


@by_kind
@by_form
@pytest.mark.parametrize("dialect", UPSTREAMS)
def test_some_bytes(stage: Stage, dialect: str, kind: str, stream: bool) -> None:
    offsets = offsets_of(stage.recorded[dialect, stream], SAMPLES)
    check(stage, dialect, dialect, kind, offsets, stream=stream)


# Each dialect of a client and of an upstream with one of the others; below, each pair.
ROTATED = [*list(UPSTREAMS)[1:], *list(UPSTREAMS)[:1]]


@pytest.mark.parametrize(("client", "upstream"), list(zip(UPSTREAMS, ROTATED, strict=True)))
def test_some_bytes_translated(stage: Stage, client: str, upstream: str) -> None:
    recorded = stage.recorded[upstream, True]
    for kind in KINDS:
        check(stage, client, upstream, kind, offsets_of(recorded, 3), stream=True)


@pytest.mark.parametrize(
    ("client", "upstream"),
    [*zip(UPSTREAMS, UPSTREAMS, strict=True), *zip(UPSTREAMS, ROTATED, strict=True)],
)
def test_each_event_behind_the_text_may_be_the_last(
    stage: Stage, client: str, upstream: str
) -> None:
    """A client hears of its answer's end, or of an error, however few of the provider's last events
    came: its finish, its usage, its end mark."""
    ends = ends_of(stage.recorded[upstream, True])
    assert len(ends) > 2 or upstream in ("gemini",)
    for kind in KINDS:
        check(stage, client, upstream, kind, ends, stream=True)


@pytest.mark.slow
@by_kind
@by_form
@pytest.mark.parametrize("dialect", UPSTREAMS)
def test_every_byte(stage: Stage, dialect: str, kind: str, stream: bool) -> None:
    offsets = range(len(stage.recorded[dialect, stream].tape.body) + 1)
    check(stage, dialect, dialect, kind, offsets, stream=stream)
    stage.hub.assert_books_balance()


@pytest.mark.slow
@pytest.mark.parametrize(("client", "upstream"), [pair for pair in CELLS if pair[0] != pair[1]])
def test_many_bytes_translated(stage: Stage, client: str, upstream: str) -> None:
    recorded = stage.recorded[upstream, True]
    for kind in KINDS:
        check(stage, client, upstream, kind, offsets_of(recorded, 100), stream=True)
    stage.hub.assert_books_balance()
