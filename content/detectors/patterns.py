"""What an expression recognises alone: addresses of email, secrets of vendors, private keys."""

import re
from bisect import bisect_left
from collections.abc import Iterator
from typing import Final

from content.detectors.detector import Match, Pattern
from content.detectors.prefixes import bounded
from dialects.errors.masking import KEY_PREFIXES

# Letters of scripts that write vowels as marks of their own are none to `\w`.
_MARKS: Final = "\u0300-\u036f\u064b-\u065f\u0900-\u0eff"
_LETTER: Final = rf"\w{_MARKS}"
# As it is, and as URLs, HTML and JSON write it.
_AT: Final = r"(?:@|%40|\\u0040|&#64;|&#x40;|&commat;)"

# What ends a name of a file, a unit or a repository, and no name of a domain: `icon@2x.png`,
# `getty@tty1.service`.
_NO_DOMAINS: Final = frozenset({
    "png", "jpg", "jpeg", "gif", "svg", "webp", "pdf", "txt", "html", "css", "js", "ts", "json",
    "yaml", "yml", "tgz", "lock", "log", "service", "socket", "timer", "mount", "slice", "scope",
})  # fmt: skip


def _judge_address(candidate: str) -> int:
    """Return the length of an address of a person; `git@` names a server of repositories."""
    if candidate.startswith("git@") or candidate.rpartition(".")[2].lower() in _NO_DOMAINS:
        return 0
    return len(candidate)


# A local part has at most 64 characters, a label of a domain 63 (RFC 5321, RFC 1035). Of what may
# stand in one, it leaves out what separates words in URLs, code and Markdown: / = ? { | } and `.
EMAIL: Final = Pattern(
    "EMAIL",
    rf"(?:[{_LETTER}.+%-][{_LETTER}.+%'&!#$*^~-]{{0,63}}"
    rf"|\\?\"[\w .!#$%&'*+/=?^`{{|}}~@-]{{1,62}}\\?\"){_AT}"
    rf"(?:(?:[{_LETTER}-]{{1,63}}\.){{1,8}}(?:xn--[0-9A-Za-z-]{{2,59}}"
    rf"|(?:[^\W\d_]|[{_MARKS}]){{2,24}})"
    r"|\[[0-9A-Fa-f:.IPv]{2,45}\])",
    before=rf"{_LETTER}.+%@-",
    skips_escapes=True,
    judge=_judge_address,
)

_BESIDE: Final = "0-9A-Za-z_-"
_WORD: Final = "[0-9A-Za-z_-]"


def _with_a_digit(candidate: str) -> int:
    return len(candidate) if any(one.isdigit() for one in candidate) else 0


# Words after a prefix alone are no secret: `api-reference-of-the-client`.
_BY_PREFIX: Final = Pattern(
    "SECRET",
    rf"(?:{'|'.join(KEY_PREFIXES)})[-_]{_WORD}{{16,400}}"
    r"|(?:SK|dapi)[0-9a-f]{32}"  # Twilio, Databricks
    r"|(?:ntn|secret|whsec|figd|glsa|glc|sntrys|rubygems|sbp|dop|doo|dor|shp[a-z]{2})_"
    rf"{_WORD}{{30,400}}",
    before=_BESIDE,
    judge=_with_a_digit,
)
_BY_FORM: Final = Pattern(
    "SECRET",
    rf"AIza{_WORD}{{30,60}}|ya29\.{_WORD}{{30,2000}}|GOCSPX-{_WORD}{{20,40}}"  # Google
    r"|(?:AKIA|ASIA)[0-9A-Z]{16}|ABSK[0-9A-Za-z+/]{80,400}={0,2}"  # Amazon
    r"|gh[opsur]_[0-9A-Za-z]{30,255}|github_pat_[0-9A-Za-z_]{30,255}"
    rf"|gl(?:pat|dt|rt|ptt|cbt|ft|soat|agent|oas)-{_WORD}{{20,64}}"  # GitLab
    r"|(?:xox[abeoprs]|xapp)-[0-9A-Za-z-]{10,255}"  # Slack
    r"|https://hooks\.slack\.com/(?:services|workflows)/[0-9A-Za-z_/]{20,120}"
    r"|https://discord\.com/api/webhooks/[0-9]{10,25}/[0-9A-Za-z_-]{40,100}"
    rf"|npm_[0-9A-Za-z]{{30,64}}|pypi-{_WORD}{{50,255}}|oy2[a-z0-9]{{43}}"
    rf"|SG\.{_WORD}{{16,32}}\.{_WORD}{{30,60}}"  # SendGrid
    rf"|[0-9]{{8,10}}:AA{_WORD}{{33}}"  # Telegram
    r"|[0-9a-f]{32}-us[0-9]{1,2}"  # Mailchimp
    rf"|(?:sandbox-)?sq0[a-z]{{3}}-{_WORD}{{22,50}}|dckr_pat_{_WORD}{{27}}|lin_api_[0-9A-Za-z]{{32,64}}"
    rf"|hv[sbr]\.{_WORD}{{24,300}}|dp\.[a-z]{{2,5}}\.[0-9A-Za-z]{{40,60}}"  # Vault, Doppler
    r"|PMAK-[0-9a-f-]{24,64}|NR(?:AA|AK|II|IQ|JS|RA|SP)-[0-9A-Za-z_-]{20,50}"
    r"|RGAPI-[0-9A-Fa-f-]{36}|dt0[a-z][0-9]{2}\.[0-9A-Z]{24}\.[0-9A-Z]{64}"
    r"|amzn\.mws\.[0-9a-f-]{36}|access_token\$production\$[0-9a-z]{16}\$[0-9a-f]{32}"
    rf"|ATATT3{_WORD}{{40,300}}=?[0-9A-F]{{0,8}}|AGE-SECRET-KEY-1[0-9A-Z]{{58}}"
    # A signed web token.
    rf"|eyJ{_WORD}{{8,2000}}\.eyJ{_WORD}{{8,2000}}\.{_WORD}{{8,1000}}",
    before=_BESIDE,
)
SECRETS: Final = (_BY_PREFIX, _BY_FORM)


