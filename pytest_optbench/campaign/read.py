"""A campaign file (TOML) becomes one frozen `Campaign`, or an error that names the place and the cure.

Everything in the file is foreign text: test ids are checked so that none can be an option of pytest, a file
of arguments, or a path out of the project.
"""

from __future__ import annotations

import hashlib
import math
import re
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, Final

from pytest_optbench.options import OptionError, parse_time_saved

from .errors import CampaignError

TOGETHER: Final = "together"
"""The id under which measuring the accepted set together is kept in the ledger."""

DEFAULT_TIMEOUT_S: Final = 3600.0
DEFAULT_RETRIES: Final = 1
DEFAULT_TOLERANCE: Final = 0.05

_ID: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_MISSING: Final = object()


@dataclass(frozen=True)
class Variant:
    """One thing to measure: a candidate as first proposed, or an alternative to it.

    ``expected`` is the forecast time saved, a fraction; ``builds_on`` is the id of the variant whose
    optimized arm is the baseline of this test, None when it starts from the campaign's baseline.
    """

    id: str
    title: str
    test: str
    expected: float | None
    builds_on: str | None
    notes: str | None


@dataclass(frozen=True)
class Candidate:
    """One optimization: its rank and its variants, the candidate itself first, then its alternatives."""

    rank: int
    variants: tuple[Variant, ...]

    @property
    def id(self) -> str:
        """The id of the candidate itself."""
        return self.variants[0].id

    @property
    def title(self) -> str:
        """The title of the candidate itself."""
        return self.variants[0].title


@dataclass(frozen=True)
class StopRule:
    """When to stop although candidates are left; at least one rule is set.

    ``expected_below``: the best forecast among those left is below this fraction of time saved.
    ``rejections_in_a_row``: so many candidates were rejected one after another, alternatives included.
    ``time_budget_s``: all attempts together took this many seconds.
    """

    expected_below: float | None
    rejections_in_a_row: int | None
    time_budget_s: float | None


@dataclass(frozen=True)
class Campaign:
    """A campaign as its file states it; candidates are in the order of their ranks.

    ``root`` is where pytest runs, ``folder`` holds ledger and reports; both are absolute. ``alpha`` is the
    error rate over all claims, ``timeout_s`` the longest one pytest run may take, ``retries`` how often a
    decision that only the noise of the machine left open is measured again, ``tolerance`` the difference
    between product and direct measurement that is no disagreement, a fraction of the time; ``digest`` is the
    SHA-256 of the file.
    """

    title: str
    root: Path
    folder: Path
    candidates: tuple[Candidate, ...]
    together: str | None
    stop: StopRule
    alpha: float
    timeout_s: float
    retries: int
    tolerance: float
    digest: str

    def variants(self) -> Iterable[Variant]:
        """Yield every variant, by rank."""
        for candidate in self.candidates:
            yield from candidate.variants


