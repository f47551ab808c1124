from datetime import UTC, date, datetime, time
from decimal import Decimal
from fractions import Fraction
from itertools import pairwise
from types import SimpleNamespace as Shape
from typing import Any

import pytest
from genai_prices.data import providers as shipped

from billing.prices.catalogue.catalogue import (
    MAKERS,
    UNDATED,
    CatalogueRow,
    Conversion,
    Skipped,
    convert_catalogue,
)
from billing.prices.conditions import read_hours
from billing.prices.pricing import CostLines, PriceVersion, price
from tests.support.shipped import shipped_catalogue


def usd(**prices: Any) -> Shape:
    return Shape(**{key: Decimal(v) if isinstance(v, str) else v for key, v in prices.items()})


def tiered(base: str, *tiers: tuple[int, str]) -> Shape:
    return Shape(
        base=Decimal(base), tiers=[Shape(start=start, price=Decimal(p)) for start, p in tiers]
    )


def model(name: str, prices: Any, match: Any = None, variants: Any = None) -> Shape:
    return Shape(id=name, match=match or Shape(equals=name), prices=prices, price_variants=variants)


def when(prices: Any, **constraint: Any) -> Shape:
    return Shape(constraint=Shape(**constraint) if constraint else None, prices=prices)


def convert(*models: Shape, provider: str = "openai") -> Conversion:
    return convert_catalogue([Shape(id=provider, models=models)])


PLAIN = usd(input_mtok="1", output_mtok="2")
PLAIN_METERS = {
    "in_text": 10**9,
    "in_image": 10**9,
    "in_image_cached": 10**9,
    "out_text": 2 * 10**9,
}


def test_plain_prices_become_one_open_version() -> None:
    assert convert(model("m", PLAIN)) == Conversion(
        (CatalogueRow("m", None, "openai", UNDATED, None, {"meters": PLAIN_METERS, "tiers": []}),),
        (),
    )


@pytest.mark.parametrize(
    ("prices", "meters"),
    [
        (
            usd(cache_read_mtok="0.5", cache_write_mtok="3", cache_write_1h_mtok="4"),
            {
                "in_cache_read": 500_000_000,
                "in_image_cached": 500_000_000,
                "in_cache_write_5m": 3 * 10**9,
                "in_cache_write_1h": 4 * 10**9,
            },
        ),
        (
            usd(input_audio_mtok="40", input_image_mtok="8", cache_image_read_mtok="2"),
            {
                "in_audio": 40 * 10**9,
                "in_audio_cached": 40 * 10**9,
                "in_image": 8 * 10**9,
                "in_image_cached": 2 * 10**9,
            },
        ),
        (usd(audio_hours="0.36"), {"audio_ms": 100_000_000}),
        (usd(web_searches_kcount="10"), {"searches": 10**13}),
        (usd(input_document_kpages="1"), {"pages": 10**12}),
        (
            usd(requests_kcount="5", input_mchars="15"),
            {"requests": 5 * 10**12, "characters": 15 * 10**9},
        ),
        (usd(output_mtok="0"), {"out_text": 0}),
        (usd(output_mtok="2", output_reasoning_mtok=None), {"out_text": 2 * 10**9}),
    ],
)
def test_every_price_key_feeds_its_meters_exactly(prices: Shape, meters: dict[str, int]) -> None:
    (row,) = convert(model("m", prices)).rows

    assert row.rates["meters"] == meters


def test_a_live_session_is_charged_for_the_time_it_is_open() -> None:
    (row,) = convert(model("gpt-live-1", usd(audio_hours="3"))).rows

    assert row.rates["meters"] == {"session_minutes": 50_000}


def test_tiers_are_strictly_above_and_for_the_whole_request() -> None:
    prices = usd(
        input_mtok=tiered("1", (200, "2"), (400, "4")),
        input_image_mtok="7",
        output_mtok=tiered("10", (200, "15")),
    )

    (row,) = convert(model("m", prices)).rows

    assert row.rates["tiers"] == [
        {
            "input_over": 200,
            "mode": "whole",
            "meters": {"in_text": 2 * 10**9, "out_text": 15 * 10**9},
        },
        {"input_over": 400, "mode": "whole", "meters": {"in_text": 4 * 10**9}},
    ]
    assert row.rates["meters"]["in_image"] == 7 * 10**9


