"""Makers of what guards stop: each knows how the thing is written, and nothing of what finds it.

Check digits are computed here, by the public definition of each number. Forms of bank accounts are
those of the registry of IBAN, those of keys what their vendors publish.
"""

import base64
import importlib
import re
import string
from collections.abc import Callable
from random import Random
from typing import Final

Made = tuple[str, list[str]]
"""What was made, and the alphanumeric parts that tell it."""

DIGITS: Final = string.digits
ALNUM: Final = string.ascii_letters + DIGITS
WORD: Final = ALNUM + "_-"
HEX: Final = "0123456789abcdef"
BASE32: Final = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"
BECH: Final = "QPZRY9X8GF2TVDW0S3JN54KHCE6MUA7L"


def some(rng: Random, alphabet: str, count: int) -> str:
    return "".join(rng.choice(alphabet) for _ in range(count))


# ---- cards


# Network: the first digits, between which, and how long.
NETWORKS: Final = {
    "visa": (("4", "4"), (13, 16, 19)),
    "mastercard": (("51", "55"), (16,)),
    "mastercard 2": (("2221", "2720"), (16,)),
    "amex 34": (("34", "34"), (15,)),
    "amex 37": (("37", "37"), (15,)),
    "diners 30": (("300", "305"), (14, 16)),
    "diners 36": (("36", "36"), (14, 16)),
    "diners 38": (("38", "39"), (14, 16)),
    "jcb": (("3528", "3589"), (16, 19)),
    "discover": (("6011", "6011"), (16,)),
    "discover 64": (("644", "649"), (16, 19)),
    "discover 65": (("65", "65"), (16, 19)),
    "unionpay": (("62", "62"), (16, 17, 18, 19)),
    "unionpay 81": (("8100", "8171"), (16,)),
    "maestro": (("5018", "5018"), (16, 18, 19)),
    "maestro 5020": (("5020", "5020"), (16,)),
    "maestro 5038": (("5038", "5038"), (16,)),
    "maestro 6304": (("6304", "6304"), (16, 18)),
    "maestro 6759": (("6759", "6759"), (16, 18, 19)),
    "maestro 676": (("6761", "6763"), (16, 18)),
    "mir": (("2200", "2204"), (16, 19)),
    "rupay": (("6521", "6522"), (16,)),
    "rupay 508": (("508500", "508999"), (16,)),
    "rupay 82": (("82", "82"), (16,)),
    "troy": (("9792", "9792"), (16,)),
    "verve": (("506099", "506198"), (16, 19)),
    "uzcard": (("8600", "8600"), (16,)),
    "humo": (("9860", "9860"), (16,)),
    "elo": (("636368", "636368"), (16,)),
    "hipercard": (("606282", "606282"), (16,)),
}


def mod_10(digits: str) -> str:
    """The check digit of cards (ISO/IEC 7812)."""
    total = 0
    for n, digit in enumerate(reversed(digits)):
        double = int(digit) * (2 if n % 2 == 0 else 1)
        total += double // 10 + double % 10
    return str(-total % 10)


def card(rng: Random) -> str:
    (first, last), lengths = NETWORKS[rng.choice(list(NETWORKS))]
    length = rng.choice(lengths)
    start = str(rng.randint(int(first), int(last)))
    body = start + some(rng, DIGITS, length - 1 - len(start))
    number = body + mod_10(body)
    groups = (4, 6, 5) if length == 15 else (4, 6, 4) if length == 14 else (4,) * 5
    return in_groups(number, groups, rng.choice(["", "", " ", "-", "\u00a0"]))


def in_groups(text: str, groups: tuple[int, ...], between: str) -> str:
    parts, position = [], 0
    for size in groups:
        parts.append(text[position : position + size])
        position += size
    return between.join(part for part in parts if part)


def card_in_wide_digits(rng: Random) -> str:
    return "".join(chr(ord(one) + 0xFEE0) if one.isdigit() else one for one in card(rng))


