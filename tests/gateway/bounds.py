"""Bounds of the gateway, at the bound and one beyond it: what operators enter, and what providers
answer."""

import datetime as dt
import json
from contextlib import nullcontext
from types import SimpleNamespace
from typing import Any, Final
from unittest.mock import Mock, patch
from urllib.parse import urlsplit
from uuid import UUID

from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from django.core.exceptions import ValidationError
from django.core.files.uploadedfile import SimpleUploadedFile

from accounts.access.actors import SYSTEM
from accounts.models import AuditEvent
from billing.currency.money import format_scaled
from billing.models import Plan
from billing.prices.conditions import PriceKey
from gateway.channels.channel_tests.staged_calls import CallFailed
from gateway.channels.overrides import overrides
from gateway.channels.overrides.rules import is_header_value
from gateway.health.metric_labels import OTHER, Total, limit_names
from gateway.listed_models.model_fields import ModelsField
from gateway.model_entries.entries import write_entry
from gateway.model_entries.facts import read_facts
from gateway.prices.forms import PriceEdit
from gateway.prices.upstream_prices import upstream_prices
from gateway.provider_accounts.balances import calls
from gateway.provider_accounts.balances.rules import Balance, read_balance
from gateway.provider_accounts.reconciliation import usage_reconciliation
from gateway.provider_accounts.reconciliation.bill_forms import BillForm
from gateway.providers import PROVIDERS
from gateway.providers.cloud_credentials import google
from gateway.providers.cloud_credentials.credentials import (
    Credentials,
    CredentialsFailed,
    TokenSigner,
    credentials_for,
)
from gateway.providers.signing import secret_words
from gateway.routing.model_rules import save_rule
from gateway.routing.shadow_rules import build_shadow_rule
from gateway.status.rules import ServedBy, state_of
from gateway.status.usage_marks import marks_of
from lib import clock
from tests.support.bounds import Bound, agreed
from tests.support.cast import Cast, actor
from tests.usage.rows import id_at
from usage.buckets.buckets import Span
from usage.filters.filters import EVERYTHING

REFUSALS: Final = (ValidationError, CallFailed, CredentialsFailed)


def nested(depth: int) -> list[Any]:
    value: list[Any] = []
    for _ in range(depth - 1):
        value = [value]
    return value


def override(**fields: Any) -> None:
    overrides.check_overrides(PROVIDERS["openai"], fields)


def has_labels(models: int) -> bool:
    """Whether each of so many models has a label of its own."""
    totals = [Total("attempts", (f"m{n}",), 1, ()) for n in range(models)]
    return all(total.labels[0] != OTHER for total in limit_names(totals))


def show_to_plans(count: int) -> None:
    names = [f"plan {n}" for n in range(count)]
    Plan.objects.bulk_create(Plan(name=name) for name in names)
    write_entry(SYSTEM, "m-1", plans=names)


def reads_limit(tokens: int) -> bool:
    """Whether a list of models states a limit of so many tokens."""
    listed = {"m-1": {"mode": "chat", "max_input_tokens": tokens}}
    return bool(read_facts(json.dumps(listed)).facts)


def adds_row(what: str, count: int) -> bool:
    """Whether the price editor has so many rows after one more was asked for."""
    edit = PriceEdit(PriceKey("m-1"), [])
    rows: list[Any] = edit.condition_rows if what == "condition" else edit.rows
    rows += [None] * (count - 1)
    edit.add_row(what)
    return len(rows) == count


class LongBody:
    """What a body is after its only piece, of `size` bytes."""

    def __init__(self, size: int) -> None:
        self._size = size

    def __radd__(self, before: bytearray) -> "LongBody":
        return self

    def __len__(self) -> int:
        return self._size

    def __bytes__(self) -> bytes:
        return b""


def answer_of(piece: object) -> Any:
    return SimpleNamespace(status_code=200, iter_raw=lambda: iter([piece]))


