"""Pages of requests in each of their states, and of sessions of agents."""

import datetime as dt
import json
from collections.abc import Callable
from functools import partial
from typing import Any, Final

from django.template.loader import render_to_string

from accounts.access.actors import SYSTEM
from accounts.models import Key, Organisation
from billing.models import Budget, EndedSession, Posting, PriceVersion, PromoGrant, SpendingCount
from content.log.kept import Kept
from content.policies import policies
from lib import clock
from lib.ids import first_id_at, id_text, new_id
from notify.models import Delivery, DeliveryState
from outbox.models import Fact
from relay.downstream.limit_answers import UsedUp
from tests.content.log.entries import REQUEST, keep
from tests.house.outlines.scenes.scene import Scene
from tests.isolation.world import World
from tests.relay.downstream.test_limit_answers import BUDGET
from tests.support import cast
from tests.usage.rows import admit, end, happen, refuse
from tests.usage.sessions.test_session_limits import open_window
from usage.limits import budget_simulation
from usage.limits.budget_simulation import look_back
from usage.models import ClientAddress, LateTruth, SettleAs, UsageRecord
from usage.reviews import reviews

_HTMX: Final = {"HX-Request": "true"}


def _key(world: World, place: str = "colleague") -> Key:
    return world.places[place].key


def _at() -> dt.datetime:
    return clock.now() - dt.timedelta(minutes=40)


def _version() -> PriceVersion:
    return PriceVersion.objects.get(price__model="gpt-5")


def _page(record: UsageRecord, end: str = "") -> str:
    return f"/o/acme/requests/{id_text(record.request_id)}{end}"


def _failed_over(world: World) -> UsageRecord:
    """A request whose first channel failed, with everything that is ever noted of one."""
    key, at, session = _key(world), _at(), new_id()
    of_both: dict[str, Any] = {
        "project": "Zeppelin", "customer": "Initech", "tags": ["nightly", "eval"],
        "client_app": "codex", "session_id": session, "end_user": "ana@chat",
        "prompt": "greeting", "prompt_version": 4, "asked_model": "auto",
        "price_version_id": _version().id, "multiplier_ppm": 1_230_000,
    }  # fmt: skip
    first = admit(
        key, at, hold_nano=3_100_000, channel_name="azure-west", channel_id=new_id(),
        upstream_model="gpt-5-azure", why="priority", channel_key="Zq7x",
        skipped=[{"channel": "vertex-eu", "reason": "failing"}], **of_both,
    )  # fmt: skip
    end(first, 0, final=False, status=503, kind="overloaded", meters={}, basis="none", total_ms=710,
        ttft_ms=None)  # fmt: skip
    again = admit(
        key, at + dt.timedelta(milliseconds=713), request_id=first.request_id, n=2,
        hold_nano=370_000, why="failover", model="gpt-5", **of_both,
    )  # fmt: skip
    return end(
        again, 370_000, ttft_ms=1_213, total_ms=4_519,
        meters={"in_text": 1_301, "in_cache_read": 907, "out_text": 211, "out_reasoning": 0},
        raw_usage={"prompt_tokens": 2_208, "completion_tokens": 211}, dropped=["logit_bias", "n"],
        flags=["end_user_verified", "above_hold", "F26"], upstream_request_id="req-upstream-19",
        pricing={"accepted": ["service_seconds"]},
    )  # fmt: skip


def _rich(world: World) -> str:
    record = _failed_over(world)
    ClientAddress.objects.create(
        organisation_id=record.organisation_id, record_id=record.id, address="203.0.113.29"
    )
    Organisation.objects.filter(id=world.acme.id).update(client_address_days=30)
    keep(record, Kept(json.dumps(REQUEST).encode()), hours=240)
    return _page(record)