def read_campaign(path: Path) -> Campaign:
    """Return the campaign that file ``path`` states; raises `CampaignError`."""
    try:
        data = path.read_bytes()
        content = tomllib.loads(data.decode("utf-8"))
    except OSError as error:
        raise CampaignError(
            f"a campaign must be a readable file, received {path.name!r}: {error.strerror}; name another"
        ) from error
    except (UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise CampaignError(f"{path.name} must be TOML: {error}; correct it there") from error
    top = _Table(content, path.name)
    head = top.table("campaign")
    root = _root(head, path)
    stop = _stop(top.table("stop"))
    folder = _inside(head, "report_dir", root, f"reports/{path.stem}")
    title = head.text("title", path.stem)
    alpha = head.number("alpha", 0.05, above=0.0, at_most=0.5)
    timeout = head.number("timeout", DEFAULT_TIMEOUT_S, above=0.0)
    retries = head.whole("retries", DEFAULT_RETRIES, least=0)
    tolerance = head.time_saved("tolerance")
    together = _test(head, TOGETHER, root) if head.has(TOGETHER) else None
    head.end()
    tables = top.tables("candidates")
    top.end()
    if not tables:
        raise CampaignError(f"{path.name}: a campaign needs at least one [[candidates]] table; add one")
    candidates = tuple(sorted((_candidate(table, root) for table in tables), key=lambda each: each.rank))
    _check_unique(path.name, candidates, together)
    _check_order(path.name, candidates)
    digest = hashlib.sha256(data).hexdigest()
    return Campaign(
        title=title, root=root, folder=folder, candidates=candidates, together=together, stop=stop,
        alpha=alpha, timeout_s=timeout, retries=retries,
        tolerance=DEFAULT_TOLERANCE if tolerance is None else tolerance, digest=digest,
    )  # fmt: skip


class _Table:
    """A TOML table whose keys are taken one by one; `end` refuses what nobody asked for."""

    def __init__(self, content: Mapping[str, Any], where: str) -> None:
        self._content = dict(content)
        self._known: list[str] = []
        self.where = where

    def has(self, key: str) -> bool:
        return key in self._content

    def take(self, key: str, default: Any = _MISSING) -> Any:
        self._known.append(key)
        value = self._content.pop(key, default)
        if value is _MISSING:
            raise CampaignError(f"{self.where}: the key {key!r} is missing; add it")
        return value

    def wrong(self, key: str, must: str, received: object) -> CampaignError:
        return CampaignError(f"{self.where}: {key} must be {must}, received {received!r}")

    def text(self, key: str, default: Any = _MISSING) -> str:
        value = self.take(key, default)
        if not isinstance(value, str) or not value.strip() or "\0" in value:
            raise self.wrong(key, "text that is not empty", value)
        return value

    def optional_text(self, key: str) -> str | None:
        return self.text(key) if self.has(key) else self.take(key, None)

    def whole(self, key: str, default: Any = _MISSING, least: int = 1) -> int:
        value = self.take(key, default)
        if isinstance(value, bool) or not isinstance(value, int) or value < least:
            raise self.wrong(key, f"a whole number from {least}", value)
        return value

    def number(self, key: str, default: Any = _MISSING, *, above: float, at_most: float = math.inf) -> float:
        value = self.take(key, default)
        usable = isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)
        if not (usable and above < value <= at_most):
            limit = f" and at most {at_most:g}" if math.isfinite(at_most) else ""
            raise self.wrong(key, f"a number above {above:g}{limit}", value)
        return float(value)

    def time_saved(self, key: str) -> float | None:
        if not self.has(key):
            return self.take(key, None)  # type: ignore[no-any-return]
        value = self.take(key)
        try:
            if not isinstance(value, (str, int, float)) or isinstance(value, bool):
                raise OptionError(f"must be text or a number, received {value!r}")
            return parse_time_saved(value)
        except OptionError as error:
            raise CampaignError(f"{self.where}: {key}: {error}") from error

    def table(self, key: str) -> _Table:
        value = self.take(key)
        if not isinstance(value, dict):
            raise self.wrong(key, f"a table [{key}]", value)
        return _Table(value, f"{self.where}: [{key}]")

    def tables(self, key: str) -> list[_Table]:
        value = self.take(key, [])
        if not isinstance(value, list) or not all(isinstance(each, dict) for each in value):
            raise self.wrong(key, "a list of tables", value)
        return [_Table(each, f"{self.where}: {key} {number}") for number, each in enumerate(value, start=1)]

    def end(self) -> None:
        if self._content:
            names = ", ".join(repr(key) for key in self._content)
            raise CampaignError(f"{self.where} knows the keys {', '.join(self._known)}; received {names}")


def _root(head: _Table, path: Path) -> Path:
    """Return the project's folder: the file's own, or one above it, as ``root`` says."""
    here = path.resolve().parent
    root = (here / head.text("root", ".")).resolve()
    if not here.is_relative_to(root) or not root.is_dir():
        raise head.wrong("root", "a folder that holds the campaign file, such as '.' or '..'", str(root.name))
    return root


def _inside(head: _Table, key: str, root: Path, default: str) -> Path:
    """Return a folder below ``root``; links are followed before it is judged."""
    text = head.text(key, default)
    folder = (root / text).resolve()
    if PurePosixPath(text).is_absolute() or folder == root or not folder.is_relative_to(root):
        raise head.wrong(key, "a folder inside the project, relative to its root", text)
    return folder


def _stop(table: _Table) -> StopRule:
    rule = StopRule(
        expected_below=table.time_saved("expected_below"),
        rejections_in_a_row=table.whole("rejections_in_a_row") if table.has("rejections_in_a_row") else None,
        time_budget_s=table.number("time_budget", above=0.0) if table.has("time_budget") else None,
    )
    if rule == StopRule(None, None, None) and not table._content:
        raise CampaignError(
            f"{table.where} must state when to stop before anything is measured: expected_below = '3%', "
            "rejections_in_a_row = 3 or time_budget = 3600 (seconds)"
        )
    table._known = ["expected_below", "rejections_in_a_row", "time_budget"]
    table.end()
    return rule


