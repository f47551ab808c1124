"""Where a request may name its session: the one table that the relay reads requests by, and that
the reference shows. Nothing is guessed from content.
"""

from typing import Final, Literal, NamedTuple

NAME_LENGTH: Final = 128
"""Of a name as it is shown; the id is derived from the whole of it."""

OWN_HEADER: Final = "x-weir-session"
CAP_HEADER: Final = "x-weir-session-budget"
"""The most that a client lets its session cost, as a decimal number in USD."""
REALTIME: Final = "realtime"
"""The source of a realtime connection, which is a session by itself."""
FIRST_RESPONSE: Final = "first_response"
"""The source of a response that names no session: those that continue it belong to its own."""


class Source(NamedTuple):
    """A header, or a member of the body, that names a session."""

    place: str
    kind: Literal["header", "member"]


SOURCES: Final = (
    Source(OWN_HEADER, "header"),
    Source("x-claude-code-session-id", "header"),
    Source("session-id", "header"),
    Source("session_id", "header"),
    Source("conversation_id", "header"),
    Source("thread-id", "header"),
    Source("x-opencode-session-id", "header"),
    Source("x-opencode-session", "header"),
    Source("x-session-affinity", "header"),
    Source("x-session-id", "header"),
    Source("baggage", "header"),
    Source("metadata.session_id", "member"),
    Source("metadata.user_id", "member"),
    Source("session_id", "member"),
    Source("prompt_cache_key", "member"),
    Source("previous_response_id", "member"),
)
"""In their order: the first one that a request has counts."""


class AgentHeaders(NamedTuple):
    """The headers by which a client names the sub-agent that sends a request, and the one above
    it.
    """

    agent: str
    parent: str


AGENT_HEADERS: Final = (
    AgentHeaders("x-claude-code-agent-id", "x-claude-code-parent-agent-id"),
    AgentHeaders("thread-id", "x-codex-parent-thread-id"),
)
PARENT_SESSION_HEADERS: Final = ("x-opencode-parent-session-id", "x-parent-session-id")
"""In these opencode names the session above a sub-agent's own: the request counts to the former,
and the latter names the agent."""
