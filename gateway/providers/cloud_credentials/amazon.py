"""Amazon's temporary credentials, from a key in JSON.

    {"type": "web_identity", "role_arn": …, "token_file": …}   a token in a file, which Amazon takes
            for a role (docs.aws.amazon.com, AssumeRoleWithWebIdentity)
    {"type": "instance_metadata"}    the role of the machine (docs.aws.amazon.com, "Use IMDSv2")
    {"type": "container", "uri": …}  that of a container or a pod, with `token_file` where it needs
            one (docs.aws.amazon.com, "Container credential provider")

As of 2026-11. Pure: no clock, no network.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from urllib.parse import quote, urlencode

from gateway.providers.cloud_credentials.credentials import (
    FORM,
    Ask,
    BadKey,
    Credentials,
    CredentialsFailed,
    CredentialSource,
    KeyMembers,
    Readers,
    ReadFile,
    Reply,
    Steps,
    check_status,
    clock_of,
    credentials_for,
    key_text,
    key_url,
    member,
    read_key,
    read_members,
    tag,
)
from gateway.providers.signing import AwsSigner

METADATA: Final = "http://169.254.169.254"
_ROLES: Final = "/latest/meta-data/iam/security-credentials/"
_TOKEN_S: Final = "21600"  # noqa: S105 - seconds
_REGION: Final = re.compile(r"[a-z]{2,4}(?:-[a-z]+)+-[0-9]+")
_SESSION: Final = "weir"
_STS: Final = "the token service"
_METADATA_NAME: Final = "the metadata service"


@dataclass(frozen=True, slots=True)
class WebIdentity:
    """A role for the holder of another issuer's token."""

    role_arn: str
    token_file: str
    endpoint: str
    session_name: str = _SESSION

    @property
    def ending(self) -> str:
        return ""

    def fetch(self, now_s: int) -> Steps:
        token = _file_text((yield ReadFile(self.token_file)))
        form = {
            "Action": "AssumeRoleWithWebIdentity",
            "Version": "2011-06-15",
            "RoleArn": self.role_arn,
            "RoleSessionName": self.session_name,
            "WebIdentityToken": token,
        }
        reply = yield Ask(
            "POST", f"{self.endpoint}/", {"content-type": FORM}, urlencode(form).encode()
        )
        check_status(reply, _STS)
        text = reply.body.decode("utf-8", "replace")
        names = ("AccessKeyId", "SecretAccessKey", "SessionToken", "Expiration")
        parts = {name: tag(text, name) for name in names}
        return _credentials(parts, "SessionToken", reply, now_s, _STS)


@dataclass(frozen=True, slots=True)
class InstanceMetadata:
    """The role of the machine."""

    endpoint: str = METADATA

    @property
    def ending(self) -> str:
        return ""

    def fetch(self, now_s: int) -> Steps:
        wanted = {"x-aws-ec2-metadata-token-ttl-seconds": _TOKEN_S}
        reply = yield Ask("PUT", f"{self.endpoint}/latest/api/token", wanted, near=True)
        token = _line(reply, _METADATA_NAME)
        session = {"x-aws-ec2-metadata-token": token}
        reply = yield Ask("GET", self.endpoint + _ROLES, session, near=True)
        role = _line(reply, _METADATA_NAME)
        url = self.endpoint + _ROLES + quote(role, safe="")
        reply = yield Ask("GET", url, session, near=True)
        members = read_members(reply, _METADATA_NAME)
        if members.get("Code", "Success") != "Success":
            raise CredentialsFailed(f"{_METADATA_NAME} has no credentials of the role {role[:64]}")
        return _credentials(members, "Token", reply, now_s, _METADATA_NAME)


@dataclass(frozen=True, slots=True)
class Container:
    """The role of a container or pod."""

    uri: str
    token_file: str = ""

    @property
    def ending(self) -> str:
        return ""

    def fetch(self, now_s: int) -> Steps:
        who, headers = "the container's credentials", dict[str, str]()
        if self.token_file:
            headers["authorization"] = _file_text((yield ReadFile(self.token_file)))
        reply = yield Ask("GET", self.uri, headers, near=True)
        return _credentials(read_members(reply, who), "Token", reply, now_s, who)


def read_amazon_key(text: str) -> CredentialSource | None:
    """Return the source that a key names, or None for a key in parts. Raises BadKey."""
    return read_key(text, _READERS)


def _web_identity(key: KeyMembers) -> CredentialSource:
    region = key_text(key, "region", "us-east-1")
    if not _REGION.fullmatch(region):
        raise BadKey("region must be a region such as us-east-1")
    tail = ".amazonaws.com.cn" if region.startswith("cn-") else ".amazonaws.com"
    return WebIdentity(
        role_arn=key_text(key, "role_arn"),
        token_file=key_text(key, "token_file"),
        endpoint=key_url(key, "endpoint", f"https://sts.{region}{tail}"),
        session_name=key_text(key, "session_name", _SESSION),
    )


def _instance_metadata(key: KeyMembers) -> CredentialSource:
    return InstanceMetadata(key_url(key, "endpoint", METADATA))


def _container(key: KeyMembers) -> CredentialSource:
    return Container(key_url(key, "uri"), key_text(key, "token_file", ""))


_READERS: Final[Readers] = {
    "web_identity": _web_identity,
    "instance_metadata": _instance_metadata,
    "container": _container,
}


def _credentials(
    parts: Mapping[str, Any], token_name: str, reply: Reply, now_s: int, who: str
) -> Credentials:
    signer = AwsSigner(
        member(parts, "AccessKeyId", who),
        member(parts, "SecretAccessKey", who),
        member(parts, token_name, who),
    )
    ends = member(parts, "Expiration", who)
    try:
        ends_at_s = int(datetime.fromisoformat(ends).timestamp())
    except (ValueError, OverflowError):
        raise CredentialsFailed(f"{who} did not answer with Expiration") from None
    return credentials_for(signer, ends_at_s - clock_of(reply, now_s), now_s, who)


def _line(reply: Reply, who: str) -> str:
    """Return the first line of a reply. Raises CredentialsFailed."""
    check_status(reply, who)
    line = reply.body.decode("utf-8", "replace").strip().partition("\n")[0]
    if not line or not line.isascii() or not line.isprintable():
        raise CredentialsFailed(f"{who} answered without a value")
    return line


def _file_text(reply: Reply) -> str:
    text = reply.body.decode("utf-8", "replace").strip()
    if not text or not text.isascii() or not text.isprintable():
        raise CredentialsFailed("the token file holds no token")
    return text
