"""The section of a run of tool calls: each way beside SSE, round by round."""

from tests.bench.page import section_of, with_section
from tests.bench.tool_calls import CALLS, render


def test_each_round_is_compared_with_itself() -> None:
    seconds = {"SSE": [1.0, 2.0, 6.0], "WebSocket": [0.5, 1.5, 3.0]}
    section = render({2_000: seconds}, "Today.", "balanced")
    assert section.splitlines()[-2:] == [
        f"| 2,000 | SSE | 2.00 (1.00–6.00) | {2000 / CALLS:.1f} | 1.00 (1.00–1.00) |",
        f"| 2,000 | WebSocket | 1.50 (0.50–3.00) | {1500 / CALLS:.1f} | 0.50 (0.50–0.75) |",
    ]
    page = with_section("# Performance\n\n## Memory\n", section)
    assert section_of(page, "Tool calls") == section
