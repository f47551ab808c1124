"""Settings of a saved prompt: what is stored of them, and the members of a request they become."""

from typing import Any

import pytest

from accounts.models import User
from content.models import PromptVersion
from content.prompts.prompts import (
    annotate_last_version,
    move_label,
    save_prompt,
    search_prompts,
    visible_prompts,
)
from content.prompts.settings import Settings, members_of
from lib import clock
from tests.support.cast import Cast, actor

TOOL = {
    "name": "pay", "description": "Pay", "parameters": {"type": "object"}, "strict": True,
    "mock": "done", "always": True,
}  # fmt: skip
FUNCTION = {"name": "pay", "description": "Pay", "parameters": {"type": "object"}, "strict": True}


@pytest.mark.parametrize(
    ("settings", "flags", "members"),
    [
        ({"params": {"max_output": 9}}, (), {"max_tokens": 9}),
        (
            {"params": {"max_output": 9}},
            ("max_completion_tokens_only",),
            {"max_completion_tokens": 9},
        ),
        ({"params": {"thinking": "on"}}, (), {"thinking": {"type": "enabled"}}),
        ({"params": {"thinking": "off"}}, (), {"thinking": {"type": "disabled"}}),
        ({"params": {"thinking": "off"}}, ("enable_thinking_switch",), {"enable_thinking": False}),
        (
            {"params": {"thinking_budget": 512}},
            (),
            {"thinking": {"type": "enabled", "budget_tokens": 512}},
        ),
        ({"params": {"logprobs": 3}}, (), {"logprobs": True, "top_logprobs": 3}),
        ({"params": {"cache": True, "temperature": 0}}, (), {"temperature": 0}),
        ({"params": {"web_search": True}}, (), {"web_search_options": {}}),
        (
            {"params": {"voice": "kore"}},
            (),
            {"modalities": ["text", "audio"], "audio": {"voice": "kore", "format": "pcm16"}},
        ),
        (
            {"tools": [TOOL], "tool_choice": "required"},
            (),
            {"tools": [{"type": "function", "function": FUNCTION}], "tool_choice": "required"},
        ),
        (
            {"tools": [TOOL], "tool_choice": "pay", "serial": True},
            (),
            {
                "tools": [{"type": "function", "function": FUNCTION}],
                "tool_choice": {"type": "function", "function": {"name": "pay"}},
                "parallel_tool_calls": False,
            },
        ),
        ({"tool_choice": "required", "serial": True}, (), {}),
        (
            {"schema": {"title": "My form 2!"}},
            (),
            {
                "response_format": {
                    "type": "json_schema",
                    "json_schema": {"name": "Myform2", "schema": {"title": "My form 2!"}},
                }
            },
        ),
        (
            {"schema": {}, "strict": True},
            (),
            {
                "response_format": {
                    "type": "json_schema",
                    "json_schema": {"name": "answer", "schema": {}, "strict": True},
                }
            },
        ),
        (
            {"raw": {"seed": 1}, "params": {"temperature": 1}, "tools": [TOOL], "max_cost": "0.05"},
            (),
            {"seed": 1, "max_cost": "0.05"},
        ),
        ({"max_cost": "0.05", "system": "Be kind.", "trim": True}, (), {"max_cost": "0.05"}),
    ],
)
def test_settings_become_members_of_a_request(
    settings: dict[str, Any], flags: tuple[str, ...], members: dict[str, Any]
) -> None:
    assert members_of(Settings(**settings), flags) == members


def test_only_what_was_set_is_stored() -> None:
    assert Settings().stored() == {}
    # An empty schema accepts everything, and an empty body adds nothing: both were set.
    values = {"system": "Be kind.", "serial": True, "schema": {}, "raw": {}}
    assert Settings(**values, tool_choice="", params={}).stored() == values  # type: ignore[arg-type]
    assert Settings.from_stored(values | {"former": 1}) == Settings(**values)  # type: ignore[arg-type]


@pytest.mark.django_db
def test_list_of_prompts_tells_the_last_version_and_the_one_in_production(people: Cast) -> None:
    bob = actor(people.bob, people.acme)
    other = User.objects.get(email=people.alice.email)
    first = save_prompt(bob, "Refund bot", "first", Settings(), note="", shared=True)
    move_label(bob, first, "production")
    save_prompt(bob, "Refund bot", "second", Settings(), note="", shared=True)
    PromptVersion.objects.filter(number=2).update(user=other, created_at=clock.now())
    save_prompt(bob, "Other", "third", Settings(), note="", shared=True)
    last = PromptVersion.objects.get(number=2)
    row: Any
    (row,) = annotate_last_version(visible_prompts(bob)).filter(slug="refund-bot")
    assert (row.last_number, row.last_model, row.last_at, row.last_by, row.in_production) == (
        2, "second", last.created_at, other.email, 1,
    )  # fmt: skip
    assert [(one.slug, number) for one, number in search_prompts(bob, "")] == [
        ("other", 1), ("refund-bot", 1),
    ]  # fmt: skip
    assert [one.slug for one, _ in search_prompts(bob, " REFUND ")] == ["refund-bot"]
