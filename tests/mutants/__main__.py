"""`make mutants`: plant small bugs in what decides about money and authority, and name those that
the tests let through.

    python -m tests.mutants                        files changed since the commit before the last
    python -m tests.mutants --base REV             files changed since REV
    python -m tests.mutants --sample 500 --seed 1  so many mutants, drawn from all targets
    python -m tests.mutants billing/codes.py       all mutants of these files

Exit code 1: a mutant survived that tests/mutants/equivalent.txt does not name; 2: a test failed
without any mutant.
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

from stack import postgres
from tests.mutants.mutations import Mutation, mutations
from tests.mutants.outcome import UNREACHED, Outcome
from tests.mutants.targets import target_files

ROOT: Final = Path(__file__).parents[2]
EQUIVALENT: Final = Path(__file__).with_name("equivalent.txt")
# Browsers, benchmarks and installations take too long, and judge other things.
_LEFT_OUT: Final = ("bench", "bench_checks", "browser", "chaos", "deploy", "fakes_checks", "house",
                    "mutants", "mutants_checks", "stack")  # fmt: skip


# The database server of each tree.
_SERVERS: Final[dict[Path, str]] = {}


def main() -> int:
    arguments = _arguments()
    chosen = _chosen(arguments)
    if not chosen:
        print("Nothing to mutate: no file that decides about money or authority has changed.")
        return 0
    print(f"{len(chosen)} mutants in {len({one.file for one in chosen})} files.", flush=True)
    until = time.time() + 60 * arguments.minutes
    with _trees(arguments.workers) as trees:
        known = _mapped(trees[0], arguments, {one.file for one in chosen})
        outcomes = _tried(trees, chosen, known, until)
    return _report(outcomes, len(chosen), known["failed"])


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make mutants", description=__doc__)
    parser.add_argument("files", nargs="*")
    parser.add_argument("--base", default="", help="mutate what has changed since this commit")
    parser.add_argument("--sample", type=int, default=0, help="so many of all targets")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--minutes", type=float, default=60, help="stop trying after so long")
    parser.add_argument("--workers", type=int, default=2)
    return parser.parse_args()


def _chosen(arguments: argparse.Namespace) -> list[Mutation]:
    targets = list(target_files(ROOT))
    if arguments.files:
        files = [file for file in targets if file in set(arguments.files)]
    elif arguments.sample:
        files = targets
    else:
        changed = _changed(arguments.base)
        files = [file for file in targets if file in changed]
    found = [one for file in files for one in mutations(file, (ROOT / file).read_text())]
    drawn = random.Random(arguments.seed)
    drawn.shuffle(found)
    return found[: arguments.sample] if arguments.sample else found


def _changed(base: str) -> set[str]:
    """Files that differ from `base`, or from the commit before the last one."""
    names = _git("diff", "--name-only", base or "HEAD~1")
    return set(names.splitlines())


def _git(*arguments: str) -> str:
    command = ["git", *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout


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
            for made in ROOT.glob("locale/*/LC_MESSAGES/*.mo"):
                shutil.copy2(made, tree / made.relative_to(ROOT))
            (tree / ".venv").symlink_to(ROOT / ".venv")
        shared_documents = ROOT.parent / "shared"
        if shared_documents.is_dir():
            Path(folder, "shared").symlink_to(shared_documents)
        for tree in trees:
            server = postgres.server(tree.with_suffix(".postgres"))
            _SERVERS[tree] = until_done.enter_context(server)
        yield trees


def _test_folders(tree: Path) -> list[str]:
    return [
        f"tests/{folder.name}"
        for folder in sorted((tree / "tests").iterdir())
        if folder.is_dir() and folder.name not in _LEFT_OUT and any(folder.rglob("test_*.py"))
    ]


def _candidates(tree: Path, arguments: argparse.Namespace, files: set[str]) -> list[str]:
    """The tests to map: all for a sample; else those of the files' rooms, and those that name one
    of the files' modules."""
    folders = _test_folders(tree)
    if arguments.sample:
        return folders
    rooms = {file.partition("/")[0] for file in files}
    own = [folder for folder in folders if folder.rpartition("/")[2] in rooms]
    words = {Path(file).stem for file in files}
    others = [
        path.relative_to(tree).as_posix()
        for folder in folders
        if folder not in own
        for path in sorted((tree / folder).rglob("test_*.py"))
        if words & set(path.read_text().replace(".", " ").replace(",", " ").split())
    ]
    return [*own, *others]


