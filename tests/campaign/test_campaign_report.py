"""The page and the waterfall: what they say, and that foreign text stays text."""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree
from collections.abc import Sequence

from campaign_project import Project, decided, ledger_of

from pytest_optbench.campaign.ledger import Attempt, Ledger
from pytest_optbench.campaign.product import account
from pytest_optbench.campaign.report import lines, page, write_report
from pytest_optbench.campaign.run import status
from pytest_optbench.campaign.waterfall import waterfall_svg

HALF, AGAIN, SLOWER, WHOLE = (
    f"test_work.py::{name}" for name in ("test_half", "test_half_again", "test_slower", "test_whole")
)
CHAIN = (
    '1 a test_half expected = "50%"\n2 b test_half_again expected = "30%"; builds_on = "a"\n3 c test_slower'
)
NASTY = "</text><script>alert(1)</script> | [x](javascript:1) `y` @all\\n# head"


def whole(ratio: float) -> list[Attempt]:
    return [
        decided(1, "a", HALF, 2.0),
        decided(2, "b", AGAIN, 2.0),
        decided(3, "c", SLOWER, 0.5, "REJECT", ["slower"], p=1.0),
        decided(4, "together", WHOLE, ratio, accepted=["a", "b"]),
    ]


def text(project: Project, attempts: Sequence[Attempt]) -> str:
    campaign, ledger = project.read(), ledger_of(project, attempts)
    return page(campaign, ledger, *status(campaign, ledger))


def test_the_page_tells_the_whole_story(project: Project) -> None:
    """Outcome, forecast, product and direct measurement beside each other, claims, rules and attempts."""
    project.write(CHAIN, head=f'together = "{WHOLE}"')
    found = text(project, whole(4.02))
    assert "3 candidates: 2 accepted, 1 rejected. All claims hold." in found
    assert "| 1 | a | accepted | 50.00 % | 50.00 % = 2.000x |" in found
    assert (
        "| 2 | b | accepted | 30.00 % | 50.00 % = 2.000x | 49.50 % to 50.50 % = 1.980x to 2.020x | more than"
        in found
    )
    assert "| 3 | c | rejected | n/a | -100.00 % = 0.5000x |" in found
    assert "| b | 50.00 % = 2.000x | 75.00 % = 4.000x |" in found
    assert "| Product of the stages | 75.00 % = 4.000x |" in found
    assert "| Measured directly | 75.12 % = 4.020x |" in found
    assert "| Direct / product | 1.005x |" in found
    assert "it agrees with the product within their intervals" in found
    assert "Forecast of the whole chain: 65.00 % = 2.857x." in found
    assert "- stop after 9 rejected candidates in a row" in found
    assert "- [a](decisions/a.md): ACCEPT a" in found
    assert "| 3 | 20" in found  # the rejected attempt is kept


def test_a_disagreement_is_said_aloud(project: Project) -> None:
    """Page and terminal say that product and direct measurement disagree, and which to trust."""
    project.write(CHAIN, head=f'together = "{WHOLE}"')
    found = text(project, whole(3.0))
    assert "Not everything holds: the product of the ratios and the direct measurement disagree." in found
    assert "it DISAGREES with the product: direct / product is 0.7500x" in found
    campaign, ledger = project.read(), Ledger(project.reports)
    shown = "\n".join(lines(campaign, *status(campaign, ledger)))
    assert project.run("report") == 1
    assert "does not hold: the product of the ratios and the direct measurement disagree" in shown


def test_a_small_difference_is_said_too(project: Project) -> None:
    """A difference beyond chance but within the tolerance is told and does not fail the campaign."""
    project.write(CHAIN, head=f'together = "{WHOLE}"')
    found = text(project, whole(4.16))
    assert (
        "it differs from the product, direct / product is 1.040x, but not shown to by more than 5.00 %"
        in found
    )
    assert "All claims hold." in found


def test_a_set_that_was_not_accepted_is_a_problem(project: Project) -> None:
    """A set not measured together yet, or not accepted, keeps the campaign from holding."""
    project.write(CHAIN, head=f'together = "{WHOLE}"')
    first, second, third = whole(4.0)[:3]
    found = text(project, [first, second, third])
    assert "Not everything holds: the accepted set was not measured together." in found
    assert "The accepted set has not been measured together yet." in found
    futile = decided(4, "together", WHOLE, 1.02, "INCONCLUSIVE", ["futile"], p=0.5, accepted=["a", "b"])
    found = text(project, [futile])
    assert "Not everything holds: the accepted set, measured together, was not accepted." in found


