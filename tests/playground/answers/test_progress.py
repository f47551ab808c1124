"""How long a model thought, and how much it has written, while it answers."""

from dialects.chat.events import ReasoningDelta, TextDelta, ToolArgumentsDelta
from playground.answers.progress import Progress


def test_thinking_is_measured_in_milliseconds_until_the_text_begins() -> None:
    progress = Progress(10.0)
    progress.note(ReasoningDelta(0, "Hm"), 12.0)
    progress.note(ReasoningDelta(0, "well"), 13.0)
    assert (progress.first_at, progress.thinks, progress.thought_ms) == (12.0, True, None)
    progress.note(TextDelta(0, "Yes, it does."), 14.5)
    progress.note(TextDelta(0, "More"), 19.0)
    assert (progress.thinks, progress.thought_ms) == (False, 2_500)
    assert progress.text_tokens > progress.reasoning_tokens > 0


def test_answer_without_thoughts_has_no_time_of_them() -> None:
    progress = Progress(10.0)
    progress.note(TextDelta(0, "Yes."), 11.0)
    progress.end_thought(12.0)
    assert (progress.first_at, progress.thought_ms) == (11.0, None)


def test_calls_of_tools_count_as_text_and_end_no_thought() -> None:
    progress = Progress(10.0)
    progress.note(ReasoningDelta(0, "Hm"), 11.0)
    progress.note(ToolArgumentsDelta(choice=0, index=0, text='{"city": "Ghent"}'), 12.0)
    assert progress.text_tokens > progress.reasoning_tokens > 0
    assert progress.thinks
