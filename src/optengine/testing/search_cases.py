"""What every search algorithm must satisfy: subclass, say how to make yours, inherit the tests.

    class TestMine(SearchCases):
        def make(self, seed):
            return MySearch({"x": {"type": "uniform", "low": 0, "high": 1}}, n_iter=40, seed=seed)

Run it with pytest, which this module does not import. Each run should take 20 to 200 trials.
"""

from __future__ import annotations

import hashlib
import json
from collections import deque
from collections.abc import Callable, Mapping
from typing import Any

from optengine.search.base import SearchAlgorithm, Suggestion
from optengine.search.errors import NotReadyError, SearchError

Score = Callable[[Suggestion], float | None]


def score_of(suggestion: Suggestion) -> float | None:
    """A repeatable score in [0, 1) that depends on every parameter and the budget, with ties now and then."""
    text = json.dumps([suggestion.params, suggestion.budget], sort_keys=True)
    return int(hashlib.sha256(text.encode()).hexdigest()[:8], 16) % 1000 / 1000


def sometimes_failing(suggestion: Suggestion) -> float | None:
    """Like ``score_of``, but about one point in five fails."""
    score = score_of(suggestion)
    assert score is not None
    return None if int(score * 1000) % 5 == 0 else score


def drive(
    algorithm: SearchAlgorithm, window: int = 4, score: Score = score_of, stop_after: int | None = None
) -> list[tuple[Suggestion, float | None]]:
    """Ask and tell as ``ParallelOptimizer`` does, in this process; (suggestion, score) in the order of the tells."""
    pending: deque[Suggestion] = deque()
    told: list[tuple[Suggestion, float | None]] = []
    while stop_after is None or len(told) < stop_after:
        if len(pending) < window and (suggestion := algorithm.ask()) is not None:
            pending.append(suggestion)
            continue
        if not pending:
            break
        first = pending.popleft()
        value = score(first)
        algorithm.tell(first.trial_id, value)
        told.append((first, value))
    return told


def rejects(call: Callable[[], object], kind: type[Exception], text: str) -> bool:
    """Whether the call raises this kind of error with this text in its message."""
    try:
        call()
    except kind as error:
        return text in str(error)
    return False


