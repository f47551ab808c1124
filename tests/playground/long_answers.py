"""Long answers of every kind that a page has to draw while they come: about 10,000 tokens each.

A token is counted as four characters, of Chinese as one and a half.
"""

from collections.abc import Callable, Iterator
from itertools import count
from random import Random

TOKENS = 10_000

_TEXT = """the a weir water level stream flow crest head gauge river above below regulates measures
when because through under with without every second metre slowly steadily between bank engineers
discharge coefficient velocity upstream downstream surface narrow broad notch"""
_WORDS = _TEXT.split()
_SIGNS = (
    "水堰调节河流的位与量当高过顶时溢出下游保持平稳工程师测流速系数宽窄口每秒立方米我们可以知道"
)


def _sentence(random: Random, *, marks: bool = True) -> str:
    words = [random.choice(_WORDS) for _ in range(random.randint(6, 18))]
    if marks and random.random() < 0.4:
        at = random.randrange(len(words))
        words[at] = random.choice(("**{}**", "*{}*", "`{}`")).format(words[at])
    return " ".join(words).capitalize() + ". "


def _paragraph(random: Random) -> str:
    return "".join(_sentence(random) for _ in range(random.randint(3, 7))).strip()


def _prose(random: Random) -> Iterator[str]:
    for number in count(1):
        if number % 6 == 1:
            yield f"## Part {number // 6 + 1} of the weir\n\n"
        yield _paragraph(random) + "\n\n"


def _one_paragraph(random: Random) -> Iterator[str]:
    while True:
        yield _sentence(random)


def _function(random: Random, number: int) -> str:
    lines = [f"def outflow_{number}(head: float, width: float = {random.random():.3f}) -> float:"]
    lines += [f'    """{_sentence(random, marks=False).strip()}"""']
    for step in range(random.randint(4, 12)):
        name = random.choice(_WORDS)
        lines += [f"    {name}_{step} = {random.random():.4f} * width * head ** 1.5  # {name}"]
        if random.random() < 0.2:
            lines += [
                f"    if {name}_{step} > 0.5 and width < 3:",
                f'        print(f"{name} {{head}}")',
            ]
    return "\n".join([*lines, "    return head", "", ""]) + "\n"


def _code(random: Random) -> Iterator[str]:
    """Blocks of some three hundred lines, a paragraph between."""
    for number in count():
        yield f"{_paragraph(random)}\n\n```python\n"
        for part in range(25):
            yield _function(random, number * 25 + part)
        yield "```\n\n"


def _one_code(random: Random) -> Iterator[str]:
    yield "```python\n"
    for number in count():
        yield _function(random, number)


def _lists(random: Random) -> Iterator[str]:
    """Lists of a hundred points, each third with points of its own."""
    while True:
        yield f"{_paragraph(random)}\n\n"
        for number in range(1, 101):
            yield f"{number}. {_sentence(random)}\n"
            if number % 3 == 0:
                inset = " " * len(f"{number}. ")
                yield "".join(f"{inset}- {_sentence(random)}\n" for _ in range(2))
        yield "\n"


def _tables(random: Random) -> Iterator[str]:
    """Tables of a hundred and fifty rows."""
    while True:
        yield f"{_paragraph(random)}\n\n"
        yield "| Place | Crest | Head | Flow | Note |\n|---|--:|--:|--:|---|\n"
        for number in range(150):
            figures = " | ".join(f"{random.random() * 10:.3f}" for _ in range(3))
            first, second = random.choice(_WORDS), random.choice(_WORDS)
            yield f"| Gauge {number} | {figures} | {first} **{second}** |\n"
        yield "\n"


def _math(random: Random) -> Iterator[str]:
    while True:
        n = random.randint(2, 9)
        yield f"{_sentence(random)} with $Q_{n} = C_d b h^{{3/{n}}}$"
        yield f" and $\\alpha_{n} \\le \\beta^{{{n}}}$.\n\n"
        yield (
            f"$$\\int_0^{{h}} \\sqrt{{{n} g z}} \\, dz = \\frac{{2}}{{{n}}} \\sqrt{{2 g}} h^{{3/2}}"
            f" + \\sum_{{i=1}}^{{{n}}} \\frac{{x_i^2}}{{1 + x_i}}$$\n\n"
        )


def _chinese(random: Random) -> Iterator[str]:
    for number in count(1):
        if number % 5 == 0:
            yield f"## 第{number}节\n\n"
        for _ in range(random.randint(3, 9)):
            half = "".join(random.choice(_SIGNS) for _ in range(random.randint(8, 25)))
            yield f"{half}，**{half[:4]}**{half[::-1]}。"
        yield "\n\n"


_KINDS: dict[str, Callable[[Random], Iterator[str]]] = {
    "prose": _prose,
    "one paragraph": _one_paragraph,
    "code": _code,
    "one block of code": _one_code,
    "lists": _lists,
    "tables": _tables,
    "math": _math,
    "chinese": _chinese,
}
KINDS = tuple(_KINDS)


def characters_per_token(kind: str) -> float:
    return 1.5 if kind == "chinese" else 4


def long_answer(kind: str, tokens: int = TOKENS) -> str:
    """The same text at every call."""
    size_min, parts, size = int(tokens * characters_per_token(kind)), [], 0
    for part in _KINDS[kind](Random(kind)):
        parts.append(part)
        size += len(part)
        if size >= size_min:
            break
    return "".join(parts)