def _paid_by_three(world: World) -> str:
    record = happen(_key(world), _at(), price_version_id=_version().id, meters={"in_text": 1_400})
    entry = Posting.objects.get(attempt_id=record.id).entry_id or 0
    SpendingCount.objects.create(
        organisation_id=record.organisation_id, from_entry=entry, entry=entry + 1,
        included_nano=110_000, promo_nano=70_000,
    )  # fmt: skip
    return _page(record)


def _called_back(world: World, *, tried: bool) -> str:
    record = happen(_key(world), _at(), 171_000, price_version_id=_version().id)
    fact = Fact.objects.create(
        id=first_id_at(record.ended_at), organisation_id=record.organisation_id,
        kind="task.completed", body={"request": id_text(record.request_id)},
    )  # fmt: skip
    tries = [
        {"at": _at().isoformat(), "status": 503, "error": "", "ms": 1_307},
        {"at": _at().isoformat(), "status": None, "error": "No connection", "ms": 431},
    ]  # fmt: skip
    Delivery.objects.create(
        fact=fact, tries=tries if tried else [],
        state=DeliveryState.DEAD if tried else DeliveryState.PENDING,
    )  # fmt: skip
    PromoGrant.objects.create(
        organisation_id=record.organisation_id, amount_nano=10**9, source="gift"
    )
    return _page(record)


def _running(world: World) -> str:
    session = new_id()
    attempt = admit(
        _key(world), _at(), hold_nano=4_700_000, session_id=session, operation="responses",
        client_app="Chat title", source="playground",
    )  # fmt: skip
    return f"/o/acme/requests/{id_text(attempt.request_id)}"


def _stopped(world: World, charge_nano: int, **meters: int) -> str:
    over: dict[str, Any] = {"status": 499, "kind": None, "finish_reason": "", "meters": meters}
    if not charge_nano:
        over["basis"] = "none"
    record = happen(_key(world), _at(), charge_nano, ttft_ms=None, **over)
    return _page(record)


def _unanswered(world: World, charge_nano: int, **meters: int) -> str:
    record = happen(
        _key(world), _at(), charge_nano, status=502, kind="upstream_truncated", ttft_ms=None,
        message="The connection was lost", meters=meters, finish_reason="",
        price_version_id=_version().id, hold_nano=5_900_000,
        basis="estimated" if charge_nano else "none",
    )  # fmt: skip
    return _page(record)


def _refused_by_budget(world: World, *, named: bool, gone: bool = False) -> str:
    key = _key(world)
    budget = budget_simulation.create_budget(
        SYSTEM, world.acme, scope="key" if named else "organisation",
        subject=str(key.id) if named else "", amount_nano=7_300_000, period="week",
    )  # fmt: skip
    said = {"budget": budget.id, "scope": "key", "subject": key.name, "spent": 1_700_000,
            "held": 4_100_000, "limit": 7_300_000}  # fmt: skip
    message = UsedUp(BUDGET | said, 2_900_000, 0, "http://hub.example").message
    if gone:
        message = "Insufficient Balance: a budget is used up"
        Budget.objects.filter(id=budget.id).delete()
    return _page(refuse(key, _at(), message=message))


def _guarded(world: World, place: str = "colleague", *, refused: bool = False) -> str:
    key = _key(world, place)
    policy = policies.create_policy(SYSTEM, world.acme, look_back, name="Privacy", rules=[])
    judged = happen(key, _at(), 43_000_000, client_app="guard")
    flags = [
        f"guard_policy:{id_text(policy.id)}",
        *(["guard_in:tool_call", "guard_refused:iban"] if refused else []),
        "guard_masked:secret:3", "guard_in:request", "guard_masked:email:1",
        f"guard_policy:{id_text(new_id())}", "guard_in:answer", "guard_masked:card:2",
        "guard_pure:email", "guard_pure:card", "guard_ms::0", "guard_ms:topics:811",
        f"guard_request:{id_text(judged.request_id)}", f"guard_request:{id_text(new_id())}",
    ]  # fmt: skip
    if not refused:
        return _page(happen(key, _at(), 310_000, flags=["masked", *flags]))
    return _page(
        happen(
            key, _at(), 0, status=400, kind="guard_refused", flags=flags, meters={}, basis="none",
            message="A guard rejected the request: IBANs (iban_found)",
        )
    )  # fmt: skip


