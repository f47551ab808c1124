"""What providers' answers say of a balance, and what follows: nothing is guessed."""

import datetime as dt
import json
from decimal import Decimal
from fractions import Fraction
from typing import Any, Final

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from billing.currency.money import INT64_MAX, INT64_MIN
from gateway.provider_accounts.balances.rules import (
    PATHS,
    STALE,
    Amount,
    Balance,
    BalanceRefused,
    BalanceUnknown,
    Reading,
    Verdict,
    currency_of,
    decide_rest,
    failed_reading,
    is_below,
    known_reading,
    read_balance,
)

NOW: Final = dt.datetime(2026, 11, 26, 12, tzinfo=dt.UTC)
G: Final = 10**9


def answer(source: str, *documents: Any, host: str = "api.moonshot.cn") -> Balance:
    return read_balance(source, [json.dumps(one).encode() for one in documents], host)


def of(currency: str, nano: int) -> Balance:
    return Balance((Amount(currency, nano),))


CREDITS: Final = {"data": {"total_credits": 100.5, "total_usage": 25.75}}
DEEPSEEK: Final = {
    "is_available": True,
    "balance_infos": [
        {"currency": "CNY", "total_balance": "110.00", "granted_balance": "10.00",
         "topped_up_balance": "100.00"},
        {"currency": "USD", "total_balance": "0.000000001"},
    ],
}  # fmt: skip
MOONSHOT: Final = {
    "code": 0,
    "data": {"available_balance": 49.58894, "voucher_balance": 46.58893, "cash_balance": 3.00001},
    "scode": "0x0",
    "status": True,
}
SILICONFLOW: Final = {
    "code": 20000, "message": "OK", "status": True,
    "data": {"balance": "0.88", "status": "normal", "chargeBalance": "88", "totalBalance": "88.88"},
}  # fmt: skip
LIMIT: Final = {"object": "billing_subscription", "hard_limit_usd": 12.5, "access_until": 0}
USAGE: Final = {"object": "list", "total_usage": 250}


