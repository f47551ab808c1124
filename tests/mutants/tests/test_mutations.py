"""What `make mutants` plants: each kind of mutation, where it is, and that it compiles."""

from pathlib import Path

import pytest

from tests.mutants.__main__ import _accepted, _key
from tests.mutants.mutations import mutations
from tests.mutants.targets import target_files
from tests.runner.databases import ROOT


def mutated(text: str) -> set[tuple[str, str]]:
    return {(one.kind, one.applied(text)) for one in mutations("room/file.py", text)}


@pytest.mark.parametrize(
    ("text", "kind", "expected"),
    [
        ("def f(a): return a < 3\n", "comparison", "def f(a): return a <= 3\n"),
        ("def f(a): return a >= b\n", "comparison", "def f(a): return a > b\n"),
        ("def f(a): return a not in b\n", "comparison", "def f(a): return a in b\n"),
        ("def f(a): return a is None\n", "comparison", "def f(a): return a is not None\n"),
        ("def f(a): return a and (b or c)\n", "boolean", "def f(a): return a or (b or c)\n"),
        ("def f(a): return a and (b or c)\n", "boolean", "def f(a): return a and (b and c)\n"),
        ("def f(a): return not (a)\n", "boolean", "def f(a): return  (a)\n"),
        ("é = True\n", "boolean", "é = False\n"),
        ("N = 10\n", "constant", "N = 11\n"),
        ("def f(a):\n    g(\n        a)\n", "removed call", "def f(a):\n    pass\n\n"),
        ("async def f(a):\n    await g()\n", "removed call", "async def f(a):\n    pass\n"),
        (
            "def f(a):\n    if (\n        a\n    ):\n        return 1\n    return 2\n",
            "removed guard",
            "def f(a):\n    if (\n        False\n    ):\n        return 1\n    return 2\n",
        ),
        (
            "def f(a):\n    if g(\n        a\n    ):\n        raise E\n",
            "removed guard",
            "def f(a):\n    if (False\n\n):\n        raise E\n",
        ),
        (
            "T = 'UPDATE a SET b = 1 WHERE c >= %(d)s'\n",
            "SQL comparison",
            "T = 'UPDATE a SET b = 1 WHERE c > %(d)s'\n",
        ),
    ],
)
def test_a_mutation(text: str, kind: str, expected: str) -> None:
    assert (kind, expected) in mutated(text)


@pytest.mark.parametrize(
    "text",
    [
        'def f(a):\n    """Some 3 words."""\n',
        "def f(a: Literal[3]) -> None: ...\n",
        "def f(a):\n    log.warning('3')\n",
        "def f(a):\n    if a:\n        b = c\n",
        "T = 'less < more'\n",
        "T = 'SELECT FROM a WHERE a.until > now()'\n",
        "def f(a):\n    return zip(a, a, strict=True)\n",
        "T = 'SELECT now() < until FROM a'\n",
        "T = 'SELECT FROM a WHERE a.id >= %(first_id)s'\n",
    ],
)
def test_no_mutation(text: str) -> None:
    assert mutated(text) == set()


def test_mutation_knows_its_function() -> None:
    text = "class A:\n    @cached\n    def f(self):\n        def g():\n            return 1\n"
    (one,) = mutations("room/file.py", text)
    assert (one.function, one.first_line, one.line) == ("A.f", 2, 5)
    assert one.describe(text) == "room/file.py:5: constant: return 1 -> return 2"


@pytest.mark.parametrize("file", list(target_files(ROOT)))
def test_every_mutation_of_a_target_compiles_and_moves_no_line(file: str) -> None:
    text = Path(ROOT, file).read_text()
    for one in mutations(file, text):
        mutant = one.applied(text)
        compile(mutant, file, "exec")
        assert mutant.count("\n") == text.count("\n"), one.describe(text)


def test_every_equivalent_mutant_is_one_that_can_be_planted() -> None:
    accepted = _accepted()
    assert all(accepted.values())
    files = {mutant.partition(":")[0] for mutant in accepted}
    texts = {file: Path(ROOT, file).read_text() for file in files}
    planted = {
        _key(one.describe(text)) for file, text in texts.items() for one in mutations(file, text)
    }
    assert accepted.keys() - planted == set()
