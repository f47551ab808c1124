"""How large the head of a request may be, and how long it may take to arrive."""

from typing import Final

HEAD_BYTES_MAX: Final = 32 * 1024
HEADERS_MAX: Final = 100
HEAD_S: Final = 10.0
