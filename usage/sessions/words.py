"""Display names of the places where a request names its session, for the reference and the
pages."""

from collections.abc import Mapping
from typing import Final

from django.utils.functional import Promise
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from usage.sessions.sources import FIRST_RESPONSE, REALTIME

# Proper names are not translated.
SENDERS: Final[Mapping[str, str | Promise]] = {
    "x-weir-session": _("Any client: a name of your own"),
    "x-claude-code-session-id": "Claude Code",
    "session-id": "Codex",
    "session_id": _("Codex, older versions; in the body, any client"),
    "conversation_id": _("Codex, older versions"),
    "thread-id": "Codex",
    "x-opencode-session-id": "opencode",
    "x-opencode-session": "opencode",
    "x-session-affinity": "opencode",
    "x-session-id": _("opencode and others"),
    "baggage": _("OpenTelemetry: gen_ai.conversation.id, or else session.id"),
    "metadata.session_id": _("Any client"),
    "metadata.user_id": _(
        "Claude Code: the session_id in this member, or the text after _session_"
    ),
    "prompt_cache_key": _("Codex, opencode and others"),
    "previous_response_id": _("Clients of the Responses API: the session of the stored response"),
}


def source_text(source: str) -> str:
    """Return where a request named its session."""
    if source == REALTIME:
        return gettext("Realtime connection")
    return "previous_response_id" if source == FIRST_RESPONSE else source
