"""The server that keeps usage too (docs/operate/scale.md)."""

from urllib.parse import urlsplit

from config import settings
from lib import env

CLICKHOUSE_URL = env.text("CLICKHOUSE_URL", "").rstrip("/")
CLICKHOUSE_DATABASE = env.text("CLICKHOUSE_DATABASE", "default")
CLICKHOUSE_USER = env.text("CLICKHOUSE_USER", "default")
CLICKHOUSE_PASSWORD = env.read_kept("CLICKHOUSE_PASSWORD", settings.DATA_DIR / "secrets")

_url = urlsplit(CLICKHOUSE_URL)
if CLICKHOUSE_URL and (
    _url.scheme not in ("http", "https") or "@" in _url.netloc or _url.query or _url.path
):
    raise env.ConfigurationError(
        "CLICKHOUSE_URL must be http://host:port or https://host:port. The login belongs into"
        " CLICKHOUSE_USER and CLICKHOUSE_PASSWORD."
    )
