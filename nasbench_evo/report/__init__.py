"""A results folder for people and other programs: HTML, LaTeX, Markdown, Parquet, TensorBoard."""
