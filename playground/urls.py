from django.urls import path

from playground import views

urlpatterns = [
    path("o/<slug:o>/playground", views.playground, name="playground"),
    path("o/<slug:o>/playground/c/<str:id>", views.conversation, name="conversation"),
    path("o/<slug:o>/playground/runs", views.run_create, name="run_create"),
    path("o/<slug:o>/playground/runs/<str:id>/events", views.run_events, name="run_events"),
    path("o/<slug:o>/playground/runs/<str:id>/stop", views.run_stop, name="run_stop"),
]
