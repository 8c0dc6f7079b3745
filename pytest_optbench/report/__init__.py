"""Reports: a decision document becomes markdown, a plot, a line on the terminal, an annotation.

    decision (dict) -> rows (display strings) -> markdown | html | terminal | github | junit
                    -> series (numbers)       -> plots (SVG files) | charts (in the page) | pictures (PNG)

Every reporter is a pure function of the document; `write` alone touches files. Escaping is the reporter's
duty, never the caller's (`escape`).
"""

from __future__ import annotations

from .write import Index, Paths, write_decision, write_index, write_pictures

__all__ = ["Index", "Paths", "write_decision", "write_index", "write_pictures"]
