"""Every fault of an upstream has one defined answer (P8): the whole table through the hub, in every
dialect, streamed and not, with and without another channel, in the client's words and in the books.

All cells are asked at once, with the first test that needs one; each is a test of its own. The
suite has a draw of them, in which each row meets each dialect of a client and of an upstream, and
each form with and without another channel; `make chaos` has all.
"""

import contextlib
import datetime as dt
import secrets
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import pytest

from lib.ids import id_text, parse_id
from tests.fakes import listeners
from tests.fakes.upstream import FakeUpstream, expected_text
from tests.relay.fault_table import (
    AFTER,
    BEFORE,
    BOTH,
    LARGE,
    SERVED,
    STREAM,
    TAKING_OUT,
    WAITING,
    WORDS,
    After,
    Before,
    Served,
)
from tests.relay.many import Post, post_all
from tests.relay.speakers import SPEAKERS, UPSTREAMS, Speaker, Wish
from tests.relay.test_matrix import IN, OUT, RATES
from tests.support.hub import Answer, Hub, Tenant
from tests.support.pairwise import draw_pairs, slow_unless

LONG = {"connect": 30, "first_content": 40, "idle": 40, "total": 60}
# By the deadline that a row is about, and whether it is of a stream. All others are long: which of
# them comes first is for the row to say, and not for the machine.
SHORT: dict[tuple[str, bool], dict[str, float]] = {
    ("connect", False): {"connect": 0.5},
    ("connect", True): {"connect": 0.5},
    # The first of a plain answer is its last, and has ten times as long.
    ("first_content", False): {"first_content": 0.15},
    ("first_content", True): {"first_content": 1.5},
    # A head has half of what the first content has, from its own first byte on.
    ("head", False): {"first_content": 1},
    ("head", True): {"first_content": 8},
    ("idle", False): {"idle": 1.5},
    ("idle", True): {"idle": 1.5},
}
# The channel that is gone over to speaks another dialect than the one that fails.
# Of the interactions dialect, by the word of gemini's.
INTERACTION_CODES = {
    "INVALID_ARGUMENT": "invalid_request", "UNAVAILABLE": "service_unavailable",
    "RESOURCE_EXHAUSTED": "rate_limit_exceeded", "NOT_FOUND": "not_found",
    "DEADLINE_EXCEEDED": "gateway_timeout", "INTERNAL": "internal",
}  # fmt: skip
SECOND = {"openai": "gemini", "gemini": "anthropic", "anthropic": "openai", "responses": "openai",
          "interactions": "openai", "converse": "openai"}  # fmt: skip
# Of the converse dialect; a stream ends with one of four, or as an error of the model's stream.
CONVERSE_NAMES = {
    "provider_rejected": "ValidationException", "context_length_exceeded": "ValidationException",
    "content_filtered": "ValidationException", "unsupported_capability": "ValidationException",
    "body_too_large": "ValidationException", "upstream_rate_limited": "ThrottlingException",
    "upstream_auth": "ModelErrorException", "upstream_error": "ModelErrorException",
    "upstream_truncated": "ModelErrorException", "upstream_malformed": "ModelErrorException",
    "upstream_unreachable": "ModelErrorException", "overloaded": "ServiceUnavailableException",
    "timeout": "ModelTimeoutException",
}  # fmt: skip
IN_STREAMS = {"overloaded": "serviceUnavailableException"}
TOKENS = 6


