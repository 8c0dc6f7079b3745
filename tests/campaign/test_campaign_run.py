"""Whole campaigns: real pytest runs, interrupted and taken up again."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest
from campaign_project import Project, decided, ledger_of

from pytest_optbench.measure.lock import measuring_lock
from pytest_optbench.store.files import folder_lock

WHOLE = "test_work.py::test_whole"
HANG_S = 400.0

untraced = pytest.mark.usefixtures("untraced")


def until(condition: Callable[[], object]) -> None:
    """Wait for a condition; fail when it does not come about."""
    deadline = time.monotonic() + HANG_S
    while not condition():
        assert time.monotonic() < deadline, "the condition never came about"
        time.sleep(0.02)


def ended(process: psutil.Process) -> bool:
    """Return whether a process is gone, or only waits to be reaped."""
    try:
        return process.status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


@untraced
def test_a_campaign_from_beginning_to_end(project: Project) -> None:
    """Candidates by rank, an alternative after a rejection, the set measured together, all claims standing."""
    project.retries = 5
    project.write(
        '1 first test_half expected = "50%"\n'
        '2 second test_slower expected = "40%"; builds_on = "first"\n- second-b test_half_again\n'
        '3 third test_waits expected = "1%"',
        'expected_below = "5%"',
        f'together = "{WHOLE}"',
    )
    assert project.run("run") == 0, project.out + project.err
    order = ["first", "second", "second-b", "together"]
    assert list(dict.fromkeys(project.measured())) == order  # noise may have one repeated
    assert (project.folder / "accepted.txt").read_text() == "first,second-b"
    assert "product of first * second-b: " in project.out
    assert "; it agrees with the product" in project.out or "; it differs from the product" in project.out
    assert "stopped: the best gain expected of those left is 1.00 %" in project.out
    page = (project.reports / "campaign.md").read_text()
    assert "| 2 | second | accepted (by second-b) |" in page
    assert (project.reports / "decisions" / "test_work-test_slower.md").exists()
    kept, decided_before = (project.reports / "ledger.json").read_bytes(), project.measured()

    assert project.run("run") == 0
    assert (project.reports / "ledger.json").read_bytes() == kept  # what is decided is not measured again

    assert project.run("run", "--again", "second-b") == 0, project.out + project.err
    assert set(project.measured()[len(decided_before) :]) == {"second-b"}
    assert (project.reports / "ledger.json").read_bytes().startswith(kept.rpartition(b"\n]}")[0])


def test_a_rule_that_stops_before_anything_is_measured_proves_nothing(project: Project) -> None:
    """A campaign without a single decision does not end with status 0, whatever its rules say."""
    project.write('1 a test_half expected = "1%"', 'expected_below = "5%"')
    assert project.run("run") == 1
    assert "stopped: the best gain expected" in project.out
    assert "does not hold: nothing was measured" in project.out


@untraced
def test_what_cannot_be_measured_fails(project: Project) -> None:
    """No decision, or an ACCEPT beside a failure, decides nothing, and the campaign is not done."""
    project.retries = 5
    project.write("1 none test_no_decision\n2 beside test_accepted_but_failing")
    assert project.run("run") == 1
    assert project.measured()[:2] == ["none", "beside"]
    first, *_, second = (event["message"] for event in project.events("finished"))
    assert first.startswith("the test must make one decision, and made no decision (pytest's exit status 4)")
    assert second.startswith("the decision was ACCEPT, but the test failed beside it (exit status 1)")
    assert "something else" in second
    assert str(project.folder) not in first + second
    assert "could not be measured: none, beside" in project.events("stopped")[-1]["message"]
    assert project.run("status") == 1
    assert "next: none" in project.out


@untraced
def test_tests_are_looked_for_before_anything_is_measured(project: Project) -> None:
    """An id that names nothing, or several tests, is wrong usage; the ledger stays empty."""
    project.write("1 first test_half\n2 second test_missing; ")
    assert project.run("run") == 2
    assert "pytest must collect every test of the campaign" in project.err
    assert "test_missing" in project.err
    project.write("1 first test_half\n2 second test_several")
    assert project.run("run") == 2
    assert "received 'test_work.py::test_several', which stands for several; name one of them" in project.err
    assert not (project.reports / "ledger.json").exists()


@untraced
def test_no_shell_sees_a_test_id(project: Project) -> None:
    """What a shell would act on is only the name of a test that does not exist."""
    project.write("1 first test_half")
    text = project.file.read_text().replace(
        "test_half", "test_half; touch owned $(touch owned) `touch owned`"
    )
    project.file.write_text(text)
    assert project.run("run") == 2
    assert not (project.folder / "owned").exists()


@untraced
def test_decisions_stay_in_the_campaign_s_folder(project: Project) -> None:
    """A link in the place of the folder of decisions is not written through."""
    project.write("1 first test_half")
    project.reports.mkdir(parents=True)
    (project.folder / "elsewhere").mkdir()
    (project.reports / "decisions").symlink_to(project.folder / "elsewhere")
    assert project.run("run") == 1
    assert "decisions must be a folder of the campaign's own, but it is a link" in project.err
    assert list((project.folder / "elsewhere").iterdir()) == []


def test_measuring_again_needs_a_known_id(project: Project) -> None:
    """A misspelled ``--again`` is wrong usage."""
    project.write("1 first test_half")
    assert project.run("run", "--again", "frist") == 2
    assert "--again must name ids of the campaign (first), received 'frist'" in project.err


def test_two_runs_do_not_work_on_one_campaign(project: Project) -> None:
    """The second run is turned away while the first holds the folder."""
    project.write("1 first test_half")
    with folder_lock(project.reports):
        assert project.run("run") == 1
    assert "another run holds .optbench.lock" in project.err


@untraced
def test_a_test_that_hangs_is_ended(project: Project) -> None:
    """After the file's time-out the attempt fails, its fixtures torn down, and the campaign goes on."""
    project.write("1 hangs test_waits", head="timeout = 3")
    assert project.run("run") == 1
    assert "pytest must end within 3 s" in project.events("finished")[0]["message"]


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_an_interrupted_campaign_goes_on(project: Project, how: signal.Signals) -> None:
    """Whatever ends the run ends its test too; the next run measures what was interrupted, and only that."""
    project.retries = 5
    project.write('1 first test_half\n2 second test_waits builds_on = "first"')
    ledger_of(project, [decided(1, "first", "test_work.py::test_half", 2.0)])
    command = [sys.executable, "-c", "from pytest_optbench.cli import main; main()", "campaign", "run"]
    with subprocess.Popen(
        [*command, str(project.file)], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as run:
        until(lambda: project.measured() == ["first", "second"])
        until(lambda: psutil.Process(run.pid).children())
        (child,) = psutil.Process(run.pid).children()
        if how is not signal.SIGKILL:  # the test runs: its fixtures are to be torn down
            until(lambda: (project.folder / "waiting").exists())
        run.send_signal(how)
        _, err = run.communicate(timeout=HANG_S)
    until(lambda: ended(child))
    assert run.returncode == (-how if how is signal.SIGKILL else 1)
    if how is not signal.SIGKILL:
        assert b"interrupted; what was decided is kept" in err
        assert (project.folder / "torn-down").exists()
        assert project.events("finished")[-1]["outcome"] == "interrupted"

    Path(project.folder, "go").touch()
    assert project.run("run") == 0, project.out + project.err
    assert project.measured()[:3] == ["first", "second", "second"]
    assert "| 2 | second | accepted |" in (project.reports / "campaign.md").read_text()
    assert "| second | interrupted |" in (project.reports / "campaign.md").read_text()


def test_what_kill_9_leaves_while_collecting_is_removed_by_the_next_run(project: Project) -> None:
    """The folder in which tests are looked for says whose it is, so that the next run can remove a dead one's."""
    project.write("1 first test_missing")
    (project.folder / "conftest.py").write_text(
        "import pathlib, time\npathlib.Path('waiting').touch()\n"
        "while not pathlib.Path('go').exists():\n    time.sleep(0.02)\n"
    )
    temporary = project.folder / "temporary"
    temporary.mkdir()
    environment = {**os.environ, "TMPDIR": str(temporary)}
    command = [sys.executable, "-c", "from pytest_optbench.cli import main; main()", "campaign", "run"]
    with subprocess.Popen([*command, str(project.file)], env=environment) as killed:
        until(lambda: (project.folder / "waiting").exists())
        killed.kill()
    assert len(list(temporary.iterdir())) == 1
    (project.folder / "go").touch()
    again = subprocess.run([*command, str(project.file)], env=environment, timeout=HANG_S, check=False)
    assert again.returncode == 2
    assert list(temporary.iterdir()) == []


def test_waiting_for_the_machine_is_said(project: Project) -> None:
    """While another session measures, the campaign names what its test waits for instead of saying nothing."""
    project.write("1 first test_half")
    command = [sys.executable, "-c", "from pytest_optbench.cli import main; main()", "campaign", "run"]
    with (
        measuring_lock(),
        subprocess.Popen(
            [*command, str(project.file)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        ) as run,
    ):
        assert run.stdout is not None
        said = [run.stdout.readline(), run.stdout.readline()]
        run.send_signal(signal.SIGINT)
        run.communicate(timeout=HANG_S)
    assert said == [
        "measuring first: test_work.py::test_half\n",
        f"waiting for another measuring session on this machine (process {os.getpid()})\n",
    ]
