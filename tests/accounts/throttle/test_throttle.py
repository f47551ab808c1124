import datetime as dt
from typing import get_args

import pytest

from accounts.throttle.throttle import (
    KNOWN_FOR,
    Action,
    Limit,
    limits_of_codes,
    limits_of_failures,
    limits_of_form,
    limits_of_invitations,
    limits_of_letters,
    limits_of_person,
    network_of,
)


@pytest.mark.parametrize(
    ("address", "network"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:db8:1:2::", "2001:db8:1:2::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("", ""),
        ("no address", "no address"),
    ],
)
def test_the_network_of_an_address(address: str, network: str) -> None:
    assert network_of(address) == network


FORMS: dict[Action, int] = {
    "sign_in": 30, "sign_up": 20, "ask_reset": 20, "reset": 20, "change_password": 20,
    "second_factor": 30, "passkey": 30, "confirm": 20, "device": 20, "device_begin": 30,
    "device_poll": 300,
}  # fmt: skip


@pytest.mark.parametrize("action", get_args(Action))
def test_each_form_is_limited_per_network_and_minute(action: Action) -> None:
    assert limits_of_form(action, "n") == (Limit(f"{action} n", FORMS[action], 60),)


def test_number_of_tolerated_wrong_tries() -> None:
    """Known networks have a count of their own and no share of the account's."""
    here = Limit("failed n", 10, 60)
    assert limits_of_failures("A@b", "n", known=True) == (here, Limit("failed a@b n", 20, 300))
    assert limits_of_failures("A@b", "n", known=False) == (
        here, Limit("failed a@b n", 5, 300), Limit("failed a@b", 20, 300),
    )  # fmt: skip
    assert limits_of_codes(7, "n", known=False) == limits_of_failures("code of 7", "n", known=False)
    assert limits_of_codes(7, "n", known=True) == limits_of_failures("code of 7", "n", known=True)
    assert limits_of_person(7) == (Limit("change_password of 7", 5, 60),)


def test_emails_are_limited_per_address_and_per_organisation() -> None:
    assert limits_of_letters("A@b") == (Limit("letter a@b", 5, 60),)
    assert limits_of_invitations("A@b", "o") == (
        Limit("letter a@b", 5, 60), Limit("invitations of o", 100, 3600),
    )  # fmt: skip


def test_a_network_is_known_for_half_a_year() -> None:
    assert dt.timedelta(days=180) == KNOWN_FOR