# ---- bank accounts

# Of each country the rest of the number: how many of which (n: digits, a: letters, c: either).
ACCOUNTS: Final = {
    "AD": "8n12c", "AE": "19n", "AL": "8n16c", "AT": "16n", "AZ": "4a20c", "BA": "16n",
    "BE": "12n", "BG": "4a6n8c", "BH": "4a14c", "BR": "23n1a1c", "BY": "4c4n16c", "CH": "5n12c",
    "CR": "18n", "CY": "8n16c", "CZ": "20n", "DE": "18n", "DK": "14n", "DO": "4c20n", "EE": "16n",
    "EG": "25n", "ES": "20n", "FI": "14n", "FO": "14n", "FR": "10n11c2n", "GB": "4a14n",
    "GE": "2a16n", "GI": "4a15c", "GL": "14n", "GR": "7n16c", "GT": "4c20c", "HR": "17n",
    "HU": "24n", "IE": "4a14n", "IL": "19n", "IQ": "4a15n", "IS": "22n", "IT": "1a10n12c",
    "JO": "4a4n18c", "KW": "4a22c", "KZ": "3n13c", "LB": "4n20c", "LC": "4a24c", "LI": "5n12c",
    "LT": "16n", "LU": "3n13c", "LV": "4a13c", "LY": "21n", "MC": "10n11c2n", "MD": "2c18c",
    "ME": "18n", "MK": "3n10c2n", "MR": "23n", "MT": "4a5n18c", "MU": "4a19n3a", "NL": "4a10n",
    "NO": "11n", "PK": "4a16c", "PL": "24n", "PS": "4a21c", "PT": "21n", "QA": "4a21c",
    "RO": "4a16c", "RS": "18n", "SA": "2n18c", "SC": "4a20n3a", "SE": "20n", "SI": "15n",
    "SK": "20n", "SM": "1a10n12c", "ST": "21n", "SV": "4a20n", "TL": "19n", "TN": "20n",
    "TR": "5n1n16c", "UA": "6n19c", "VA": "18n", "VG": "4a16n", "XK": "16n",
}  # fmt: skip


def iban_of(country: str, rng: Random) -> str:
    kinds = {"n": DIGITS, "a": string.ascii_uppercase, "c": DIGITS + string.ascii_uppercase}
    rest = "".join(
        some(rng, kinds[kind], int(count))
        for count, kind in re.findall(r"([0-9]+)([nac])", ACCOUNTS[country])
    )
    number = "".join(str(int(one, 36)) for one in rest + country + "00")
    return f"{country}{98 - int(number) % 97:02d}{rest}"


def iban(rng: Random) -> str:
    made = iban_of(rng.choice(list(ACCOUNTS)), rng)
    form = rng.randrange(6)
    if form == 4:
        return made.lower()
    return made if form < 2 else in_groups(made, (4,) * 9, " -\u00a0"[min(form - 2, 2) % 3])


# ---- telephones

