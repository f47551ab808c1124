from allauth.account import views as allauth
from django.urls import path, re_path

from accounts import (
    invitation_views,
    limit_views,
    member_views,
    operator_views,
    role_views,
    service_account_views,
    settings_views,
    table_views,
    team_views,
    views,
)
from accounts.access import public, signed_in_view
from accounts.views import ResetPasswordView, SignUpView, slowed

urlpatterns = [
    path("login", public(slowed("sign_in")(allauth.login)), name="account_login"),
    path("logout", public(allauth.logout), name="account_logout"),
    path("signup", public(slowed("sign_up")(SignUpView.as_view())), name="account_signup"),
    path("inactive", public(allauth.account_inactive), name="account_inactive"),
    path(
        "password/change",
        signed_in_view(slowed("change_password")(allauth.password_change)),
        name="account_change_password",
    ),
    path(
        "password/set",
        signed_in_view(slowed("change_password")(allauth.password_set)),
        name="account_set_password",
    ),
    path(
        "password/reset",
        public(slowed("ask_reset")(allauth.password_reset)),
        name="account_reset_password",
    ),
    path(
        "password/reset/sent",
        public(allauth.password_reset_done),
        name="account_reset_password_done",
    ),
    path(
        "password/reset/done",
        public(allauth.password_reset_from_key_done),
        name="account_reset_password_from_key_done",
    ),
    # After the two above: a person's id in base 36, a hyphen, and the text of the reset.
    re_path(
        r"^password/reset/(?P<uidb36>[0-9A-Za-z]+)-(?P<key>[^/]+)$",
        public(slowed("reset")(ResetPasswordView.as_view())),
        name="account_reset_password_from_key",
    ),
    path(
        "confirm",
        public(allauth.email_verification_sent),
        name="account_email_verification_sent",
    ),
    path("confirm/<str:key>", public(allauth.confirm_email), name="account_confirm_email"),
    path("link/<str:text>", views.sign_in_link, name="sign_in_link"),
    path("o/<slug:o>/keys/<str:id>/revoke", views.key_revoke, name="key_revoke"),
    path("tables/<slug:table>", table_views.keep_preference, name="table_preference"),
    path(
        "o/<slug:o>/service-accounts",
        service_account_views.service_account_list,
        name="service_accounts",
    ),
    path(
        "o/<slug:o>/service-accounts/new",
        service_account_views.service_account_create,
        name="service_account_create",
    ),
    path(
        "o/<slug:o>/service-accounts/<str:id>/edit",
        service_account_views.service_account_edit,
        name="service_account_edit",
    ),
    path("o/<slug:o>/settings", settings_views.settings_page, name="settings"),
    path(
        "o/<slug:o>/settings/archive",
        settings_views.organisation_archive,
        name="organisation_archive",
    ),
    path("o/<slug:o>/teams/new", team_views.team_create, name="team_create"),
    path("o/<slug:o>/teams/<slug:team>/edit", team_views.team_edit, name="team_edit"),
    path("o/<slug:o>/teams/<slug:team>/archive", team_views.team_archive, name="team_archive"),
    path("o/<slug:o>/teams/<slug:team>/restore", team_views.team_restore, name="team_restore"),
    path(
        "o/<slug:o>/teams/<slug:team>/projects/new",
        team_views.project_create,
        name="project_create",
    ),
    path("o/<slug:o>/projects/<slug:project>/edit", team_views.project_edit, name="project_edit"),
    path(
        "o/<slug:o>/projects/<slug:project>/archive",
        team_views.project_archive,
        name="project_archive",
    ),
    path(
        "o/<slug:o>/projects/<slug:project>/restore",
        team_views.project_restore,
        name="project_restore",
    ),
    path("admin/people", operator_views.people_list, name="people"),
    path(
        "admin/people/<str:id>/activate",
        operator_views.person_activate,
        {"active": True},
        name="person_activate",
    ),
    path(
        "admin/people/<str:id>/deactivate",
        operator_views.person_activate,
        {"active": False},
        name="person_deactivate",
    ),
    path(
        "admin/organisations/<slug:slug>/suspend",
        operator_views.organisation_suspend,
        name="organisation_suspend",
    ),
    path(
        "admin/organisations/<slug:slug>/unsuspend",
        operator_views.organisation_unsuspend,
        name="organisation_unsuspend",
    ),
    path(
        "admin/organisations/<slug:slug>/restore",
        operator_views.organisation_restore,
        name="organisation_restore",
    ),
    path("o/<slug:o>/limits", limit_views.limit_list, name="limits"),
    path(
        "o/<slug:o>/limits/organisation",
        limit_views.limit_change,
        {"scope": "organisation", "id": ""},
        name="limit_organisation",
    ),
    path("o/<slug:o>/limits/<str:scope>/<str:id>", limit_views.limit_change, name="limit"),
    path("invite/<str:text>", invitation_views.invitation, name="invitation"),
    path("o/<slug:o>/team/bulk", member_views.member_bulk, name="members_bulk"),
    path("o/<slug:o>/team/members/<str:id>/edit", member_views.member_edit, name="member_edit"),
    path(
        "o/<slug:o>/team/members/<str:id>/_f/preview",
        member_views.member_preview,
        name="member_preview",
    ),
    path("o/<slug:o>/team/invitations", invitation_views.invitation_list, name="invitations"),
    path("o/<slug:o>/team/invitations/new", invitation_views.invite, name="invite"),
    path(
        "o/<slug:o>/team/invitations/<str:id>/resend",
        invitation_views.invitation_resend,
        name="invitation_resend",
    ),
    path(
        "o/<slug:o>/team/invitations/<str:id>/withdraw",
        invitation_views.invitation_withdraw,
        name="invitation_withdraw",
    ),
    path("o/<slug:o>/team/roles", role_views.role_list, name="roles"),
    path("o/<slug:o>/team/roles/new", role_views.role_create, name="role_create"),
    path("o/<slug:o>/team/roles/<str:id>", role_views.role, name="role"),
    path("o/<slug:o>/team/roles/<str:id>/remove", role_views.role_remove, name="role_remove"),
]
