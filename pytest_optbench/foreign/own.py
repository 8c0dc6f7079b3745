"""Decision documents and indexes of pytest-optbench itself: what one run measured against what another did.

The optimized arm is the state of the code a decision was about, so that is what is compared between two files.
The baseline arm, where it is the same code in both, was unchanged between the files: it shows how much the
machine changed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from ..store import schema
from ..store.errors import SchemaError
from .errors import ForeignError
from .names import numbered
from .node import Node
from .recorded import File, Recorded

TOOL: Final = "pytest-optbench"
_MACHINE: Final = ("cpu_model", "architecture", "logical_cpus", "os")


def recognises(value: Any) -> bool:
    """Whether the JSON value is a decision or a list of decisions."""
    documents = value if isinstance(value, list) else [value]
    return any(isinstance(d, dict) and str(d.get("schema", "")).startswith(schema.FAMILY) for d in documents)


def read(root: Node, sha256: str) -> File:
    """Return the file; raises `ForeignError`."""
    documents = root.value if isinstance(root.value, list) else [root.value]
    found, skipped = [], []
    for document in documents:
        try:
            schema.validate(document)
        except SchemaError as error:
            raise ForeignError(f"{root.file}: {error}") from error
        if document["pairs"]:
            found.append(_decision(document, root))
        else:
            skipped.append(f"{document['id']}: no pair was measured")
    environments = [document["environment"] or {} for document in documents]
    environment = environments[0]
    return File(
        name=root.file,
        sha256=sha256,
        tool=TOOL,
        version=str((environment.get("packages") or {}).get("pytest-optbench") or ""),
        benchmarks=numbered(found),
        machine={key: _machine(environments, key) for key in _MACHINE},
        facts={
            "python": environment.get("python"),
            "implementation": environment.get("implementation"),
            "recorded": documents[0]["started"],
        },
        skipped=tuple(skipped),
    )


def _machine(environments: Sequence[Mapping[str, Any]], key: str) -> Any:
    """Return what all environments say; all that is said where an index holds decisions of several machines."""
    values = [environment.get(key) for environment in environments]
    if all(value == values[0] for value in values):
        return values[0]
    return " and ".join(sorted({str(value) for value in values}))


def _decision(document: Mapping[str, Any], root: Node) -> Recorded:
    place = f"the pairs of {document['id']}"
    times = {
        arm: tuple(
            Node(pair[f"{arm}_s"], root.file, TOOL, f"{place}, {arm}_s").seconds()
            for pair in document["pairs"]
        )
        for arm in ("baseline", "optimized")
    }
    one_process = (document["protocol"] or {}).get("isolation") == "inline"

    def grouped(values: tuple[float, ...]) -> tuple[tuple[float, ...], ...]:
        return (values,) if one_process else tuple((value,) for value in values)

    peak = ((document["memory"] or {}).get("optimized") or {}).get("peak_bytes")
    return Recorded(
        name=document["id"],
        processes=grouped(times["optimized"]),
        control=grouped(times["baseline"]),
        control_code=((document["code"] or {}).get("baseline") or {}).get("sha256"),
        peak_bytes=(float(peak),) if isinstance(peak, int | float) else (),
    )
