"""The peers' databases of these tests, made from the SQL files beside."""

import sqlite3
from base64 import urlsafe_b64encode
from hashlib import sha256
from io import StringIO
from pathlib import Path

from django.core.management import call_command
from nacl.secret import SecretBox

from extensions.import_hubs.databases import Database, open_database
from extensions.import_hubs.peers import PEERS

FOLDER = Path(__file__).parent
LITELLM_KEY = "sk-litellm-key-0123456789abcdef"
LITELLM_PERSONAL_KEY = "sk-litellm-personal-0123456789"
LITELLM_MEMBERS_KEY = "sk-litellm-cy-0123456789abcdef"
LITELLM_SALT_KEY = "sk-salt-of-the-tests"
# In the dump, encrypted.
_ADDRESS = "dpBjwPw_bczsttLNt4y0xL1Bz0bn9y2OmAShnTLYtv7WdUOrf7XZY8HIr0Yx10FU"
NEW_API_KEY = "sk-kGq7wYbN3dT0hJ5sV9xZ1cR4mF8pL2aE6uI0oK7tB3nH5yWq"
ONE_API_KEY = "sk-aB3dE5fG7hJ9kL1mN2pQ4rS6tU8vW0xY1zA2bC4dE6fG8hJ0"


def sqlite_file(peer: str, folder: Path, *more: str, fake_url: str = "http://127.0.0.1:9") -> Path:
    """A peer's SQLite database with its rows, after the statements `more`; its own channel leads to
    `fake_url`."""
    path = folder / f"{peer}.db"
    written = (FOLDER / f"{peer.replace('-', '_')}.sql").read_text()
    with sqlite3.connect(path) as connection:
        connection.executescript(written.replace("FAKE_URL", fake_url))
        for statement in more:
            connection.execute(statement)
    connection.close()
    return path


def read(peer: str, path: Path) -> Database:
    return open_database(str(path), PEERS[peer].tables)


def run(peer: str, location: Path | str, *options: str) -> str:
    """What `manage.py import_from` prints."""
    out = StringIO()
    call_command("import_from", peer, str(location), *options, stdout=out)
    return out.getvalue()


def litellm_dump(
    folder: Path, fake_url: str = "http://127.0.0.1:9/v1", *, restricted: bool = False
) -> Path:
    """LiteLLM's dump, the address of its first model replaced and encrypted as the others are;
    with the rows of litellm_more.sql where they are asked for."""
    box = SecretBox(sha256(LITELLM_SALT_KEY.encode()).digest())
    sealed = urlsafe_b64encode(box.encrypt(fake_url.encode())).decode()
    path = folder / "litellm.sql"
    written = (FOLDER / "litellm.sql").read_text().replace(_ADDRESS, sealed)
    if restricted:
        end = written.index("--\n-- PostgreSQL database dump complete")
        more = (FOLDER / "litellm_more.sql").read_text().replace("FAKE_URL", fake_url)
        written = written[:end] + more + written[end:]
    path.write_text(written)
    return path
