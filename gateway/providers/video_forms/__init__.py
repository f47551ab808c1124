"""How providers are asked for videos: one file for each form, by the operation that a provider has
in its paths. How to add one: docs/adding-a-provider.md."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from dialects.operation import Operation
from gateway.providers.video_forms import sora
from gateway.providers.video_forms.form import VideoForm

VIDEO_FORMS: Final[Mapping[Operation, VideoForm]] = MappingProxyType(
    {form.operation: form for form in (sora.FORM,)}
)
