"""Rule sets to measure with, over the sources of the standard library (or any folder of Python files).

heavy   384 rules: 24 analyses of each of 16 shards of the tree, in 9 batches, one group per shard. CPU-bound.
light   75 cheap rules that share one parsed input: what linters look like. Grouping decides here.
tiny    384 rules of about 0.1 ms: a pool must lose.
files   96 rules that each read a few files: for incremental runs.

Every rule is a picklable object of this module. Verdicts are deterministic.
"""

from __future__ import annotations

import ast
import sysconfig
import time
import warnings
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from optengine.rules import Context, Outcome, RuleSet
from optengine.rules.parsing import parse_python

SHARDS = 16
ANALYSES = 24
LAYERS = 9
LIGHT_RULES = 75
TINY_RULES = 384
FILE_RULES = 96
IGNORED = (
    "__pycache__",
    "site-packages",
    "test",
    "tests",
    "idlelib",
    "lib2to3",
    "turtledemo",
    "config-*",
    "*.so",
)

Trees = dict[str, ast.Module]


def standard_library() -> Path:
    """Folder of the standard library's sources."""
    return Path(sysconfig.get_paths()["stdlib"])


def shard_paths(ctx: Context, shard: int, total_bytes: int) -> list[str]:
    """Paths of one of 16 shards of nearly equal size, *total_bytes* in all, the same for every caller."""
    loads = [0] * SHARDS
    shards: list[list[str]] = [[] for _ in range(SHARDS)]
    sizes = sorted(((ctx.fs.size(path), path) for path in ctx.fs.glob("*.py")), reverse=True)
    limit = total_bytes / SHARDS
    for size, path in sizes:
        target = loads.index(min(loads))
        if loads[target] + size <= limit:
            loads[target] += size
            shards[target].append(path)
    return shards[shard]


def parse(ctx: Context, paths: list[str]) -> Trees:
    """Syntax trees of *paths*."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return {path: parse_python(ctx.fs.read_bytes(path)) for path in paths}


@dataclass(frozen=True)
class ShardTrees:
    """Builder of the parsed files of one shard."""

    shard: int
    total_bytes: int

    def __call__(self, ctx: Context) -> Trees:
        """Parse the shard."""
        return parse(ctx, shard_paths(ctx, self.shard, self.total_bytes))


def depth(tree: ast.AST) -> int:
    """Deepest nesting of nodes."""
    return 1 + max((depth(child) for child in ast.iter_child_nodes(tree)), default=0)


def kinds(tree: ast.AST) -> int:
    """Number of kinds of nodes, weighted by how often each comes."""
    return sum(count % 97 for count in Counter(type(node).__name__ for node in ast.walk(tree)).values())


def names(tree: ast.AST) -> int:
    """Number of different names."""
    return len({node.id for node in ast.walk(tree) if isinstance(node, ast.Name)})


def branches(tree: ast.AST) -> int:
    """Number of branching statements and expressions."""
    return sum(
        isinstance(node, ast.If | ast.For | ast.While | ast.IfExp | ast.BoolOp) for node in ast.walk(tree)
    )


def dumped(tree: ast.AST) -> int:
    """Length of the tree written out."""
    return len(ast.dump(tree))


def calls(tree: ast.AST) -> int:
    """Number of different things called."""
    return len({ast.dump(node.func) for node in ast.walk(tree) if isinstance(node, ast.Call)})


MEASURES: tuple[Callable[[ast.AST], int], ...] = (depth, kinds, names, branches, dumped, calls)


@dataclass(frozen=True)
class Analysis:
    """One CPU-bound rule: an analysis of a shard, repeated, compared with a bound."""

    number: int
    shard: int
    rounds: int

    def __call__(self, ctx: Context) -> Outcome:
        """Measure every file of the shard."""
        trees: Trees = ctx.shared(f"shard-{self.shard:02}")
        measure = MEASURES[self.number % len(MEASURES)]
        found = 0
        for _ in range(self.rounds):
            found = sum(measure(tree) for tree in trees.values())
        return ctx.passed(f"{measure.__name__}: {found}", evidence={"files": len(trees), "value": found})


def heavy(total_bytes: int = 800_000, rounds: int = 1) -> RuleSet:
    """384 CPU-bound rules in 9 batches and 16 groups; rules of a layer require one of the layer before."""
    rules = RuleSet()
    for shard in range(SHARDS):
        rules.shared(f"shard-{shard:02}")(ShardTrees(shard, total_bytes))
    for number in range(ANALYSES):
        layer = number * LAYERS // ANALYSES
        earlier = next((n for n in range(number) if n * LAYERS // ANALYSES == layer - 1), None)
        for shard in range(SHARDS):
            rules.add(
                f"H{number:02}-{shard:02}",
                Analysis(number, shard, rounds),
                requires=[] if earlier is None else [f"H{earlier:02}-{shard:02}"],
                group=f"shard-{shard:02}",
            )
    return rules


@dataclass(frozen=True)
class NodesByKind:
    """Builder of an index of all nodes of the tree by kind: expensive once, cheap to use."""

    total_bytes: int

    def __call__(self, ctx: Context) -> dict[str, list[ast.AST]]:
        """Parse one shard's worth of files and sort their nodes by kind."""
        found: dict[str, list[ast.AST]] = {}
        for shard in range(4):
            for tree in parse(ctx, shard_paths(ctx, shard, self.total_bytes)).values():
                for node in ast.walk(tree):
                    found.setdefault(type(node).__name__, []).append(node)
        return found