class SearchCases:
    """Tests of the contract in ``optengine.search.base``."""

    def make(self, seed: int) -> SearchAlgorithm:
        """A fresh algorithm with this seed and always the same configuration."""
        raise NotImplementedError

    def test_numbers_count_up_from_zero(self) -> None:
        """Trials are numbered 0, 1, 2, ... in the order they are asked, and a run reaches its announced total."""
        algorithm = self.make(1)
        told = drive(algorithm)
        assert [suggestion.trial_id for suggestion, _ in told] == list(range(len(told)))
        assert algorithm.is_complete()
        assert algorithm.total in (None, len(told))
        assert algorithm.ask() is None

    def test_equal_seeds_give_equal_runs(self) -> None:
        """Two objects with one seed, driven alike, ask the same points whatever the window."""
        for window in (1, 3, 16):
            first, second = (drive(self.make(7), window) for _ in range(2))
            assert json.dumps(first) == json.dumps(second)

    def test_points_are_plain_and_in_the_space(self) -> None:
        """Every point survives JSON and belongs to the space of the algorithm, if it has one."""
        algorithm = self.make(3)
        space = getattr(algorithm, "space", None)
        for suggestion, _ in drive(algorithm):
            assert isinstance(suggestion.params, dict)
            json.dumps(suggestion.params, allow_nan=False)
            if space is not None:
                space.check(suggestion.params)

    def test_best_is_the_first_of_the_highest(self) -> None:
        """``best`` is the highest score (at the largest budget), the first winning ties; failures never win."""
        algorithm = self.make(4)
        told = drive(algorithm, score=sometimes_failing)
        ranked = [
            ((suggestion.budget or 0.0), value, -suggestion.trial_id)
            for suggestion, value in told
            if value is not None
        ]
        best: Any = algorithm.best
        assert ((best.budget or 0.0), best.score, -best.trial_id) == max(ranked)

    def test_a_number_that_is_not_finite_is_a_failure(self) -> None:
        """NaN and the infinities are taken like None, so they neither win nor steer the search."""

        def strange(suggestion: Suggestion) -> float | None:
            value = sometimes_failing(suggestion)
            return (
                [float("nan"), float("inf"), -float("inf")][suggestion.trial_id % 3]
                if value is None
                else value
            )

        strange_run, plain_run = (
            drive(self.make(5), score=strange),
            drive(self.make(5), score=sometimes_failing),
        )
        assert [s for s, _ in strange_run] == [s for s, _ in plain_run]

    def test_a_search_where_everything_fails_ends(self) -> None:
        """A run whose trials all fail goes through to its end without a best."""
        algorithm = self.make(6)
        drive(algorithm, score=lambda _: None)
        assert algorithm.is_complete()
        assert algorithm.best is None

    def test_only_pending_trials_can_be_told(self) -> None:
        """Telling an unknown trial, or one trial twice, is an error that names it."""
        algorithm = self.make(8)
        suggestion = algorithm.ask()
        assert suggestion is not None
        assert rejects(lambda: algorithm.tell(99, 1.0), SearchError, "99")
        algorithm.tell(suggestion.trial_id, 1.0)
        assert rejects(lambda: algorithm.tell(0, 1.0), SearchError, "not told yet")

    def test_suggest_and_update_do_the_same(self) -> None:
        """The calls without trial numbers, several points pending, walk through the same points as ask and tell."""
        algorithm = self.make(9)
        pending: deque[dict[str, Any]] = deque()
        seen = []
        while True:
            if len(pending) < 3 and not algorithm.is_complete():
                try:
                    pending.append(algorithm.suggest())
                    continue
                except NotReadyError:
                    assert pending
            if not pending:
                break
            params = pending.popleft()
            seen.append(params)
            algorithm.update(params, score_of(Suggestion(0, params)))
        expected = drive(self.make(9), 3, score=lambda s: score_of(Suggestion(0, s.params)))
        assert seen == [suggestion.params for suggestion, _ in expected]
        assert rejects(lambda: algorithm.update({"no such": 1}, 1.0), SearchError, "no such")

    def test_an_ask_that_waits_changes_nothing(self) -> None:
        """Asking again and again while results are awaited gives None each time and leaves the run as it was."""
        impatient = self.make(10)
        pending: deque[Suggestion] = deque()
        points = []
        while True:
            suggestions = [impatient.ask() for _ in range(3)] if len(pending) < 6 else []
            pending.extend(s for s in suggestions if s is not None)
            if any(s is not None for s in suggestions) and len(pending) < 6:
                continue
            if not pending:
                break
            first = pending.popleft()
            points.append(first.params)
            impatient.tell(first.trial_id, score_of(first))
        assert impatient.is_complete()
        assert len(points) == impatient.asked

    def test_state_continues_the_run_exactly(self) -> None:
        """A state taken at any point and put through JSON continues with the same points and the same best."""
        whole = drive(self.make(11), score=sometimes_failing)
        for stop in (0, 1, 5, len(whole) // 2, len(whole)):
            first = self.make(11)
            before = drive(first, score=sometimes_failing, stop_after=stop)
            # Trials in flight when the state is taken are told to both in the same order.
            state: Mapping[str, Any] = json.loads(json.dumps(first.get_state()))
            second = self.make(11)
            second.set_state(state)
            assert second.best == first.best
            rest = [self.continued(algorithm) for algorithm in (first, second)]
            assert rest[0] == rest[1]
            assert len(before) + len(rest[0]) == len(whole)

    def continued(self, algorithm: SearchAlgorithm) -> list[str]:
        """Everything from here to the end, pending trials first, as text."""
        lines = []
        for trial_id, suggestion in list(algorithm._pending.items()):
            algorithm.tell(trial_id, sometimes_failing(suggestion))
            lines.append(json.dumps(suggestion))
        lines += [json.dumps(suggestion) for suggestion, _ in drive(algorithm, score=sometimes_failing)]
        return lines

    def test_a_state_of_another_search_is_refused(self) -> None:
        """A state taken under another seed is refused by name, and so is one put into a used object."""
        state = self.make(12).get_state()
        assert rejects(lambda: self.make(13).set_state(state), SearchError, "seed")
        used = self.make(12)
        used.ask()
        assert rejects(lambda: used.set_state(state), SearchError, "fresh")