def test_a_rejected_alternative_is_no_success(project: Project) -> None:
    """The figures of a candidate rejected with its alternative are those of what was tried last."""
    project.write("1 a test_half\n- a2 test_whole")
    attempts = [
        decided(n, i, t, r, "REJECT", ["slower"])
        for n, i, t, r in ((1, "a", HALF, 0.5), (2, "a2", WHOLE, 0.8))
    ]
    assert "| 1 | a | rejected | n/a | -25.00 % = 0.8000x |" in text(project, attempts)


def test_separate_chains_are_said_to_be_separate(project: Project) -> None:
    """Without a common chain the page refuses to multiply, and to compare what was measured together."""
    project.write("1 a test_half\n2 b test_half_again", head=f'together = "{WHOLE}"')
    found = text(project, [*whole(4.0)[:2], decided(3, "together", WHOLE, 4.0, accepted=["a", "b"])])
    assert "These chains do not build on each other, so their ratios are not multiplied" in found
    assert "not comparable with a product: the accepted set is not one chain" in found
    assert "Product of the stages" not in found


def test_alternatives_blocked_failed_and_fallen_are_told(project: Project) -> None:
    """Every state has its words, and a failure its output."""
    project.write(
        '1 a test_half\n- a2 test_whole\n2 b test_half_again builds_on = "a"\n3 c test_slower\n4 d test_waits'
    )
    found = text(
        project,
        [
            decided(1, "a", HALF, 0.5, "REJECT", ["slower"], p=1.0),
            decided(2, "a2", WHOLE, 1.2, p=0.02),
            Attempt(3, "c", SLOWER, (), "", outcome="failed", message="no decision was made\n> ```raise```"),
            Attempt(4, "d", "test_work.py::test_waits", (), ""),
        ],
    )
    assert "| 1 | a | accepted alone, falls to Holm (by a2) |" in found
    assert "| a | a2 | accepted | 16.67 % = 1.200x |" in found
    assert (
        "| 2 | b | blocked | n/a | not measured | n/a | n/a | builds on a, which was not accepted |" in found
    )
    assert "| 3 | c | failed | n/a | not measured | n/a | n/a | no decision was made |" in found
    assert "a2 does not stand over the whole campaign (Holm)" in found
    assert "not decided: c, d" in found
    assert "Attempt 3 failed:\n\n````text\nno decision was made\n> ```raise```\n````" in found
    assert "| d | interrupted |" in found
    assert "No candidate is accepted, so there is nothing to multiply." in found


def test_foreign_text_stays_text(project: Project) -> None:
    """Titles, notes, summaries and messages cannot become markup, links, cells or headings."""
    project.write(f"1 a test_half title = '{NASTY}'; notes = \"{NASTY}\"\n2 b test_half_again", head="")
    project.file.write_text(project.file.read_text().replace('"Loops"', f'"{NASTY}"'))
    attempts = [decided(1, "a", HALF, 2.0), Attempt(2, "b", AGAIN, (), "", outcome="failed", message=NASTY)]
    assert attempts[0].decision is not None
    found = text(project, [*attempts])
    outside = "".join(part for number, part in enumerate(found.split("```")) if number % 2 == 0)
    assert "<script" not in outside
    assert "[x](" not in outside
    assert "\n# head" not in outside
    assert "@all" not in outside
    svg = waterfall_svg(project.read().title, account(project.read(), attempts))
    tree = ElementTree.fromstring(svg)
    assert {element.tag.rpartition("}")[2] for element in tree.iter()} == {
        "svg", "title", "desc", "style", "rect", "text", "line", "g",
    }  # fmt: skip


def test_no_line_for_the_terminal_is_a_command(project: Project) -> None:
    """A title that would be a workflow command or a control sequence at the start of a line is text."""
    project.write("1 a test_half")
    project.file.write_text(
        project.file.read_text().replace('"Loops"', r'"\n::error::boom ##[error]z \u001B[31m"')
    )
    campaign = project.read()
    found = list(lines(campaign, *status(campaign, ledger_of(project, []))))
    assert found[0] == ": :error::boom ## [error]z \ufffd[31m"
    assert not [line for line in found if line.lstrip().startswith("::")]