@dataclass(frozen=True)
class Cell:
    """One question: a row of the table, who asks whom, how, and whether another channel is there
    (`spare`)."""

    row: Before | After | Served
    client: str
    upstream: str
    stream: bool
    spare: bool = False

    @property
    def id(self) -> str:
        how = "stream" if self.stream else "plain"
        what = self.row.how.split("=")[1] if isinstance(self.row, Served) else ""
        where = {Before: "before", After: "after", Served: "served"}[type(self.row)]
        spare = "-spare" if self.spare else ""
        return f"{self.row.fault}{what}-{where}-{self.client}-{self.upstream}-{how}{spare}"

    @property
    def code(self) -> str:
        return self.row.fault.partition(":")[0]

    @property
    def own(self) -> bool:
        return self.code in TAKING_OUT

    @property
    def waits(self) -> bool:
        return self.code in WAITING

    @property
    def deadline(self) -> str:
        """What the row waits for, if for anything."""
        flag = getattr(self.row, "flag", "") or self.code
        return {"F4": "connect", "F11": "first_content", "F12": "head", "F13": "idle"}.get(flag, "")

    @property
    def timeouts(self) -> dict[str, float]:
        return LONG | (SHORT[self.deadline, self.stream] if self.deadline else {})

    @property
    def held(self) -> bool:
        """Whether the fault waits until the client has heard of the content before it."""
        return isinstance(self.row, After) and not self.waits

    @property
    def turn(self) -> int:
        """What is asked at the same time: the large ones one by one, for while the fake makes
        their answers it does not get on with any other, be it a secure connection."""
        return 2 if self.held else int(self.row in LARGE)

    @property
    def by_listener(self) -> bool:
        return self.code in ("F1", "F2", "F3", "F4")

    @property
    def wish(self) -> str:
        row = self.row
        if isinstance(row, Served):
            return f"{row.how} #tokens={TOKENS}"
        if isinstance(row, After):
            # All that comes before a wait comes at once.
            pace = "#a.hold=4 #delay_ms=5" if self.held else "#batch=4"
            return f"#a.fault={row.fault}@4 #tokens=20 {pace} {row.more}"
        if self.by_listener:
            return f"#tokens={TOKENS}"
        if self.code == "F35":
            # Answered as soon as it is seen, long before the body is whole.
            return "#fault=F35 " + "word " * 200_000
        return f"#a.fault={row.fault} #retry_after=7 #tokens={TOKENS} {row.more}"

    @property
    def group(self) -> tuple[Any, ...]:
        """The cells of a group share a model name and its channels."""
        if self.own:
            return (self.id,)
        listener = self.row.fault if self.by_listener else ""
        deadline = self.deadline
        return (self.upstream, self.spare, deadline, deadline and self.stream, listener)


class Seen(NamedTuple):
    """What came of a cell: the answer, the attempts' records in order, and the fakes' rows of
    them."""

    answer: Answer
    records: list[dict[str, Any]]
    booked: list[dict[str, Any] | None]

    @property
    def final(self) -> dict[str, Any]:
        (final,) = [record for record in self.records if record["final"]]
        return final


def _pairs(*, crossed: bool) -> Iterator[tuple[str, str]]:
    for upstream in UPSTREAMS:
        for client in SPEAKERS:
            if crossed or client == upstream:
                yield client, upstream


def _cells() -> Iterator[Cell]:
    for row in BEFORE:
        for client, upstream in _pairs(crossed=row.crossed):
            for stream in row.forms if upstream in row.of else ():
                yield Cell(row, client, upstream, stream)
                if client == upstream:
                    yield Cell(row, client, upstream, stream, spare=True)
    for row in LARGE:
        for stream in row.forms:
            yield Cell(row, "openai", "openai", stream)
    for after in AFTER:
        for client, upstream in _pairs(crossed=after.crossed):
            if upstream in after.of:
                yield Cell(after, client, upstream, STREAM, spare=True)
    for served in SERVED:
        for client, upstream in _pairs(crossed=served.crossed):
            for stream in served.forms if client != upstream or not served.translated else ():
                yield Cell(served, client, upstream, stream)


def _values(cell: Cell) -> Sequence[object]:
    """What makes a cell."""
    translated, form = cell.client != cell.upstream, (cell.stream, cell.spare)
    return cell.row, cell.client, cell.upstream, form, translated


CELLS = {cell.id: cell for cell in _cells()}
DRAWN = draw_pairs(CELLS, _values)


def _of(kind: type) -> pytest.MarkDecorator:
    cells = [
        pytest.param(id, marks=slow_unless(id in DRAWN))
        for id, cell in CELLS.items()
        if isinstance(cell.row, kind)
    ]
    return pytest.mark.parametrize("cell", cells)


# ---- asking all of them