# As people of each country write them: a digit for each N (2 to 9) and X (any).
TELEPHONES: Final = (
    "+1 (NXX) NXX-XXXX", "+1-NXX-NXX-XXXX", "+1 NXX.NXX.XXXX", "+1NXXNXXXXXX",
    "+33 6 XX XX XX XX", "+33 (0)1 XX XX XX XX", "+336XXXXXXXX", "+49 30 XXXXXX",
    "+49 171 XXXXXXX", "+49 (0)89/XXXXXX", "+49 171 XX XX XX X", "+44 20 NXXX XXXX",
    "+44 (0)20 NXXX XXXX", "+44 7XXX XXXXXX", "+34 6XX XX XX XX", "+34 91 XXX XX XX",
    "+39 06 XXX XXXX", "+39 34X XXX XXXX", "+31 6 XXXXXXXX", "+31 20 XXX XXXX",
    "+32 4XX XX XX XX", "+41 79 XXX XX XX", "+43 1 XXXXXXX", "+45 XX XX XX XX",
    "+46 8 XXX XXX XX", "+46 70-XXX XX XX", "+47 XXX XX XXX", "+48 XXX XXX XXX",
    "+351 9XX XXX XXX", "+353 1 XXX XXXX", "+358 40 XXX XXXX", "+36 1 XXX XXXX",
    "+420 XXX XXX XXX", "+7 (495) XXX-XX-XX", "+7 9XX XXX-XX-XX", "+380 67 XXX XXXX",
    "+90 5XX XXX XX XX", "+972 5X-XXX-XXXX", "+971 5X XXX XXXX", "+966 5X XXX XXXX",
    "+20 10 XXXX XXXX", "+27 82 XXX XXXX", "+234 803 XXX XXXX", "+254 7XX XXXXXX",
    "+91 9XXXX XXXXX", "+91-9XXXXXXXXX", "+86 13X XXXX XXXX", "+86 10 XXXX XXXX",
    "+8613XXXXXXXXX", "+81 3-XXXX-XXXX", "+81 90-XXXX-XXXX", "+82 10-XXXX-XXXX", "+852 9XXX XXXX",
    "+65 9XXX XXXX", "+61 4XX XXX XXX", "+61 2 9XXX XXXX", "+64 21 XXX XXXX", "+55 11 9XXXX-XXXX",
    "+55 (11) 9XXXX-XXXX", "+52 55 XXXX XXXX", "+54 9 11 XXXX-XXXX", "+56 9 XXXX XXXX",
    "+57 3XX XXX XXXX", "+62 812-XXXX-XXXX", "+63 917 XXX XXXX", "+84 91 XXX XX XX",
    "+66 8X XXX XXXX", "+60 12-XXX XXXX",
)  # fmt: skip


def telephone(rng: Random) -> str:
    form = rng.choice(TELEPHONES)
    return re.sub("[NX]", lambda one: some(rng, DIGITS if one[0] == "X" else "2345678", 1), form)


# ---- numbers of people


def _weighted(digits: str, weights: list[int]) -> int:
    return sum(int(one) * weight for one, weight in zip(digits, weights, strict=True))


def _birth(rng: Random) -> str:
    return f"{rng.randint(40, 99):02d}{rng.randint(1, 12):02d}{rng.randint(1, 28):02d}"


def _brazil(rng: Random) -> str:
    digits = some(rng, DIGITS, 9)
    for first in (10, 11):
        digits += str(_weighted(digits, list(range(first, 1, -1))) * 10 % 11 % 10)
    return rng.choice([digits, f"{digits[:3]}.{digits[3:6]}.{digits[6:9]}-{digits[9:]}"])


def _switzerland(rng: Random) -> str:
    digits = "756" + some(rng, DIGITS, 9)
    digits += str(-_weighted(digits, [1, 3] * 6) % 10)
    return rng.choice([digits, f"{digits[:3]}.{digits[3:7]}.{digits[7:11]}.{digits[11:]}"])


def _china(rng: Random) -> str:
    digits = f"{rng.choice(['110101', '310104', '440305', '510107'])}19{_birth(rng)}"
    digits += some(rng, DIGITS, 3)
    return digits + "10X98765432"[_weighted(digits, [2 ** (17 - n) % 11 for n in range(17)]) % 11]


def _spain(rng: Random) -> str:
    digits = some(rng, DIGITS, 8)
    made = digits + rng.choice(["", "-"]) + "TRWAGMYFPDXBNJZSQVHLCKE"[int(digits) % 23]
    return rng.choice([made, made.lower()])


def _france(rng: Random) -> str:
    birth = f"{rng.choice('12')}{rng.randint(10, 99)}{rng.randint(1, 12):02d}"
    digits = f"{birth}{rng.randint(1, 95):02d}{rng.randint(1, 990):03d}{rng.randint(1, 999):03d}"
    digits += f"{97 - int(digits) % 97:02d}"
    return rng.choice([digits, in_groups(digits, (1, 2, 2, 2, 3, 3, 2), " ")])


