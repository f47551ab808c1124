from tests.bench.killed import KILLED
from tests.bench.neutral import NEUTRAL
from tests.bench.report import About, render, summary
from tests.bench.results import Results
from tests.bench.systems import DIRECT, LITELLM, NGINX, WEIR
from tests.bench.works import PLAIN

ABOUT = About(
    date="2026-01-01",
    machine="2 cores",
    others="other programs used 1%",
    rounds=3,
    versions="Weir",
    sync_us=900,
    books="all well",
    minutes=12,
)


def test_figures_are_in_place_with_their_spread() -> None:
    results = Results()
    for cpu_us in (100, 110, 130):
        results.add(PLAIN[32].name, WEIR, {"cpu_us": cpu_us})
        results.add(PLAIN[32].name, NGINX, {"cpu_us": 13})
    text = render(results, ABOUT)
    assert "| plain, 32 connections | 110 (100–130) | 13.0 | – | – |" in text


def test_neutral_figures_are_in_place() -> None:
    results = Results()
    for name, late_us in ((DIRECT, 300), (WEIR, 1_500)):
        results.add(PLAIN[1].name, name, {"p99_us": late_us})
    results.add(NEUTRAL, WEIR, {"rate_at.5": 400, "clean": 64, "mb_per_minute": 0.25})
    results.add(KILLED, "without look-up", {"served": 1234, "lost": 0, "provider_nano": 5_000_000})
    text = render(results, ABOUT)
    assert (
        "| plain, 1 connection: added to the 99th percentile, µs | – | 1,200 | – | – | – |" in text
    )
    assert "| requests per second, 99th percentile at most 1 ms | – | – | – | – | – |" in text
    assert "| requests per second, 99th percentile at most 5 ms | – | 400 | – | – | – |" in text
    assert "| memory for each minute of load, MB | – | 0.25 | – | – | – |" in text
    assert "| attempts that the provider served | 1,234 | – |" in text
    assert "| attempts without a record | 0 | – |" in text
    assert "| cost by the provider's count, µUSD | 5,000 | – |" in text


def test_missing_or_failed_measurements_are_reported() -> None:
    results = Results(missing={LITELLM: "pip failed"}, repeated=["Portkey, burst: closed"])
    results.failed["burst", NGINX] = "it has ended"
    text = render(results, ABOUT)
    assert "- LiteLLM was not measured: pip failed." in text
    assert "- nginx failed at *burst* and has no figure there: it has ended" in text
    assert "- Measured on the second try: Portkey, burst: closed" in text
    assert "not measured | unknown" in summary(results)
    assert "unknown" not in text


def test_tables_have_as_many_cells_as_heads() -> None:
    lines = render(Results(), ABOUT).splitlines()
    tables = [line.count("|") for line in lines if line.startswith("|")]
    heads = [at for at, line in enumerate(lines) if line.startswith("| ---")]
    assert len(heads) == 10
    for at in heads:
        width = lines[at].count("|")
        end = next(n for n in range(at, len(lines)) if not lines[n].startswith("|"))
        assert {line.count("|") for line in lines[at - 1 : end]} == {width}
    assert tables