LIGHT_KINDS = (
    "Call",
    "Name",
    "If",
    "For",
    "Try",
    "Assert",
    "Raise",
    "Return",
    "Import",
    "ImportFrom",
    "Lambda",
    "Dict",
)


@dataclass(frozen=True)
class LightRule:
    """A cheap rule: look at the nodes of one kind."""

    number: int

    def __call__(self, ctx: Context) -> Outcome:
        """Count nodes of one kind on lines that fit."""
        nodes = ctx.shared("nodes").get(LIGHT_KINDS[self.number % len(LIGHT_KINDS)], [])
        found = sum(node.lineno % (self.number + 2) == 0 for node in nodes)
        return ctx.passed(str(found))


def light(total_bytes: int = 800_000, count: int = LIGHT_RULES) -> RuleSet:
    """Cheap rules of one group that share one expensive input."""
    rules = RuleSet()
    rules.shared("nodes")(NodesByKind(total_bytes))
    for number in range(count):
        rules.add(f"L{number:02}", LightRule(number), group="nodes")
    return rules


@dataclass(frozen=True)
class Spin:
    """A rule that looks at one file's size and works for a tenth of a millisecond."""

    number: int

    def __call__(self, ctx: Context) -> Outcome:
        """Spin, then pass."""
        there = ctx.fs.exists("os.py")
        end = time.perf_counter() + 1e-4
        while time.perf_counter() < end:
            pass
        return ctx.passed(str(self.number), evidence=there)


def tiny(count: int = TINY_RULES) -> RuleSet:
    """Rules of about 0.1 ms in 9 batches."""
    rules = RuleSet()
    per_layer = -(-count // LAYERS)
    for number in range(count):
        rules.add(
            f"T{number:03}",
            Spin(number),
            requires=[f"T{number - per_layer:03}"] if number >= per_layer else [],
        )
    return rules


@dataclass(frozen=True)
class FileRule:
    """A rule that parses its own few files, so that it depends on these and no others."""

    number: int
    count: int
    rounds: int

    def __call__(self, ctx: Context) -> Outcome:
        """Measure every *count*-th file."""
        paths = ctx.fs.glob("*.py")[self.number :: self.count]
        trees = parse(ctx, paths)
        total = 0
        for _ in range(self.rounds):
            total = sum(measure(tree) for tree in trees.values() for measure in MEASURES)
        return ctx.passed(str(total), evidence={"files": len(paths)})


def files(count: int = FILE_RULES, rounds: int = 1) -> RuleSet:
    """Rules that each read their own files."""
    rules = RuleSet()
    for number in range(count):
        rules.add(f"F{number:02}", FileRule(number, count, rounds))
    return rules
