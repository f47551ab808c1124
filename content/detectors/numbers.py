"""Numbers with a checksum or a plan: cards, accounts, telephones, numbers of people."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from phonenumbers import COUNTRY_CODE_TO_REGION_CODE
from stdnum import iban, luhn
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


def _is_card(text: str) -> bool:
    digits = text.replace(" ", "").replace("-", "")
    return 13 <= len(digits) <= 19 and luhn.is_valid(digits)


# Issuers of cards number from 2 to 6.
CARD = Pattern(
    "CARD",
    r"[2-6](?:[ -]?[0-9]){12,18}",
    before=r"\w.,",
    after="0-9",
    judge=lambda candidate: _longest(candidate, _is_card, 13),
)


def _is_iban(text: str) -> bool:
    # The library looks up the country's form, which takes fifty times as long.
    turned = (text[4:] + text[:4]).replace(" ", "").upper()
    return int("".join(str(int(one, 36)) for one in turned)) % 97 == 1 and iban.is_valid(text)


IBAN = Pattern(
    "IBAN",
    r"[A-Z]{2}[0-9]{2}(?: ?[0-9A-Za-z]){11,30}",
    before=r"\w",
    judge=lambda candidate: _longest(candidate, _is_iban, 15),
)


def _is_telephone(candidate: str) -> bool:
    """Return whether a number begins with a country's code and has the length of one (E.164)."""
    digits = "".join(one for one in candidate if one.isdigit())
    codes = (int(digits[:length]) for length in (1, 2, 3))
    return 8 <= len(digits) <= 15 and any(code in COUNTRY_CODE_TO_REGION_CODE for code in codes)


# Groups after the first have two digits: nobody writes a number in single digits. A number that is
# dialled within its country has no mark by which it is recognised, and is left alone.
TELEPHONE = Pattern(
    "TELEPHONE",
    r"\+[0-9]{1,15}(?:[ ()./-]{1,2}[0-9]{2,8}){0,5}",
    before=r"\w+",
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


# The numbers that a country gives to people, in the form in which they are written.
_PEOPLE: dict[str, tuple[tuple[str, Any], ...]] = {
    "BR": ((r"[0-9]{3}\.?[0-9]{3}\.?[0-9]{3}-?[0-9]{2}", cpf),),
    "CH": ((r"756\.?[0-9]{4}\.?[0-9]{4}\.?[0-9]{2}", ch_ssn),),
    "CN": ((r"[1-9][0-9]{16}[0-9Xx]", _ResidentIdentity),),
    "DE": ((r"[1-9][0-9] ?[0-9]{3} ?[0-9]{3} ?[0-9]{3}", idnr),),
    "ES": ((r"[0-9]{8}-?[A-Z]", dni), (r"[XYZ]-?[0-9]{7}-?[A-Z]", nie)),
    "FR": ((r"[12] ?[0-9]{2} ?[0-9]{2} ?[0-9][0-9AB] ?[0-9]{3} ?[0-9]{3} ?[0-9]{2}", nir),),
    "GB": ((r"[0-9]{3}[ -]?[0-9]{3}[ -]?[0-9]{4}", nhs),),
    "IN": ((r"[2-9][0-9]{3} ?[0-9]{4} ?[0-9]{4}", aadhaar),),
    "IT": ((r"[A-Z]{6}[0-9]{2}[A-Z][0-9]{2}[A-Z][0-9]{3}[A-Z]", codicefiscale),),
    "JP": ((r"[0-9]{4} ?[0-9]{4} ?[0-9]{4}", jp_in),),
    "KR": ((r"[0-9]{6}-[0-9]{7}", rrn),),
    "NL": ((r"[0-9]{9}", bsn),),
    "PL": ((r"[0-9]{11}", pesel),),
    "SE": ((r"[0-9]{6}[-+][0-9]{4}", personnummer),),
    "TR": ((r"[1-9][0-9]{10}", tckimlik),),
    "US": ((r"[0-9]{3}-[0-9]{2}-[0-9]{4}", us_ssn),),
    "ZA": ((r"[0-9]{13}", za_idnr),),
}
COUNTRIES = tuple(_PEOPLE)


def numbers_of_people(countries: Sequence[str]) -> tuple[Pattern, ...]:
    """Recognise the numbers that these countries (two letters) give to people."""
    unknown = [one for one in countries if one not in _PEOPLE]
    if unknown:
        raise ValueError(f"Unknown country {unknown[0]!r}.")
    return tuple(
        Pattern("NATIONAL_NUMBER", expression, before=r"\w", after=r"\w", judge=_judge_by(form))
        for country in countries
        for expression, form in _PEOPLE[country]
    )


def _judge_by(form: Any) -> Callable[[str], int]:
    return lambda candidate: len(candidate) if form.is_valid(candidate) else 0
