"""Settings: what a form says, what is stored, and where it is wrong."""

import json
from typing import Any

import pytest

from content.prompts.settings import Settings
from content.prompts.variables import fill, missing, names_in
from gateway.providers.capabilities import UNKNOWN
from playground.panel.json_text import InvalidJson, parse_json
from playground.panel.parameters import InvalidSetting, parameters_of
from playground.panel.settings import (
    SYSTEM_MAX,
    read_raw,
    read_settings,
    read_tools,
    unknown_members,
)

PARAMETERS = parameters_of(UNKNOWN)
WEATHER: dict[str, Any] = {
    "name": "get_weather",
    "parameters": {"type": "object", "properties": {"city": {"type": "string"}}},
    "mock": {"sky": "clear"},
}


def read(**form: str) -> Settings:
    return read_settings(
        {name.replace("__", "."): word for name, word in form.items()}, PARAMETERS
    )[0]


def test_settings_are_stored_and_returned() -> None:
    settings = read(
        p__temperature="0.2",
        system="You are {{who}}.",
        var__who="a clerk",
        var__other="nobody asks",
        tools=json.dumps([WEATHER]),
        tool_choice="get_weather",
        serial="on",
        schema='{"type": "object"}',
        strict="on",
        max_cost="$0.05",
    )
    stored = settings.stored()
    assert stored == {
        "params": {"temperature": 0.2},
        "system": "You are {{who}}.",
        "variables": {"who": "a clerk"},
        "tools": [WEATHER],
        "tool_choice": "get_weather",
        "serial": True,
        "schema": {"type": "object"},
        "strict": True,
        "max_cost": "0.05",
    }
    assert Settings.from_stored(stored).stored() == stored
    assert Settings().stored() == {}


@pytest.mark.parametrize(
    ("form", "stored"),
    [
        ({"system": "Be\r\nbrief."}, {"system": "Be\nbrief."}),
        ({"trim": "oldest"}, {"trim": True}),
        ({"trim": "newest"}, {}),
        ({"strict": "on"}, {"strict": True}),
        ({"raw": '{"a": 1}'}, {"raw": {"a": 1}}),
        ({"raw": " ", "schema": " ", "tools": " ", "max_cost": " "}, {}),
        # Without tools, what is chosen of them is not kept.
        ({"tool_choice": "auto", "serial": "on"}, {}),
        ({"var.who": "a clerk"}, {}),
        ({"system": "{{who}}", "var.who": ""}, {"system": "{{who}}"}),
    ],
)
def test_each_field_of_a_form_is_kept_alone(form: dict[str, str], stored: dict[str, Any]) -> None:
    assert read_settings(form, PARAMETERS)[0].stored() == stored


def test_tools_may_come_in_the_form_of_the_api() -> None:
    written = json.dumps([{"type": "function", "function": {"name": "f"}}])
    assert read_tools(written) == [{"name": "f"}]


@pytest.mark.parametrize(
    ("form", "code", "path"),
    [
        ({"tools": "["}, "no_json", None),
        ({"tools": "{}"}, "no_list", None),
        ({"tools": '[{"name": "a b"}]'}, "no_name", "/0/name"),
        ({"tools": '[{"name": "a"}, {"name": "a"}]'}, "twice", "/1/name"),
        ({"tools": '[{"name": "a", "colour": 1}]'}, "unknown_member", "/0/colour"),
        ({"tools": '[{"name": "a", "always": true}]'}, "no_mock", "/0/mock"),
        ({"tools": '[{"name": "a", "parameters": {"type": "objet"}}]'}, "bad_schema",
         "/0/parameters/type"),
        ({"schema": "[]"}, "no_object", "/"),
        ({"schema": '{"properties": {"a": {"minimum": "1"}}}'}, "bad_schema",
         "/properties/a/minimum"),
        ({"raw": '{"messages": []}'}, "reserved", "/messages"),
        ({"raw": "[]"}, "no_object", "/"),
        ({"raw": "7"}, "no_object", "/"),
        ({"raw": "{"}, "no_json", None),
        ({"schema": "{"}, "no_json", None),
        ({"tools": "[7]"}, "no_object", "/0"),
        ({"tools": '[{"name": 7}]'}, "no_name", "/0/name"),
        ({"tools": '[{"name": "a", "description": 7}]'}, "wrong_type", "/0/description"),
        ({"tools": '[{"name": "a", "strict": "on"}]'}, "wrong_type", "/0/strict"),
        ({"tools": '[{"name": "a", "always": 1}]'}, "wrong_type", "/0/always"),
        ({"system": "x" * (SYSTEM_MAX + 1)}, "too_long", None),
        ({"p.temperature": "warm"}, "no_number", None),
        ({"raw": '{"a": 1, "a": 2}'}, "no_json", None),
        ({"max_cost": "much"}, "no_amount", None),
        ({"tool_choice": "nobody"}, "no_choice", None),
    ],
)  # fmt: skip
def test_invalid_setting_has_its_place(form: dict[str, str], code: str, path: str | None) -> None:
    with pytest.raises(InvalidSetting) as wrong:
        read_settings(form, PARAMETERS)
    assert wrong.value.field == next(iter(form)).removeprefix("p.")
    assert (wrong.value.code, wrong.value.detail.get("path")) == (code, path)


def test_unknown_body_fields_are_named() -> None:
    body = read_raw('{"temperature": 1, "logit_glow": true}')
    assert body is not None
    assert unknown_members(body) == ("logit_glow",)


def test_written_json_has_one_reading_and_a_place_for_its_faults() -> None:
    with pytest.raises(InvalidJson) as unreadable:
        parse_json('{\n  "a": }')
    assert (unreadable.value.line, unreadable.value.column) == (2, 8)
    for text in (
        '{"a": NaN}', '{"a": "\\u0000"}', "[" * 100 + "]" * 100, '{"a": 1, "a": 1}',
        '{"a": "\\ud83d"}', '{"\\uDC00": 1}',
    ):  # fmt: skip
        with pytest.raises(InvalidJson):
            parse_json(text)
    assert parse_json('"\\ud83d\\ude00"') == "😀"


def test_variables_are_replaced_once() -> None:
    text = "{{ who }} and {{who}} and {{2}} {{what}}"
    assert names_in(text) == ("who", "what")
    assert fill(text, {"who": "{{what}}"}) == "{{what}} and {{what}} and {{2}} "
    assert missing(text, {"who": " ", "what": "x"}) == ("who",)
