"""The search-quality gate: is the search what it was, and if not, is it worse?"""
