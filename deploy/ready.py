"""Exit code 0 when the web process of this container can take a paid request.

python -m deploy.ready http://127.0.0.1:8000/readyz
"""

import http.client
import sys
from urllib.parse import urlsplit


def status(url: str) -> int:
    """The status that `url`, of this machine, answers with."""
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=4)
    try:
        connection.request("GET", parts.path)
        return connection.getresponse().status
    finally:
        connection.close()


if __name__ == "__main__":
    try:
        sys.exit(status(sys.argv[1]) != 200)
    except (OSError, http.client.HTTPException) as error:
        sys.exit(f"{sys.argv[1]} does not answer: {error}.")
