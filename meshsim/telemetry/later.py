"""The mark of columns that came later than the others."""

from __future__ import annotations

LATER: dict[str, bool] = {"later": True}
"""Marks a column that came later than the others: in hashes it counts only where it is not zero, false or empty."""
