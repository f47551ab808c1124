"""Numbers with a checksum or a plan: cards, accounts, telephones, numbers of people."""

import re
from collections.abc import Callable, Iterator, Sequence
from functools import cache, lru_cache
from typing import Any

from phonenumbers import COUNTRY_CODE_TO_REGION_CODE, PhoneMetadata
from stdnum import iban, luhn, numdb
from stdnum.br import cpf
from stdnum.ch import ssn as ch_ssn
from stdnum.cn import ric
from stdnum.de import idnr
from stdnum.es import dni, nie
from stdnum.exceptions import ValidationError
from stdnum.fr import nir
from stdnum.gb import nhs
from stdnum.in_ import aadhaar
from stdnum.it import codicefiscale
from stdnum.jp import in_ as jp_in
from stdnum.kr import rrn
from stdnum.nl import bsn
from stdnum.pl import pesel
from stdnum.se import personnummer
from stdnum.tr import tckimlik
from stdnum.us import ssn as us_ssn
from stdnum.za import idnr as za_idnr

from content.detectors.detector import Pattern


def _longest(candidate: str, valid: Callable[[str], bool], characters_min: int) -> int:
    """Return how many first characters of a candidate are valid, cut where no word is cut."""
    return next(
        (end for end in _ends(candidate, characters_min) if valid(candidate[:end])),
        0,
    )


def _ends(candidate: str, characters_min: int) -> Iterator[int]:
    for end in range(len(candidate), characters_min - 1, -1):
        follows = candidate[end : end + 1]
        if candidate[end - 1].isalnum() and not follows.isalnum():
            yield end


# What may not surround a number: a script without spaces puts letters beside it.
_BESIDE = "0-9A-Za-z_"

# The first digits of cards, from and to, and how many digits they have (ISO/IEC 7812, by the
# networks' own tables). Numbers of orders and times have other ones.
_NETWORKS: tuple[tuple[str, str, frozenset[int]], ...] = tuple(
    (first, last, frozenset(lengths))
    for first, last, lengths in (
        ("4", "4", (13, 16, 19)),  # Visa
        ("51", "55", (16,)), ("2221", "2720", (16,)),  # Mastercard
        ("34", "34", (15,)), ("37", "37", (15,)),  # American Express
        ("300", "305", (14, 16)), ("36", "36", (14, 16, 19)), ("38", "39", (14, 16, 19)),  # Diners
        ("3528", "3589", (16, 17, 18, 19)),  # JCB
        ("6011", "6011", (16, 17, 18, 19)), ("644", "649", (16, 17, 18, 19)),
        ("65", "65", (16, 17, 18, 19)),  # Discover, RuPay
        ("62", "62", (16, 17, 18, 19)), ("8100", "8171", (16, 17, 18, 19)),  # UnionPay
        ("60", "60", (16,)), ("508", "508", (16,)), ("81", "82", (16,)),  # RuPay, Hipercard
        ("5018", "5018", (13, 14, 15, 16, 17, 18, 19)), ("5020", "5020", (16, 17, 18, 19)),
        ("5038", "5038", (16, 17, 18, 19)), ("5893", "5893", (16, 17, 18, 19)),
        ("6304", "6304", (16, 17, 18, 19)), ("6759", "6759", (16, 17, 18, 19)),
        ("6761", "6763", (16, 17, 18, 19)), ("6767", "6767", (16, 18, 19)),  # Maestro
        ("2200", "2205", (16, 17, 18, 19)),  # Mir
        ("9792", "9792", (16,)),  # Troy
        ("506099", "506198", (16, 18, 19)), ("650002", "650027", (16, 18, 19)),  # Verve
        ("636", "637", (16, 17, 18, 19)), ("504175", "504175", (16,)),
        ("509", "509", (16,)), ("5066", "5067", (16,)), ("438935", "438935", (16,)),  # Elo
        ("8600", "8600", (16,)), ("9860", "9860", (16,)),  # Uzcard, Humo
    )
)  # fmt: skip

