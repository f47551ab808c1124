import pytest

from gateway.providers.capabilities import UNKNOWN
from gateway.providers.overrides import (
    CAPABILITIES,
    UNSAID,
    Overrides,
    apply_overrides,
    switched_off,
)


def test_operator_enables_an_unknown_capability() -> None:
    can = apply_overrides(UNSAID, frozenset((name, True) for name in CAPABILITIES))
    assert can.tools
    assert can.json == "schema"
    assert can.inputs == {"text", "image", "audio", "file"}
    assert can.thinking == "effort"


def test_operator_disables_a_catalogued_capability() -> None:
    can = apply_overrides(UNKNOWN, frozenset((name, False) for name in CAPABILITIES))
    assert not can.tools
    assert not can.parallel_tools
    assert can.json == "object"
    # A schema is told in words.
    assert "json_object_only" in can.flags
    assert can.inputs == {"text", "video"}
    assert (can.thinking, can.efforts) == ("never", ())
    assert apply_overrides(can, frozenset({("schema", True)})).flags == UNKNOWN.flags


def test_nothing_else_changes() -> None:
    assert apply_overrides(UNKNOWN, frozenset()) == UNKNOWN


@pytest.mark.parametrize(
    ("overrides", "media", "tools", "off"),
    [
        ({("tools", False)}, (), True, "tools"),
        ({("tools", False)}, (), False, None),
        ({("tools", True)}, (), True, None),
        ({("vision", False)}, ("image",), True, "vision"),
        ({("audio", False), ("files", False)}, ("file",), False, "files"),
        ({("vision", True), ("reasoning", False)}, ("image",), False, None),
    ],
)
def test_capabilities_a_request_needs(
    overrides: Overrides, media: tuple[str, ...], tools: bool, off: str | None
) -> None:
    assert switched_off(frozenset(overrides), media, tools=tools) == off
