from tests.bench.results import Results
from tests.bench.spread import Spread
from tests.bench.systems import BARE, DIRECT, INSTALLED, LITELLM, NGINX, PORTKEY, WEIR
from tests.bench.targets import IDLE, MEMORY, Judged, all_targets, judge
from tests.bench.works import BODIES, BURST, PACED, PLAIN, STREAMS, WORKS


def _good() -> Results:
    """Three rounds in which every number is reached."""
    results = Results(round_count=3)
    cpu = {WEIR: 100.0, NGINX: 60.0, PORTKEY: 400.0, LITELLM: 5000.0, BARE: 60.0}
    delay = {DIRECT: 100.0, NGINX: 200.0, WEIR: 250.0, LITELLM: 900.0, PORTKEY: 900.0}
    growing = {work.name: size for works in (BODIES, STREAMS) for size, work in works.items()}
    for _ in range(3):
        for work in WORKS:
            for name in work.systems:
                figures = {"median_us": delay[WEIR if name == BARE else name], "p99_us": 999.0}
                figures |= {"rate": 1000.0}
                if name != DIRECT:
                    each = cpu[name] + growing.get(work.name, 0) * 2
                    figures |= {"cpu_us": each, "cpu_us.web": each, "cpu_us.postgres": 20.0}
                if work is PACED:
                    figures |= {"delay_us": delay[name], "delay_p99_us": 2 * delay[name]}
                results.add(work.name, name, figures)
        for name in (WEIR, NGINX, PORTKEY, LITELLM):
            part = "web" if name == WEIR else "all"
            memory = {f"idle_kb.{part}": 1000.0, f"kb_at_500.{part}": 20.0}
            results.add(MEMORY, name, {**memory, f"kb_at_2000.{part}": 21.0})
        results.add(IDLE, INSTALLED, {"cpu_percent": 0.5, "memory_mb": 500.0})
    return results


def _not_met(results: Results) -> list[str]:
    return [row.work for row in all_targets(results) if row.verdict != "met"]


def test_figures_meeting_every_number_pass_everywhere() -> None:
    assert _not_met(_good()) == []


def test_each_number_can_be_missed() -> None:
    """Every target turns red by one figure of ours; none is met by itself."""
    spoilt = {
        (PLAIN[32].name, "cpu_us"): 2,
        (PLAIN[32].name, "cpu_us.postgres"): 1,
        (BURST.name, "cpu_us"): 3,
        (PACED.name, "cpu_us"): 2,
        (PACED.name, "delay_us"): 2,
        (PLAIN[1].name, "median_us"): 1,
        (PLAIN[128].name, "cpu_us.web"): 1,
        (PLAIN[128].name, "cpu_us.postgres"): 1,
        (MEMORY, "kb_at_2000.web"): 1,
        (STREAMS[4096].name, "cpu_us"): 1,
        (BODIES[1000].name, "cpu_us"): 1,
        (PLAIN[2000].name, "cpu_us"): 1,
    }
    of_ours = {(work, WEIR, figure): count for (work, figure), count in spoilt.items()}
    idle = {(IDLE, INSTALLED, figure): 1 for figure in ("cpu_percent", "memory_mb")}
    for spoiled, expected in {**of_ours, **idle}.items():
        results = _good()
        rounds = results.rounds(*spoiled)
        rounds[:] = [value * 50 + 2000 for value in rounds]
        assert len(_not_met(results)) == expected, spoiled
    assert sum(spoilt.values()) + len(idle) == len(all_targets(_good()))


def test_missing_system_leaves_its_targets_unknown() -> None:
    results = _good()
    for work in WORKS:
        results.failed[work.name, LITELLM] = "it has ended"
    unknown = [row for row in all_targets(results) if row.verdict == "unknown"]
    assert [row.measured for row in unknown] == [None, None]
    assert all("LiteLLM" in row.work for row in unknown)


def test_spread_over_the_limit_is_reported() -> None:
    assert judge(Spread(3, 2.9, 3.5), at_least=True, bound=3) == "met, within the noise"
    assert judge(Spread(2.9, 2.8, 3.5), at_least=True, bound=3) == "not met, within the noise"
    assert judge(Spread(2.9, 2.8, 2.95), at_least=True, bound=3) == "not met"
    assert judge(Spread(3, 3, 3), at_least=False, bound=3) == "met"


def test_every_target_names_what_is_required() -> None:
    result: list[Judged] = all_targets(Results())
    assert {row.verdict for row in result} == {"unknown"}
    assert all(row.wanted[0] in "≤≥" for row in result)