def test_a_forged_document_is_no_link(project: Project) -> None:
    """A document name that is not a plain file of the folder is shown without a link."""
    project.write("1 a test_half")
    attempt = decided(1, "a", HALF, 2.0)
    assert attempt.decision is not None
    forged = {**attempt.decision, "document": "decisions/../../x](http://e.invalid)"}
    found = text(project, [Attempt(1, "a", HALF, (), "", outcome="decided", decision=forged)])
    assert "\n- a: ACCEPT a" in found


def test_the_waterfall_shows_stages_product_and_direct(project: Project) -> None:
    """Each bar says what it is and how much; a slower stage goes down; the same account gives the same bytes."""
    project.write(
        CHAIN.replace("3 c test_slower", '3 c test_slower builds_on = "b"'), head=f'together = "{WHOLE}"'
    )
    attempts = [
        *whole(4.0)[:2],
        decided(3, "c", SLOWER, 0.98, goal="no-regression"),
        decided(4, "together", WHOLE, 3.9, accepted=["a", "b", "c"]),
    ]
    result = account(project.read(), attempts)
    svg = waterfall_svg("Loops", result)
    assert svg == waterfall_svg("Loops", result)
    tips = [e.text for e in ElementTree.fromstring(svg).iter() if e.tag.endswith("title")]
    assert tips[1:4] == [
        "a: 50.00 % = 2.000x, so far 50.00 % = 2.000x",
        "b: 50.00 % = 2.000x, so far 75.00 % = 4.000x",
        "c: -2.04 % = 0.9800x, so far 74.49 % = 3.920x",
    ]
    assert str(tips[4]).startswith("Product of the stages: 74.49 % = 3.920x, 95 % interval")
    assert str(tips[5]).startswith("Measured together: 74.36 % = 3.900x")
    assert 'class="ob-slower"' in svg


def test_stages_of_equal_ratio_are_equally_high(project: Project) -> None:
    """On a logarithmic axis two halvings are two bars of one height."""
    project.write(CHAIN)
    svg = waterfall_svg("Loops", account(project.read(), whole(4.0)[:2]))
    bars = [e.attrib["height"] for e in ElementTree.fromstring(svg).iter() if e.get("class") == "ob-stage"]
    assert len(bars) == 2
    assert abs(float(bars[0]) - float(bars[1])) <= 0.02


def test_an_empty_waterfall_says_so(project: Project) -> None:
    """Without an accepted candidate there is no bar."""
    project.write("1 a test_half")
    assert "No candidate was accepted" in waterfall_svg("Loops", account(project.read(), []))


def test_ratios_of_any_size_fit(project: Project) -> None:
    """From a few per cent to a thousandfold the axis has ticks and all bars lie inside the picture."""
    project.write("1 a test_half")
    for ratio in (1.06, 1.9, 12.0, 900.0, 0.4):
        svg = waterfall_svg("Loops", account(project.read(), [decided(1, "a", HALF, ratio)]))
        tree = ElementTree.fromstring(svg)
        grid = [e for e in tree.iter() if e.get("class") in ("ob-grid", "ob-axis")]
        assert 2 <= len(grid) <= 12
        tops = [
            float(e.attrib["y"])
            for e in tree.iter()
            if e.get("class") in ("ob-stage", "ob-product", "ob-slower")
        ]
        assert all(80 <= top <= 332 for top in tops)


def test_the_report_is_written_beside_the_ledger(project: Project) -> None:
    """Page and plot are files of the campaign's folder, and name no path of the machine."""
    project.write(CHAIN, head=f'together = "{WHOLE}"')
    ledger_of(project, whole(4.0))
    assert project.run("report") == 0
    assert "written: reports/campaign/campaign.md" in project.out
    written = (project.reports / "campaign.md").read_text() + (project.reports / "waterfall.svg").read_text()
    assert str(project.folder) not in written
    assert write_report(project.read(), Ledger(project.reports)).name == "campaign.md"


def test_status_says_where_it_stands_and_writes_nothing(project: Project) -> None:
    """A campaign that has not begun is not done; what is next is named."""
    project.write(CHAIN)
    assert project.run("status") == 1
    assert "next: a (test_work.py::test_half)" in project.out
    assert "does not hold: not decided: a, b, c" in project.out
    assert not project.reports.exists()
    assert project.run("report") == 1
    assert "3 candidates: 1 waiting, 2 not tried." in (project.reports / "campaign.md").read_text()
