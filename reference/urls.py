from django.urls import path

from reference import views

urlpatterns = [
    path("docs", views.docs, name="docs"),
    path("docs/errors", views.docs_errors, name="docs_errors"),
    path("docs/headers", views.docs_headers, name="docs_headers"),
    path("docs/faq", views.docs_faq, name="docs_faq"),
    path("docs/<slug:slug>", views.docs_page, name="docs_page"),
]
