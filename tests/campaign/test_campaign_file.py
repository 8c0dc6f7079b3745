"""Campaign files: what they may say, and how each mistake is named."""

from __future__ import annotations

import io
import re
from pathlib import Path

import pytest
from campaign_project import Project

from pytest_optbench import cli
from pytest_optbench.campaign.errors import CampaignError
from pytest_optbench.campaign.measure import check_tests
from pytest_optbench.campaign.read import read_campaign

GOOD = """
[campaign]
title = "Engine"
together = "test_work.py::test_whole"
alpha = 0.1
timeout = 30
[stop]
expected_below = "3%"
time_budget = 60
[[candidates]]
id = "second"
rank = 2
test = "test_work.py::test_half_again"
builds_on = "first"
[[candidates]]
id = "first"
rank = 1
title = "The first"
expected = "2x"
test = "test_work.py::test_half"
notes = "why"
[[candidates.alternatives]]
id = "first-b"
expected = 0.1
test = "test_work.py::test_slower"
"""


def test_a_good_file_is_read_whole(project: Project) -> None:
    """Candidates are in the order of their ranks, forecasts are fractions, folders are absolute."""
    project.file.write_text(GOOD)
    campaign = project.read()
    assert [c.id for c in campaign.candidates] == ["first", "second"]
    first, alternative = campaign.candidates[0].variants
    assert (first.title, first.expected, first.notes) == ("The first", 0.5, "why")
    assert (alternative.id, alternative.expected, alternative.builds_on) == ("first-b", 0.1, None)
    assert campaign.candidates[1].variants[0].builds_on == "first"
    assert campaign.together == "test_work.py::test_whole"
    assert (campaign.alpha, campaign.timeout_s) == (0.1, 30.0)
    assert (campaign.stop.expected_below, campaign.stop.time_budget_s) == (0.03, 60.0)
    assert campaign.root == project.folder
    assert campaign.folder == project.folder / "reports" / "campaign"


def test_root_may_be_above_the_file(project: Project) -> None:
    """A file in a subfolder names tests from the project's root."""
    file = project.folder / "benchmarks" / "campaign.toml"
    file.parent.mkdir()
    file.write_text(GOOD.replace("[campaign]", '[campaign]\nroot = ".."\nreport_dir = "out"'))
    campaign = read_campaign(file)
    assert campaign.root == project.folder
    assert campaign.folder == project.folder / "out"


def test_an_alternative_builds_on_what_its_candidate_builds_on(project: Project) -> None:
    """``builds_on`` is inherited unless the alternative says otherwise."""
    project.write(
        '1 a test_half\n2 b test_half_again builds_on = "a"\n- b2 test_slower\n- b3 test_whole builds_on = "a"'
    )
    assert [v.builds_on for v in project.read().variants()] == [None, "a", "a", "a"]


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('title = "Engine"', 'titel = "Engine"', r"\[campaign\] knows the keys .*title.*; received 'titel'"),
        ("[stop]", "x = 1\n[stop]", r"received 'x'"),
        ("[campaign]", "[champaign]", r"the key 'campaign' is missing"),
        ('expected_below = "3%"\ntime_budget = 60', "", r"must state when to stop before anything is measured"),
        ("time_budget = 60", "time_budget = -1", r"time_budget must be a number above 0, received -1"),
        ("time_budget = 60", "budget = 1", r"\[stop\] knows the keys expected_below, .*; received 'budget'"),
        ('expected_below = "3%"', "rejections_in_a_row = 0", r"a whole number from 1, received 0"),
        ('expected_below = "3%"', "rejections_in_a_row = true", r"a whole number from 1, received True"),
        ("rank = 2", "rank = 1", r"every rank may appear once, received 1 twice"),
        ("rank = 2", "rank = 1.5", r"rank must be a whole number from 1, received 1.5"),
        ("rank = 2\n", "", r"candidates 1 \(id 'second'\): the key 'rank' is missing"),
        ('id = "second"', 'id = "first"', r"every id may appear once, received first twice"),
        ('id = "second"', 'id = "together"', r"and not 'together', received 'together'"),
        ('id = "second"', 'id = "-x"', r"id must be up to 64 letters.*received '-x'"),
        ('id = "second"\n', "", r"candidates 1: the key 'id' is missing"),
        ("test_half_again", "test_half", r"every test may appear once, received test_work.py::test_half twice"),
        ('test = "test_work.py::test_half_again"\n', "", r"the key 'test' is missing; add it"),
        ('expected = "2x"', 'expected = "100%"', r"expected: a speedup must lie between 0 % and 100 %"),
        ('expected = "2x"', "expected = -0.1", r"expected: a speedup must lie between"),
        ('expected = "2x"', 'expected = "much"', r"expected: a margin must be a number, received 'much'"),
        ('expected = "2x"', "expected = [1]", r"expected: must be text or a number, received \[1\]"),
        ('builds_on = "first"', 'builds_on = "third"', r"builds_on of 'second' must name the id of a cand"),
        ('builds_on = "first"', 'builds_on = "second"', r"not go in a circle, received second -> second"),
        ('expected = "2x"', 'builds_on = "second"', r"in a circle, received first -> second -> first"),
        ("rank = 2", "rank = 1_000\nnote = 1", r"candidates 1 \(id 'second'\) knows the keys .*; received 'note'"),
        ('id = "first-b"', 'id = "first-b"\nrank = 3', r"alternatives 1.*received 'rank'|received 'rank'"),
        ("alpha = 0.1", "alpha = 0.7", r"alpha must be a number above 0 and at most 0.5, received 0.7"),
        ("timeout = 30", "timeout = inf", r"timeout must be a number above 0, received inf"),
        ('title = "Engine"', "title = 3", r"title must be text that is not empty, received 3"),
        ("timeout = 30", 'report_dir = "../out"', r"report_dir must be a folder inside the project.*received '../out'"),
        ("timeout = 30", 'report_dir = "/tmp/out"', r"report_dir must be a folder inside the project"),
        ("timeout = 30", 'report_dir = "."', r"report_dir must be a folder inside the project"),
        ("timeout = 30", 'root = "elsewhere"', r"root must be a folder that holds the campaign file"),
        ("[[candidates.alternatives]]", "[candidates.alternatives]", r"alternatives must be a list of tables"),
        ("[stop]", "[stop", r"campaign.toml must be TOML"),
    ],
)  # fmt: skip
def test_mistakes_are_named(project: Project, old: str, new: str, message: str) -> None:
    """Each mistake is an error that says where it is, what must hold and what was received."""
    assert old in GOOD
    project.file.write_text(GOOD.replace(old, new, 1))
    with pytest.raises(CampaignError, match=message):
        project.read()


