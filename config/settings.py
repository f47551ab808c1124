"""Every setting of the web, worker and beat processes, with the cross-checks at the end."""

import os
import secrets
from ipaddress import IPv4Network, IPv6Network, ip_network
from pathlib import Path
from urllib.parse import urlsplit

from psycopg.conninfo import conninfo_to_dict

from accounts.guards import recent_sign_in
from accounts.sessions import rules as session_life
from accounts.sign_in import rules as sign_in_rules
from config.server.log_handler import (
    JsonLine,
    OnceAMinute,
    TextLine,
    name_request,
    shorten_refusal,
)
from config.server.request_limits import BODY_BYTES_MAX, UPLOAD_BYTES_MAX
from lib import env, extras
from lib.database.session import with_session_settings
from lib.extensions.apps import add_apps
from lib.extensions.installed import extend
from lib.network import trust
from lib.vault import split_keks


def _words(text: str) -> list[str]:
    """Return the parts of a text that are separated by commas."""
    return [part for word in text.split(",") if (part := word.strip())]


def _networks(name: str, text: str) -> list[IPv4Network | IPv6Network]:
    """Return the networks of a setting."""
    try:
        return [ip_network(word) for word in _words(text)]
    except ValueError as error:
        raise env.ConfigurationError(f"{name}: {error}. Give CIDR, separated by commas.") from error


BASE_DIR = Path(__file__).resolve().parent.parent
DATA_DIR = Path(env.text("DATA_DIR", str(BASE_DIR / ".data"))).resolve()
_SECRETS = DATA_DIR / "secrets"

# The command that pages tell operators to type. The wheel has its launcher beside the rooms.
COMMAND = "weir" if (BASE_DIR / "launcher.py").exists() else "python manage.py"

DEBUG = False
# Commands run on the same host use the installation's configured address and port.
PUBLIC_URL = (
    env.read_kept("PUBLIC_URL", DATA_DIR / "run") or f"http://127.0.0.1:{env.text('PORT', '8000')}"
).rstrip("/")
_public = urlsplit(PUBLIC_URL)
HTTPS = _public.scheme == "https"
ALLOWED_HOSTS = _words(env.text("ALLOWED_HOSTS", f"{_public.hostname},127.0.0.1,localhost,[::1]"))
CSRF_TRUSTED_ORIGINS = [f"{_public.scheme}://{_public.netloc}"]

# Commands that touch no secret (makemigrations, compilemessages) run without an installation.
_throw_away = secrets.token_urlsafe(50)
SECRET_KEY_GIVEN = env.read_kept("SECRET_KEY", _SECRETS)
SECRET_KEY = SECRET_KEY_GIVEN or _throw_away
WEIR_KEK = env.read_kept("WEIR_KEK", _SECRETS)
WEIR_KEY_PEPPER = env.read_kept("WEIR_KEY_PEPPER", _SECRETS)

DATABASE_URL = env.read_kept("DATABASE_URL", DATA_DIR / "run")
if DATABASE_URL:
    DATABASE_URL = with_session_settings(DATABASE_URL)
_database = conninfo_to_dict(DATABASE_URL or "postgresql://127.0.0.1/weir")
DATABASES = {
    "default": {
        "ENGINE": "django.db.backends.postgresql",
        "NAME": _database.pop("dbname", "weir"),
        "USER": _database.pop("user", ""),
        "PASSWORD": _database.pop("password", ""),
        "HOST": _database.pop("host", ""),
        "PORT": str(_database.pop("port", "")),
        # Persistent connections per thread leak under ASGI; the pool is bounded per process. A
        # connection unused for a minute is closed, because a backend takes about 5 MB.
        "OPTIONS": {
            **_database,
            # Only statements that request it are prepared (lib/database/prepared.py); with
            # psycopg's default, none could be.
            "prepare_threshold": 5,
            "pool": {"min_size": 0, "max_size": 8, "timeout": 5, "max_idle": 60},
        },
        "TEST": {"TEMPLATE": "template0"},
    }
}
BROKER_URL = env.text("BROKER_URL", "")
# The file that a live worker or scheduler renews (config/jobs/heartbeat.py); none by default.
HEARTBEAT_FILE = env.text("HEARTBEAT_FILE", "")
# A web process stores records here while the database cannot be written.
SPOOL_DIR = Path(env.text("SPOOL_DIR", str(DATA_DIR / "spool")))
# The object store with the texts of the content log (lib/network/object_store.py); none: Postgres.
CONTENT_STORE = env.text("CONTENT_STORE", "")
if CONTENT_STORE and not extras.is_installed("objects"):
    raise env.ConfigurationError(
        f"CONTENT_STORE needs a part that is not installed: {extras.install_line('objects')}"
    )

