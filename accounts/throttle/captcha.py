"""The proof of work that a browser does before it sends a form that everybody can send (ALTCHA).

A page carries a challenge, which a worker of the browser solves in about a second: nobody has to
read or click anything, and no third party is asked. The challenge is signed, so that no process has
to store it, and its answer is accepted once, by whichever process it reaches.
"""

import datetime as dt
import json
import secrets
from typing import Final

from altcha import Payload, create_challenge, verify_solution
from django.utils.crypto import salted_hmac
from django.utils.translation import gettext

from accounts.throttle import try_counts
from accounts.throttle.throttle import Limit
from lib import clock

LIFETIME: Final = dt.timedelta(minutes=30)
ANSWER_MAX: Final = 4_000
# scrypt with N = 1,024 and r = 8 takes 1 MiB, and a few milliseconds. A browser tries as many
# counters as this number says; the server derives one key, when it makes the challenge. WebAssembly
# does it, because Web Crypto is missing where a page is not served over HTTPS.
_COST: Final = 1_024
_COUNTER_MIN: Final = 40
_COUNTER_MAX: Final = 80


class CaptchaRefused(Exception):
    """The answer is missing, wrong, expired or used. Its text tells a person what to do."""


def new_challenge() -> str:
    """Return a challenge as JSON, for static/js/captcha.js."""
    challenge = create_challenge(
        algorithm="SCRYPT",
        cost=_COST,
        counter=_COUNTER_MIN + secrets.randbelow(_COUNTER_MAX - _COUNTER_MIN + 1),
        expires_at=clock.now() + LIFETIME,
        hmac_secret=_secret("challenge"),
        hmac_key_secret=_secret("key"),
    )
    return json.dumps(challenge.to_dict())


def accept(answer: str) -> None:
    """Use up the challenge that this text answers. Raises CaptchaRefused. One statement decides
    between concurrent uses."""
    if not answer:
        raise CaptchaRefused(
            gettext("Your browser was not checked yet. Wait for the check below, then try again.")
        )
    try:
        payload = Payload.from_base64(answer)
        result = verify_solution(payload, _secret("challenge"), hmac_key_secret=_secret("key"))
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise _not_valid() from error
    if not result.verified:
        raise _not_valid()
    # The window outlasts the challenge, so that its second use is always counted.
    once = Limit(f"captcha {payload.challenge.parameters.nonce}", 1, _window_s())
    try:
        try_counts.count((once,))
    except try_counts.TooManyTries as error:
        raise _not_valid() from error


def _not_valid() -> CaptchaRefused:
    return CaptchaRefused(
        gettext("The check of your browser has expired or was used. It runs again: try once more.")
    )


def _window_s() -> int:
    return int(LIFETIME.total_seconds()) + 60


def _secret(purpose: str) -> str:
    """Return a key of every process of this installation, and of nobody else."""
    return salted_hmac("accounts.throttle.captcha", purpose, algorithm="sha256").hexdigest()
