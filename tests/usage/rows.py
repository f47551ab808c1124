"""Plain builders of what happened: attempts, holds, postings and records that belong together."""

import datetime as dt
import os
from typing import Any
from uuid import UUID

from django.db import transaction
from django.db.models import F

from accounts.models import Key
from billing.balances import balances
from billing.holds.resolve_holds import HoldResolved, keep_holds, resolve_holds
from billing.ledger import ledger
from billing.models import Account, Hold, Price, PriceVersion
from lib.id_types import AttemptId, OrganisationId
from lib.ids import first_id_at, new_id
from usage.models import Attempt, UsageRecord

NOON = dt.datetime(2026, 11, 18, 12, 0, tzinfo=dt.UTC)
CHANNEL = UUID(int=7)
RATES = {"meters": {"in_text": 150_000_000, "in_cache_read": 75_000_000, "out_text": 600_000_000}}
METERS = {"in_text": 1000, "out_text": 100}


def id_at(at: dt.datetime) -> UUID:
    """A fresh id as it would have been made then."""
    random = int.from_bytes(os.urandom(9), "big")
    return UUID(int=first_id_at(at).int | 0x7 << 76 | 0x2 << 62 | random & ((1 << 62) - 1))


def credit(key: Key, amount_nano: int = 10**15) -> None:
    balances.add_opening_credit(key.organisation, amount_nano)


def price_version(model: str = "gpt-5", rates: dict[str, Any] = RATES) -> PriceVersion:
    price, _ = Price.objects.get_or_create(model=model)
    return PriceVersion.objects.create(
        price=price, valid_from=dt.datetime(2026, 1, 1, tzinfo=dt.UTC), rates=rates, source="test"
    )


def admit(key: Key, at: dt.datetime = NOON, **over: Any) -> Attempt:
    """An attempt whose hold is open: it runs."""
    hold_nano = over.pop("hold_nano", 10**9)
    id = over.pop("id", None) or id_at(at)
    attempt = Attempt(
        **{
            "organisation_id": key.organisation_id,
            "id": id,
            "request_id": id_at(at),
            "n": 1,
            "team_id": key.team_id,
            "key_id": key.id,
            "user_id": key.user_id,
            "model": "gpt-5",
            "channel_id": CHANNEL,
            "channel_name": "openai-east",
            "upstream_model": "gpt-5-2026",
            "dialect": "openai",
            "operation": "chat",
            "stream": True,
            "source": "api",
            "price_version_id": None,
            "hold_nano": hold_nano,
            "admitted_at": at,
            **over,
        }
    )
    attempt.save(force_insert=True)
    Hold.objects.create(
        id=id,
        organisation_id=key.organisation_id,
        amount_nano=hold_nano,
        opened_at=at,
        expires_at=at + dt.timedelta(hours=1),
        posted=False,
    )
    ledger.lock_wallet(key.organisation_id)
    for kind, nano in (("customer:available", -hold_nano), ("customer:held", hold_nano)):
        account = Account.objects.filter(organisation=key.organisation_id, kind=kind)
        account.update(balance_nano=F("balance_nano") + nano)
    return attempt


def end(attempt: Attempt, charge_nano: int = 210_000, **over: Any) -> UsageRecord:
    """The attempt's record; its hold is settled by the charge, ends in another `state`, or is kept.
    It cost us what it was charged at, unless `cost_nano` is another."""
    kept, state = over.get("basis") == "held", over.pop("state", "settled")
    if kept:
        ledger.execute(keep_holds([attempt.id]))
    else:
        cost_nano = over.get("cost_nano")
        ledger.lock_wallet(attempt.organisation_id)
        resolved = HoldResolved(
            attempt_id=AttemptId(attempt.id),
            posting_id=new_id(),
            organisation_id=OrganisationId(attempt.organisation_id),
            state=state,
            charge_nano=charge_nano,
            cost_nano=min(charge_nano, attempt.hold_nano) if cost_nano is None else cost_nano,
        )
        ledger.execute(resolve_holds([resolved]))
    Hold.objects.filter(id=attempt.id).update(
        resolved_at=attempt.admitted_at + dt.timedelta(seconds=2)
    )
    kept_fields = {field.attname for field in UsageRecord._meta.concrete_fields}
    copied = {
        field.attname: getattr(attempt, field.attname)
        for field in Attempt._meta.concrete_fields
        if field.attname in kept_fields
    }
    ended = {
        "final": True,
        "ended_at": attempt.admitted_at + dt.timedelta(seconds=2),
        "status": 200,
        "finish_reason": "stop",
        "meters": METERS,
        "charge_nano": charge_nano,
        "basis": "measured",
        "ttft_ms": 400,
        "total_ms": 2000,
        "saved_nano": 0,
    }
    record = UsageRecord(**{**copied, **ended, **over})
    record.save(force_insert=True)
    return record


def happen(
    key: Key, at: dt.datetime = NOON, charge_nano: int = 210_000, **over: Any
) -> UsageRecord:
    """One request of one attempt, from admission to its record: at once, or what resolves expired
    holds beside it would take a past one for abandoned."""
    attempted = {
        name: over.pop(name)
        for name in (
            "id",
            "request_id",
            "n",
            "user_id",
            "model",
            "channel_id",
            "channel_name",
            "upstream_model",
            "stream",
            "price_version_id",
            "hold_nano",
            "source",
            "channel_key",
            "channel_key_id",
            "own_fee",
            "prompt",
            "prompt_version",
        )
        if name in over
    }
    with transaction.atomic():
        return end(admit(key, at, **attempted), charge_nano, **over)


def refuse(key: Key, at: dt.datetime = NOON, **over: Any) -> UsageRecord:
    """A request that was refused before any attempt."""
    id = id_at(at)
    record = UsageRecord(
        **{
            "organisation_id": key.organisation_id,
            "id": id,
            "request_id": id,
            "final": True,
            "team_id": key.team_id,
            "key_id": key.id,
            "user_id": key.user_id,
            "model": "gpt-5",
            "dialect": "openai",
            "operation": "chat",
            "stream": False,
            "source": "api",
            "admitted_at": at,
            "ended_at": at,
            "status": 402,
            "kind": "insufficient_balance",
            "message": "The balance is too small.",
            "basis": "none",
            "total_ms": 3,
            "saved_nano": 0,
            **over,
        }
    )
    record.save(force_insert=True)
    return record