def _britain(rng: Random) -> str:
    while True:
        digits = some(rng, DIGITS, 9)
        check = -_weighted(digits, list(range(10, 1, -1))) % 11
        if check < 10:
            return in_groups(digits + str(check), (3, 3, 4), rng.choice(["", " ", "-"]))


def _netherlands(rng: Random) -> str:
    while True:
        digits = some(rng, "123456789", 1) + some(rng, DIGITS, 7)
        check = _weighted(digits, list(range(9, 1, -1))) % 11
        if check < 10:
            return in_groups(digits + str(check), (4, 2, 3), rng.choice(["", "."]))


def _poland(rng: Random) -> str:
    digits = _birth(rng) + some(rng, DIGITS, 4)
    return digits + str(-_weighted(digits, [1, 3, 7, 9, 1, 3, 7, 9, 1, 3]) % 10)


def _sweden(rng: Random) -> str:
    birth, number = _birth(rng), some(rng, DIGITS, 3)
    made = f"{number}{mod_10(birth + number)}"
    return rng.choice([f"{birth}-{made}", f"19{birth}-{made}", f"{birth}{made}"])


def _turkey(rng: Random) -> str:
    digits = some(rng, "123456789", 1) + some(rng, DIGITS, 8)
    ones = [int(one) for one in digits]
    digits += str((sum(ones[0::2]) * 7 - sum(ones[1::2])) % 10)
    return digits + str(sum(map(int, digits)) % 10)


def _korea(rng: Random) -> str:
    digits = _birth(rng) + rng.choice("12") + some(rng, "01234", 1) + some(rng, DIGITS, 4)
    weighted = _weighted(digits, [2, 3, 4, 5, 6, 7, 8, 9, 2, 3, 4, 5])
    digits += str((11 - weighted % 11) % 10)
    return f"{digits[:6]}{rng.choice(['-', ''])}{digits[6:]}"


def _japan(rng: Random) -> str:
    digits = some(rng, DIGITS, 11)
    check = 11 - _weighted(digits, [6, 5, 4, 3, 2, 7, 6, 5, 4, 3, 2]) % 11
    return in_groups(digits + str(check % 11 % 10), (4, 4, 4), rng.choice(["", " ", "-"]))


def _united_states(rng: Random) -> str:
    area = rng.choice([rng.randint(100, 665), rng.randint(667, 899)])
    return f"{area}-{rng.randint(10, 99)}-{rng.randint(1000, 9999)}"


def _south_africa(rng: Random) -> str:
    digits = _birth(rng) + some(rng, DIGITS, 4) + rng.choice("01") + "8"
    return in_groups(digits + mod_10(digits), (6, 4, 2, 1), rng.choice(["", "", " "]))


def _germany(rng: Random) -> str:
    while True:
        digits = some(rng, "123456789", 1) + some(rng, DIGITS, 9)
        counts = sorted(digits.count(one) for one in set(digits))
        if len(set(digits)) not in (8, 9) or counts[-1] > 3 or counts.count(1) == 10:
            continue
        if (len(set(digits)) == 9 and counts[-1] != 2) or (
            len(set(digits)) == 8 and counts[-1] != 3
        ):
            continue
        product = 10
        for one in digits:
            product = ((int(one) + product) % 10 or 10) * 2 % 11
        return in_groups(digits + str((11 - product) % 10), (2, 3, 3, 3), rng.choice(["", " "]))


def _example(module: str) -> Callable[[Random], str]:
    """Of countries whose check takes tables: the examples of the library's documents."""
    known = importlib.import_module(module)
    listed = re.findall(r"validate\('([^']+)'\)", known.__doc__ or "")
    valid = [one for one in listed if known.is_valid(one)]
    if hasattr(known, "format"):
        valid += [known.format(one) for one in valid]
    return lambda rng: rng.choice(valid)