def read_price_list(size: int) -> None:
    reading: Any = SimpleNamespace(_call=SimpleNamespace(late=False))
    upstream_prices._Reading._read_body(reading, answer_of(LongBody(size)))


def names_channel(length: int) -> bool:
    """Whether a source of so many characters has the whole name of its channel."""
    name = "c" * (length - len("upstream "))
    channel: Any = SimpleNamespace(name=name, id=UUID(int=1))
    return upstream_prices.source_of(channel) == f"upstream {name}"


def ask_balance(size: int) -> None:
    call: Any = SimpleNamespace(
        send=lambda *_: nullcontext(answer_of(b" " * size)), reach=lambda _: None, late=False
    )
    calls._body(call, urlsplit("https://provider.example/v1/models"), "/balance", {})


def read_credits(total: str, usage: str) -> Balance:
    body = f'{{"data": {{"total_credits": {total}, "total_usage": {usage}}}}}'
    return read_balance("openrouter", [body.encode()], "")


def read_currencies(count: int) -> Balance:
    infos = [{"currency": f"A{chr(65 + n)}A", "total_balance": "1"} for n in range(count)]
    return read_balance("deepseek", [json.dumps({"balance_infos": infos}).encode()], "")


def takes_bill(size: int) -> bool:
    sent = SimpleUploadedFile("bill.csv", b"day")
    sent.size = size
    return "file" not in BillForm([], {}, {"file": sent}).errors


def lend(seconds: int) -> Credentials:
    return credentials_for(TokenSigner("token"), seconds, 0, "the source")


def load_key(bits: int) -> None:
    key = Mock(spec=RSAPrivateKey, key_size=bits)
    with patch.object(google, "load_pem_private_key", return_value=key):
        google._load(f"a key of {bits} bits")


def is_down(failed: int) -> bool:
    """Whether as many failures, and no answer, let a model be down although its test passed."""
    return state_of(failed, failed, [ServedBy("good", "passed")]) == "down"


def marks_channels(people: Cast, count: int) -> bool:
    """Whether each of so many switches of a channel has a mark."""
    now = clock.now()
    AuditEvent.objects.bulk_create(
        AuditEvent(
            id=id_at(now - dt.timedelta(hours=1)),
            action="channel.changed",
            object_type="channel",
            object_id="1",
            detail={"name": "east", "before": {"enabled": True}, "after": {"enabled": False}},
        )
        for _ in range(count)
    )
    span = Span(now - dt.timedelta(days=1), now + dt.timedelta(days=1))
    marks = marks_of(actor(people.dora, people.acme), span, EVERYTHING)
    return len([mark for mark in marks if mark.kind == "channel"]) == count


