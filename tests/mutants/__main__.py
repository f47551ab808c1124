"""`make mutants`: plant small bugs in what decides about money and authority, and name those that
the tests let through.

    python -m tests.mutants                        the lines changed since the newest tag
    python -m tests.mutants --base REV             the lines changed since REV
    python -m tests.mutants --sample 500 --seed 1  so many mutants, drawn from all targets
    python -m tests.mutants billing/credits/codes.py       all mutants of these files
    python -m tests.mutants billing usage --sample 80      so many of these files or folders

A sample of all targets is tried against every test that reaches it. Otherwise the test files that
are named like a mutated file, or import it, are measured, the nearest first, and those of its room
where files are named; and what is known of others from before.

It ends in time: a third of the minutes is for measuring, the nearest test files first, and of many
mutants so many are drawn as can be tried in the rest. What was measured is kept for the next run; a
mutant that no measured test reaches counts only once all tests are measured. Where the tests of a
mutant do not end in time, not even without it, it is not decided and does not count.

Exit code 1: a mutant survived that tests/mutants/equivalent.txt does not name.
"""

import argparse
import contextlib
import json
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final

from stack.database import postgres
from tests.mutants.mutations import Mutation, mutations
from tests.mutants.outcome import UNDECIDED, UNMEASURED, UNREACHED, Outcome
from tests.mutants.reach import Reach, close_ones, test_files
from tests.mutants.targets import target_files
from tests.runner.changed import changed_lines

ROOT: Final = Path(__file__).parents[2]
EQUIVALENT: Final = Path(__file__).with_name("equivalent.txt")
KEPT: Final = ROOT / "build" / "mutants" / "reach.json"
# Browsers, benchmarks and installations take too long, and judge other things; what knows neither
# money nor people reaches no target.
_LEFT_OUT: Final = ("acceptance", "bench", "browser", "chaos", "deploy", "dialects",
                    "fakes", "house", "mutants", "reference", "stack")  # fmt: skip
# How much longer the last test may take that is measured.
_LAST_TEST_S: Final = 60
# More mutants than these are not tried in a minute.
_A_MINUTE: Final = 15
# Without a tag, so many commits are looked at.
_COMMITS: Final = 20


def main() -> int:
    arguments = _arguments()
    until = time.time() + 60 * arguments.minutes
    chosen = _chosen(arguments)
    if not chosen:
        print("Nothing to mutate in what decides about money and authority.")
        return 0
    if not arguments.sample:
        print(f"There are {len(chosen)} mutants.")
        chosen = chosen[: int(_A_MINUTE * arguments.minutes)]
    print(f"{len(chosen)} mutants in {len({one.file for one in chosen})} files.", flush=True)
    reach = Reach(KEPT, ROOT)
    with _trees(arguments.workers) as trees:
        left = _measure(trees[0], reach, arguments, {one.file for one in chosen})
        outcomes = _try(trees, chosen, reach, until, UNMEASURED if left else UNREACHED)
    return _report(outcomes, len(chosen))


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="make mutants", description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("files", nargs="*")
    parser.add_argument("--base", default="", help="mutate the lines changed since this commit")
    parser.add_argument("--sample", type=int, default=0, help="so many of all targets")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--minutes", type=float, default=60, help="begin no mutant after so long")
    parser.add_argument("--workers", type=int, default=2)
    return parser.parse_args()


# Choosing ----------------------------------------------------------------------------------------


def _chosen(arguments: argparse.Namespace) -> list[Mutation]:
    targets = list(target_files(ROOT))
    if arguments.files:
        results = [one for file in _named(arguments.files, targets) for one in _mutations_of(file)]
    elif arguments.sample:
        results = [one for file in targets for one in _mutations_of(file)]
    else:
        base = arguments.base or _base()
        changed = changed_lines(base) if base else {}
        results = [
            one
            for file in targets
            for one in _mutations_of(file)
            if changed.get(file, set()).intersection(range(one.statement, one.line + 1))
        ]
    random.Random(arguments.seed).shuffle(results)
    return results[: arguments.sample] if arguments.sample else results


def _named(paths: Sequence[str], targets: Sequence[str]) -> list[str]:
    """Files as they are, of folders the targets in them."""
    return [
        file
        for path in paths
        for file in ([path] if path.endswith(".py") else targets)
        if file.startswith(path)
    ]


