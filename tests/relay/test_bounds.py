"""Every bound of the relay, at the bound and one beyond it (what decides about money and authority
has its own in `tests/config/test_bounds.py`).

The bounds are found in the code: a comparison with a constant that is called a maximum, a minimum
or a length. One that is added belongs into a table here: in numbers, beside it with the test that
goes up to it, or with the reason why nobody sees on which side of it something is.
"""

import asyncio
from collections import Counter
from collections.abc import Callable, Iterable
from datetime import date, timedelta
from types import SimpleNamespace
from typing import Any, Final, NamedTuple, cast
from unittest.mock import patch

import pytest

from content.log.kept import Kept
from dialects.codec import EVENT_STREAM
from dialects.errors.errors import RequestFault
from extensions.midjourney import answers as midjourney_answers
from gateway.providers.cloud_credentials.credentials import CredentialsFailed
from lib.ids import new_id
from lib.network.egress import EgressPolicy
from relay.answers import answer_cache
from relay.attempts import request_reader as reader
from relay.attempts import shadow_traffic
from relay.content_log import content_log
from relay.content_log.content_log import ContentLog
from relay.content_log.entry import Caller, NewEntry, Submitted, frame
from relay.content_log.recorded_answer import RecordedAnswer
from relay.counting import tokenizer
from relay.counting.vocabularies import family_of
from relay.endpoints import balance, stored_responses
from relay.endpoints.responses_socket.connection import _Connection
from relay.front.database_fit import DatabaseFit
from relay.load.load import Turns
from relay.media import task_answers
from relay.media_tasks import signed_addresses
from relay.metering.usage_meter import UsageMeter
from relay.operations import media_operation
from relay.preparation import file_fetching
from relay.realtime.connection import RealtimeConnection
from relay.realtime.live.delegations import Delegations
from relay.requests import form_body, headers, uploads
from relay.states import state_store
from relay.tracing import span_content
from relay.upstream import credential_cache, http1, turn_socket, upstream
from relay.upstream.failures import UpstreamFailed
from tests.config.test_bounds import _NAME, ROOT, bounds_in
from tests.mutants.targets import target_files

GPT: Final = family_of("gpt-5")
MIB: Final = 1024 * 1024


class Taken(Exception):
    """What comes after the bound was reached."""


class Bound(NamedTuple):
    """What takes the numbers from `least` to `most`, and refuses others: it raises, or answers
    False. None where there is no bound on that side."""

    takes: Callable[[int], object]
    least: int | None
    most: int | None


class Pieces:
    """An answer that comes in these pieces; `left` is what nobody has read of it."""

    def __init__(self, pieces: Iterable[bytes]) -> None:
        self.left = list(pieces)
        self.at_end = False

    async def next_bytes(self) -> bytes:
        return self.left.pop(0) if self.left else b""

    def release(self) -> None:
        """It was read to its end."""

    def cut(self) -> None:
        """It was not."""


def it(**members: Any) -> Any:
    """Whatever stands around a bound: of an object those members that are read before it."""
    return SimpleNamespace(**members)


def reaches(work: Any) -> bool:
    """Whether something comes to what is behind its bound."""
    try:
        asyncio.run(work) if asyncio.iscoroutine(work) else work()
    except Taken:
        return True
    except (ValueError, RequestFault, UpstreamFailed):
        return False
    return False


def taken(*_: object, **__: object) -> Any:
    raise Taken


async def taken_later(*_: object, **__: object) -> Any:
    raise Taken


def reads_on(read: Callable[[Any], Any], length: int) -> bool:
    """Whether a second piece is read after a first one of that length."""
    answer = Pieces([b"x" * length, b"y"])
    asyncio.run(read(answer))
    return answer.left == []


def keeps_state(length: int) -> bool:
    principal = it(retention_hours=1, key_id="k", organisation_id="o", user_id=1)
    state = it(kind="response", name="n", content=bytes(length))
    store = it(seal=taken_later)
    return reaches(state_store.StateStore.put(store, principal, [state]))


