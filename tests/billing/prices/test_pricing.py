"""The exact charges of the billing cases, and the arithmetic against exact fractions."""

import random
from collections.abc import Mapping
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from billing.currency.money import INT64_MAX
from billing.prices.meters import (
    FALLBACKS,
    INPUT_TOKEN_METERS,
    METERS,
    PLAIN_OF,
    MeterUnknown,
    parse_rate,
)
from billing.prices.pricing import (
    PPM,
    CostLine,
    CostLines,
    PriceInvalid,
    PriceVersion,
    Unpriced,
    price,
    price_bound,
    price_parts,
    saved_by_cache,
    total_of,
    total_of_parts,
)


def rates(**meters: str) -> dict[str, int]:
    return {name: parse_rate(name, text) for name, text in meters.items()}


def version(*tiers: tuple[int, str, dict[str, int]], **meters: str) -> PriceVersion:
    return stored_version(rates(**meters), *tiers)


def stored_version(meters: dict[str, int], *tiers: tuple[int, str, dict[str, int]]) -> PriceVersion:
    return PriceVersion.from_stored(
        {
            "meters": meters,
            "tiers": [
                {"input_over": over, "mode": mode, "meters": tier} for over, mode, tier in tiers
            ],
        }
    )


CACHED = version(in_text="2.50", in_cache_read="1.25", out_text="10")
CLAUDE = version(
    in_text="3",
    in_cache_read="0.30",
    in_cache_write_5m="3.75",
    in_cache_write_1h="6",
    out_text="15",
)
AUDIO = version(in_text="2.50", out_text="10", in_audio="40", out_audio="80")
GEMINI = version(in_text="1.25", in_cache_read="0.31", out_text="10")
DEEPSEEK = version(in_text="0.28", in_cache_read="0.028", out_text="0.42")
LONG = version(
    (200_000, "whole", rates(in_text="2.50", out_text="15")), in_text="1.25", out_text="10"
)
LONG_CACHED = version(
    (200_000, "whole", rates(in_text="2.50", in_cache_read="0.25", out_text="15")),
    in_text="1.25",
    in_cache_read="0.125",
    out_text="10",
)
MARGINAL = version((200_000, "marginal", rates(in_text="2.50")), in_text="1.25")
TINY = version(in_text="0.0375", out_text="0.0375")
FREE = version(in_text="0", out_text="0")

CASES: list[tuple[str, PriceVersion, dict[str, int], int, int]] = [
    ("1 cached", CACHED, {"in_text": 600, "in_cache_read": 400, "out_text": 500}, PPM, 7_000_000),
    (
        "2 Claude caches",
        CLAUDE,
        {
            "in_text": 1000,
            "in_cache_read": 2000,
            "in_cache_write_5m": 1000,
            "in_cache_write_1h": 500,
            "out_text": 300,
        },
        PPM,
        14_850_000,
    ),
    (
        "3 audio",
        AUDIO,
        {"in_text": 100, "in_audio": 200, "out_text": 50, "out_audio": 100},
        PPM,
        16_750_000,
    ),
    (
        "4 Gemini thoughts",
        GEMINI,
        {"in_text": 700, "in_cache_read": 300, "out_text": 200, "out_reasoning": 100},
        PPM,
        3_968_000,
    ),
    (
        "5 DeepSeek",
        DEEPSEEK,
        {"in_text": 400, "in_cache_read": 600, "out_text": 50, "out_reasoning": 150},
        PPM,
        212_800,
    ),
    ("6 per call by plan", version(requests="0.04"), {"requests": 1}, 1_500_000, 60_000_000),
    ("7 searches", version(searches="0.01"), {"searches": 2}, PPM, 20_000_000),
    ("8 tier above", LONG, {"in_text": 200_001, "out_text": 1000}, PPM, 515_002_500),
    ("9 tier on the edge", LONG, {"in_text": 200_000, "out_text": 1000}, PPM, 260_000_000),
    (
        "10 tier by cache",
        LONG_CACHED,
        {"in_text": 150_000, "in_cache_read": 60_000, "out_text": 0},
        PPM,
        390_000_000,
    ),
    ("11 marginal tier", MARGINAL, {"in_text": 200_001}, PPM, 250_002_500),
    ("12 half-even down from 37.5", TINY, {"in_text": 1}, PPM, 38),
    ("13 half-even to 112", TINY, {"in_text": 3}, PPM, 112),
    ("14 one rounding", TINY, {"in_text": 1, "out_text": 1}, PPM, 75),
    ("15 plan multiplier", version(in_text="2.50"), {"in_text": 333}, 1_070_000, 890_775),
    ("16 zero", CACHED, {"in_text": 0, "out_text": 0}, PPM, 0),
    ("17 free model", FREE, {"in_text": 1000, "out_text": 1000}, PPM, 0),
    (
        "20 images",
        stored_version({"images[1024,standard]": 40_000_000_000_000}),
        {"images[1024,standard]": 3},
        PPM,
        120_000_000,
    ),
    ("21 speech", version(characters="15"), {"characters": 1234}, PPM, 18_510_000),
    ("22 transcription", version(audio_ms="0.10"), {"audio_ms": 90_500}, PPM, 9_050_000),
    (
        "23 video",
        stored_version({"video_ms[720p]": parse_rate("video_ms[720p]", "100")}),
        {"video_ms[720p]": 8000},
        PPM,
        800_000_000,
    ),
    ("24 moderation", version(requests="0"), {"requests": 1}, PPM, 0),
]


