"""Results from earlier runs: found again only when a cold run could give nothing else.

A result is stored under the rule's id, code, configuration, requirements and the engine's own code, with the
trace of what the rule looked at. It is taken when every record of one stored trace gives the same digest
today. Only PASS and FAIL are stored, and nothing of a rule that looked behind the context's back or whose
code cannot be digested.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from optengine.rules import changed, code, digest
from optengine.rules.adaptive import building_key
from optengine.rules.errors import Undigestable
from optengine.rules.evidence import error_text
from optengine.rules.execute import RawResult
from optengine.rules.model import CACHEABLE, Rule, RuleResult, Status
from optengine.rules.ruleset import RuleSet
from optengine.rules.snapshot import DiskSnapshot, Version
from optengine.rules.store import Entry, Store
from optengine.rules.trace import Scene, observe
from optengine.rules.tree import FileIndex

STARTUP_KEY = "(start-up of the pool)"


def builder_digests(rules: RuleSet) -> dict[str, str]:
    """Digest of the code of every shared input; one that cannot be digested gets a value that never
    matches."""
    found: dict[str, str] = {}
    for name, builder in rules.builders.items():
        try:
            found[name] = digest.of_json([builder.scope, code.of_callable(builder.build)])
        except Exception as error:  # noqa: BLE001 - looking at a user's objects may raise anything
            found[name] = f"undigestable: {_why(error)}"
    return found


def _why(error: Exception) -> str:
    return str(error) if isinstance(error, Undigestable) else error_text(error)


class ResultCache:
    """What the store knows about the rules of one run."""

    def __init__(
        self, store: Store, rules: RuleSet, config: Mapping[str, Any], ignored: Iterable[str]
    ) -> None:
        self.store = store
        self.uncached: dict[str, str] = {}
        self.timings = store.timings()
        self._keys: dict[str, str] = {}
        self._valid: dict[str, bool] = {}
        self._new: list[tuple[str, str, dict[str, Any]]] = []
        self._new_rules: list[str] = []
        self._new_traces: dict[str, dict[str, Any]] = {}
        self._new_timings: dict[str, float] = {}
        try:
            setting = digest.of_json([code.of_engine(), code.of_state(dict(config)), sorted(ignored)])
        except Exception as error:  # noqa: BLE001 - looking at a user's objects may raise anything
            self.uncached = {
                rule.id: f"the configuration cannot be digested: {_why(error)}" for rule in rules
            }
            setting = ""
        self.builders = builder_digests(rules)
        for rule in rules:
            self._add_key(rule, setting)
        self._entries: dict[str, list[Entry]] = store.entries(self._keys.values())
        wanted = (entry.trace for entries in self._entries.values() for entry in entries)
        self._traces = store.traces(wanted)

    def _add_key(self, rule: Rule, setting: str) -> None:
        if rule.id in self.uncached:
            return
        try:
            own = code.of_callable(rule.check)
        except Exception as error:  # noqa: BLE001 - looking at a user's objects may raise anything
            self.uncached[rule.id] = f"its code cannot be digested: {_why(error)}"
            return
        self._keys[rule.id] = digest.of_json([rule.id, own, setting, list(rule.requires), rule.title])

    def find(self, rule: Rule, scene: Scene) -> RuleResult | None:
        """The stored result that is still true for *scene*, or None. All requirements of *rule* must have
        passed."""
        for entry in self._entries.get(self._keys.get(rule.id, ""), ()):
            if self._holds(entry.trace, scene):
                body = entry.body
                return RuleResult(
                    rule_id=rule.id,
                    status=Status(body["status"]),
                    severity=rule.severity,
                    message=body["message"],
                    evidence=body["evidence"],
                    cached=True,
                    title=rule.title,
                )
        return None

    def _holds(self, name: str, scene: Scene) -> bool:
        known = self._valid.get(name)
        if known is None:
            trace = self._traces.get(name)
            known = (
                trace is not None
                and all(_same(scene, record) for record in trace["records"])
                and all(self._holds(part, scene) for part in trace["parts"])
            )
            self._valid[name] = known
        return known

    def keep(self, rule: Rule, raw: RawResult) -> None:
        """Take note of a fresh result; written by :meth:`write`."""
        self._new_timings[rule.id] = raw.seconds - raw.building_s
        building = building_key(rule.id)
        if raw.building_s or building in self.timings:
            self._new_timings[building] = raw.building_s
        if raw.status not in CACHEABLE:
            return
        if raw.unrecorded:
            self.uncached[rule.id] = "looked behind the context's back: " + "; ".join(raw.unrecorded[:3])
        undigested = [
            name for name in _builders_of(raw) if self.builders.get(name, "undigestable").startswith("undig")
        ]
        if undigested:
            self.uncached[rule.id] = (
                f"shared input {undigested[0]!r}: {self.builders.get(undigested[0], 'unknown')}"
            )
        if raw.trace is None or rule.id in self.uncached:
            return
        for trace in raw.trace.walk():
            self._new_traces[trace.digest] = trace.as_json()
        body = {"status": raw.status.value, "message": raw.message, "evidence": raw.evidence}
        self._new.append((self._keys[rule.id], raw.trace.digest, body))
        self._new_rules.append(rule.id)

    def keep_startup(self, seconds: float) -> None:
        """Take note of what starting the pool cost on this machine."""
        self._new_timings[STARTUP_KEY] = seconds

    def write(self) -> None:
        """Write everything noted since the last call in one transaction; a store that fails costs no result."""
        if self._new or self._new_timings:
            why = self.store.save(self._new, self._new_traces, self._new_timings)
            if why is not None:
                self.uncached.update(dict.fromkeys(self._new_rules, f"the store could not be written: {why}"))
        self._new, self._new_rules, self._new_traces, self._new_timings = [], [], {}, {}


def _same(scene: Scene, record: list[str]) -> bool:
    what, which, seen = record
    try:
        return observe(scene, what, which) == seen
    except ValueError:
        return False


def _builders_of(raw: RawResult) -> list[str]:
    if raw.trace is None:
        return []
    return [which for trace in raw.trace.walk() for what, which, _ in trace.records if what == "builder"]


def trusted_digests(store: Store, root: Path, revision: str, index: FileIndex) -> tuple[dict[str, str], str]:
    """Digests that need no check, and one line on what was done. Never raises for git: a full run is the
    answer."""
    try:
        commit = changed.resolve(root, revision)
        saved = store.manifest(changed.manifest_name(root, commit))
        if saved is None:
            return {}, f"full run: no earlier run saved digests for {revision} ({commit[:12]})"
        manifest = {path: (int(size), str(found)) for path, (size, found) in saved.items()}
        trusted = changed.unchanged(root, commit, manifest, index)
    except changed.GitError as error:
        return {}, f"full run: {error}"
    return trusted, f"{len(trusted)} files unchanged since {revision} ({commit[:12]}) were not read again"


def save_manifest(store: Store, root: Path, snapshot: DiskSnapshot) -> None:
    """Save digests of all files that are as in HEAD, for later ``--changed-since`` runs; nothing where git
    cannot tell."""
    try:
        commit = changed.resolve(root, "HEAD")
        name = changed.manifest_name(root, commit)
        if store.manifest(name) is not None:
            return
        asked_ns = time.time_ns()
        same = changed.tracked_unmodified(root, commit)
    except changed.GitError:
        return
    found: dict[str, tuple[int, str]] = {}
    for path in snapshot.index.files():
        if path in same:
            known = snapshot.file_digest(path)
            version = snapshot.learned.get(path, (None,))[0]
            # A file that changed between the run's look and git's look, or since, must not be saved as git saw it.
            if version is not None and version == _version_now(root / path) and max(version[1:3]) < asked_ns:
                found[path] = (snapshot.index.entries[path].size, known)
    store.save_manifest(name, found)


def _version_now(path: Path) -> Version | None:
    try:
        info = path.stat()
    except OSError:
        return None
    return (info.st_size, info.st_mtime_ns, info.st_ctime_ns, info.st_ino)
