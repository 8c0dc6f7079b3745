"""A program that writes to a store until it is killed; used by the tests of the store."""

from __future__ import annotations

import sys
from pathlib import Path

from optengine.rules.store import Store


def main() -> None:
    store = Store(Path(sys.argv[1]))
    print("ready", flush=True)
    number = 0
    while True:
        number += 1
        body = {"status": "PASS", "message": "x" * 2000, "evidence": number}
        traces = {f"t{sys.argv[2]}-{number}": {"records": [], "parts": []}}
        store.save([(f"key{number % 50}", f"t{sys.argv[2]}-{number}", body)], traces, {"R": 0.5})


if __name__ == "__main__":
    main()