INSTALLED_APPS = [
    "config.system.extensions.ExtensionsConfig",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "servestatic.runserver_nostatic",
    "django.contrib.staticfiles",
    "django_htmx",
    "csp",
    "allauth",
    "allauth.account",
    "allauth.mfa",
    "accounts.apps.SessionsConfig",
    "allauth.socialaccount",
    "allauth.socialaccount.providers.openid_connect",
    "outbox",
    "accounts",
    "notify",
    "content",
    "billing",
    "usage",
    "gateway",
    "playground",
    "config",
]
MIDDLEWARE = [
    "config.server.middleware.request_id_middleware",
    "django.middleware.security.SecurityMiddleware",
    "servestatic.middleware.ServeStaticMiddleware",
    "csp.middleware.CSPMiddleware",
    "config.server.middleware.SignInAgainMiddleware",
    "django.middleware.locale.LocaleMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "accounts.sessions.sessions.SessionBounds",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "django_htmx.middleware.HtmxMiddleware",
    "allauth.account.middleware.AccountMiddleware",
    "config.server.middleware.tenancy",
]
ROOT_URLCONF = "config.urls"
APPEND_SLASH = False
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
                "django.template.context_processors.i18n",
                "config.shell.context_processors.shell",
            ],
        },
    }
]

# Signing in -------------------------------------------------------------------------------------
AUTH_USER_MODEL = "accounts.User"
AUTHENTICATION_BACKENDS = [
    "django.contrib.auth.backends.ModelBackend",
    "allauth.account.auth_backends.AuthenticationBackend",
]
# Django's hasher, limited to a few passwords at a time.
PASSWORD_HASHERS = ["accounts.secrets.password_hashing.PasswordHasher"]
AUTH_PASSWORD_VALIDATORS = [
    {
        "NAME": "django.contrib.auth.password_validation.MinimumLengthValidator",
        "OPTIONS": {"min_length": sign_in_rules.PASSWORD_LENGTH_MIN},
    },
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
]
LOGIN_URL = "account_login"
LOGIN_REDIRECT_URL = "root"
ACCOUNT_ADAPTER = "accounts.sign_in.sign_in.AccountAdapter"
ACCOUNT_FORMS = {
    "login": "accounts.sign_in.forms.LoginForm",
    "signup": "accounts.sign_in.forms.SignupForm",
    "reset_password": "accounts.sign_in.forms.ResetPasswordForm",
    "reset_password_from_key": "accounts.sign_in.forms.ResetPasswordKeyForm",
    "change_password": "accounts.sign_in.forms.ChangePasswordForm",
    "set_password": "accounts.sign_in.forms.SetPasswordForm",
    "reauthenticate": "accounts.sign_in.forms.ReauthenticateForm",
}
ACCOUNT_USER_MODEL_USERNAME_FIELD = None
ACCOUNT_LOGIN_METHODS = {"email"}
ACCOUNT_SIGNUP_FIELDS = ["email*", "password1*"]
# Empty: accounts/mail_server/current_server.py decides; allauth reads its settings from there.
ACCOUNT_EMAIL_VERIFICATION = env.text("EMAIL_VERIFICATION", "")
ALLAUTH_SETTING_GETTER = "accounts.mail_server.allauth_settings.read_setting"
# Sign in after the confirmation only in the browser that signed up, not in another one that opens
# the link.
ACCOUNT_LOGIN_ON_EMAIL_CONFIRMATION = True
ACCOUNT_LOGOUT_REDIRECT_URL = "account_login"
ACCOUNT_SESSION_REMEMBER = True
ACCOUNT_PREVENT_ENUMERATION = True
ACCOUNT_EMAIL_SUBJECT_PREFIX = ""
# accounts/throttle/try_counts.py counts attempts; allauth would lock, read and write each time.
ACCOUNT_RATE_LIMITS = dict.fromkeys(
    ["login", "login_failed", "signup", "change_password", "reset_password",
     "reset_password_from_key", "reauthenticate"]
)  # fmt: skip
MFA_ADAPTER = "accounts.second_factor.second_factor.MFAAdapter"
MFA_SUPPORTED_TYPES = ["totp", "recovery_codes", "webauthn"]
MFA_FORMS = {
    "authenticate": "accounts.second_factor.forms.AuthenticateForm",
    "reauthenticate": "accounts.second_factor.forms.ReauthenticateForm",
    "activate_totp": "accounts.second_factor.forms.ActivateTOTPForm",
    "add_webauthn": "accounts.second_factor.forms.AddPasskeyForm",
    "edit_webauthn": "accounts.second_factor.forms.RenamePasskeyForm",
    "authenticate_webauthn": "accounts.second_factor.forms.AuthenticatePasskeyForm",
    "login_webauthn": "accounts.second_factor.forms.LoginPasskeyForm",
    "reauthenticate_webauthn": "accounts.second_factor.forms.ReauthenticatePasskeyForm",
}
MFA_PASSKEY_LOGIN_ENABLED = True
MFA_RATE_LIMITS = {"webauthn_login": None}
MFA_RECOVERY_CODE_DIGITS = 12
MFA_RECOVERY_CODES_SHOW_ONCE = True
# Clocks of telephones are seldom off by more than half a minute. Each code still works only once.
MFA_TOTP_TOLERANCE = 1
MFA_TOTP_ISSUER = "Weir"
# accounts/guards/reauthentication.py asks instead, also for single sign-on, and stores no form.
MFA_REAUTHENTICATION_REQUIRED = False
ACCOUNT_REAUTHENTICATION_TIMEOUT = int(recent_sign_in.RECENT_SIGN_IN.total_seconds())
SOCIALACCOUNT_ADAPTER = "accounts.single_sign_on.single_sign_on.SingleSignOnAdapter"
# The provider says whether it has verified an address (accounts/single_sign_on/rules.py).
SOCIALACCOUNT_EMAIL_VERIFICATION = "none"
# A link leads to the provider, because the policy forbids forms that lead to other sites.
SOCIALACCOUNT_LOGIN_ON_GET = True
# Private networks of identity providers, as CIDR separated by commas: an operator's decision, as
# with webhooks.
SSO_EGRESS_ALLOW = [
    str(network) for network in _networks("SSO_EGRESS_ALLOW", env.text("SSO_EGRESS_ALLOW", ""))
]
# Whether management keys may change single sign-on and confirm its domains. This is not a setting
# on a page: with a leaked key, its finder could sign in as the members of an organisation.
SSO_CHANGES_BY_KEY = env.flag("SSO_CHANGES_BY_KEY", False)
# Whether management keys may download what is stored about a person, and erase people. With a
# leaked key, its finder could copy or destroy it.
PERSONAL_DATA_BY_KEY = env.flag("PERSONAL_DATA_BY_KEY", False)
PASSWORD_RESET_TIMEOUT = int(sign_in_rules.PASSWORD_RESET_LINK.total_seconds())
# allauth's rate limits use it, so all processes must share it.
CACHES = {
    "default": {
        "BACKEND": "django.core.cache.backends.db.DatabaseCache",
        "LOCATION": "accounts_cache",
    }
}
# The mail server. If the environment names none, the one from the settings page is used.
EMAIL_BACKEND = "accounts.mail_server.email_backend.ServerBackend"
EMAIL_HOST = env.text("EMAIL_HOST", "")
EMAIL_PORT = env.number("EMAIL_PORT", 587)
EMAIL_HOST_USER = env.text("EMAIL_USER", "")
EMAIL_HOST_PASSWORD = env.text("EMAIL_PASSWORD", "")
# Port 465 uses TLS from the first byte, 587 after a greeting; 25 is a relay on this machine.
EMAIL_USE_SSL = EMAIL_PORT == 465
EMAIL_USE_TLS = EMAIL_PORT == 587
EMAIL_TIMEOUT = 10
EMAIL_FROM = env.text("EMAIL_FROM", "")
DEFAULT_FROM_EMAIL = EMAIL_FROM or f"weir@{_public.hostname}"
# Authorities that outgoing connections trust in addition to the public ones. OpenSSL reads the
# variable itself and would take the empty value that compose passes as a file.
if not env.text(trust.FILE, ""):
    os.environ.pop(trust.FILE, None)
