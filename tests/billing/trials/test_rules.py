"""Who counts as one for trial credit."""

import pytest

from billing.trials.rules import Claim, claim_of

SHARED = {"gmail.com", "qq.com"}


@pytest.mark.parametrize(
    ("email", "claim"),
    [
        ("Eve@Acme.example", ("eve@acme.example", "acme.example")),
        ("eve+trial2@acme.example", ("eve@acme.example", "acme.example")),
        ("+eve@acme.example", ("+eve@acme.example", "acme.example")),
        ("e.v.e@acme.example", ("e.v.e@acme.example", "acme.example")),
        ("e.v.e+2@gmail.com", ("eve@gmail.com", "")),
        ("eve@GoogleMail.com", ("eve@gmail.com", "")),
        ("eve@qq.com", ("eve@qq.com", "")),
    ],
)
def test_addresses_of_one_mailbox_are_one(email: str, claim: tuple[str, str]) -> None:
    assert claim_of(email, by_domain=True, shared=SHARED) == Claim(*claim)
    assert claim_of(email, by_domain=False, shared=SHARED) == Claim(claim[0], "")
