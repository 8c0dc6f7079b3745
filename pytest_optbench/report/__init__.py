"""Reports: a decision document becomes markdown, a plot, a line on the terminal, an annotation.

    decision (dict) -> rows (display strings) -> markdown | plots | terminal | github | junit

Every reporter is a pure function of the document; `write` alone touches files. Escaping is the reporter's
duty, never the caller's (`escape`).
"""

from __future__ import annotations

from .write import Index, Paths, write_decision, write_index

__all__ = ["Index", "Paths", "write_decision", "write_index"]
