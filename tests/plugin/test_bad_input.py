"""Whatever a test does, it ends in a clear error or a stated verdict, and earlier reports survive."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from plugin_bench import FASTER, HANG_S, UNCHANGED, Bench


@pytest.mark.parametrize("mode", ["measuring", "plain"])
@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("pass", "*never called optbench.compare()*call one of them once*"),
        (
            "optbench.compare(baseline=fast, optimized=fast, gate='off')\n"
            "optbench.compare(baseline=fast, optimized=fast, gate='off')",
            "*one comparison*second call (optbench.compare)*mapping*",
        ),
        ("optbench.compare(baseline=3, optimized=fast)", "*baseline must be a callable, received 3*"),
        ("optbench.compare(baseline=fast, optimized=None)", "*optimized must be a callable, received None*"),
        (
            "optbench.compare(baseline=fast, optimized=fast, equal=3)",
            "*equal must be a callable, received 3*",
        ),
        ("optbench.measure(fast, setup='make')", "*setup must be a callable, received 'make'*"),
        (
            "optbench.compare(baseline=fast, optimized=lambda x: x)",
            "*arm 'optimized' must be callable without arguments*bind arguments with functools.partial*",
        ),
        (
            "optbench.compare(baseline=fast, optimized=lambda: (x for x in [1]))",
            "*arm 'optimized' must do its work when called, received a generator*",
        ),
        ("optbench.compare(baseline=fast, optimized={})", "*at least one candidate, received {}*"),
        (
            "optbench.compare(baseline=fast, optimized=fast, config=[1])",
            "*config must be a mapping*received [[]1]*",
        ),
        ("optbench.measure(fast, config=7)", "*config must be a mapping*received 7*"),
        (
            "optbench.compare(baseline=fast, optimized=fast, rank='first')",
            "*rank: must be a whole number, received 'first'*",
        ),
        ("optbench.compare(baseline=fast, optimized={'baseline': fast})", "*other than 'baseline'*"),
        (
            "optbench.compare(baseline=fast, optimized=fast, trails=12)",
            "*optbench.compare knows the keys*'trails'*",
        ),
        ("optbench.compare(baseline=fast, optimized=fast, trials=3)", "*at least 10 pairs*received 3*"),
    ],
)
def test_misuse_fails_the_test_with_its_cure(bench: Bench, mode: str, body: str, message: str) -> None:
    """Wrong use is reported in one message, measuring or not."""
    bench.body(body)
    result = bench.run_here() if mode == "measuring" else bench.plain_here()
    assert result.ret != 0
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines([message])
    assert "Traceback" not in result.stdout.str()
    result.stdout.no_fnmatch_line("*During handling of the above exception*")


def test_measure_needs_a_base(bench: Bench) -> None:
    """One callable has nothing to be compared with in a run without a base revision."""
    bench.body("optbench.measure(fast)")
    result = bench.run_here()
    assert result.ret == 1
    result.stdout.fnmatch_lines(["*judges one callable across git revisions*optbench.compare*"])


@pytest.mark.parametrize(
    "arms",
    [
        "baseline=slow, optimized=broken",
        "baseline=broken, optimized=fast",
        "baseline=slow, optimized=third_time",
    ],
)
def test_an_arm_that_raises_gets_a_verdict(bench: Bench, arms: str) -> None:
    """An exception in an arm is never an ACCEPT; its message and place are shown."""
    bench.body(
        "def broken():\n    raise RuntimeError('no data')\n"
        "calls = []\n"
        "def third_time():\n    calls.append(1)\n    if len(calls) > 2:\n        raise RuntimeError('no data')\n"
        "    return 7998000\n"
        f"optbench.compare({arms})"
    )
    result = bench.run_here()
    assert result.ret == 1
    document = bench.only()
    assert (document["verdict"], document["reasons"]) == ("INCONCLUSIVE", ["arm-raised"])
    result.stdout.fnmatch_lines(["*RuntimeError: no data*"])


@pytest.mark.parametrize("call", ["compare(baseline=fast, optimized=broken)", "measure(broken)"])
def test_an_arm_that_raises_in_a_plain_run_fails_as_any_test_would(bench: Bench, call: str) -> None:
    """Without ``--optbench`` the failure is the arm's own exception, at its own line."""
    bench.body(f"def broken():\n    raise RuntimeError('no data')\noptbench.{call}")
    result = bench.plain_here()
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*RuntimeError: no data*"])
    result.stdout.no_fnmatch_line("*ArmRaised*")


@pytest.mark.parametrize("way", ["skip", "xfail"])
@pytest.mark.parametrize("when", ["calls", "len(calls) > 2"])
def test_an_arm_that_skips_gets_a_verdict(bench: Bench, way: str, when: str) -> None:
    """A skip or an expected failure inside an arm does not end the test undecided: INCONCLUSIVE, and it fails."""
    bench.body(
        f"calls = []\ndef odd():\n    calls.append(1)\n    if {when}:\n        pytest.{way}('no data')\n"
        "    return 7998000\noptbench.compare(baseline=slow, optimized=odd)"
    )
    result = bench.run_here()
    assert result.ret == 1
    result.assert_outcomes(failed=1)
    document = bench.only()
    assert (document["verdict"], document["reasons"]) == ("INCONCLUSIVE", ["arm-raised"])
    result.stdout.fnmatch_lines(["*no data*"])


