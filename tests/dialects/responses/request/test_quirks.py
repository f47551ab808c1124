import json
from typing import Any

import pytest

from dialects.chat.chat import Flag
from dialects.responses.request.quirks import needs_fit, quirks_for
from dialects.responses.request.read import edit, read

LOGPROBS = "message.output_text.logprobs"


@pytest.mark.parametrize(
    ("flag", "given", "expected", "dropped"),
    [
        ("no_sampling", {"temperature": 1, "top_p": 1, "user": "u"}, {"user": "u"},
         ("temperature", "top_p")),
        ("no_sampling", {"temperature": 1, "reasoning": {"effort": "none"}},
         {"temperature": 1, "reasoning": {"effort": "none"}}, ()),
        ("no_sampling", {"include": [LOGPROBS, "a"]}, {"include": ["a"]}, ()),
        ("no_parallel_tools", {"parallel_tool_calls": True}, {}, ("parallel_tool_calls",)),
        ("no_reasoning_effort", {"reasoning": {"effort": "low"}}, {}, ("reasoning",)),
    ],
)  # fmt: skip
def test_flag(
    flag: Flag, given: dict[str, Any], expected: dict[str, Any], dropped: tuple[str, ...]
) -> None:
    facts = read(json.dumps({"model": "m", "input": "hi"} | given).encode())
    quirks = quirks_for(facts.body, frozenset({flag}), ())
    got = json.loads(edit(facts, "m", quirks=quirks))
    assert (got, quirks.dropped) == ({"model": "m", "input": "hi"} | expected, dropped)
    assert needs_fit(frozenset({flag}))
    assert not needs_fit(frozenset({"max_completion_tokens_only"}))