# How shorter cards are written; of sixteen digits each group is one.
_SHORT_GROUPS: tuple[list[int], ...] = ([], [4, 4, 4], [4, 6])


def _judge_card(candidate: str) -> int:
    """Return how many first characters of a candidate are a card's number, the most that are."""
    digits = candidate.replace(" ", "").replace("-", "")
    lengths = _card_lengths(digits[:6])
    if not lengths:
        return 0
    for end in _ends(candidate, 13):
        count = end - candidate.count(" ", 0, end) - candidate.count("-", 0, end)
        if count in lengths and luhn.is_valid(digits[:count]):
            groups = re.split("[ -]", candidate[:end])
            if count >= 16 or [len(one) for one in groups[:-1]] in _SHORT_GROUPS:
                return end
    return 0


@lru_cache(10_000)
def _card_lengths(begin: str) -> frozenset[int]:
    """Return how many digits cards have that begin with these six."""
    return frozenset[int]().union(
        *(lengths for first, last, lengths in _NETWORKS if first <= begin[: len(first)] <= last)
    )


CARD = Pattern(
    "CARD",
    r"[2-689](?:[ -]?[0-9]){12,18}",
    before=_BESIDE,
    after="0-9",
    decimals=False,
    judge=_judge_card,
)


@cache
def _account_characters(country: str) -> int:
    """Return how many characters a country's account numbers have; 0 without any."""
    form: dict[str, str] = numdb.get("iban").info(country)[0][1]
    return 4 + sum(map(int, re.findall(r"[0-9]+", form["bban"]))) if "bban" in form else 0


def _judge_account(candidate: str) -> int:
    """Return how many first characters of a candidate are an account's number."""
    characters = _account_characters(candidate[:2].upper())
    seen = 0
    for end, one in enumerate(candidate, 1):
        seen += one.isalnum()
        if seen == characters:
            beside = candidate[end : end + 1]
            valid = not beside.isalnum() and _is_account(candidate[:end])
            return end if valid else 0
    return 0


def _is_account(text: str) -> bool:
    # What countries check within the rest differs in time and by bank: each such number is one.
    compact = text.replace(" ", "").replace("-", "").upper()
    return iban.is_valid(compact, check_country=False)


IBAN = Pattern(
    "IBAN",
    r"[A-Za-z]{2}[0-9]{2}(?:[ -]?[0-9A-Za-z]){11,30}",
    before=_BESIDE,
    after="0-9A-Za-z",
    judge=_judge_account,
)


@cache
def _telephone_lengths(code: int) -> frozenset[int]:
    """Return how many digits numbers have that follow a country's code."""
    regions = COUNTRY_CODE_TO_REGION_CODE.get(code, ())
    plans = [PhoneMetadata.metadata_for_region_or_calling_code(code, region) for region in regions]
    return frozenset(
        length
        for plan in plans
        if plan and plan.general_desc
        for length in plan.general_desc.possible_length
    )


def _is_telephone(candidate: str) -> bool:
    """Return whether a number begins with a country's code and has the length of one (E.164)."""
    begin = len(_PLUS.match(candidate)[0])  # type: ignore[index]
    digits = "".join(one for one in candidate[begin:] if one.isdigit())
    # The zero of a number that is dialled within its country may stand there too.
    trunk = "(0)" in candidate
    # No code begins with a zero; degrees of latitude do.
    return (
        8 <= len(digits) - trunk <= 15
        and digits[0] != "0"
        and any(
            len(digits) - trunk - length in _telephone_lengths(int(digits[:length]))
            for length in (1, 2, 3)
        )
    )


_PLUS_FORMS = r"(?:\+|%2[Bb]|\\u002[Bb]|&#43;|&#x2[Bb];)"
_PLUS = re.compile(_PLUS_FORMS)
# A number that is dialled within its country has no mark by which it is recognised, and is left
# alone.
TELEPHONE = Pattern(
    "TELEPHONE",
    _PLUS_FORMS + r"[0-9]{1,15}(?:[ ()./-]{1,2}[0-9]{1,12}){0,7}",
    before=_BESIDE + "+",
    after="0-9",
    judge=lambda candidate: _longest(candidate, _is_telephone, 9),
)


