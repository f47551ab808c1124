"""The lines of playground: chats, media, prompts."""

from typing import Final

from tests.isolation.kinds.accounts import MEMBER
from tests.isolation.kinds.content import ENTRY, KEPT_SESSION
from tests.isolation.kinds.playground import (
    BATCH,
    CHAT,
    DELETED_CHAT,
    FILE,
    MEDIA_RUN,
    MEDIUM,
    MESSAGE,
    PRESET,
    PROMPT,
    QUESTION,
    RATED,
    RUN,
    SHARE,
)
from tests.isolation.table.route import Route, at, sends

PAGES: Final[dict[str, Route]] = {
    # For everybody: whoever asks, it holds nothing of others
    "shared": at("public", rest={"token": "none"}),
    # The organisation
    "member_remove": at(
        "members.read", MEMBER, first="members.write", write="members.write", oneself=True
    ),
    "request_conversation": at("content.read", ENTRY, body=sends(reason="A complaint")),
    "request_open": at(
        "content.read", ENTRY, also="playground.use", body=sends(reason="A complaint")
    ),
    "session_conversation": at("content.read", KEPT_SESSION, body=sends(reason="A complaint")),
    # The playground: everything in it is its author's alone
    "playground": at("playground.read"),
    "conversation": at("playground.read", CHAT),
    "run_create": at("playground.use"),
    "run_events": at("playground.read", RUN),
    "run_stop": at("playground.use", RUN),
    "run_debug": at("playground.read", RUN),
    "run_code": at("playground.read", RUN),
    "batch_events": at("playground.read", BATCH),
    "batch_stop": at("playground.use", BATCH),
    "vote": at("playground.use", BATCH),
    "bound": at("playground.use"),
    "draft_code": at("playground.use"),
    "draft_debug": at("playground.use"),
    "model_options": at("playground.use"),
    "model_favourite": at("playground.use", nothing=True),
    "model_default": at("playground.use", nothing=True),
    "payer_choose": at("playground.use"),
    "params": at("playground.read"),
    "variables": at("playground.read"),
    "schema_from_example": at("playground.read"),
    "check": at("playground.read", rest={"what": "raw"}),
    "tools_import": at("playground.use"),
    "tools_read": at("playground.use"),
    "tools_add": at("playground.use"),
    "preset_save": at("playground.use"),
    "preset_delete": at("playground.use", PRESET),
    "file_add": at("playground.use"),
    "file_fetch": at("playground.use"),
    "file_show": at("playground.read", FILE),
    "media_show": at("playground.read", MEDIUM),
    "earlier": at("playground.read", MESSAGE),
    "message_edit": at("playground.use", QUESTION),
    "message_tokens": at("playground.read", MESSAGE),
    "code_preview": at("playground.read", MESSAGE, rest={"block": 0, "number": 0}),
    "message_rate": at("playground.use", RATED),
    "message_save": at("playground.use", MESSAGE),
    "message_show": at("playground.use", MESSAGE),
    "message_delete": at("playground.use", MESSAGE),
    "message_restore": at("playground.use", MESSAGE),
    "message_branch": at("playground.use", MESSAGE),
    "keep": at("playground.use", MESSAGE),
    "summary_drop": at("playground.use", MESSAGE),
    "chat_summarise": at("playground.use"),
    "chats": at("playground.read"),
    "chat_import": at("playground.use"),
    "history": at("playground.read"),
    "history_change": at("playground.use", nothing=True),
    "history_undo": at("playground.use", nothing=True),
    "history_export": at("playground.read"),
    "column_add": at("playground.use", CHAT),
    "log": at("playground.read", CHAT),
    "in_step": at("playground.read", CHAT),
    "chat_menu": at("playground.read", CHAT),
    "chat_rename": at("playground.use", CHAT),
    "chat_change": at("playground.use", CHAT),
    "chat_visit": at("playground.use", CHAT),
    "chat_delete": at("playground.use", CHAT),
    "chat_restore": at("playground.use", DELETED_CHAT),
    "chat_export": at("playground.read", CHAT, rest={"form": "json"}),
    "share": at("playground.use", CHAT),
    "share_create": at("playground.use", CHAT),
    "share_revoke": at("playground.use", SHARE),
    "pg_chat": at("playground.use"),
    "compare": at("playground.read"),
    "diff": at("playground.read", CHAT),
    "votes": at("playground.read"),
    "embeddings": at("playground.read"),
    "embedding_run": at("playground.use"),
    "embedding_bound": at("playground.use"),
    "images": at("playground.read"),
    "speech": at("playground.read"),
    "transcription": at("playground.read"),
    "video": at("playground.read"),
    "music": at("playground.read"),
    "midjourney": at("playground.read"),
    "media_clip": at("playground.read", MEDIA_RUN, rest={"number": 0}, nothing=True),
    "realtime": at("playground.read"),
    "realtime_ticket": at("playground.use"),
    "realtime_bound": at("playground.use"),
    "realtime_code": at("playground.use"),
    "realtime_charges": at("playground.use"),
    "gallery": at("playground.read"),
    "media_fields": at("playground.use", body=sends(kind="image")),
    "media_bound": at("playground.use", body=sends(kind="image")),
    "media_file_add": at("playground.use", body=sends(kind="image", role="picture")),
    "media_create": at("playground.use", body=sends(kind="image")),
    "media_run": at("playground.read", MEDIA_RUN),
    "media_stop": at("playground.use", MEDIA_RUN),
    "media_delete": at("playground.use", MEDIA_RUN),
    "media_code": at("playground.read", MEDIA_RUN),
    "media_subtitles": at("playground.read", MEDIA_RUN),
    "media_video": at("playground.read", MEDIA_RUN, nothing=True),
    "playground_preferences": at("playground.use"),
    "preferences_save": at("playground.use", body=sends(leaving="keep")),
    "playground_rules_save": at("playground.write"),
    "title_cost": at("playground.use"),
    "prompts": at("prompts.read"),
    "prompt_pick": at("prompts.read"),
    "prompt_save": at("playground.use"),
    "prompt": at("prompts.read", PROMPT),
    "prompt_label_move": at("playground.use", PROMPT),
    "prompt_label_roll_back": at(
        "playground.use", PROMPT, rest={"label": "production"}, body=sends(version="2")
    ),
    "prompt_label_remove": at("playground.use", PROMPT, rest={"label": "production"}),
    "prompt_production": at("playground.use", PROMPT, body=sends(number="1")),
}

