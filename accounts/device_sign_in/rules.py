"""The codes of a device that signs in (RFC 8628), and how long they last."""

import datetime as dt
from typing import Final

LIFETIME: Final = dt.timedelta(minutes=10)
"""How long a person has to allow the device."""
INTERVAL_S: Final = 5
"""How often the device may ask whether it was allowed."""
KEY_LIFETIME: Final = dt.timedelta(days=90)
"""How long the device's key works. Then the person signs it in again."""

# RFC 8628, 6.1: 20 letters without vowels, which spell no words and are not mistaken for digits.
LETTERS: Final = "BCDFGHJKLMNPQRSTVWXZ"
LENGTH: Final = 8


def write_user_code(letters: str) -> str:
    """Return letters as a code to be typed, such as `WDJB-MJHT`."""
    half = LENGTH // 2
    return f"{letters[:half]}-{letters[half:]}"


def read_user_code(text: str) -> str:
    """Return a code in the form of `write_user_code`, however it was typed; "" if there is no
    code in it."""
    letters = "".join(letter for letter in text[:100].upper() if letter in LETTERS)
    return write_user_code(letters) if len(letters) == LENGTH else ""


def polls_too_soon(polled_at: dt.datetime | None, now: dt.datetime) -> bool:
    """Return whether a device polls before its interval is over. A second less is accepted, because
    a request takes time."""
    least = dt.timedelta(seconds=INTERVAL_S - 1)
    return polled_at is not None and now - polled_at < least