def _refused_by_a_guard_that_went(world: World) -> str:
    return _page(
        refuse(_key(world), _at(), status=400, kind="guard_refused", flags=["guard_refused:email"],
               message="A guard rejected it")
    )  # fmt: skip


def _doubted(world: World, end: str = "", *, held: bool = False) -> str:
    over: dict[str, Any] = (
        {"basis": "held", "flags": ["unpriced_meter", "quarantine"], "meters": {"searches": 3},
         "pricing": {"unknown": ["odd_tokens", "even_tokens"]}}
        if held
        else {"basis": "estimated", "flags": ["usage_huge", "quarantine"]}
    )  # fmt: skip
    return _page(
        happen(_key(world), _at(), 0 if held else 190_000, hold_nano=2_300_000, **over), end
    )


def _reviewed(world: World) -> str:
    record = happen(
        _key(world), _at(), 190_000, hold_nano=2_300_000, basis="estimated",
        flags=["usage_huge", "quarantine"], price_version_id=_version().id,
    )  # fmt: skip
    reviews.settle_review(
        cast.actor(world.dora), record.request_id, SettleAs.AMOUNT, amount_nano=530_000,
        reason="Asked the provider",
    )  # fmt: skip
    return _page(record)


def _with_own_key(world: World) -> str:
    record = happen(
        _key(world), _at(), 59, own_fee={"request_nano": 59}, own_nano=210_000, cost_nano=0,
        price_version_id=_version().id, meters={"in_text": 1_400},
    )  # fmt: skip
    LateTruth.objects.create(
        organisation_id=record.organisation_id, attempt_id=record.id, source="late",
        posted_at=clock.now(), own_change_nano=71_000, charge_nano=0,
    )  # fmt: skip
    return _page(record)


def _from_cache(world: World) -> str:
    first = happen(_key(world), _at(), 830_000)
    cached = {"request": id_text(first.request_id), "charge_nano": 830_000, "price_percent": 10}
    return _page(
        happen(
            _key(world), _at(), 83_000, basis="cached", channel_id=None, channel_name="",
            upstream_model="", pricing={"cached": cached}, saved_nano=747_000,
        )
    )  # fmt: skip


def _waived(world: World) -> str:
    return _page(
        happen(
            _key(world), _at(), 0, basis="absorbed", price_version_id=_version().id,
            meters={"in_text": 1_003, "out_text": 7},
        )
    )  # fmt: skip


def _recomputed(world: World, charge_nano: int, *, rates: dict[str, int] | None = None) -> str:
    version = _version()
    if rates is not None:
        PriceVersion.objects.filter(id=version.id).update(rates={"meters": rates})
    return _page(happen(_key(world), _at(), charge_nano, price_version_id=version.id), "/recompute")


def _session(world: World, end: str = "", *, ended: bool = False) -> str:
    """Of three agents, with a failed turn and one that runs, under two limits."""
    key, session, named = _key(world), new_id(), {"name": "Fix", "source": "x-weir-session"}
    agents: tuple[dict[str, str], ...] = (
        {},
        {"agent": "child"},
        {"agent": "grandchild", "parent": "child"},
    )
    at = _at()
    for n, agent in enumerate(agents):
        meters = {"in_text": 1_009 + n, "in_cache_read": 2_003, "out_text": 107 * n + 3}
        record = happen(
            key, at + dt.timedelta(seconds=10 * n), 13_000_000 * (n + 1), session_id=session,
            session=named | agent, client_app="claude-code", meters=meters, saved_nano=17_000,
            own_nano=1_900_000 * (n + 2),
        )  # fmt: skip
    happen(
        key, at + dt.timedelta(seconds=50), 0, session_id=session, session=named, status=502,
        kind="upstream_error", meters={},
    )  # fmt: skip
    keep(record, Kept(json.dumps(REQUEST).encode()), session_id=session)
    if ended:
        EndedSession.objects.create(session_id=session, organisation=world.acme)
    else:
        admit(
            key,
            at + dt.timedelta(seconds=60),
            session_id=session,
            session=named,
            hold_nano=70_000_000,
        )
    budget = budget_simulation.create_budget(
        SYSTEM, world.acme, scope="organisation", subject="", period="session",
        amount_nano=510_000_000,
    )  # fmt: skip
    open_window(key, session, budget.id, None)
    return f"/o/acme/sessions/{id_text(session)}{end}"


