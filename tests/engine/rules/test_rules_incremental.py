"""A cached run always equals a cold run, and only rules that looked at a change run again."""

from __future__ import annotations

import importlib
import os
import random
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from optengine import PersistentWorkerPool
from optengine.rules import Context, Outcome, ProcessPoolValidator, Report, RuleSet
from optengine.rules.store import FILE_NAME

SOURCE = '''
"""Rules that are edited while the test runs."""
from optengine.rules import RuleSet

LIMIT = {limit}
RULES = RuleSet()


@RULES.shared("sizes", scope="{scope}")
def sizes(ctx):
    return {{path: len(ctx.fs.read_bytes(path)) for path in ctx.fs.glob("**/*.txt")}}


@RULES.shared("words")
def words(ctx):
    return {{path: ctx.fs.read(path, errors="replace").split() for path in ctx.fs.glob("d0/**/*.txt")}}


@RULES.rule("TOTAL", group="sizes")
def total(ctx):
    whole = sum(ctx.shared("sizes").values())
    return ctx.passed(str(whole)) if whole < LIMIT * 100 else ctx.failed(str(whole), {{"limit": LIMIT}})


@RULES.rule("NAMES")
def names(ctx):
    return ctx.passed(evidence=ctx.fs.glob("**/*.{{txt,md}}"))


@RULES.rule("LISTING")
def listing(ctx):
    return ctx.passed(evidence={{name: ctx.fs.kind(name) for name in ctx.fs.listdir()}})


@RULES.rule("ABSENT", severity="LOW")
def absent(ctx):
    return "forbidden file" if ctx.fs.exists("d1/f1.txt") else ""


@RULES.rule("FIRST")
def first(ctx):
    for number in range(4):
        if ctx.fs.is_file(f"d{{number}}/f0.txt"):
            return ctx.passed(ctx.fs.read(f"d{{number}}/f0.txt", errors="replace")[:{width}])
    return ctx.failed("none")


@RULES.rule("WORDS", group="words", requires=["FIRST"])
def count(ctx):
    return ctx.passed(str(sum(map(len, ctx.shared("words").values()))), ctx.result("FIRST").message)


@RULES.rule("CHAIN", requires=["WORDS", "TOTAL"])
def chain(ctx):
    return ctx.passed(ctx.result("TOTAL").message)


@RULES.rule("ENV")
def env(ctx):
    return ctx.passed(ctx.env("OPTENGINE_TEST_RULES"))


@RULES.rule("SIZE")
def size(ctx):
    return ctx.passed(evidence=[ctx.fs.size(path) for path in ctx.fs.glob("d2/*") if ctx.fs.is_file(path)])
'''


class Editor:
    """Makes random changes to a tree, to the rules and to the environment."""

    def __init__(self, root: Path, modules: Path, seed: int) -> None:
        self.root = root
        self.modules = modules
        self.chance = random.Random(seed)
        self.code = {"limit": 3, "width": 5, "scope": "run"}
        self.number = 0
        for _ in range(12):
            self._write()

    def _path(self) -> Path:
        folder = self.chance.choice(["d0", "d1", "d2", "d0/deep"])
        return self.root / folder / f"f{self.chance.randrange(4)}.{self.chance.choice(['txt', 'md'])}"

    def _write(self) -> None:
        path = self._path()
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("word " * self.chance.randrange(12))

    def _existing(self) -> Path | None:
        files = sorted(path for path in self.root.rglob("*") if path.is_file())
        return self.chance.choice(files) if files else None

    def change(self) -> str:
        """Do one random change and name it."""
        kind = self.chance.choice(
            [
                "write",
                "same size",
                "delete",
                "rename",
                "folder",
                "touch",
                "code",
                "environment",
                "nothing",
                "undo",
            ]
        )
        file = self._existing()
        if kind == "write":
            self._write()
        elif kind == "code":
            name = self.chance.choice(sorted(self.code))
            values = {"limit": [1, 2, 3], "width": [2, 5, 9], "scope": ["run", "worker"]}[name]
            self.code[name] = self.chance.choice(values)
        elif kind == "environment":
            os.environ["OPTENGINE_TEST_RULES"] = str(self.chance.randrange(2))
        elif kind == "folder":
            (self.root / f"empty{self.chance.randrange(2)}").mkdir(exist_ok=True)
        elif file is not None and kind == "same size":
            old = file.stat()
            file.write_bytes(bytes(self.chance.choices(b"abc ", k=old.st_size)))
            os.utime(file, ns=(old.st_atime_ns, old.st_mtime_ns))
        elif file is not None and kind == "delete":
            file.unlink()
        elif file is not None and kind == "rename":
            target = self._path()
            target.parent.mkdir(parents=True, exist_ok=True)
            file.replace(target)
        elif file is not None and kind == "touch":
            file.touch()
        return kind

    def rules(self) -> RuleSet:
        """The rules with the current code, imported afresh under a name of their own."""
        text = SOURCE.format(**self.code)
        name = f"edited_rules_{abs(hash(tuple(self.code.values())))}"
        file = self.modules / f"{name}.py"
        if not file.exists():
            file.write_text(text)
            importlib.invalidate_caches()
        found: RuleSet = importlib.import_module(name).RULES
        return found


