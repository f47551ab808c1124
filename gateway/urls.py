from django.urls import path

from gateway.catalogue import views as catalogue_views
from gateway.channel_overview import views as channel_views
from gateway.channel_setup import bulk_views as several_views
from gateway.channel_setup import edit_views, new_views
from gateway.channels.channel_tests import views as channel_test_views
from gateway.health import views as health_views
from gateway.limits import budget_subjects
from gateway.limits import views as limit_views
from gateway.listed_models import model_choices
from gateway.media_tasks import callback_views
from gateway.own_keys import views as own_key_views
from gateway.prices import own_price_views, price_plan_views, price_views
from gateway.prices.upstream_prices import views as upstream_price_views
from gateway.provider_accounts.balances import views as balance_views
from gateway.provider_accounts.reconciliation import bill_views
from gateway.public_models import console_views
from gateway.public_models import views as model_views
from gateway.routing import views as routing_views
from gateway.settings import views as settings_views
from gateway.status import views as status_views

urlpatterns = [
    path(
        "callbacks/videos/<str:task>/<str:token>",
        callback_views.task_callback,
        name="task_callback",
    ),
    path("admin/reconcile", bill_views.bill_list, name="bills"),
    path("admin/reconcile/new", bill_views.bill_new, name="bill_new"),
    path("admin/reconcile/<str:id>", bill_views.bill, name="bill"),
    path("admin/reconcile/<str:id>/<str:n>", bill_views.bill_difference, name="bill_difference"),
    path("admin/reconcile/<str:id>/<str:n>/settle", bill_views.bill_settle, name="bill_settle"),
    path("admin/reconcile/<str:id>/<str:n>/reopen", bill_views.bill_reopen, name="bill_reopen"),
    path("o/<slug:o>/usage/_f/marks", status_views.marks_panel, name="usage_marks"),
    path("models", model_views.model_catalogue, name="models"),
    path("models/<path:name>", model_views.model_page, name="model"),
    path("o/<slug:o>/_f/choices/models", model_choices.model_choices, name="model_choices"),
    path(
        "admin/_f/choices/models",
        model_choices.installation_model_choices,
        name="installation_model_choices",
    ),
    path(
        "o/<slug:o>/_f/choices/budget-subjects",
        budget_subjects.budget_subject_choices,
        name="budget_subject_choices",
    ),
    path("o/<slug:o>/budgets/_f/preview", limit_views.budget_preview, name="budget_preview"),
    path("o/<slug:o>/budgets/new", limit_views.budget_create, name="budget_create"),
    path("o/<slug:o>/keys/new", limit_views.key_create, name="key_create"),
    path("o/<slug:o>/keys/<str:id>/edit", limit_views.key_edit, name="key_edit"),
    path("o/<slug:o>/models/compare", model_views.models_compare, name="models_compare"),
    path("pricing", model_views.pricing, name="pricing"),
    path("admin/_f/channels", health_views.channel_states, name="channel_states"),
    path("admin/_f/channels/<str:id>", health_views.channel_health, name="channel_health"),
    path("admin/channels", channel_views.channel_list, name="channels"),
    path("admin/channels/several", several_views.channels_several, name="channels_several"),
    path("admin/channels/new", new_views.channel_new, name="channel_new"),
    path(
        "admin/channels/new/models",
        new_views.channel_new_models,
        name="channel_new_models",
    ),
    path("admin/channels/new/test", new_views.channel_new_test, name="channel_new_test"),
    path("admin/channels/tests", channel_test_views.test_all, name="channel_test_all"),
    path("admin/channels/tests/<str:id>", channel_test_views.test_run, name="channel_test_run"),
    path("admin/channels/<str:id>", channel_views.channel, name="channel"),
    path("admin/channels/<str:id>/test", channel_views.channel_test, name="channel_test"),
    path("admin/channels/<str:id>/balance", balance_views.channel_balance, name="channel_balance"),
    path("admin/channels/<str:id>/switch", channel_views.channel_switch, name="channel_switch"),
    path("admin/channels/<str:id>/edit", edit_views.channel_edit, name="channel_edit"),
    path("admin/channels/<str:id>/models", edit_views.channel_models, name="channel_models"),
    path(
        "admin/channels/<str:id>/models/fetch",
        edit_views.channel_models_fetch,
        name="channel_models_fetch",
    ),
    path(
        "admin/channels/<str:id>/models/changes",
        catalogue_views.channel_model_changes,
        name="channel_model_changes",
    ),
    path(
        "admin/channels/<str:id>/models/check",
        catalogue_views.channel_models_check,
        name="channel_models_check",
    ),
    path(
        "admin/channels/<str:id>/models/decide",
        catalogue_views.channel_models_decide,
        name="channel_models_decide",
    ),
    path(
        "admin/channels/<str:id>/prices",
        upstream_price_views.channel_prices,
        name="channel_prices",
    ),
    path(
        "admin/channels/<str:id>/prices/set",
        new_views.channel_prices_set,
        name="channel_prices_set",
    ),
    path(
        "admin/channels/<str:id>/prices/follow",
        upstream_price_views.channel_prices_follow,
        name="channel_prices_follow",
    ),
    path(
        "admin/channels/<str:id>/prices/unfollow",
        upstream_price_views.channel_prices_unfollow,
        name="channel_prices_unfollow",
    ),
    path("admin/channels/<str:id>/enable", edit_views.channel_enable, name="channel_enable"),
    path("admin/channels/<str:id>/copy", edit_views.channel_copy, name="channel_copy"),
    path(
        "admin/channels/<str:id>/archive",
        edit_views.channel_archive,
        name="channel_archive",
    ),
    path("admin/channels/<str:id>/keys", edit_views.channel_key_add, name="channel_key_add"),
    path(
        "admin/channels/<str:id>/keys/<str:key>",
        edit_views.channel_key_change,
        name="channel_key_change",
    ),
    path(
        "admin/channels/<str:id>/own-keys",
        own_key_views.channel_offer_edit,
        name="channel_offer_edit",
    ),
    path(
        "admin/channels/<str:id>/own-keys/end",
        own_key_views.channel_offer_end,
        name="channel_offer_end",
    ),
    path("o/<slug:o>/provider-keys", own_key_views.provider_key_list, name="provider_keys"),
    path("o/<slug:o>/provider-keys/new", own_key_views.provider_key_add, name="provider_key_add"),
    path(
        "o/<slug:o>/provider-keys/<str:id>/edit",
        own_key_views.provider_key_edit,
        name="provider_key_edit",
    ),
    path(
        "o/<slug:o>/provider-keys/<str:id>/rotate",
        own_key_views.provider_key_rotate,
        name="provider_key_rotate",
    ),
    path(
        "o/<slug:o>/provider-keys/<str:id>/delete",
        own_key_views.provider_key_remove,
        name="provider_key_remove",
    ),
    path("admin/prices", price_views.prices, name="prices"),
    path("admin/prices/new", price_views.price_new, name="price_new"),
    path("admin/prices/drafts", price_views.price_draft, name="price_draft"),
    path("admin/prices/proposals", price_views.proposals, name="price_proposals"),
    path("admin/prices/proposals/decide", price_views.proposals_decide, name="price_decide"),
    path("admin/prices/proposals/compare", price_views.proposals_compare, name="price_compare"),
    path("admin/prices/proposals/<str:id>", price_views.proposal, name="price_proposal"),
    path("admin/prices/previews/<str:id>", price_views.preview, name="price_preview"),
    path("admin/prices/previews/<str:id>/stop", price_views.preview_cancel, name="preview_cancel"),
    path("admin/prices/previews/<str:id>/csv", price_views.preview_csv, name="preview_csv"),
    path("admin/prices/<int:id>", price_views.price, name="price"),
    path(
        "admin/prices/versions/<int:id>/withdraw",
        price_views.price_withdraw,
        name="price_withdraw",
    ),
    path("admin/plans", price_plan_views.plans, name="price_plans"),
    path("admin/plans/new", price_plan_views.plan_create, name="plan_create"),
    path("admin/plans/_f/markup", price_plan_views.markup_checked, name="markup_checked"),
    path("admin/plans/<int:id>", price_plan_views.plan, name="price_plan"),
    path("admin/plans/<int:id>/edit", price_plan_views.plan_edit, name="plan_edit"),
    path("admin/plans/<int:id>/member", price_plan_views.plan_member, name="plan_member"),
    path("admin/plans/<int:id>/remove", price_plan_views.plan_remove, name="plan_remove"),
    path("o/<slug:o>/prices", own_price_views.organisation_prices, name="organisation_prices"),
    path(
        "o/<slug:o>/prices.csv",
        own_price_views.organisation_prices_csv,
        name="organisation_prices_csv",
    ),
    path("admin/models", console_views.model_list, name="models_admin"),
    path("admin/models/named/<path:name>", console_views.model_admin, name="model_admin"),
    path(
        "admin/models/save/<path:name>",
        console_views.model_admin_save,
        name="model_admin_save",
    ),
    path("admin/models/probe/<path:name>", console_views.model_probe, name="model_probe"),
    path("admin/models/catalogue", catalogue_views.catalogue, name="catalogue"),
    path(
        "admin/models/catalogue/update", catalogue_views.catalogue_update, name="catalogue_update"
    ),
    path(
        "admin/models/catalogue/decide", catalogue_views.catalogue_decide, name="catalogue_decide"
    ),
    path(
        "admin/models/catalogue/ignore", catalogue_views.catalogue_ignore, name="catalogue_ignore"
    ),
    path(
        "admin/models/catalogue/ignore/<int:id>/remove",
        catalogue_views.catalogue_heed,
        name="catalogue_heed",
    ),
    path("admin/models/shadows", routing_views.shadow_traffic, name="shadow_traffic"),
    path("admin/models/rules", routing_views.model_rules, name="model_rules"),
    path("admin/models/rules/new", routing_views.model_rule_add, name="model_rule_add"),
    path("admin/models/rules/<int:id>", routing_views.model_rule, name="model_rule"),
    path(
        "admin/models/rules/<int:id>/remove",
        routing_views.model_rule_remove,
        name="model_rule_remove",
    ),
    path("admin/models/aliases/new", routing_views.alias_add, name="alias_add"),
    path("admin/models/aliases/<int:id>", routing_views.alias, name="alias"),
    path("admin/models/aliases/<int:id>/remove", routing_views.alias_remove, name="alias_remove"),
    path("status", status_views.status, name="status"),
    path("admin/settings", settings_views.settings_page, name="installation_settings"),
    path("admin/settings/save", settings_views.save_page, name="installation_settings_save"),
    path(
        "admin/settings/changes/<str:id>/undo",
        settings_views.undo_change,
        name="installation_settings_undo",
    ),
    path("admin/announcements", status_views.announcements, name="announcements"),
    path(
        "admin/announcements/new",
        status_views.announcement_publish,
        name="announcement_publish",
    ),
    path("admin/announcements/<str:id>", status_views.announcement, name="announcement"),
    path(
        "admin/announcements/<str:id>/end", status_views.announcement_end, name="announcement_end"
    ),
    path(
        "announcements/<str:id>/dismiss",
        status_views.announcement_dismiss,
        name="announcement_dismiss",
    ),
]
