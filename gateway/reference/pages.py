"""The operations of the relay: parameters, an example that runs, and the answer.

A page tells one or more operations of `gateway/relay/endpoints.py` by the names that the usage
records give them; a test finds the row without a page, and sends every example. Sources of the
parameters: the published APIs of the dialects, and what the codecs read.
"""

from collections.abc import Mapping
from typing import Final

from django.utils.translation import gettext_lazy as _

from gateway.reference.chat_pages import CHAT, COMPACT, RESPONSES, STORED
from gateway.reference.list_pages import BALANCE, COUNT, GEMINI_COUNT, MODELS, NOT_MADE
from gateway.reference.message_pages import GEMINI, MESSAGES
from gateway.reference.page import Group, Page
from gateway.reference.text_pages import COMPLETIONS, EDITS, EMBED, EMBEDDINGS, MODERATIONS, RERANK

GROUPS: Final[tuple[Group, ...]] = (
    Group(_("Chat"), (CHAT, RESPONSES, COMPACT, STORED, MESSAGES, GEMINI)),
    Group(_("Texts"), (COMPLETIONS, EDITS, EMBEDDINGS, EMBED, RERANK, MODERATIONS)),
    Group(_("Lists and counts"), (MODELS, COUNT, GEMINI_COUNT, BALANCE, NOT_MADE)),
)
PAGES: Final[Mapping[str, Page]] = {page.slug: page for group in GROUPS for page in group.pages}