BOUNDS: Final[dict[str, Bound]] = {
    "gateway/channels/overrides/overrides.py:_check_value:_DEPTH_MAX": Bound(
        lambda _, n: override(parameters={"openai": {"set": {"seed": nested(n)}}}), None, 20
    ),
    "gateway/channels/overrides/overrides.py:_depth:_DEPTH_MAX": Bound(
        lambda _, n: overrides._depth(nested(n)) == n, None, 21
    ),
    "gateway/channels/overrides/overrides.py:check_overrides:PROMPT_CHARACTERS_MAX": Bound(
        lambda _, n: override(system_prompt={"text": "t" * n}), 1, 20_000
    ),
    "gateway/channels/overrides/rules.py:is_header_value:HEADER_CHARACTERS_MAX": Bound(
        lambda _, n: is_header_value("v" * n), 1, 1024
    ),
    "gateway/health/metric_labels.py:limit_names:LABELS_MAX": Bound(
        lambda _, n: has_labels(n), None, 100
    ),
    "gateway/listed_models/model_fields.py:clean:_PATTERNS_MAX": Bound(
        lambda _, n: ModelsField().clean(" ".join(f"m{one}" for one in range(n))), None, 100
    ),
    "gateway/listed_models/model_fields.py:clean:_PATTERN_LENGTH": Bound(
        lambda _, n: ModelsField().clean("m" * n), None, 200
    ),
    "gateway/model_entries/entries.py:_check:PLANS_MAX": Bound(
        lambda _, n: show_to_plans(n), None, 100
    ),
    "gateway/model_entries/entries.py:_check:TOKENS_MAX": Bound(
        lambda _, n: write_entry(SYSTEM, "m-1", context_max=n), 1, 100_000_000
    ),
    "gateway/model_entries/facts.py:_tokens:TOKENS_MAX": Bound(
        lambda _, n: reads_limit(n), 1, 100_000_000
    ),
    "gateway/prices/forms.py:add_row:_ROWS_MAX": Bound(
        lambda _, n: agreed(lambda: adds_row("meter", n), lambda: adds_row("condition", n)),
        None,
        100,
    ),
    "gateway/prices/upstream_prices/upstream_prices.py:_read_body:_BODY_BYTES_MAX": Bound(
        lambda _, n: read_price_list(n), None, 16_777_216
    ),
    "gateway/prices/upstream_prices/upstream_prices.py:source_of:_SOURCE_MAX": Bound(
        lambda _, n: names_channel(n), None, 60
    ),
    "gateway/provider_accounts/balances/calls.py:_body:_BODY_BYTES_MAX": Bound(
        lambda _, n: ask_balance(n), None, 65_536
    ),
    "gateway/provider_accounts/balances/rules.py:_amount:INT64_MAX": Bound(
        lambda _, n: read_credits(format_scaled(n, 9), "0"), -(2**63), 2**63 - 1
    ),
    "gateway/provider_accounts/balances/rules.py:_deepseek:AMOUNTS_MAX": Bound(
        lambda _, n: read_currencies(n), 1, 10
    ),
    "gateway/provider_accounts/balances/rules.py:_nano:_DIGITS_MAX": Bound(
        lambda _, n: agreed(
            lambda: read_credits(f"0.{'1' * n}", "0"), lambda: read_credits(f"1e{n}", f"1e{n}")
        ),
        None,
        60,
    ),
    "gateway/provider_accounts/reconciliation/bill_forms.py:clean_file:BILL_BYTES_MAX": Bound(
        lambda _, n: takes_bill(n), None, 33_554_432
    ),
    "gateway/provider_accounts/reconciliation/usage_reconciliation.py:_whole:_BYTES_MAX": Bound(
        lambda _, n: usage_reconciliation._whole(answer_of(b" " * n)) is not None, None, 65_536
    ),
    "gateway/providers/cloud_credentials/credentials.py:credentials_for:_LIFETIME_S_MAX": Bound(
        lambda _, n: lend(n), None, 999_999_999
    ),
    "gateway/providers/cloud_credentials/credentials.py:credentials_for:_LIFETIME_S_MIN": Bound(
        lambda _, n: lend(n), 30, None
    ),
    "gateway/providers/cloud_credentials/google.py:_load:_BITS_MIN": Bound(
        lambda _, n: load_key(n), 2048, None
    ),
    "gateway/providers/signing.py:secret_words:_WORD_MAX": Bound(
        lambda _, n: not secret_words({"authorization": "w" * n}), None, 24
    ),
    "gateway/routing/model_rules.py:_check:FALLBACKS_MAX": Bound(
        lambda _, n: save_rule(SYSTEM, "m", fallbacks=[f"m-{one}" for one in range(n)]), None, 8
    ),
    "gateway/routing/shadow_rules.py:build_shadow_rule:NAME_MAX": Bound(
        lambda _, n: build_shadow_rule("c" * n, 1, "5.00"), 1, 200
    ),
    "gateway/status/rules.py:state_of:_SAMPLE_MIN": Bound(lambda _, n: is_down(n), 5, None),
    "gateway/status/usage_marks.py:_channels:MARKS_MAX": Bound(marks_channels, None, 200),
}
# None has a test of its own that goes up to it and one beyond.
ELSEWHERE: Final[dict[str, str]] = {}
UNSEEN: Final[dict[str, str]] = {}
