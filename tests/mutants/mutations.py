"""The mutations of a source text: small changes that a good test notices.

Pure. Comparisons, booleans, constants, removed calls and removed guards, in Python and in the
comparisons of SQL texts. A mutation replaces one span of the text and keeps its number of lines, so
that a function stays at its line.
"""

import ast
import re
from typing import Final, NamedTuple


class Mutation(NamedTuple):
    """Replace `text[start:end]` with `new`.

    `function` is the qualified name of the outermost function that contains it, "" in a module or
    class body, and `first_line` where that function's code begins. `statement` is the first line of
    the innermost statement: a line inside a text is never reached, its statement is.
    """

    file: str
    line: int
    start: int
    end: int
    new: str
    kind: str
    function: str = ""
    first_line: int = 0
    statement: int = 0

    def applied(self, text: str) -> str:
        return text[: self.start] + self.new + text[self.end :]

    def describe(self, text: str) -> str:
        """The place, and its lines before and after, on one line."""
        first = text.rfind("\n", 0, self.start) + 1
        last = text.find("\n", self.end)
        before, after = text[first : self.start], text[self.end : last]
        old = " ".join(f"{before}{text[self.start : self.end]}{after}".split())
        new = " ".join(f"{before}{self.new}{after}".split())
        return f"{self.file}:{self.line}: {self.kind}: {old} -> {new}"


_COMPARISONS: Final = {
    ast.Lt: ("<", "<="), ast.LtE: ("<=", "<"), ast.Gt: (">", ">="), ast.GtE: (">=", ">"),
    ast.Eq: ("==", "!="), ast.NotEq: ("!=", "=="), ast.In: ("in", "not in"),
    ast.NotIn: ("not in", "in"), ast.Is: ("is", "is not"), ast.IsNot: ("is not", "is"),
}  # fmt: skip
_SQL: Final = re.compile(r"\b(SELECT|UPDATE|INSERT|DELETE|WHERE)\b")
_SQL_COMPARISON: Final = re.compile(r"(?<=[\w)\] ])\s(<=|>=|<>|<|>)\s(?=[\w('%])")
# An instant of a clock to the microsecond, and the least id of an instant, of which 74 bits are
# random: nothing that was written is ever equal to them.
_NEVER_MET: Final = re.compile(r"now\(\)|clock\.at\b|%\(\w*(first|until|end)_id\)s")
_SQL_SWAP: Final = {"<=": "<", ">=": ">", "<": "<=", ">": ">=", "<>": "="}
# What they do is shown or written down, and decides nothing.
_SILENT_CALLS: Final = {"log", "logger", "logging", "warnings"}


def mutations(file: str, text: str) -> list[Mutation]:
    """All mutations of a file, in the order of its text."""
    return sorted(_Finder(file, text).found, key=lambda one: (one.start, one.end, one.new))


