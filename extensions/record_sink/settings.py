"""Where usage records, and contents, are sent too (docs/operate/record-sink.md)."""

import base64
import binascii
from urllib.parse import urlsplit

from config import settings
from lib import env, extras
from notify.endpoints.signing import SECRET_PREFIX

RECORD_SINK_URL = env.text("RECORD_SINK_URL", "")
RECORD_SINK_CONTENT = env.flag("RECORD_SINK_CONTENT", False)
RECORD_SINK_SECRET = env.read_kept("RECORD_SINK_SECRET", settings.DATA_DIR / "secrets") or ""


def _is_secret(text: str) -> bool:
    try:
        secret = base64.b64decode(text.removeprefix(SECRET_PREFIX), validate=True)
    except binascii.Error:
        return False
    return text.startswith(SECRET_PREFIX) and len(secret) >= 24


_url = urlsplit(RECORD_SINK_URL)
if RECORD_SINK_URL and (
    _url.scheme not in ("http", "https", "s3", "gs", "az", "file")
    or "@" in _url.netloc
    or _url.fragment
    or not (_url.path if _url.scheme == "file" else _url.hostname)
):
    raise env.ConfigurationError(
        "RECORD_SINK_URL must be https://host/path, http://host/path, s3://bucket/prefix,"
        " gs://bucket/prefix, az://container/prefix or file:///folder, without a login."
    )
if RECORD_SINK_CONTENT and not RECORD_SINK_URL:
    raise env.ConfigurationError("RECORD_SINK_CONTENT needs RECORD_SINK_URL.")
# The scheduler gets no secrets.
if RECORD_SINK_SECRET and not _is_secret(RECORD_SINK_SECRET):
    raise env.ConfigurationError(
        "RECORD_SINK_SECRET must be whsec_ and at least 24 random bytes in base64, such as"
        ' "whsec_$(openssl rand -base64 32)": it signs what is sent to RECORD_SINK_URL.'
    )
if _url.scheme in ("s3", "gs", "az", "file") and not extras.is_installed("objects"):
    raise env.ConfigurationError(
        f"RECORD_SINK_URL needs a part that is not installed: {extras.install_line('objects')}"
    )
