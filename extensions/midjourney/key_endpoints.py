"""The endpoints that keys can be limited to."""

from typing import Final

ENDPOINTS: Final = {
    "midjourney_action": "/mj/submit/action",
    "midjourney_blend": "/mj/submit/blend",
    "midjourney_change": "/mj/submit/change",
    "midjourney_describe": "/mj/submit/describe",
    "midjourney_imagine": "/mj/submit/imagine",
    "midjourney_modal": "/mj/submit/modal",
    "midjourney_shorten": "/mj/submit/shorten",
    "midjourney_simple_change": "/mj/submit/simple-change",
    "midjourney_tasks": "/mj/task/list-by-condition",
}