def test_unneeded_threshold_is_left_out() -> None:
    prices = usd(cache_read_mtok=tiered("1", (9, "2")), cache_image_read_mtok="3")
    only_image = usd(input_image_mtok=tiered("1", (9, "2")), cache_image_read_mtok="3")
    shadowed = usd(cache_write_mtok=tiered("1", (9, "2")), cache_write_5m_mtok="3")
    shadowed.cache_write_1h_mtok = Decimal("4")

    tiers = [convert(model("m", p)).rows[0].rates["tiers"] for p in (prices, only_image, shadowed)]

    assert [[tier["meters"] for tier in each] for each in tiers] == [
        [{"in_cache_read": 2 * 10**9}],
        [{"in_image": 2 * 10**9}],
        [],
    ]


def test_dated_prices_tile_time_and_the_last_active_one_holds() -> None:
    prices = [
        when(usd(output_mtok="1")),
        when(usd(output_mtok="3"), start_date=date(2026, 3, 1)),
        when(usd(output_mtok="2"), start_date=date(2026, 2, 1)),
    ]

    rows = convert(model("m", prices)).rows

    february, march = datetime(2026, 2, 1, tzinfo=UTC), datetime(2026, 3, 1, tzinfo=UTC)
    # From March on two are active, and the later one in the list holds.
    assert [(r.valid_from, r.valid_to, r.rates["meters"]["out_text"]) for r in rows] == [
        (UNDATED, february, 10**9),
        (february, march, 2 * 10**9),
        (march, None, 2 * 10**9),
    ]


def test_first_price_applies_before_the_first_date() -> None:
    rows = convert(model("m", [when(PLAIN, start_date=date(2026, 2, 1))])).rows

    assert [row.rates["meters"] for row in rows] == [PLAIN_METERS, PLAIN_METERS]


def test_hourly_prices_coexist_with_the_all_day_price() -> None:
    dear = usd(input_mtok="3", output_mtok="4")
    night = when(dear, start_time=time(16, 30), end_time=time(0, 30))
    prices = [when(PLAIN), when(PLAIN, start_date=date(2026, 2, 1)), night]

    converted = convert(model("m", prices))

    assert converted.skipped == ()
    assert [
        (row.hours, row.valid_from, row.rates["meters"]["in_text"]) for row in converted.rows
    ] == [
        ("", UNDATED, 10**9),
        ("", datetime(2026, 2, 1, tzinfo=UTC), 10**9),
        ("16:30-00:30", UNDATED, 3 * 10**9),
    ]


def test_overlapping_hours_leave_the_model_out_with_a_report() -> None:
    night = when(PLAIN, start_time=time(16, 30), end_time=time(0, 30))
    late = when(PLAIN, start_time=time(0, 0), end_time=time(1, 0))

    assert convert(model("m", [when(PLAIN), night, late])) == Conversion(
        (), (Skipped("openai", "m", "time_of_day", "16:30-00:30 and 00:00-01:00"),)
    )


def test_service_tiers_start_at_their_date_and_batches_are_conditions() -> None:
    def variant(start: date | None = None, **words: str) -> Shape:
        constraint = Shape(start_date=start) if start else None
        return Shape(when=words, prices=usd(output_mtok="9"), constraint=constraint)

    february = date(2026, 2, 1)
    variants = [
        variant(february, service_tier="priority"),
        variant(service_tier="flex"),
        variant(service_tier="default"),
        variant(processing="batch"),
    ]

    converted = convert(model("m", PLAIN, variants=variants))

    assert [(row.service_tier, row.valid_from) for row in converted.rows] == [
        ("", UNDATED),
        ("priority", datetime(2026, 2, 1, tzinfo=UTC)),
        ("flex", UNDATED),
    ]
    assert converted.skipped == ()
    plain = converted.rows[0].rates
    assert plain["conditions"] == [
        {
            "kind": "processing",
            "value": "batch",
            "meters": {"out_text": 9 * 10**9},
            "tiers": [],
            "source": "genai-prices",
        }
    ]


# What a variant is for, and what is said of it: the plain tier is the price itself.
VARIANTS: list[tuple[dict[str, str], str]] = [
    ({"service_tier": "default"}, ""),
    ({"service_tier": "standard"}, ""),
    ({"service_tier": "no name"}, "service_tier no name"),
    ({"processing": "default"}, "processing default"),
    ({"nonsense": "default"}, "nonsense default"),
    ({"service_tier": "flex", "processing": "batch"}, "service_tier flex, processing batch"),
    ({"processing": "batch", "service_tier": "flex"}, "processing batch, service_tier flex"),
]


