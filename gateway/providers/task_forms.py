"""The forms of all media tasks, by the name that a task's row stores."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from gateway.providers.task_form import TaskForm
from gateway.providers.task_services import TASK_SERVICES
from gateway.providers.video_forms import ark, minimax, sora, veo, wan
from gateway.providers.video_forms.form import VideoForm

TASK_FORMS: Final[Mapping[str, TaskForm]] = MappingProxyType(
    {
        **{form.operation: form for form in (m.FORM for m in (sora, veo, wan, ark, minimax))},
        **{name: service.form for name, service in TASK_SERVICES.items()},
    }
)
VIDEO_FORMS: Final[Mapping[str, VideoForm]] = MappingProxyType(
    {name: form for name, form in TASK_FORMS.items() if isinstance(form, VideoForm)}
)
"""How videos are requested from providers, by the operation in a provider's paths."""