def reads_shadow(length: int, *, stream: bool) -> bool:
    """Whether the answer of a shadow is read at that length, in two pieces."""
    prepared = it(
        request=None, codec=it(read_answer=taken, decoder=lambda *_: None),
        untagging=lambda *_: it(feed=lambda chunk: [], end=taken),
    )  # fmt: skip
    sending = it(facts=it(choices=1), context=it(invocation=it(target=None)))
    reading = it(_prepared=prepared, _sending=sending, _events=[], _ttft_ms=None)
    answer, read = Pieces([bytes(length - 1), b"x"]), shadow_traffic._Reading
    return reaches((read._read_stream if stream else read._read_whole)(reading, cast(Any, answer)))


def logs_entry(size: int) -> bool:
    """Whether a request goes into the content log with which so much waits."""
    entry = NewEntry(
        new_id(), Caller(new_id(), new_id(), new_id(), None), None, "m", "openai", "chat", 200, 1.0,
        1, 24, (), {}, Kept(b"x"),
    )  # fmt: skip
    own = content_log._ENTRY_BYTES + len(frame(Submitted(entry)))
    around = it(
        _bytes=size - own, _waiting=it(append=taken), count_dropped=lambda number: None,
        _stopping=it(is_set=lambda: False), _spans=None,
    )  # fmt: skip
    return reaches(lambda: ContentLog.add(around, entry))


def logs_answer(size: int) -> bool:
    """Whether a request of that length with its answer goes into the content log."""
    rule = it(scope="organisation", until=None, retention_hours=1, redact=())
    caller = it(
        organisation_id=1, team_id=1, key_id=1, user_id=1, guard_rules=(), log_rules=(rule,)
    )
    context = it(
        principal=caller, request_id=None, invocation=it(codec=it(name="openai"), operation="chat"),
        snapshot=it(now=lambda: 0.0, epoch=0), guarding=None,
    )  # fmt: skip
    recorded = it(
        _keeps=lambda rule, *, failed: True, _replayed=False, _began=0.0,
        _size=size, _log=it(count_dropped=lambda number: None, add=taken), _context=context,
        _raw=b"", _pieces=[], _content_type="", _stream=False, _error="", _broken=False,
        _is_text=True, _is_media=False,
        _run=it(session_id=None, model_name="m", failures=(), masked={}),
    )  # fmt: skip
    return reaches(RecordedAnswer.end(recorded, it(status=200)))


def records_piece(size: int) -> bool:
    """Whether a piece is kept with which a request and its answer have that length."""
    recorded = it(_is_text=True, _size=size - 1, _pieces=it(append=taken, clear=lambda: None))
    return reaches(lambda: RecordedAnswer._keep(recorded, b"x"))


def has_room(waiting: int = 0, lanes: int = 0, size: int = 0) -> bool:
    rows = [it(waiting=[None] * waiting), *[it(waiting=[])] * (lanes - 1)]
    connection = it(_lanes=dict(enumerate(rows)), _waiting_bytes=lambda: 5)
    event = it(body=it(raw=range(size - 5)))
    return _Connection._has_room(connection, event, new_lane=True)


def may_steer(steers: int = 0, size: int = 5) -> bool:
    connection = it(_over=None, _waiting_bytes=lambda: 5)
    event, turn = it(fault="", input=bytes(size - 5)), it(steers=[None] * steers)
    return _Connection._steer_refusal(connection, event, turn) is None


def goes_ahead(of_organisation: int, of_all: int) -> bool:
    """Whether a request goes ahead after so many have in this turn."""
    ahead = Counter(payer=of_organisation, others=of_all - of_organisation)
    around = it(_queue=it(has=lambda *_: False), _ahead=ahead)
    return Turns._may_go_ahead(around, cast(Any, "payer"), 0)


