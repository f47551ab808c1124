"""How videos are requested from providers: one file for each form, by the operation in a provider's
paths. How to add one: docs/guides/adding-a-provider.md."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from gateway.providers.video_forms import ark, jimeng, kling, minimax, sora, veo, wan
from gateway.providers.video_forms.form import VideoForm

VIDEO_FORMS: Final[Mapping[str, VideoForm]] = MappingProxyType(
    {module.FORM.operation: module.FORM for module in (sora, kling, jimeng, veo, wan, ark, minimax)}
)
