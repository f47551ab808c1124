from gateway.model_entries.rules import ModelEntry, is_visible, merge_entries, overrides_of
from gateway.providers.capabilities import UNKNOWN
from gateway.providers.overrides import apply_overrides

DAY = 86_400.0


def test_one_of_each_stated_list_must_match() -> None:
    everybody = ModelEntry("m")
    assert everybody.visible_to(None, "")
    paying = ModelEntry("m", price_plan_ids=frozenset({1, 2}))
    assert paying.visible_to(2, "")
    assert not paying.visible_to(3, "owner")
    assert not paying.visible_to(None, "owner")
    both = ModelEntry("m", price_plan_ids=frozenset({1}), roles=frozenset({"owner"}))
    assert both.visible_to(1, "owner")
    assert not both.visible_to(1, "developer")
    assert not both.visible_to(2, "owner")
    # A key that is nobody's has no role, and a plan that is no more has nobody.
    assert not ModelEntry("m", roles=frozenset({"owner"})).visible_to(None, "")
    assert not ModelEntry("m", price_plan_ids=frozenset()).visible_to(None, "")
    assert is_visible(None, None)


def test_the_headers_are_those_of_the_two_standards() -> None:
    """RFC 9745: a structured field Date; RFC 8594: an HTTP date."""
    entry = ModelEntry("m", deprecated_at=1_688_169_599, sunset_at=1_688_169_599 + DAY)
    assert entry.notices(1_688_169_598) == ()
    assert entry.notices(1_688_169_599) == (
        ("deprecation", "@1688169599"),
        ("sunset", "Fri, 30 Jun 2023 23:59:59 GMT".replace("Fri, 30 Jun", "Sat, 01 Jul")),
    )
    assert ModelEntry("m", deprecated_at=5.0).notices(9.0) == (("deprecation", "@5"),)
    assert ModelEntry("m").notices(9.0) == ()
    assert not entry.ended(1_688_169_599)
    assert entry.ended(1_688_169_599 + DAY)
    assert not ModelEntry("m", deprecated_at=5.0).ended(9e9)


def test_channel_overrides_model_and_model_overrides_catalogue() -> None:
    overrides = overrides_of({"tools": False, "vision": True}, 4096, None)
    assert overrides == {("tools", False), ("vision", True), ("context_max", 4096)}
    can = apply_overrides(UNKNOWN, overrides)
    assert (can.tools, can.context_max, can.output_max) == (False, 4096, None)
    can = apply_overrides(UNKNOWN, merge_entries(overrides, {("tools", True)}))
    assert (can.tools, can.context_max) == (True, 4096)
    assert apply_overrides(UNKNOWN, overrides_of({}, None, 77)).output_max == 77
