"""Bring over what another hub has: New API, One API, LiteLLM (docs/coming-from-another-hub.md).

`databases.py` reads a peer's tables from a SQLite file, a dump or a running Postgres. A file for
each peer turns them into the things of `converted.py` and says in `report.py` what it left behind:
all of that is pure. `writing.py` makes them here, each by the one function that its room has.
"""
