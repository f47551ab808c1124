"""The names that clouds give to models which have another name elsewhere.

`bedrock_names` and `vertex_names` are the names that a client of such a cloud may mean.
`bare_names` are for every rule that knows a model by how its name begins, wherever it is served:

    anthropic/claude-opus-4.6:beta                  OpenRouter and other hubs: an owner, a tag
    publishers/google/models/gemini-2.5-pro         Vertex AI and Gemini: a path
    gpt-35-turbo                                    Azure: its own spelling of gpt-3.5
    ft:gpt-4o-mini-2024-07-18:acme::id              OpenAI: a fine-tuned model
    databricks-claude-sonnet-4                      Databricks
    us.anthropic.claude-sonnet-4-5-20250929-v1:0    Amazon Bedrock: an inference profile of regions,
                                                    an owner, a version; or an ARN that ends in one
    claude-sonnet-4-5@20250929                      Google's Vertex AI: a version

Sources: docs.aws.amazon.com, "Supported foundation models" and "Inference profiles";
docs.cloud.google.com, "Claude models"; openrouter.ai, "Models"; learn.microsoft.com, "Azure OpenAI
models"; platform.openai.com, "Fine-tuning"; docs.databricks.com, "Foundation models" (2026-11).
"""

import re
from collections.abc import Iterator
from typing import Final

_ARN: Final = "arn:"
_REGIONS: Final = re.compile(r"(?:us-gov|us|eu|apac|jp|au|ca|sa|me|af|global)\.")
_OWNER: Final = re.compile(r"[a-z][a-z0-9-]{0,63}\.")
_VERSION: Final = re.compile(r"-v\d{1,3}(?::\d{1,4})?(?::\d{1,5}k)?")
_DATE: Final = re.compile(r"[-@](?:\d{8}|latest|default)")
# An owner before the name of a model, which begins with a letter: "gpt-4." of gpt-4.1 is none.
_BEFORE_NAME: Final = re.compile(r"[a-z][a-z0-9]*\.(?=[a-z])")
_FINE_TUNED: Final = "ft:"
_DATABRICKS: Final = "databricks-"
_AZURE_3_5: Final = ("gpt-35", "gpt-3.5")
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
    regionless = _without_start(model, _REGIONS)
    if regionless != model:
        yield regionless
    ownerless = _without_start(regionless, _OWNER)
    if ownerless != regionless:
        yield from _undated(_without_end(ownerless, _VERSION))


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


def bare_names(model: str) -> tuple[str, ...]:
    """Return the names, in lower case, by which a rule may know a model, whoever serves it: from
    the most to the least exact, without its path, its regions, its owner, its version and tag. A
    rule that fits one of them fits the model."""
    if len(model) > _LENGTH_MAX:
        return (model.lower(),)
    name = model.lower().rpartition("/")[2]
    if name.startswith(_FINE_TUNED):
        name = name.removeprefix(_FINE_TUNED).partition(":")[0]
    if name.startswith(_AZURE_3_5[0]):
        name = name.replace(*_AZURE_3_5, 1)
    names = [name, _without_start(name, _REGIONS)]
    names.append(_without_start(names[-1], _BEFORE_NAME).removeprefix(_DATABRICKS))
    names.append(_without_end(names[-1], _VERSION).partition(":")[0])
    names.append(names[-1].replace("@", "-"))
    return tuple(dict.fromkeys(names))


def _without_start(name: str, start: re.Pattern[str]) -> str:
    match = start.match(name)
    return name if match is None else name[match.end() :]
