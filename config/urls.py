from django.urls import URLPattern, URLResolver, include, path

from config import views
from config.api import api

urlpatterns: list[URLPattern | URLResolver] = [
    path("", views.root, name="root"),
    path("", include("accounts.urls")),
    path("", include("billing.urls")),
    path("", include("notify.urls")),
    path("", include("gateway.urls")),
    path("", include("playground.urls")),
    path("", include("reference.urls")),
    path("", include("usage.urls")),
    path("o/<slug:o>/", views.home, name="home"),
    path("o/<slug:o>/_f/first-request", views.first_request, name="first_request"),
    path("o/<slug:o>/_f/palette", views.palette_found, name="palette"),
    path("admin/_f/palette", views.operator_palette_found, name="operator_palette"),
    path("admin/health", views.health, name="health"),
    path("appearance", views.appearance, name="appearance"),
    path("design/", views.design, name="design"),
    path("api/v1/", api.urls),
]

handler403 = "config.views.denied"
handler404 = "config.views.missing"
handler500 = "config.views.failed"
