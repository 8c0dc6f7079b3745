"""Foreign text made safe, one function per place it can end up in.

Titles, names, notes, configuration values and messages come from whoever wrote the benchmark. Whatever they
hold, a report shows it as text: never as markup, a link, a mention, a command or a control sequence.
"""

from __future__ import annotations

import re
import unicodedata
from typing import Final

REPLACEMENT: Final = "\ufffd"
_JOINER: Final = "\u2060"  # invisible and unbreakable: keeps "@name" and "#1" from becoming links

_BIDI: Final = frozenset("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
_MD_ENTITIES: Final = {"&": "&amp;", "<": "&lt;", ">": "&gt;"}
_MD_SPECIAL: Final = re.compile(r"[\\`*_\[\]|~$]")
_MD_START: Final = re.compile(r"^(?:([-+=])(?=\s|$|\1)|(#)|(\d{1,9})([.)])(?=\s|$))")
_MENTION: Final = re.compile(r"([@#])(?=\w)|(\bGH)(?=-\d)", re.IGNORECASE)
_AUTOLINK: Final = re.compile(r"(?<=\w):(?=//)|(?<=www)\.|(?<=mailto):|(?<=xmpp):", re.IGNORECASE)


def plain(text: object, newline: str = " ") -> str:
    """Return one line of printable text: newlines become ``newline``, other controls a replacement mark."""
    lines = str(text).replace("\r\n", "\n").replace("\r", "\n").replace("\t", " ")
    return "".join(newline if char in "\n\v\f\x85\u2028\u2029" else _printable(char) for char in lines)


def markdown(text: object) -> str:
    """Return inline markdown that reads as ``text``, in a paragraph, a heading, a list or a table cell."""
    line = plain(text).strip()
    start = _MD_START.match(line)
    escaped = "".join(_MD_ENTITIES.get(char, char) for char in line)
    escaped = _MD_SPECIAL.sub(lambda found: "\\" + found[0], escaped)
    escaped = _AUTOLINK.sub(lambda found: "\\" + found[0], escaped)
    escaped = _MENTION.sub(lambda found: found[0] + _JOINER, escaped)
    if start is None:
        return escaped
    if start[3]:
        return f"{start[3]}\\{escaped[len(start[3]) :]}"
    return "\\" + escaped


def markdown_code(text: object) -> str:
    """Return inline markdown that shows ``text`` as code; safe in a table cell."""
    line = plain(text).strip()
    if not line:
        return ""
    return f"<code>{markdown(line)}</code>" if "`" in line or "|" in line else f"`{line}`"


def markdown_block(text: object) -> str:
    """Return a fenced block that shows ``text`` unchanged, whatever fences it holds."""
    body = "\n".join(plain(line) for line in str(text).splitlines())
    longest = max((len(run) for run in re.findall(r"`+", body)), default=0)
    fence = "`" * max(3, longest + 1)
    return f"{fence}text\n{body}\n{fence}"


def markdown_paragraphs(text: object) -> str:
    """Return ``text`` as paragraphs: an empty line separates two, a single line break stays one."""
    paragraphs = re.split(r"\n\s*\n", str(text).replace("\r\n", "\n").replace("\r", "\n").strip())
    return "\n\n".join("\\\n".join(markdown(line) for line in each.splitlines()) for each in paragraphs)


def xml(text: object) -> str:
    """Return ``text`` for an XML or HTML attribute or element: five entities, no character XML 1.0 forbids."""
    escaped = plain(text).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return escaped.replace('"', "&quot;").replace("'", "&#39;")


def html_paragraphs(text: object) -> str:
    """Return ``text`` as HTML paragraphs: an empty line separates two, a single line break stays one."""
    lines = str(text).replace("\r\n", "\n").replace("\r", "\n").strip()
    paragraphs = re.split(r"\n\s*\n", lines)
    return "".join(f"<p>{'<br>'.join(xml(line) for line in each.splitlines())}</p>" for each in paragraphs)


def html_block(text: object) -> str:
    """Return ``text`` for an HTML ``pre`` element: its line breaks stay, nothing in it is markup."""
    return "\n".join(xml(line) for line in str(text).splitlines())


def script_data(text: str) -> str:
    """Return ASCII JSON ``text`` for an HTML ``script`` element: the same data, nothing that could end it."""
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def workflow_data(text: object) -> str:
    """Return ``text`` for the message of a GitHub workflow command; its newlines stay newlines."""
    lines = plain(text, newline="\n")
    return lines.replace("%", "%25").replace("\n", "%0A")


def workflow_property(text: object) -> str:
    """Return ``text`` for a property of a GitHub workflow command (``file=``, ``title=``)."""
    return plain(text).replace("%", "%25").replace(":", "%3A").replace(",", "%2C")


def console(text: object, encoding: str = "utf-8") -> str:
    """Return one line for a console or log in ``encoding``: no control sequence, no workflow command."""
    line = plain(text).replace("##[", "## [")
    if line.lstrip().startswith("::"):
        line = f": {line.lstrip()[1:]}"
    for char, fallback in (("µ", "u"), ("…", "..."), ("±", "+/-")):
        if not _encodes(char, encoding):
            line = line.replace(char, fallback)
    return line.encode(encoding, "replace").decode(encoding)


def console_lines(text: object, encoding: str = "utf-8") -> str:
    """Return ``text`` for a console or log with its line breaks, each line as `console` makes it."""
    lines = str(text).replace("\r\n", "\n").replace("\r", "\n").split("\n")
    return "\n".join(console(line, encoding) for line in lines)


def width(text: str) -> int:
    """Return the columns ``text`` takes on a console: two for a wide character, none for a combining one."""
    return sum(_columns(char) for char in text)


def shorten(text: str, columns: int, mark: str = "…") -> str:
    """Return ``text`` cut to at most ``columns`` columns, ending in ``mark`` when something was cut."""
    if width(text) <= columns:
        return text
    kept, used = "", width(mark)
    for char in text:
        used += _columns(char)
        if used > columns:
            break
        kept += char
    return kept.rstrip() + mark


def _columns(char: str) -> int:
    if unicodedata.combining(char) or unicodedata.category(char) in ("Cf", "Mn"):
        return 0
    return 2 if unicodedata.east_asian_width(char) in "WF" else 1


def _printable(char: str) -> str:
    forbidden = unicodedata.category(char) in ("Cc", "Cs") or char in _BIDI or char in "\ufffe\uffff"
    return REPLACEMENT if forbidden else char


def _encodes(char: str, encoding: str) -> bool:
    try:
        char.encode(encoding)
    except UnicodeEncodeError:
        return False
    return True
