"""Hash of the source code that a function is computed by, so that results stored under it follow every edit.

The hash covers the function, all functions, classes and constants of the same package it names, directly or through
others, the values it closes over, and the versions of the libraries it uses. Comments, docstrings, annotations and
layout do not count, nor does code that no number depends on (``_NEUTRAL``).
"""

import ast
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from inspect import unwrap
from pathlib import Path
from typing import Any

from forge_core.files import content_hash

_NEUTRAL = {
    "forge_core.errors",
    "forge_core.files",
    "forge_core.features.registry",  # each feature has a hash of its own
}
_COMPILER = "forge_core.simd.compiled"
_DISTRIBUTIONS = {"talib": "ta-lib"}  # whose name is not that of the module
_PLAIN = (str, bytes, int, float, complex, type(None))


def source_hash(*functions: Callable[..., Any], length: int = 16) -> str:
    """Return a hash of the source code of ``functions`` (or classes) and of everything their results depend on.

    Of a method, the other methods it calls are not followed: give the class.
    Read it when their modules are imported: a file edited later no longer says what the process computes. A function
    without a source file (defined in a console) is hashed by its byte code.
    """
    search = _Search()
    for function in functions:
        search.function(function)
    versions = [f"{name} {_version(name)}" for name in sorted(search.libraries)]
    return content_hash(*sorted(search.parts), *versions, length=length)


@dataclass(frozen=True)
class _Module:
    """Statements by the names they bind, imported names as (module, name), functions by name and first line."""

    name: str
    bound: dict[str, list[ast.stmt]] = field(default_factory=dict)
    imports: dict[str, tuple[str, str | None]] = field(default_factory=dict)
    functions: dict[tuple[str, int], list[ast.AST]] = field(default_factory=dict)
    _described: dict[ast.AST, tuple[str, set[str]]] = field(default_factory=dict)

    def described(self, node: ast.AST) -> tuple[str, set[str]]:
        """Return the text of a piece of the module, and the names in it."""
        if node not in self._described:
            names = {inner.id for inner in ast.walk(node) if isinstance(inner, ast.Name)}
            self._described[node] = f"{self.name}\n{ast.unparse(node)}", names
        return self._described[node]


class _Search:
    """What the hashed functions lead to: texts of code, each once, and library names."""

    def __init__(self) -> None:
        self.parts: set[str] = set()
        self.libraries: set[str] = set()
        self._seen: set[object] = set()

    def function(self, function: Callable[..., Any]) -> None:
        """Add a function and what it closes over."""
        plain: Any = unwrap(getattr(function, "py_func", function))
        if isinstance(plain, type) and (home := _read(plain.__module__)) is not None:
            self._name(home, plain.__name__)
            return
        code = getattr(plain, "__code__", None)
        if code is None or _is_installed(plain.__module__ or ""):
            self._library(plain.__module__)
            self.parts.add(f"{plain.__module__}.{plain.__qualname__}")
            return
        module = _read(plain.__module__ or "")
        if module is None:
            constants = [each for each in code.co_consts if isinstance(each, _PLAIN)]
            self.parts.add(repr((plain.__qualname__, code.co_code, code.co_names, code.co_varnames, constants)))
        else:
            for node in module.functions.get((code.co_name, code.co_firstlineno), ()):
                self._code(module, node)
        for name, cell in zip(code.co_freevars, plain.__closure__ or (), strict=True):
            self._value(name, cell.cell_contents)

    def _value(self, name: str, value: Any) -> None:
        if isinstance(value, _PLAIN):
            self.parts.add(f"{name}={value!r}")
        elif isinstance(value, tuple | list):
            self.parts.add(f"{name}={len(value)}")
            for number, item in enumerate(value):
                self._value(f"{name}.{number}", item)
        elif callable(value) and id(value) not in self._seen:
            self._seen.add(id(value))
            self.function(value if hasattr(value, "__qualname__") else type(value))

    def _code(self, module: _Module, node: ast.AST) -> None:
        """Add a piece of code and what it names."""
        text, names = module.described(node)
        self.parts.add(text)
        for name in names:
            self._name(module, name)

    def _name(self, module: _Module, name: str) -> None:
        if (module.name, name) in self._seen:
            return
        self._seen.add((module.name, name))
        for statement in module.bound.get(name, ()):
            self._code(module, statement)
        if name in module.imports:
            self._import(module, *module.imports[name])

    def _import(self, module: _Module, source: str, name: str | None) -> None:
        root = source.partition(".")[0]
        if root not in (module.name.partition(".")[0], "forge_core"):  # extensions import from forge_core
            self._library(source)
        elif source == _COMPILER:
            self.libraries.add("numba")
        elif source not in _NEUTRAL:
            target = _read(source)
            if target is not None and name in target.bound.keys() | target.imports.keys():
                self._name(target, name or "")
            elif (whole := _read(f"{source}.{name}") if name else target) is not None:
                for each in whole.bound:
                    self._name(whole, each)

    def _library(self, module: str) -> None:
        root = module.lstrip("_").partition(".")[0]
        if root not in sys.stdlib_module_names:
            self.libraries.add(root)


