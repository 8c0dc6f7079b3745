"""numpy arrays: shape, kind of dtype, values; the first differing element is the one shown.

Imported only when numpy already is.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from .difference import Differs, Path
from .scalars import ABSOLUTE, RELATIVE

_EPSILONS = 16
_KIND_NAMES = {
    "b": "bool",
    "i": "integer",
    "u": "integer",
    "f": "float",
    "c": "complex",
    "U": "text",
    "T": "text",
    "S": "bytes",
    "M": "datetime",
    "m": "timedelta",
    "O": "object",
    "V": "structured",
}


def relative_tolerance(dtype: Any) -> float:
    """Return the relative tolerance for floats of ``dtype``: 1e-9, or 16 machine epsilons if that is more."""
    return max(RELATIVE, _EPSILONS * float(np.finfo(dtype).eps)) if dtype.kind in "fc" else RELATIVE


def pairs_of_arrays(path: Path, expected: Any, actual: Any) -> Iterator[tuple[Path, Any, Any]]:
    """Compare two arrays (or numpy scalars); yield fields of structured and elements of object arrays."""
    yield from _attributes(path, expected, actual)
    masks = [np.ma.getmaskarray(side) for side in (expected, actual) if np.ma.isMaskedArray(side)]
    if len(masks) == 1:
        raise Differs(path, expected, actual, "only one side is a masked array")
    one, two = (np.asarray(side) for side in (expected, actual))
    if one.shape != two.shape:
        raise Differs(path, expected, actual, f"shapes {one.shape} and {two.shape}")
    if _kind(one) != _kind(two):
        raise Differs(path, expected, actual, f"dtypes {one.dtype} and {two.dtype}")
    hidden = None
    if masks:
        _raise_at_first(path / ".mask", masks[0], masks[1], masks[0] != masks[1])
        hidden = masks[0]
    if one.dtype.kind == "O":
        yield from _elements(path, one, two, hidden)
    elif one.dtype.names is not None:
        if one.dtype.names != two.dtype.names:
            raise Differs(path, expected, actual, f"fields {one.dtype.names} and {two.dtype.names}")
        for name in one.dtype.names:
            # An empty mask is left out, so that a field of a masked array is judged like any other.
            fields = (one[name], two[name]) if hidden is None else (expected[name], actual[name])
            yield path.item(name), *fields
    else:
        unequal = _unequal(one, two)
        if hidden is not None and hidden.dtype == bool:
            unequal = unequal & ~hidden
        _raise_at_first(path, one, two, unequal)


def _attributes(path: Path, expected: Any, actual: Any) -> Iterator[tuple[Path, Any, Any]]:
    """Yield what a subclass adds to the numbers, such as a unit; numpy's own subclasses add nothing."""
    if all(type(side).__module__.partition(".")[0] == "numpy" for side in (expected, actual)):
        return
    if type(expected) is not type(actual):
        raise Differs(path, expected, actual, f"types {type(expected).__name__} and {type(actual).__name__}")
    yield path / ".__dict__", dict(vars(expected)), dict(vars(actual))


def _kind(array: Any) -> str:
    return _KIND_NAMES[array.dtype.kind]


def _unequal(one: Any, two: Any) -> Any:
    """Return a bool array of the shape of both: True where the elements differ."""
    kind = one.dtype.kind
    if kind in "mM":
        return (one != two) & ~(np.isnat(one) & np.isnat(two))
    if kind == "V":
        return np.array(
            [a.tobytes() != b.tobytes() for a, b in zip(one.flat, two.flat, strict=True)]
        ).reshape(one.shape)
    if kind not in "fc":
        return one != two
    relative = max(relative_tolerance(one.dtype), relative_tolerance(two.dtype))
    wide = np.result_type(one, two, np.float64)
    a, b = one.astype(wide, copy=False), two.astype(wide, copy=False)
    with np.errstate(all="ignore"):
        size = np.maximum(np.abs(a), np.abs(b))
        # An infinite size must not excuse a finite value: there only exact equality counts.
        slack = np.where(np.isfinite(size), np.maximum(ABSOLUTE, relative * size), 0.0)
        if wide.kind == "f":
            return ~_close(a, b, slack)
        return ~(_close(a.real, b.real, slack) & _close(a.imag, b.imag, slack))


def _close(a: Any, b: Any, slack: Any) -> Any:
    return (a == b) | (np.isnan(a) & np.isnan(b)) | (np.abs(a - b) <= slack)


def _raise_at_first(path: Path, one: Any, two: Any, unequal: Any) -> None:
    count = int(np.count_nonzero(unequal))
    if not count:
        return
    index = tuple(int(i) for i in np.unravel_index(int(np.argmax(unequal)), one.shape))
    detail = f"{count} of {one.size} elements differ"
    if one.dtype.kind in "fc":
        with np.errstate(all="ignore"):
            off = np.abs(np.subtract(one, two, dtype=np.result_type(one, two, np.float64)))
            largest = np.max(off, where=unequal & np.isfinite(off), initial=0.0)
        detail += f", by up to {largest:.3g}"
    place = path / f"[{', '.join(map(str, index))}]" if index else path
    raise Differs(place, _python(one[index]), _python(two[index]), detail)


def _elements(path: Path, one: Any, two: Any, hidden: Any) -> Iterator[tuple[Path, Any, Any]]:
    for index in np.ndindex(one.shape):
        if hidden is None or not hidden[index]:
            place = path / f"[{', '.join(map(str, index))}]" if index else path
            yield place, one[index], two[index]


def _python(value: Any) -> Any:
    """Return a numpy scalar as Python's where that shows better."""
    return (
        value.item() if getattr(value, "dtype", None) is not None and value.dtype.kind in "biufcUS" else value
    )
