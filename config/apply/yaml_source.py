"""Parse YAML to plain data, with the line of each value.

The text is parsed to nodes, which know their position, and then converted, so that errors have a
line. It is stricter than YAML: a duplicate name in a mapping is refused, because the second value
would silently win, and so is an alias inside the value that it refers to.
"""

from dataclasses import dataclass
from typing import Final

import yaml

Path = tuple[str | int, ...]


@dataclass(frozen=True, slots=True)
class Problem:
    """One error in a file; `message` says what was expected."""

    line: int
    path: Path
    message: str

    def located(self, file: str) -> str:
        return f"{file}:{self.line}: {path_text(self.path)}: {self.message}"


class FileInvalid(Exception):
    """The file cannot be applied. `problems` has every error, in order of lines."""

    def __init__(self, problems: list[Problem]) -> None:
        super().__init__(f"{len(problems)} problems")
        self.problems = sorted(problems, key=lambda problem: problem.line)


@dataclass(frozen=True, slots=True)
class Source:
    """A file's data and the lines of its values; line 1 is the first."""

    data: object
    lines: dict[Path, int]

    def line(self, path: Path) -> int:
        """Return the line of a value; if the value is missing, the line of the nearest enclosing
        one."""
        while path not in self.lines and path:
            path = path[:-1]
        return self.lines.get(path, 1)

    def problem(self, path: Path, message: str) -> Problem:
        return Problem(self.line(path), path, message)


# A file with more values is not a configuration; nested aliases reach this number quickly.
_VALUES_MAX: Final = 1_000_000


def read_yaml(text: str) -> Source:
    """Parse one YAML document. Raises FileInvalid if the text is not YAML or has several
    documents."""
    try:
        loader = yaml.SafeLoader(text)
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        character = f"the character U+{ord(text[error.position]):04X} cannot be used in the file"
        raise FileInvalid([Problem(line, (), f"not YAML: {character}")]) from error
    try:
        node = loader.get_single_node()
        if node is None:
            raise FileInvalid([Problem(1, (), "expected a mapping, found an empty file")])
        reader = _Reader(loader)
        return Source(reader.value(node, ()), reader.lines)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        raise FileInvalid(
            [Problem(mark.line + 1 if mark else 1, (), f"not YAML: {error.problem}")]
        ) from error
    except (ValueError, OverflowError) as error:
        # The scanner's own error for an escape such as `\U00110000`, beyond the last character.
        raise FileInvalid([Problem(loader.line + 1, (), f"not YAML: {error}")]) from error
    finally:
        loader.dispose()


def path_text(path: Path) -> str:
    """Return a path as people write it: `channels[0].models.gpt-4o`."""
    text = ""
    for step in path:
        if isinstance(step, int):
            text += f"[{step}]"
        else:
            text += f".{step}" if text else step
    return text or "the file"


class _Reader:
    def __init__(self, loader: yaml.SafeLoader) -> None:
        self._loader = loader
        self._around: list[yaml.Node] = []
        self._flat: set[int] = set()
        self.lines: dict[Path, int] = {}

    def value(self, node: yaml.Node, path: Path, line: int | None = None) -> object:
        line = node.start_mark.line + 1 if line is None else line
        if any(node is around for around in self._around):
            raise FileInvalid([Problem(line, path, "this alias is inside what it names")])
        if len(self.lines) >= _VALUES_MAX:
            raise FileInvalid([Problem(line, path, f"more than {_VALUES_MAX} values")])
        self.lines[path] = line
        self._around.append(node)
        try:
            if isinstance(node, yaml.MappingNode):
                return self._mapping(node, path)
            if isinstance(node, yaml.SequenceNode):
                return [self.value(item, (*path, n)) for n, item in enumerate(node.value)]
            return self._scalar(node, path, line)
        finally:
            self._around.pop()

    def _mapping(self, node: yaml.MappingNode, path: Path) -> dict[str, object]:
        if id(node) not in self._flat:
            # A merge (`<<`) puts the merged names first, so that the mapping's own names win below.
            self._refuse_twice(node, path)
            self._loader.flatten_mapping(node)
            self._flat.add(id(node))
        result: dict[str, object] = {}
        for name_node, value_node in node.value:
            # Take the text as written: `on:` and `1:` are names here, not a boolean and a number.
            line = name_node.start_mark.line + 1
            name = _storable(name_node.value, path, line)
            result[name] = self.value(value_node, (*path, name), line)
        return result

    def _refuse_twice(self, node: yaml.MappingNode, path: Path) -> None:
        seen = set()
        for name_node, _ in node.value:
            line = name_node.start_mark.line + 1
            if not isinstance(name_node, yaml.ScalarNode):
                raise FileInvalid([Problem(line, path, "expected a plain name before the colon")])
            name = name_node.value
            if name in seen:
                raise FileInvalid([Problem(line, (*path, name), "this name appears here twice")])
            seen.add(name)

    def _scalar(self, node: yaml.Node, path: Path, line: int) -> object:
        try:
            value = self._loader.construct_object(node)
        except ValueError as error:
            raise FileInvalid([Problem(line, path, f"not a value: {error}")]) from error
        return _storable(value, path, line) if isinstance(value, str) else value


def _storable(text: str, path: Path, line: int) -> str:
    r"""Join escaped surrogate pairs (`\ud83d\ude00`), which JSON writes for a character beyond
    U+FFFF, into one character. Raises FileInvalid for a zero byte or a lone surrogate."""
    if "\x00" in text:
        raise FileInvalid(
            [Problem(line, path, "a string cannot contain a zero byte: remove the \\0")]
        )
    try:
        return text.encode("utf-16", "surrogatepass").decode("utf-16")
    except UnicodeDecodeError as error:
        half = "half of a surrogate pair is alone: write \\ud83d\\ude00, or the character"
        raise FileInvalid([Problem(line, path, half)]) from error
