"""How long links from emails and commands stay valid."""

import datetime as dt
from typing import Final

SIGN_IN: Final = dt.timedelta(minutes=30)
PASSWORD_RESET: Final = dt.timedelta(minutes=30)
SET_UP: Final = dt.timedelta(hours=24)
INVITATION_DAYS: Final = 7
"""The default; the inviter can choose another number."""
INVITATION_DAYS_MAX: Final = 30