class _ResidentIdentity:
    """The form, the birth date and the check digit; the library's list of places has gaps."""

    @staticmethod
    def is_valid(text: str) -> bool:
        try:
            ric.get_birth_date(text)
        except ValidationError:
            return False
        return ric.calc_check_digit(text) == text[-1].upper()


def _grouped(*groups: str) -> str:
    """Return an expression for groups with nothing, a space or a hyphen between all of them."""
    return "|".join(between.join(groups) for between in ("", " ", "-"))


# The numbers that a country gives to people, in the form in which they are written.
_PEOPLE: dict[str, tuple[tuple[str, Any], ...]] = {
    "BR": ((r"[0-9]{11}|[0-9]{3}\.[0-9]{3}\.[0-9]{3}-[0-9]{2}", cpf),),
    "CH": ((r"756[0-9]{10}|756\.[0-9]{4}\.[0-9]{4}\.[0-9]{2}", ch_ssn),),
    "CN": ((r"[1-9][0-9]{16}[0-9Xx]", _ResidentIdentity),),
    "DE": ((r"[1-9][0-9] ?[0-9]{3} ?[0-9]{3} ?[0-9]{3}", idnr),),
    "ES": ((r"[0-9]{8}-?[A-Za-z]", dni), (r"[XYZxyz]-?[0-9]{7}-?[A-Za-z]", nie)),
    "FR": ((r"[12] ?[0-9]{2} ?[0-9]{2} ?[0-9][0-9AB] ?[0-9]{3} ?[0-9]{3} ?[0-9]{2}", nir),),
    "GB": ((_grouped("[0-9]{3}", "[0-9]{3}", "[0-9]{4}"), nhs),),
    "IN": ((_grouped("[2-9][0-9]{3}", "[0-9]{4}", "[0-9]{4}"), aadhaar),),
    "IT": ((r"[A-Za-z]{6}[0-9]{2}[A-Za-z][0-9]{2}[A-Za-z][0-9]{3}[A-Za-z]", codicefiscale),),
    "JP": ((_grouped("[0-9]{4}", "[0-9]{4}", "[0-9]{4}"), jp_in),),
    "KR": ((r"[0-9]{6}-?[0-9]{7}", rrn),),
    "NL": ((r"[0-9]{4}\.?[0-9]{2}\.?[0-9]{3}", bsn),),
    "PL": ((r"[0-9]{11}", pesel),),
    "SE": ((r"(?:19|20)?[0-9]{6}[-+]?[0-9]{4}", personnummer),),
    "TR": ((r"[1-9][0-9]{10}", tckimlik),),
    "US": ((r"[0-9]{3}-[0-9]{2}-[0-9]{4}", us_ssn),),
    "ZA": ((r"[0-9]{6} ?[0-9]{4} ?[0-9]{2} ?[0-9]", za_idnr),),
}
COUNTRIES = tuple(_PEOPLE)


def numbers_of_people(countries: Sequence[str]) -> tuple[Pattern, ...]:
    """Recognise the numbers that these countries (two letters) give to people."""
    unknown = [one for one in countries if one not in _PEOPLE]
    if unknown:
        raise ValueError(f"Unknown country {unknown[0]!r}.")
    return tuple(
        Pattern(
            "NATIONAL_NUMBER",
            expression,
            before=_BESIDE,
            after=_BESIDE,
            decimals=False,
            parts_of_ids=False,
            judge=_judge_by(form),
        )
        for country in countries
        for expression, form in _PEOPLE[country]
    )


def _judge_by(form: Any) -> Callable[[str], int]:
    return lambda candidate: len(candidate) if form.is_valid(candidate) else 0
