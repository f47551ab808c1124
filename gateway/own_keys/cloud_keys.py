"""Which keys for providers in clouds an organisation may bring: those that are complete.

A key that names a source of temporary credentials makes this server ask it: a file of this machine,
its own role, or any address. Operators decide on that, not organisations. And an address that names
a project is the operator's: Google bills that project, whoever signs.
"""

from gateway.providers.provider import Provider

_PROJECT = "/projects/"


def has_project(provider: Provider, base_url: str) -> bool:
    """Return whether requests to an address are billed to the project that it names."""
    return provider.credential_source is not None and _PROJECT in base_url


def names_source(provider: Provider, secret: str) -> bool:
    """Return whether a key only says where credentials are. Raises BadAddress."""
    return provider.credential_source_of(secret) is not None