trust.own_authorities()

# The USD in 24 hours above which a credit needs a second operator, and the days after which audit
# events are deleted. If they are not set, two operators decide (billing/safeguards).
CREDIT_LIMIT_USD = env.text("CREDIT_LIMIT_USD", "")
AUDIT_RETENTION_DAYS = env.optional_number("AUDIT_RETENTION_DAYS")
# How long a media task's result is served and its request is stored; None uses the page's setting.
TASK_RESULT_DAYS = env.optional_number("TASK_RESULT_DAYS")
# The interval, in hours, of backups that Weir does not make itself (0 expects none), and the days
# for which they are kept. If the interval is not set, Weir makes the backups configured on the
# page.
BACKUP_EVERY_HOURS = env.optional_number("BACKUP_EVERY_HOURS")
BACKUP_KEEP_DAYS = env.number("BACKUP_KEEP_DAYS", 0)
# The account for bank transfers, its lines separated by |; shown to people who order one, and
# printed on invoices of which something is due.
BANK_ACCOUNT = env.text("BANK_ACCOUNT", "")
# Card payments. The key decides between live and test mode.
STRIPE_SECRET_KEY = env.read_kept("STRIPE_SECRET_KEY", _SECRETS)
STRIPE_WEBHOOK_SECRET = env.read_kept("STRIPE_WEBHOOK_SECRET", _SECRETS)
STRIPE_API_BASE = env.text("STRIPE_API_BASE", "https://api.stripe.com")
# Private networks that webhooks may reach, as CIDR separated by commas: an operator's decision.
WEBHOOK_EGRESS_ALLOW = [
    str(network)
    for network in _networks("WEBHOOK_EGRESS_ALLOW", env.text("WEBHOOK_EGRESS_ALLOW", ""))
]
# Token files that a channel's key may name for its credentials, separated by commas. Any other file
# of this machine could hold a secret.
CLOUD_TOKEN_FILES = _words(env.text("CLOUD_TOKEN_FILES", ""))

