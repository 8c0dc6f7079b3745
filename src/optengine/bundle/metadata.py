"""The picklable part of an object that cannot be shared otherwise: its plain attributes, read-only."""

from __future__ import annotations

import pickle
from types import MappingProxyType
from typing import Any


class BundleMetadata:
    """Attributes of a foreign bundle, copied; those that cannot be pickled are in ``omitted``."""

    def __init__(self, source: str, values: dict[str, Any], omitted: dict[str, str]) -> None:
        vars(self).update(source=source, values=MappingProxyType(values), omitted=MappingProxyType(omitted))

    def __getattr__(self, name: str) -> Any:
        state = vars(self)
        if name in state.get("values", ()):
            return state["values"][name]
        kind = state.get("omitted", {}).get(name)
        reason = f"it holds a {kind}, which cannot be pickled" if kind else "the object has no such attribute"
        raise AttributeError(
            f"metadata of {state.get('source')} has no {name!r}: {reason}", name=name, obj=self
        )

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError(f"metadata of {self.source} is read-only; received {name}={value!r}")

    def __reduce__(self) -> tuple[Any, ...]:
        return BundleMetadata, (self.source, dict(self.values), dict(self.omitted))

    def __repr__(self) -> str:
        return f"<BundleMetadata of {self.source}: {sorted(self.values)}; omitted {sorted(self.omitted)}>"


def extract_metadata(held: Any) -> BundleMetadata:
    """The public attributes of ``held`` that pickle. Methods and open resources are not among them."""
    values: dict[str, Any] = {}
    omitted: dict[str, str] = {}
    for name, value in getattr(held, "__dict__", {}).items():
        if name.startswith("_"):
            continue
        try:
            pickle.dumps(value)
        except Exception:  # noqa: BLE001 - foreign __reduce__ methods may raise anything
            omitted[name] = type(value).__name__
        else:
            values[name] = value
    return BundleMetadata(type(held).__qualname__, values, omitted)
