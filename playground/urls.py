from django.urls import path, re_path

from playground import (
    chat_views,
    compare_views,
    file_views,
    panel_views,
    pg_views,
    prompt_views,
    share_views,
    tree_views,
    views,
)

_ROOT = "o/<slug:o>/playground"

urlpatterns = [
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
    path(f"{_ROOT}/_f/params", panel_views.params, name="params"),
    path(f"{_ROOT}/_f/variables", panel_views.variables, name="variables"),
    path(f"{_ROOT}/_f/schema", panel_views.schema_from_example, name="schema_from_example"),
    re_path(
        r"^o/(?P<o>[-\w]+)/playground/_f/check/(?P<what>tools|schema|raw)$",
        panel_views.check,
        name="check",
    ),
    path(f"{_ROOT}/presets", panel_views.preset_save, name="preset_save"),
    path(f"{_ROOT}/presets/<str:id>/delete", panel_views.preset_delete, name="preset_delete"),
    path(f"{_ROOT}/files", file_views.file_add, name="file_add"),
    path(f"{_ROOT}/files/fetch", file_views.file_fetch, name="file_fetch"),
    path(f"{_ROOT}/files/<str:id>", file_views.file_show, name="file_show"),
    path(f"{_ROOT}/media/<uuid:id>", file_views.media_show, name="media_show"),
    # Messages
    path(f"{_ROOT}/messages/<str:id>/_f/earlier", views.earlier, name="earlier"),
    path(f"{_ROOT}/messages/<str:id>/_f/edit", tree_views.message_edit, name="message_edit"),
    path(f"{_ROOT}/messages/<str:id>/save", tree_views.message_save, name="message_save"),
    path(f"{_ROOT}/messages/<str:id>/show", tree_views.message_show, name="message_show"),
    path(f"{_ROOT}/messages/<str:id>/delete", tree_views.message_delete, name="message_delete"),
    path(f"{_ROOT}/messages/<str:id>/restore", tree_views.message_restore, name="message_restore"),
    path(f"{_ROOT}/messages/<str:id>/branch", tree_views.message_branch, name="message_branch"),
    path(f"{_ROOT}/messages/<str:id>/keep", compare_views.keep, name="keep"),
    # Conversations
    path(f"{_ROOT}/_f/chats", chat_views.chats, name="chats"),
    path(f"{_ROOT}/import", chat_views.chat_import, name="chat_import"),
    path(f"{_ROOT}/c/<str:id>/_f/log", tree_views.log, name="log"),
    path(f"{_ROOT}/c/<str:id>/_f/menu", chat_views.chat_menu, name="chat_menu"),
    path(f"{_ROOT}/c/<str:id>/change", chat_views.chat_change, name="chat_change"),
    path(f"{_ROOT}/c/<str:id>/delete", chat_views.chat_delete, name="chat_delete"),
    path(f"{_ROOT}/c/<str:id>/restore", chat_views.chat_restore, name="chat_restore"),
    re_path(
        r"^o/(?P<o>[-\w]+)/playground/c/(?P<id>\w+)/export\.(?P<form>json|md)$",
        chat_views.chat_export,
        name="chat_export",
    ),
    path(f"{_ROOT}/c/<str:id>/share", share_views.share, name="share"),
    path(f"{_ROOT}/c/<str:id>/share/new", share_views.share_create, name="share_create"),
    path(f"{_ROOT}/shares/<str:id>/revoke", share_views.share_revoke, name="share_revoke"),
    path("pg/chat/completions", pg_views.pg_chat, name="pg_chat"),
    path("s/<str:token>", share_views.shared, name="shared"),
    # Comparing
    path(f"{_ROOT}/compare", compare_views.compare_new, name="compare"),
    path(f"{_ROOT}/c/<str:id>/_f/diff", compare_views.diff, name="diff"),
    path(f"{_ROOT}/votes", compare_views.votes, name="votes"),
    # Saved prompts
    path("o/<slug:o>/prompts", prompt_views.prompt_list, name="prompts"),
    path("o/<slug:o>/prompts/save", prompt_views.prompt_save, name="prompt_save"),
    path("o/<slug:o>/prompts/<slug:prompt>", prompt_views.prompt_show, name="prompt"),
    path(
        "o/<slug:o>/prompts/<slug:prompt>/production",
        prompt_views.prompt_production,
        name="prompt_production",
    ),
]