@pytest.mark.parametrize(
    ("test", "message"),
    [
        ("-p evil::x", "not an option or a file of arguments"),
        ("--rootdir=/::x", "not an option or a file of arguments"),
        ("@arguments::x", "not an option or a file of arguments"),
        ("test_work.py::x\\u0000y", "received"),
        ("test_work.py::x\\ny", "not an option"),
        ("test_work.py", "the id of one test, such as"),
        ("test_work.py::", "the id of one test, such as"),
        ("../outside.py::test_x", "relative to the project's root and without detours"),
        ("./test_work.py::test_x", "relative to the project's root and without detours"),
        ("/etc/hostname::test_x", "relative to the project's root and without detours"),
        ("link.py::test_x", "of a file inside the project"),
        ("missing.py::test_x", "of a file inside the project"),
    ],
)
def test_tests_stay_tests_of_the_project(project: Project, test: str, message: str) -> None:
    """No id can become an option of pytest, a file of arguments, or a path out of the project."""
    outside = project.folder.parent / f"{project.folder.name}-outside.py"
    outside.write_text("")
    (project.folder / "link.py").symlink_to(outside)
    text = GOOD.replace("test_work.py::test_half_again", test)
    project.file.write_text(text)
    with pytest.raises(CampaignError, match=re.escape(message)):
        project.read()


def test_a_base_must_be_evaluated_before(project: Project) -> None:
    """``builds_on`` may not name a candidate of a higher rank."""
    project.write('1 a test_half builds_on = "b"\n2 b test_half_again')
    with pytest.raises(
        CampaignError, match=r"builds_on of 'a' \(rank 1\) must name a candidate of a lower rank"
    ):
        project.read()


def test_no_candidate_is_an_error(project: Project) -> None:
    """A campaign without candidates proves nothing."""
    project.write("")
    with pytest.raises(CampaignError, match=r"at least one \[\[candidates\]\] table"):
        project.read()


def test_wrong_usage_exits_with_2(project: Project, tmp_path: Path) -> None:
    """A broken file, a missing one and a missing action are wrong usage."""
    project.file.write_text("x = 1")
    assert project.run("status") == 2
    assert project.err.startswith("optbench: campaign.toml: the key 'campaign' is missing")
    project.file.unlink()
    assert project.run("run") == 2
    assert "must be a readable file, received 'campaign.toml': No such file" in project.err
    assert cli.run(["campaign"], io.StringIO(), io.StringIO()) == 2


@pytest.mark.parametrize("name", ["campaign.toml", "campaign_chain.toml"])
def test_the_engine_s_campaigns_name_tests_that_exist(name: str) -> None:
    """The campaigns of this repository can be read, and pytest finds each of their tests once."""
    campaign = read_campaign(Path(__file__).parents[2] / "benchmarks" / name)
    check_tests(campaign, [variant.test for variant in campaign.variants()])
    assert campaign.root == Path(__file__).parents[2]
