"""What is stored, read back: folders, runs, rows, rankings, ablations, published figures."""
