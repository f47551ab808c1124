from django.urls import path

from content.rules import views

urlpatterns = [
    path("o/<slug:o>/content-log", views.log_rule_list, name="log_rules"),
    path("o/<slug:o>/content-log/new", views.log_rule_create, name="log_rule_create"),
    path(
        "o/<slug:o>/content-log/_f/subjects",
        views.log_rule_subject_choices,
        name="log_rule_subject_choices",
    ),
    path("o/<slug:o>/content-log/<str:id>/edit", views.log_rule_edit, name="log_rule_edit"),
    path("o/<slug:o>/content-log/<str:id>/remove", views.log_rule_remove, name="log_rule_remove"),
]