@pytest.fixture(scope="module")
def relay_case(
    hub: Hub,
    fake: FakeUpstream,
    other_fake: FakeUpstream,
    authority: listeners.Authority,
    request: pytest.FixtureRequest,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[dict[str, Seen]]:
    """What came of every cell that a test of this session asks for."""
    asked = {_asked_by(item) for item in request.session.items if item.path == request.path}
    wanted = [
        cell for id, cell in CELLS.items() if id in asked or (cell.code in asked and id in DRAWN)
    ]
    with contextlib.ExitStack() as stack:
        urls = listen(stack, authority, fake.port, tmp_path_factory)
        yield stack.enter_context(all_asked(wanted, hub, fake, other_fake, urls))


@contextlib.contextmanager
def all_asked(
    wanted: list[Cell],
    hub: Hub,
    fake: FakeUpstream,
    other_fake: FakeUpstream,
    urls: dict[str, str],
) -> Iterator[dict[str, Seen]]:
    """What came of these cells; at the end the books are looked at."""
    tenant = hub.tenant("1000.00")
    models = _open(hub, wanted, fake, other_fake, urls)
    wanted.sort(key=lambda cell: cell.turn)
    together, alone, held = (
        [_post(cell, tenant, models[cell.group]) for cell in wanted if cell.turn == turn]
        for turn in range(3)
    )
    answers = post_all(hub, together)
    answers += post_all(hub, alone, at_once=1)

    def go_on() -> None:
        fake.wait_for(lambda totals: totals["holding"] == len(held))
        fake.release()

    answers += post_all(hub, held, begun=go_on)
    hub.settled(tenant)
    yield _look(hub, wanted, answers, fake, other_fake)
    hub.connection.execute(
        "DELETE FROM gateway_route WHERE model = ANY(%s)", [list(models.values())]
    )
    hub.bump()
    _assert_nothing_else_was_charged(hub, tenant)
    hub.assert_books_balance()


def _asked_by(item: pytest.Item) -> str:
    """A cell, or the code of all the cells that a test looks at."""
    called = getattr(item, "callspec", None)
    return "" if called is None else str(called.params.get("cell") or called.params.get("code", ""))


def listen(
    stack: contextlib.ExitStack,
    authority: listeners.Authority,
    plain_port: int,
    directories: pytest.TempPathFactory,
    scheme: str = "http",
) -> dict[str, str]:
    """Where each of the faults lives that come before any request."""
    urls = {
        "F1:refused": f"{scheme}://127.0.0.1:{stack.enter_context(listeners.refused_port())}/v1",
        "F2:name": f"{scheme}://nowhere.invalid/v1",
        "F3:no_tls": f"https://127.0.0.1:{plain_port}/v1",
        "F4:hangs": f"{scheme}://127.0.0.1:{stack.enter_context(listeners.hanging_port())}/v1",
    }
    for kind in ("expired", "wrong_host", "self_signed", "old"):
        context, _ = listeners.tls_context(directories.mktemp(kind), kind, authority)
        secure = stack.enter_context(FakeUpstream(name=kind, tls=context))
        stack.callback(_assert_never_asked, secure, kind)
        urls[f"F3:{kind}"] = secure.url
    return urls


def _assert_never_asked(fake: FakeUpstream, kind: str) -> None:
    """F3: never retried without verification."""
    # The old one cannot be asked by us either: its file is read.
    assert (fake.books_dir / f"{kind}.jsonl").read_text() == "", kind


def _open(
    hub: Hub,
    cells: list[Cell],
    fake: FakeUpstream,
    other_fake: FakeUpstream,
    urls: dict[str, str],
) -> dict[tuple[Any, ...], str]:
    """A model with its channels for each group of cells."""
    models: dict[tuple[Any, ...], str] = {}
    for cell in cells:
        if cell.group in models:
            continue
        model = models[cell.group] = f"m-{secrets.token_hex(6)}"
        url = urls[cell.row.fault] if cell.by_listener else fake.url
        limits: dict[str, Any] = {
            "breaker": {"enabled": False},
            "retries": 1 if cell.spare else 0,
        }
        first = UPSTREAMS[cell.upstream] | limits
        hub.channel(model, url, fake.key, timeouts=cell.timeouts, **first)
        if cell.spare:
            over = UPSTREAMS[SECOND[cell.upstream]] | limits
            hub.channel(model, other_fake.url, other_fake.key, priority=1, timeouts=LONG, **over)
        hub.price(model, RATES)
    hub.know(model)
    return models


def _post(cell: Cell, tenant: Tenant, model: str) -> Post:
    speaker = SPEAKERS[cell.client]
    body = speaker.body(model, Wish(cell.wish, cell.stream))
    return Post(tenant.key, speaker.path(model, stream=cell.stream), body)


def _look(
    hub: Hub, cells: list[Cell], answers: list[Answer], fake: FakeUpstream, other: FakeUpstream
) -> dict[str, Seen]:
    ids = [parse_id(answer.headers["x-request-id"]) for answer in answers]
    records: dict[Any, list[dict[str, Any]]] = {}
    query = "SELECT * FROM usage_usagerecord WHERE request_id = ANY(%s) ORDER BY id"

    def written() -> bool:
        records.clear()
        for row in hub.rows(query, ids):
            records.setdefault(row["request_id"], []).append(row)
        return all(any(row["final"] for row in records.get(id, ())) for id in ids)

    hub.wait(written, "records are missing")
    booked: dict[str, dict[str, Any]] = {}
    for row in (*fake.books(), *other.books()):
        attempt = row["client_request_id"]
        assert attempt not in booked, "an attempt was sent twice"
        if attempt is not None:  # What other tests ask by themselves has none.
            booked[attempt] = row
    return {
        cell.id: Seen(
            answer,
            records[id],
            [booked.get(id_text(record["id"])) for record in records[id]],
        )
        for cell, answer, id in zip(cells, answers, ids, strict=True)
    }


def _assert_nothing_else_was_charged(hub: Hub, tenant: Tenant) -> None:
    (row,) = hub.rows(
        "SELECT sum(charge_nano)::bigint AS charged FROM usage_usagerecord "
        "WHERE organisation_id = %s",
        tenant.organisation_id,
    )
    assert hub.balance(tenant)["customer:available"] == 1000 * 10**9 - row["charged"]


# ---- what must have come


def check_error(speaker: Speaker, kind: str, error: dict[str, Any]) -> None:
    """The error is of that kind, in the words of the client's dialect."""
    _, code, word, status = WORDS[kind]
    if speaker.name == "anthropic":
        assert error["type"] == word
    elif speaker.name == "gemini":
        assert error["status"] == status
    elif speaker.name == "interactions":
        assert error["code"] == INTERACTION_CODES[status]
    elif speaker.name == "converse":
        ended_by = IN_STREAMS.get(kind, "modelStreamErrorException")
        assert error["__type"] in (CONVERSE_NAMES[kind], ended_by)
    elif kind != "provider_rejected":
        # Of what it finds wrong in a request the provider's own word is passed on.
        assert error["code"] == code


def status_of(cell: Cell, kind: str) -> int:
    """The HTTP status by which the client hears of a kind."""
    if kind == "overloaded" and cell.client == "anthropic":
        return 529
    if cell.row.fault == "F6:422" and cell.upstream in ("openai", "responses"):
        return 422
    return WORDS[kind][0]


def kind_of(cell: Cell) -> str:
    """A stream of responses that fails has no word for an overload."""
    row = cell.row
    assert isinstance(row, Before | After)
    by_frame = row.fault == "F23:error" and cell.stream
    return "upstream_error" if by_frame and cell.upstream == "responses" else row.kind


def keeps_secrets(cell: Cell, seen: Seen, fake: FakeUpstream) -> None:
    text = seen.answer.body.decode(errors="replace")
    assert fake.key not in text
    assert "<html" not in text
    assert "fake.example" not in text


@_of(Before)
def test_before_the_first_content(
    relay_case: dict[str, Seen], fake: FakeUpstream, cell: str
) -> None:
    asked, seen = CELLS[cell], relay_case[cell]
    row, speaker = asked.row, SPEAKERS[asked.client]
    assert isinstance(row, Before)
    kind, answer, failed = kind_of(asked), seen.answer, seen.records[0]
    keeps_secrets(asked, seen, fake)
    assert failed["kind"] == kind or failed["flags"] == ["F32"]
    assert all(record["charge_nano"] == 0 for record in seen.records if record["kind"])
    flag, money = row.flag or asked.code, row.money
    if failed["flags"] == ["F24"]:
        # Cut before anything came at all.
        assert asked.code in ("F14", "F24")
        flag, money = "F24", "none"
    by_fault = [one for one in seen.records if one["flags"] == [flag]]
    assert 1 <= len(by_fault) <= row.sends, [one["flags"] for one in seen.records]
    assert {one["basis"] for one in by_fault} == {money}
    if asked.waits:
        # No other deadline than the row's has passed.
        assert all(one["total_ms"] < 1000 * min(LONG.values()) for one in by_fault)
    if asked.spare and row.then == "next":
        text = speaker.read(answer)
        assert (text.text, text.whole) == (expected_text("b", asked.wish, TOKENS), True)
        assert 2 <= len(seen.records) <= 1 + row.sends
        assert (seen.final["status"], seen.final["basis"]) == (200, "measured")
        paid(seen)
        return
    assert len(seen.records) <= row.sends
    status = status_of(asked, kind)
    assert answer.status == status, answer.body
    assert answer.headers["content-type"] == "application/json"
    error = speaker.error_of(answer.json())
    check_error(speaker, kind, error)
    if row.wait is not None and kind == row.kind:
        shortest, longest = row.wait
        assert shortest <= int(answer.headers["retry-after"]) <= longest
    if speaker.name == "gemini":
        assert error["code"] == answer.status
        if kind == "upstream_rate_limited":
            assert error["details"][0]["retryDelay"] == f"{answer.headers['retry-after']}s"
    if speaker.name == "anthropic":
        assert answer.json()["request_id"] == answer.headers["request-id"]


def paid(seen: Seen) -> None:
    """The charge is the fake's own count."""
    usage = next(
        row for one, row in zip(seen.records, seen.booked, strict=True) if one["final"] and row
    )["usage"]
    charge = usage["prompt_tokens"] * IN + usage["completion_tokens"] * OUT
    assert seen.final["charge_nano"] == charge


@_of(After)
def test_after_the_first_content(
    relay_case: dict[str, Seen], fake: FakeUpstream, cell: str
) -> None:
    """P7: a prefix of one upstream's text, one typed error and no end, no second attempt; what was
    delivered is paid, and no more than the provider has counted for the whole."""
    asked, seen = CELLS[cell], relay_case[cell]
    row, speaker, answer = asked.row, SPEAKERS[asked.client], seen.answer
    assert isinstance(row, After)
    keeps_secrets(asked, seen, fake)
    assert answer.status == 200
    text = speaker.read(answer)
    assert text.error is not None
    assert not text.whole
    assert text.text == expected_text("a", asked.wish, 4)
    kind = kind_of(asked)
    if asked.client == asked.upstream != "converse" and asked.code == "F23":
        # The provider's own frame is passed on where no dialect lies between.
        assert answer.body.count(b"overloaded") >= 1 or asked.client == "responses"
    elif asked.client == "responses":
        assert text.error["code"] == "server_error"
    else:
        check_error(speaker, kind, text.error)
    (record,) = seen.records
    assert (record["status"], record["kind"]) == (WORDS[kind][0], kind)
    assert record["basis"] in ("estimated", "measured")
    assert 0 < record["charge_nano"] <= record["hold_nano"]
    assert (row.flag or asked.code) in record["flags"]
    (booked,) = seen.booked
    assert booked is not None
    assert booked["accepted"]


@_of(Served)
def test_faults_unnoticed_by_the_client(
    relay_case: dict[str, Seen], fake: FakeUpstream, cell: str
) -> None:
    """F25-F31, F37: a whole answer, once; the money by the last honest count, else by our own."""
    asked, seen = CELLS[cell], relay_case[cell]
    row = asked.row
    assert isinstance(row, Served)
    assert seen.answer.status == 200, seen.answer.body
    text = SPEAKERS[asked.client].read(seen.answer)
    assert (text.error, text.whole) == (None, True)
    lang = "mixed" if row.how == "#fault=F29" else "en"
    if row.fault != "F31":
        assert text.text == expected_text("a", asked.wish, TOKENS, lang)
    (record,) = seen.records
    assert (record["status"], record["kind"], record["basis"]) == (200, None, row.basis)
    assert ("quarantine" in record["flags"]) == row.review
    assert record["charge_nano"] <= record["hold_nano"]
    assert (record["charge_nano"] == 0) == row.free
    if row.basis == "measured" and not row.free:
        paid(seen)


@pytest.mark.parametrize("code", ["F27"])
def test_operators_learn_of_counts_under_review(
    code: str, relay_case: dict[str, Seen], hub: Hub
) -> None:
    """F27, I14: one fact for a channel and a day, however many requests."""
    doubted = {
        (seen.final["channel_name"], seen.final["ended_at"].astimezone(dt.UTC).date())
        for cell, seen in relay_case.items()
        if CELLS[cell].code == code
    }
    rows = hub.rows(
        "SELECT body FROM outbox_fact WHERE kind = 'count.doubted' AND body->>'channel' = ANY(%s)",
        [channel for channel, _ in doubted],
    )
    assert len(rows) == len(doubted) > 0
    for one in rows:
        assert one["body"]["flags"].startswith("usage_")


@pytest.mark.parametrize("code", ["F21"])
def test_redirects_are_never_followed(
    code: str, relay_case: dict[str, Seen], fake: FakeUpstream
) -> None:
    """F21."""
    assert any(CELLS[cell].code == code for cell in relay_case)
    assert fake.totals()["canary"] == 0


def test_every_row_of_the_fault_table_is_tested() -> None:
    """F18, F32, F36 and F38 stand in test_faults.py; F36 is of HTTP/2, which is not spoken."""
    apart = {"F18", "F32", "F36", "F38"}
    assert {cell.code for cell in CELLS.values()} | apart == {f"F{n}" for n in range(1, 40)}
    assert BOTH == (False, True)
