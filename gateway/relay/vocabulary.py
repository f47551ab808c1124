"""Tokens counted as the model itself would, where its vocabulary is public: OpenAI's families.

Asked only at the end of an answer whose usage nobody told (F25, F27); a vocabulary is read when it
is first needed, which takes a sixth of a second and 35 MB. All other texts are estimated by their
bytes.
"""

import importlib.util
import re
from functools import cache, lru_cache
from importlib.machinery import EXTENSION_SUFFIXES, ExtensionFileLoader, FileFinder
from typing import Final, Literal, Protocol

Vocabulary = Literal["o200k_base", "cl100k_base"]

_FAMILIES: Final[tuple[tuple[Vocabulary, re.Pattern[str]], ...]] = (
    ("o200k_base", re.compile(r"(chat)?gpt-(4o|4\.1|4\.5|5|oss)|o[134](-|$)")),
    ("cl100k_base", re.compile(r"gpt-(4|3\.5)(-|$)")),
)
_PACKAGE: Final = "bpe_openai"


class _Counter(Protocol):
    def count(self, text: str) -> int: ...


@lru_cache(maxsize=1024)
def vocabulary_of(model: str) -> Vocabulary | None:
    """The vocabulary of a model, by its provider's name for it; None where it is not known."""
    name = model.rpartition("/")[2]
    return next((known for known, family in _FAMILIES if family.match(name)), None)


def count_tokens(text: str, vocabulary: Vocabulary) -> int:
    """How many tokens the text has; special tokens count as the text that they are."""
    return _counter(vocabulary).count(text)


@cache
def _counter(vocabulary: Vocabulary) -> _Counter:
    # The package itself reads all its vocabularies once more in Python when it is imported: a
    # second, and twice the memory. Its compiled part alone is all that is needed.
    package = importlib.util.find_spec(_PACKAGE)
    if package is None or not package.submodule_search_locations:
        raise ImportError(f"{_PACKAGE} is not installed")
    finder = FileFinder(
        package.submodule_search_locations[0], (ExtensionFileLoader, EXTENSION_SUFFIXES)
    )
    spec = finder.find_spec("_bindings")
    if spec is None or spec.loader is None:
        raise ImportError(f"{_PACKAGE} has no compiled part for this Python")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    counter: _Counter = module.tokenizer_for_encoding(vocabulary)
    return counter
