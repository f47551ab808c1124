"""The endpoints that keys can be limited to."""

from typing import Final

ENDPOINTS: Final = {
    "jimeng_videos": "/jimeng",
}
