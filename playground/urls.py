from django.urls import path, re_path

from playground.chats import attachment_views as file_views
from playground.chats import (
    chat_views,
    history_views,
    model_picker,
    preference_views,
    rating_views,
    tree_views,
)
from playground.compare_page import views as compare_views
from playground.content_log import views as content_log_views
from playground.embeddings import views as embedding_views
from playground.erasure import departure_views
from playground.media import realtime_views
from playground.media import views as media_views
from playground.panel import tool_import_views
from playground.prompts import views as prompt_views
from playground.sending import panel_views, session_api_views, views

_ROOT = "o/<slug:o>/playground"

urlpatterns = [
    path(
        "o/<slug:o>/team/members/<str:id>/remove",
        departure_views.member_remove,
        name="member_remove",
    ),
    path(
        "o/<slug:o>/requests/<str:rid>/conversation",
        content_log_views.request_conversation,
        name="request_conversation",
    ),
    path(
        "o/<slug:o>/requests/<str:rid>/conversation/open",
        content_log_views.request_open,
        name="request_open",
    ),
    path(
        "o/<slug:o>/sessions/<str:id>/conversation",
        content_log_views.session_conversation,
        name="session_conversation",
    ),
    path(_ROOT, views.playground, name="playground"),
    path(f"{_ROOT}/c/<str:id>", views.conversation, name="conversation"),
    path(f"{_ROOT}/runs", views.run_create, name="run_create"),
    path(f"{_ROOT}/runs/<str:id>/events", views.run_events, name="run_events"),
    path(f"{_ROOT}/runs/<str:id>/stop", views.run_stop, name="run_stop"),
    path(f"{_ROOT}/runs/<str:id>/_f/debug", panel_views.debug, name="run_debug"),
    path(f"{_ROOT}/runs/<str:id>/_f/code", panel_views.code, name="run_code"),
    path(f"{_ROOT}/sends/<str:id>/events", views.batch_events, name="batch_events"),
    path(f"{_ROOT}/sends/<str:id>/stop", views.batch_stop, name="batch_stop"),
    path(f"{_ROOT}/sends/<str:id>/vote", compare_views.vote, name="vote"),
    # Beside the chat
    path(f"{_ROOT}/_f/bound", panel_views.bound, name="bound"),
    path(f"{_ROOT}/_f/draft/code", views.draft_code, name="draft_code"),
    path(f"{_ROOT}/_f/draft/debug", views.draft_debug, name="draft_debug"),
    path(f"{_ROOT}/_f/models", model_picker.model_options, name="model_options"),
    path(f"{_ROOT}/models/favourite", model_picker.model_favourite, name="model_favourite"),
    path(f"{_ROOT}/models/default", model_picker.model_default, name="model_default"),
    path(f"{_ROOT}/payer", preference_views.payer_choose, name="payer_choose"),
    path(f"{_ROOT}/_f/params", panel_views.params, name="params"),
    path(f"{_ROOT}/_f/variables", panel_views.variables, name="variables"),
    path(f"{_ROOT}/_f/schema", panel_views.schema_from_example, name="schema_from_example"),
    re_path(
        r"^o/(?P<o>[-\w]+)/playground/_f/check/(?P<what>tools|schema|raw)$",
        panel_views.check,
        name="check",
    ),
    path(f"{_ROOT}/tools/import", tool_import_views.tools_import, name="tools_import"),
    path(f"{_ROOT}/tools/read", tool_import_views.tools_read, name="tools_read"),
    path(f"{_ROOT}/tools/add", tool_import_views.tools_add, name="tools_add"),
    path(f"{_ROOT}/presets", panel_views.preset_save, name="preset_save"),
    path(f"{_ROOT}/presets/<str:id>/delete", panel_views.preset_delete, name="preset_delete"),
    path(f"{_ROOT}/files", file_views.file_add, name="file_add"),
    path(f"{_ROOT}/files/fetch", file_views.file_fetch, name="file_fetch"),
    path(f"{_ROOT}/files/media", media_views.media_file_add, name="media_file_add"),
    path(f"{_ROOT}/files/<str:id>", file_views.file_show, name="file_show"),
    path(f"{_ROOT}/media/<uuid:id>", file_views.media_show, name="media_show"),
    # Messages
    path(f"{_ROOT}/messages/<str:id>/_f/earlier", views.earlier, name="earlier"),
    path(f"{_ROOT}/messages/<str:id>/_f/edit", tree_views.message_edit, name="message_edit"),
    path(f"{_ROOT}/messages/<str:id>/_f/tokens", tree_views.message_tokens, name="message_tokens"),
    path(
        f"{_ROOT}/messages/<str:id>/preview/<int:block>/<int:number>",
        file_views.code_preview,
        name="code_preview",
    ),
    path(f"{_ROOT}/messages/<str:id>/save", tree_views.message_save, name="message_save"),
    path(f"{_ROOT}/messages/<str:id>/rate", rating_views.message_rate, name="message_rate"),
    path(f"{_ROOT}/messages/<str:id>/show", tree_views.message_show, name="message_show"),
    path(f"{_ROOT}/messages/<str:id>/delete", tree_views.message_delete, name="message_delete"),
    path(f"{_ROOT}/messages/<str:id>/restore", tree_views.message_restore, name="message_restore"),
    path(f"{_ROOT}/messages/<str:id>/branch", tree_views.message_branch, name="message_branch"),
    path(f"{_ROOT}/messages/<str:id>/keep", compare_views.keep, name="keep"),
    path(f"{_ROOT}/messages/<str:id>/send-again", tree_views.summary_drop, name="summary_drop"),
    path(f"{_ROOT}/summarise", tree_views.chat_summarise, name="chat_summarise"),
    # Conversations
    path(f"{_ROOT}/_f/chats", chat_views.chats, name="chats"),
    path(f"{_ROOT}/import", chat_views.chat_import, name="chat_import"),
    path(f"{_ROOT}/history", history_views.history_page, name="history"),
    path(f"{_ROOT}/history/change", history_views.history_change, name="history_change"),
    path(f"{_ROOT}/history/undo", history_views.history_undo, name="history_undo"),
    path(f"{_ROOT}/history/export", history_views.history_export, name="history_export"),
    path(f"{_ROOT}/c/<str:id>/columns", compare_views.column_add, name="column_add"),
    path(f"{_ROOT}/c/<str:id>/_f/log", tree_views.log, name="log"),
    path(f"{_ROOT}/c/<str:id>/_f/in-step", tree_views.sync_chat, name="in_step"),
    path(f"{_ROOT}/c/<str:id>/_f/menu", chat_views.chat_menu, name="chat_menu"),
    path(f"{_ROOT}/c/<str:id>/_f/name", chat_views.chat_rename, name="chat_rename"),
    path(f"{_ROOT}/c/<str:id>/change", chat_views.chat_change, name="chat_change"),
    path(f"{_ROOT}/c/<str:id>/visit", chat_views.chat_visit, name="chat_visit"),
    path(f"{_ROOT}/c/<str:id>/delete", chat_views.chat_delete, name="chat_delete"),
    path(f"{_ROOT}/c/<str:id>/restore", chat_views.chat_restore, name="chat_restore"),
    re_path(
        r"^o/(?P<o>[-\w]+)/playground/c/(?P<id>\w+)/export\.(?P<form>json|md)$",
        chat_views.chat_export,
        name="chat_export",
    ),
    path(f"{_ROOT}/c/<str:id>/share", chat_views.share, name="share"),
    path(f"{_ROOT}/c/<str:id>/share/new", chat_views.share_create, name="share_create"),
    path(f"{_ROOT}/shares/<str:id>/revoke", chat_views.share_revoke, name="share_revoke"),
    path("pg/chat/completions", session_api_views.pg_chat, name="pg_chat"),
    path("s/<str:token>", chat_views.show_shared_chat, name="shared"),
    # Comparisons
    path(f"{_ROOT}/compare", compare_views.compare_new, name="compare"),
    path(f"{_ROOT}/c/<str:id>/_f/diff", compare_views.diff, name="diff"),
    path(f"{_ROOT}/votes", compare_views.votes, name="votes"),
    # Other modalities
    path(f"{_ROOT}/embeddings", embedding_views.embeddings, name="embeddings"),
    path(f"{_ROOT}/embeddings/run", embedding_views.embedding_run, name="embedding_run"),
    path(f"{_ROOT}/embeddings/_f/bound", embedding_views.embedding_bound, name="embedding_bound"),
    path(f"{_ROOT}/images", media_views.media_page, {"kind": "image"}, name="images"),
    path(f"{_ROOT}/speech", media_views.media_page, {"kind": "speech"}, name="speech"),
    path(
        f"{_ROOT}/transcription",
        media_views.media_page,
        {"kind": "transcription"},
        name="transcription",
    ),
    path(f"{_ROOT}/video", media_views.media_page, {"kind": "video"}, name="video"),
    path(f"{_ROOT}/realtime", realtime_views.realtime_page, name="realtime"),
    path(f"{_ROOT}/realtime/ticket", realtime_views.realtime_ticket, name="realtime_ticket"),
    path(f"{_ROOT}/realtime/_f/bound", realtime_views.realtime_bound, name="realtime_bound"),
    path(f"{_ROOT}/realtime/_f/code", realtime_views.realtime_code, name="realtime_code"),
    path(f"{_ROOT}/realtime/_f/charges", realtime_views.realtime_charges, name="realtime_charges"),
    path(f"{_ROOT}/gallery", media_views.gallery, name="gallery"),
    path(f"{_ROOT}/_f/media/fields", media_views.media_fields, name="media_fields"),
    path(f"{_ROOT}/_f/media/bound", media_views.media_bound, name="media_bound"),
    path(f"{_ROOT}/media/runs", media_views.media_create, name="media_create"),
    path(f"{_ROOT}/media/runs/<str:id>", media_views.media_run, name="media_run"),
    path(f"{_ROOT}/media/runs/<str:id>/stop", media_views.media_stop, name="media_stop"),
    path(f"{_ROOT}/media/runs/<str:id>/delete", media_views.media_delete, name="media_delete"),
    path(f"{_ROOT}/media/runs/<str:id>/_f/code", media_views.media_code, name="media_code"),
    path(
        f"{_ROOT}/media/runs/<str:id>/subtitles",
        media_views.media_subtitles,
        name="media_subtitles",
    ),
    path(
        f"{_ROOT}/media/runs/<str:id>/clips/<int:number>", media_views.media_clip, name="media_clip"
    ),
    path(f"{_ROOT}/media/runs/<str:id>/video", media_views.media_video, name="media_video"),
    # Settings
    path(f"{_ROOT}/settings", preference_views.preferences, name="playground_preferences"),
    path(f"{_ROOT}/settings/save", preference_views.preferences_save, name="preferences_save"),
    path(
        f"{_ROOT}/settings/rules",
        preference_views.playground_rules_save,
        name="playground_rules_save",
    ),
    path(f"{_ROOT}/settings/_f/title-cost", preference_views.title_cost, name="title_cost"),
    # Saved prompts
    path("o/<slug:o>/prompts", prompt_views.prompt_list, name="prompts"),
    path("o/<slug:o>/prompts/_f/pick", prompt_views.prompt_pick, name="prompt_pick"),
    path("o/<slug:o>/prompts/save", prompt_views.prompt_save, name="prompt_save"),
    path("o/<slug:o>/prompts/<slug:prompt>", prompt_views.prompt_show, name="prompt"),
    path(
        "o/<slug:o>/prompts/<slug:prompt>/labels",
        prompt_views.prompt_label_move,
        name="prompt_label_move",
    ),
    path(
        "o/<slug:o>/prompts/<slug:prompt>/labels/<slug:label>/roll-back",
        prompt_views.prompt_label_roll_back,
        name="prompt_label_roll_back",
    ),
    path(
        "o/<slug:o>/prompts/<slug:prompt>/labels/<slug:label>/remove",
        prompt_views.prompt_label_remove,
        name="prompt_label_remove",
    ),
    path(
        "o/<slug:o>/prompts/<slug:prompt>/production",
        prompt_views.prompt_production,
        name="prompt_production",
    ),
]
