"""The acceptance report of one decision and the index of many, as markdown: same document, same bytes."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from . import family, figures, provenance, resources, rows, templating, units
from .figures import Doc
from .reasons import explain


def decision_markdown(doc: Doc, templates: Path | None = None) -> str:
    """Return the acceptance report of decision ``doc``.

    ``templates`` is a folder that may replace the shipped template. The template sees the names built in
    `decision_context`. Raises TemplateError.
    """
    return templating.render(templating.DECISION, decision_context(doc), templates)


def index_markdown(docs: Sequence[Doc], warnings: Sequence[str] = (), templates: Path | None = None) -> str:
    """Return the index of ``docs`` in the order given; ``warnings`` name files that are not in it."""
    return templating.render(templating.INDEX, index_context(docs, warnings), templates)


def decision_context(doc: Doc) -> dict[str, Any]:
    """Return what the decision template may use: ``doc`` itself and its rows of display strings."""
    expected_rows, expected_words = rows.expectation(doc)
    return {
        "doc": doc,
        "measured": figures.measured(doc),
        "unpaired": doc.get("unpaired"),
        "target": figures.target(doc),
        "gain": figures.gain(doc),
        "gain_interval": figures.gain_interval(doc),
        "confidence": figures.confidence(doc),
        "facts": rows.facts(doc),
        "reasons": [(code, explain(code)) for code in doc["reasons"]],
        "summary_sentences": rows.sentences(doc),
        "config": provenance.settings(doc["config"]),
        "protocol": provenance.settings(doc["protocol"]),
        "environment": sorted(provenance.settings(doc["environment"])),
        "arms": rows.arms(doc),
        "metrics": resources.metrics(doc),
        "validation": rows.validation(doc),
        "looks": rows.looks(doc),
        "context": rows.context(doc),
        "criteria": rows.criteria(doc),
        "pairs": rows.pairs(doc),
        "equivalence": rows.equivalence(doc),
        "memory": resources.memory(doc),
        "expectation": expected_rows,
        "expectation_words": expected_words,
        "overhead": provenance.overhead(doc),
        "code": provenance.code(doc),
        "earlier": provenance.earlier(doc),
        "seconds": units.seconds(doc["seconds"]),
        "of_commands": str(doc["command"]).startswith("optbench "),
    }


def index_context(docs: Sequence[Doc], warnings: Sequence[str]) -> dict[str, Any]:
    """Return what the index template may use."""
    return {
        "docs": docs,
        "counts": family.counts_text(docs),
        "grouped": any(doc["group"] for doc in docs),
        "corrected": any(doc["p_adjusted"] is not None for doc in docs),
        "decisions": [
            {
                "doc": doc,
                "target": figures.target(doc),
                "gain": figures.gain(doc),
                "interval": figures.saved_interval(doc),
                "noise_floor": figures.noise_floor(doc),
                "pairs": figures.pair_count(doc),
                "p": units.p_value(doc["p_sequential"]),
                "adjusted": units.p_value(doc["p_adjusted"]),
                "alone": family.verdict_alone(doc),
                "family": family.family_verdict(doc),
                "reasons": ", ".join(doc["reasons"]),
                "time_saved": units.time_saved(figures.part(doc, "ratio", "estimate")),
            }
            for doc in docs
        ],
        "warnings": list(warnings),
    }