PEOPLE: Final[dict[str, Callable[[Random], str]]] = {
    "BR": _brazil, "CH": _switzerland, "CN": _china, "DE": _germany, "ES": _spain, "FR": _france,
    "GB": _britain, "IN": _example("stdnum.in_.aadhaar"), "JP": _japan, "KR": _korea,
    "NL": _netherlands, "PL": _poland, "SE": _sweden, "TR": _turkey, "US": _united_states,
    "ZA": _south_africa,
    # The other number of the example is that of a company.
    "IT": lambda rng: rng.choice(["RCCMNL83S18D969H", "rccmnl83s18d969h"]),
}  # fmt: skip


# ---- addresses

_PERSONS: Final = (
    "alice", "bob.smith", "j.doe+news", "maria_lopez", "x", "o'brien", "info%sales", "A.Turing",
    "m\u00fcller", "jos\u00e9.garc\u00eda", "\u7528\u6237", "\u0438\u0432\u0430\u043d",
    "\u0938\u0902\u092a\u0930\u094d\u0915", '"john doe"', '"very.unusual"', "tom&jerry", "a-b-c",
    "user1234567890.with.a.long.name", "no-reply", "r\u00e9\u0301sum\u00e9", "b#1", "x$y",
)  # fmt: skip
_DOMAINS: Final = (
    "example.com", "mail.example.co.uk", "beispiel.de", "m\u00fcller.example",
    "\u4f8b\u5b50.\u4e2d\u56fd", "\u043f\u0440\u0438\u043c\u0435\u0440.\u0440\u0444",
    "xn--mller-kva.xn--p1ai", "a.b.c.example.museum", "sub-domain.example.org", "EXAMPLE.COM",
    "x.io", "\u0921\u093e\u091f\u093e\u092e\u0947\u0932.\u092d\u093e\u0930\u0924",
    "[192.168.2.1]", "[IPv6:2001:db8::1]", "example.photography",
    "deep.er.and.deep.er.example.net",
)  # fmt: skip


def email(rng: Random) -> str:
    person = rng.choice(_PERSONS)
    if person.isascii() and person.isalpha():
        person += some(rng, ALNUM, rng.randint(2, 8))
    return person + "@" + rng.choice(_DOMAINS)


# ---- secrets

# Vendor: prefix, alphabet, how many.
KEYS: Final = (
    ("sk-", ALNUM, 48), ("sk-proj-", WORD, 156), ("sk-svcacct-", WORD, 156),
    ("sk-ant-api03-", WORD, 95), ("sk-or-v1-", HEX, 64), ("AIza", WORD, 35), ("gsk_", ALNUM, 52),
    ("xai-", ALNUM, 80), ("hf_", ALNUM, 34), ("r8_", ALNUM, 37), ("nvapi-", WORD, 64),
    ("pplx-", ALNUM, 48), ("tgp_v1_", WORD, 43), ("AKIA", BASE32, 16), ("ASIA", BASE32, 16),
    ("ghp_", ALNUM, 36), ("gho_", ALNUM, 36), ("ghu_", ALNUM, 36), ("ghs_", ALNUM, 36),
    ("ghr_", ALNUM, 76), ("github_pat_", ALNUM, 82), ("glpat-", WORD, 20), ("gldt-", WORD, 20),
    ("glrt-", WORD, 20), ("xoxb-123456789012-123456789012-", ALNUM, 24),
    ("xapp-1-A0123456789-", HEX, 64), ("sk_live_", ALNUM, 24), ("rk_live_", ALNUM, 24),
    ("sk_test_", ALNUM, 99), ("whsec_", ALNUM, 32), ("SK", HEX, 32), ("npm_", ALNUM, 36),
    ("pypi-AgEIcHlwaS5vcmc", WORD, 150), ("dop_v1_", HEX, 64), ("shpat_", HEX, 32),
    ("shpss_", HEX, 32), ("sq0csp-", WORD, 43), ("sq0atp-", WORD, 22), ("key-", HEX, 32),
    ("dckr_pat_", WORD, 27), ("lin_api_", ALNUM, 40), ("ntn_", ALNUM, 46), ("secret_", ALNUM, 43),
    ("figd_", WORD, 40), ("hvs.", WORD, 95), ("GOCSPX-", WORD, 28), ("ya29.a0", WORD, 100),
    ("PMAK-", HEX, 24), ("NRAK-", "ABCDEFGHJK0123456789", 27), ("glc_", ALNUM, 60),
    ("glsa_", ALNUM, 32), ("sntrys_", ALNUM, 60), ("dp.pt.", ALNUM, 43), ("sbp_", HEX, 40),
    ("dapi", HEX, 32), ("ATATT3", WORD, 180), ("AGE-SECRET-KEY-1", BECH, 58),
    ("rubygems_", HEX, 48), ("oy2", "abcdefghijklmnopqrstuvwxyz0123456789", 43),
    ("RGAPI-", HEX, 36), ("ABSKQmVkcm9ja0FQSUtleS", ALNUM, 110), ("sk-weir-", ALNUM, 38),
)  # fmt: skip


