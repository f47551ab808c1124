"""The flags of a model on a request that goes on as it came."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dialects.chat.chat import Effort, Flag, Upstream
from dialects.errors.errors import RequestFault
from dialects.json.body import read_body
from dialects.openai.request.quirks import calls_without_reasoning, needs_fit, quirks_for
from dialects.openai.request.read import edit, read

USER = {"role": "user", "content": "hi"}
CALLED = {"role": "assistant", "content": None, "tool_calls": [{"id": "c", "function": {}}]}
HIGHS: tuple[Effort, ...] = ("high", "max")


def body(**members: Any) -> bytes:
    return json.dumps({"model": "m", "messages": [USER]} | members).encode()


def fitted(
    raw: bytes,
    *flags: Flag,
    efforts: tuple[Effort, ...] = (),
    thoughts: dict[str, str] | None = None,
    cap: int | None = None,
    budget_max: int | None = None,
) -> tuple[dict[str, Any], tuple[str, ...]]:
    """The members that the upstream gets beside model and messages, and what was dropped."""
    facts = read(raw)
    upstream = Upstream("m", frozenset(flags), efforts=efforts, budget_max=budget_max)
    quirks = quirks_for(facts.body, upstream, thoughts or {})
    body = json.loads(edit(facts, "m", output_cap=cap, quirks=quirks))
    del body["model"]
    if body["messages"] == json.loads(raw)["messages"]:
        del body["messages"]
    return body, quirks.dropped


@pytest.mark.parametrize(
    ("flag", "given", "expected", "dropped"),
    [
        ("max_completion_tokens_only", {"max_tokens": 9}, {"max_completion_tokens": 9}, ()),
        ("max_completion_tokens_only", {"max_completion_tokens": 9},
         {"max_completion_tokens": 9}, ()),
        ("max_completion_tokens_only", {"max_tokens": 5, "max_completion_tokens": 9},
         {"max_completion_tokens": 9}, ()),
        ("no_sampling", {"temperature": 0.5, "logit_bias": {}, "seed": 1, "n": 2}, {"seed": 1},
         ("temperature", "logit_bias", "n")),
        ("no_sampling", {"temperature": 0.5, "reasoning_effort": "none", "n": 1},
         {"temperature": 0.5, "reasoning_effort": "none", "n": 1}, ()),
        ("no_penalties_no_stop", {"stop": "a", "presence_penalty": 1, "top_p": 1}, {"top_p": 1},
         ("presence_penalty", "stop")),
        ("no_parallel_tools", {"parallel_tool_calls": False}, {}, ("parallel_tool_calls",)),
        ("no_reasoning_effort", {"reasoning_effort": "low", "thinking": {"type": "enabled"}}, {},
         ("reasoning_effort", "thinking")),
        ("no_logprobs", {"logprobs": True, "top_logprobs": 2, "logit_bias": {}, "top_p": 1},
         {"top_p": 1}, ("logprobs", "top_logprobs", "logit_bias")),
        ("mistral_form", {"seed": 7, "max_completion_tokens": 9, "safe_prompt": True},
         {"random_seed": 7, "max_tokens": 9, "safe_prompt": True}, ()),
        ("mistral_form", {"stream": True, "stream_options": {"include_usage": True}},
         {"stream": True}, ()),
        ("mistral_form", {"user": "u", "logprobs": True, "made_up": 1}, {},
         ("user", "logprobs", "made_up")),
        ("temperature_max_1", {"temperature": 1.5}, {"temperature": 1}, ()),
        ("temperature_max_1", {"temperature": 0.7}, {"temperature": 0.7}, ()),
        ("thinking_switch", {"reasoning_effort": "high"}, {"thinking": {"type": "enabled"}}, ()),
        ("thinking_switch", {"enable_thinking": False}, {"thinking": {"type": "disabled"}}, ()),
        ("thinking_switch", {"thinking": {"type": "enabled", "x": 1}},
         {"thinking": {"type": "enabled", "x": 1}}, ()),
        ("thinking_switch", {}, {}, ()),
        ("thinking_switch", {"thinking": {"type": "adaptive"}, "thinking_budget": 2000},
         {"thinking": {"type": "enabled"}}, ("thinking_budget",)),
        ("thinking_switch", {"enable_thinking": True, "thinking_budget": 2000},
         {"thinking": {"type": "enabled"}}, ("thinking_budget",)),
        ("enable_thinking_switch", {"thinking": {"type": "disabled"}},
         {"enable_thinking": False}, ()),
        ("enable_thinking_switch", {"enable_thinking": True}, {"enable_thinking": True}, ()),
        ("tool_choice_auto_only", {"tool_choice": "required", "tools": [{}]}, {"tools": [{}]},
         ("tool_choice",)),
        ("tool_choice_auto_only", {"tool_choice": "none", "tools": [{}]}, {}, ("tool_choice",)),
        ("tool_choice_auto_only", {"tool_choice": "auto"}, {"tool_choice": "auto"}, ()),
        ("params_object",
         {"parameters": {"enable_search": True, "temperature": 0.1, "incremental_output": True},
          "temperature": 0.9},
         {"enable_search": True, "temperature": 0.1}, ("parameters.incremental_output",)),
        ("params_object", {"parameters": 3}, {}, ("parameters",)),
        ("top_k", {"parameters": {"a": 1}}, {}, ("parameters",)),
        ("parameters_whole", {"parameters": {"a": 1}}, {"parameters": {"a": 1}}, ()),
    ],
)  # fmt: skip
def test_flag(
    flag: Flag, given: dict[str, Any], expected: dict[str, Any], dropped: tuple[str, ...]
) -> None:
    assert fitted(body(**given), flag) == (expected, dropped)


def test_depth_uses_the_models_own_words() -> None:
    """DeepSeek v4 knows high and max alone."""
    flags: tuple[Flag, ...] = ("thinking_switch", "reasoning_content_rule")
    for effort, expected in [("low", "high"), ("high", "high"), ("xhigh", "max"), ("max", "max")]:
        got, _ = fitted(body(reasoning_effort=effort), *flags, efforts=HIGHS)
        assert got == {"thinking": {"type": "enabled"}, "reasoning_effort": expected}
    got, _ = fitted(body(reasoning_effort="none"), *flags, efforts=HIGHS)
    assert got == {"thinking": {"type": "disabled"}}


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"reasoning_effort": "low"}, {"enable_thinking": True, "thinking_budget": 2048}),
        ({"reasoning_effort": "high"}, {"enable_thinking": True, "thinking_budget": 4000}),
        ({"reasoning_effort": "none"}, {"enable_thinking": False}),
        ({"reasoning_effort": "high", "enable_thinking": False}, {"enable_thinking": False}),
        ({"thinking": {"type": "enabled", "budget_tokens": 3000}, "reasoning_effort": "low"},
         {"enable_thinking": True, "thinking_budget": 3000}),
        ({"thinking": {"type": "enabled", "budget_tokens": "3000"}}, {"enable_thinking": True}),
        ({"thinking": {"type": "enabled", "budget_tokens": -1}}, {"enable_thinking": True}),
        ({"thinking": {"type": "adaptive"}}, {"enable_thinking": True}),
        ({"reasoning_effort": "high", "thinking_budget": 9},
         {"enable_thinking": True, "thinking_budget": 9}),
    ],
)  # fmt: skip
def test_a_depth_becomes_the_budget_of_a_model_with_budgets(
    given: dict[str, Any], expected: dict[str, Any]
) -> None:
    """Without it, Qwen thinks without a limit, which the client pays for."""
    got = fitted(body(**given), "enable_thinking_switch", "params_object", budget_max=4000)
    assert got == (expected, ())


def test_thinking_off_by_default_is_stated() -> None:
    flags: tuple[Flag, ...] = ("thinking_switch", "thinking_default_off")
    assert fitted(body(), *flags)[0] == {"thinking": {"type": "disabled"}}
    assert fitted(body(reasoning_effort="low"), *flags)[0] == {"thinking": {"type": "enabled"}}


def test_a_forced_tool_switches_thinking_off() -> None:
    flags: tuple[Flag, ...] = ("enable_thinking_switch", "thinking_no_forced_tool")
    raw = body(tool_choice="required", enable_thinking=True, thinking_budget=9)
    assert fitted(raw, *flags)[0] == {"tool_choice": "required", "enable_thinking": False}


def test_cap_uses_the_models_own_name() -> None:
    new: Flag = "max_completion_tokens_only"
    assert fitted(body(), new, cap=7)[0] == {"max_completion_tokens": 7}
    assert fitted(body(max_tokens=99), new, cap=7)[0] == {"max_completion_tokens": 7}
    assert fitted(body(max_tokens=99), "no_sampling", cap=7)[0] == {"max_tokens": 7}
    fitted_body, _ = fitted(body(parameters={"max_tokens": 99}), "params_object", cap=7)
    assert fitted_body == {"max_tokens": 7}


def test_a_schema_goes_into_a_sentence() -> None:
    form = {"type": "json_schema", "json_schema": {"name": "n", "schema": {"type": "object"}}}
    fitted_body, dropped = fitted(body(response_format=form), "json_object_only")
    assert (fitted_body["response_format"], dropped) == ({"type": "json_object"}, ())
    system, user = fitted_body["messages"]
    assert user == USER
    assert '{"type":"object"}' in system["content"]
    fitted_body, _ = fitted(
        body(
            messages=[{"role": "system", "content": "Be kind.", "name": "x"}, USER],
            response_format=form,
        ),
        "json_object_only",
    )
    assert fitted_body["messages"][0]["content"].startswith("Be kind.\n\nAnswer")
    assert (fitted_body["messages"][0]["name"], len(fitted_body["messages"])) == ("x", 2)
    plain = {"response_format": {"type": "json_object"}}
    assert len(fitted(body(**plain), "json_object_only")[0]["messages"]) == 2
    raw = body(messages=[{"role": "user", "content": "as JSON"}], **plain)
    assert "messages" not in fitted(raw, "json_object_only")[0]


def test_calls_carry_the_reasoning_that_led_to_them() -> None:
    kept = CALLED | {"reasoning_content": "mine"}
    plain = {"role": "assistant", "content": "yes"}
    raw = body(messages=[USER, CALLED, kept, plain])
    assert calls_without_reasoning(read_body(raw)) == ["c"]
    fitted_body, _ = fitted(raw, "reasoning_content_rule", thoughts={"c": "hm"})
    assert fitted_body["messages"] == [USER, CALLED | {"reasoning_content": "hm"}, kept, plain]
    # The member must be there, even when its text is lost.
    fitted_body, _ = fitted(raw, "reasoning_content_rule")
    assert fitted_body["messages"][1]["reasoning_content"] == ""


def test_lost_search_is_rejected() -> None:
    with pytest.raises(RequestFault) as caught:
        fitted(body(web_search_options={}), "no_web_search_options")
    assert (caught.value.kind, caught.value.param) == (
        "unsupported_capability",
        "web_search_options",
    )


def test_only_flags_and_parameters_matter() -> None:
    plain, own = read_body(body()), read_body(body(parameters={}))
    assert not needs_fit(plain, frozenset({"developer_role", "top_k"}))
    assert needs_fit(plain, frozenset({"no_sampling"}))
    assert needs_fit(own, frozenset())
    assert not needs_fit(own, frozenset({"parameters_whole"}))


@given(
    st.dictionaries(
        st.sampled_from(["temperature", "seed", "x", "thinking", "tools", "top_p"]),
        st.integers(0, 1) | st.none(),
    ),
    st.sets(
        st.sampled_from(
            ["no_sampling", "no_penalties_no_stop", "thinking_switch", "tool_choice_auto_only"]
        )
    ),
)
def test_other_members_keep_their_bytes(members: dict[str, Any], flags: set[Any]) -> None:
    raw = body(**members).replace(b'"hi"', b'"\\u0068i" ')
    facts = read(raw)
    quirks = quirks_for(facts.body, Upstream("m", frozenset(flags)), {})
    edited = edit(facts, "m", quirks=quirks)
    if not quirks.edits:
        assert edited == raw
    for name, span in facts.body.members.items():
        value = raw[span.start : span.end]
        assert name in quirks.edits or read_body(edited).value(name) == (
            None if value == b"null" else value
        )


def test_developer_role_becomes_system_where_unknown() -> None:
    """DeepSeek: unknown variant `developer`, expected one of `system`, `user` (2026-07)."""
    instruction = {"role": "developer", "content": [{"type": "text", "text": "be"}], "name": "n"}
    question = {"role": "user", "content": '"developer"'}
    raw = body(messages=[instruction, question, instruction])
    members, dropped = fitted(raw, "no_developer_role")
    assert members == {
        "messages": [instruction | {"role": "system"}, question, instruction | {"role": "system"}]
    }
    assert dropped == ()
    assert fitted(raw, "developer_role") == ({}, ())
    raw = body(messages=[question])
    assert edit(read(raw), "m", quirks=quirks_for(read(raw).body, FLAG, {})) == raw
    sentence = fitted(
        body(
            messages=[instruction | {"content": "be"}, USER],
            response_format={"type": "json_object"},
        ),
        "no_developer_role",
        "json_object_only",
    )[0]["messages"]
    assert [message["role"] for message in sentence] == ["system", "user"]
    assert sentence[0]["content"].startswith("be\n\n")


FLAG = Upstream("m", frozenset({"no_developer_role"}))


def test_a_cap_of_ours_replaces_a_renamed_one() -> None:
    asked = body(max_completion_tokens=9, stream=True)
    assert fitted(asked, "mistral_form", cap=5)[0] == {"max_tokens": 5, "stream": True}
    assert fitted(body(), "mistral_form", cap=5)[0] == {"max_tokens": 5}


def test_mistral_gets_messages_in_its_form() -> None:
    """It refuses reasoning, names and ids of calls of other makers."""
    messages = [
        {"role": "developer", "content": "Be brief.", "name": "d"},
        {"role": "user", "content": "hi", "name": "u"},
        {
            "role": "assistant",
            "content": None,
            "reasoning_content": "hm",
            "tool_calls": [{"id": "call_1", "function": {}}, {"id": "A1b2C3d4E", "function": {}}],
        },
        {"role": "tool", "tool_call_id": "call_1", "content": "1", "name": "f"},
        {"role": "tool", "tool_call_id": "A1b2C3d4E", "content": "2"},
    ]
    sent, dropped = fitted(body(messages=messages), "mistral_form", "no_developer_role")
    system, user, called, first, second = sent["messages"]
    assert (system, user) == (
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "hi"},
    )
    assert called.keys() == {"role", "content", "tool_calls"}
    ids = [call["id"] for call in called["tool_calls"]]
    assert ids == [first["tool_call_id"], "A1b2C3d4E"]
    assert len(ids[0]) == 9
    assert ids[0].isalnum()
    assert (first["name"], second["tool_call_id"]) == ("f", "A1b2C3d4E")
    assert dropped == ()


def test_each_edit_of_the_messages_keeps_the_others() -> None:
    named = CALLED | {"name": "n"}
    raw = body(messages=[{"role": "developer", "content": "d", "name": "n"}, USER, named])
    flags: tuple[Flag, ...] = (
        "no_developer_role", "reasoning_content_rule", "no_message_names", "json_object_only",
    )  # fmt: skip
    system = {"role": "system", "content": "d"}
    thoughtful = CALLED | {"reasoning_content": "hm"}
    got, _ = fitted(raw, *flags, thoughts={"c": "hm"})
    assert got["messages"] == [system, USER, thoughtful]
    asked = json.loads(raw) | {"response_format": {"type": "json_object"}}
    got, _ = fitted(json.dumps(asked).encode(), *flags, thoughts={"c": "hm"})
    first, *others = got["messages"]
    assert first["content"].startswith("d\n\n")
    assert others == [USER, thoughtful]


def test_messages_without_names() -> None:
    messages = [
        {"role": "user", "content": 'the "name"', "name": "u"},
        {"role": "tool", "tool_call_id": "c", "content": "1", "name": "f"},
    ]
    sent, _ = fitted(body(messages=messages), "no_message_names")
    assert sent["messages"] == [{"role": "user", "content": 'the "name"'}, messages[1]]