@pytest.mark.parametrize(("name", "at", "used", "ppm", "charge"), CASES, ids=[c[0] for c in CASES])
def test_billing_case(
    name: str, at: PriceVersion, used: dict[str, int], ppm: int, charge: int
) -> None:
    cost = price(used, at.multiplied(ppm))

    assert isinstance(cost, CostLines)
    assert cost.total_nano == charge
    assert total_of(used, at.multiplied(ppm)) == charge
    exact = sum((line.amount_nano for line in cost.lines), Fraction())
    assert abs(exact - charge) <= Fraction(1, 2)


def test_case_18_model_without_rates_is_never_free() -> None:
    assert price({"in_text": 5, "out_text": 0}, stored_version({})) == Unpriced(
        "unpriced_meter", ("in_text",)
    )


@pytest.mark.parametrize("at", [CACHED, MARGINAL], ids=["plain", "marginal"])
def test_case_19_cached_above_input_is_quarantined(at: PriceVersion) -> None:
    used = {"out_text": 7, "in_text": -300, "in_cache_read": 400_000}

    assert price(used, at) == Unpriced("negative_quantity", ("in_text",))


def test_lines_name_meter_quantity_and_rate_and_leave_out_zeros() -> None:
    used = {"in_text": 3, "in_cache_read": 0, "out_reasoning": 2}
    cost = price(used, CACHED.multiplied(1_070_000))

    assert cost == CostLines(
        (
            CostLine("in_text", 3, 2_500_000_000, 1_070_000),
            CostLine("out_reasoning", 2, 10_000_000_000, 1_070_000),
        ),
        29_425,
    )
    assert cost.lines[0].amount_nano == Fraction(8025)


def test_every_unpriced_meter_is_named() -> None:
    used = {"in_text": 1, "in_audio": 2, "nonsense": 3, "out_audio": 0}

    assert price(used, CACHED) == Unpriced("unpriced_meter", ("in_audio", "nonsense"))


def test_a_variant_has_only_its_own_rate() -> None:
    at = stored_version({"searches[low]": 1})

    assert price({"searches[high]": 1}, at) == Unpriced("unpriced_meter", ("searches[high]",))


@pytest.mark.parametrize("at", [CACHED, LONG, MARGINAL], ids=["plain", "whole", "marginal"])
def test_a_charge_beyond_64_bits_is_no_charge(at: PriceVersion) -> None:
    assert price({"in_text": INT64_MAX}, at) == Unpriced(
        "out_of_range", ("in_text",) * (2 if at is MARGINAL else 1)
    )


def test_tier_keeps_unnamed_rates() -> None:
    at = version(
        (100, "whole", rates(in_text="2")),
        (200, "whole", rates(out_text="30")),
        in_text="1",
        in_cache_read="0.5",
        out_text="10",
    )

    assert price({"in_text": 101, "in_cache_read": 50, "out_reasoning": 1}, at) == CostLines(
        (
            CostLine("in_text", 101, 2_000_000_000, PPM),
            CostLine("in_cache_read", 50, 500_000_000, PPM),
            CostLine("out_reasoning", 1, 10_000_000_000, PPM),
        ),
        237_000,
    )
    above = price({"in_text": 201, "out_reasoning": 1}, at)
    assert isinstance(above, CostLines)
    assert above.total_nano == 201 * 2000 + 30_000


