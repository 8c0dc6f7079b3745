"""The JUnit file says what the decisions came to in the end, not what they were when their tests ended."""

from __future__ import annotations

import stat
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest
from plugin_bench import ARMS, Bench

from pytest_optbench.report.junit import replace

# Each gain alone is shown with p = 0.02 < 0.025, two of them among each other are not: Holm makes it 0.04.
JUST_SHOWN = """
import json
import pytest

@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_makereport(item, call):
    report = yield
    documents = [json.loads(text) for text in getattr(report, "optbench", ())]
    for document in documents:
        document["p_sequential"] = 0.02
    report.optbench = [json.dumps(document) for document in documents]
    return report
"""
TWO_GAINS = (
    ARMS
    + """
def test_first(optbench):
    optbench.compare(baseline=slow, optimized=fast)

def test_second(optbench):
    optbench.compare(baseline=slow, optimized=fast)
"""
)
CANDIDATES = ARMS + "\ndef test_both(optbench):\n    optbench.compare(slow, {'a': fast, 'b': fast})\n"


def suite_of(bench: Bench) -> ET.Element:
    suite = ET.parse(bench.folder / "junit.xml").getroot().find("testsuite")
    assert suite is not None
    return suite


def said(case: ET.Element, name: str) -> list[str | None]:
    return [each.get("value") for each in case.iter("property") if each.get("name") == f"optbench_{name}"]


def demoted(bench: Bench, text: str) -> None:
    bench.file(JUST_SHOWN, "conftest.py")
    bench.file(text)


@pytest.mark.parametrize("workers", ["0", "2"])
def test_a_demoted_decision_is_a_failure_in_the_junit_file(bench: Bench, workers: str) -> None:
    """What Holm over the run demotes is INCONCLUSIVE in the file, a failure with its line, and counted."""
    demoted(bench, TWO_GAINS)
    result = bench.run("--junitxml=junit.xml", "-n", workers)
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    result.stdout.fnmatch_lines(
        ["*accepted alone, but not among 2 benchmarks (Holm-adjusted p 0.04, limit 0.025)*"]
    )
    documents = {document["title"]: document for document in bench.index()}
    assert {document["verdict"] for document in documents.values()} == {"INCONCLUSIVE"}
    suite = suite_of(bench)
    assert (suite.get("tests"), suite.get("failures"), suite.get("errors")) == ("2", "2", "0")
    for case in suite.iter("testcase"):
        assert (said(case, "verdict"), said(case, "reasons")) == (["INCONCLUSIVE"], ["multiplicity"])
        (failure,) = case.iter("failure")
        assert failure.get("message") == documents[str(case.get("name"))]["summary"]


def test_without_a_gate_the_properties_are_corrected_alone(bench: Bench) -> None:
    """With the gate off the run passes and nothing is a failure, but no property says ACCEPT either."""
    demoted(bench, TWO_GAINS)
    assert bench.run_here("--junitxml=junit.xml", "--optbench-gate=off").ret == pytest.ExitCode.OK
    suite = suite_of(bench)
    assert suite.get("failures") == "0"
    assert [said(case, "verdict") for case in suite.iter("testcase")] == [["INCONCLUSIVE"], ["INCONCLUSIVE"]]


def test_every_candidate_of_a_test_is_corrected(bench: Bench) -> None:
    """The properties of several decisions on one test are told apart; the test is one failure."""
    demoted(bench, CANDIDATES)
    assert bench.run_here("--junitxml=junit.xml").ret == pytest.ExitCode.TESTS_FAILED
    (case,) = suite_of(bench).iter("testcase")
    assert said(case, "verdict") == ["INCONCLUSIVE", "INCONCLUSIVE"]
    assert said(case, "title") == ["test_both: a", "test_both: b"]
    (failure,) = case.iter("failure")
    assert str(failure.text).count("multiplicity:") == 2


def test_a_file_that_cannot_be_corrected_fails_the_run(bench: Bench) -> None:
    """A JUnit file that goes on saying ACCEPT is an error, even where verdicts do not decide the exit status."""
    demoted(bench, TWO_GAINS)
    result = bench.run("--junitxml=/dev/null", "--optbench-gate=off")
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    result.stdout.fnmatch_lines(
        [
            "optbench: the JUnit file null still says ACCEPT for test_first, test_second, which is INCONCLUSIVE in the "
            "end, and cannot be corrected: it is no regular file; give --junitxml a file"
        ]
    )


def test_what_holds_in_the_end_is_left_alone(bench: Bench) -> None:
    """Without a demotion the file is the one pytest wrote: ACCEPT and no failure."""
    bench.file(TWO_GAINS)
    assert bench.run_here("--junitxml=junit.xml").ret == pytest.ExitCode.OK
    suite = suite_of(bench)
    assert suite.get("failures") == "0"
    assert [said(case, "verdict") for case in suite.iter("testcase")] == [["ACCEPT"], ["ACCEPT"]]


def test_the_correction_keeps_the_file_that_is_there(tmp_path: Path) -> None:
    """The new file takes the place of the old one whole, with its mode, also behind a link; nothing else stays."""
    (tmp_path / "real").mkdir()
    file, link = tmp_path / "real" / "junit.xml", tmp_path / "junit.xml"
    file.write_bytes(b"old")
    file.chmod(0o640)
    link.symlink_to(file)
    before = file.stat().st_ino
    replace(link, b"new")
    assert (file.read_bytes(), stat.S_IMODE(file.stat().st_mode)) == (b"new", 0o640)
    assert file.stat().st_ino != before  # a reader of the old one is not disturbed
    assert link.is_symlink()
    assert list(file.parent.iterdir()) == [file]


def test_a_correction_that_fails_changes_nothing(tmp_path: Path) -> None:
    """Where the system takes no more bytes the old file is whole and no other is left."""
    (tmp_path / "junit.xml").write_bytes(b"old")
    code = (
        "import resource, signal, sys\n"
        "from pathlib import Path\n"
        "from pytest_optbench.report.junit import replace\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))\n"
        "try:\n    replace(Path('junit.xml'), b'x' * 10000)\n"
        "except OSError as error:\n    print(error.strerror)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert done.stdout == "File too large\n"
    assert [(path.name, path.read_bytes()) for path in tmp_path.iterdir()] == [("junit.xml", b"old")]