_FIRST: Final = r"-----BEGIN [A-Z0-9 ]{0,24}PRIVATE KEY(?: BLOCK)?-----"
_FIRST_LINE: Final = re.compile(_FIRST)
_FIRST_BEGUN: Final = re.compile(bounded(_FIRST).beginnings + r"\Z")
_LAST_LINE: Final = re.compile(r"-----END [A-Z0-9 ]{0,24}PRIVATE KEY(?: BLOCK)?-----")
_LINE_MAX: Final = 64
_BODY: Final = re.compile(r"[0-9A-Za-z+/=\s\\:,.;\"'`>#|*<&-]*")
# Where the last line is missing, two hyphens end it.
_LINES: Final = re.compile(r"(?:[0-9A-Za-z+/=\s\\:,.;\"'>#|*]|-(?!-))*")


class PrivateKeys:
    """Private keys in PEM and PGP form, from the first line to the last. Where no last line comes,
    what could be lines of a key is one: a key that is cut off, or its first line alone.

    Its lines may be quoted or commented, and stand in the strings of a program or of JSON.
    """

    body_max = 16_000
    characters_max = 16_000 + 2 * _LINE_MAX
    reads_folded = False
    passes_words = True
    begins_words = False
    within: str | None = "PRIVATE"
    needed = frozenset("-")

    def find(self, text: str, begin: int = 0) -> list[Match]:
        return [Match(start, end, "PRIVATE_KEY") for start, end, _ in self._keys(text, begin)]

    def open_from(self, text: str, begin: int = 0) -> int:
        for start, end, last_may_come in self._keys(text, begin):
            if last_may_come:
                return start
            begin = end
        opened = _FIRST_BEGUN.search(text, max(begin, len(text) - _LINE_MAX))
        return opened.start() if opened else len(text)

    def _keys(self, text: str, begin: int) -> Iterator[tuple[int, int, bool]]:
        """Yield where each key starts and ends, and whether more text could move its end."""
        if "PRIVATE" not in text:
            return
        lasts = [one.span() for one in _LAST_LINE.finditer(text, begin)]
        while first := _FIRST_LINE.search(text, begin):
            until = first.end() + self.body_max
            last = bisect_left(lasts, (first.end(), 0))
            body = _BODY.match(text, first.end(), until)
            end = body.end() if body else first.end()
            if last < len(lasts) and lasts[last][0] <= end:
                begin = lasts[last][1]
                yield first.start(), begin, False
                continue
            lines = _LINES.match(text, first.end(), until)
            begin = lines.end() if lines else first.end()
            may_come = end == len(text) or (end == until and len(text) < until + _LINE_MAX)
            yield first.start(), begin, may_come


PRIVATE_KEY: Final = PrivateKeys()
