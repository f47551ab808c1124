from django.urls import path

from reference import views
from reference.manual import views as manual_views

urlpatterns = [
    path("manual", manual_views.manual_first, name="manual"),
    path("manual/search", manual_views.manual_search, name="manual_search"),
    path("manual/<path:name>", manual_views.manual_page, name="manual_page"),
    path("llms.txt", manual_views.llms, name="llms_txt"),
    path("docs", views.docs, name="docs"),
    path("docs/errors", views.docs_errors, name="docs_errors"),
    path("docs/headers", views.docs_headers, name="docs_headers"),
    path("docs/faq", views.docs_faq, name="docs_faq"),
    path("docs/<slug:slug>", views.docs_page, name="docs_page"),
]
