"""Documents: their links lead somewhere, and the commands that pages for operators print exist."""

import re
from collections.abc import Iterator
from contextlib import suppress
from fractions import Fraction
from functools import cache
from pathlib import Path
from typing import Final
from uuid import UUID

import pytest
import yaml
from django.urls import Resolver404, resolve

from config.apply.file_format import Installation
from stack.command import VERBS, management_commands, weir
from tests.deploy.files import compose_file
from tests.house.test_style import ROOT, _files
from tools import pictures, screenshots

PAGES: Final = [path for path in _files(".md") if not path.name.startswith("_")]
README: Final = (ROOT / "README.md").read_text()
OF_OPERATORS: Final = sorted((ROOT / "docs/operate").glob("*.md"))
_FENCE: Final = re.compile(r"^```.*?^```$", re.MULTILINE | re.DOTALL)
# Verbs of compose that take services, and their options that take a value.
_COMPOSE: Final = re.compile(
    r"docker compose (?:--file \S+ )*(exec|run|up|logs|ps|restart|stop|kill)\b([^\n`;&|)]*)"
)
_WITH_VALUE: Final = {"--scale", "--signal", "--tail", "--user", "--volume"}


@cache
def anchors(page: Path) -> frozenset[str]:
    headings = re.findall(r"^#+ (.+)$", _FENCE.sub("", page.read_text()), re.MULTILINE)
    return frozenset(
        re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings
    )


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_a_link_of_a_document_leads_to_its_section(page: Path) -> None:
    for link in re.findall(r"\]\(([^)\s]+)\)", _FENCE.sub("", page.read_text())):
        if re.match(r"\w+:", link):
            continue
        name, _, anchor = link.partition("#")
        target = (page.parent / name).resolve() if name else page
        assert target.exists(), link
        assert not anchor or anchor in anchors(target), link


def test_the_readme_starts_with_commands_that_work() -> None:
    """A clone needs no release; nothing is uploaded yet."""
    first, *_ = re.findall(r"```sh\n(.*?)```", README, re.DOTALL)
    commands = [line.split(" # ")[0].strip() for line in first.splitlines()]
    assert commands[0].startswith("git clone ")
    assert commands[1:] == ["make run", "make test"]
    assert len(README.splitlines()) <= 90
    assert re.findall(r"(?i)once the release is uploaded, `uvx weir-hub`", README)
    assert README.count("weir-hub") == 1


