"""Searches run again to show more than their records: generations, fronts, simulated workers."""