OPERATIONS: Final[dict[str, Route]] = {
    # The organisation and who is in it
    "POST /members/{id}/remove": at(
        "members.read", MEMBER, first="members.write", write="members.write", oneself=True,
        body=sends(chats="delete"),
    ),
    # What happened, and what it costs
    "GET /playground/payer-rules": at("playground.write"),
    "PUT /playground/payer-rules": at(
        "playground.write", body=sends(rules={"developer": "any"})
    ),
    "GET /prompts": at("prompts.read"),
    "POST /prompts": at(
        "playground.use", by_person=True, body=sends(name="made", model="m-1")
    ),
    "GET /prompts/{slug}": at("prompts.read", PROMPT),
    "POST /prompts/{slug}/versions": at(
        "playground.use", PROMPT, by_person=True, body=sends(model="m-1")
    ),
    "GET /prompts/{slug}/versions": at("prompts.read", PROMPT),
    "PUT /prompts/{slug}/labels/{label}": at(
        "playground.use", PROMPT, by_person=True, rest={"label": "staging"}, body=sends(version=1)
    ),
    "POST /prompts/{slug}/labels/{label}/roll-back": at(
        "playground.use", PROMPT, by_person=True, rest={"label": "production"},
        body=sends(version=2),
    ),
    "DELETE /prompts/{slug}/labels/{label}": at(
        "playground.use", PROMPT, by_person=True, rest={"label": "production"}
    ),
    "PATCH /prompts/{slug}": at("playground.use", PROMPT, by_person=True),
    "DELETE /prompts/{slug}": at("playground.use", PROMPT, by_person=True),
    "POST /prompts/{slug}/render": at("prompts.read", PROMPT),
}  # fmt: skip
