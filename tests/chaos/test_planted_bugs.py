"""P25: bugs of the kind that real hubs had, planted one by one in a copy of the tree. Each turns
the test red that is named with it; a test that would let one through proves nothing."""

import shutil
import subprocess
import sys
from pathlib import Path
from typing import Final, NamedTuple

import pytest

from tests.runner.databases import ROOT

_LEFT_OUT: Final = shutil.ignore_patterns(".*", "node_modules", "images")
# What pytest says when a test has failed, and not that it could not run.
_FAILED: Final = 1


class Bug(NamedTuple):
    """In `file`, `right` is written as `wrong`; `test` is to find it."""

    file: str
    right: str
    wrong: str
    test: str


BUGS: Final = {
    "check, then add": Bug(
        "billing/credits/codes.py",
        "Code.objects.filter(id=code.id, uses__lt=batch.max_uses)",
        "Code.objects.filter(id=code.id if code.uses < batch.max_uses else None)",
        "tests/billing/credits/test_codes.py::test_code_redeemed_by_many_in_parallel_is_one_credit",
    ),
    "the sum of cumulative usage": Bug(
        "dialects/anthropic/usage.py",
        'known | {k: v for k, v in newer.items() if bytes(v) != b"null"}',
        "{k: (int(known[k]) + int(v)) if k in known and bytes(v).isdigit() else v"
        " for k, v in (known | newer).items()}",
        "tests/dialects/anthropic/test_usage.py::test_last_reported_members_win",
    ),
    "another try behind the first content": Bug(
        "relay/attempts/attempt.py",
        "        if self._stream is not None and self._stream.committed:\n"
        "            return await self._stream.break_off(failure)\n",
        "",
        "tests/relay/attempts/test_fault_table.py::test_after_the_first_content",
    ),
    "limits of a key unchecked in one credential carrier": Bug(
        "relay/asgi.py",
        "                request.check_use()\n",
        '                if b"key=" not in request.scope["query_string"]:\n'
        "                    request.check_use()\n",
        "tests/relay/requests/test_carriers.py::test_limits_hold_at_every_row_in_every_carrier",
    ),
    "a key that is known stays good": Bug(
        "relay/credentials/keys.py",
        "return not principal.disabled and (principal.expires_at is None",
        "return not principal.disabled or (principal.expires_at is None",
        "tests/relay/credentials/test_revocation.py::test_revoked_key_is_rejected_even_where_it_was_known",
    ),
    "an idempotency key without its body": Bug(
        "relay/answers/idempotency.py",
        'words.encode(errors="surrogatepass") + b"\\0" + raw',
        'words.encode(errors="surrogatepass")',
        "tests/relay/answers/test_idempotency.py::test_different_body_is_rejected",
    ),
    "a forgotten filter": Bug(
        "accounts/access/access.py",
        "Key.objects.filter(organisation=actor.organisation)\n        .exclude",
        "Key.objects.exclude",
        "tests/accounts/access/test_access.py::test_a_key_is_reached_from_its_organisation_only",
    ),
    "an inside address in another notation": Bug(
        "lib/network/egress.py",
        '_unmap_address(ipaddress.ip_address(address.partition("%")[0]))\n        if isinstance',
        'ipaddress.ip_address(address.partition("%")[0])\n        if isinstance',
        "tests/lib/network/test_egress.py::test_an_address_that_is_not_public_is_denied",
    ),
    "a charge that is cut off, not rounded": Bug(
        "billing/prices/pricing.py",
        "round_half_even(numerator, denominator)",
        "numerator // denominator",
        "tests/billing/prices/test_pricing.py::test_billing_case",
    ),
    "a payment that anybody reports": Bug(
        "billing/topups/processors/stripe.py",
        "stripe.WebhookSignature.verify_header(text, signature, secret, _TOLERANCE_S)",
        "_check_stamp(signature)",
        "tests/billing/topups/test_topups.py::test_forgeries_credit_nothing",
    ),
    "links of an answer that run": Bug(
        "playground/rendering/markdown.py",
        "nh3.clean(renderer.render(tokens, _markdown().options, env), **_WALL)",
        "renderer.render(tokens, _markdown().options, env)",
        "tests/playground/rendering/test_hostile.py",
    ),
}


@pytest.mark.parametrize("name", BUGS)
def test_code_a_planted_bug_changes_exists(name: str) -> None:
    bug = BUGS[name]
    assert (ROOT / bug.file).read_text().count(bug.right) == 1


@pytest.mark.slow
@pytest.mark.parametrize("name", BUGS)
def test_a_planted_bug_turns_its_test_red(tree: Path, name: str) -> None:
    bug = BUGS[name]
    source = (tree / bug.file).read_text()
    (tree / bug.file).write_text(source.replace(bug.right, bug.wrong))
    run = run_tests(tree, bug.test)
    assert run.returncode == _FAILED, run.stdout[-3000:]


@pytest.mark.slow
def test_no_test_is_red_without_its_bug(tree: Path) -> None:
    run = run_tests(tree, *(bug.test for bug in BUGS.values()))
    assert run.returncode == 0, run.stdout[-3000:]


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A copy of the source."""
    return shutil.copytree(ROOT, tmp_path / "tree", ignore=_LEFT_OUT)


def run_tests(tree: Path, *tests: str) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", *tests]
    return subprocess.run(command, cwd=tree, capture_output=True, text=True)