def test_the_readme_quotes_the_benchmark() -> None:
    """Ratios of the medians, rounded down, for the workload that the sentence names."""
    claim = re.search(
        r"plain requests over (\d+) connections, Weir uses (\d+) times less CPU than LiteLLM's "
        r"proxy and (\d\.\d) times less than Portkey's",
        " ".join(README.split()),
    )
    assert claim is not None
    benchmark = (ROOT / "docs/background/performance.md").read_text()
    table = benchmark.partition("## CPU per request")[2]
    row = re.search(rf"^\| plain, {claim[1]} connections \|(.*)\|$", table, re.MULTILINE)
    assert row is not None
    weir, _nginx, portkey, litellm = (
        Fraction(cell.split()[0].replace(",", "")) for cell in row[1].split("|")
    )
    assert int(claim[2]) == litellm // weir
    assert Fraction(claim[3]) == Fraction(portkey * 10 // weir, 10)


def test_every_page_that_is_drawn_has_an_address() -> None:
    """Of `make screenshots`, and of the slow lane that looks at the same pages."""
    drawn = screenshots.PAGES | screenshots.PUBLIC
    missing = {name for name, path in drawn.items() if not _is_address(path)}
    assert missing == {"not-found"}


def _is_address(path: str) -> bool:
    """Whether some page has this address, whatever its ids are."""
    path = path.partition("?")[0].replace("{o}", "/o/acme").replace("{organisation}", "acme")
    if not path.startswith("/"):
        return True
    for id in ("1", "x", str(UUID(int=0))):
        with suppress(Resolver404):
            resolve(re.sub(r"{\w+}", id, path))
            return True
    return False


def test_a_path_of_the_management_api_has_its_prefix() -> None:
    paths = [
        (page.name, path)
        for page in PAGES
        for path in re.findall(r"`(?:GET|POST|PUT|PATCH|DELETE) (/[^\s`]+)", page.read_text())
    ]
    assert any(path.startswith("/api/v1/") for _, path in paths)
    assert [
        (name, path)
        for name, path in paths
        if not _is_address(path) and _is_address(f"/api/v1{path}")
    ] == []


def test_every_picture_is_shown_by_a_document() -> None:
    """`make screenshots` makes one of every page in a folder that git ignores."""
    shown = {name for page in PAGES for name in re.findall(r"images/([\w.-]+)", page.read_text())}
    pictures = {path.name for path in (ROOT / "docs/images").iterdir()}
    assert pictures - shown == set()


def services_of(arguments: str) -> Iterator[str]:
    """The words of a compose command up to what runs in the container."""
    words = iter(arguments.split())
    for word in words:
        if word in _WITH_VALUE:
            next(words)
        elif not word.startswith(("-", "\\", "$")):
            yield word


@pytest.mark.parametrize("page", OF_OPERATORS, ids=lambda page: page.name)
def test_a_printed_command_exists(page: Path) -> None:
    text = re.sub(r"\$\(\(.*\)\)", "2", page.read_text().replace("\\\n", " "))
    services = compose_file()["services"].keys()
    for verb, arguments in _COMPOSE.findall(text):
        named = list(services_of(arguments))
        # Behind the first one is what runs in it.
        named = named[:1] if verb in ("exec", "run") else named
        assert set(named) <= services, (verb, arguments)
    for name in re.findall(r"manage\.py (\w+)", text):
        assert name in management_commands(), name
    for verb in re.findall(r"^weir (\w+)", text, re.MULTILINE):
        assert verb in VERBS.keys() | weir.commands.keys() | management_commands(), verb


@pytest.mark.parametrize("page", OF_OPERATORS, ids=lambda page: page.name)
def test_a_printed_image_is_the_one_of_compose(page: Path) -> None:
    images = {service["image"] for service in compose_file()["services"].values()}
    assert {*re.findall(r"\b(?:postgres|redis|nginx|caddy):\d+\.\S+", page.read_text())} <= images


def test_the_page_of_ports_names_what_compose_runs_and_the_build_downloads() -> None:
    page = (ROOT / "docs/operate/start.md").read_text()
    images = (service["image"] for service in compose_file()["services"].values())
    versions = dict(image.split(":") for image in images if "${" not in image)
    for name, title in (("postgres", "PostgreSQL"), ("redis", "Redis")):
        version = re.search(rf"{title} ([\d.]+\d|\d+)", page)
        assert version is not None
        assert versions[name].startswith(f"{version[1]}.")
    listed = re.search(r"for the images of ([\w, ]+);", page)
    assert listed is not None
    assert {*re.split(r", | and ", listed[1].lower())} == {*versions, "python"}
    recipe = (ROOT / "Dockerfile").read_text()
    assert {*re.findall(r"^FROM (\w+):", recipe, re.MULTILINE)} == {"python"}
    assert "apt-get" not in recipe, "the page says that the build downloads no Debian packages"


DOCS: Final = ROOT / "docs"
INDEX: Final = DOCS / "README.md"
DECISIONS: Final = sorted((DOCS / "adr").glob("0*.md"))
_ENTRY: Final = re.compile(r"^  - \[([^\]]+)\]\(([\w/.-]+\.md)\)$", re.MULTILINE)


def test_every_file_of_a_page_can_be_applied() -> None:
    """Examples that begin with a version are whole files of `weir apply`."""
    files = [
        (page.name, text)
        for page in PAGES
        for text in re.findall(r"^```yaml\n(version: 1\n.*?)^```", page.read_text(), re.M | re.S)
    ]
    assert len(files) > 4
    for _, text in files:
        Installation.model_validate(yaml.safe_load(text))


def test_the_index_lists_every_page_once() -> None:
    """Two clicks lead anywhere: the index lists the pages, and one of these the decisions. A static
    site takes the list as its navigation, so it holds groups and links alone."""
    listed = [(title, (DOCS / name).resolve()) for title, name in _ENTRY.findall(INDEX.read_text())]
    pages = set(DOCS.rglob("*.md")) - set(DECISIONS) - {INDEX}
    assert sorted(path for _, path in listed) == sorted(pages)
    for title, path in listed:
        assert path.read_text().splitlines()[0] == f"# {title}", path
    items = [line for line in INDEX.read_text().splitlines() if re.match(r" *- ", line)]
    groups = [line[2:] for line in items if not line.startswith(" ")]
    assert groups == ["Start", "Guides", "Operate", "Reference", "Background"]
    assert len(items) == len(listed) + len(groups)


@pytest.mark.parametrize(
    "page", sorted(set(DOCS.rglob("*.md")) - set(DECISIONS)), ids=lambda page: page.stem
)
def test_page_states_its_audience(page: Path) -> None:
    _, blank, reader, *_ = page.read_text().splitlines()
    assert blank == ""
    assert re.fullmatch(r"\*For [^*]+\.\*", reader)


def test_every_decision_has_status_and_date() -> None:
    listed = re.findall(
        r"^\| (\d+) \| \[(.+)\]\((.+\.md)\) \| (.+) \|$",
        (DOCS / "adr" / "README.md").read_text(),
        re.MULTILINE,
    )
    stated = []
    for path in DECISIONS:
        title, _, status, *_ = path.read_text().splitlines()
        number, _, title = title.removeprefix("# ").partition(". ")
        one = re.fullmatch(
            r"\*Status: (?:accepted|replaced).*\. Date: (\d+ \w+ 20\d\d)\.\*", status
        )
        assert one, path
        stated.append((number, title, path.name, one[1]))
    assert listed == stated


def test_the_page_of_the_tests_lists_every_folder_and_helper() -> None:
    tests = ROOT / "tests"
    listed = re.findall(r"^\| `(\w+)` \|", (tests / "README.md").read_text(), re.MULTILINE)
    rooms = {path.parent.name for path in ROOT.glob("*/__init__.py")}
    folders = {path.parent.name for path in tests.glob("*/*.py")} | {"clients_js", "golden"}
    helpers = [
        path.stem for path in (*tests.glob("runner/[!_]*.py"), *tests.glob("support/[!_]*.py"))
    ]
    assert sorted(listed) == sorted([*(folders - rooms), *helpers])


def test_pictures_of_the_same_page_are_taken_after_something_is_done_there() -> None:
    paths = list(screenshots.PAGES.values())
    again = {path for path in paths if paths.count(path) > 1}
    assert again == {"{o}/keys", "{o}/playground/images"}


@pytest.mark.parametrize(("x", "y"), [(10, 100), (10, 400), (700, 480)])
def test_dawn_is_brighter_than_dusk_above_and_below_the_horizon(x: int, y: int) -> None:
    dawn, dusk = (pictures._pixel(x, y, warm) for warm in (True, False))
    assert sum(dawn) > sum(dusk)