class _Finder(ast.NodeVisitor):
    def __init__(self, file: str, text: str) -> None:
        self.file, self.text, self.found = file, text, list[Mutation]()
        self._offsets = [0]
        for line in text.splitlines(keepends=True):
            self._offsets.append(self._offsets[-1] + len(line))
        self._lines = text.splitlines()
        self._names: list[str] = []
        self._function, self._first_line, self._statement = "", 0, 0
        self.visit(ast.parse(text))

    def visit(self, node: ast.AST) -> None:
        if not isinstance(node, ast.stmt):
            super().visit(node)
            return
        outer, self._statement = self._statement, node.lineno
        super().visit(node)
        self._statement = outer

    # Where something is --------------------------------------------------------------------------

    def _at(self, line: int, column: int) -> int:
        """The offset in characters of a line and a column in UTF-8 bytes."""
        encoded = self._lines[line - 1].encode()[:column]
        return self._offsets[line - 1] + len(encoded.decode())

    def _span(self, node: ast.expr | ast.stmt) -> tuple[int, int]:
        assert node.end_lineno is not None
        assert node.end_col_offset is not None
        return (
            self._at(node.lineno, node.col_offset),
            self._at(node.end_lineno, node.end_col_offset),
        )

    def _add(self, line: int, span: tuple[int, int], new: str, kind: str) -> None:
        missing = "\n" * self.text[slice(*span)].count("\n")
        if missing:
            # A statement leaves empty lines, an expression lines inside brackets.
            new = new + missing if kind == "removed call" else f"({new}{missing})"
        self.found.append(
            Mutation(
                self.file, line, *span, new, kind, self._function, self._first_line, self._statement
            )
        )

    # Functions and classes -----------------------------------------------------------------------

    def visit_FunctionDef(self, node: ast.FunctionDef | ast.AsyncFunctionDef) -> None:
        for outside in (*node.decorator_list, *node.args.defaults, *node.args.kw_defaults):
            if outside is not None:
                self.visit(outside)
        outermost = not self._function
        self._names.append(node.name)
        if outermost:
            self._function = ".".join(self._names)
            first = node.decorator_list[0] if node.decorator_list else node
            self._first_line = first.lineno
        for statement in node.body:
            self.visit(statement)
        if outermost:
            self._function, self._first_line = "", 0
        self._names.pop()

    visit_AsyncFunctionDef = visit_FunctionDef

    def visit_ClassDef(self, node: ast.ClassDef) -> None:
        self._names.append(node.name)
        for statement in node.body:
            self.visit(statement)
        self._names.pop()

    def visit_AnnAssign(self, node: ast.AnnAssign) -> None:
        if node.value is not None:
            self.visit(node.value)

    # What is mutated -----------------------------------------------------------------------------

    def visit_Compare(self, node: ast.Compare) -> None:
        left: ast.expr = node.left
        for operator, right in zip(node.ops, node.comparators, strict=True):
            start, end = self._span(left)[1], self._span(right)[0]
            between = self.text[start:end]
            old, new = _COMPARISONS[type(operator)]
            at = re.search(re.escape(old).replace(r"\ ", r"\s+"), between)
            if at is not None:
                span = (start + at.start(), start + at.end())
                self._add(node.lineno, span, new, "comparison")
            left = right
        self.generic_visit(node)

    def visit_BoolOp(self, node: ast.BoolOp) -> None:
        old, new = ("and", "or") if isinstance(node.op, ast.And) else ("or", "and")
        for left, right in zip(node.values, node.values[1:], strict=False):
            start, end = self._span(left)[1], self._span(right)[0]
            at = re.search(rf"\b{old}\b", self.text[start:end])
            if at is not None:
                span = (start + at.start(), start + at.end())
                self._add(right.lineno, span, new, "boolean")
        self.generic_visit(node)

    def visit_Call(self, node: ast.Call) -> None:
        if isinstance(node.func, ast.Name) and node.func.id == "zip":
            node = ast.copy_location(ast.Call(node.func, node.args, []), node)  # not its `strict`
        self.generic_visit(node)

    def visit_UnaryOp(self, node: ast.UnaryOp) -> None:
        if isinstance(node.op, ast.Not):
            start = self._span(node)[0]
            self._add(node.lineno, (start, start + len("not")), "", "boolean")
        self.generic_visit(node)

    def visit_Constant(self, node: ast.Constant) -> None:
        if isinstance(node.value, bool):
            self._add(node.lineno, self._span(node), str(not node.value), "boolean")
        elif isinstance(node.value, int):
            self._add(node.lineno, self._span(node), str(node.value + 1), "constant")
        elif isinstance(node.value, str) and _SQL.search(node.value):
            self._visit_sql(node)

    def visit_JoinedStr(self, node: ast.JoinedStr) -> None:
        if _SQL.search(self.text[slice(*self._span(node))]):
            self._visit_sql(node)

    def _visit_sql(self, node: ast.Constant | ast.JoinedStr) -> None:
        start, end = self._span(node)
        for at in _SQL_COMPARISON.finditer(self.text, start, end):
            left = self.text[max(start, at.start() - 5) : at.start()]
            if left == "now()" or _NEVER_MET.match(self.text, at.end()):
                continue
            line = self.text.count("\n", 0, at.start(1)) + 1
            self._add(line, at.span(1), _SQL_SWAP[at[1]], "SQL comparison")

    def visit_Expr(self, node: ast.Expr) -> None:
        if isinstance(node.value, ast.Constant):
            return  # a docstring
        call = node.value.value if isinstance(node.value, ast.Await) else node.value
        if isinstance(call, ast.Call):
            if _root_name(call.func) in _SILENT_CALLS:
                return
            self._add(node.lineno, self._span(node), "pass", "removed call")
        self.generic_visit(node)

    def visit_If(self, node: ast.If) -> None:
        if isinstance(node.body[-1], ast.Return | ast.Raise | ast.Continue) and not node.orelse:
            self._add(node.lineno, self._span(node.test), "False", "removed guard")
        self.generic_visit(node)


def _root_name(node: ast.expr) -> str:
    while isinstance(node, ast.Attribute | ast.Call):
        node = node.value if isinstance(node, ast.Attribute) else node.func
    return node.id if isinstance(node, ast.Name) else ""
