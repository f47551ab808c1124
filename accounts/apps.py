from allauth.usersessions.apps import UserSessionsConfig
from django.apps import AppConfig


class AccountsConfig(AppConfig):
    name = "accounts"
    default = True


class SessionsConfig(UserSessionsConfig):  # type: ignore[misc]
    """Keeps allauth's session rows, which `accounts.sessions.sessions` writes itself. allauth's own
    signals would store the session keys."""

    def ready(self) -> None:
        pass
