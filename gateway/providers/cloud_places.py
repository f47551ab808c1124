"""The place of a cloud's models in an operator's terms: a region and a project of the customer.
Both are parts of the base URL."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from gateway.providers.cloud_credentials.credentials import BadKey
from gateway.providers.cloud_credentials.google import project_of

_REGION: Final = re.compile(r"[a-z]{2,16}(?:-[a-z0-9]{1,16}){0,4}")
_PROJECT: Final = re.compile(r"[a-z0-9][a-z0-9\-_.]{0,62}")
# Google's endpoints of several regions (docs.cloud.google.com, "Deployments and endpoints",
# 2026-11).
_SEVERAL: Final = frozenset({"us", "eu"})
_GOOGLE: Final = re.compile(r"https?://[^/]+/v1/projects/([^/]+)/locations/([^/]+)")
_AMAZON: Final = re.compile(
    r"https://bedrock-runtime(?:-fips)?\.([a-z0-9-]+)\.amazonaws\.com(?:\.cn)?"
)


class BadPlace(ValueError):
    """The region or project cannot be part of a URL; `field` says which one."""

    def __init__(self, field: str, text: str) -> None:
        super().__init__(text)
        self.field = field


@dataclass(frozen=True, slots=True, eq=False)
class CloudPlace:
    """How a provider's base URL is built from a region and a project. `region` is the proposed
    value. `read` returns both from a base URL, "" for a missing one."""

    region: str
    has_project: bool
    write: Callable[[str, str], str]
    read: Callable[[str], tuple[str, str]]

    def base_url(self, region: str, project: str, secret: str) -> str:
        """Return the base URL. Without a project, the key's is used. Raises BadPlace."""
        if not _REGION.fullmatch(region):
            raise BadPlace("place_region", "the region must be one such as us-east-1")
        if self.has_project:
            project = project or _project(secret)
            if not _PROJECT.fullmatch(project):
                raise BadPlace("place_project", "the key names no project: enter its id")
        return self.write(region, project)


def _project(secret: str) -> str:
    try:
        return project_of(secret)
    except BadKey:
        return ""


def _write_google(region: str, project: str) -> str:
    if region == "global":
        host = "aiplatform.googleapis.com"
    elif region in _SEVERAL:
        host = f"aiplatform.{region}.rep.googleapis.com"
    else:
        host = f"{region}-aiplatform.googleapis.com"
    return f"https://{host}/v1/projects/{project}/locations/{region}"


def _read_google(base_url: str) -> tuple[str, str]:
    match = _GOOGLE.match(base_url)
    return (match[2], match[1]) if match else ("", "")


def _write_amazon(region: str, project: str) -> str:
    tail = ".cn" if region.startswith("cn-") else ""
    return f"https://bedrock-runtime.{region}.amazonaws.com{tail}"


def _read_amazon(base_url: str) -> tuple[str, str]:
    match = _AMAZON.match(base_url)
    return (match[1], "") if match else ("", "")


GOOGLE: Final = CloudPlace("global", True, _write_google, _read_google)
AMAZON: Final = CloudPlace("us-east-1", False, _write_amazon, _read_amazon)
