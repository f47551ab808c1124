"""Import the data of another hub: New API, One API, LiteLLM
(docs/start/coming-from-another-hub.md).

`databases.py` reads a peer's tables from a SQLite file, a dump or a running Postgres. One module
per peer converts them to the types of `converted.py` and reports what it left out in `report.py`;
all of that is pure. `writing.py` creates the objects with the rooms' write functions.
"""

from lib.extensions.extension import Extension

EXTENSION = Extension(app="extensions.import_hubs")
