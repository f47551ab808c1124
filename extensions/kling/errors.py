"""The meaning of Kling's error numbers: its "General Information", "Error Code" (2026-03)."""

from collections.abc import Mapping
from typing import Final

from dialects.media.task_upstream_errors import (
    BUSY,
    CONTENT,
    FAILED,
    FUNDS,
    KEY,
    LIMIT,
    MISSING,
    WRONG,
    Meaning,
    NumberedErrors,
)

MEANINGS: Final[Mapping[int, Meaning]] = {
    **dict.fromkeys((1000, 1001, 1002, 1003, 1004, 1100, 1103), KEY),
    **dict.fromkeys((1101, 1102), FUNDS),
    **dict.fromkeys((1200, 1201, 1202), WRONG),
    1203: MISSING,
    **dict.fromkeys((1300, 1301), CONTENT),
    **dict.fromkeys((1302, 1303, 1304), LIMIT),
    5000: FAILED,
    **dict.fromkeys((5001, 5002), BUSY),
}


class KlingErrors(NumberedErrors):
    meanings = MEANINGS
