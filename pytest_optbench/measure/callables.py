"""What can be an arm or a setup: callables that do their work when called, with the arguments they will get."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

from .errors import InvalidArm

Callback = Callable[..., Any]


def is_coroutine_function(call: Callback) -> bool:
    """Whether calling gives a coroutine; sees through `functools.partial` and callable objects."""
    return inspect.iscoroutinefunction(call) or inspect.iscoroutinefunction(
        getattr(type(call), "__call__", None)  # noqa: B004 - the method itself is wanted
    )


def check_callable(what: str, call: object) -> None:
    """Raise `InvalidArm` for what cannot be called, or would only return a generator."""
    if not callable(call):
        raise InvalidArm(f"{what} must be callable, received {call!r}; pass a function, not its result")
    if inspect.isgeneratorfunction(call) or inspect.isasyncgenfunction(call):
        raise InvalidArm(
            f"{what} must do its work when called, received the generator function {call!r}; "
            "consume it in a function, for example `lambda: list(arm())`"
        )


def refuse_awaitable(what: str, value: object) -> None:
    """Raise `InvalidArm` for the result of a plain function that has not done its work yet."""
    if inspect.isawaitable(value):
        if inspect.iscoroutine(value):
            value.close()  # nobody will await it; this error says so, once
        raise InvalidArm(
            f"{what} must do its work when called, received an awaitable ({type(value).__name__}) from a "
            "plain function; pass the coroutine function itself, with arguments bound by "
            "functools.partial, or write `async def`"
        )


def takes_setup_value(name: str, call: Callback, *, has_setup: bool) -> bool:
    """Whether the setup's value is passed; raises `InvalidArm` when the arm cannot be called at all."""
    try:
        signature = inspect.signature(call)
    except (TypeError, ValueError):  # many builtins have no signature
        return has_setup
    if has_setup and _binds(signature, 1):
        return True
    if _binds(signature, 0):
        return False
    expected = "without arguments or with the setup's value" if has_setup else "without arguments"
    raise InvalidArm(
        f"arm {name!r} must be callable {expected}, received one with the signature {signature}; "
        "bind arguments with functools.partial" + ("" if has_setup else " or make them in setup=")
    )


def check_without_arguments(setup: Callback) -> None:
    """Raise `InvalidArm` for a setup that needs arguments."""
    try:
        signature = inspect.signature(setup)
    except (TypeError, ValueError):  # many builtins have no signature; calling one tells
        return
    if not _binds(signature, 0):
        raise InvalidArm(
            f"setup must be callable without arguments, received one with the signature {signature}; "
            "bind arguments with functools.partial"
        )


def _binds(signature: inspect.Signature, count: int) -> bool:
    try:
        signature.bind(*[None] * count)
    except TypeError:
        return False
    return True
