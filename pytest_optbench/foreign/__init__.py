"""Files of other tools: read strictly, compared unpaired, written as the documents every decision gets.

    file -> load (bytes to JSON) -> one reader per tool -> `File` of `Recorded` benchmarks
    two files -> match (by name) -> core.unpaired (statistics, verdict) -> document -> report folder (judge)

Two files were recorded at different times. Whatever the machine did in between (another clock frequency, another
neighbour, another day) is in the difference and in no interval, so nothing read here is ever accepted.
"""

from __future__ import annotations

from .compare import Comparison, compare_files
from .errors import ForeignError
from .judge import Judged, judge_files
from .load import read_file
from .recorded import File, Recorded, Summary

__all__ = [
    "Comparison",
    "File",
    "ForeignError",
    "Judged",
    "Recorded",
    "Summary",
    "compare_files",
    "judge_files",
    "read_file",
]
