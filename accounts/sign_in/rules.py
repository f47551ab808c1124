"""The numbers of signing in: passwords, and links from emails and commands."""

import datetime as dt
from typing import Final

PASSWORD_LENGTH_MIN: Final = 10
"""In characters. Common passwords are refused as well (`config/settings.py`)."""

# How long a link stays valid.
SIGN_IN_LINK: Final = dt.timedelta(minutes=30)
PASSWORD_RESET_LINK: Final = dt.timedelta(minutes=30)
