"""The places in which a request may name its session: the table with which the relay reads
requests, and which the reference shows. Nothing is guessed from content, unless an operator turns
on the digest of a conversation's beginning."""

from typing import Final, Literal, NamedTuple

NAME_LENGTH: Final = 128
"""The maximum length of a displayed name. The id is derived from the whole name."""

OWN_HEADER: Final = "x-weir-session"
CAP_HEADER: Final = "x-weir-session-budget"
"""The client's cost limit for its session, as a decimal number in USD."""
REALTIME: Final = "realtime"
"""The source of a realtime connection, which is a session of its own."""
FIRST_RESPONSE: Final = "first_response"
"""The source of a response that names no session. Responses that continue it belong to the same
session."""
PREFIX: Final = "prefix"
"""The source of a request that names no session, whose conversation begins like others of its key
(`relay/requests/session_prefix.py`)."""


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
"""In their order: the first one that a request has applies."""


class AgentHeaders(NamedTuple):
    """The headers with which a client names the sub-agent of a request, and its parent."""

    agent: str
    parent: str


AGENT_HEADERS: Final = (
    AgentHeaders("x-claude-code-agent-id", "x-claude-code-parent-agent-id"),
    AgentHeaders("thread-id", "x-codex-parent-thread-id"),
)
PARENT_SESSION_HEADERS: Final = ("x-opencode-parent-session-id", "x-parent-session-id")
"""In these headers opencode names the session above a sub-agent's own. The request counts to the
parent session, and the sub-agent's own session names the agent."""