def is_in_step(skew_s: int) -> bool:
    fit: Any = DatabaseFit.fits
    return bool(fit.fget(it(_missing=0, _secrets_fit=True, _skew_s=skew_s)))


def asks_days(days: int) -> object:
    first = date(2026, 1, 1)
    query = {"start_date": str(first), "end_date": str(first + timedelta(days=days))}
    return balance._read_dates(query)


def begins(session: Any, held_by: str, running: int) -> bool:
    """Whether one more response begins beside those that run."""
    around = it(_running=dict.fromkeys(map(str, range(running))), **{held_by: it(take=taken_later)})
    return reaches(session._begin(around, "one more"))


def fills(*, size: int = 0, text: int = 0) -> bool:
    """Whether a form takes another byte."""
    filling = it(_size=size - 1, _text_size=text - 1, _name="field", _text=it(append=taken),
                 _form=it(hold=lambda size: None))  # fmt: skip
    return reaches(lambda: form_body._Filling.add(filling, it(feed=lambda _: [b"x"]), b"x"))


def holds_files(count: int) -> bool:
    form = it(files=it(__len__=None))
    form.files = _Files(count - 1)
    filling = it(_form=form, _folder=None)
    return reaches(lambda: form_body._Filling._begin(filling, it(filename="f", name="n")))


class _Files(list[None]):
    """Files of which one more is taken."""

    def __init__(self, count: int) -> None:
        super().__init__([None] * count)

    append = staticmethod(taken)


def has_disk(size: int) -> bool:
    with patch.object(uploads, "_held_bytes", 0):
        uploads.Form().hold(size)
    return True


def fetches_picture(size: int) -> bool:
    async def fetch(policy: object, url: str, *, bytes_max: int) -> Any:
        return it(body=bytes(size), content_type="image/png")

    with patch.object(file_fetching, "fetch_url", fetch):
        policy = EgressPolicy([])
        asyncio.run(file_fetching._fetch_one("https://a.example/p", policy, 10**9))
    return True


def knows_name(length: int) -> bool:
    snapshot = it(routes_of=taken, exact_routes={}, aliases={})
    around = it(_context=it(snapshot=snapshot, principal=it(price_plan_id=None)))
    snapshot.entries = {}
    return reaches(lambda: reader.RequestReader._look_up_exact(around, "m" * length, "model"))


def reads_head(*, size: int = 0, fields: int = 1) -> bool:
    """Whether the head of an answer is read: its length without an end, or its fields."""
    response = http1.ResponseReader()
    response.ask()
    head = b"HTTP/1.1 200 OK\r\n"
    head += b"a: b\r\n" * fields + b"\r\n" if not size else b"a: " + b"b" * (size - len(head) - 3)
    response.feed(memoryview(head))
    return True


def accepts_members(count: int) -> bool:
    names = tuple(f"m{n}" for n in range(count))
    meter = it(_accepted={"chat": frozenset(names)})
    return bool(UsageMeter._accepted_of(meter, it(unknown=names, wire="chat")))


def may_change_over(size: int) -> bool:
    channel = it(provider=it(quirks=_Everything()), id="c")
    request = it(codec=it(name="responses"), content_type=EVENT_STREAM, body=range(size))
    return turn_socket.TurnSocket._may_use(it(_without=set()), channel, request)


class _Everything:
    """A set that has whatever is asked for."""

    def __contains__(self, one: object) -> bool:
        return True


def sends_files(size: int) -> bool:
    files = [it(size=size - 1, name="a"), it(size=1, name="b", media_type="t", pieces=taken)]
    files[0].media_type, files[0].pieces = "t", taken
    return reaches(lambda: media_operation.data_urls_of(files))


def keeps_answer(size: int) -> bool:
    copy = answer_cache.AnswerCopy(cast(Any, None))
    copy._keep(b"x" * size)
    return not copy._spoilt


async def read_credentials(answer: Any) -> bytes:
    return await credential_cache._read_body(answer)


