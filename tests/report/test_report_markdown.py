"""The markdown reports: golden files, sections, escaping, templates of the user's own."""

from __future__ import annotations

import re
from pathlib import Path

import golden
import pytest
import samples
from markdown_it import MarkdownIt

from pytest_optbench.report.markdown import decision_markdown, index_markdown
from pytest_optbench.report.templating import TemplateError, check_templates
from pytest_optbench.store import StoreError

SECTIONS = [
    "Decision", "Summary", "Configuration", "Metrics", "Statistical validation", "Criteria", "Trials",
    "Equivalence", "Memory", "Expected versus actual", "Overhead", "Environment", "Diagnostics",
    "Risks and notes", "How to reproduce", "Earlier decisions",
]  # fmt: skip
PARSER = MarkdownIt("commonmark").enable(["table", "strikethrough"])


def headings(text: str, tag: str) -> list[str]:
    tokens = PARSER.parse(text)
    return [
        "".join(child.content for child in tokens[position + 1].children or ())
        for position, token in enumerate(tokens)
        if token.type == "heading_open" and token.tag == tag
    ]


@pytest.mark.parametrize("name", sorted(golden.rendered()))
def test_golden_files(name: str) -> None:
    """Stored decisions render to the stored bytes; a change that is meant runs tests/report/golden.py."""
    assert golden.rendered()[name] == (golden.GOLDEN / name).read_text(encoding="utf-8")


@pytest.mark.parametrize(
    "doc", [samples.decision(), samples.not_equivalent(), samples.inconclusive(), samples.nasty()]
)
def test_every_report_has_every_section(doc: samples.Doc) -> None:
    """The sections and their order are the same for every verdict and whatever the author wrote."""
    text = decision_markdown(doc)
    assert headings(text, "h2") == SECTIONS
    assert len(headings(text, "h1")) == 1
    assert headings(text, "h1")[0].endswith(f": {doc['verdict']}")
    assert text.endswith("\n")
    assert not text.endswith("\n\n")
    assert "\n\n\n" not in text


def test_the_seed_names_the_option_of_its_own_command() -> None:
    """A decision on whole commands is drawn again with --seed, one of a test with --optbench-seed."""
    assert "`--optbench-seed=7` draws it again" in decision_markdown(samples.decision(seed=7))
    commands = samples.decision(seed=7, command="optbench run --baseline=old --optimized=new")
    assert "`--seed=7` draws it again" in decision_markdown(commands)


def test_a_gain_is_shown_as_time_and_as_ratio() -> None:
    """Time saved never stands without its ratio, and nothing is called so many percent faster."""
    text = decision_markdown(samples.decision())
    assert "| Time saved | 74.91 % = 3.986x |" in text
    assert not re.search(r"%\s+faster", text)


def test_reasons_are_explained_and_trials_still_needed_given() -> None:
    """A decision that is no ACCEPT says why in words and what would settle it."""
    text = decision_markdown(samples.inconclusive())
    assert "- `futile`: More pairs would hardly help" in text
    assert "About 29 pairs would be needed" in text
    assert "| 1 | 2026-11-20T09:00:00Z | REJECT | below-threshold |" in text


def test_a_decision_without_trials_says_so() -> None:
    """Sections without content say it instead of staying empty."""
    text = decision_markdown(samples.not_equivalent())
    for sentence in (
        "Nothing was measured.",
        "No pair of trials was measured.",
        "Memory was not measured.",
        "The benchmark states no configuration.",
        "The author wrote none.",
        "None on this subject.",
        "- `not-equivalent`: The arms return different results; a wrong answer is no gain.",
        "| Message | item 3 of the result differs: 1.0 against 2.0 |",
    ):
        assert sentence in text, sentence
    empty = decision_markdown(
        samples.not_equivalent(overhead=None, environment=None, command=None, seed=None)
    )
    for sentence in ("The time spent was not recorded.", "The environment was not recorded."):
        assert sentence in empty, sentence
    assert "seed" not in empty


def test_the_report_says_how_to_run_it_again() -> None:
    """Command, seed and the identity of both arms' code are there."""
    text = decision_markdown(samples.decision())
    assert "```text\npytest --optbench benchmarks/test_01_persistent_pool.py --optbench-seed=7\n```" in text
    assert (
        "drawn from seed 7; `--optbench-seed=7` draws it again.\nStarted 2026-11-22T10:00:00Z, took 235.8 s."
        in text
    )
    assert f"| optimized | `keep_pool` | `benchmarks/test_01_persistent_pool.py:52` | `{'3c' * 32}` |" in text


def test_hostile_text_adds_no_markup() -> None:
    """The parsed report of a hostile decision holds no foreign HTML, link or heading."""
    tokens = PARSER.parse(decision_markdown(samples.nasty()))
    inline = [child for token in tokens for child in token.children or ()]
    assert {child.content for child in inline if child.type == "html_inline"} == {"<code>", "</code>"}
    assert not [token for token in tokens if token.type == "html_block"]
    links = {str(child.attrGet("href")) for child in inline if child.type == "link_open"}
    images = {str(child.attrGet("src")) for child in inline if child.type == "image"}
    assert (links, images) == ({"nasty.json"}, {"nasty.svg"})
    assert {child.type for child in inline} <= {
        "text", "softbreak", "hardbreak", "code_inline", "html_inline", "link_open", "link_close", "image",
    }  # fmt: skip
    for table in re.findall(r"(?:^\|.*\n)+", decision_markdown(samples.nasty()), flags=re.M):
        columns = {len(re.findall(r"(?<!\\)\|", line)) for line in table.splitlines()}
        assert len(columns) == 1, table


