from tests.bench.report import About, render, summary
from tests.bench.results import Results
from tests.bench.systems import LITELLM, NGINX, WEIR
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
    assert len(heads) == 8
    for at in heads:
        width = lines[at].count("|")
        end = next(n for n in range(at, len(lines)) if not lines[n].startswith("|"))
        assert {line.count("|") for line in lines[at - 1 : end]} == {width}
    assert tables
