from typing import Any

import pytest

from accounts.single_sign_on.rules import (
    ClaimsRefused,
    Granted,
    GroupRule,
    email_of_domain,
    grant_from_groups,
    groups_of,
)

RULES = (
    GroupRule("leads", "admin"),
    GroupRule("ml", "developer", ("core", "lab")),
    GroupRule("web", "viewer", ("shop", "core")),
)


@pytest.mark.parametrize(
    ("groups", "default", "expected"),
    [
        ({"ml"}, "", Granted("developer", ("core", "lab"))),
        # The first rule gives the role, every rule its teams.
        ({"web", "ml"}, "", Granted("developer", ("core", "lab", "shop"))),
        # A rule without teams is about all of them.
        ({"leads", "ml"}, "", Granted("admin")),
        ({"others"}, "viewer", Granted("viewer")),
    ],
)
def test_groups_give_a_role_and_teams(groups: set[str], default: str, expected: Granted) -> None:
    assert grant_from_groups(groups, RULES, default) == expected


def test_no_group_and_no_default_is_refused() -> None:
    with pytest.raises(ClaimsRefused) as refused:
        grant_from_groups({"others"}, RULES, "")
    assert refused.value.reason == "no_role"


@pytest.mark.parametrize(
    ("value", "expected"),
    [(["a", "b"], {"a", "b"}), ("ab", {"ab"}), (None, set()), (7, set()), (["a", 7, None], {"a"})],
)
def test_groups_are_read_off_a_claim(value: Any, expected: set[str]) -> None:
    assert groups_of({"groups": value}, "groups") == expected
    assert groups_of({"groups": value}, "") == set()


@pytest.mark.parametrize(
    ("claims", "confirmed", "reason"),
    [
        ({}, True, "no_email"),
        ({"email": 7, "email_verified": True}, True, "no_email"),
        ({"email": "a@b@acme.example", "email_verified": True}, True, "no_email"),
        ({"email": "a@acme.example"}, True, "unverified_email"),
        ({"email": "a@acme.example", "email_verified": "true"}, True, "unverified_email"),
        ({"email": "a@acme.example", "email_verified": False}, True, "unverified_email"),
        *(
            ({"email": "a@acme.example", "xms_edov": value}, True, "unverified_email")
            for value in (False, None, "0", "false", "", 0, [True])
        ),
        # What the provider says itself comes first.
        (
            {"email": "a@acme.example", "email_verified": False, "xms_edov": True},
            True,
            "unverified_email",
        ),
        ({"email": "a@other.example", "xms_edov": True}, True, "foreign_domain"),
        ({"email": "a@acme.example", "xms_edov": True}, False, "unconfirmed_domain"),
        ({"email": "a@other.example", "email_verified": True}, True, "foreign_domain"),
        ({"email": "a@sub.acme.example", "email_verified": True}, True, "foreign_domain"),
        ({"email": "a@acme.example\n", "email_verified": True}, True, "no_email"),
        ({"email": "a b@acme.example", "email_verified": True}, True, "no_email"),
        ({"email": "a@acme.example.", "email_verified": True}, True, "foreign_domain"),
        ({"email": "a@acm\u00e9.example", "email_verified": True}, True, "foreign_domain"),
        ({"email": "a@acme.example", "email_verified": True}, False, "unconfirmed_domain"),
    ],
)
def test_no_account_is_taken_over(claims: dict[str, Any], confirmed: bool, reason: str) -> None:
    with pytest.raises(ClaimsRefused) as refused:
        email_of_domain(claims, ["acme.example"], ["acme.example"] if confirmed else [])
    assert refused.value.reason == reason


@pytest.mark.parametrize(
    "verified", [{"email_verified": True}, {"xms_edov": True}, {"xms_edov": "1"}]
)
def test_a_verified_address_of_an_own_domain_is_taken(verified: dict[str, Any]) -> None:
    """Entra's optional claim comes in both forms."""
    claims = {"email": "Ada@ACME.example", **verified}
    assert email_of_domain(claims, ["acme.example"], ["acme.example"]) == "ada@acme.example"


def test_domain_lookalike_letters_do_not_match() -> None:
    """The Kelvin sign is a k in small letters."""
    claims = {"email": "ada@\N{KELVIN SIGN}.example", "email_verified": True}
    with pytest.raises(ClaimsRefused, match="foreign_domain"):
        email_of_domain(claims, ["k.example"], ["k.example"])
