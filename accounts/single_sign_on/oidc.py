"""OpenID Connect with an organisation's identity provider, through the guarded connector.

It extends allauth's provider with checks: the issuer must be the configured one, the signature of
an ID token is always verified, and internal addresses are refused.
"""

import time
from base64 import b64encode
from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import urlencode

import jwt
from allauth.account.models import EmailAddress
from allauth.socialaccount.models import SocialLogin, SocialToken
from allauth.socialaccount.providers.oauth2.client import OAuth2Error
from allauth.socialaccount.providers.openid_connect.provider import OpenIDConnectProvider
from allauth.socialaccount.providers.openid_connect.views import OpenIDConnectOAuth2Adapter
from django.conf import settings
from django.http import HttpRequest
from django.urls import reverse

from accounts.secrets.password_hashing import release_connection
from accounts.single_sign_on import rules
from lib.network import egress

_BYTES_MAX: Final = 1024 * 1024
_ANSWER_S: Final = 10.0
_LEEWAY_S: Final = 30
_ALGORITHMS: Final = ("RS256", "RS384", "RS512", "PS256", "ES256", "ES384", "EdDSA")
_DISCOVERY: Final = "/.well-known/openid-configuration"
_NEEDED: Final = ("authorization_endpoint", "token_endpoint", "jwks_uri")


class ProviderFailed(OAuth2Error):  # type: ignore[misc]
    """The identity provider does not respond, or its response cannot be trusted. The text tells an
    owner of the organisation what to correct."""


class GuardedSession:
    """The part of a `requests` session that allauth uses, on the guarded connector."""

    def __enter__(self) -> "GuardedSession":
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def get(self, url: str, headers: Mapping[str, str] | None = None) -> egress.Answer:
        return self.request("GET", url, headers=headers)

    def request(
        self,
        method: str,
        url: str,
        *,
        params: Mapping[str, str] | None = None,
        data: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
        auth: Any = None,
    ) -> egress.Answer:
        """Send a request and return the whole response. Raises ProviderFailed."""
        sent = {"accept": "application/json", **(headers or {})}
        if data is not None:
            sent["content-type"] = "application/x-www-form-urlencoded"
        if auth is not None:
            pair = b64encode(f"{auth.username}:{auth.password}".encode()).decode()
            sent["authorization"] = f"Basic {pair}"
        if params:
            url = f"{url}?{urlencode(params)}"
        return _send_request(method, url, sent, urlencode(data or {}).encode())


def _send_request(method: str, url: str, headers: Mapping[str, str], body: bytes) -> egress.Answer:
    policy = egress.EgressPolicy(settings.SSO_EGRESS_ALLOW)
    try:
        # The provider may be slow, so release the database connection first.
        release_connection()
        egress.check_named_by_user(policy, url)
        until = time.monotonic() + _ANSWER_S
        with egress.guarded_client(policy, until=until, schemes=("https", "http")) as client:
            return egress.exchanged_at_most(
                client, method, url, headers, body, bytes_max=_BYTES_MAX
            )
    except (egress.EgressDenied, egress.Unresolved) as error:
        # One text for all causes, so that an organisation's owner learns no internal names.
        raise ProviderFailed("No public https address answers at the provider's URL.") from error
    except egress.EgressError as error:
        raise ProviderFailed("The provider did not answer, or without trusted TLS.") from error


def discover_provider(issuer: str) -> dict[str, Any]:
    """Return the provider's configuration (OpenID Connect Discovery 1.0). Raises ProviderFailed."""
    config = _json_at(issuer.rstrip("/") + _DISCOVERY)
    if str(config.get("issuer", "")).rstrip("/") != issuer.rstrip("/"):
        raise ProviderFailed("The provider names another issuer. Copy the issuer from it.")
    if lacking := [name for name in _NEEDED if not isinstance(config.get(name), str)]:
        raise ProviderFailed(f"The provider's configuration has no {lacking[0]}.")
    return config


def _json_at(url: str) -> dict[str, Any]:
    return _object_of(GuardedSession().get(url))


def _object_of(answer: egress.Answer) -> dict[str, Any]:
    if answer.status_code != 200:
        raise ProviderFailed(f"The provider answers with status {answer.status_code}.")
    try:
        parsed = answer.json()
    except ValueError as error:
        raise ProviderFailed("The provider does not answer with JSON.") from error
    if not isinstance(parsed, dict):
        raise ProviderFailed("The provider does not answer with an object of JSON.")
    return parsed


def callback_url_of(provider_id: str) -> str:
    """Return the provider's callback URL. It never uses the host of the request."""
    return settings.PUBLIC_URL + reverse("openid_connect_callback", args=[provider_id])


