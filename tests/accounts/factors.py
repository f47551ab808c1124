"""An authenticator app of the tests, which knows RFC 6238 by itself, and who has one; and a
passkey."""

import base64
import hashlib
import hmac
import json
import re
import secrets
import struct
from dataclasses import dataclass

from allauth.account.utils import user_pk_to_url_str
from allauth.mfa.webauthn.internal.auth import WebAuthn
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from django.test import Client
from fido2.cose import ES256
from fido2.utils import websafe_decode, websafe_encode
from fido2.webauthn import (
    AttestationObject,
    AttestedCredentialData,
    AuthenticatorData,
    CollectedClientData,
)

from accounts.models import User
from lib import clock
from tests.support.cast import signed_in

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
    match = re.search(r'<code id="secret">([A-Z2-7]+)</code>', page)
    assert match is not None
    app = App(match.group(1))
    # The code of a moment ago: that of now is still good for what comes next.
    answer = browser.post("/account/security/app", {"code": app.code(-1)})
    assert answer["Location"] == "/account/security/recovery-codes"
    codes = browser.get("/account/security/recovery-codes").content.decode()
    return Owner(browser, app, re.findall(r"\d{4}-\d{4}-\d{4}", codes))


class Passkey:
    """What a telephone has that the person unlocked: it signs in by itself (WebAuthn)."""

    _HOST = "testserver"
    _UNLOCKED = AuthenticatorData.FLAG.UP | AuthenticatorData.FLAG.UV

    def __init__(self, user: User) -> None:
        self._handle = user_pk_to_url_str(user).encode()
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._id = secrets.token_bytes(16)
        public = ES256.from_cryptography_key(self._key.public_key())  # type: ignore[no-untyped-call]
        kept = AttestedCredentialData.create(bytes(16), self._id, public)
        flags = self._UNLOCKED | AuthenticatorData.FLAG.AT
        attested = AttestationObject.create("none", self._data(flags, kept), {})
        created = self._client_data("webauthn.create", b"challenge")
        WebAuthn.add(user, "Telephone", self._credential(
            clientDataJSON=created, attestationObject=attested))  # fmt: skip

    def sign_in(self, browser: Client) -> None:
        """Sign in on the sign-in page."""
        options = browser.get("/login/passkey", headers={"accept": "application/json"}).json()
        challenge = websafe_decode(options["request_options"]["publicKey"]["challenge"])
        asked, data = self._client_data("webauthn.get", challenge), self._data(self._UNLOCKED)
        signature = self._key.sign(data + asked.hash, ec.ECDSA(hashes.SHA256()))
        signed = self._credential(
            clientDataJSON=asked,
            authenticatorData=data,
            signature=signature,
            userHandle=self._handle,
        )
        browser.post("/login/passkey", {"credential": json.dumps(signed)})

    def _data(
        self, flags: AuthenticatorData.FLAG, kept: AttestedCredentialData | None = None
    ) -> AuthenticatorData:
        host = hashlib.sha256(self._HOST.encode()).digest()
        data: AuthenticatorData = AuthenticatorData.create(host, flags, 0, kept or b"")
        return data

    def _client_data(self, type: str, challenge: bytes) -> CollectedClientData:
        return CollectedClientData.create(type, challenge, f"https://{self._HOST}")

    def _credential(self, **response: bytes) -> dict[str, object]:
        id = websafe_encode(self._id)
        coded = {name: websafe_encode(value) for name, value in response.items()}
        return {"id": id, "rawId": id, "type": "public-key", "response": coded}
