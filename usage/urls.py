from django.urls import path

from usage import request_views, views

urlpatterns = [
    path("o/<slug:o>/usage", views.usage_page, name="usage"),
    path("o/<slug:o>/requests", views.request_list, name="requests"),
    path("o/<slug:o>/requests/<str:rid>", request_views.request_page, name="request"),
    path(
        "o/<slug:o>/requests/<str:rid>/recompute",
        request_views.request_recompute,
        name="request_recompute",
    ),
]
