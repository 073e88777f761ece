"""Search algorithms: each reads like its paper's pseudo-code."""