def test_links_are_relative() -> None:
    """A report folder can be moved: it names no absolute place."""
    docs = [samples.decision(), samples.not_equivalent()]
    text = "".join(map(decision_markdown, docs)) + index_markdown(docs)
    targets = re.findall(r"\]\(([^)]*)\)", text)
    assert targets
    assert all(re.fullmatch(r"[\w.-]+\.(md|svg|json)", target) for target in targets)


def test_the_index_lists_decisions_and_the_correction() -> None:
    """All decisions, counts, the corrected table with its verdicts; nothing is added up."""
    docs = [
        samples.decision(p_adjusted=1.7e-8),
        samples.decision(title="Barely", slug="barely", p_adjusted=0.03),
        samples.not_equivalent(),
        samples.inconclusive(p_adjusted=0.12),
    ]
    text = index_markdown(docs)
    assert "4 decisions: 2 ACCEPT, 1 REJECT, 1 INCONCLUSIVE." in text
    alone, over = text.split("## Over the suite")
    assert "| ACCEPT | [Barely](barely.md) | pool |" in alone
    assert re.search(r"\[Barely\]\(barely\.md\) \| ACCEPT \|.*\| 0\.0300 \| INCONCLUSIVE \|", over)
    assert re.search(r"\[Persistent worker pool\].* \| &lt;1e-6 \| ACCEPT \|", over)
    assert "umulative" not in text
    assert "otal speedup" not in text


def test_the_index_without_decisions_and_with_warnings() -> None:
    """An empty folder has an index; files that were skipped are named, escaped."""
    text = index_markdown([], ["<b>.json is not in the index: broken"])
    assert "0 decisions." in text
    assert "No decision has been made yet." in text
    assert "- &lt;b&gt;.json is not in the index: broken" in text
    assert "Over the suite" not in text


def test_groups_are_a_column_only_where_there_are_some() -> None:
    """A suite without groups has no empty column."""
    assert "| Group |" in index_markdown([samples.decision()])
    assert "Group" not in index_markdown([samples.decision(group=None)])


def test_a_template_of_the_user_replaces_the_shipped_one(tmp_path: Path) -> None:
    """A folder with decision.md.j2 changes decisions; the index keeps the shipped template."""
    (tmp_path / "decision.md.j2").write_text("{{ doc.title }} / {{ gain }}\n\n\n\n{{ doc.id | code }}")
    check_templates(tmp_path)
    text = decision_markdown(samples.decision(title="a|<b>"), tmp_path)
    assert text == "a\\|&lt;b&gt; / 74.91 % = 3.986x\n\n`benchmarks/test_01_persistent_pool.py::test_fair`\n"
    assert index_markdown([samples.decision()], (), tmp_path) == index_markdown([samples.decision()])


def test_a_template_can_extend_the_shipped_one(tmp_path: Path) -> None:
    """One block can be replaced, macros and inherited blocks are not escaped twice."""
    (tmp_path / "decision.md.j2").write_text(
        '{% extends "default/decision.md.j2" %}'
        "{% macro name(x) %}*{{ x }}*{% endmacro %}"
        "{% block title %}{{ super() }}By {{ name(doc.title) }}{% endblock %}"
    )
    text = decision_markdown(samples.decision(title="a*b"), tmp_path)
    assert text.startswith("# a\\*b: ACCEPT\nBy *a\\*b*")
    assert headings(text, "h2") == SECTIONS


@pytest.mark.parametrize(
    ("template", "message"),
    [
        ("{{ doc.nothing }}", "decision.md.j2 cannot be rendered: .*has no attribute 'nothing'"),
        ("{{ missing }}", "decision.md.j2 cannot be rendered: 'missing' is undefined; correct the template"),
        ("{{ 1 / 0 }}", "ZeroDivisionError"),
        ("{% for x in range(10**9) %}{% endfor %}", "Range too big"),
        ("{{ ''.__class__.__mro__ }}", "access to attribute '__class__'.*unsafe"),
        ("{{ doc.pairs.append(1) }}", "unsafe|not safely callable"),
        ('{% include "gone" %}', "gone"),
    ],
)
def test_a_wrong_template_is_an_error_with_its_name(tmp_path: Path, template: str, message: str) -> None:
    """Undefined names, errors and attempts to leave the sandbox end as one error naming the template."""
    (tmp_path / "decision.md.j2").write_text(template)
    with pytest.raises(TemplateError, match=message):
        decision_markdown(samples.decision(), tmp_path)


def test_templates_are_checked_before_measuring(tmp_path: Path) -> None:
    """A missing folder, one without templates and a broken template fail early with the cure."""
    with pytest.raises(
        StoreError,
        match=r"^--templates \(in pytest .* key optbench_templates\) must name a folder, received '.*gone'; create it",
    ):
        check_templates(tmp_path / "gone")
    with pytest.raises(TemplateError, match=r"folder holding decision\.md\.j2, .* or report\.js, received"):
        check_templates(tmp_path)
    (tmp_path / "index.md.j2").write_text("fine\n{% if %}")
    with pytest.raises(
        TemplateError, match=r"index\.md\.j2 line 2 cannot be rendered: .*leave the setting out"
    ):
        check_templates(tmp_path)
    (tmp_path / "index.md.j2").write_bytes(b"\xff")
    with pytest.raises(TemplateError, match=r"index\.md\.j2 cannot be read"):
        check_templates(tmp_path)
    check_templates(None)
