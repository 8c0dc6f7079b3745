"""Memory and custom numbers end to end: recorded inside arms, judged beside time, shown everywhere."""

from __future__ import annotations

import json
import xml.etree.ElementTree as ET

import pytest
from plugin_bench import ARMS, Bench

RECORDING = (
    ARMS
    + """
def arms(optbench, old, new, **asked):
    def baseline():
        optbench.record("reads", old, unit="files", **asked)
        return slow()
    def optimized():
        optbench.record("reads", new, unit="files", **asked)
        return fast()
    return {"baseline": baseline, "optimized": optimized}
"""
)


def claim(old: str, new: str, asked: str = "") -> str:
    call = f"optbench.compare(**arms(optbench, {old}, {new}{asked and ', ' + asked}))"
    return f"{RECORDING}\ndef test_claim(optbench):\n    {call}\n"


def test_a_faster_arm_that_reads_more_is_rejected(bench: Bench) -> None:
    """The line, the JSON, the markdown and the JUnit file all tell which metric took the acceptance away."""
    bench.file(claim("10", "20"))
    result = bench.run_here("--junitxml=junit.xml")
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    document = bench.only()
    assert (document["verdict"], document["reasons"]) == ("REJECT", ["metric"])
    assert document["metrics"]["reads"]["verdict"] == "worse"
    words = "reads 10 files to 20 files, +100.00 % (at most +5 %); metric: a metric is shown to be worse"
    assert words in document["summary"]
    result.stdout.fnmatch_lines([f"REJECT test_claim:*{words}*"])
    report = (bench.folder / "reports" / f"{document['slug']}.md").read_text()
    assert "| reads | 10 files | 20 files | +100.00 % | at most +5 % | exceeded |" in report
    properties = {
        p.attrib["name"]: p.attrib["value"]
        for p in ET.parse(bench.folder / "junit.xml").getroot().iter("property")
    }
    assert properties["optbench_metric:reads"] == "worse"
    assert properties["optbench_metric:reads:ratio"] == "0.5"


@pytest.mark.parametrize(
    ("old", "new", "asked"),
    [
        ("10", "20", "margin='100%'"),
        ("10", "20", "better='higher'"),
        ("7", "7", "better='same'"),
        ("0.5", "0.51", ""),
    ],
)
def test_a_metric_inside_its_margin_changes_nothing(bench: Bench, old: str, new: str, asked: str) -> None:
    """A gain in time whose metrics keep their margins is accepted, counts and means alike."""
    bench.file(claim(old, new, asked))
    assert bench.run_here().ret == pytest.ExitCode.OK
    metric = bench.only()["metrics"]["reads"]
    assert metric["verdict"] == "within"
    assert metric["exact"] == ("." not in old)
    assert metric["n"] >= 3


def test_a_count_that_is_not_settled_is_inconclusive(bench: Bench) -> None:
    """A count that differs from call to call around its margin is no gain that was shown."""
    bench.file("import itertools\nturn = itertools.cycle([10, 20])\n" + claim("10", "next(turn)").replace(
        'optbench.record("reads", new', 'optbench.record("reads", next(turn)').replace(
        "arms(optbench, 10, next(turn))", "arms(optbench, 10, 0)"))  # fmt: skip
    assert bench.run_here().ret == pytest.ExitCode.TESTS_FAILED
    document = bench.only()
    assert (document["verdict"], document["reasons"]) == ("INCONCLUSIVE", ["metric-open"])
    assert "the values differ from call to call" in document["summary"]


def test_a_metric_of_one_arm_only_is_inconclusive(bench: Bench) -> None:
    """Forgetting to record in one arm is no way to pass."""
    bench.body("""
def old():
    optbench.record("reads", 1)
    return slow()
optbench.compare(baseline=old, optimized=fast)
""")
    assert bench.run_here().ret == pytest.ExitCode.TESTS_FAILED
    assert bench.only()["reasons"] == ["metric-open"]
    assert "recorded by the baseline only" in bench.only()["summary"]


HUNGRY = (
    ARMS
    + """
import pytest
KEPT = []
def holding(mebibytes, keep=False):
    def arm():
        if not keep or not KEPT:
            held = b"x" * (mebibytes * 2**20)
            if keep:
                KEPT.append(held)
        time.sleep(0.002 if keep else 0.004)
        return 1
    return arm
"""
)


