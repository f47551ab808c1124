from allauth.account import views as allauth
from allauth.mfa.recovery_codes import views as recovery_codes
from django.urls import path, re_path
from django.utils.translation import gettext_lazy as _

from accounts.audit_log import views as audit_views
from accounts.custom_roles import views as role_views
from accounts.device_sign_in import views as device_views
from accounts.device_sign_in.views import device_page
from accounts.guards.account_guard import account_page, dangerous_page
from accounts.guards.guards import public
from accounts.keys import views as key_revoke_views
from accounts.mail_server import views as mail_server_views
from accounts.members import invitation_views
from accounts.members import views as member_views
from accounts.organisations import choices, operator_views, view_as_views
from accounts.organisations import views as settings_views
from accounts.preferences import table_views
from accounts.second_factor import views as second_factor_views
from accounts.sign_in import session_views
from accounts.sign_in import views as sign_in_views
from accounts.sign_in.views import ResetPasswordView, SignInView, SignUpView
from accounts.sign_up import invitation_link_views
from accounts.sign_up import views as sign_up_views
from accounts.single_sign_on import views as single_sign_on_views
from accounts.throttled_forms.throttled_forms import throttle_view

_adds_app = dangerous_page(
    _("set up two-factor authentication"), _("Security"), _("Authenticator app")
)
_removes_app = dangerous_page(
    _("remove your authenticator app"), _("Security"), _("Authenticator app")
)
_opens_codes = dangerous_page(_("open your recovery codes"), _("Security"), _("Recovery codes"))
_changes_passkeys = dangerous_page(_("change your passkeys"), _("Security"), _("Passkeys"))
_connects = dangerous_page(_("connect single sign-on"), _("Security"), _("Single sign-on"))
_CONFIRM = [
    path(
        "account/confirm",
        account_page(throttle_view("confirm")(sign_in_views.ConfirmByPasswordView.as_view())),
        name="account_reauthenticate",
    ),
    path(
        "account/confirm/code",
        account_page(throttle_view("confirm")(second_factor_views.ConfirmByCodeView.as_view())),
        name="mfa_reauthenticate",
    ),
    path(
        "account/confirm/passkey",
        account_page(throttle_view("confirm")(second_factor_views.ConfirmByPasskeyView.as_view())),
        name="mfa_reauthenticate_webauthn",
    ),
]
_SECURITY = [
    path("account/security", account_page(second_factor_views.security_page), name="mfa_index"),
    path(
        "account/security/app",
        _adds_app(second_factor_views.AddAppView.as_view()),
        name="mfa_activate_totp",
    ),
    path(
        "account/security/app/qr.svg",
        _adds_app(second_factor_views.app_qr),
        name="mfa_totp_qr",
    ),
    path(
        "account/security/app/remove",
        _removes_app(second_factor_views.RemoveAppView.as_view()),
        name="mfa_deactivate_totp",
    ),
    path(
        "account/security/recovery-codes",
        _opens_codes(recovery_codes.view_recovery_codes),
        name="mfa_view_recovery_codes",
    ),
    path(
        "account/security/recovery-codes/new",
        _opens_codes(second_factor_views.NewRecoveryCodesView.as_view()),
        name="mfa_generate_recovery_codes",
    ),
    path(
        "account/security/passkeys/add",
        _changes_passkeys(second_factor_views.AddPasskeyView.as_view()),
        name="mfa_add_webauthn",
    ),
    path(
        "account/security/passkeys/<int:pk>/rename",
        _changes_passkeys(second_factor_views.RenamePasskeyView.as_view()),
        name="mfa_edit_webauthn",
    ),
    path(
        "account/security/passkeys/<int:pk>/remove",
        _changes_passkeys(second_factor_views.RemovePasskeyView.as_view()),
        name="mfa_remove_webauthn",
    ),
    path("account/sign-ins", account_page(session_views.session_list), name="usersessions_list"),
    path(
        "account/sign-ins/<int:id>/end",
        account_page(session_views.session_end),
        name="session_end",
    ),
    path("account/sign-ins/end", account_page(session_views.sessions_end), name="sessions_end"),
]
urlpatterns = [
    path("login", public(throttle_view("sign_in")(SignInView.as_view())), name="account_login"),
    path(
        "login/2fa",
        public(throttle_view("second_factor")(second_factor_views.AuthenticateView.as_view())),
        name="mfa_authenticate",
    ),
    path(
        "login/passkey",
        public(throttle_view("passkey")(second_factor_views.PasskeyLoginView.as_view())),
        name="mfa_login_webauthn",
    ),
    path("logout", public(allauth.logout), name="account_logout"),
    path("device", device_page, name="device"),
    path(
        ".well-known/oauth-authorization-server",
        device_views.server_metadata,
        name="device_metadata",
    ),
    path("oauth/device_authorization", device_views.device_begin, name="device_begin"),
    path("oauth/token", device_views.device_token, name="device_token"),
    path("oauth/revoke", device_views.device_revoke, name="device_revoke"),
    path("signup", public(throttle_view("sign_up")(SignUpView.as_view())), name="account_signup"),
    path("inactive", public(allauth.account_inactive), name="account_inactive"),
    path(
        "password/change",
        account_page(throttle_view("change_password")(allauth.password_change)),
        name="account_change_password",
    ),
    path(
        "password/set",
        account_page(sign_in_views.set_password),
        name="account_set_password",
    ),
    path(
        "password/reset",
        public(throttle_view("ask_reset")(allauth.password_reset)),
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
    # Keep this after the two above. It is a person's id in base 36, a hyphen, and the reset's text.
    re_path(
        r"^password/reset/(?P<uidb36>[0-9A-Za-z]+)-(?P<key>[^/]+)$",
        public(throttle_view("reset")(ResetPasswordView.as_view())),
        name="account_reset_password_from_key",
    ),
    path(
        "confirm",
        public(allauth.email_verification_sent),
        name="account_email_verification_sent",
    ),
    path("confirm/<str:key>", public(allauth.confirm_email), name="account_confirm_email"),
    path("setup", sign_up_views.set_up_first, name="set_up_first"),
    path("setup/<str:text>", sign_up_views.set_up_page, name="set_up"),
    path("link/<str:text>", sign_in_views.sign_in_link, name="sign_in_link"),
    path("login/sso", public(single_sign_on_views.find), name="single_sign_on_find"),
    path(
        "login/sso/<str:provider_id>",
        public(throttle_view("sign_in")(single_sign_on_views.start)),
        name="openid_connect_login",
    ),
    path(
        "login/sso/<str:provider_id>/callback",
        public(single_sign_on_views.callback),
        name="openid_connect_callback",
    ),
    path(
        "account/security/sso/start",
        _connects(single_sign_on_views.connect_start),
        name="single_sign_on_connect_start",
    ),
    path(
        "account/security/sso/<str:id>",
        _connects(single_sign_on_views.connect),
        name="single_sign_on_connect",
    ),
    path("o/<slug:o>/settings/sso", single_sign_on_views.settings_page, name="single_sign_on"),
    path(
        "o/<slug:o>/settings/sso/remove", single_sign_on_views.remove, name="single_sign_on_remove"
    ),
    path("o/<slug:o>/settings/sso/test", single_sign_on_views.test, name="single_sign_on_test"),
    *_CONFIRM,
    *_SECURITY,
    path("o/<slug:o>/keys/<str:id>/revoke", key_revoke_views.key_revoke, name="key_revoke"),
    path("tables/<slug:table>", table_views.keep_preference, name="table_preference"),
    path(
        "o/<slug:o>/service-accounts",
        key_revoke_views.service_account_list,
        name="service_accounts",
    ),
    path(
        "o/<slug:o>/service-accounts/new",
        key_revoke_views.service_account_create,
        name="service_account_create",
    ),
    path(
        "o/<slug:o>/service-accounts/<str:id>/edit",
        key_revoke_views.service_account_edit,
        name="service_account_edit",
    ),
    path("o/<slug:o>/settings", settings_views.settings_page, name="settings"),
    path(
        "o/<slug:o>/settings/archive",
        settings_views.organisation_archive,
        name="organisation_archive",
    ),
    path("o/<slug:o>/teams/new", settings_views.team_create, name="team_create"),
    path("o/<slug:o>/teams/<slug:team>/edit", settings_views.team_edit, name="team_edit"),
    path(
        "o/<slug:o>/teams/<slug:team>/members/add",
        member_views.team_member_add,
        name="team_member_add",
    ),
    path(
        "o/<slug:o>/teams/<slug:team>/members/<str:id>/remove",
        member_views.team_member_remove,
        name="team_member_remove",
    ),
    path(
        "o/<slug:o>/teams/<slug:team>/members/<str:id>/lead",
        member_views.team_lead,
        name="team_lead",
    ),
    path("o/<slug:o>/teams/<slug:team>/archive", settings_views.team_archive, name="team_archive"),
    path("o/<slug:o>/teams/<slug:team>/restore", settings_views.team_restore, name="team_restore"),
    path(
        "o/<slug:o>/teams/<slug:team>/projects/new",
        settings_views.project_create,
        name="project_create",
    ),
    path(
        "o/<slug:o>/projects/<slug:project>/edit", settings_views.project_edit, name="project_edit"
    ),
    path(
        "o/<slug:o>/projects/<slug:project>/archive",
        settings_views.project_archive,
        name="project_archive",
    ),
    path(
        "o/<slug:o>/projects/<slug:project>/restore",
        settings_views.project_restore,
        name="project_restore",
    ),
    path(
        "admin/_f/choices/organisations", choices.organisation_choices, name="organisation_choices"
    ),
    path("o/<slug:o>/_f/choices/teams", choices.team_choices, name="team_choices"),
    path("admin/_f/choices/holders", choices.holder_choices, name="holder_choices"),
    path("admin/people", operator_views.people_list, name="people"),
    path("admin/people/sign-up", sign_up_views.sign_up_settings, name="sign_up_settings"),
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
        "admin/people/<str:id>/end-sessions",
        operator_views.person_end_sessions,
        name="person_end_sessions",
    ),
    path(
        "admin/people/<str:id>/reset-factors",
        operator_views.person_reset_factors,
        name="person_reset_factors",
    ),
    path("admin/organisations/new", operator_views.organisation_create, name="organisation_create"),
    path(
        "admin/organisations/<slug:slug>/members/new",
        operator_views.organisation_add_member,
        name="organisation_add_member",
    ),
    path(
        "admin/organisations/<slug:slug>/domains",
        single_sign_on_views.domains_confirm,
        name="domains_confirm",
    ),
    path(
        "admin/organisations/<slug:slug>/domains/withdraw",
        single_sign_on_views.domains_unconfirm,
        name="domains_unconfirm",
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
    path("admin/settings/mail", mail_server_views.settings_page, name="mail_server"),
    path("admin/settings/mail/test", mail_server_views.send_test, name="mail_server_test"),
    path("admin/settings/mail/remove", mail_server_views.remove, name="mail_server_remove"),
    path("o/<slug:o>/audit", audit_views.event_list, name="audit"),
    path("o/<slug:o>/audit/<str:id>", audit_views.event_show, name="audit_event"),
    path("admin/view-as", view_as_views.view_as, name="view_as"),
    path("view-as/end", view_as_views.view_end, name="view_end"),
    path("admin/audit", audit_views.all_event_list, name="all_audit"),
    path("admin/audit/<str:id>", audit_views.all_event_show, name="all_audit_event"),
    path("invite/<str:text>", invitation_link_views.invitation, name="invitation"),
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