def _mapped(tree: Path, arguments: argparse.Namespace, files: set[str]) -> dict[str, Any]:
    out = tree.parent / "map"
    out.mkdir()
    job = {"phase": "map", "files": sorted(files), "out": str(out)}
    tests = _candidates(tree, arguments, files)
    print(f"Mapping the tests of {len(tests)} places to lines …", flush=True)
    many = ["-n", str(arguments.workers), "--dist", "loadfile"]
    _pytest(tree, job, "map.json", [*many, *tests]).wait()
    whole: dict[str, Any] = {"lines": {}, "seconds": {}, "failed": []}
    for part in out.glob("map-*.json"):
        found = json.loads(part.read_text())
        whole["seconds"] |= found["seconds"]
        whole["failed"] += found["failed"]
        for file, lines in found["lines"].items():
            mine = whole["lines"].setdefault(file, {})
            for line, names in lines.items():
                mine.setdefault(line, []).extend(names)
    whole["tests"] = tests
    (tree.parent / "map.json").write_text(json.dumps(whole))
    return whole


def _tried(
    trees: Sequence[Path], chosen: Sequence[Mutation], known: dict[str, Any], until: float
) -> list[Outcome]:
    out = trees[0].parent / "outcomes"
    out.mkdir()
    running = []
    for n, tree in enumerate(trees):
        job = {
            "phase": "try",
            "mutations": chosen[n :: len(trees)],
            "map": str(tree.parent / "map.json"),
            "out": str(out),
            "until": until,
        }
        running.append(_pytest(tree, job, f"try-{n}.json", known["tests"]))
    for n, process in enumerate(running):
        if process.wait():
            log = (trees[0].parent / f"try-{n}.log").read_text()
            raise SystemExit(f"The tests of tree {n} could not be tried:\n{log[-3000:]}")
    return [
        Outcome(Mutation(*mutation), result, test)
        for part in sorted(out.glob("*.jsonl"))
        for mutation, result, test in map(json.loads, part.read_text().splitlines())
    ]


def _pytest(
    tree: Path, job: dict[str, Any], name: str, arguments: Sequence[str]
) -> "subprocess.Popen[bytes]":
    place = tree.parent / name
    place.write_text(json.dumps(job))
    plugins = ["-p", "tests.mutants.plugin", "-p", "no:cacheprovider"]
    environment = {
        **os.environ,
        "WEIR_MUTANTS": str(place),
        "DATABASE_URL": _SERVERS[tree],
        "WEIR_TEST_TEMPLATE": "weir_template_mutants",
    }
    log = place.with_suffix(".log").open("wb")
    return subprocess.Popen(
        [sys.executable, "-m", "pytest", "-q", *plugins, *arguments],
        cwd=tree, env=environment, stdout=log, stderr=subprocess.STDOUT,
    )  # fmt: skip


def _report(outcomes: Sequence[Outcome], wanted: int, failed: Sequence[str]) -> int:
    for test in failed:
        print(f"failed without a mutant, and was left out: {test}")
    accepted = _accepted()
    survivors = [one for one in outcomes if not one.caught]
    named = {
        one: one.mutation.describe((ROOT / one.mutation.file).read_text()) for one in survivors
    }
    new = [one for one in survivors if _key(named[one]) not in accepted]
    for one in sorted(survivors, key=lambda one: (one.mutation.file, one.mutation.line)):
        note = " (no test reaches it)" if one.result == UNREACHED else ""
        known = "" if one in new else f" (accepted: {accepted[_key(named[one])]})"
        print(f"survived: {named[one]}{note}{known}")
    counts = Counter(one.result for one in outcomes)
    told = ", ".join(f"{count} {result}" for result, count in counts.most_common())
    share = 100 * (len(outcomes) - len(survivors)) / len(outcomes) if outcomes else 100
    print(f"{len(outcomes)} of {wanted} mutants tried: {told}; {share:.1f} % caught.")
    return 2 if failed else int(bool(new))


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
