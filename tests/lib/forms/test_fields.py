"""What bodies, files and forms take from a table of fields."""

from typing import Annotated, Any, Literal, TypedDict

import pytest
from django import forms
from django.utils.translation import override
from pydantic import BaseModel, Field, Strict, ValidationError

from gateway.models import Channel
from lib.forms.fields import (
    Words,
    fields_of,
    lock_fields,
    offer_fields,
    show_fields,
    take_fields,
)

Share = Annotated[int, Strict(), Field(ge=0, le=9)]


class Table(TypedDict, total=False):
    enabled: Annotated[bool, Strict(), Words("On", "Requests can use this channel.")]
    weight: Annotated[Share, Words("Weight", "Share.", reference="A share.")]
    rpm: Annotated[Share | None, Words("Requests per minute")]
    on_leave: Annotated[
        Literal["cancel", "drain"], Words("On leave", choices={"cancel": "Stop", "drain": "Go on"})
    ]
    base_url: Annotated[str, Field(max_length=5)]


@take_fields(Table, Channel)
class Sent(BaseModel):
    """What is sent."""

    base_url: str = "own"
    name: str


@show_fields(Table)
class Shown(BaseModel):
    id: str


@offer_fields(Table)
class Offered(forms.Form):
    name = forms.CharField()


def properties(kind: type[BaseModel]) -> dict[str, Any]:
    return dict(kind.model_json_schema()["properties"])


def test_a_body_has_bounds_defaults_and_descriptions_of_the_table() -> None:
    sent = properties(Sent)
    assert [*sent] == ["base_url", "name", "enabled", "weight", "rpm", "on_leave"]
    assert sent["weight"] == {
        "default": 1, "description": "A share.", "maximum": 9, "minimum": 0, "title": "Weight",
        "type": "integer",
    }  # fmt: skip
    assert sent["enabled"]["description"] == "Requests can use this channel."
    assert Sent.model_json_schema()["description"] == "What is sent."
    default = Sent.model_validate({"name": "n"}).model_dump()
    assert default == {
        "base_url": "own", "name": "n", "enabled": True, "weight": 1, "rpm": None,
        "on_leave": "cancel",
    }  # fmt: skip
    assert type(default["on_leave"]) is str


@pytest.mark.parametrize("wrong", [{"weight": 10}, {"weight": "1"}, {"enabled": 1}, {"rpm": -1}])
def test_a_body_refuses_what_the_table_does(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        Sent.model_validate({"name": "n", **wrong})


def test_answer_needs_every_field_and_ignores_bounds() -> None:
    assert set(Shown.model_json_schema()["required"]) == {"id", *fields_of(Table)}
    assert properties(Shown)["weight"] == {"title": "Weight", "type": "integer"}


def test_a_form_offers_the_fields_with_a_label() -> None:
    assert [*Offered.base_fields] == ["enabled", "weight", "rpm", "on_leave", "name"]
    weight, rpm = Offered.base_fields["weight"], Offered.base_fields["rpm"]
    assert isinstance(weight, forms.IntegerField)
    assert (weight.min_value, weight.max_value, weight.required, rpm.required) == (
        0,
        9,
        True,
        False,
    )
    on_leave = Offered.base_fields["on_leave"]
    assert isinstance(on_leave, forms.ChoiceField)
    assert on_leave.choices == [("cancel", "Stop"), ("drain", "Go on")]
    form = Offered({"weight": "10", "rpm": "", "on_leave": "drain", "name": "n"})
    assert set(form.errors) == {"weight"}
    assert (form.cleaned_data["enabled"], form.cleaned_data["on_leave"]) == (False, "drain")


def test_form_uses_its_readers_language() -> None:
    with override("zh-hans"):
        assert str(Offered.base_fields["weight"].label) == "权重"
    assert str(Offered.base_fields["weight"].label) == "Weight"
    assert str(Offered.base_fields["rpm"].help_text) == ""


@pytest.mark.parametrize(
    ("weight", "rpm", "wrong"),
    [
        ("9", "", []),
        ("0", "3", []),
        ("10", "", ["weight"]),
        ("-1", "", ["weight"]),
        ("", "", ["weight"]),
        ("1.0", "", ["weight"]),
        ("1", "1_0", ["rpm"]),
        ("1", "10", ["rpm"]),
    ],
)
def test_form_checks_the_bounds_of_the_table(weight: str, rpm: str, wrong: list[str]) -> None:
    form = Offered({"name": "x", "weight": weight, "rpm": rpm, "on_leave": "drain"})
    form.is_valid()
    assert [*form.errors] == wrong


def test_field_that_the_environment_sets_cannot_be_changed() -> None:
    form = Offered(
        {"weight": "9", "name": "x", "rpm": "", "on_leave": "drain"}, initial={"weight": 3}
    )
    lock_fields(form, {"weight": "WEIR_WEIGHT", "none": "WEIR_NONE"})
    assert form.is_valid()
    assert form.cleaned_data["weight"] == 3
    assert "WEIR_WEIGHT" in str(form.fields["weight"].help_text)
    assert not form.fields["name"].disabled
