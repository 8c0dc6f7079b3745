"""What code a rule is: a digest that changes when the rule, its constants, its helpers or its packages
change.

A digest is made of the function itself (byte code, constants, defaults, values it closes over, plain global
values it names) and of the source of its module and of every module that one imports, directly or not,
function-level imports included. Installed packages count by name and version, the standard library by the
version of Python.

Not seen: modules imported under a name computed at run time, and data that code reads by itself while it is
imported.
"""

from __future__ import annotations

import ast
import enum
import functools
import hashlib
import importlib.metadata
import importlib.util
import re
import sys
import sysconfig
import types
from collections.abc import Iterator
from pathlib import Path, PurePath
from typing import Any

from optengine.rules import digest
from optengine.rules.errors import Undigestable
from optengine.rules.parsing import parse_python

_INSTALLED = tuple(
    {
        str(Path(sysconfig.get_paths()[key]).resolve()) + "/"
        for key in ("purelib", "platlib", "stdlib", "platstdlib")
    }
)

_BUILTIN = frozenset({list, tuple, dict, set, frozenset, str, int, bool})
# Shown by their own repr: that of a subclass may say anything.
_SHOWN = (bool, int, float, complex, str, bytes, range, type(None), type(...))
# Bases of the standard library that hold no state of their own.
_STATELESS = frozenset({"abc", "typing", "collections.abc", "enum", "builtins"})
_PLAIN_GLOBALS = (
    *(bool, int, float, complex, str, bytes, range, type(None), PurePath, enum.Enum, re.Pattern),
    *(list, tuple, set, frozenset, dict, types.MappingProxyType),
    *(
        types.FunctionType,
        types.MethodType,
        functools.partial,
        types.ModuleType,
        type,
        types.BuiltinFunctionType,
    ),
)


def of_callable(check: object) -> str:
    """Digest of everything a rule's answer can depend on apart from its inputs.

    Raises:
        Undigestable: its state holds an object that cannot be hashed; the message names it.
    """
    walker = _StateWalker()
    state = walker.digest(check)
    return digest.of_json([state, _modules(frozenset(walker.modules))])


def of_state(value: object) -> str:
    """Digest of plain data and code, without the modules behind it. Raises Undigestable as
    :func:`of_callable`."""
    return _StateWalker().digest(value)


@functools.cache
def of_engine() -> str:
    """Digest of this package's own sources and of the interpreter's version."""
    folder = Path(__file__).parent
    files = sorted(folder.rglob("*.py"))
    return digest.of_json([sys.version, *(digest.of_bytes(file.read_bytes()) for file in files)])


