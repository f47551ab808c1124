"""What an ephemeral token fixes in a setup (ai.google.dev, "Ephemeral tokens")."""

import json
from typing import Any

import pytest

from dialects.errors.errors import RequestFault
from dialects.realtime.fixed_setup import FixedSetup
from dialects.realtime.gemini_live import Setup, read_setup


def setup(**members: Any) -> Setup:
    return read_setup(json.dumps({"setup": {"model": "models/asked", **members}}).encode())


OWN = {"model": "models/own", "generationConfig": {"topP": 0.5, "maxOutputTokens": 9}}
# token's setup, its paths, the client's setup, what holds
CASES: dict[str, tuple[dict[str, Any], tuple[str, ...], dict[str, Any], dict[str, Any]]] = {
    "nothing fixed": ({}, (), {"tools": []}, {"model": "models/asked", "tools": []}),
    "all fixed": (OWN, (), {"tools": [], "generationConfig": {"seed": 1}}, OWN),
    "no model": ({"tools": []}, (), {}, {"model": "models/asked", "tools": []}),
    "model only": (OWN, ("model",), {"tools": []}, {"model": "models/own", "tools": []}),
    "a nested member": (
        OWN, ("generationConfig.topP",), {"generationConfig": {"topP": 1, "seed": 1}},
        {"model": "models/asked", "generationConfig": {"topP": 0.5, "seed": 1}},
    ),
    "a nested member in snake case": (
        OWN, ("generationConfig.topP",), {"generation_config": {"top_p": 1}},
        {"model": "models/asked", "generationConfig": {"topP": 0.5}},
    ),
    "an object in snake case": (
        {}, ("realtimeInputConfig.turnCoverage",),
        {"realtime_input_config": {"turn_coverage": "x", "activity_handling": "y"}},
        {"model": "models/asked", "realtimeInputConfig": {"activityHandling": "y"}},
    ),
    "absent": (
        {}, ("generationConfig.temperature", "tools"),
        {"generationConfig": {"temperature": 1}, "tools": [1]},
        {"model": "models/asked"},
    ),
    "absent on both sides": ({}, ("generationConfig.temperature",), {}, {"model": "models/asked"}),
    "no object": (
        {"systemInstruction": {"parts": [1]}}, ("systemInstruction.parts",),
        {"systemInstruction": "rude"},
        {"model": "models/asked", "systemInstruction": {"parts": [1]}},
    ),
    "its handle is the client's": (
        {"sessionResumption": {}}, (), {"sessionResumption": {"handle": "h"}},
        {"model": "models/asked", "sessionResumption": {"handle": "h"}},
    ),
    "no resumption": ({"tools": []}, (), {"sessionResumption": {"handle": "h"}},
                      {"model": "models/asked", "tools": []}),
    "its own handle": (
        {"sessionResumption": {"handle": "own"}}, (), {"sessionResumption": {"handle": "h"}},
        {"model": "models/asked", "sessionResumption": {"handle": "own"}},
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_effective_setup(case: str) -> None:
    own, paths, asked, expected = CASES[case]
    fixed = FixedSetup(own, paths)
    held = fixed.apply(setup(**asked))
    assert held.members == expected
    assert held.model == expected["model"].removeprefix("models/")
    limit = expected.get("generationConfig", {}).get("maxOutputTokens")
    assert held.output_max == limit
    assert held.handle == expected.get("sessionResumption", {}).get("handle")
    assert fixed.fixes == (case != "nothing fixed")


def test_a_member_in_both_spellings_is_refused() -> None:
    fixed = FixedSetup({}, ("realtimeInputConfig.turnCoverage",))
    both = {"turnCoverage": "x", "turn_coverage": "y"}
    with pytest.raises(RequestFault) as fault:
        fixed.apply(setup(realtimeInputConfig=both))
    assert fault.value.param == "setup.realtimeInputConfig.turnCoverage"


def test_a_locked_model_without_a_name_is_the_clients() -> None:
    """Without any, no session could begin."""
    assert FixedSetup({}, ("model",)).apply(setup()).model == "asked"