def test_marginal_tier_counts_cached_prefix_first_output_last() -> None:
    at = version(
        (100, "marginal", rates(in_text="2", out_text="30")),
        (200, "marginal", rates(in_text="4")),
        in_text="1",
        in_cache_read="0.5",
        out_text="10",
    )

    cost = price({"out_text": 5, "in_text": 190, "in_cache_read": 60, "in_audio": 0}, at)

    assert isinstance(cost, CostLines)
    assert [(line.meter, line.quantity, line.rate_nano_per_million) for line in cost.lines] == [
        ("in_cache_read", 60, 500_000_000),
        ("in_text", 40, 1_000_000_000),
        ("in_text", 100, 2_000_000_000),
        ("in_text", 50, 4_000_000_000),
        ("out_text", 5, 30_000_000_000),
    ]
    assert cost.total_nano == 30_000 + 40_000 + 200_000 + 200_000 + 150_000


def test_marginal_tier_prices_only_rated_meters() -> None:
    only_above = version((10, "marginal", rates(in_text="2")))

    assert price({"in_text": 11}, only_above) == Unpriced("unpriced_meter", ("in_text",))
    assert price({"in_text": 200_001, "requests": 1, "in_cache_read": 0}, MARGINAL) == Unpriced(
        "unpriced_meter", ("requests",)
    )


def test_bound_uses_the_highest_reachable_tier() -> None:
    at = version(
        (100, "whole", rates(in_text="5", out_text="8")),
        (1000, "whole", rates(in_text="9")),
        in_text="1",
        out_text="10",
    )

    assert price_bound({"in_text": 101, "out_text": 1}, at) == CostLines(
        (CostLine("in_text", 101, 5_000_000_000, PPM), CostLine("out_text", 1, 10**10, PPM)),
        515_000,
    )
    assert price_bound({"in_audio": 1}, at) == Unpriced("unpriced_meter", ("in_audio",))


@pytest.mark.parametrize(
    ("stored", "text"),
    [
        ({}, "meters: expected an object"),
        ({"meters": []}, "meters: expected an object"),
        ({"meters": {"in_text": "0.15"}}, "meters.in_text: expected an integer"),
        ({"meters": {"in_text": 1.5}}, "meters.in_text: expected an integer"),
        ({"meters": {"in_text": True}}, "meters.in_text: expected an integer"),
        ({"meters": {"in_text": -1}}, "meters.in_text: expected an integer"),
        ({"meters": {}, "tears": []}, "price: unknown field 'tears'"),
        ({"meters": {}, "tiers": {}}, "tiers: expected a list"),
        ({"meters": {}, "tiers": [1]}, "tiers: expected a list"),
        ({"meters": {}, "tiers": [{"meters": {}}]}, r"tiers\[0\].input_over: expected an integer"),
        ({"meters": {}, "tiers": [{"over": 1}]}, r"tiers\[0\]: unknown field 'over'"),
        (
            {"meters": {}, "tiers": [{"input_over": 1, "mode": "half", "meters": {}}]},
            r'tiers\[0\].mode: expected "whole" or "marginal"',
        ),
        (
            {"meters": {}, "tiers": [{"input_over": 2, "meters": {}}] * 2},
            r"tiers\[1\].input_over: expected more",
        ),
        (
            {
                "meters": {},
                "tiers": [
                    {"input_over": 1, "mode": "whole", "meters": {}},
                    {"input_over": 2, "mode": "marginal", "meters": {}},
                ],
            },
            "one mode",
        ),
    ],
)
def test_unusable_stored_form_is_rejected(stored: dict[str, Any], text: str) -> None:
    with pytest.raises(PriceInvalid, match=text):
        PriceVersion.from_stored(stored)


def test_unknown_meter_is_refused_by_name() -> None:
    with pytest.raises(MeterUnknown, match="'in_txt' is not a meter"):
        PriceVersion.from_stored({"meters": {"in_txt": 1}})