@pytest.mark.parametrize(
    ("source", "documents", "balance"),
    [
        ("openrouter", [CREDITS], of("USD", 74_750_000_000)),
        ("openrouter", [{"data": {"total_credits": 5, "total_usage": 5.25}}], of("USD", -G // 4)),
        ("openrouter_key", [{"data": {"limit_remaining": 74.5}}], of("USD", 149 * G // 2)),
        ("openrouter_key", [{"data": {"limit_remaining": None}}], Balance(unlimited=True)),
        ("deepseek", [DEEPSEEK], Balance((Amount("CNY", 110 * G), Amount("USD", 1)))),
        ("moonshot", [MOONSHOT], of("CNY", 49_588_940_000)),
        ("siliconflow", [SILICONFLOW], of("CNY", 88_880_000_000)),
        ("new_api", [LIMIT, USAGE], of("", 10 * G)),
        ("new_api", [{"hard_limit_usd": 100_000_000}, USAGE], Balance(unlimited=True)),
        ("one_api", [LIMIT], of("", 12_500_000_000)),
        ("one_api", [{"hard_limit_usd": 100_000_000.0}], Balance(unlimited=True)),
    ],
)  # fmt: skip
def test_each_provider_s_answer(source: str, documents: list[Any], balance: Balance) -> None:
    assert answer(source, *documents) == balance


def test_a_part_of_a_nano_is_never_rounded_in_our_favour() -> None:
    body = b'{"data": {"total_credits": 1.0000000009, "total_usage": 0.0000000001}}'
    assert read_balance("openrouter", [body], "") == of("USD", G - 1)
    assert read_balance("one_api", [b'{"hard_limit_usd": -0.0000000001}'], "") == of("", -1)
    assert read_balance("one_api", [b'{"hard_limit_usd": 1.2e-05}'], "") == of("", 12_000)


@pytest.mark.parametrize(
    ("host", "currency"),
    [("api.moonshot.cn", "CNY"), ("api.moonshot.ai", "USD"), ("api.siliconflow.com", "USD"),
     ("127.0.0.1", ""), ("", "")],
)  # fmt: skip
def test_the_currency_of_a_host(host: str, currency: str) -> None:
    assert currency_of(host) == currency


@pytest.mark.parametrize(
    ("source", "body"),
    [
        ("openrouter", b""),
        ("openrouter", b"<html>"),
        ("openrouter", b"[]"),
        ("openrouter", b"\xff"),
        ("openrouter", b"[" * 100_000),
        ("openrouter", b'{"data": null}'),
        ("openrouter", b'{"data": {"total_credits": 5}}'),
        ("openrouter", b'{"data": {"total_credits": "5", "total_usage": 1}}'),
        ("openrouter", b'{"data": {"total_credits": true, "total_usage": 1}}'),
        ("openrouter", b'{"data": {"total_credits": NaN, "total_usage": 1}}'),
        ("openrouter", b'{"data": {"total_credits": -Infinity, "total_usage": 1}}'),
        ("openrouter", b'{"data": {"total_credits": 1e99999999999999999999, "total_usage": 1}}'),
        ("openrouter", b'{"data": {"total_credits": 1e400, "total_usage": 1}}'),
        ("openrouter", b'{"data": {"total_credits": 9223372037, "total_usage": 0}}'),
        ("openrouter", b'{"data": {"total_credits": 1, "total_credits": 2, "total_usage": 0}}'),
        ("openrouter", b'{"data": {"total_credits": 0.%s, "total_usage": 0}}' % (b"1" * 61)),
        ("openrouter_key", b'{"data": {}}'),
        ("openrouter_key", b'{"data": {"limit_remaining": "5"}}'),
        ("deepseek", b'{"is_available": false, "balance_infos": []}'),
        ("deepseek", b'{"balance_infos": [{"currency": "CNY", "total_balance": 5}]}'),
        ("deepseek", b'{"balance_infos": [{"currency": "CNY", "total_balance": "NaN"}]}'),
        ("deepseek", b'{"balance_infos": [{"currency": "CNY", "total_balance": "1e3"}]}'),
        ("deepseek", b'{"balance_infos": [{"currency": "<b>", "total_balance": "5"}]}'),
        ("deepseek", b'{"balance_infos": [{"total_balance": "5"}]}'),
        ("deepseek", b'{"balance_infos": ["5"]}'),
        ("deepseek", b'{"balance_infos": [{"currency": "CNY", "total_balance": "1"},'
                     b' {"currency": "CNY", "total_balance": "2"}]}'),
        ("moonshot", b'{"data": {"available_balance": "49.5"}}'),
        ("siliconflow", b'{"data": {"totalBalance": 88.88}}'),
        ("one_api", b'{"soft_limit_usd": 5}'),
    ],
)  # fmt: skip
def test_unreadable_balance_is_unknown_and_never_zero(source: str, body: bytes) -> None:
    with pytest.raises(BalanceUnknown) as unknown:
        read_balance(source, [body], "api.moonshot.cn")
    assert not isinstance(unknown.value, BalanceRefused)
    assert str(unknown.value)


@pytest.mark.parametrize(
    ("source", "document", "message"),
    [
        ("one_api", {"error": {"message": "无效的令牌", "type": "upstream_error"}}, "无效的令牌"),
        ("new_api", {"success": False, "message": "no such token"}, "no such token"),
        ("moonshot", {"code": 1, "status": False, "data": MOONSHOT["data"]}, "reports an error"),
        ("siliconflow", {"code": 50, "status": False, "message": "busy", "data": {}}, "busy"),
        ("openrouter", {"error": "denied", **CREDITS}, "denied"),
    ],
)
def test_an_error_with_status_200_is_an_error(
    source: str, document: dict[str, Any], message: str
) -> None:
    with pytest.raises(BalanceRefused, match=message):
        answer(source, document, document)


def test_site_usage_may_fail_where_its_limit_is_none() -> None:
    with pytest.raises(BalanceRefused, match="gone"):
        answer("new_api", LIMIT, {"error": {"message": "gone"}})


JSON: Final = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3)
    | st.dictionaries(
        st.sampled_from(
            ["data", "error", "status", "balance_infos", "currency", "total_balance",
             "total_credits", "total_usage", "limit_remaining", "available_balance",
             "totalBalance", "hard_limit_usd"]
        ),
        inner,
        max_size=4,
    ),
    max_leaves=8,
)  # fmt: skip


@given(st.sampled_from(sorted(PATHS)), JSON | st.binary(max_size=40))
def test_any_answer_is_a_64_bit_balance_or_unknown(source: str, drawn: Any) -> None:
    body = drawn if isinstance(drawn, bytes) else json.dumps(drawn).encode()
    try:
        balance = read_balance(source, [body] * len(PATHS[source]), "api.deepseek.com")
    except BalanceUnknown:
        return
    assert balance.unlimited == (not balance.amounts)
    assert all(INT64_MIN <= nano <= INT64_MAX for _, nano in balance.amounts)


@given(st.decimals(min_value=-9_000_000_000, max_value=9_000_000_000, places=12))
def test_a_number_is_exact_down_to_the_nano(number: Decimal) -> None:
    body = b'{"hard_limit_usd": %s}' % format(number, "f").encode()
    ((_, nano),) = read_balance("one_api", [body], "").amounts
    assert 0 <= Fraction(number) * G - nano < 1


# What follows ------------------------------------------------------------------------------------


def reading(*nano: int, ago: dt.timedelta = dt.timedelta(0), fault: str = "") -> Reading:
    told = known_reading(Balance(tuple(Amount("CNY", n) for n in nano)), NOW - ago, None)
    return failed_reading(told, NOW, fault, "") if fault else told


def test_balance_is_low_only_if_every_currency_is() -> None:
    two = Balance((Amount("CNY", 0), Amount("USD", 5)))
    assert is_below(two, 6)
    assert not is_below(two, 5)
    assert not is_below(Balance(unlimited=True), 5)


def test_balance_below_the_operators_amount_is_low() -> None:
    assert known_reading(of("USD", 4), NOW, 5).low
    assert not known_reading(of("USD", 5), NOW, 5).low
    assert not known_reading(of("USD", 4), NOW, None).low


def test_a_failed_question_keeps_the_last_balance_with_its_time() -> None:
    before = known_reading(of("USD", 4), NOW - dt.timedelta(minutes=10), 5)
    after = failed_reading(before, NOW, "timeout", "slow")
    assert (after.balance, after.read_at) == (before.balance, before.read_at)
    assert (after.checked_at, after.fault, after.low) == (NOW, "timeout", True)
    assert failed_reading(None, NOW, "key", "").balance is None


STILL: Final = dt.timedelta(minutes=50)
TOO_LONG: Final = STALE + dt.timedelta(seconds=1)


@pytest.mark.parametrize(
    ("readings", "verdict"),
    [
        ([], "serve"),
        ([None], "serve"),
        ([reading(4)], "rest"),
        ([reading(5)], "serve"),
        ([reading(-1)], "rest"),
        ([reading(4), reading(3)], "rest"),
        ([reading(4), reading(5)], "serve"),
        ([reading(4), None], "serve"),
        # Unknown now: nothing changes for an hour, and then it serves.
        ([reading(4, ago=STILL, fault="timeout")], "keep"),
        ([reading(5, ago=STILL, fault="timeout")], "keep"),
        ([reading(4), reading(4, ago=STILL, fault="timeout")], "keep"),
        ([reading(5), reading(4, ago=STILL, fault="timeout")], "serve"),
        ([reading(4, ago=TOO_LONG, fault="timeout")], "serve"),
        ([reading(4, ago=TOO_LONG)], "serve"),
        ([reading(4, ago=STALE)], "rest"),
        ([reading(4, ago=STALE + dt.timedelta(microseconds=1))], "serve"),
    ],
)
def test_channel_rests_only_on_a_fresh_reading(
    readings: list[Reading | None], verdict: Verdict
) -> None:
    assert decide_rest(readings, 5, NOW) == verdict
    assert decide_rest(readings, None, NOW) == "serve"


def test_a_reading_is_stored_and_read_again() -> None:
    told = reading(4, ago=STILL, fault="key")
    stored = json.loads(json.dumps(msgspec.to_builtins(told)))
    assert msgspec.convert(stored, Reading) == told