@pytest.mark.parametrize(
    "way", ["pytest.skip('no data')", "pytest.fail('no data')", "raise SystemExit('no data')"]
)
def test_an_equal_that_ends_the_test_finds_a_difference(bench: Bench, way: str) -> None:
    """Whatever ``equal`` raises says that the results differ; it cannot skip the test, nor end it undecided."""
    bench.body(f"def equal(a, b):\n    {way}\noptbench.compare(baseline=slow, optimized=fast, equal=equal)")
    result = bench.run_here()
    result.assert_outcomes(failed=1)
    document = bench.only()
    assert (document["verdict"], document["reasons"]) == ("REJECT", ["not-equivalent"])
    result.stdout.fnmatch_lines(["*not-equivalent*"])
    plain = bench.plain_here()
    plain.assert_outcomes(failed=1)
    plain.stdout.fnmatch_lines(["*equal=*raised*no data*"])


@pytest.mark.parametrize("way", ["skip", "xfail"])
def test_a_skip_in_the_body_of_a_test_stays_one(bench: Bench, way: str) -> None:
    """What a test itself says of its own fate, before it compares, is respected."""
    bench.file(FASTER + f"\ndef test_not_here(optbench):\n    import pytest\n    pytest.{way}('not here')\n")
    result = bench.run_here("--optbench-quick", "--optbench-gate=off")
    result.assert_outcomes(passed=1, skipped=int(way == "skip"), xfailed=int(way == "xfail"))
    assert len(bench.index()) == 1


def test_results_that_change_during_timing_are_rejected(bench: Bench) -> None:
    """Equivalence is checked again after timing, on fresh calls."""
    bench.body(
        "calls = []\n"
        "def decays():\n    calls.append(1)\n    return 7998000 if len(calls) < 60 else 0\n"
        "optbench.compare(baseline=slow, optimized=decays)"
    )
    assert bench.run_here("--optbench-quick").ret == 1
    document = bench.only()
    assert (document["verdict"], document["reasons"]) == ("REJECT", ["not-equivalent", "quick"])


def test_an_arm_that_sleeps_past_the_limit_is_inconclusive(bench: Bench) -> None:
    """An arm that never returns is interrupted; the run goes on with the next test."""
    bench.file(
        FASTER
        + "\nimport pytest\n\n@pytest.mark.optbench(max_time=2)\ndef test_hangs(optbench):\n    calls = []\n"
        "    def hangs():\n        calls.append(1)\n        time.sleep(600 if len(calls) > 1 else 0)\n"
        "        return 7998000\n"
        "    optbench.compare(baseline=slow, optimized=hangs)\n"
    )
    result = bench.run_here()
    result.assert_outcomes(passed=1, failed=1)
    (document,) = [d for d in bench.index() if "hangs" in d["id"]]
    assert (document["verdict"], document["reasons"]) == ("INCONCLUSIVE", ["time-limit"])


def test_a_check_after_timing_that_never_ends_is_no_accept(bench: Bench) -> None:
    """When results cannot be compared again after timing, a look that would have accepted does not stand."""
    bench.body(
        "checks = []\n"
        "def equal(expected, actual):\n"
        "    checks.append(1)\n    time.sleep(600 if len(checks) > 1 else 0)\n    return expected == actual\n"
        "optbench.compare(baseline=slow, optimized=fast, equal=equal)"
    )
    assert bench.run_here("--optbench-max-time=12", "--optbench-max-trials=10").ret == 1
    document = bench.only()
    assert (document["verdict"], document["reasons"]) == ("INCONCLUSIVE", ["time-limit"])
    assert document["looks"][-1]["stopped"] is True


def test_printing_arms_do_not_disturb_the_verdict(bench: Bench) -> None:
    """Output of the arms is captured as usual and reported as a finding."""
    bench.body(
        "def loud():\n    print('x' * 100)\n    return 7998000\n"
        "optbench.compare(baseline=slow, optimized=loud, gate='off')"
    )
    assert bench.run_here("--optbench-quick").ret == 0
    assert "arm-prints" in [d["code"] for d in bench.only()["diagnostics"]]


def test_changed_global_state_is_reported(bench: Bench) -> None:
    """An arm that changes the process it runs in is named in the diagnostics."""
    bench.body(
        "import os\n"
        "def leaves():\n    os.environ['OPTBENCH_LEFT'] = '1'\n    return 7998000\n"
        "optbench.compare(baseline=slow, optimized=leaves, gate='off')"
    )
    assert bench.run_here("--optbench-quick").ret == 0
    (finding,) = [d for d in bench.only()["diagnostics"] if d["code"] == "global-state"]
    assert "OPTBENCH_LEFT" in finding["message"]


