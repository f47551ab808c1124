"""The steps that a request lets its provider run and bill besides its own model's answer:
compaction, other models, advice. The hold must cover them (I13); hosted tools are in
`hosted_tools.py`.
"""

from typing import NamedTuple


class Advisor(NamedTuple):
    """Another model that the model may ask for advice, up to `uses` times. `output_cap` None is
    that model's own limit."""

    model: str
    uses: int
    output_cap: int | None


class OtherSteps(NamedTuple):
    """The steps that may be billed in addition to the answer. `any_fallback`: the provider chooses
    the model."""

    compacts: bool
    fallbacks: tuple[str, ...]
    any_fallback: bool
    advisors: tuple[Advisor, ...]
