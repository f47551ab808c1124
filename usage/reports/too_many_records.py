"""When a report is refused: too many records would have to be read."""

from typing import Final

RECORDS_MAX: Final = 500_000
"""The maximum number of records read for one report: half a second of processor time for
200,000."""


class TooManyRecords(Exception):
    """The requested time has `requests` requests, each of which would have to be read."""

    def __init__(self, requests: int) -> None:
        super().__init__(f"{requests} requests, more than {RECORDS_MAX}")
        self.requests = requests


def check_records(requests: int) -> None:
    """Raise TooManyRecords for a report that would read more than `RECORDS_MAX`."""
    if requests > RECORDS_MAX:
        raise TooManyRecords(requests)
