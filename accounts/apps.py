from allauth.usersessions.apps import UserSessionsConfig
from django.apps import AppConfig


class AccountsConfig(AppConfig):
    name = "accounts"
    default = True


class SessionsConfig(UserSessionsConfig):  # type: ignore[misc]
    """allauth's rows of sessions, which `accounts.sessions.sessions` writes by itself: allauth's
    own signals
    would write the keys that open them."""

    def ready(self) -> None:
        pass
