"""Text from rules made harmless for each format: one line, no control characters, markup escaped. Pure."""

from __future__ import annotations

import re

_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
_NOT_XML = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_MARKDOWN = re.compile(r"([\\`*_{}\[\]()#+!|<>~@&])")


def visible(text: str) -> str:
    """*text* with control characters and lone surrogates written out, so that no terminal obeys or refuses them;
    newlines and tabs stay."""
    return _CONTROL.sub(lambda found: f"\\x{ord(found.group()):02x}", text.replace("\r\n", "\n"))


def one_line(text: str, width: int | None = None) -> str:
    """*text* on one line, control characters written out, cut at *width* characters."""
    line = " ".join(visible(text).split())
    return line if width is None or len(line) <= width else line[: max(width - 1, 0)] + "…"


def markdown_text(text: str, width: int | None = 300) -> str:
    """*text* for a markdown table cell: on one line, nothing in it is markup, a mention or HTML."""
    return _MARKDOWN.sub(r"\\\1", one_line(text, width)).replace("\\<", "&lt;").replace("\\>", "&gt;")


def xml_text(text: str) -> str:
    """*text* without characters that XML 1.0 cannot hold; escaping of markup is the writer's."""
    return _NOT_XML.sub(lambda found: f"\\x{ord(found.group()):02x}", text)