@cache
def _is_installed(module: str) -> bool:
    """Whether a module belongs to an installed library, whose version says what it computes."""
    root = module.partition(".")[0]
    file = getattr(sys.modules.get(module) or sys.modules.get(root), "__file__", None) or ""
    return root != "forge_core" and not {"site-packages", "dist-packages"}.isdisjoint(Path(file).parts)


@cache
def _version(library: str) -> str:
    try:
        return version(_DISTRIBUTIONS.get(library, library))
    except PackageNotFoundError:
        return ""


@cache
def _read(name: str) -> _Module | None:
    """Return a module's statements, or None where it has no source file."""
    loaded = sys.modules.get(name)
    try:
        file = getattr(loaded, "__file__", None) or getattr(find_spec(name), "origin", None)
        tree: ast.Module = _Bare().visit(ast.parse(Path(file or "").read_bytes()))
    except (ImportError, OSError, ValueError, SyntaxError):
        return None
    module = _Module(name)
    for node in ast.walk(tree):
        for key in _first_lines(node):
            module.functions.setdefault(key, []).append(node)
    for statement in _statements(tree.body):
        if isinstance(statement, ast.Import):
            for alias in statement.names:
                module.imports[alias.asname or alias.name.partition(".")[0]] = (alias.name, None)
        elif isinstance(statement, ast.ImportFrom):
            source = _absolute(statement, name, is_package=Path(file or "").name == "__init__.py")
            for alias in statement.names:
                module.imports[alias.asname or alias.name] = (source, alias.name)
        else:
            for bound in _bound_by(statement):
                module.bound.setdefault(bound, []).append(statement)
    return module


def _absolute(statement: ast.ImportFrom, name: str, *, is_package: bool) -> str:
    if not statement.level:
        return statement.module or ""
    parts = name.split(".")
    parts = parts[: len(parts) - statement.level + is_package]
    return ".".join([*parts, *([statement.module] if statement.module else [])])


def _statements(body: list[ast.stmt]) -> Iterator[ast.stmt]:
    """Yield the statements of a module, those of its ``if``, ``try`` and ``with`` blocks included."""
    for statement in body:
        inner = [getattr(statement, part, []) for part in ("body", "orelse", "finalbody")]
        if isinstance(statement, ast.If | ast.Try | ast.With):
            for block in (*inner, *(handler.body for handler in getattr(statement, "handlers", []))):
                yield from _statements(block)
        else:
            yield statement


def _bound_by(statement: ast.stmt) -> set[str]:
    if isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        return {statement.name}
    targets = getattr(statement, "targets", [getattr(statement, "target", statement)])
    stored = (node for target in targets for node in ast.walk(target) if isinstance(node, ast.Name))
    return {node.id for node in stored if isinstance(node.ctx, ast.Store)}


def _first_lines(node: ast.AST) -> Iterator[tuple[str, int]]:
    """Yield the name and the line of a function as its code object may have them."""
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        yield from {(node.name, line) for line in (node.lineno, *(each.lineno for each in node.decorator_list))}
    elif isinstance(node, ast.Lambda):
        yield "<lambda>", node.lineno


class _Bare(ast.NodeTransformer):
    """Removes docstrings and annotations."""

    def visit(self, node: ast.AST) -> Any:
        self.generic_visit(node)
        if isinstance(node, ast.arg):
            node.annotation = None
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            node.returns = None
        elif isinstance(node, ast.AnnAssign):
            node.annotation = ast.Constant(None)
        body = getattr(node, "body", None)
        if isinstance(body, list):
            node.body = [each for each in body if not _is_text(each)] or [ast.Pass()]  # type: ignore[attr-defined]
        return node


def _is_text(statement: ast.stmt) -> bool:
    return (
        isinstance(statement, ast.Expr)
        and isinstance(statement.value, ast.Constant)
        and isinstance(statement.value.value, str)
    )
