import pytest

from accounts.sign_in.throttle import limits_of_failures, limits_of_form, network_of


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


def subjects(email: str, network: str, *, known: bool) -> set[str]:
    return {limit.subject for limit in limits_of_failures(email, network, known=known)}


def test_a_known_network_shares_no_count_of_the_account_with_strangers() -> None:
    owner = subjects("bob@example.org", "192.0.2.1", known=True)
    for network in ("192.0.2.2", "2001:db8::/64"):
        assert not owner & subjects("bob@example.org", network, known=False)


def test_one_account_has_one_count_however_it_is_written() -> None:
    assert subjects("Bob@Example.org", "n", known=False) == subjects(
        "bob@example.org", "n", known=False
    )


def test_forms_are_counted_apart() -> None:
    assert limits_of_form("sign_in", "n") != limits_of_form("sign_up", "n")
