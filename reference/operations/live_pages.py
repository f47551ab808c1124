"""The page of Live sessions."""

from typing import Final

from django.utils.translation import gettext_lazy as _

from gateway.code_examples.example_models import LIVE_MODEL
from reference.operations.page import Field, ReferencePage

LIVE: Final = ReferencePage(
    slug="live",
    title=_("Live sessions"),
    summary=_(
        "A WebSocket for a spoken conversation in which both sides may speak at once. Events are "
        "those of OpenAI's Live API (GPT-Live). They are passed on unchanged."
    ),
    operations=("live_sessions",),
    path="/v1/live/sessions",
    fields=(
        Field(
            "session.start",
            "client event",
            _(
                "The first event. session: model, instructions, audio.format and "
                "audio.output.voice, input (earlier messages), delegation. Then wait for "
                "session.started."
            ),
            True,
        ),
        Field("session.model", "string", _("The model to use. It cannot be changed."), True),
        Field(
            "session.delegation",
            "object",
            _(
                "Who does what the model delegates. type: client (your application), responses or "
                "decisions, with the model for it. The API key must be allowed to use that model, "
                "and the channel of the session must serve it."
            ),
        ),
        Field(
            "session.input_audio.append",
            "client event",
            _("audio: base64, in the format of the session, by default PCM of 24 kHz."),
        ),
        Field(
            "session.instructions.append, session.thinking.append, session.commentary.append",
            "client event",
            _("content, delegation_id: what the model is to know, or to say."),
        ),
        Field(
            "response.item.create, response.create",
            "client event",
            _("item: the result of a tool. Then the delegated response continues."),
        ),
        Field(
            "session.close",
            "client event",
            _("Ends the session: wait for session.closed, with its whole time."),
        ),
        Field(
            "session.output_audio.delta",
            "server event",
            _("delta: the next piece of audio, in base64."),
        ),
        Field(
            "session.input_transcript.delta, session.output_transcript.delta",
            "server event",
            _("delta, start_ms, end_ms: what is said."),
        ),
        Field(
            "session.delegation.created",
            "server event",
            _("delegation: id and target. With client, your application does the work."),
        ),
        Field(
            "response.event, decision.event",
            "server event",
            _("event: an event of a delegated response, or a decision."),
        ),
        Field(
            "session.usage.updated, session.closed",
            "server event",
            _("usage.seconds: the time of the session so far, as a total."),
        ),
        Field(
            "error",
            "server event",
            _("error: type, code, message, param, client_event_id of the event at fault."),
        ),
    ),
    example=None,
    answer="""{"type": "session.closed", "event_id": "event_020", "reason": "close_requested",
  "session": {"id": "live_1", "model": "gpt-live-1", "expires_at": 1795736293,
    "status": "active"},
  "usage": {"seconds": 75}
}""",
    notes=(
        _(
            "A session is charged by the minute, exact to the millisecond, by the time that the "
            "provider reports. Each minute is a request of its own, with its receipt, and is "
            "reserved before it starts. Delegated responses and decisions are requests of their "
            "model, charged by their usage."
        ),
        _(
            "The WebSocket is accepted before the model is known, so errors are error events. The "
            "session is closed with 1008 when the balance or a budget is used up, or the API key "
            "is revoked; with 1009 when an event is too large; with 1011 when the provider fails; "
            "with 1012 when the server restarts. Its time until then is charged."
        ),
        _(
            "An event may have up to 15 MiB. A session may last 60 minutes, and is closed after 15 "
            "minutes without an event."
        ),
        _(
            "Not offered: sessions over WebRTC or SIP, whose sound goes past Weir; their sideband "
            "connections; stored sessions (store), their forks and recordings; and decisions by "
            "triggers. Each is rejected with its reason."
        ),
    ),
    argument=LIVE_MODEL,
)