@pytest.fixture
def modules(tmp_path: Path) -> Iterator[Path]:
    folder = tmp_path / "modules"
    folder.mkdir()
    sys.path.insert(0, str(folder))
    yield folder
    sys.path.remove(str(folder))
    os.environ.pop("OPTENGINE_TEST_RULES", None)


@pytest.mark.parametrize("seed", range(6))
def test_a_cached_run_equals_a_cold_run_after_any_change(tmp_path: Path, modules: Path, seed: int) -> None:
    """After each of many random changes to files, code and environment the cached verdicts are the cold
    ones."""
    tree = tmp_path / "tree"
    tree.mkdir()
    editor = Editor(tree, modules, seed)
    hits = 0
    for step in range(25):
        kind = editor.change()
        rules = editor.rules()
        mode = "threads" if step % 5 == 0 else "sequential"
        cached = ProcessPoolValidator(tree, rules, mode=mode, cache_dir=tmp_path / "cache").validate()
        cold = ProcessPoolValidator(tree, rules, mode="sequential").validate()
        assert cached.verdicts == cold.verdicts, (seed, step, kind)
        assert cached.stats.uncached == {}
        hits += cached.stats.cache_hits
    assert hits > 60


def test_worker_processes_fill_and_obey_the_store(tmp_path: Path, modules: Path) -> None:
    """Results and traces that worker processes send home are as good as those made here."""
    tree = tmp_path / "tree"
    tree.mkdir()
    editor = Editor(tree, modules, 99)
    os.environ.pop("OPTENGINE_TEST_RULES", None)
    with PersistentWorkerPool(max_workers=2, max_attempts=1) as pool:
        for step in range(6):
            rules = editor.rules()
            cached = ProcessPoolValidator(
                tree, rules, mode="processes", max_workers=2, cache_dir=tmp_path / "cache", pool=pool
            ).validate()
            cold = ProcessPoolValidator(tree, rules, mode="sequential").validate()
            assert cached.verdicts == cold.verdicts, step
            again = ProcessPoolValidator(
                tree, rules, mode="sequential", cache_dir=tmp_path / "cache"
            ).validate()
            assert again.verdicts == cold.verdicts, step
            decided = [one for one in cold.results if one.status in ("PASS", "FAIL")]
            assert again.stats.cache_hits == len(decided)
            editor._write()


def looks_at(name: str) -> RuleSet:
    """Three rules: one reads a file, one lists its folder, one looks at neither."""
    rules = RuleSet()
    rules.add("reads", Reads("d/a.txt"))
    rules.add("other", Reads("d/b.txt"))
    rules.add("lists", Lists("d"))
    return rules


class Reads:
    """A rule that reads one file."""

    def __init__(self, path: str) -> None:
        self.path = path

    def __call__(self, ctx: Context) -> Outcome:
        """Pass with the content."""
        return ctx.passed(ctx.fs.read(self.path))


class Lists:
    """A rule that lists one folder."""

    def __init__(self, path: str) -> None:
        self.path = path

    def __call__(self, ctx: Context) -> Outcome:
        """Pass with the names."""
        return ctx.passed(evidence=ctx.fs.listdir(self.path))


def ran(report: Report) -> list[str]:
    """Ids of the rules that were run, not taken from the store."""
    return [one.rule_id for one in report.results if not one.cached]


def test_only_rules_that_looked_at_a_change_run_again(tmp_path: Path) -> None:
    """A changed file runs its readers, a new file runs the listers, a change of configuration runs all."""
    tree = tmp_path / "tree"
    (tree / "d").mkdir(parents=True)
    (tree / "d" / "a.txt").write_text("a")
    (tree / "d" / "b.txt").write_text("b")

    def validate(**more: object) -> Report:
        options = {"mode": "sequential", "cache_dir": tmp_path / "cache", **more}
        return ProcessPoolValidator(tree, looks_at("x"), **options).validate()  # type: ignore[arg-type]

    assert ran(validate()) == ["reads", "other", "lists"]
    assert ran(validate()) == []
    (tree / "d" / "a.txt").write_text("new")
    assert ran(validate()) == ["reads"]
    (tree / "d" / "c.txt").write_text("c")
    assert ran(validate()) == ["lists"]
    (tree / "unrelated.txt").write_text("x")
    assert ran(validate()) == []
    (tree / "d" / "a.txt").write_text("a")
    (tree / "d" / "c.txt").unlink()
    assert ran(validate()) == [], "results of earlier states are still there"
    assert ran(validate(config={"x": 1})) == ["reads", "other", "lists"]
    assert ran(validate(config={"x": 1})) == []
    assert ran(validate(ignored=["c.txt"])) == ["reads", "other", "lists"]


