"""How the provider of any media task is asked how far it is, by the name that its row has."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from gateway.providers import midjourney_proxy, suno_api
from gateway.providers.task_form import TaskForm
from gateway.providers.video_forms import VIDEO_FORMS

TASK_FORMS: Final[Mapping[str, TaskForm]] = MappingProxyType(
    {form.operation: form for form in (*VIDEO_FORMS.values(), midjourney_proxy.FORM, suno_api.FORM)}
)
