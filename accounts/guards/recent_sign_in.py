"""How recent a sign-in, or its confirmation, must be for dangerous actions."""

import datetime as dt
from typing import Final

RECENT_SIGN_IN: Final = dt.timedelta(minutes=15)
