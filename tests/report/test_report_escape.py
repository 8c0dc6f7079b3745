"""Hostile text stays text, wherever it is put; a real parser reads it back."""

from __future__ import annotations

import re
import unicodedata
from xml.etree import ElementTree

import pytest
import samples
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt
from markdown_it.token import Token

from pytest_optbench.report import escape
from pytest_optbench.report.templating import table

PARSER = MarkdownIt("commonmark").enable(["table", "strikethrough"])
JOINER = "\u2060"
TEXT = st.text(
    st.one_of(
        st.sampled_from("`*_[]()<>|~$#@:!&\\-+=1. \n\r\t\"'/abwh🚀\x00\x1b\u202e\ud800"), st.characters()
    ),
    max_size=40,
)


def shown(token: Token) -> str:
    """Return what a reader sees of an inline token, failing on anything that is not plain text or code."""
    kinds = {child.type for child in token.children or ()}
    assert kinds <= {"text", "code_inline"}, (kinds, token.content)
    return "".join(child.content for child in token.children or ()).replace(JOINER, "")


def expected(text: str) -> str:
    return " ".join(escape.plain(text).replace(JOINER, "").split(" ")).strip()


def same(left: str, right: str) -> bool:
    return "".join(left.split()) == "".join(right.split())


@pytest.mark.parametrize(
    "text",
    [
        "- x",
        "+ x",
        "* x",
        "# x",
        "###### x",
        "> x",
        "1. x",
        "12) x",
        "---",
        "===",
        "***",
        "- - -",
        "    x",
        "~~~",
        "```",
        "<!-- x",
        "[x]: y",
        "|a|b|",
        "-",
        "1.",
        "&copy;",
        "\\",
        "x  ",
        "-1.5 %",
        "1.5 s",
    ],
)
def test_nothing_starts_a_block(text: str) -> None:
    """What would open a list, a heading, a rule, a quote or code at the start of a line stays a paragraph."""
    tokens = PARSER.parse(escape.markdown(text))
    assert [token.type for token in tokens] == ["paragraph_open", "inline", "paragraph_close"]
    assert shown(tokens[1]) == text.strip()


@given(TEXT)
def test_a_paragraph_shows_exactly_the_text(text: str) -> None:
    """Escaped text in a paragraph parses to one paragraph of plain text with the same characters."""
    tokens = PARSER.parse(escape.markdown(text))
    if not expected(text):
        return
    assert [token.type for token in tokens] == ["paragraph_open", "inline", "paragraph_close"]
    assert same(shown(tokens[1]), expected(text))


@given(TEXT, TEXT)
def test_a_table_keeps_its_shape(left: str, right: str) -> None:
    """A cell cannot end its cell, its row or the table."""
    tokens = PARSER.parse(table(["a", "b"], [[left, right], ["x", "y"]]))
    cells = [shown(token) for token in tokens if token.type == "inline"]
    assert [token.type for token in tokens].count("tr_open") == 3
    assert len(cells) == 6
    assert same(cells[2], expected(left))
    assert same(cells[3], expected(right))


@given(TEXT)
def test_code_shows_exactly_the_text(text: str) -> None:
    """Text shown as code, in a sentence and in a table, is read back whole and holds no markup of its own."""
    line = escape.markdown_code(text)
    if not expected(text):
        assert line == ""
        return
    cell = table(["a"], [[text]], code=[0])
    for source in (f"Subject: {line}", cell):
        inline = [token for token in PARSER.parse(source) if token.type == "inline"][-1]
        html = [child.content for child in inline.children or () if child.type == "html_inline"]
        assert html in ([], ["<code>", "</code>"])
        words = "".join(c.content for c in inline.children or () if c.type in ("text", "code_inline"))
        assert {c.type for c in inline.children or ()} <= {"text", "code_inline", "html_inline"}
        assert same(words.removeprefix("Subject:").replace(JOINER, ""), expected(text))


@given(TEXT)
def test_a_block_cannot_be_left(text: str) -> None:
    """A fenced block holds the text whatever fences it brings."""
    tokens = PARSER.parse(escape.markdown_block(text))
    assert [token.type for token in tokens] == ["fence"]
    assert tokens[0].content.rstrip("\n") == "\n".join(
        escape.plain(line) for line in text.splitlines()
    ).rstrip("\n")


