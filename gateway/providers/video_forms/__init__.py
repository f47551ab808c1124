"""How providers are asked for videos: one file for each form, by the operation that a provider has
in its paths. How to add one: docs/adding-a-provider.md."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from dialects.operation import Operation
from gateway.providers.video_forms import ark, jimeng, kling, minimax, sora, veo, wan
from gateway.providers.video_forms.form import VideoForm

VIDEO_FORMS: Final[Mapping[Operation, VideoForm]] = MappingProxyType(
    {module.FORM.operation: module.FORM for module in (sora, kling, jimeng, veo, wan, ark, minimax)}
)


def form_named(operation: str) -> VideoForm | None:
    """The form of tasks that are ordered by an operation."""
    return next((form for form in VIDEO_FORMS.values() if form.operation == operation), None)
