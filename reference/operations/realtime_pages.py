"""The pages of realtime connections, and of the client secrets that open them."""

from typing import Final

from django.utils.translation import gettext_lazy as _

from gateway.code_examples.example_models import GEMINI_LIVE_MODEL, GEMINI_LIVE_PATH, REALTIME_MODEL
from reference.operations.page import Field, ReferencePage

REALTIME: Final = ReferencePage(
    slug="realtime",
    title=_("Realtime connections"),
    summary=_(
        "A WebSocket for text and audio in both directions. Events are those of OpenAI's Realtime "
        "API, and of its beta. They are passed on unchanged."
    ),
    operations=("realtime",),
    path=f"/v1/realtime?model={REALTIME_MODEL}",
    fields=(
        Field("model", "string", _("The model to use, in the query. It cannot be changed."), True),
        Field(
            "openai-beta",
            "string",
            _("Header: realtime=v1 asks for the beta. Passed on to the provider."),
        ),
        Field(
            "Sec-WebSocket-Protocol",
            "string",
            _(
                "Header, for web pages, which can set no other: realtime, "
                "openai-insecure-api-key.<key or client secret>, and openai-beta.realtime-v1 for "
                "the beta."
            ),
        ),
        Field(
            "session.update",
            "client event",
            _(
                "session: type, instructions, output_modalities, audio.input and audio.output with "
                "format, voice, turn_detection and transcription, tools, max_output_tokens."
            ),
        ),
        Field(
            "conversation.item.create",
            "client event",
            _("item: a message with input_text, input_audio or input_image, or a tool's result."),
        ),
        Field(
            "input_audio_buffer.append",
            "client event",
            _("audio: base64, in the format of the session. Then commit, or clear."),
        ),
        Field(
            "response.create, response.cancel",
            "client event",
            _("Starts or stops a response. With turn detection, responses start by themselves."),
        ),
        Field(
            "session.created, session.updated",
            "server event",
            _("session: the settings in use."),
        ),
        Field(
            "response.output_text.delta, response.output_audio.delta",
            "server event",
            _("response_id, item_id, delta: the next piece of text, or of audio in base64."),
        ),
        Field(
            "response.output_audio_transcript.delta, response.function_call_arguments.delta",
            "server event",
            _("delta: what the audio says; the arguments of a tool call."),
        ),
        Field(
            "response.done",
            "server event",
            _(
                "response: id, status, output, and usage with input_tokens, output_tokens, "
                "input_token_details (text_tokens, audio_tokens, image_tokens, cached_tokens, "
                "cached_tokens_details) and output_token_details (text_tokens, audio_tokens)."
            ),
        ),
        Field(
            "conversation.item.input_audio_transcription.completed",
            "server event",
            _("transcript, usage. Charged as a request of its own, for the transcription model."),
        ),
        Field(
            "error",
            "server event",
            _("error: type, code, message, param, event_id of the client event at fault."),
        ),
    ),
    example=None,
    answer="""{"type": "response.done", "event_id": "event_010", "response": {
  "id": "resp_rt1", "object": "realtime.response", "status": "completed", "output": [],
  "usage": {"total_tokens": 29, "input_tokens": 24, "output_tokens": 5,
    "input_token_details": {"text_tokens": 24, "audio_tokens": 0, "image_tokens": 0,
      "cached_tokens": 0},
    "output_token_details": {"text_tokens": 5, "audio_tokens": 0}}
}}""",
    notes=(
        _(
            "Each response is a request of its own, with its usage and its receipt. Its maximum "
            "cost is reserved before it starts, and its usage is charged."
        ),
        _(
            "Before the connection is open, errors are HTTP responses. Then they are error events. "
            "The connection is closed with 1008 when the balance or a budget is used up, or the "
            "API key is revoked; with 1009 when an event is too large; with 1011 when the provider "
            "fails; with 1012 when the server restarts."
        ),
        _(
            "An event may have up to 15 MiB. A connection may last 60 minutes, and is closed after "
            "15 minutes without an event."
        ),
        _("OpenAI's JavaScript client always uses TLS: its base URL must be https."),
    ),
    argument=REALTIME_MODEL,
)
GEMINI_LIVE: Final = ReferencePage(
    slug="live-sessions",
    title=_("Gemini Live sessions"),
    summary=_(
        "A WebSocket for text, audio and video in both directions. Messages are those of Google's "
        "Live API. They are passed on unchanged, except for the setup and the handles of "
        "resumption."
    ),
    operations=("live_session",),
    path=GEMINI_LIVE_PATH,
    fields=(
        Field(
            "setup",
            "client message",
            _(
                "The first message: model, generationConfig, systemInstruction, tools, "
                "sessionResumption and others of Google's. maxOutputTokens is lowered to what the "
                "balance covers."
            ),
            True,
        ),
        Field("setup.model", "string", _("The model to use, with or without models/."), True),
        Field(
            "setup.sessionResumption.handle",
            "string",
            _(
                "The newHandle of an earlier session of the same team: the conversation goes on "
                "at the same channel."
            ),
        ),
        Field(
            "clientContent",
            "client message",
            _("turns, and turnComplete: true to ask for an answer."),
        ),
        Field(
            "realtimeInput",
            "client message",
            _("audio, video or text as it arises; the model answers when a turn ends."),
        ),
        Field("toolResponse", "client message", _("functionResponses: the results of tool calls.")),
        Field("setupComplete", "server message", _("The session begins.")),
        Field(
            "serverContent",
            "server message",
            _("modelTurn, turnComplete, interrupted, generationComplete, transcriptions."),
        ),
        Field("toolCall", "server message", _("functionCalls: id, name, args.")),
        Field(
            "usageMetadata",
            "server message",
            _(
                "What the turn used: promptTokenCount, the whole context, responseTokenCount, "
                "thoughtsTokenCount, and details by modality."
            ),
        ),
        Field(
            "sessionResumptionUpdate, goAway",
            "server message",
            _("newHandle: a handle of Weir. timeLeft: the provider closes soon."),
        ),
        Field(
            "key",
            "string",
            _("Your API key, in the query, if the client can send no x-goog-api-key header."),
        ),
        Field(
            "access_token",
            "string",
            _(
                "An ephemeral token in place of an API key, in the query, at the method "
                "BidiGenerateContentConstrained. Google's clients use both by themselves."
            ),
        ),
    ),
    example=None,
    answer="""{"serverContent": {"turnComplete": true}, "usageMetadata": {
  "promptTokenCount": 541, "responseTokenCount": 156, "totalTokenCount": 697,
  "promptTokensDetails": [{"modality": "TEXT", "tokenCount": 410},
    {"modality": "AUDIO", "tokenCount": 131}],
  "responseTokensDetails": [{"modality": "AUDIO", "tokenCount": 156}]
}}""",
    notes=(
        _(
            "Each turn is a request of its own, with its usage and its receipt. Its maximum cost "
            "is reserved before it starts, and its usage is charged. Google counts the whole "
            "context of each turn."
        ),
        _(
            "An error closes the session, with its reason: 1007 for an invalid message, 1008 when "
            "the balance, a budget or a limit is used up, or the API key is revoked; with 1009 "
            "when a message is too large; with 1011 when the provider fails; with 1012 when the "
            "server restarts."
        ),
        _("Google's clients always use TLS: their base URL must be https."),
    ),
    argument=GEMINI_LIVE_MODEL,
)
CLIENT_SECRETS: Final = ReferencePage(
    slug="client-secrets",
    title=_("Client secrets"),
    summary=_(
        "Creates a short-lived secret that opens realtime connections in a web page or an app, "
        "which then never has your API key. Free."
    ),
    operations=("client_secret",),
    path="/v1/realtime/client_secrets",
    fields=(
        Field(
            "session",
            "object",
            _(
                "The settings of the connections: type, model and any others of session.update. "
                "Whoever has the secret cannot change them, but can use a lower "
                "max_output_tokens. Settings that are not here remain free, the model too."
            ),
            limits="≤ 5 kB",
        ),
        Field("session.type", "string", _("Always realtime."), limits="realtime"),
        Field(
            "expires_after.seconds",
            "integer",
            _(
                "How long the secret opens connections, but not longer than the API key. Default: "
                "600. An open connection continues."
            ),
            limits="10–7200",
        ),
        Field("expires_after.anchor", "string", _("Always created_at."), limits="created_at"),
        Field(
            "x-weir-labels, x-weir-data-policy, x-weir-max-cost, x-weir-session-budget",
            "string",
            _("Headers: they apply to each connection that the secret opens."),
        ),
    ),
    example={
        "expires_after": {"anchor": "created_at", "seconds": 600},
        "session": {
            "type": "realtime",
            "model": REALTIME_MODEL,
            "instructions": "You are a friendly guide.",
        },
    },
    answer="""{
  "value": "ek_AWYqPqjI3mEd0…", "expires_at": 1795736293,
  "session": {"id": "sess_01M8D30AM7F9B8DEQQ0SVPY5FQ", "object": "realtime.session",
    "type": "realtime", "model": "gpt-realtime", "instructions": "You are a friendly guide."}
}""",
    notes=(
        _(
            "The secret is sent like an API key: as the subprotocol "
            "openai-insecure-api-key.<client secret>, or as Authorization: Bearer. It opens the "
            "WebSocket of /v1/realtime and nothing else; without model in the query, the model "
            "is that of the secret."
        ),
        _(
            "Its connections are connections of your key: its balance, budgets, limits and models "
            "apply, and its networks to the address of the browser. When the key is revoked or "
            "expires, or the grace period of its rotation ends, its client secrets stop working "
            "and their connections end."
        ),
        _("Connections of the beta cannot be opened with a client secret."),
    ),
)
AUTH_TOKENS: Final = ReferencePage(
    slug="auth-tokens",
    title=_("Ephemeral tokens"),
    summary=_(
        "Creates a short-lived token, as Google's clients do, that opens Gemini Live sessions in a "
        "web page or an app, which then never has your API key. Free."
    ),
    operations=("auth_token",),
    path="/v1alpha/auth_tokens",
    fields=(
        Field(
            "uses",
            "integer",
            _(
                "How many sessions it opens, 0 for any number. Default: 1. To resume a session "
                "that it opened is no further use."
            ),
            limits="0–2147483647",
        ),
        Field(
            "newSessionExpireTime",
            "string",
            _("How long the token opens sessions, as a time. Default: in 60 seconds."),
            limits="< 20 h",
        ),
        Field(
            "expireTime",
            "string",
            _("When its sessions end, as a time. Default: in 30 minutes."),
            limits="< 20 h",
        ),
        Field(
            "bidiGenerateContentSetup",
            "object",
            _(
                "The setup of its sessions, which takes the place of the client's. Without a "
                "model here, the client's holds. Without a setup, the client's setup holds."
            ),
            limits="≤ 5 kB",
        ),
        Field(
            "fieldMask",
            "string",
            _(
                "Paths of a setup, separated by commas: only these are the token's, and the "
                "client's setup holds for all others. A path that the token's setup does not have "
                "is removed from the client's."
            ),
        ),
        Field(
            "x-weir-labels, x-weir-data-policy, x-weir-max-cost, x-weir-session-budget",
            "string",
            _("Headers: they apply to each connection that the secret opens."),
        ),
    ),
    example={
        "uses": 1,
        "bidiGenerateContentSetup": {
            "model": f"models/{GEMINI_LIVE_MODEL}",
            "generationConfig": {"responseModalities": ["AUDIO"]},
            "systemInstruction": {"parts": [{"text": "You are a friendly guide."}]},
            "sessionResumption": {},
        },
    },
    answer="""{
  "name": "auth_tokens/AWYqPqjI3mEd0…", "expireTime": "2026-11-27T10:30:00Z",
  "newSessionExpireTime": "2026-11-27T10:01:00Z", "uses": 1
}""",
    notes=(
        _(
            "The token is sent like an API key: as access_token in the query, or as "
            "Authorization: Token. It opens the WebSocket of BidiGenerateContentConstrained and "
            "nothing else."
        ),
        _(
            "Its connections are connections of your key: its balance, budgets, limits and models "
            "apply, and its networks to the address of the browser. When the key is revoked or "
            "expires, or the grace period of its rotation ends, its client secrets stop working "
            "and their connections end."
        ),
        _(
            "A message that may change what the token sets closes the session with 1007: a "
            "contextUpdate, or content in the role of the system."
        ),
    ),
)
