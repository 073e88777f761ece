"""Evolutionary neural architecture search: run it, compare it, trust it."""

from __future__ import annotations

__version__ = "0.1.0"