def test_what_cannot_be_digested_is_run_every_time(tmp_path: Path) -> None:
    """A rule, a builder or a configuration without a digest is never cached, and the report says why."""
    live = Path(os.devnull).open("rb")  # noqa: SIM115 - a live object is the point
    with live:
        rules = RuleSet()
        rules.shared("odd")(lambda ctx: [live.name] and 1)
        rules.add("closure", lambda ctx: bool(live.name))
        rules.add("builder", uses_odd)
        rules.add("plain", Lists("."))
        for _ in range(2):
            report = ProcessPoolValidator(
                tmp_path, rules, mode="sequential", cache_dir=tmp_path / ".c"
            ).validate()
            assert report.counts["PASS"] == 3
        assert ran(report) == ["closure", "builder"]
        assert "its code cannot be digested: a live _io.BufferedReader" in report.stats.uncached["closure"]
        assert "shared input 'odd': undigestable" in report.stats.uncached["builder"]
        config = {"live": live}
        report = ProcessPoolValidator(
            tmp_path, rules, mode="sequential", cache_dir=tmp_path / ".c", config=config
        ).validate()
        assert "the configuration cannot be digested" in report.stats.uncached["plain"]
        assert ran(report) == ["closure", "builder", "plain"]


def uses_odd(ctx: Context) -> bool:
    """Pass when the odd input is there."""
    return bool(ctx.shared("odd"))


def test_errors_are_never_cached(tmp_path: Path) -> None:
    """Only PASS and FAIL are results about the tree; everything else is tried again."""
    rules = RuleSet()
    rules.add("raises", Reads("missing"))
    rules.add("none", returns_none)
    for _ in range(2):
        report = ProcessPoolValidator(tmp_path, rules, mode="sequential", cache_dir=tmp_path / "c").validate()
        assert ran(report) == ["raises", "none"]


def returns_none(ctx: Context) -> None:
    """Say nothing."""


def test_the_cache_inside_of_the_tree_changes_nothing(tmp_path: Path) -> None:
    """A cache folder below the root is not part of the tree, so filling it does not change what rules see."""
    rules = RuleSet()
    rules.add("lists", Lists("."))
    for expected in (["lists"], []):
        report = ProcessPoolValidator(
            tmp_path, rules, mode="sequential", cache_dir=tmp_path / "deep" / "c"
        ).validate()
        assert ran(report) == expected


@pytest.mark.parametrize("mode", ["sequential", "processes"])
def test_the_root_itself_may_be_the_cache_folder(tmp_path: Path, mode: str) -> None:
    """Files of a store in the root are not part of the tree, also after one was moved aside as broken; others are."""
    rules = RuleSet()
    rules.add("lists", Lists("."))
    for expected in (["lists"], [], ["lists"]):
        report = ProcessPoolValidator(
            tmp_path, rules, mode=mode, max_workers=1, cache_dir=tmp_path
        ).validate()
        assert ran(report) == expected
        assert report.results[0].evidence == []
        if not expected:
            (tmp_path / FILE_NAME).write_text("no database")
    (tmp_path / "new.txt").touch()
    report = ProcessPoolValidator(tmp_path, rules, mode=mode, max_workers=1, cache_dir=tmp_path).validate()
    assert report.results[0].evidence == ["new.txt"]


def test_a_store_that_is_lost_meanwhile_costs_no_result(tmp_path: Path) -> None:
    """When the cache folder is removed during the run every rule has its result, and the report says what was not
    kept."""
    (tmp_path / "tree").mkdir()
    rules = RuleSet()
    rules.add("lists", Lists("."))
    rules.add("after", Lists("."), requires=["lists"])
    report = ProcessPoolValidator(
        tmp_path / "tree",
        rules,
        mode="sequential",
        cache_dir=tmp_path / "c",
        on_result=lambda one: shutil.rmtree(tmp_path / "c", ignore_errors=True),
    ).validate()
    assert report.counts["PASS"] == 2
    assert set(report.stats.uncached) == {"lists", "after"}
    assert report.stats.uncached["lists"].startswith("the store could not be written: unable to open")


def test_a_damaged_store_gives_a_cold_run(tmp_path: Path) -> None:
    """When the store's file is destroyed the run is a cold one with the same verdicts."""
    (tmp_path / "tree").mkdir()
    rules = RuleSet()
    rules.add("lists", Lists("."))
    options = {"mode": "sequential", "cache_dir": tmp_path / "c"}
    first = ProcessPoolValidator(tmp_path / "tree", rules, **options).validate()  # type: ignore[arg-type]
    for file in (tmp_path / "c").iterdir():
        file.write_bytes(b"garbage" * 1000)
    again = ProcessPoolValidator(tmp_path / "tree", rules, **options).validate()  # type: ignore[arg-type]
    assert ran(again) == ["lists"]
    assert again.verdicts == first.verdicts
