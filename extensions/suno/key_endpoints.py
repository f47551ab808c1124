"""The endpoints that keys can be limited to."""

from typing import Final

ENDPOINTS: Final = {
    "suno_lyrics": "/suno/submit/lyrics",
    "suno_music": "/suno/submit/music",
    "suno_tasks": "/suno/fetch",
}
