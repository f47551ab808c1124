"""The endpoints that keys can be limited to."""

from typing import Final

ENDPOINTS: Final = {
    "kling_image2video": "/kling/v1/videos/image2video",
    "kling_text2video": "/kling/v1/videos/text2video",
}
