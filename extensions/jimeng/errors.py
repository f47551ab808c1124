"""The meaning of Jimeng's error numbers. Source: Volcengine, "Jimeng AI: error codes" (2026-02)."""

from collections.abc import Mapping
from typing import Final

from dialects.media.task_upstream_errors import (
    CONTENT,
    FAILED,
    KEY,
    LIMIT,
    WRONG,
    Meaning,
    NumberedErrors,
)

MEANINGS: Final[Mapping[int, Meaning]] = {
    **dict.fromkeys((50411, 50412, 50413, 50511, 50512, 50518, 50519), CONTENT),
    **dict.fromkeys((50429, 50430), LIMIT),
    50215: WRONG,
    50400: KEY,
    **dict.fromkeys((50500, 50501), FAILED),
}


class JimengErrors(NumberedErrors):
    meanings = MEANINGS
