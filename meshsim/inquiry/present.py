"""A matrix and a comparison as documents for programs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from meshsim.inquiry.dimension import OWN
from meshsim.inquiry.matrix import Cell, Comparison, Flip, Matrix
from meshsim.inquiry.space import Space


def matrix_document(matrix: Matrix) -> dict[str, Any]:
    """The keys of ``meshsim policy matrix --json``."""
    return {
        "cells": [_cell(cell) for cell in matrix.cells],
        "dimensions": _dimensions(matrix.space),
        "questions": matrix.questions,
        "notes": list(matrix.notes),
        "exact": not matrix.space.approximate,
        "approximate": list(matrix.space.approximate),
    }


def comparison_document(
    comparison: Comparison, named: tuple[Sequence[str], Sequence[str]] = ((), ())
) -> dict[str, Any]:
    """The keys of ``meshsim policy matrix --diff --json``; ``named``: the options that name either side."""
    return {
        "flips": [_flip(flip, comparison.space, named) for flip in comparison.flips],
        "newly_allowed": sum(flip.now_allowed for flip in comparison.flips),
        "newly_denied": sum(not flip.now_allowed for flip in comparison.flips),
        "only_before": list(comparison.only_before),
        "only_after": list(comparison.only_after),
        "dimensions": _dimensions(comparison.space),
        "questions": comparison.questions,
        "notes": list(comparison.notes),
        "exact": not comparison.space.approximate,
        "approximate": list(comparison.space.approximate),
        "left_out": [msgspec.to_builtins(one) for one in comparison.left_out],
        "not_compared": [msgspec.to_builtins(one) for one in comparison.uncompared],
    }


def _dimensions(space: Space) -> list[dict[str, Any]]:
    return [
        {
            "name": one.name,
            "values": [
                {"class": value.shown, "witness": None if value.witness == OWN else value.witness}
                for value in one.values
            ],
        }
        for one in space.dimensions
    ]


def _cell(cell: Cell) -> dict[str, Any]:
    return {
        "source": cell.caller.name,
        "source_spiffe_id": cell.caller.spiffe_id,
        "destination": cell.callee.name,
        "port": cell.port,
        "allowed": cell.extent,
        "regions": [{name: list(values) for name, values in box.items()} for box in cell.allowed.boxes],
        "rules": list(cell.rules),
        "refused_by_mutual_tls": bool(cell.refused),
        "why_refused": cell.refused or None,
    }


def _flip(flip: Flip, space: Space, named: tuple[Sequence[str], Sequence[str]]) -> dict[str, Any]:
    return {
        "token_at": space.token_at(flip.combination) or None,
        "change": "newly allowed" if flip.now_allowed else "newly denied",
        "source": flip.caller.name,
        "source_spiffe_id": flip.caller.spiffe_id,
        "destination": flip.callee.name,
        "port": flip.port,
        "regions": [{name: list(values) for name, values in box.items()} for box in flip.region.boxes],
        "witness": msgspec.to_builtins(flip.witness),
        "ask": list(flip.ask),
        "ask_before": [*named[0], *flip.asks[0]],
        "ask_after": [*named[1], *flip.asks[1]],
        "rule_before": flip.before.rule,
        "rule_after": flip.after.rule,
        "refused_by_before": flip.before.refused_by or None,
        "refused_by_after": flip.after.refused_by or None,
    }