@pytest.mark.parametrize(
    ("converted", "kept", "skipped"),
    [
        (convert(model("m", usd())), 0, [("no_price", "from 1970-01-01")]),
        (
            convert(model("m", usd(input_mtok="0.0000000001"))),
            0,
            [("not_exact", "input_mtok of 1E-10 USD")],
        ),
        (
            convert(model("m", usd(audio_hours="0.111"))),
            0,
            [("not_exact", "audio_hours of 0.111 USD")],
        ),
        (convert(model("m", usd(input_mtok="-1"))), 0, [("not_exact", "input_mtok of -1 USD")]),
        (
            convert(model("m", usd(input_gpixels="1"))),
            0,
            [("no_meter", "input_gpixels"), ("no_price", "from 1970-01-01")],
        ),
        (
            convert(model("m", usd(output_mtok="1", output_video_mtok="2"))),
            1,
            [("no_meter", "output_video_mtok")],
        ),
        (
            convert(
                model(
                    "m",
                    PLAIN,
                    variants=[Shape(when={"route": "eu"}, constraint=None, prices=PLAIN)],
                )
            ),
            1,
            [("variant", "route eu")],
        ),
        *(
            (
                convert(
                    model("m", PLAIN, variants=[Shape(when=words, constraint=None, prices=PLAIN)])
                ),
                1,
                [("variant", said)] if said else [],
            )
            for words, said in VARIANTS
        ),
    ],
    ids=[
        *("none", "below nano", "hour", "negative", "unknown only", "unknown too", "variants"),
        *(" ".join(words.values()) for words, _ in VARIANTS),
    ],
)
def test_losses_in_conversion_are_reported(
    converted: Conversion, kept: int, skipped: list[tuple[str, str]]
) -> None:
    assert len(converted.rows) == kept
    assert [(skip.reason, skip.detail) for skip in converted.skipped] == skipped


@pytest.mark.parametrize(
    ("match", "names"),
    [
        (Shape(equals="m"), []),
        (Shape(equals="m-latest"), ["m-latest"]),
        (Shape(starts_with="m-1"), ["m-1", "m-1-20*"]),
        (Shape(starts_with="m-1-"), ["m-1-20*"]),
        (Shape(starts_with="m@"), ["m@20*"]),
        (Shape(starts_with="m-2025"), ["m-2025*"]),
        (Shape(starts_with="m-2025-"), ["m-2025-*"]),
        (Shape(regex=r"^m-5\.6-\d{8}$"), ["m-5.6-20*"]),
        (Shape(regex=r"^m-5[-@]\d{8}$"), ["m-5-20*"]),
        (Shape(regex=r"^m-\d{4}-\d{2}-\d{2}$"), ["m-20*"]),
        (Shape(regex=r"^m-(a|b)$"), []),
        (Shape(contains="m"), []),
        (Shape(or_=[Shape(equals="a"), Shape(or_=[Shape(equals="b")])]), ["a", "b"]),
    ],
)
def test_aliases_of_a_maker(match: Shape, names: list[str]) -> None:
    rows = convert(model("m", PLAIN, match)).rows

    assert [(row.model, row.alias_of) for row in rows] == [
        ("m", None),
        *((name, "m") for name in names),
    ]


def test_a_name_belongs_to_the_maker_before_any_host() -> None:
    host_price, other = usd(output_mtok="9"), model("m-9", PLAIN, Shape(equals="n-9"))
    hosts = [
        Shape(id=name, models=[model(m, host_price) for m in ("m", "m-2025-01-01", "h")])
        for name in ("someone", "groq")
    ]
    maker = Shape(id="anthropic", models=[model("m", PLAIN, Shape(starts_with="m")), other, other])

    converted = convert_catalogue([*hosts, maker])

    assert [(row.provider, row.model) for row in converted.rows] == [
        ("anthropic", "m"),
        ("anthropic", "m-20*"),
        ("anthropic", "m-9"),
        ("anthropic", "n-9"),
        ("groq", "h"),
    ]
    assert converted.skipped == (
        Skipped("anthropic", "m-9", "name_taken", "by anthropic"),
        Skipped("groq", "m", "name_taken", "by anthropic"),
        Skipped("groq", "m-2025-01-01", "name_taken", "by anthropic"),
        Skipped("someone", "m", "name_taken", "by anthropic"),
        Skipped("someone", "m-2025-01-01", "name_taken", "by anthropic"),
        Skipped("someone", "h", "name_taken", "by groq"),
    )


SHIPPED = shipped_catalogue()


def test_every_shipped_row_is_a_price() -> None:
    assert len(SHIPPED.rows) > 1500
    for row in SHIPPED.rows:
        PriceVersion.from_stored(row.rates)


