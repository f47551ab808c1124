from django.urls import path

from content.policies import views as policy_views
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
    path("o/<slug:o>/policies", policy_views.policy_list, name="policies"),
    path("o/<slug:o>/policies/new", policy_views.policy_create, name="policy_create"),
    path("o/<slug:o>/policies/<str:id>", policy_views.policy, name="policy"),
    path("o/<slug:o>/policies/<str:id>/try", policy_views.policy_try, name="policy_try"),
    path("o/<slug:o>/policies/<str:id>/remove", policy_views.policy_remove, name="policy_remove"),
]
