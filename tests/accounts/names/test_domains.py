import pytest

from accounts.names.email_domains import domain_of, is_domain


@pytest.mark.parametrize("text", ["example.org", "a.b.example.org", "xn--bcher-kva.example"])
def test_valid_domains(text: str) -> None:
    assert is_domain(text)


@pytest.mark.parametrize(
    "text",
    ["", "example", "example.", ".example", "a b.example", "@example.org", "Example.org",
     "example.org\n", f"{'a' * 64}.example", f"{'a.' * 130}example"],
)  # fmt: skip
def test_invalid_domains(text: str) -> None:
    assert not is_domain(text)


@pytest.mark.parametrize(
    ("email", "domain"),
    [("Eve@Example.ORG", "example.org"), ("a@b@c.example", "c.example"), ("eve", "eve")],
)
def test_the_domain_of_an_address(email: str, domain: str) -> None:
    assert domain_of(email) == domain
