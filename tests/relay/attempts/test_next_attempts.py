"""When and with which key an attempt follows another, and what a client that leaves behind all of
the text pays (the fault table, "Leaving clients")."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace
from typing import Any, Final, NamedTuple, cast

import pytest

from dialects.codec import Facts
from dialects.errors.errors import RequestFault
from gateway.channel_order.channel_order import Skipped
from gateway.providers.suffixes import RequestedModel
from lib.id_types import ModelName
from relay.attempts.next_attempts import (
    Fallbacks,
    NextAttempt,
    NextAttempts,
    RoutedModel,
    RoutedModels,
)
from relay.health.channels_out import ChannelsOut
from tests.fakes.upstream import FakeUpstream
from tests.relay.asking import ask
from tests.relay.clients import Clients, attempt_of, final_record
from tests.support.hub import RATES, Hub


@pytest.fixture(scope="module")
def keyring() -> Iterator[FakeUpstream]:
    """A provider that knows two keys."""
    with FakeUpstream(name="r", keys=("sk-first", "sk-second")) as fake:
        yield fake


@pytest.mark.parametrize(
    ("gone", "passed_s", "another"),
    [(False, 0.0, True), (False, 1.5, True), (False, 1.501, False), (True, 0.0, False)],
)
def test_next_attempt_starts_for_a_present_client_in_time(
    gone: bool, passed_s: float, another: bool
) -> None:
    """P7, F11: until three quarters of the time are over, and never for who has left."""
    channel = SimpleNamespace(timeouts_of=lambda model: SimpleNamespace(total=2.0))
    attempts: Any = object.__new__(NextAttempts)
    attempts._context = SimpleNamespace(
        began=100.0, time=lambda: 100.0 + passed_s, downstream=SimpleNamespace(client_gone=gone),
        snapshot=SimpleNamespace(channels={"c": channel}),
    )  # fmt: skip
    attempts.failed = [SimpleNamespace(candidate=SimpleNamespace(channel_id="c"))]
    attempts.answering = SimpleNamespace(routed=SimpleNamespace(model=SimpleNamespace(name="m")))
    assert attempts._in_time() is another


FAULT: Final = RequestFault("invalid_value", None, "no")
UNSUPPORTED: Final = RequestFault("unsupported_capability", None, "no")
FULL: Final = ChannelsOut("no_channel", "full", None, [Skipped("c", "cooling")])
OWN: Final = RequestedModel(ModelName("own"))
_FOUND: Final[Any] = "the attempt"


class Models(RoutedModels):
    """Models of which it is given what comes of each: its candidates, or an error."""

    def __init__(self, results: dict[str, Any], causes: frozenset[Any]) -> None:
        self.results = results
        self.asked: list[tuple[str, str | None]] = []
        names = [RequestedModel(ModelName(name)) for name in results if name != "own"]
        context: Any = SimpleNamespace()
        facts: Any = OWN
        super().__init__(context, facts, None, Fallbacks(names, causes))

    def _routed_model(self, facts: Facts, model: RequestedModel, why: Any) -> RoutedModel:
        self.asked.append((model.name, why))
        result = self.results[model.name]
        if isinstance(result, Exception):
            raise result
        routed: Any = SimpleNamespace(candidates=result)
        nothing: Any = None
        return RoutedModel(routed, nothing, nothing, why)


def naming(facts: Facts, model: RequestedModel) -> Facts:
    return facts


@pytest.fixture
def unnamed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("relay.attempts.next_attempts._naming", naming)


@pytest.mark.usefixtures("unnamed")
def test_fallback_that_cannot_be_used_is_passed_over() -> None:
    results = {"own": FULL, "a": FAULT, "b": FULL, "c": [], "d": ["x"], "e": ["y"]}
    models = Models(results, frozenset({"error"}))
    found = models.first(OWN)
    assert list(map(str, found.routed.candidates)) == ["x"]
    assert [name for name, _ in models.asked] == ["own", "a", "b", "c", "d"]
    assert [one.channel_id for one in models.skipped] == ["c", "c"]
    assert models
    last = models.next(why="budget_rule")
    assert last is not None
    assert list(map(str, last.routed.candidates)) == ["y"]
    assert last.why == "budget_rule"
    assert not models
    assert models.next() is None


@pytest.mark.usefixtures("unnamed")
@pytest.mark.parametrize(
    ("results", "causes"),
    [
        ({"own": FULL, "a": ["x"]}, {"budget"}),
        ({"own": FULL, "a": FAULT}, {"error"}),
        ({"own": FULL}, {"error"}),
        ({"own": FAULT, "a": ["x"]}, {"error"}),
    ],
)
def test_requested_model_without_a_fallback_is_the_error(results: Any, causes: Any) -> None:
    with pytest.raises(type(results["own"])):
        Models(results, frozenset(causes)).first(OWN)


class Chosen(NamedTuple):
    """What comes of the choices of a request, in order, by the name of the method asked."""

    best: tuple[Any, ...] = ()
    another: tuple[Any, ...] = ()
    models: int = 0
    failed: int = 0
    causes: tuple[str, ...] = ("error", "budget")


class Scripted(NextAttempts):
    """What is left to try is given, not found."""

    def __init__(self, script: Chosen) -> None:
        self.best, self.others = iter(script.best), iter(script.another)
        self.failed = [SimpleNamespace()] * script.failed  # type: ignore[list-item]
        self.left = script.models
        self.taken: list[Any] = []
        self._models: Any = SimpleNamespace(causes=script.causes, on_error="error" in script.causes)

    async def _best(self) -> NextAttempt:
        result = next(self.best)
        if isinstance(result, Exception):
            raise result
        found: NextAttempt = result
        return found

    async def _another(self) -> NextAttempt | None:
        return next(self.others, None)

    def _take_next_model(self, why: Any = None) -> bool:
        self.taken.append(why)
        self.left -= 1
        return self.left >= 0

    def _take_other_model(self) -> bool:
        return self._models.on_error and self._take_next_model()

    def _change_to_fallback(self) -> bool:
        return self._take_next_model()


@pytest.mark.parametrize(
    ("method", "script", "result"),
    [
        ("first", Chosen((FULL, UNSUPPORTED, _FOUND), models=2), _FOUND),
        ("first", Chosen((FULL, UNSUPPORTED), models=1), UNSUPPORTED),
        ("first", Chosen((UNSUPPORTED, FULL), models=1), FULL),
        ("first", Chosen((FULL, _FOUND), models=1, causes=("budget",)), FULL),
        # Another model would be refused the same.
        ("first", Chosen((FAULT, _FOUND), models=1), FAULT),
        ("following", Chosen((FAULT, FULL, _FOUND), models=3, failed=1), _FOUND),
        ("following", Chosen((FAULT, FULL), models=2, failed=1), None),
        ("following", Chosen(another=(_FOUND,), failed=1), _FOUND),
        ("within_budget", Chosen((FAULT, FULL, _FOUND), models=3), _FOUND),
        ("within_budget", Chosen((FAULT, FULL), models=2), None),
        ("within_budget", Chosen((_FOUND,), models=1, causes=("error",)), None),
        # What was spent is the requested model's.
        ("within_budget", Chosen((_FOUND,), models=1, failed=1), None),
    ],
)
async def test_model_that_cannot_be_used_leads_to_the_next_one(
    method: str, script: Chosen, result: Any
) -> None:
    attempts = Scripted(script)
    if isinstance(result, Exception):
        with pytest.raises(type(result)) as raised:
            await getattr(attempts, method)()
        assert raised.value is result
    else:
        assert await getattr(attempts, method)() == result
    assert set(attempts.taken) <= {"budget_rule" if method == "within_budget" else None}


@pytest.mark.parametrize(("why", "avoid"), [("retry", 3), ("resend", -1), ("failover", -1)])
async def test_candidate_that_cannot_take_the_request_is_passed_over(why: Any, avoid: int) -> None:
    """A key at fault is avoided only where its channel is tried again."""
    unfit, fit = SimpleNamespace(channel_id="a"), SimpleNamespace(channel_id="b")

    async def prepare(candidate: Any) -> str:
        if candidate is unfit:
            raise UNSUPPORTED
        return "prepared"

    class Next(NextAttempts):
        def _next_candidate(self) -> Any:
            return self._candidates[0], why

        def _skipped(self, candidate: Any) -> Any:
            return self._unfit

    attempts: Any = object.__new__(Next)
    attempts.failed, attempts._failed_before = [], 0
    assert await attempts._another() is None
    attempts.failed = [SimpleNamespace(key=3)]
    attempts._candidates, attempts._unfit = [unfit, fit], ()
    attempts.answering = SimpleNamespace(translator=SimpleNamespace(prepare=prepare))
    skipped = (Skipped("a", "unsupported"),)
    assert await attempts._another() == NextAttempt(
        cast(Any, fit), cast(Any, "prepared"), why, skipped, why == "resend", avoid
    )
    assert attempts._candidates == [fit]


@pytest.mark.parametrize(("silent_s", "next_one"), [(0.9, True), (1.7, False)])
def test_no_attempt_begins_in_the_last_quarter_of_the_deadline(
    hub: Hub, fake: FakeUpstream, other_fake: FakeUpstream, silent_s: float, next_one: bool
) -> None:
    """F11: it would be cut before it could answer, and be paid for."""
    tenant = hub.tenant()
    timeouts = {"connect": 3, "first_content": silent_s, "idle": 60, "total": 2.0}
    model = hub.model(fake, other_fake, timeouts=timeouts)
    answer = hub.post(tenant, ask(model, "#a.fault=F11:headers #tokens=1", stream=True))
    assert answer.status == (200 if next_one else 504)
    attempts = hub.rows(
        "SELECT 1 FROM usage_attempt WHERE organisation_id = %s", tenant.organisation_id
    )
    assert len(attempts) == 1 + next_one
    hub.settled(tenant)
    hub.assert_books_balance()


def test_the_next_attempt_of_a_channel_uses_its_other_key(hub: Hub, keyring: FakeUpstream) -> None:
    """Keys take turns, so a request in between would give the same one again."""
    tenant, other, model = hub.tenant(), hub.tenant(), f"m-{keyring.port}-again"
    # A plain answer's first content is its last, and has ten times as long.
    timeouts = {"connect": 3, "first_content": 0.2, "idle": 60, "total": 60}
    hub.channel(
        model, keyring.url, ("sk-first", "sk-second"), upstream_model="fake-77", timeouts=timeouts
    )
    hub.price(model, RATES)
    hub.know(model)
    failing: dict[str, Any] = ask(model, "#1.fault=F11:headers #tokens=1")
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(hub.post, tenant, failing)
        keyring.wait_for_row(attempt_of(hub, tenant), lambda row: row["accepted_at"] is not None)
        assert hub.post(other, ask(model, "#tokens=1")).status == 200
        assert waiting.result().status == 200
    hub.settled(tenant)
    rows = hub.rows(
        "SELECT id FROM usage_attempt WHERE organisation_id = %s ORDER BY n",
        tenant.organisation_id,
    )
    assert len(rows) == 2
    keys = [row["key"] for row in keyring.books() if row["model"] == "fake-77"]
    assert sorted(keys) in (
        ["sk-first", "sk-first", "sk-second"],
        ["sk-first", "sk-second", "sk-second"],
    )
    # The first and the last are those of the request that failed once.
    assert keys[0] != keys[-1]


@pytest.mark.parametrize("how", ["close", "reset"])
def test_client_leaving_after_the_text_pays_the_providers_count(
    hub: Hub, clients: Clients, fake: FakeUpstream, how: str
) -> None:
    """The usage is waited for, on a channel that is cut otherwise too."""
    tenant, model = hub.tenant(), hub.model(fake)
    body = ask(model, "#tokens=5 #prompt=700 #linger", stream=True)
    leaver = clients.ask(hub, tenant, body)
    attempt = attempt_of(hub, tenant)
    leaver.read_until(b'"finish_reason":"stop"')
    gone = "SELECT 1 FROM usage_usagerecord WHERE organisation_id = %s AND final"
    leaver.leave(how)
    # Longer than a client that leaves is noticed in (P6): its end is not written yet.
    assert not _ends_within(hub, gone, tenant.organisation_id)
    fake.release(attempt)
    record = final_record(hub, tenant)
    assert (record["status"], record["basis"]) == (499, "drained")
    assert (record["meters"]["in_text"], record["meters"]["out_text"]) == (700, 5)
    hub.settled(tenant)
    hub.assert_books_balance()


def _ends_within(hub: Hub, query: str, organisation_id: object) -> bool:
    """Whether a record is there within half a second."""
    try:
        hub.wait(lambda: bool(hub.rows(query, organisation_id)), "no end", 0.5)
    except AssertionError:
        return False
    return True