def secret(rng: Random) -> str:
    form = rng.randrange(len(KEYS) + 6)
    if form < len(KEYS):
        prefix, alphabet, count = KEYS[form]
        # A key ends in a letter or digit here: how far it goes is not what is tested.
        return prefix + some(rng, alphabet, count - 2) + some(rng, HEX[:10], 2)
    if form == len(KEYS):
        return f"SG.{some(rng, WORD, 22)}.{some(rng, WORD, 42)}7"
    if form == len(KEYS) + 1:
        return f"{some(rng, DIGITS, 10)}:AA{some(rng, WORD, 32)}7"
    if form == len(KEYS) + 2:
        return f"{some(rng, HEX, 32)}-us{rng.randint(1, 22)}"
    if form == len(KEYS) + 3:
        place = f"T{some(rng, ALNUM, 8).upper()}/B{some(rng, ALNUM, 8).upper()}/"
        return f"https://hooks.slack.com/services/{place}{some(rng, ALNUM, 24)}"
    parts = (b'{"alg":"HS256","typ":"JWT"}', rng.randbytes(60).hex().encode(), rng.randbytes(32))
    head, body, sign = (base64.urlsafe_b64encode(one).decode().rstrip("=") for one in parts)
    return f"{head}.eyJ{body}.{sign}"


def private_key(rng: Random) -> str:
    kind = rng.choice(["RSA ", "EC ", "", "ENCRYPTED ", "OPENSSH ", "DSA "])
    body = base64.b64encode(rng.randbytes(rng.choice([48, 121, 400]))).decode()
    lines = [body[n : n + 64] for n in range(0, len(body), 64)]
    head, tail = f"-----BEGIN {kind}PRIVATE KEY-----", f"-----END {kind}PRIVATE KEY-----"
    form = rng.randrange(8)
    if form == 0:
        lines = [f"Proc-Type: 4,ENCRYPTED\nDEK-Info: AES-256-CBC,{some(rng, HEX, 32)}\n", *lines]
    elif form == 1:
        head = "-----BEGIN PGP PRIVATE KEY BLOCK-----"
        lines, tail = ["", *lines, "=" + body[:4]], "-----END PGP PRIVATE KEY BLOCK-----"
    whole = [head, *lines, tail]
    if form == 2:
        return "\\n".join(whole)
    if form == 3:
        return "\n".join(f"> {one}" for one in whole)[2:]
    if form == 4:
        return '"\n  "'.join(f"{one}\\n" for one in whole)
    if form == 5:
        return "\n".join(whole[:-1])  # its end is missing
    return ("\r\n" if form == 6 else "\n").join(whole)