def _scene(title: str, make: Callable[[World], str], role: str = "owner", **over: Any) -> Scene:
    return Scene(f"request {title}", make, role, **over)


_POST: Final[dict[str, Any]] = {"posted": {}, "headers": _HTMX}


def _unknown_kind(world: World) -> str:
    kind = reviews.UnknownKind(
        "xai", "openai", ["holo_tokens"], clock.now() - dt.timedelta(days=9), clock.now(), 3, 0, 7
    )
    return render_to_string("usage/reviews/_unknown_kinds.html", {"kinds": [kind]})


SCENES: Final = (
    Scene("kind of unknown usage", _unknown_kind),
    _scene("of two attempts with all that is noted", _rich, "operator"),
    _scene("of two attempts, whose reader reads contents", _rich, "custom reader"),
    _scene("paid by three", _paid_by_three, "viewer"),
    _scene("with a callback that failed", partial(_called_back, tried=True)),
    _scene("with a callback that waits", partial(_called_back, tried=False)),
    _scene("that runs", _running),
    _scene("that was stopped before an answer", partial(_stopped, charge_nano=170_000, in_text=9)),
    _scene("that was stopped", partial(_stopped, charge_nano=190_000, in_text=9, out_text=7)),
    _scene("that was stopped and is free", partial(_stopped, charge_nano=0)),
    _scene("that failed before an answer", partial(_unanswered, charge_nano=1_350, in_text=9)),
    _scene("that broke off", partial(_unanswered, charge_nano=5_550, in_text=9, out_text=7)),
    _scene("that failed", partial(_unanswered, charge_nano=0)),
    _scene("refused by the budget of its key", partial(_refused_by_budget, named=True)),
    _scene("refused by the organisation's budget", partial(_refused_by_budget, named=False)),
    _scene("refused by a budget that is gone",
           partial(_refused_by_budget, named=True, gone=True)),
    _scene("in which guards masked something", _guarded),
    _scene("in which guards masked something", partial(_guarded, place="developer"), "developer"),
    _scene("that a guard rejected", partial(_guarded, refused=True)),
    _scene("that a guard without a policy rejected", _refused_by_a_guard_that_went),
    _scene("whose count is doubted", _doubted, "operator"),
    _scene("whose hold is kept", partial(_doubted, held=True)),
    _scene("whose review has no reason", partial(_doubted, end="/review", held=True), "operator",
           posted={"settle_as": "amount", "amount": "-3", "reason": ""}),
    _scene("that was reviewed", _reviewed, "operator"),
    _scene("with the own key", _with_own_key),
    _scene("that a stored answer served", _from_cache),
    _scene("that the operator pays", _waived),
    _scene("recomputed with the same charge", partial(_recomputed, charge_nano=210_000), **_POST),
    _scene("recomputed with another charge", partial(_recomputed, charge_nano=190_000), **_POST),
    _scene("recomputed without a price",
           partial(_recomputed, charge_nano=190_000, rates={"out_text": 3}), **_POST),
    Scene("session that runs, of sub-agents and under limits", _session),
    Scene("session that was ended", partial(_session, ended=True), "custom reader"),
)  # fmt: skip