def test_a_forking_arm_does_not_run_the_harness_twice(bench: Bench) -> None:
    """A child that comes back out of the arm leaves at once; one document is written, without a verdict."""
    bench.body(
        "import os\n"
        "def forks():\n    pid = os.fork()\n    if pid:\n        os.waitpid(pid, 0)\n    return 7998000\n"
        "optbench.compare(baseline=forks, optimized=fast)"
    )
    result = bench.run("-W", "ignore::DeprecationWarning")
    result.assert_outcomes(failed=1)
    document = bench.only()
    assert (document["verdict"], document["reasons"]) == ("INCONCLUSIVE", ["invalid-measurement"])
    assert "arm-forked" in [d["code"] for d in document["diagnostics"]]


def test_an_unwritable_report_folder_is_said_before_measuring(bench: Bench) -> None:
    """The folder is tried first: nothing is measured in vain."""
    (bench.folder / "taken").write_text("a file, not a folder")
    bench.file(UNCHANGED)
    result = bench.run_here("--optbench-report-dir=taken")
    assert result.ret != 0
    result.stdout.fnmatch_lines(["*taken*--optbench-report-dir*"])
    assert (bench.folder / "taken").read_text() == "a file, not a folder"


def test_two_runs_share_a_folder(bench: Bench) -> None:
    """Two runs at once leave both decisions, whole, in one index."""
    for name in ("one", "two"):
        bench.file(FASTER.replace("test_gain", f"test_{name}"), f"test_{name}.py")
    runs = [
        subprocess.Popen(
            [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--optbench", f"test_{name}.py"],
            cwd=bench.folder,
            env=os.environ,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        for name in ("one", "two")
    ]
    outputs = [run.communicate(timeout=HANG_S)[0].decode() for run in runs]
    assert [run.returncode for run in runs] == [0, 0], outputs
    assert sorted(d["id"] for d in bench.index()) == ["test_one.py::test_one", "test_two.py::test_two"]


def test_two_runs_of_one_subject_are_two_attempts(bench: Bench) -> None:
    """Of two runs at once the later one counts the earlier decision and keeps it in its trail."""
    bench.file(UNCHANGED)
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-p",
        "no:cacheprovider",
        "--optbench",
        "--optbench-max-trials=10",
    ]
    runs = [
        subprocess.Popen(command, cwd=bench.folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        for _ in range(2)
    ]
    outputs = [run.communicate(timeout=HANG_S)[0].decode() for run in runs]
    assert [run.returncode for run in runs] == [1, 1], outputs
    assert len(bench.only()["earlier"]) == 1


def test_earlier_reports_survive_later_runs(bench: Bench) -> None:
    """A run of other tests keeps what is there, and a new decision keeps the trail of the earlier ones."""
    bench.file(UNCHANGED)
    bench.run_here()
    first = bench.only()
    bench.file(FASTER, "test_other.py")
    bench.run_here("test_other.py")
    assert first in bench.index()
    bench.file(FASTER.replace("test_gain", "test_claim"))
    bench.run_here("test_bench.py")
    (document,) = [d for d in bench.index() if d["id"] == first["id"]]
    assert document["attempt"] == 2
    assert [e["verdict"] for e in document["earlier"]] == [first["verdict"]]


def test_a_broken_file_in_the_folder_is_named_and_kept(bench: Bench) -> None:
    """Foreign or damaged JSON in the report folder is left alone and warned about."""
    (bench.folder / "reports").mkdir()
    broken = bench.folder / "reports" / "broken.json"
    broken.write_text('{"schema": "optbench/decision/1", "id"')
    bench.file(FASTER)
    result = bench.run_here()
    assert result.ret == 0
    assert broken.read_text() == '{"schema": "optbench/decision/1", "id"'
    result.stdout.fnmatch_lines(["*broken.json*"])


def test_several_candidates_are_judged_as_a_family(bench: Bench) -> None:
    """Each candidate has its own decision; one that does not hold fails the test and names itself."""
    bench.body("optbench.compare(baseline=slow, optimized={'closed form': fast, 'same': same})")
    result = bench.run_here()
    assert result.ret == 1
    verdicts = {d["id"].rpartition("::")[2]: d["verdict"] for d in bench.index()}
    assert verdicts["closed form"] == "ACCEPT"
    assert verdicts["same"] != "ACCEPT"
    assert "same" in result.stdout.str()


def test_no_trace_of_the_machine_in_documents(bench: Bench) -> None:
    """Host name, user's home and the folder of the run appear in no document."""
    bench.file(FASTER)
    bench.run_here()
    forbidden = [os.uname().nodename, str(Path.home()), str(bench.folder)]
    for path in bench.reports():
        if path.is_file():
            text = path.read_text()
            assert not [word for word in forbidden if len(word) > 3 and word in text], path


def test_documents_are_strict_json(bench: Bench) -> None:
    """No NaN or infinity reaches a document, also when nothing was measured."""

    def refuse(constant: str) -> None:
        raise AssertionError(constant)

    bench.body("optbench.compare(baseline=slow, optimized=wrong)")
    bench.run_here()
    written = [path for path in bench.reports() if path.suffix == ".json"]
    assert len(written) == 2
    for path in written:
        assert json.loads(path.read_text(), parse_constant=refuse)
