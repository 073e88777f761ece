"""Journals that are torn, damaged, doubled, or wanted by two processes at once."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from nasbench_evo.errors import DataError, InputError
from nasbench_evo.evaluators.journal import Journal
from nasbench_evo.files import digest

IDENTITY = {"seed": 1}
ANSWERS = {f"t{i}": {"valid_accuracy": 90.0 + i} for i in range(5)}


def converse(journal: Journal, upto: int = 5) -> list[str]:
    """Ask and answer as a search does; return what had to be trained."""
    trained = []
    for i, (name, answer) in enumerate(list(ANSWERS.items())[:upto]):
        journal.ask(i)
        known = journal.answer(name)
        if known is None:
            journal.record(name, answer)
            trained.append(name)
        else:
            assert known == answer
    return trained


@pytest.fixture
def file(tmp_path: Path) -> Path:
    converse(Journal(tmp_path / "journal.jsonl", IDENTITY))
    return tmp_path / "journal.jsonl"


def lines(file: Path) -> list[bytes]:
    return file.read_bytes().splitlines(keepends=True)


@pytest.mark.parametrize("number", range(11))
def test_a_damaged_line_cuts_a_journal_back_to_what_is_sound_before_it(
    file: Path, number: int
) -> None:
    whole = lines(file)
    broken = [*whole]
    broken[number] = broken[number][:30] + b"#" + broken[number][31:]
    file.write_bytes(b"".join(broken))
    with pytest.warns(UserWarning, match="is damaged.* cut back"):
        journal = Journal(file, IDENTITY)
    kept = max(number - 1, 0) // 2  # a request and its training are two lines
    assert converse(journal) == list(ANSWERS)[kept:]
    assert file.read_bytes() == b"".join(whole)
    assert (file.parent / "journal.jsonl.damaged").read_bytes() == b"".join(broken)


def test_a_line_deeper_than_the_stack_cuts_it_back(file: Path) -> None:
    whole = lines(file)
    deep = b'{"request": ' + b"[" * 100_000 + b"]" * 100_000 + b"}"
    file.write_bytes(
        b"".join(whole) + hashlib.sha256(deep).hexdigest().encode() + b" " + deep + b"\n"
    )
    with pytest.warns(UserWarning, match="nested too deeply"):
        assert converse(Journal(file, IDENTITY)) == []
    assert file.read_bytes() == b"".join(whole)


def test_a_missing_request_cuts_it_back(file: Path) -> None:
    whole = lines(file)
    file.write_bytes(b"".join(whole[:3] + whole[4:]))
    with pytest.warns(UserWarning, match="a request is missing"):
        journal = Journal(file, IDENTITY)
    assert converse(journal) == list(ANSWERS)[2:]  # a training stands for itself


def test_two_writers_of_one_history_count_once(file: Path) -> None:
    """What an orphaned worker and the one that was started after it wrote in turn."""
    whole = lines(file)
    doubled = [*whole[:5], *(line for line in whole[5:] for _ in range(2))]
    file.write_bytes(b"".join(doubled))
    assert converse(Journal(file, IDENTITY)) == []


def plain(*contents: dict[str, Any]) -> bytes:
    header = {"format": 1, "identity": digest(IDENTITY)}
    return b"".join(json.dumps(line).encode() + b"\n" for line in (header, *contents))


def test_a_doubled_journal_of_an_earlier_version_is_cut_back(file: Path) -> None:
    order = [("r", 0), ("t", 0), ("r", 1), ("r", 1), ("t", 1), ("r", 2), ("t", 1), ("r", 2)]
    file.write_bytes(
        plain(
            *(
                {"request": digest(i)}
                if kind == "r"
                else {"training": f"t{i}", "answer": ANSWERS[f"t{i}"]}
                for kind, i in order
            )
        )
    )
    with pytest.warns(UserWarning, match="written by two processes"):
        assert converse(Journal(file, IDENTITY)) == ["t2", "t3", "t4"]
    assert converse(Journal(file, IDENTITY)) == []


def test_another_search_is_an_error_and_nothing_is_cut(file: Path) -> None:
    before = file.read_bytes()
    with pytest.raises(DataError, match="Request 0 of the resumed run is not the one"):
        Journal(file, IDENTITY).ask("other")
    other = json.dumps({"request": digest("other"), "number": 2}).encode() + b"\n"
    file.write_bytes(before + other)
    with pytest.raises(DataError, match="two different searches"):
        Journal(file, IDENTITY)
    assert file.read_bytes() == before + other


HOLDER = """
import sys
from pathlib import Path
from nasbench_evo.evaluators.journal import Journal
journal = Journal(Path(sys.argv[1]), {"seed": 1})
print("held", flush=True)
sys.stdin.read()
"""


def test_a_journal_has_one_writer(file: Path) -> None:
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(file)],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        with pytest.raises(InputError, match=f"is being written by process {holder.pid} on "):
            Journal(file, IDENTITY, wait=0)
    finally:
        holder.kill()
        holder.communicate()
    assert converse(Journal(file, IDENTITY, wait=5)) == []  # its lock ends with it


def test_a_folder_that_cannot_be_written_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="Cannot write"):
        Journal(tmp_path / "file" / "journal.jsonl", IDENTITY)
