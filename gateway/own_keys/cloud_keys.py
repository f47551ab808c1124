"""Which keys for providers in clouds an organisation may bring: those that are complete.

A key that names a source of temporary credentials makes this server ask it: a file of this machine,
its own role, or any address. Operators decide on that, not organisations. A service account of
Google's is complete, because it signs for itself and its tokens come from Google alone. An address
that names a project is the operator's, because Google bills that project, whoever signs: requests
with a service account go to the project in its key.
"""

from typing import Final
from urllib.parse import urlsplit

from gateway.providers.cloud_credentials.credentials import CredentialSource
from gateway.providers.cloud_credentials.google import TOKEN_URL, ServiceAccount
from gateway.providers.cloud_places import BadPlace
from gateway.providers.provider import BadAddress, Provider

_PROJECT: Final = "/projects/"
_VERSION: Final = "/v1"


def has_project(provider: Provider, base_url: str) -> bool:
    """Return whether requests to an address are billed to the project that it names."""
    return provider.credential_source is not None and _PROJECT in base_url


def names_source(provider: Provider, secret: str) -> bool:
    """Return whether a key only says where credentials are. Raises BadAddress."""
    source = provider.credential_source_of(secret)
    return source is not None and not _is_complete(source)


def own_base_url(provider: Provider, base_url: str, region: str, secret: str) -> str:
    """Return the base URL of requests with an own key: the offered one, and for a service account
    its project there. `region` is what the operator entered, for an address that does not tell it.
    Raises BadAddress, also for a key or an address that may not be used so: the address may have
    been offered before."""
    if has_project(provider, base_url):
        raise BadAddress("the address names a project, which is billed whoever signs")
    if names_source(provider, secret):
        raise BadAddress("the key only names a source of credentials")
    place = provider.place
    if place is None or not place.has_project or provider.credential_source_of(secret) is None:
        return base_url
    known = place.priced_in(base_url, "")
    try:
        below = urlsplit(place.base_url(known[0] if known else region, "", secret)).path
    except BadPlace as error:
        if error.field == "place_region":
            raise BadAddress("the region of the channel is unknown") from None
        raise BadAddress("the key names no project") from None
    return base_url.rstrip("/").removesuffix(_VERSION) + below


def _is_complete(source: CredentialSource) -> bool:
    return isinstance(source, ServiceAccount) and source.token_url == TOKEN_URL