# Access to /metrics: with this token; without a token, from these networks, as CIDR.
METRICS_TOKEN = env.read_kept("METRICS_TOKEN", _SECRETS)
METRICS_ALLOW = _networks("METRICS_ALLOW", env.text("METRICS_ALLOW", "127.0.0.0/8,::1/128"))


def _is_sent(variable: str) -> bool:
    """Return whether a kind of telemetry is sent over OTLP."""
    exporter = env.text(variable, "none")
    if exporter not in ("none", "otlp"):
        raise env.ConfigurationError(f"{variable} is {exporter!r}; it must be otlp or none.")
    return exporter == "otlp"


# Traces and metrics of the relay. The SDK's own OTEL_* variables configure them.
TRACES = _is_sent("OTEL_TRACES_EXPORTER")
METRICS = _is_sent("OTEL_METRICS_EXPORTER")
# This secret may be in a file, but the SDK only reads the environment.
if _otlp_headers := env.text("OTEL_EXPORTER_OTLP_HEADERS", ""):
    os.environ["OTEL_EXPORTER_OTLP_HEADERS"] = _otlp_headers
# The names of channels whose provider receives the trace context; * means all.
TRACE_CHANNELS = _words(env.text("TRACE_CHANNELS", ""))
# Whether spans have the content of requests that the content log keeps.
TRACE_CONTENT = env.flag("TRACE_CONTENT", False)

# Larger bodies are refused (config/server/request_limits.py). Accepted ones never touch the disk.
DATA_UPLOAD_MAX_MEMORY_SIZE = BODY_BYTES_MAX
# A page of a channel's models sends a few fields for each of up to 2,000 models.
DATA_UPLOAD_MAX_NUMBER_FIELDS = 12_000
FILE_UPLOAD_MAX_MEMORY_SIZE = UPLOAD_BYTES_MAX

SESSION_ENGINE = "accounts.sessions.store"
SESSION_COOKIE_AGE = int(session_life.ABSOLUTE.total_seconds())
SESSION_COOKIE_SAMESITE = "Lax"
CSRF_COOKIE_SAMESITE = "Lax"
CSRF_FAILURE_VIEW = "config.shell.views.csrf_failed"
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = HTTPS
# Two installations on one host must not share cookies: browsers do not tell ports apart.
_suffix = "" if HTTPS else f"_{_public.port or 80}"
SESSION_COOKIE_NAME = ("__Host-session" if HTTPS else "session") + _suffix
CSRF_COOKIE_NAME = ("__Host-csrf" if HTTPS else "csrf") + _suffix
if HTTPS:
    SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
    SECURE_HSTS_SECONDS = 31_536_000
