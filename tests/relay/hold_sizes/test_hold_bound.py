import pytest
from hypothesis import given
from hypothesis import strategies as st

from billing.prices.meters import Bound
from billing.prices.pricing import CostLines, PriceVersion, price_bound
from relay.hold_sizes.rules import (
    bounds,
    media_tokens_max,
    shrink_cap,
    text_tokens_max,
    worst_quantities,
)


def version(**rates: int) -> PriceVersion:
    return PriceVersion.from_stored({"meters": rates})


def test_input_bound() -> None:
    media = {"image": 2, "file": 1}
    assert text_tokens_max(10) == 10
    assert media_tokens_max(media, {"image": 100}) == 200
    assert media_tokens_max({}, {"image": 100}) == 0


def test_every_bound_uses_its_dearest_meter() -> None:
    dear = version(in_text=1, in_cache_write_1h=2, in_audio=9, out_text=3, out_audio=50)
    assert worst_quantities(dear, text_tokens=10, media_tokens=0, output_tokens=5) == {
        "in_cache_write_1h": 10,
        "out_text": 5,
    }
    assert worst_quantities(
        dear, text_tokens=10, media_tokens=4, output_tokens=5, audio_output=True
    ) == {"in_cache_write_1h": 10, "in_audio": 4, "out_audio": 5}
    plain = version(in_text=1, out_text=3)
    assert worst_quantities(plain, text_tokens=10, media_tokens=4, output_tokens=5) == {
        "in_text": 14,
        "out_text": 5,
    }


def test_a_meter_that_is_dear_only_in_a_tier_is_found() -> None:
    tiered = PriceVersion.from_stored(
        {
            "meters": {"in_text": 5, "out_text": 1},
            "tiers": [{"input_over": 10, "meters": {"in_cache_write_5m": 9}}],
        }
    )
    assert worst_quantities(tiered, text_tokens=20, media_tokens=0, output_tokens=0) == {
        "in_cache_write_5m": 20
    }


@pytest.mark.parametrize(
    ("available", "most", "cap"),
    [(1_000, 500, 400), (1_000, 300, 300), (232, 500, 16), (231, 500, None), (220, 10, 10)],
)
def test_cap_shrinks_to_the_balance(available: int, most: int, cap: int | None) -> None:
    got = shrink_cap(available, most, lambda cap: 200 + 2 * cap)
    assert got == cap


@given(st.integers(0, 10**9), st.integers(1, 10**6), st.integers(0, 10**9), st.integers(0, 10**9))
def test_shrunk_cap_is_the_largest_affordable(
    available: int, most: int, rate_in: int, rate_out: int
) -> None:
    rates = version(in_text=rate_in, out_text=rate_out)

    def quantities_of(cap: int) -> dict[str, int]:
        return worst_quantities(rates, text_tokens=100, media_tokens=0, output_tokens=cap)

    def cost(quantities: object) -> int:
        got = price_bound(quantities, rates)  # type: ignore[arg-type]
        assert isinstance(got, CostLines)
        return got.total_nano

    cap = shrink_cap(available, most, lambda cap: cost(quantities_of(cap)))
    if cap is None:
        assert cost(quantities_of(min(16, most))) > available
    else:
        assert cost(quantities_of(cap)) <= available
        assert cap == most or cost(quantities_of(cap + 1)) > available


def test_searches_and_images_are_held_where_priced() -> None:
    """Size of a hold: per-item caps for searches, and pictures in place of text."""
    dear = PriceVersion.from_stored(
        {"meters": {"in_text": 1, "out_text": 3, "out_image": 30, "searches": 5,
                    "searches[high]": 8}}
    )  # fmt: skip
    assert worst_quantities(dear, text_tokens=2, media_tokens=0, output_tokens=4, searches=3) == {
        "in_text": 2, "out_image": 4, "searches[high]": 3,
    }  # fmt: skip
    plain = version(in_text=1, out_text=3)
    assert worst_quantities(plain, text_tokens=2, media_tokens=0, output_tokens=4, searches=3) == {
        "in_text": 2, "out_text": 4,
    }  # fmt: skip


def test_included_units_cover_every_billable_meter() -> None:
    """Each bound with all of its meters; the request itself once."""
    dear = version(in_text=1, out_text=3, out_image=30, searches=5, requests=7)
    texts = ("in_text", "in_cache_read", "in_cache_write_5m", "in_cache_write_30m",
             "in_cache_write_1h", "in_cache_write_12h")  # fmt: skip
    media = ("in_audio", "in_audio_cached", "in_image", "in_image_cached")
    assert bounds(dear, text_tokens=2, media_tokens=6, output_tokens=4, searches=3) == [
        Bound(texts, 2),
        Bound(texts + media, 6),
        Bound(("out_text", "out_reasoning", "out_image"), 4),
        Bound(("searches",), 3),
        Bound(("requests",), 1),
    ]
    # What has no rate, or is not asked for, is not billed.
    plain = version(in_text=1, out_text=3)
    assert bounds(
        plain, text_tokens=2, media_tokens=0, output_tokens=4, audio_output=True, searches=3
    ) == [Bound(texts, 2), Bound(("out_text", "out_reasoning", "out_audio"), 4)]
