"""What a bounded expression can recognise alone."""

from content.detectors.detector import Pattern

# A local part has at most 64 characters, a label of a domain 63 (RFC 5321, RFC 1035).
EMAIL = Pattern(
    "EMAIL",
    r"[\w.+%-]{1,64}@(?:[\w-]{1,63}\.){1,6}[^\W\d_]{2,24}",
    before=r"\w.+%@-",
)
