"""How long links from emails and commands stay valid."""

import datetime as dt
from typing import Final

SIGN_IN: Final = dt.timedelta(minutes=30)
PASSWORD_RESET: Final = dt.timedelta(minutes=30)
SET_UP: Final = dt.timedelta(hours=24)