BOUNDS: Final[dict[str, Bound]] = {
    "relay/requests/headers.py:_read_key:_KEY_LENGTH_MAX": Bound(
        lambda n: headers.read_headers([(b"idempotency-key", b"k" * n)], 0), 1, 128
    ),
    "relay/answers/answer_cache.py:_keep:ANSWER_BYTES_MAX": Bound(keeps_answer, None, MIB),
    "relay/states/state_store.py:put:_STATE_BYTES_MAX": Bound(keeps_state, None, 32 * MIB),
    "relay/attempts/shadow_traffic.py:_read_whole:_ANSWER_BYTES_MAX": Bound(
        lambda n: reads_shadow(n, stream=False), None, MIB
    ),
    "relay/attempts/shadow_traffic.py:_read_stream:_ANSWER_BYTES_MAX": Bound(
        lambda n: reads_shadow(n, stream=True), None, MIB
    ),
    "relay/counting/tokenizer.py:count_request:_BODY_BYTES_MAX": Bound(
        lambda n: tokenizer.count_request(b"{" + b" " * (n - 2) + b"}", GPT) is not None,
        None, 32 * MIB,
    ),
    "relay/metering/usage_meter.py:_accepted_of:READ_MAX": Bound(accepts_members, 1, 63),
    "relay/endpoints/balance.py:_read_dates:_DAYS_MAX": Bound(asks_days, 0, 400),
    "relay/endpoints/responses_socket/connection.py:_has_room:_WAITING_MAX": Bound(
        lambda n: has_room(waiting=n), None, 63
    ),
    "relay/endpoints/responses_socket/connection.py:_has_room:_LANES_MAX": Bound(
        lambda n: has_room(lanes=n), None, 31
    ),
    "relay/endpoints/responses_socket/connection.py:_has_room:_WAITING_BYTES_MAX": Bound(
        lambda n: has_room(size=n), None, 64 * MIB
    ),
    "relay/endpoints/responses_socket/connection.py:_steer_refusal:STEERS_MAX": Bound(
        lambda n: may_steer(n), None, 15
    ),
    "relay/endpoints/responses_socket/connection.py:_steer_refusal:_WAITING_BYTES_MAX": Bound(
        lambda n: may_steer(size=n), None, 64 * MIB
    ),
    "relay/content_log/content_log.py:add:WAITING_BYTES_MAX": Bound(logs_entry, None, 64 * MIB),
    "relay/content_log/recorded_answer.py:end:BYTES_MAX": Bound(logs_answer, None, 8 * MIB),
    "relay/content_log/recorded_answer.py:_keep:BYTES_MAX": Bound(records_piece, None, 8 * MIB),
    "relay/tracing/span_content.py:text:_TEXT_MAX": Bound(
        lambda n: span_content._Shortener().text("a" * n) == "a" * n, None, 8_000
    ),
    "relay/tracing/span_content.py:_arguments:_TEXT_MAX": Bound(
        lambda n: span_content._Shortener()._arguments(f'"{"a" * (n - 2)}"') == "a" * (n - 2),
        None, 8_000,
    ),
    "relay/endpoints/stored_responses.py:_read_after:_NUMBER_DIGITS_MAX": Bound(
        lambda n: stored_responses._read_after({"stream": "true", "after": "1" * n}, "after"),
        1, 9,
    ),
    "relay/endpoints/stored_responses.py:_read_limit:_LIMIT_MAX": Bound(
        lambda n: stored_responses._read_limit(str(n)), 1, 100
    ),
    "relay/front/database_fit.py:fits:_SKEW_S_MAX": Bound(is_in_step, -60, 60),
    "extensions/midjourney/answers.py:_read_body:_BYTES_MAX": Bound(
        lambda n: asyncio.run(midjourney_answers._read_body(cast(Any, Pieces([bytes(n)])))),
        None, 65_536,
    ),
    "relay/media/task_answers.py:_read_limit:_LIMIT_MAX": Bound(
        lambda n: task_answers._read_limit(str(n)), 1, 100
    ),
    "relay/realtime/live/delegations.py:_begin:_RESPONSES_MAX": Bound(
        lambda n: begins(Delegations, "_next", n), None, 15
    ),
    "relay/operations/media_operation.py:data_urls_of:_FILES_IN_BODY_MAX": Bound(
        sends_files, None, 20 * MIB
    ),
    "relay/realtime/connection.py:_begin:_RESPONSES_MAX": Bound(
        lambda n: begins(RealtimeConnection, "_holds", n), None, 15
    ),
    "relay/load/load.py:_may_go_ahead:AHEAD_MAX": Bound(lambda n: goes_ahead(n, n), None, 3),
    "relay/load/load.py:_may_go_ahead:BEGUN_MAX": Bound(lambda n: goes_ahead(0, n), None, 7),
    "relay/media_tasks/signed_addresses.py:_seconds:_DIGITS_MAX": Bound(
        lambda n: signed_addresses._seconds("1" * n) is not None, None, 11
    ),
    "relay/preparation/file_fetching.py:_fetch_one:PICTURE_BYTES_MAX": Bound(
        fetches_picture, None, 20 * MIB
    ),
    "relay/requests/form_body.py:add:FORM_BYTES_MAX": Bound(
        lambda n: fills(size=n), None, 128 * MIB
    ),
    "relay/requests/form_body.py:add:_TEXT_BYTES_MAX": Bound(lambda n: fills(text=n), None, MIB),
    "relay/requests/form_body.py:_begin:_FILES_MAX": Bound(holds_files, None, 17),
    "relay/attempts/request_reader.py:_look_up_exact:MODEL_LENGTH_MAX": Bound(
        knows_name, None, 200
    ),
    "relay/requests/uploads.py:hold:ALL_BYTES_MAX": Bound(has_disk, None, 2_048 * MIB),
    "relay/upstream/credential_cache.py:_read_body:ANSWER_BYTES_MAX": Bound(
        lambda n: asyncio.run(read_credentials(Pieces([bytes(n)]))), None, 65_536
    ),
    "relay/upstream/http1.py:_check_size:_SECTION_BYTES_MAX": Bound(
        lambda n: http1._check_size([(b"a", b"b" * (n - 1))]), None, 65_536
    ),
    "relay/upstream/http1.py:feed:_SECTION_BYTES_MAX": Bound(
        lambda n: reads_head(size=n), None, 65_536
    ),
    "relay/upstream/http1.py:on_header:_SECTION_FIELDS_MAX": Bound(
        lambda n: reads_head(fields=n), None, 100
    ),
    "relay/upstream/turn_socket.py:_may_use:EVENT_BYTES_MAX": Bound(
        may_change_over, None, 15 * MIB - 1
    ),
    "relay/upstream/upstream.py:read_rest:_REST_BYTES_MAX": Bound(
        lambda n: reads_on(upstream.read_rest, n), None, 65_535
    ),
    "relay/upstream/upstream.py:read_beginning:_ERROR_BYTES_MAX": Bound(
        lambda n: reads_on(upstream.read_beginning, n), None, 65_535
    ),
    "relay/upstream/upstream.py:_read_error_body:_ERROR_BYTES_MAX": Bound(
        lambda n: reads_on(upstream._read_error_body, n), None, 65_535
    ),
}  # fmt: skip

