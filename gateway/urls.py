from django.urls import path

from gateway import views

urlpatterns = [
    path("admin/channels", views.channel_list, name="channels"),
    path("admin/channels/<str:id>", views.channel, name="channel"),
    path("admin/channels/<str:id>/test", views.channel_test, name="channel_test"),
    path("admin/models", views.model_list, name="models_admin"),
]
