"""An answer that is JSON by order: one block of code, whatever stands in it."""

import pytest

from playground.rendering.markdown import MarkdownLabels, render_whole
from playground.rendering.open_block import render_so_far
from playground.rendering.structured import format_json, is_structured
from tests.playground.rendering.test_hostile import judge


@pytest.mark.parametrize(
    ("stored", "structured"),
    [
        (None, False),
        ({}, False),
        ({"schema": {}}, True),
        ({"raw": {"response_format": {"type": "json_object"}}}, True),
        ({"raw": {"response_format": {"type": "json_schema"}}}, True),
        ({"raw": {"response_format": {"type": "text"}}}, False),
        ({"raw": {"response_format": "json"}}, False),
        ({"schema": {}, "raw": {}}, False),  # the body takes the place of the schema
    ],
)
def test_requests_for_json(stored: dict[str, object] | None, structured: bool) -> None:
    assert is_structured(stored) is structured


def test_json_is_formatted_and_other_text_left() -> None:
    assert format_json('{"a":[1]}') == '{\n  "a": [\n    1\n  ]\n}'
    assert format_json("I cannot") == "I cannot"


@pytest.mark.parametrize(
    "text",
    ['{"a": "```\\n<script>1</script>"}', '{"a": "*b*", "c": "</pre><img src=x onerror=1>"}', "no"],
)
def test_structured_answer_is_one_code_block(text: str) -> None:
    html = render_whole(text, MarkdownLabels(), "M", structured=True)
    assert html.count("<figure") == 1
    judge(html)
    for cut in range(len(text)):
        judge(render_so_far(text[:cut], MarkdownLabels(), "M", structured=True))