# Bounds that need more around them, and the test that goes up to them.
ELSEWHERE: Final = {
    "relay/answers/background.py:write_now:_EVENTS_BYTES_MAX": (
        "tests/relay/answers/test_background_parts.py"
    ),
    "relay/answers/background.py:_gather:_EVENTS_BYTES_MAX": (
        "tests/relay/answers/test_background_parts.py"
    ),
    "relay/answers/idempotency.py:piece:_WAITING_BYTES_MAX": (
        "tests/relay/answers/test_idempotency.py"
    ),
    "relay/attempts/shadow_traffic.py:_has_room:IN_FLIGHT_MAX": (
        "tests/relay/attempts/test_shadow_traffic.py"
    ),
    "relay/attempts/shadow_traffic.py:_has_room:_WAITING_MAX": (
        "tests/relay/attempts/test_shadow_caps.py"
    ),
    **{
        f"relay/content_log/recorded_talk.py:{name}:BYTES_MAX": (
            "tests/relay/content_log/test_recorded_talk.py"
        )
        for name in ("_ask", "say", "complete", "end", "take_back")
    },
    **{
        f"relay/content_log/spoken_minutes.py:{bound}": (
            "tests/relay/content_log/test_spoken_minutes.py"
        )
        for bound in (
            "tell:BYTES_MAX",
            "say:BYTES_MAX",
            "_finish:BYTES_MAX",
            "say:_RUNS_MAX",
            "reach:_UNSETTLED_MAX",
        )
    },
    "relay/load/load.py:enter:UNDER_WAY_MIN": "tests/relay/load/test_too_busy.py",
    "relay/load/load.py:_watch_crowd:UNDER_WAY_MIN": "tests/relay/load/test_too_busy.py",
    "relay/load/load.py:begin:BEGUN_MAX": "tests/relay/load/test_turns.py",
    "relay/load/load_shedding.py:measured:UNDER_WAY_MIN": (
        "tests/relay/load/test_load_shedding.py"
    ),
    "relay/load/load_shedding.py:measured:BUSY_MIN": "tests/relay/load/test_too_busy.py",
    "relay/load/turn_order.py:next_allowance:TURN_S_MAX": "tests/relay/load/test_turns_rules.py",
    "relay/media/linked_picture.py:_open:PICTURE_BYTES_MAX": (
        "tests/relay/answers/test_picture_links.py"
    ),
    "relay/upstream/connection_pool.py:connection:_CONNECTIONS_MAX": (
        "tests/relay/upstream/test_connection_pool.py"
    ),
    "relay/content_log/content_log.py:_take_back:_SENDINGS_MAX": (
        "tests/relay/content_log/test_writer_process.py"
    ),
    "relay/tracing/tracing.py:wait_for_content:_WAITING_MAX": (
        "tests/relay/tracing/test_span_content.py"
    ),
}