class OrganisationOAuth2Adapter(OpenIDConnectOAuth2Adapter):  # type: ignore[misc]
    """The calls to one organisation's identity provider."""

    @property
    def openid_config(self) -> dict[str, Any]:
        if not hasattr(self, "_openid_config"):
            self._openid_config = discover_provider(self.get_provider().app.settings["server_url"])
        return self._openid_config

    def get_callback_url(self, request: HttpRequest, app: Any) -> str:
        return callback_url_of(self.provider_id)

    def get_access_token_data(
        self, request: HttpRequest, app: Any, client: Any, pkce_code_verifier: str | None = None
    ) -> dict[str, Any]:
        try:
            data = super().get_access_token_data(request, app, client, pkce_code_verifier)
        except ValueError as error:
            raise ProviderFailed("The provider's tokens cannot be read.") from error
        if not isinstance(data, dict) or not isinstance(data["access_token"], str):
            raise ProviderFailed("The provider's tokens cannot be read.")
        return data

    def parse_token(self, data: dict[str, Any]) -> SocialToken:
        return SocialToken(token=data["access_token"])  # used once, and not stored

    def complete_login(
        self, request: HttpRequest, app: Any, token: SocialToken, **kwargs: Any
    ) -> SocialLogin:
        id_token = kwargs["response"].get("id_token")
        if not isinstance(id_token, str):
            raise ProviderFailed("The provider gave no ID token.")
        claims = self._decode_id_token(app, id_token)
        if "userinfo_endpoint" in self.openid_config:
            user_info = self._fetch_user_info(token.token)
            # OpenID Connect Core 1.0, 5.3.2: the subjects must match, or the claims are about
            # another person.
            if user_info.get("sub") != claims["sub"]:
                raise ProviderFailed("The provider's userinfo is about another person.")
            claims = user_info | claims
        return self.get_provider().sociallogin_from_response(request, {"userinfo": claims})

    def _fetch_user_info(self, access_token: str) -> dict[str, Any]:
        headers = {"authorization": f"Bearer {access_token}"}
        return _object_of(GuardedSession().get(self.openid_config["userinfo_endpoint"], headers))

    def _decode_id_token(self, app: Any, id_token: str) -> dict[str, Any]:
        keys = _json_at(self.openid_config["jwks_uri"])
        try:
            claims: dict[str, Any] = jwt.decode(
                id_token,
                _key_of(keys, jwt.get_unverified_header(id_token)),
                algorithms=list(_ALGORITHMS),
                audience=app.client_id,
                issuer=self.openid_config["issuer"],
                leeway=_LEEWAY_S,
                options={"require": ["exp", "iat", "sub", "iss", "aud"]},
            )
        except jwt.PyJWTError as error:
            raise ProviderFailed("The provider's ID token is not valid.") from error
        if not rules.is_subject(claims["sub"]):
            raise ProviderFailed(
                "The sub of the provider's ID token names nobody: it is blank, unprintable, or has "
                f"more than {rules.SUBJECT_MAX} characters."
            )
        return claims


def _key_of(keys: dict[str, Any], header: dict[str, Any]) -> jwt.PyJWK:
    """Return the key that signed, by its id; if the header has no id, the first key."""
    try:
        known = jwt.PyJWKSet.from_dict(keys).keys
    except (TypeError, AttributeError, ValueError) as error:
        raise ProviderFailed("The provider's keys cannot be read.") from error
    fitting = [key for key in known if header.get("kid") in (None, key.key_id)]
    if not fitting:
        raise jwt.InvalidTokenError("signed by an unknown key")
    return fitting[0]


class OrganisationProvider(OpenIDConnectProvider):  # type: ignore[misc]
    """One organisation's identity provider."""

    oauth2_adapter_class = OrganisationOAuth2Adapter

    def serialize(self) -> dict[str, Any]:
        # Use the organisation's own id, as `get_provider` does; with allauth's id no row is found
        # after a second factor.
        return {"id": self.app.provider_id}

    def extract_common_fields(self, data: dict[str, Any]) -> dict[str, Any]:
        # Claims may have any type, and allauth takes those of a profile for text.
        fields: dict[str, Any] = super().extract_common_fields(data)
        return {name: value for name, value in fields.items() if isinstance(value, str | bool)}

    def extract_email_addresses(self, data: dict[str, Any]) -> list[EmailAddress]:
        if not isinstance(data["userinfo"].get("email"), str):
            return []
        addresses: list[EmailAddress] = super().extract_email_addresses(data)
        return addresses

    def get_redirect_from_request_kwargs(self, request: HttpRequest) -> dict[str, Any]:
        # Ignore the URL's parameters: the author of a link could otherwise set process, scope and
        # parameters.
        kwargs: dict[str, Any] = super().get_redirect_from_request_kwargs(request)
        return {
            "process": "login",
            **({"next_url": kwargs["next_url"]} if "next_url" in kwargs else {}),
        }