def test_shipped_versions_have_one_provider_and_do_not_overlap() -> None:
    by_name: dict[str, list[CatalogueRow]] = {}
    for row in SHIPPED.rows:
        name = f"{row.model} {row.service_tier} {row.hours}"
        by_name.setdefault(name, []).append(row)
    for versions in by_name.values():
        assert len({row.provider for row in versions}) == 1
        for earlier, later in pairwise(versions):
            assert earlier.valid_to is not None
            assert earlier.valid_to <= later.valid_from


def test_alias_never_takes_its_makers_name() -> None:
    own = {(row.provider, row.model) for row in SHIPPED.rows if row.alias_of is None}
    taken = [
        skip
        for skip in SHIPPED.skipped
        if skip.provider in MAKERS
        and skip.reason == "name_taken"
        and (skip.detail.removeprefix("by "), skip.model) not in own
    ]

    # Google hosts models of Anthropic under names that Anthropic has as other names.
    assert {skip.provider for skip in taken} <= {"google"}
    assert all(skip.model.startswith("claude-") for skip in taken)


def test_nothing_in_the_shipped_data_is_lost_silently() -> None:
    messages = {(row.provider, row.alias_of or row.model) for row in SHIPPED.rows}
    messages |= {(skip.provider, skip.model) for skip in SHIPPED.skipped}

    assert {(provider.id, each.id) for provider in shipped for each in provider.models} == messages


@pytest.mark.parametrize("name", ["gpt-4o-mini", "gpt-4o", "claude-opus-4-6", "gemini-2.5-pro"])
def test_shipped_price_charges_like_the_package(name: str) -> None:
    from genai_prices import Usage, calc_price

    row = next(row for row in SHIPPED.rows if row.model == name and row.valid_to is None)
    for prompt, cached in ((1000, 400), (300_000, 100_000)):
        message = calc_price(
            Usage(input_tokens=prompt, cache_read_tokens=cached, output_tokens=777),
            name,
            provider_id=row.provider,
        )
        used = {"in_text": prompt - cached, "in_cache_read": cached, "out_text": 777}
        cost = price(used, PriceVersion.from_stored(row.rates))
        assert isinstance(cost, CostLines)
        assert Fraction(message.total_price) * 10**9 == sum(line.amount_nano for line in cost.lines)


def test_five_hourly_priced_models_charge_like_the_package() -> None:
    from genai_prices import Usage, calc_price

    hourly = {row.model for row in SHIPPED.rows if row.hours and row.alias_of is None}
    assert len(hourly) == 5
    for name in hourly:
        rows = [row for row in SHIPPED.rows if row.model == name and row.valid_to is None]
        for hour in range(24):
            at = datetime(2026, 11, 20, hour, 15, tzinfo=UTC)
            fitting = [row for row in rows if _holds(row.hours, at)]
            # What holds for some hours beats what holds all day.
            row = max(fitting, key=lambda row: row.hours != "")
            message = calc_price(
                Usage(input_tokens=1000, cache_read_tokens=400, output_tokens=777),
                name,
                provider_id="deepseek",
                genai_request_timestamp=at,
            )
            used = {"in_text": 600, "in_cache_read": 400, "out_text": 777}
            cost = price(used, PriceVersion.from_stored(row.rates))
            assert isinstance(cost, CostLines)
            exact = sum(line.amount_nano for line in cost.lines)
            assert Fraction(message.total_price) * 10**9 == exact, (name, hour)


@pytest.mark.parametrize("tier", ["priority", "flex"])
def test_service_tiers_charge_like_the_package(tier: str) -> None:
    from genai_prices import Usage, calc_price

    at = datetime(2026, 11, 20, 12, tzinfo=UTC)
    rows = [
        row
        for row in SHIPPED.rows
        if row.service_tier == tier
        and row.alias_of is None
        and row.valid_from <= at
        and (row.valid_to is None or at < row.valid_to)
    ]
    assert len(rows) > 15
    for row in rows:
        message = calc_price(
            Usage(input_tokens=1000, output_tokens=777),
            row.model,
            provider_id=row.provider,
            genai_request_timestamp=at,
            price_context={"service_tier": tier},
        )
        cost = price({"in_text": 1000, "out_text": 777}, PriceVersion.from_stored(row.rates))
        assert isinstance(cost, CostLines)
        exact = sum(line.amount_nano for line in cost.lines)
        assert Fraction(message.total_price) * 10**9 == exact, row.model


def _holds(hours: str, at: datetime) -> bool:
    span = read_hours(hours)
    return span is None or span.hold_at(at.hour * 3600 + at.minute * 60)
