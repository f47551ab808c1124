"""The signature by the words of the Standard Webhooks specification, computed by other code."""

import base64
import hashlib
import hmac

from notify.endpoints.signing import secret_text, signature_headers

# The example of the specification itself.
SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
MESSAGE = "msg_p5jXN8AQM9LWM0D4loKWxJek"
BODY = b'{"test": 2432232314}'


def test_the_example_of_the_specification() -> None:
    headers = signature_headers([SECRET], MESSAGE, 1614265330, BODY)
    assert headers == {
        "webhook-id": MESSAGE,
        "webhook-timestamp": "1614265330",
        "webhook-signature": "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
    }


def test_each_active_secret_signs() -> None:
    other = secret_text(b"\1" * 32)
    signatures = signature_headers([SECRET, other], "a", 7, b"{}")["webhook-signature"].split(" ")
    key = base64.b64decode(other.removeprefix("whsec_"))
    expected = base64.b64encode(hmac.new(key, b"a.7.{}", hashlib.sha256).digest()).decode()
    assert signatures[1] == f"v1,{expected}"
    assert len(signatures) == 2