_SLOWER: Final = "what is beyond it waits, and is the same"
_SAMPLED: Final = "a sample is counted, which one beyond the bound is still the whole text"
_FORGOTTEN: Final = "what is known is forgotten, and asked anew"
# Bounds of which nobody sees on which side something is.
UNSEEN: Final = {
    "relay/answers/background.py:write_now:_WAITING_BYTES_MAX": _SLOWER,
    "relay/states/state_store.py:seal:_SEAL_HERE_MAX": "it is sealed in a thread, or here",
    "relay/content_log/recorded_answer.py:__init__:BYTES_MAX": "it is not kept, whatever follows",
    "relay/content_log/recorded_talk.py:put_sound:_UNWRITTEN_MAX": (
        "a transcript that comes so late is part of what is said next"
    ),
    "relay/content_log/recorded_talk.py:write_down:BYTES_MAX": (
        "the request that it belongs to is too large to be kept"
    ),
    "relay/content_log/entry_writer.py:_data_key:_DATA_KEYS_MAX": _FORGOTTEN,
    "relay/guarding/calls.py:_read:_SETTINGS_MAX": _FORGOTTEN,
    "relay/guarding/guarding.py:checked_request:_CHECK_HERE_MAX": (
        "it is checked in a thread, or here"
    ),
    "relay/attempts/count_endpoint.py:_request_count:_COUNT_BYTES_MAX": (
        "a count has a hundred bytes; a provider that sends more is not believed"
    ),
    "relay/attempts/count_endpoint.py:_request_count:_TRIES_MAX": (
        "a count that no provider gives is made here"
    ),
    "relay/counting/tokenizer.py:count_request:_CHARACTERS_MAX": _SAMPLED,
    "relay/counting/tokenizer.py:count_text:_CHARACTERS_MAX": _SAMPLED,
    "relay/counting/tokenizer.py:count_texts:_CHARACTERS_MAX": _SAMPLED,
    "relay/metering/usage_meter.py:join:_BLOCKS_MAX": "a sample has half as many blocks",
    "relay/endpoints/responses_socket/outbox.py:put:_QUEUED_MAX": _SLOWER,
    "relay/endpoints/responses_socket/outbox.py:send_each:_QUEUED_MAX": _SLOWER,
    "relay/pages/queue_sink.py:get:_QUEUED_MAX": _SLOWER,
    "relay/pages/queue_sink.py:write_now:_QUEUED_MAX": _SLOWER,
    "relay/front/database_fit.py:read_epoch:_SKEW_S_MAX": "it is logged, once",
    "relay/media/task_content.py:_linked:_LINK_BYTES_MAX": (
        "an address has a thousand bytes; what is longer is none"
    ),
    "relay/operations/video_operations.py:send:_PREFIX_MAX": (
        "each prefix is in our code, and shorter"
    ),
    "relay/previews/route_preview.py:_preview:ATTEMPTS_MAX": "it shows what the relay would do",
    "relay/catalogue/snapshot.py:_match:_KNOWN_MAX": _FORGOTTEN,
    "relay/upstream/http1.py:buffer_updated:_BUFFER_BYTES_MAX": _SLOWER,
    "relay/upstream/http1.py:_take_pieces:_BUFFER_BYTES_MAX": _SLOWER,
    "relay/upstream/http1.py:first_pieces:_PIECES_BYTES_MAX": "it is passed in more pieces",
    "relay/upstream/http1.py:send:_JOINED_BYTES_MAX": "it is sent in one write or two",
    "relay/upstream/upstream.py:_fields:_CACHED_MAX": _FORGOTTEN,
    "relay/upstream/upstream.py:_target:_CACHED_MAX": _FORGOTTEN,
}
# The files of a media service that the relay runs.
ADDED = ("answers", "clips", "orders", "picture", "rows")


