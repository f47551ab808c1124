"""The most that a request may cost, as clients write it: in a body, a header, or a form."""

from billing.rules.money import MoneyInvalid, parse_usd
from gateway.codecs.errors import RequestFault


def read_amount(text: str, name: str) -> int:
    """Nano-USD of a decimal amount of USD such as `0.25`, exactly. `name` is where it stands.

    Raises RequestFault `invalid_value` for every other text: a limit that is rounded or guessed
    would not be the client's.
    """
    try:
        nano = -1 if text.startswith("-") else parse_usd(text)
    except MoneyInvalid:
        nano = -1
    if nano < 0:
        what = (
            "must be an amount in USD from 0, as a plain decimal with at most 9 digits after the "
            'point and no exponent, such as "0.25"'
        )
        raise RequestFault("invalid_value", name, f"{name} {what}")
    return nano
