"""The names that clouds give to models which have another name elsewhere.

    us.anthropic.claude-sonnet-4-5-20250929-v1:0    Amazon Bedrock: an inference profile of regions,
                                                    an owner, a version; or an ARN that ends in one
    claude-sonnet-4-5@20250929                      Google's Vertex AI: a version

Sources: docs.aws.amazon.com, "Supported foundation models" and "Inference profiles";
docs.cloud.google.com, "Claude models" (2026-11).
"""

import re
from collections.abc import Iterator
from typing import Final

_ARN: Final = "arn:"
_REGIONS: Final = re.compile(r"(?:us-gov|us|eu|apac|jp|au|ca|sa|me|af|global)\.")
_OWNER: Final = re.compile(r"[a-z][a-z0-9-]{0,63}\.")
_VERSION: Final = re.compile(r"-v\d{1,3}(?::\d{1,4})?(?::\d{1,5}k)?")
_DATE: Final = re.compile(r"[-@](?:\d{8}|latest|default)")
# Longer names are in no catalogue.
_LENGTH_MAX: Final = 512


def bedrock_names(model: str) -> Iterator[str]:
    """Yield the other names of a model of Bedrock, from the most to the least exact: without its
    ARN, its regions, its owner and version, and its date."""
    if len(model) > _LENGTH_MAX:
        return
    if model.startswith(_ARN) and "/" in model:
        model = model.rpartition("/")[2]
        yield model
    regions = _REGIONS.match(model)
    if regions is not None:
        model = model[regions.end() :]
        yield model
    owner = _OWNER.match(model)
    if owner is not None:
        yield from _undated(_without_end(model[owner.end() :], _VERSION))


def vertex_names(model: str) -> Iterator[str]:
    """Yield the other names of a model of Vertex AI: with its version as its owner writes it, and
    without one."""
    if len(model) <= _LENGTH_MAX and "@" in model:
        yield from _undated(model.replace("@", "-"))


def _undated(name: str) -> Iterator[str]:
    yield name
    plain = _without_end(name, _DATE)
    if plain != name:
        yield plain


def _without_end(name: str, ending: re.Pattern[str]) -> str:
    """Return a name without the ending that `ending` matches."""
    for match in ending.finditer(name):
        if match.end() == len(name):
            return name[: match.start()]
    return name