def bounds_of_relay() -> set[str]:
    """The comparisons of the relay and of what extensions add to it, which
    `tests/config/test_bounds.py` does not have."""
    added = (path for name in ADDED for path in (ROOT / "extensions").glob(f"*/{name}.py"))
    paths = (*(ROOT / "relay").rglob("*.py"), *added)
    files = {str(path.relative_to(ROOT)) for path in paths}
    return {bound for file in files - set(target_files(ROOT)) for bound in bounds_in(file)}


def test_every_bound_of_the_relay_has_a_row() -> None:
    assert bounds_of_relay() == BOUNDS.keys() | ELSEWHERE.keys() | UNSEEN.keys()


def test_the_tests_elsewhere_name_the_bound() -> None:
    missing = [
        f"{test} does not name {bound}"
        for bound, test in ELSEWHERE.items()
        if bound.rpartition(":")[2] not in (ROOT / test).read_text()
    ]
    assert missing == []
    assert all(_NAME.match(bound.rpartition(":")[2]) for bound in BOUNDS)


SIDES: Final = [
    (name, number, is_taken)
    for name, bound in BOUNDS.items()
    for end, step in ((bound.least, -1), (bound.most, 1))
    if end is not None
    for number, is_taken in ((end, True), (end + step, False))
]


@pytest.mark.parametrize(("name", "number", "is_taken"), SIDES)
def test_limit_is_accepted_and_nothing_beyond_it(name: str, number: int, is_taken: bool) -> None:
    try:
        answer: Any = BOUNDS[name].takes(number)
    except (
        RequestFault, UpstreamFailed, http1.Unreadable, CredentialsFailed
    ):  # fmt: skip
        answer = False
    assert (answer is not False) == is_taken
