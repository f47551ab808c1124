"""An authenticator app of the tests, which knows RFC 6238 by itself, and who has one."""

import base64
import hashlib
import hmac
import re
import struct
from dataclasses import dataclass

from django.test import Client

from accounts.models import User
from lib import clock
from tests.cast import signed_in

STEP_S = 30
MOMENT_S = (int(clock.now().timestamp()) // STEP_S + 0.5) * STEP_S
"""When the tests of one process are, for codes: no step ends while one of them runs."""


@dataclass(frozen=True)
class App:
    """What a telephone has: the secret, and the time."""

    secret: str

    def code(self, steps_from_now: int = 0, *, at_s: float = MOMENT_S) -> str:
        step = int(at_s) // STEP_S + steps_from_now
        key = base64.b32decode(self.secret)
        digest = hmac.digest(key, struct.pack(">Q", step), hashlib.sha1)
        offset = digest[-1] & 15
        number = struct.unpack(">I", digest[offset : offset + 4])[0] & 0x7FFFFFFF
        return f"{number % 1_000_000:06d}"


@dataclass(frozen=True)
class Owner:
    """Somebody with an app and recovery codes; `browser` is the one that added them."""

    browser: Client
    app: App
    recovery_codes: list[str]


def with_app(user: User) -> Owner:
    """Add an app on the pages, and read the recovery codes off."""
    browser = signed_in(user)
    page = browser.get("/account/security/app").content.decode()
    found = re.search(r'<code id="secret">([A-Z2-7]+)</code>', page)
    assert found is not None
    app = App(found.group(1))
    # The code of a moment ago: that of now is still good for what comes next.
    answer = browser.post("/account/security/app", {"code": app.code(-1)})
    assert answer["Location"] == "/account/security/recovery-codes"
    codes = browser.get("/account/security/recovery-codes").content.decode()
    return Owner(browser, app, re.findall(r"\d{4}-\d{4}-\d{4}", codes))