def _candidate(table: _Table, root: Path) -> Candidate:
    identity = _identity(table)
    rank = table.whole("rank")
    first = _variant(table, identity, root, None)
    alternatives = table.tables("alternatives")
    table.end()
    others = []
    for each in alternatives:
        others.append(_variant(each, _identity(each), root, first.builds_on))
        each.end()
    return Candidate(rank, (first, *others))


def _identity(table: _Table) -> str:
    identity = table.text("id")
    if not _ID.fullmatch(identity) or identity == TOGETHER:
        raise table.wrong(
            "id", f"up to 64 letters, digits, '.', '_' or '-', beginning with a letter or digit, "
            f"and not {TOGETHER!r}", identity,
        )  # fmt: skip
    table.where = f"{table.where} (id {identity!r})"
    return identity


def _variant(table: _Table, identity: str, root: Path, builds_on: str | None) -> Variant:
    """Return the variant; an alternative builds on what its candidate builds on, unless it says otherwise."""
    return Variant(
        id=identity,
        title=table.text("title", identity),
        test=_test(table, "test", root),
        expected=table.time_saved("expected"),
        builds_on=table.text("builds_on") if table.has("builds_on") else table.take("builds_on", builds_on),
        notes=table.optional_text("notes"),
    )


def _test(table: _Table, key: str, root: Path) -> str:
    """Return a test id that names one test of an existing file of the project, and nothing else to pytest."""
    test = table.text(key)
    path, colons, name = test.partition("::")
    must = "the id of one test, such as 'benchmarks/test_pool.py::test_kept'"
    if test[0] in "-@" or any(not char.isprintable() for char in test):
        raise table.wrong(key, f"{must}, not an option or a file of arguments", test)
    if not colons or not name:
        raise table.wrong(key, must, test)
    pure = PurePosixPath(path)
    if pure.is_absolute() or ".." in pure.parts or "\\" in path or pure.as_posix() != path:
        raise table.wrong(key, f"{must}, its path relative to the project's root and without detours", test)
    file = (root / path).resolve()
    if not file.is_relative_to(root) or not file.is_file():
        raise table.wrong(key, f"{must}, of a file inside the project", test)
    return test


def _check_unique(where: str, candidates: tuple[Candidate, ...], together: str | None) -> None:
    variants = [variant for candidate in candidates for variant in candidate.variants]
    tests = [variant.test for variant in variants] + ([together] if together else [])
    ranks = [str(candidate.rank) for candidate in candidates]
    ids = [variant.id for variant in variants]
    for what, values in (("rank", ranks), ("id", ids), ("test", tests)):
        twice = sorted({value for value in values if values.count(value) > 1})
        if twice:
            raise CampaignError(f"{where}: every {what} may appear once, received {', '.join(twice)} twice")


def _check_order(where: str, candidates: tuple[Candidate, ...]) -> None:
    """Refuse ``builds_on`` that names nothing, goes in a circle, or names what is evaluated later."""
    variants = {v.id: v for candidate in candidates for v in candidate.variants}
    ranks = {v.id: candidate.rank for candidate in candidates for v in candidate.variants}
    for variant in variants.values():
        if variant.builds_on is not None and variant.builds_on not in variants:
            raise CampaignError(
                f"{where}: builds_on of {variant.id!r} must name the id of a candidate or an alternative, "
                f"received {variant.builds_on!r}"
            )
    for variant in variants.values():
        path = [variant.id]
        while (base := variants[path[-1]].builds_on) is not None:
            path.append(base)
            if base in path[:-1]:
                circle = " -> ".join(path[path.index(base) :])
                raise CampaignError(f"{where}: builds_on must not go in a circle, received {circle}")
    for variant in variants.values():
        base = variant.builds_on
        if base is not None and ranks[base] >= ranks[variant.id]:
            raise CampaignError(
                f"{where}: builds_on of {variant.id!r} (rank {ranks[variant.id]}) must name a candidate of a "
                f"lower rank, which is evaluated before it; received {base!r} (rank {ranks[base]})"
            )
