"""The operations of the relay: parameters, an example that works, and the answer.

A page describes one or more operations of `relay/endpoints/table.py`, by the names that usage
records give them. A test finds rows without a page, and sends every example. The parameters are
from the published APIs of the dialects, and from what the codecs read.
"""

from collections.abc import Mapping
from typing import Final

from django.utils.translation import gettext_lazy as _

from lib.extensions.installed import extend
from reference.operations.chat_pages import CHAT, COMPACT, RESPONSES, STORED
from reference.operations.cloud_pages import CONVERSE
from reference.operations.interaction_pages import INTERACTIONS, STORED_INTERACTIONS
from reference.operations.list_pages import (
    BALANCE,
    COUNT,
    ESTIMATE,
    FEEDBACK,
    GEMINI_COUNT,
    MODELS,
    NOT_MADE,
    PASS_THROUGH,
    RESPONSES_COUNT,
)
from reference.operations.live_pages import LIVE
from reference.operations.media_pages import (
    IMAGE_EDITS,
    IMAGE_VARIATIONS,
    IMAGES,
    SPEECH,
    TRANSCRIPTIONS,
    TRANSLATIONS,
)
from reference.operations.message_pages import GEMINI, MESSAGES
from reference.operations.page import Group, ReferencePage
from reference.operations.realtime_pages import AUTH_TOKENS, CLIENT_SECRETS, GEMINI_LIVE, REALTIME
from reference.operations.service_pages import ServicePages
from reference.operations.text_pages import (
    COMPLETIONS,
    EDITS,
    EMBED,
    EMBEDDINGS,
    MODERATIONS,
    RERANK,
)
from reference.operations.video_pages import GENERATIONS, VEO, VIDEO, VIDEOS

GOOGLE_CHATS: Final = (GEMINI, INTERACTIONS, STORED_INTERACTIONS)
_ADDED: Final[dict[str, ServicePages]] = {}
extend(_ADDED, "service_pages", ServicePages, lambda pages: {pages.name: pages})
SERVICE_PAGES: Final = tuple(_ADDED.values())
_OF_SERVICES: Final = tuple(page for pages in SERVICE_PAGES for page in pages.videos)
GROUPS: Final[tuple[Group, ...]] = (
    Group(_("Chat"), (CHAT, RESPONSES, COMPACT, STORED, MESSAGES, *GOOGLE_CHATS, CONVERSE)),
    Group(_("Texts"), (COMPLETIONS, EDITS, EMBEDDINGS, EMBED, RERANK, MODERATIONS)),
    Group(
        _("Images and audio"),
        (IMAGES, IMAGE_EDITS, IMAGE_VARIATIONS, SPEECH, TRANSCRIPTIONS, TRANSLATIONS),
    ),
    Group(_("Realtime"), (REALTIME, CLIENT_SECRETS, LIVE, GEMINI_LIVE, AUTH_TOKENS)),
    Group(_("Videos"), (VIDEOS, VIDEO, GENERATIONS, *_OF_SERVICES, VEO)),
    *(group for pages in SERVICE_PAGES for group in pages.groups),
    Group(
        _("Other"),
        (PASS_THROUGH,),
    ),
    Group(
        _("Lists and counts"),
        (MODELS, COUNT, RESPONSES_COUNT, GEMINI_COUNT, ESTIMATE, FEEDBACK, BALANCE, NOT_MADE),
    ),
)
PAGES: Final[Mapping[str, ReferencePage]] = {
    page.slug: page for group in GROUPS for page in group.pages
}