def _mutations_of(file: str) -> list[Mutation]:
    return mutations(file, (ROOT / file).read_text())


def _base() -> str:
    """The newest tag, or some commits before the last one; "" in a checkout without a past."""
    for asked in (("describe", "--tags", "--abbrev=0"), ("rev-parse", f"HEAD~{_COMMITS}")):
        with contextlib.suppress(subprocess.CalledProcessError):
            return _git(*asked).strip()
    print(f"This checkout has no tag and fewer than {_COMMITS} commits to compare with.")
    return ""


def _git(*arguments: str) -> str:
    command = ["git", *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout


# Copies of the tree ------------------------------------------------------------------------------

# The database server of each.
_SERVERS: Final[dict[Path, str]] = {}


@contextlib.contextmanager
def _trees(count: int) -> Iterator[list[Path]]:
    """Copies of the source, each with a database server: their test databases have one name."""
    with contextlib.ExitStack() as until_done:
        folder = until_done.enter_context(tempfile.TemporaryDirectory(prefix="weir-mutants-"))
        tracked = _git("ls-files", "--cached", "--others", "--exclude-standard").splitlines()
        trees = [Path(folder, f"tree-{n}") for n in range(count)]
        for tree in trees:
            for name in tracked:
                if (ROOT / name).is_file():
                    (tree / name).parent.mkdir(parents=True, exist_ok=True)
                    shutil.copy2(ROOT / name, tree / name)
            for one_created in ROOT.glob("locale/*/LC_MESSAGES/*.mo"):
                shutil.copy2(one_created, tree / one_created.relative_to(ROOT))
            (tree / ".venv").symlink_to(ROOT / ".venv")
        shared_documents = ROOT.parent / "shared"
        if shared_documents.is_dir():
            Path(folder, "shared").symlink_to(shared_documents)
        for tree in trees:
            server = postgres.server(tree.with_suffix(".postgres"))
            _SERVERS[tree] = until_done.enter_context(server)
        yield trees


def _pytest(
    tree: Path, job: dict[str, Any], name: str, arguments: Sequence[str]
) -> "subprocess.Popen[bytes]":
    place = tree.parent / f"{name}.json"
    place.write_text(json.dumps(job))
    temporary = tree.with_suffix(".tmp")
    temporary.mkdir(exist_ok=True)
    environment = {
        **os.environ,
        "WEIR_MUTANTS": str(place),
        "DATABASE_URL": _SERVERS[tree],
        "WEIR_TEST_TEMPLATE": "weir_template_mutants",
        "TMPDIR": str(temporary),
    }
    return subprocess.Popen(
        [sys.executable, "-m", "pytest", "-q", "-p", "tests.mutants.plugin",
         "-p", "no:cacheprovider", *arguments],
        cwd=tree, env=environment, stdout=place.with_suffix(".log").open("wb"),
        stderr=subprocess.STDOUT,
    )  # fmt: skip


# Measuring and trying ----------------------------------------------------------------------------


def _measure(tree: Path, reach: Reach, arguments: argparse.Namespace, files: set[str]) -> int:
    """Measure the tests that matter, as far as they are not known, in a third of the time: first
    those that are named like a mutated file, then those that import it, then the others. Return how
    many test files are left."""
    tests = test_files(ROOT, _LEFT_OUT)
    if arguments.files or not arguments.sample:
        tests = close_ones(ROOT, tests, files, rank_max=2 if arguments.files else 1)
    until = time.time() + 20 * arguments.minutes
    for rank_max in range(4):
        missing = reach.missing(close_ones(ROOT, tests, files, rank_max))
        if missing and time.time() < until:
            _measure_files(tree, reach, missing, arguments.workers, until)
    left = len(reach.missing(tests))
    if left:
        print(f"{left} of {len(tests)} test files could not be measured in time.")
    return left


def _measure_files(
    tree: Path, reach: Reach, missing: Sequence[str], workers: int, until: float
) -> None:
    print(f"Measuring which lines {len(missing)} test files reach …", flush=True)
    out = Path(tempfile.mkdtemp(prefix="map-", dir=tree.parent))
    job = {"phase": "map", "files": list(target_files(ROOT)), "out": str(out), "until": until}
    many = ["-n", str(workers)]
    running = _pytest(tree, job, out.name, [*many, *missing])
    ended = missing
    try:
        running.wait(until + _LAST_TEST_S - time.time())
    except subprocess.TimeoutExpired:
        print("A test did not end; what else was measured counts.")
        running.kill()
        running.wait()
        _wait_for_workers(out)
        ended = []
    reach.take(out, tree, ended)


def _wait_for_workers(out: Path) -> None:
    """They write down what they measured once nobody hands tests out any more; not one whose test
    does not end."""
    until = time.time() + _LAST_TEST_S
    workers = [one.name.removeprefix("test-") for one in out.glob("test-*")]
    while time.time() < until and not all((out / f"ran-{one}.json").exists() for one in workers):
        time.sleep(1)


def _try(
    trees: Sequence[Path],
    chosen: Sequence[Mutation],
    reach: Reach,
    until: float,
    without_tests: str,
) -> list[Outcome]:
    out = trees[0].parent / "outcomes"
    out.mkdir()
    trials = [(one, reach.choose(one), reach.closest(one)) for one in chosen]
    unreached = [Outcome(one, without_tests, "") for one, *tests in trials if not any(tests)]
    trials = [one for one in trials if one[1] or one[2]]
    running = []
    for n, tree in enumerate(trees):
        mine = trials[n :: len(trees)]
        tests = {test for _, its, _ in mine for test in its}
        job = {
            "phase": "try",
            "trials": mine,
            "seconds": {test: reach.seconds(test) for test in tests},
            "out": str(out),
            "until": until,
        }
        named = {test.partition("::")[0] for test in tests}
        files = sorted(named.union(*(closest for _, _, closest in mine)))
        running.append(_pytest(tree, job, f"try-{n}", files) if mine else None)
    for n, process in enumerate(running):
        if process is not None and process.wait():
            log = (trees[0].parent / f"try-{n}.log").read_text()
            raise SystemExit(f"The mutants of tree {n} could not be tried:\n{log[-3000:]}")
    tried = [
        Outcome(Mutation(*mutation), *rest)
        for part in sorted(out.glob("*.jsonl"))
        for mutation, *rest in map(json.loads, part.read_text().splitlines())
    ]
    tried += unreached
    texts = [f"{one.result} {one.test} {one.seconds:.1f} s: {_describe(one)}\n" for one in tried]
    KEPT.with_name("outcomes.txt").write_text("".join(texts))
    return tried


# Reporting ---------------------------------------------------------------------------------------


def _report(outcomes: Sequence[Outcome], wanted: int) -> int:
    accepted, all_outcomes = _accepted(), outcomes
    outcomes = [one for one in all_outcomes if one.result not in (UNMEASURED, UNDECIDED)]
    survivors = [one for one in outcomes if not one.caught]
    named = {one: _describe(one) for one in survivors}
    new = [one for one in survivors if _key(named[one]) not in accepted]
    for one in sorted(new, key=lambda one: (one.mutation.file, one.mutation.line)):
        note = " (no test reaches it)" if one.result == UNREACHED else ""
        print(f"survived: {named[one]}{note}")
    counts = Counter(one.result for one in all_outcomes)
    results = ", ".join(f"{count} {result}" for result, count in counts.most_common())
    share = 100 * (len(outcomes) - len(new)) / len(outcomes) if outcomes else 100
    seconds = sum(one.seconds for one in outcomes)
    print(
        f"{len(outcomes)} of {wanted} mutants tried in {seconds:.0f} s: {results}; "
        f"{len(survivors) - len(new)} of the survivors are known to be equivalent. "
        f"{share:.1f} % are caught or equivalent."
    )
    return int(bool(new))


def _describe(outcome: Outcome) -> str:
    return outcome.mutation.describe((ROOT / outcome.mutation.file).read_text())


def _key(described: str) -> str:
    """A description without its line number, which moves."""
    file, _, rest = described.partition(":")
    return f"{file}: {rest.partition(': ')[2]}"


def _accepted() -> dict[str, str]:
    """The mutants that no test need catch, each with the reason."""
    lines = EQUIVALENT.read_text().splitlines()
    pairs = [line.rpartition(" # ") for line in lines if line and not line.startswith("#")]
    return {mutant: reason for mutant, _, reason in pairs}


if __name__ == "__main__":
    sys.exit(main())
