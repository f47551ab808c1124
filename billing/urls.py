from django.urls import path

from billing import event_views

urlpatterns = [
    path("processors/<str:processor>/events", event_views.processor_event, name="processor_event"),
]
