"""Lookup tables: benchmark results as arrays."""