@given(TEXT)
def test_notes_become_paragraphs_only(text: str) -> None:
    """The author's notes keep their paragraphs and lines and nothing else."""
    tokens = PARSER.parse(escape.markdown_paragraphs(text))
    assert {token.type for token in tokens} <= {"paragraph_open", "inline", "paragraph_close"}
    for token in tokens:
        if token.type == "inline":
            assert {child.type for child in token.children or ()} <= {"text", "hardbreak"}


def test_paragraphs_and_line_breaks_of_notes_are_kept() -> None:
    """An empty line separates paragraphs, a single break stays a break."""
    assert escape.markdown_paragraphs("one\ntwo\r\n\r\nthree\n") == "one\\\ntwo\n\nthree"


@pytest.mark.parametrize("text", ["@octocat", "a@b.c", "#12", "GH-7", "https://x.example", "www.x.example"])
def test_nothing_becomes_a_link_or_a_mention(text: str) -> None:
    """What GitHub links after rendering is broken by an invisible joiner or a backslash."""
    escaped = escape.markdown(text)
    assert JOINER in escaped or "\\" in escaped
    assert not re.search(r"@\w|#\d|GH-\d|\w://|www\.\w", escaped)


@given(TEXT)
def test_xml_reads_back_the_printable_text(text: str) -> None:
    """An XML parser reads the escaped text back, as an element and as an attribute."""
    line = escape.xml(text)
    element = ElementTree.fromstring(f'<a b="{line}">{line}</a>')
    assert (element.text or "") == escape.plain(text)
    assert element.get("b") == escape.plain(text)


@given(TEXT)
def test_plain_text_is_one_printable_line(text: str) -> None:
    """No control, no lone surrogate, no change of direction, no line break survives."""
    line = escape.plain(text)
    assert len(line.splitlines()) <= 1
    assert not {unicodedata.category(char) for char in line} & {"Cc", "Cs"}
    assert "\u202e" not in line


@given(TEXT, TEXT)
def test_a_workflow_command_stays_one_command(title: str, message: str) -> None:
    """Properties cannot start another property, the message cannot start another line or command."""
    command = f"::error title={escape.workflow_property(title)}::{escape.workflow_data(message)}"
    assert len(command.splitlines()) == 1
    found = re.fullmatch(r"::error title=([^:,]*)::(.*)", command)
    assert found is not None
    decoded = found[1].replace("%3A", ":").replace("%2C", ",").replace("%25", "%")
    assert decoded == escape.plain(title)


def test_the_newlines_of_a_message_are_kept_encoded() -> None:
    """GitHub shows a message of several lines."""
    assert escape.workflow_data("50 %\r\nslower\n") == "50 %25%0Aslower%0A"


@given(TEXT)
def test_the_console_gets_no_command_and_no_control(text: str) -> None:
    """Neither a terminal nor the log of a GitHub job can be commanded, in any encoding."""
    for encoding in ("utf-8", "ascii", "latin-1"):
        line = escape.console(text, encoding)
        line.encode(encoding)
        assert not line.lstrip().startswith("::")
        assert "##[" not in line
        assert "\x1b" not in line


def test_the_console_has_ascii_forms() -> None:
    """Signs of ours that an encoding lacks are spelled, others become question marks."""
    assert escape.console("3 µs ±1 … 🚀", "ascii") == "3 us +/-1 ... ?"
    assert escape.console("3 µs ±1 …", "utf-8") == "3 µs ±1 …"


@given(TEXT, st.integers(3, 30))
def test_shortening_keeps_to_the_columns(text: str, columns: int) -> None:
    """Cut text fits, with wide characters counted as two columns, and says that it was cut."""
    line = escape.plain(text)
    cut = escape.shorten(line, columns)
    assert escape.width(cut) <= columns
    assert cut == line or cut.endswith("…")


def test_widths_of_characters() -> None:
    """Wide characters take two columns, combining ones none."""
    assert escape.width("ab") == 2
    assert escape.width("漢🚀") == 4
    assert escape.width("e\u0301") == 1


def test_the_hostile_sample_tries_them_all() -> None:
    """The text the other tests use holds what each of these functions guards against."""
    for part in ("|", "<script>", "`", "@", "]]>", "::error::", "##[", "\x1b", "\n", "\r", "\udc80", "🚀"):
        assert part in samples.NASTY
