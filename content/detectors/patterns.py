"""What an expression recognises alone: addresses of email, secrets of vendors, private keys."""

from content.detectors.detector import Pattern
from dialects.errors.masking import KEY_PREFIXES

# A local part has at most 64 characters, a label of a domain 63 (RFC 5321, RFC 1035).
EMAIL = Pattern(
    "EMAIL",
    r"[\w.+%-]{1,64}@(?:[\w-]{1,63}\.){1,6}[^\W\d_]{2,24}",
    before=r"\w.+%@-",
)


def _with_a_digit(candidate: str) -> int:
    return len(candidate) if any(one.isdigit() for one in candidate) else 0


# Words after a prefix alone are no secret: `api-reference-of-the-client`.
_BY_PREFIX = Pattern(
    "SECRET",
    rf"(?:{'|'.join(KEY_PREFIXES)})[-_][\w-]{{16,200}}",
    before=r"\w-",
    judge=_with_a_digit,
)
_BY_FORM = Pattern(
    "SECRET",
    r"AIza[\w-]{30,60}"  # Google
    r"|(?:AKIA|ASIA)[0-9A-Z]{16}"  # Amazon
    r"|gh[opsur]_[0-9A-Za-z]{30,255}|github_pat_\w{30,255}"
    r"|glpat-[\w-]{20,64}"
    r"|xox[abeprs]-[0-9A-Za-z-]{10,255}"  # Slack
    r"|npm_[0-9A-Za-z]{30,64}|pypi-[\w-]{50,255}"
    r"|eyJ[\w-]{8,2000}\.eyJ[\w-]{8,2000}\.[\w-]{8,1000}",  # a signed web token
    before=r"\w-",
)
SECRETS = (_BY_PREFIX, _BY_FORM)

# The header alone too: the rest of a long key is not longer than this in PEM, as it is or as the
# inside of a JSON string.
PRIVATE_KEY = Pattern(
    "PRIVATE_KEY",
    r"-----BEGIN [A-Z0-9 ]{0,24}PRIVATE KEY(?: BLOCK)?-----"
    r"(?:[0-9A-Za-z+/=\s\\:,.-]{0,16000}-----END [A-Z0-9 ]{0,24}PRIVATE KEY(?: BLOCK)?-----"
    r"|[0-9A-Za-z+/=\s\\]{0,16000})",
)