def exact_nano(
    used: dict[str, int],
    quantities: dict[str, int],
    tiers: list[tuple[int, dict[str, int]]],
    mode: str,
    ppm: int,
    counted_as: Mapping[str, str] | None = None,
) -> Fraction:
    """The charge token by token in plain words; shares nothing with pricing but the meters.
    `counted_as`: at the rate of which other meter."""

    def rate(meter: str, passed: int) -> int:
        meter = (counted_as or {}).get(meter, meter)
        laid = dict(quantities)
        for over, tier in tiers:
            if passed > over:
                laid |= tier
        while meter not in laid:
            meter = FALLBACKS[meter]
        return laid[meter]

    input_tokens = sum(used.get(meter, 0) for meter in INPUT_TOKEN_METERS)
    charge = Fraction(0)
    if mode == "whole" or input_tokens == 0:
        for meter, quantity in used.items():
            charge += Fraction(quantity * rate(meter, input_tokens), 10**6)
    else:
        position = 0
        for meter in INPUT_TOKEN_METERS:
            for _ in range(used.get(meter, 0)):
                position += 1
                charge += Fraction(rate(meter, position), 10**6)
        for meter, quantity in used.items():
            if meter not in INPUT_TOKEN_METERS:
                charge += Fraction(quantity * rate(meter, input_tokens), 10**6)
    return charge * Fraction(ppm, 10**6)


def test_price_is_exact_arithmetic_over_ten_thousand_rows() -> None:
    dice = random.Random(20260101)
    names = list(METERS)
    for _ in range(10_000):
        values = {name: dice.choice([0, 1, 37_500, dice.randrange(10**13)]) for name in names}
        used = {
            name: dice.choice([0, 1, 3, dice.randrange(2_000_000)])
            for name in dice.sample(names, dice.randrange(1, 7))
        }
        tiers: list[tuple[int, dict[str, int]]] = []
        if dice.random() < 0.4:
            over = sorted(dice.sample(range(2_000_000), 2))
            tiers = [(o, {n: dice.randrange(10**13) for n in names if n in used}) for o in over]
        ppm = dice.choice([PPM, PPM, 1_070_000, dice.randrange(3 * PPM)])

        at = stored_version(values, *((o, "whole", t) for o, t in tiers)).multiplied(ppm)
        cost = price(used, at)

        assert isinstance(cost, CostLines)
        exact = exact_nano(used, values, tiers, "whole", ppm)
        assert cost.total_nano == round(exact)
        assert sum(line.amount_nano for line in cost.lines) == exact


small = st.integers(0, 60)
some_rates = st.integers(0, 10**7)
stated_rates = st.fixed_dictionaries(
    {name: some_rates for name in METERS if name not in FALLBACKS},
    optional=dict.fromkeys(FALLBACKS, some_rates),
)
tier_rates = st.dictionaries(st.sampled_from(list(METERS)), some_rates)


@settings(max_examples=150)
@given(
    used=st.dictionaries(st.sampled_from(list(METERS)), small, max_size=6),
    quantities=stated_rates,
    tiers=st.lists(st.tuples(small, tier_rates), max_size=3, unique_by=lambda tier: tier[0]),
    mode=st.sampled_from(["whole", "marginal"]),
    ppm=st.integers(0, 2 * PPM),
)
def test_price_equals_token_by_token_counting(
    used: dict[str, int],
    quantities: dict[str, int],
    tiers: list[tuple[int, dict[str, int]]],
    mode: str,
    ppm: int,
) -> None:
    tiers = sorted(tiers, key=lambda tier: tier[0])
    at = stored_version(quantities, *((over, mode, tier) for over, tier in tiers))

    at = at.multiplied(ppm)
    cost, bound = price(used, at), price_bound(used, at)

    assert isinstance(cost, CostLines)
    assert isinstance(bound, CostLines)
    assert cost.total_nano == round(exact_nano(used, quantities, tiers, mode, ppm))
    assert cost.total_nano <= bound.total_nano
    plain = exact_nano(used, quantities, tiers, mode, ppm, PLAIN_OF)
    saved = plain - exact_nano(used, quantities, tiers, mode, ppm)
    assert saved_by_cache(used, at) == round(saved)


@pytest.mark.parametrize(
    ("used", "saved_nano"),
    [
        ({"in_text": 10, "out_text": 5}, 0),
        ({}, 0),
        ({"in_cache_read": 0}, 0),
        # 1,000 tokens at 0.075 instead of 0.15 USD for a million.
        ({"in_text": 10, "in_cache_read": 1000}, 75_000),
        ({"in_cache_read": 1}, 75),
        # What has no plain rate, or none at all, saved nothing.
        ({"in_audio_cached": 1000}, 0),
        ({"in_image_cached": 1000}, 0),
    ],
)
def test_savings_of_cached_input(used: dict[str, int], saved_nano: int) -> None:
    at = PriceVersion.from_stored(
        {
            "meters": {
                "in_text": 150_000_000, "in_cache_read": 75_000_000, "out_text": 600_000_000,
                "in_audio_cached": 1,
            }
        }
    )  # fmt: skip
    assert saved_by_cache(used, at) == saved_nano
    assert saved_by_cache(used, at.multiplied(2 * PPM)) == 2 * saved_nano


