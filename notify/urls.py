from django.urls import path

from notify.webhooks import views

urlpatterns = [
    path("admin/alerts", views.operator_alerts, name="operator_alerts"),
    path("admin/alerts/new", views.operator_alert_create, name="operator_alert_create"),
    path("admin/alerts/<str:id>/edit", views.operator_alert_edit, name="operator_alert_edit"),
    path("admin/alerts/<str:id>/test", views.operator_alert_test, name="operator_alert_test"),
    path(
        "admin/alerts/<str:id>/remove",
        views.operator_alert_remove,
        name="operator_alert_remove",
    ),
    path("o/<slug:o>/webhooks", views.webhook_list, name="webhooks"),
    path("o/<slug:o>/webhooks/new", views.webhook_create, name="webhook_create"),
    path("o/<slug:o>/webhooks/<str:id>", views.webhook, name="webhook"),
    path("o/<slug:o>/webhooks/<str:id>/edit", views.webhook_edit, name="webhook_edit"),
    path("o/<slug:o>/webhooks/<str:id>/rotate", views.webhook_rotate, name="webhook_rotate"),
    path("o/<slug:o>/webhooks/<str:id>/test", views.webhook_test, name="webhook_test"),
    path("o/<slug:o>/webhooks/<str:id>/remove", views.webhook_remove, name="webhook_remove"),
    path(
        "o/<slug:o>/webhooks/<str:id>/deliveries/<str:delivery>/send",
        views.delivery_repeat,
        name="delivery_repeat",
    ),
]