SECURE_REFERRER_POLICY = "same-origin"
X_FRAME_OPTIONS = "DENY"
CONTENT_SECURITY_POLICY = {
    "DIRECTIVES": {
        "default-src": ["'none'"],
        "script-src": ["'self'"],
        "style-src": ["'self'"],
        "img-src": ["'self'", "blob:"],
        "media-src": ["'self'", "blob:"],
        "font-src": ["'self'"],
        "connect-src": ["'self'"],
        "frame-src": ["'self'"],  # the preview of code; every other page refuses to be framed
        "form-action": ["'self'"],
        "frame-ancestors": ["'none'"],
        "base-uri": ["'none'"],
        "object-src": ["'none'"],
        "require-trusted-types-for": ["'script'"],
    }
}

# Language, time, files --------------------------------------------------------------------------
LANGUAGE_CODE = "en"
LANGUAGES = [("en", "English"), ("zh-hans", "简体中文")]
LOCALE_PATHS = [BASE_DIR / "locale"]
LANGUAGE_COOKIE_NAME = "language"
FORMAT_MODULE_PATH = "config.formats"
TIME_ZONE = "UTC"
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
STATIC_URL = "static/"
STATIC_ROOT = Path(env.text("STATIC_ROOT", str(BASE_DIR / "staticfiles")))
# The wheel only contains the collected files.
STATICFILES_DIRS = [path for path in [BASE_DIR / "static"] if path.is_dir()]
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {"BACKEND": "servestatic.storage.CompressedManifestStaticFilesStorage"},
}

LOG_FORMAT = env.text("LOG_FORMAT", "text")
if LOG_FORMAT not in ("text", "json"):
    raise env.ConfigurationError(f"LOG_FORMAT is {LOG_FORMAT!r}; it must be text or json.")
LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"text": {"()": TextLine}, "json": {"()": JsonLine}},
    "filters": {
        "refusals": {"()": "django.utils.log.CallbackFilter", "callback": shorten_refusal},
        "requests": {"()": "django.utils.log.CallbackFilter", "callback": name_request},
        "away": {"()": OnceAMinute},
    },
    "handlers": {
        "stderr": {
            "class": "config.server.log_handler.LogHandler",
            "formatter": LOG_FORMAT,
            "filters": ["refusals", "requests", "away"],
        }
    },
    "root": {"handlers": ["stderr"], "level": env.text("LOG_LEVEL", "INFO")},
    "loggers": {
        # httpx would log the address of every outgoing request.
        "httpx": {"level": "WARNING"},
        # uvicorn logs each handshake, with its address and status.
        "websockets": {"level": "WARNING"},
        # uvicorn has its own handler and format; its command line sets the level.
        "uvicorn": {"handlers": ["stderr"], "propagate": False},
        "uvicorn.error": {"handlers": [], "propagate": True},
        # Off, as on its command line. This configuration would enable it again as a child logger,
        # and its lines would contain keys that clients put in URLs.
        "uvicorn.access": {"handlers": [], "propagate": False},
        # Celery adds its own handlers if these have none.
        "celery.task": {"handlers": ["stderr"], "propagate": False},
        "multiprocessing": {"handlers": ["stderr"], "propagate": False},
    },
}

# Of extensions --------------------------------------------------------------------------------
extend(globals(), "settings", object, lambda module: {
    name: value for name, value in vars(module).items() if name.isupper()
})  # fmt: skip
# The last app is the one that looks at all tables.
INSTALLED_APPS[-1:-1] = add_apps({name.rpartition(".")[2] for name in INSTALLED_APPS})

# Checks across settings -------------------------------------------------------------------------
if WEIR_KEK is not None and SECRET_KEY in split_keks(WEIR_KEK):
    raise env.ConfigurationError("WEIR_KEK and SECRET_KEY are the same. Make two secrets.")
if TASK_RESULT_DAYS is not None and not 1 <= TASK_RESULT_DAYS <= 365:
    raise env.ConfigurationError("TASK_RESULT_DAYS must be between 1 and 365.")
if bool(STRIPE_SECRET_KEY) != bool(STRIPE_WEBHOOK_SECRET):
    raise env.ConfigurationError(
        "STRIPE_SECRET_KEY and STRIPE_WEBHOOK_SECRET belong together. Set both or neither."
    )
