"""Prove that an optimization is faster: paired measurements, honest statistics, a report and a gate.

The package is loaded by pytest through the ``pytest11`` entry point, so importing it must stay free:
nothing but the version lives here. Children of a measuring run load it before pytest (`child.launch`), hence
PYTEST_DONT_REWRITE.
"""

__version__ = "0.1.0"
