"""How long a WebSocket of a client may last, and how long neither end may send anything."""

from typing import Final

CONNECTION_S: Final = 3600.0
CONNECTION_IDLE_S: Final = 900.0
