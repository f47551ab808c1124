from typing import Final

from django.urls import URLPattern, URLResolver, path
from django.urls.resolvers import RoutePattern
from django.utils.functional import cached_property

from accounts import urls as accounts_urls
from billing import urls as billing_urls
from config.api import reference_views
from config.claude_code import views as claude_code_views
from config.erasure import views as erasure_views
from config.home import connect_views
from config.home import views as home_views
from config.previews import views as preview_views
from config.shell import views
from config.shell.page_paths import PagePaths
from config.system import views as system_views
from content import urls as content_urls
from gateway import urls as gateway_urls
from lib.extensions.installed import contribute
from notify import urls as notify_urls
from playground import urls as playground_urls
from reference import urls as reference_urls
from usage import urls as usage_urls


class ManagementPaths(URLResolver):
    """Resolves the management API's paths below `route`, and names in the namespace `api`.
    Its schemas are half of what a web process would load at its start, so they are loaded with the
    first request for one of these paths."""

    def __init__(self, route: str) -> None:
        super().__init__(RoutePattern(route), "config.api.api", app_name="ninja", namespace="api")

    @cached_property
    def url_patterns(self) -> list[URLPattern | URLResolver]:
        from config.api.api import api

        patterns, _, _ = api.urls
        return patterns

    def _populate(self) -> None:
        """Read no names. Django looks up names of a namespace in a separate resolver by
        `url_patterns`; reading them here would load all operations for the name of any page."""


_PATTERNS: Final[list[URLPattern | URLResolver]] = [
    path("", views.root, name="root"),
    *accounts_urls.urlpatterns,
    *billing_urls.urlpatterns,
    *content_urls.urlpatterns,
    *notify_urls.urlpatterns,
    *gateway_urls.urlpatterns,
    *playground_urls.urlpatterns,
    *reference_urls.urlpatterns,
    *usage_urls.urlpatterns,
    path("o/<slug:o>/", home_views.home, name="home"),
    path("o/<slug:o>/_f/home/<slug:name>", home_views.home_panel, name="home_panel"),
    path("o/<slug:o>/start", home_views.start, name="start"),
    path("o/<slug:o>/start/key", home_views.start_key, name="start_key"),
    path("o/<slug:o>/start/skip", home_views.start_skip, name="start_skip"),
    path("o/<slug:o>/_f/first-request", home_views.first_request, name="first_request"),
    path("o/<slug:o>/connect", connect_views.connect, name="connect"),
    path("o/<slug:o>/_f/connect/request", connect_views.connect_request, name="connect_request"),
    path("o/<slug:o>/_f/palette", views.palette_found, name="palette"),
    path("admin/", home_views.installation, name="installation"),
    path("admin/_f/overview/<slug:name>", home_views.installation_panel, name="installation_panel"),
    path("admin/_f/palette", views.operator_palette_found, name="operator_palette"),
    path("managed/settings", claude_code_views.managed_settings, name="claude_code_settings"),
    path("api/oauth/usage", claude_code_views.spending, name="claude_code_spending"),
    path("metrics", system_views.metrics, name="metrics"),
    path("admin/health", views.health, name="health"),
    path("admin/settings/backups", system_views.backups, name="backups"),
    path(
        "admin/channels/<str:id>/overrides",
        preview_views.channel_overrides,
        name="channel_overrides",
    ),
    path("admin/routes/preview", preview_views.route_preview, name="route_preview"),
    path("admin/routes/_f/keys", preview_views.keys_found, name="route_preview_keys"),
    path("admin/setup", home_views.set_up_steps, name="set_up_steps"),
    path("admin/setup/organisation", home_views.set_up_organisation, name="set_up_organisation"),
    path("admin/setup/skip", home_views.set_up_skip, name="set_up_skip"),
    path("account/data", erasure_views.own_data, name="own_data"),
    path("account/data/download", erasure_views.own_data_download, name="own_data_download"),
    path("account/data/delete", erasure_views.own_erasure, name="own_erasure"),
    path("account/deleted", erasure_views.account_erased, name="account_erased"),
    path("o/<slug:o>/team/members/<str:id>/erase", erasure_views.member_erase, name="member_erase"),
    path("o/<slug:o>/team/erasures/<str:id>", erasure_views.member_erasure, name="member_erasure"),
    path("admin/people/<str:id>/erase", erasure_views.person_erase, name="person_erase"),
    path("admin/people/<str:id>/erasure", erasure_views.person_erasure, name="person_erasure"),
    path("appearance", views.appearance, name="appearance"),
    path("design/", views.design, name="design"),
    path("design/chat", views.design_chat, name="design_chat"),
    path("api/v1/docs", reference_views.api_reference, name="api_reference"),
    path("api/v1/docs/<slug:section>", reference_views.api_section, name="api_section"),
    path("api/v1/openapi.json", reference_views.api_description, name="api_description"),
    ManagementPaths("api/v1/"),
]
_paths = PagePaths(_PATTERNS)
contribute("urls", _paths.add)
urlpatterns = [_paths]

handler403 = "config.shell.views.answer_denied"
handler404 = "config.shell.views.missing"
handler500 = "config.shell.views.answer_failed"
