import pytest

from gateway.codecs.chat import Dialect
from gateway.codecs.dropped import client_name, dropped_names
from tests.gateway.codecs.neutral import request


@pytest.mark.parametrize(
    ("dialect", "names"),
    [
        ("openai", ("seed", "n", "stop", "safe")),
        ("responses", ("seed", "choices", "stop", "safe")),
        ("anthropic", ("seed", "choices", "stop_sequences", "safe")),
        ("gemini", ("generationConfig.seed", "generationConfig.candidateCount",
                    "generationConfig.stopSequences", "safe")),
    ],
)  # fmt: skip
def test_dropped_names_are_the_clients(dialect: Dialect, names: tuple[str, ...]) -> None:
    asked = request(dialect=dialect, seed=0, choices=1, stop=("x",), extra={"safe": 1})
    other: Dialect = "gemini" if dialect == "openai" else "openai"
    fields = ("seed", "choices", "stop", "user", "logit_bias", "seed")
    assert dropped_names(asked, other, *fields) == names
    assert dropped_names(asked, dialect, "user", "metadata") == ()


def test_fields_that_all_call_alike() -> None:
    assert client_name(request(), "metadata") == "metadata"
