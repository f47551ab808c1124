"""A key of a service account that nobody else has, made for each run of the tests."""

from typing import Any, Final

from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)

PROJECT: Final = "acme-1"
EMAIL: Final = f"weir@{PROJECT}.iam.gserviceaccount.com"
KEY_ID: Final = "0123456789abcdef0123456789abcdef0123beef"
_KEY: Final = rsa.generate_private_key(65537, 2048)
PRIVATE: Final = _KEY.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
PUBLIC: Final = (
    _KEY.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()
)


def service_account_key(token_uri: str = "https://oauth2.googleapis.com/token") -> dict[str, Any]:
    """Return the JSON as Google gives it."""
    return {
        "type": "service_account",
        "project_id": PROJECT,
        "private_key_id": KEY_ID,
        "private_key": PRIVATE,
        "client_email": EMAIL,
        "client_id": "104000000000000000000",
        "auth_uri": "https://accounts.google.com/o/oauth2/auth",
        "token_uri": token_uri,
        "auth_provider_x509_cert_url": "https://www.googleapis.com/oauth2/v1/certs",
        "universe_domain": "googleapis.com",
    }