@pytest.mark.parametrize(
    ("mode", "saved_nano"),
    # Cached tokens come first in a prompt: a third of them lies above the tier.
    [("marginal", 1000 * 75 + 500 * 200), ("whole", 1500 * 200)],
)
def test_savings_of_cached_input_in_tiers(mode: str, saved_nano: int) -> None:
    below = {"in_text": 150_000_000, "in_cache_read": 75_000_000}
    above = {"in_text": 300_000_000, "in_cache_read": 100_000_000}
    at = stored_version(below, (1000, mode, above))
    assert saved_by_cache({"in_text": 500, "in_cache_read": 1500}, at) == saved_nano


def test_unpriced_cache_saves_nothing() -> None:
    """Its tokens cost as much as plain ones."""
    at = PriceVersion.from_stored({"meters": {"in_text": 150_000_000}})
    assert saved_by_cache({"in_cache_read": 10**6}, at) == 0


@pytest.mark.parametrize(
    "used",
    [
        {"requests": 1},
        {"in_text": 5, "requests": 1},
        {"in_text": -1},
        {"requests": 0, "in_text": 1},
        {"in_text": 200_001, "requests": 1},
    ],
)
@pytest.mark.parametrize("of", ["plain", "whole", "marginal"])
def test_total_equals_the_sum_of_lines(of: str, used: dict[str, int]) -> None:
    plain = version()
    of_tiers = version((200_000, of, rates(in_text="2"))) if of != "plain" else plain
    cost = price(used, of_tiers)
    assert total_of(used, of_tiers) == (cost.total_nano if isinstance(cost, CostLines) else cost)


@pytest.mark.parametrize(("parts", "nano"), [(1, 0), (2, 1), (3, 2), (4, 2)])
def test_the_total_of_parts_is_rounded_once(parts: int, nano: int) -> None:
    """I15: each part costs half a nano."""
    priced = [({"in_text": 1}, PriceVersion({"in_text": 500_000}))] * parts
    cost = price_parts(priced)
    assert isinstance(cost, CostLines)
    assert total_of_parts(priced) == cost.total_nano == nano


def test_version_remembers_its_highest_rates() -> None:
    """P28: under a condition another meter may be the dearest. What was asked of a version makes it
    no other one."""
    meters = ("in_text", "out_text")
    fast = {"kind": "speed", "value": "fast", "meters": {"in_text": 9, "out_text": 3}}
    stored = {"meters": {"in_text": 1, "out_text": 2}, "conditions": [fast]}
    plain, unasked = PriceVersion.from_stored(stored), PriceVersion.from_stored(stored)
    assert plain.dearest_of(meters) == "out_text"
    under = plain.under({"speed": "fast"})
    assert under is not None
    assert (under.dearest_of(meters), plain.dearest_of(meters)) == ("in_text", "out_text")
    assert plain == unasked != under


def test_hold_uses_the_highest_applicable_price() -> None:
    """Only terms for exactly what a request asks count: not of the kind alone, nor of the value."""
    version = PriceVersion.from_stored({
        "meters": {"in_text": 100},
        "conditions": [
            {"kind": "speed", "value": "fast", "meters": {"in_text": 600}, "tiers": []},
            {"kind": "inference_geo", "value": "us", "multiplier_ppm": 1_100_000},
            {"kind": "processing", "value": "batch", "multiplier_ppm": 500_000},
        ],
    })  # fmt: skip

    def bound(**asked: str) -> int:
        line = price({"in_text": 10**6}, version.bound_under(asked))
        assert isinstance(line, CostLines)
        return line.total_nano

    for kind, value, known in (
        ("speed", "fast", True), ("speed", "us", False), ("speed", "slow", False),
        ("inference_geo", "us", True), ("inference_geo", "fast", False), ("x", "batch", False),
    ):  # fmt: skip
        assert version.has_terms_for(kind, value) is known
    assert bound() == bound(speed="slow") == bound(speed="us") == bound(inference_geo="eu") == 100
    # What makes it cheaper may not be granted.
    assert bound(processing="batch") == 100
    assert bound(speed="fast") == bound(speed="fast", processing="batch") == 600
    assert bound(inference_geo="us") == 110
    assert bound(speed="fast", inference_geo="us") == 660
    assert bound(speed="fast", inference_geo="us", processing="batch") == 660
