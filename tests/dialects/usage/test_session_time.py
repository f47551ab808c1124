"""A price per minute charges each duration exactly."""

from fractions import Fraction

from hypothesis import given
from hypothesis import strategies as st

from billing.prices.meters import parse_rate
from billing.prices.pricing import CostLines, PriceVersion, price
from dialects.usage.session_time import session_minutes


@given(st.integers(0, 7_200), st.integers(0, 500_000))
def test_a_price_per_minute_is_exact_for_whole_seconds(seconds: int, micro_usd: int) -> None:
    usd = f"{micro_usd // 10**6}.{micro_usd % 10**6:06d}"
    version = PriceVersion.from_stored(
        {"meters": {"session_minutes": parse_rate("session_minutes", usd)}}
    )
    units = session_minutes(seconds * 1000)

    charge = price({"session_minutes": units}, version)

    exact = Fraction(micro_usd * 1000 * seconds, 60)
    assert isinstance(charge, CostLines)
    assert charge.total_nano == round(exact)


@given(st.integers(0, 86_400_000))
def test_a_duration_is_rounded_to_the_nearest_billionth_of_a_minute(ms: int) -> None:
    assert session_minutes(ms) == round(Fraction(ms * 10**9, 60_000))