def test_a_faster_arm_that_needs_more_memory_is_rejected(bench: Bench) -> None:
    """Kept memory does not show in later calls, and is found in the first one."""
    bench.file(HUNGRY + "\n@pytest.mark.optbench(max_memory='50%')\ndef test_claim(optbench):\n"
               "    optbench.compare(baseline=holding(8), optimized=holding(40, keep=True))\n")  # fmt: skip
    assert bench.run_here().ret == pytest.ExitCode.TESTS_FAILED
    document = bench.only()
    assert document["verdict"] == "REJECT"
    assert document["reasons"] == ["memory"]
    kinds = {name: metric["verdict"] for name, metric in document["metrics"].items()}
    assert kinds == {"memory": "within", "memory, first call": "worse"}
    assert document["metrics"]["memory, first call"]["optimized"] > 35 * 2**20
    assert "; memory, first call " in document["summary"]


@pytest.mark.parametrize("given", ["--optbench-max-memory=500%"])
def test_the_run_decides_how_much_memory_is_too_much(bench: Bench, given: str) -> None:
    """The command line comes before the marker, and more memory inside the margin is accepted."""
    bench.file(HUNGRY + "\n@pytest.mark.optbench(max_memory='50%')\ndef test_claim(optbench):\n"
               "    optbench.compare(baseline=holding(10), optimized=holding(40, keep=True))\n")  # fmt: skip
    assert bench.run_here(given).ret == pytest.ExitCode.OK
    assert {m["margin"] for m in bench.only()["metrics"].values()} == {5.0}


def test_memory_is_shown_but_not_judged_unless_asked(bench: Bench) -> None:
    """Without a margin much more memory is a warning in the report and the verdict stands."""
    bench.file(HUNGRY + "\ndef test_claim(optbench):\n"
               "    optbench.compare(baseline=holding(8), optimized=holding(40, keep=True))\n")  # fmt: skip
    assert bench.run_here().ret == pytest.ExitCode.OK
    document = bench.only()
    assert document["metrics"] == {}
    assert "more-memory" in {finding["code"] for finding in document["diagnostics"]}
    assert document["memory"]["optimized"]["extra_bytes"] > 35 * 2**20


@pytest.mark.parametrize("given", ["much", "-5%", "20", "0.5x"])
def test_a_memory_margin_has_to_be_one(bench: Bench, given: str) -> None:
    """What is no margin is a usage error that shows how to write one."""
    bench.file(HUNGRY)
    result = bench.run_here(f"--optbench-max-memory={given}")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(
        [f"*--optbench-max-memory: a margin must be *received '{given}'; write 20% or 0.2*"]
    )


def test_a_plain_run_listens_and_forgets(bench: Bench) -> None:
    """Without --optbench nothing is judged, but what could not be recorded fails at once."""
    bench.file(claim("10", "20"))
    assert bench.plain_here().ret == pytest.ExitCode.OK
    bench.file(claim("10", "'many'"))
    result = bench.plain_here()
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    result.stdout.fnmatch_lines(
        ["*RecordError: the value of metric 'reads' must be a number, received 'many'"]
    )


def test_several_candidates_have_metrics_of_their_own(bench: Bench) -> None:
    """The candidate that reads more is rejected, the other one accepted."""
    bench.file(
        RECORDING
        + """
def test_claim(optbench):
    good, bad = arms(optbench, 10, 10), arms(optbench, 10, 30)
    optbench.compare(good["baseline"], {"good": good["optimized"], "bad": bad["optimized"]})
"""
    )
    assert bench.run_here().ret == pytest.ExitCode.TESTS_FAILED
    verdicts = {d["id"].rpartition("::")[2]: (d["verdict"], d["reasons"][0]) for d in bench.index()}
    assert verdicts == {"good": ("ACCEPT", "demonstrated"), "bad": ("REJECT", "metric")}
    assert json.loads((bench.folder / "reports" / "index.json").read_text())


@pytest.mark.usefixtures("untraced")
def test_fresh_processes_send_what_they_record(bench: Bench) -> None:
    """Under process isolation every pair of processes gives a pair of values, and its peaks of memory."""
    bench.file(claim("10", "20", "margin='200%'"))
    bench.run("--optbench-isolation=process", "--optbench-quick", "--optbench-max-memory=50%")
    metrics = bench.only()["metrics"]
    assert metrics["reads"]["observed"] == {"baseline": [], "optimized": [], "pairs": [[10, 20]] * 4}
    assert (metrics["reads"]["verdict"], metrics["reads"]["margin"]) == ("within", 2.0)
    assert len(metrics["memory"]["observed"]["pairs"]) == 4
    assert metrics["memory"]["message"] == "4 pairs of calls were observed, 10 are needed"
    assert min(map(min, metrics["memory"]["observed"]["pairs"])) > 5 * 2**20