class _StateWalker:
    """Digests a value by walking its state; collects the modules whose code it uses."""

    def __init__(self) -> None:
        self.modules: set[str] = set()
        self.open: dict[int, int] = {}

    def digest(self, value: object) -> str:
        if id(value) in self.open:
            return f"cycle:{len(self.open) - self.open[id(value)]}"
        self.open[id(value)] = len(self.open)
        try:
            parts = list(self._parts(value))
            if (
                isinstance(value, list | tuple | dict | set | frozenset | str | int)
                and type(value) not in _BUILTIN
            ):
                parts.append(self.digest(getattr(value, "__dict__", None)))
        finally:
            del self.open[id(value)]
        return hashlib.sha256("\0".join(parts).encode("utf-8", "surrogatepass")).hexdigest()

    def _parts(self, value: object) -> Iterator[str]:
        kind = type(value)
        yield f"{kind.__module__}.{kind.__qualname__}"
        if isinstance(value, _SHOWN):
            base: Any = next(base for base in _SHOWN if isinstance(value, base))
            yield base.__repr__(value)
        elif isinstance(value, PurePath):
            yield str(value)
        elif isinstance(value, enum.Enum):
            yield value.name
            self._comes_from(kind.__module__)
        elif isinstance(value, re.Pattern):
            yield repr((value.pattern, value.flags))
        elif isinstance(value, list | tuple):
            yield from map(self.digest, value)
        elif isinstance(value, set | frozenset):
            yield from sorted(map(self.digest, value))
        elif isinstance(value, dict | types.MappingProxyType):
            yield from sorted(self.digest(key) + self.digest(item) for key, item in value.items())
        elif isinstance(value, types.CodeType):
            yield from self._code(value)
        elif isinstance(value, types.FunctionType):
            yield from self._function(value)
        elif isinstance(value, types.MethodType):
            yield self.digest(value.__func__)
            yield self.digest(value.__self__)
        elif isinstance(value, functools.partial):
            yield from (self.digest(part) for part in (value.func, value.args, value.keywords))
        elif isinstance(value, types.ModuleType):
            self.modules.add(value.__name__)
            yield value.__name__
        elif isinstance(value, type | types.BuiltinFunctionType):
            self._comes_from(value.__module__ or "builtins")
            yield f"{value.__module__}.{value.__qualname__}"
            owner = getattr(value, "__self__", None)
            if isinstance(value, types.BuiltinFunctionType) and not isinstance(owner, types.ModuleType):
                yield self.digest(owner)  # a method of a list, a set ...
        elif isinstance(value, functools._lru_cache_wrapper):
            yield self.digest(value.__wrapped__)
        else:
            yield from self._instance(value)

    def _code(self, code: types.CodeType) -> Iterator[str]:
        yield repr(
            (code.co_code, code.co_names, code.co_varnames, code.co_freevars, code.co_cellvars, code.co_flags)
        )
        counts = (code.co_argcount, code.co_posonlyargcount, code.co_kwonlyargcount)
        yield repr((*counts, getattr(code, "co_exceptiontable", b"")))
        yield from map(self.digest, code.co_consts)

    def _function(self, function: types.FunctionType) -> Iterator[str]:
        # A decorator may give a function the name of another module than the one its globals are of.
        home = function.__globals__.get("__name__")
        has_source = _has_source(home)
        self.modules.update(str(name) for name in (home, function.__module__) if _has_source(name))
        if has_source and function.__code__.co_filename.startswith(_INSTALLED):
            yield function.__qualname__
            return
        yield self.digest(function.__code__)
        yield self.digest(function.__defaults__)
        yield self.digest(function.__kwdefaults__)
        for cell in function.__closure__ or ():
            try:
                content = cell.cell_contents
            except ValueError:
                yield "empty"
            else:
                yield self.digest(content)
        for name in sorted(_global_names(function.__code__)):
            if name in function.__globals__:
                yield name
                yield self._global(function.__globals__[name], has_source=has_source)

    def _comes_from(self, module: str) -> None:
        """Take note of a class's module, whose source stands for what the class does.

        Raises:
            Undigestable: the module has no source, such as that of an interactive session.
        """
        if not _has_source(module):
            raise Undigestable(
                f"the source of module {module!r} cannot be found, so its classes cannot be hashed"
            )
        self.modules.add(module)

    def _global(self, value: object, *, has_source: bool) -> str:
        """A global by its value where it is code or plain data; by its type alone otherwise.

        An object such as a logger or a rule set is part of the module, whose source is in the digest anyway. Where
        there is no source everything counts by its value.
        """
        if not has_source:
            return self.digest(value)
        if isinstance(value, _PLAIN_GLOBALS):
            try:
                return self.digest(value)
            except Undigestable:
                pass
        return f"{type(value).__module__}.{type(value).__qualname__}"

    def _instance(self, value: object) -> Iterator[str]:
        kind = type(value)
        self._comes_from(kind.__module__)
        state = getattr(value, "__dict__", None)
        slots = [name for base in kind.__mro__ for name in getattr(base, "__slots__", ())]
        if state is None and not slots:
            raise Undigestable(f"the state of {kind.__module__}.{kind.__qualname__} cannot be hashed")
        for base in kind.__mro__[:-1]:
            known = base.__module__.partition(".")[0] in sys.stdlib_module_names
            if known and base.__module__ not in _STATELESS:
                raise Undigestable(f"a live {kind.__module__}.{kind.__qualname__} cannot be hashed")
        merged: dict[str, Any] = dict(state or {})
        merged.update((name, getattr(value, name)) for name in slots if hasattr(value, name))
        yield self.digest(merged)


