"""Print the settings of a new installation, its secrets made afresh, for the file .env.

    (umask 077 && python3 deploy/make_secrets.py https://hub.example.org > .env)

Needs nothing but Python. Keep a copy of the file: with WEIR_KEK lost, so are the channels' keys,
and with WEIR_KEY_PEPPER every key that was ever given out.
"""

import base64
import secrets
import sys


def settings(public_url: str) -> dict[str, str]:
    """Name -> value, none with a character that a URL or a compose file reads in its own way."""
    # There is no certificate for an address without TLS: nginx alone serves it.
    without_tls = {
        "EDGE": "plain",
        "COMPOSE_FILE": "docker-compose.yml:docker-compose.nginx.yml",
    }
    return {
        "PUBLIC_URL": public_url,
        **(without_tls if public_url.startswith("http://") else {}),
        "SECRET_KEY": secrets.token_urlsafe(50),
        "WEIR_KEK": base64.b64encode(secrets.token_bytes(32)).decode(),
        "WEIR_KEY_PEPPER": secrets.token_urlsafe(32),
        "POSTGRES_PASSWORD": secrets.token_urlsafe(32),
        "REDIS_PASSWORD": secrets.token_urlsafe(32),
    }


def main(arguments: list[str]) -> int:
    if len(arguments) != 1 or not arguments[0].startswith(("http://", "https://")):
        sys.stderr.write("Give the address that people type: https://hub.example.org\n")
        return 2
    sys.stdout.writelines(f"{name}={value}\n" for name, value in settings(arguments[0]).items())
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
