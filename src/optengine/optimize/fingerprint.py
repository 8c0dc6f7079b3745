"""Fingerprints of the objective's code and of the data it sees, so that a journal is continued only with the
same.

Code: SHA-256 over the byte code of the function, its defaults and what it closes over, and of the functions,
classes and plain constants of the same top-level package that it refers to by name, and so on. Comments,
formatting and line numbers do not count; other packages do not count; another minor version of Python does.
What cannot be seen by name (attribute look-ups on objects, imports inside functions) does not count either:
give ``code_version`` then.
"""

from __future__ import annotations

import functools
import hashlib
import sys
import types
from collections.abc import Callable, Mapping
from typing import Any

from optengine.optimize.errors import OptimizeError

_PLAIN = (int, float, str, bytes, bool, type(None), complex)


def code_fingerprint(function: Callable[..., Any]) -> str:
    """SHA-256 of the code behind a function, method, partial or callable object."""
    digest = hashlib.sha256(f"python {sys.version_info[:2]}".encode())
    _Walk(digest.update).visit(function)
    return digest.hexdigest()


def data_fingerprint(shared: Mapping[str, Any]) -> dict[str, str]:
    """The ``fingerprint`` (attribute or method) of each share handle.

    Raises:
        OptimizeError: a handle has none.
    """
    return {name: _fingerprint(name, value) for name, value in sorted(shared.items())}


def _fingerprint(name: str, value: Any) -> str:
    own = getattr(value, "fingerprint", None)
    found = own() if callable(own) else own
    if found is None:
        raise OptimizeError(
            f"shared[{name!r}] must have a fingerprint when a checkpoint is written, so that it is not "
            f"continued with other data; received {type(value).__name__} without one; give it a "
            "'fingerprint' attribute"
        )
    return str(found)


class _Walk:
    """Feeds everything reachable from one function to ``update``, each object once."""

    def __init__(self, update: Callable[[bytes], None]) -> None:
        self._update = update
        self._seen: set[int] = set()

    def visit(self, value: Any) -> None:
        if isinstance(value, _PLAIN):
            self._update(repr(value).encode())
        elif isinstance(value, (tuple, list)):
            self._update(f"{type(value).__name__}{len(value)}".encode())
            for part in value:
                self.visit(part)
        elif isinstance(value, (frozenset, set)):
            self._update(repr(sorted(map(repr, value))).encode())
        elif isinstance(value, Mapping):
            for key in sorted(value, key=repr):
                self._update(repr(key).encode())
                self.visit(value[key])
        elif id(value) not in self._seen:
            self._seen.add(id(value))
            self._visit_code(value)

    def _visit_code(self, value: Any) -> None:
        if isinstance(value, functools.partial):
            self.visit([value.func, value.args, value.keywords])
        elif isinstance(value, types.MethodType):
            self.visit([value.__func__, value.__self__])
        elif isinstance(value, types.FunctionType):
            self._visit_function(value)
        elif isinstance(value, types.CodeType):
            self._visit_code_object(value)
        elif isinstance(value, type):
            self._update(value.__qualname__.encode())
            for name, member in sorted(vars(value).items()):
                if isinstance(member, (staticmethod, classmethod, property)):
                    member = getattr(member, "__func__", None) or getattr(member, "fget", None)
                if isinstance(member, (types.FunctionType, *_PLAIN)) and name not in (
                    "__module__",
                    "__doc__",
                ):
                    self._update(name.encode())
                    self.visit(member)
        elif isinstance(value, (types.ModuleType, types.BuiltinFunctionType)):
            self._update(getattr(value, "__name__", "").encode())
        else:
            self._visit_object(value)

    def _visit_object(self, value: Any) -> None:
        """A callable object or a captured value: its class's code if it has any, and its plain state."""
        self._update(f"{type(value).__module__}.{type(value).__qualname__}".encode())
        if type(value).__module__ not in sys.builtin_module_names:
            self.visit(type(value))
        state = getattr(value, "__dict__", None)
        if isinstance(state, dict):
            self.visit(
                {name: part for name, part in state.items() if isinstance(part, (*_PLAIN, tuple, list))}
            )

    def _visit_function(self, function: types.FunctionType) -> None:
        self._update(function.__qualname__.encode())
        self.visit(function.__code__)
        self.visit([function.__defaults__, function.__kwdefaults__])
        for cell in function.__closure__ or ():
            try:
                self.visit(cell.cell_contents)
            except ValueError:
                self._update(b"empty cell")
        home = function.__module__.partition(".")[0] if function.__module__ else ""
        for name in sorted(_names(function.__code__)):
            if name not in function.__globals__:
                continue
            value = function.__globals__[name]
            is_code = isinstance(value, (types.FunctionType, type))
            near = is_code and value.__module__.partition(".")[0] == home
            if near or isinstance(value, (*_PLAIN, tuple)):
                self._update(name.encode())
                self.visit(value)

    def _visit_code_object(self, code: types.CodeType) -> None:
        self._update(code.co_code)
        self._update(repr((code.co_names, code.co_varnames, code.co_freevars, code.co_argcount)).encode())
        # The first constant of a function may be its docstring, which changes nothing.
        constants = code.co_consts
        self.visit(tuple(constants[1:]) if constants and isinstance(constants[0], str) else constants)


def _names(code: types.CodeType) -> set[str]:
    """Names used in a code object and in the functions and comprehensions nested in it."""
    names = set(code.co_names)
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            names |= _names(constant)
    return names