def _global_names(code: types.CodeType) -> set[str]:
    """Names a function and the functions nested in it may look up as globals."""
    names = set(code.co_names)
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            names |= _global_names(constant)
    return names


def _has_source(module: object) -> bool:
    """Whether the code of a loaded module can be told from an earlier one: by its file, or by a version."""
    if not isinstance(module, str):
        return False
    top = module.partition(".")[0]
    if top in sys.stdlib_module_names and top != "__main__":
        return True
    files = [getattr(sys.modules.get(name), "__file__", None) or "" for name in (module, top)]
    return Path(files[0]).is_file() or files[1].startswith(_INSTALLED)


_loaded: dict[str, tuple[object, str, frozenset[str]]] = {}


def _modules(start: frozenset[str]) -> str:
    """Digest of the sources of *start* and of all they import."""
    seen: dict[str, str] = {}
    waiting = sorted(start)
    while waiting:
        name = waiting.pop()
        if name in seen:
            continue
        seen[name], imports = _module(name)
        parents = {name[:place] for place, letter in enumerate(name) if letter == "."}
        waiting.extend((imports | parents) - seen.keys())
    return digest.of_json(sorted(seen.items()))


def _module(name: str) -> tuple[str, frozenset[str]]:
    """Digest of one module and the names it imports; remembered for as long as the loaded module is the
    same."""
    top = name.partition(".")[0]
    if top in sys.stdlib_module_names and top != "__main__":
        return "stdlib", frozenset()
    if top == "optengine" and not name.startswith("optengine.testing"):
        return of_engine(), frozenset()
    module = sys.modules.get(name)
    spec = getattr(module, "__spec__", None) or module
    known = _loaded.get(name)
    if known is not None and module is not None and known[0] is spec:
        return known[1], known[2]
    try:
        file = getattr(module, "__file__", None) or _origin(name)
    except (ImportError, ValueError, AttributeError):
        return "missing", frozenset()
    if file is None or not Path(file).is_file():
        return "no source", frozenset()
    resolved = str(Path(file).resolve())
    if resolved.startswith(_INSTALLED):
        return _installed(top), frozenset()
    source = Path(file).read_bytes()
    package = name if Path(file).name == "__init__.py" else name.rpartition(".")[0]
    result = digest.of_bytes(source), _imports(source, package) if file.endswith(".py") else frozenset[str]()
    if module is not None:
        _loaded[name] = (spec, *result)
    return result


def _origin(name: str) -> str | None:
    """File of a module that is not loaded, found without importing anything."""
    top, *rest = name.split(".")
    spec = importlib.util.find_spec(top)
    if spec is None or not rest or (spec.origin or "").startswith(_INSTALLED):
        return spec.origin if spec is not None else None
    for folder in spec.submodule_search_locations or ():
        base = Path(folder).joinpath(*rest)
        for candidate in (base.with_suffix(".py"), base / "__init__.py"):
            if candidate.is_file():
                return str(candidate)
    return None


@functools.cache
def _installed(top: str) -> str:
    try:
        return f"{top} {importlib.metadata.version(top)}"
    except importlib.metadata.PackageNotFoundError:
        names = importlib.metadata.packages_distributions().get(top, [])
        return f"{top} {[(one, importlib.metadata.version(one)) for one in sorted(set(names))]}"


def _imports(source: bytes, package: str) -> frozenset[str]:
    """Absolute names of what *source* imports anywhere, also inside functions."""
    names: set[str] = set()
    try:
        tree = parse_python(source)
    except (SyntaxError, ValueError):
        return frozenset()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                parent = package.split(".")[: len(package.split(".")) - node.level + 1] if package else []
                base = ".".join([*parent, base] if base else parent)
            if base:
                names.add(base)
                names.update(
                    f"{base}.{alias.name}" for alias in node.names if f"{base}.{alias.name}" in sys.modules
                )
    return frozenset(names)
