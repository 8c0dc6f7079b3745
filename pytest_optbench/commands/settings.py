"""Options that a subcommand shares with pytest: the same words, ranges and messages, without the prefix."""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

from ..options import Settings, command_settings, option_help


def add_settings(
    parser: argparse.ArgumentParser, names: Sequence[str], words: Mapping[str, str] = MappingProxyType({})
) -> None:
    """Declare ``--min-speedup`` for ``min_speedup`` and so on; ``words`` explain those with another default."""
    for name in names:
        metavar, explained = option_help(name)
        kind: dict[str, Any] = {"action": "store_true"} if metavar is None else {"metavar": metavar}
        parser.add_argument(_flag(name), dest=name, default=None, help=words.get(name, explained), **kind)


def settings(chosen: argparse.Namespace, names: Sequence[str], defaults: Mapping[str, object]) -> Settings:
    """Return the settings of a command line; raises `OptionError` naming the option."""
    given = {name: getattr(chosen, name) for name in names if getattr(chosen, name) is not None}
    return command_settings({**defaults, **given})


def _flag(name: str) -> str:
    return f"--{name.replace('_', '-')}"
