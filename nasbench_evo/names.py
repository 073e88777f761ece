"""Names that people give: short, on one line, without what a terminal would obey."""

from __future__ import annotations

import re

from nasbench_evo.errors import InputError

LONGEST = 100  # characters: names become parts of file names, legends and table cells


def in_files(text: str) -> str:
    """Return a name as part of a file's name: of letters that every system takes."""
    return re.sub(r"[^A-Za-z0-9.-]+", "_", text)


def checked(what: str, text: object, longest: int = LONGEST) -> str:
    """Return `text` if it is a name, else raise InputError that calls it `what`.

    A name has 1 to `longest` printable characters: no line break, no escape sequence, no half of a
    surrogate pair, no mark that turns the direction of writing.
    """
    if isinstance(text, str) and 0 < len(text) <= longest and text.isprintable():
        return text
    raise InputError(
        f"{what} has 1 to {longest} printable characters on one line; got {text!a:.60}"
        + (f" ({len(text)} characters)." if isinstance(text, str) and len(text) > longest else ".")
    )
