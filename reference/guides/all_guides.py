"""The guides of the reference, in the order of the list."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from reference.guides.guide import Guide
from reference.guides.model_guides import MODELS, SEARCH, THINKING
from reference.guides.talk_guides import MEMBERS, STRUCTURED, TOOLS
from reference.guides.tool_guide import OWN_TOOLS

GUIDES: Final[Mapping[str, Guide]] = MappingProxyType(
    {
        guide.slug: guide
        for guide in (MODELS, MEMBERS, TOOLS, OWN_TOOLS, STRUCTURED, THINKING, SEARCH)
    }
)
