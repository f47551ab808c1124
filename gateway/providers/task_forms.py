"""The forms of all media tasks, by the name that a task's row stores."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from gateway.providers import midjourney_proxy, suno_api
from gateway.providers.task_form import TaskForm
from gateway.providers.video_forms import VIDEO_FORMS

TASK_FORMS: Final[Mapping[str, TaskForm]] = MappingProxyType(
    {form.operation: form for form in (*VIDEO_FORMS.values(), midjourney_proxy.FORM, suno_api.FORM)}
)
