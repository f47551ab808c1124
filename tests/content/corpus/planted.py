"""Texts that contain something that a guard must stop, made by code from a seed."""

import json
import re
from collections.abc import Callable, Iterator
from random import Random
from typing import Any, Final, NamedTuple

from content.guards.rules import GuardRule, Place
from tests.content.corpus import makers

COUNT: Final = 2_000
COUNTRIES: Final = list(makers.PEOPLE)
SHARES: Final[tuple[tuple[str, Callable[[Random], str], int], ...]] = (
    ("email", makers.email, 350),
    ("card", makers.card, 300),
    ("card", makers.card_in_wide_digits, 50),
    ("iban", makers.iban, 300),
    ("telephone", makers.telephone, 300),
    ("national_number", lambda rng: makers.PEOPLE[rng.choice(COUNTRIES)](rng), 300),
    ("secret", makers.secret, 300),
    ("private_key", makers.private_key, 100),
)
SETTINGS: Final[dict[str, dict[str, Any]]] = {"national_number": {"countries": COUNTRIES}}


class Planted(NamedTuple):
    guard: str
    secret: str  # as it is written in the text
    text: str
    place: Place

    @property
    def before(self) -> str:
        return self.text[: self.text.index(self.secret)]

    def leaks(self, out: str) -> set[str]:
        """Return the parts of the secret that a text has and that the rest of this text has not.

        A part is four letters or digits that stand together in the secret, whatever is written
        between them, in small letters.
        """
        rest = self.text.replace(self.secret, "\0")
        return pieces(self.secret) & pieces(_PLACEHOLDER.sub("\0", out)) - pieces(rest)

    def rules(self, action: Any) -> list[GuardRule]:
        settings = SETTINGS.get(self.guard, {})
        return [GuardRule(self.guard, settings, [self.place], action, f"no_{self.guard}")]


_PLACEHOLDER: Final = re.compile(r"<[A-Z_]+_[0-9]+>")


def pieces(text: str) -> set[str]:
    """Return each four letters and digits that follow each other, within a word and across the
    separators of groups."""
    found = set[str]()
    for run in re.split(r"[^\w .()/+-]+", text.lower()):
        plain = re.sub(r"[\W_]", "", run)
        found.update(plain[n : n + 4] for n in range(len(plain) - 3))
    return found


# What stands around it: {} is where. A text with {{ }} is JSON.
PROSE: Final = (
    "Please contact me: {} - thank you!",
    "It is {}.",
    "{}",
    "The customer wrote \u201c{}\u201d and nothing else.",
    "Bitte nutzen Sie {}, sonst nichts.",
    "Mes coordonn\u00e9es : {}. Merci d\u2019avance !",
    "Mi dato es \u00ab{}\u00bb, gracias.",
    "\u8bf7\u8bb0\u4e0b\uff1a{}\u3002\u8c22\u8c22",
    "\u3053\u308c\u3067\u3059\uff1a{}\u3001\u3088\u308d\u3057\u304f\u3002",
    "\u041c\u043e\u0438 \u0434\u0430\u043d\u043d\u044b\u0435: {}; \u0434\u0430.",
    "\u0628\u064a\u0627\u0646\u0627\u062a\u064a: {} \u0634\u0643\u0631\u0627",
    "\u0935\u093f\u0935\u0930\u0923: {} \u0927\u0928\u094d\u092f\u0935\u093e\u0926",
    "\u0e02\u0e49\u0e2d\u0e21\u0e39\u0e25: {} \u0e02\u0e2d\u0e1a\u0e04\u0e38\u0e13",
    "Bilgilerim: {}, te\u015fekk\u00fcrler.",
    "Two lines:\n{}\nand more",
    "(see {})",
    "a\t{}\tb",
    "\U0001f986{}\U0001f986",
)
WRITTEN: Final = (
    "- **Value:** {}\n- Other: none",
    "| Name | Value |\n| --- | --- |\n| Bob | {} |\n",
    "Use `{}` here.",
    "```\n{}\n```",
    "> {}\n",
    "[link]({})",
    "1. {}\n2. none",
    'value = "{}"  # from the form\nprint(value)',
    "const v = '{}';",
    "export VALUE={}\n",
    "VALUE={}\nDEBUG=false\n",
    "value: {}\nother: none\n",
    "<td>{}</td>",
    '<a title="{}">x</a>',
    "id;name;{};x\n",
    "id,name,{},x\n",
    "7,{},9\n",
    "2026-11-29T04:08:00Z INFO user={} ok",
    "[04:08:00] sent to <{}>",
    "INSERT INTO t VALUES ('{}', 'x');",
    "curl -H 'x: {}' http://host/",
    "{} ",
    "\n\n{}\n\n",
)
JSON: Final = (
    '{"note": "{}", "n": 1}',
    '{"a": ["{}", "x"]}',
    '[{"k": "it is {} indeed"}]',
    '{"text": "first line\\n{}\\tlast"}',
)


def _put(carrier: str, secret: str) -> str:
    return carrier.replace("{}", secret, 1)


def _escaped(secret: str, rng: Random) -> str:
    """A secret as JSON may write it."""
    written = json.dumps(secret, ensure_ascii=rng.random() < 0.5)[1:-1]
    return "".join(
        f"\\u{ord(one):04x}" if one in "@+" and rng.random() < 0.5 else one for one in written
    )


def _plant(guard: str, secret: str, n: int, rng: Random) -> Planted:
    if n % 4 == 3:
        # In the arguments or the result of a tool.
        written = _escaped(secret, rng)
        place: Place = "tool_result" if n % 8 == 7 else "tool_call"
        return Planted(guard, written, _put(rng.choice(JSON), written), place)
    if n % 20 == 10 and guard == "email" and '"' not in secret and "'" not in secret:
        written = secret.replace("@", rng.choice(["%40", "&#64;", "&#x40;", "\\u0040"]))
        return Planted(guard, written, f"see ?to={written}&x=1", "answer")
    if n % 20 == 10 and guard == "telephone":
        written = secret.replace("+", "%2B").replace(" ", "-")
        return Planted(guard, written, f"see ?to={written}&x=1", "answer")
    if n % 10 == 4 and guard != "private_key":
        written = json.dumps(secret, ensure_ascii=False)[1:-1]
        return Planted(guard, written, _put(rng.choice(JSON), written), "answer")
    return Planted(guard, secret, _put(rng.choice(PROSE if n % 2 else WRITTEN), secret), "answer")


def planted() -> Iterator[Planted]:
    """Yield the 2,000 texts, the guards mixed."""
    rng = Random(63)
    made = [(guard, make) for guard, make, share in SHARES for _ in range(share)]
    rng.shuffle(made)
    for n, (guard, make) in enumerate(made):
        yield _plant(guard, make(rng), n, rng)


PLANTED: Final = tuple(planted())
