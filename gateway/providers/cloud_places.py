"""The place of a cloud's models in an operator's terms: a region and a project of the customer.
Both are parts of the base URL.

Clouds price a model by where they serve it. Amazon's price of an inference profile is that of the
region it is called in, and `global` profiles have a price of their own (docs.aws.amazon.com,
"Increase throughput with cross-Region inference", 2026-11). Google's `global` endpoint has one
price; regions and multi-regions may have another.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

from gateway.providers.cloud_credentials.credentials import BadKey
from gateway.providers.cloud_credentials.google import project_of
from gateway.providers.signing import aws_region

_REGION: Final = re.compile(r"[a-z]{2,16}(?:-[a-z0-9]{1,16}){0,4}")
_PROJECT: Final = re.compile(r"[a-z0-9][a-z0-9\-_.]{0,62}")
# Google's endpoints of several regions (docs.cloud.google.com, "Deployments and endpoints",
# 2026-11).
_SEVERAL: Final = frozenset({"us", "eu"})
_GOOGLE: Final = re.compile(r"https?://[^/]+/v1/projects/([^/]+)/locations/([^/]+)")
_AMAZON: Final = re.compile(
    r"https://bedrock-runtime(?:-fips)?\.([a-z0-9-]+)\.amazonaws\.com(?:\.cn)?"
)
# Google's hosts, of a region, of several, and of all.
_GOOGLE_HOST: Final = re.compile(
    r"(?:([a-z0-9-]+)-)?aiplatform(?:\.([a-z]+)\.rep)?\.googleapis\.com"
)
# The regions of an inference profile, before the owner and the name of its model.
_PROFILE: Final = re.compile(r"(global|apac|[a-z]{2}(?:-[a-z]+)?)\.")
_ARN: Final = re.compile(r"arn:[a-z-]+:bedrock:([a-z0-9-]*):[0-9]*:([a-z-]+)/(.+)")
GLOBAL: Final = "global"
REGIONAL: Final = "regional"
"""Every region but `global`, in a price."""


class BadPlace(ValueError):
    """The region or project cannot be part of a URL; `field` says which one."""

    def __init__(self, field: str, text: str) -> None:
        super().__init__(text)
        self.field = field


@dataclass(frozen=True, slots=True, eq=False)
class CloudPlace:
    """How a provider's base URL is built from a region and a project. `region` is the proposed
    value. `read` returns region and project of a base URL, "" for a missing one. `priced_in`
    returns the regions by which the provider prices a request, from the base URL and the upstream's
    name of the model, the most exact first; none if these do not tell."""

    region: str
    has_project: bool
    write: Callable[[str, str], str]
    read: Callable[[str], tuple[str, str]]
    priced_in: Callable[[str, str], Sequence[str]]

    def base_url(self, region: str, project: str, secret: str) -> str:
        """Return the base URL for a region and a project; without a project, the project in the key
        is used. Raises BadPlace."""
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


def regions_of(*names: str) -> Sequence[str]:
    """Return the regions of a price for these names, the most exact one first."""
    known = tuple(dict.fromkeys(name for name in names if name))
    return known if not known or known[0] == GLOBAL else (*known, REGIONAL)


def _google_regions(base_url: str, model: str) -> Sequence[str]:
    region = _read_google(base_url)[0]
    if not region:
        host = _GOOGLE_HOST.fullmatch(urlsplit(base_url).hostname or "")
        if host is None:
            return ()
        region = host[1] or host[2] or GLOBAL
    return regions_of(region)


def _amazon_regions(base_url: str, model: str) -> Sequence[str]:
    region = aws_region(urlsplit(base_url).hostname or "")
    arn = _ARN.fullmatch(model)
    if arn is not None:
        region, kind, model = arn[1] or region, arn[2], arn[3]
        if kind == "application-inference-profile":
            # The name does not tell whether the model is a copy of a global profile.
            return ()
    profile = _PROFILE.match(model)
    if profile is not None and profile[1] == GLOBAL:
        return (GLOBAL,)
    return regions_of(region, profile[1] if profile else "")


GOOGLE: Final = CloudPlace("global", True, _write_google, _read_google, _google_regions)
AMAZON: Final = CloudPlace("us-east-1", False, _write_amazon, _read_amazon, _amazon_regions)


def priced_in(
    place: CloudPlace | None, base_url: str, region: str, model: str
) -> Sequence[str] | None:
    """Return the regions by which a provider with that place prices a model of a channel, the most
    exact one first: those of its address or of the model's name, else the region that the operator
    entered. None if the provider prices by region, and nobody knows which one it is.
    """
    regions = () if place is None else place.priced_in(base_url, model)
    if regions or region:
        return regions or regions_of(region)
    return () if place is None else None
