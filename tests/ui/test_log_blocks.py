"""Blocks of lines: what belongs together stays together, and all comes by time."""

from __future__ import annotations

from contextlib import ExitStack, closing
from pathlib import Path

from quarterdeck.ui.child_log import ChildLog, LogLine
from quarterdeck.ui.log_blocks import LINES_MAX, LOOKS_MAX, Blocks, Following, merged

PYTHON = """\
Traceback (most recent call last):
  File "a.py", line 1, in <module>
    1/0
    ~^~
ZeroDivisionError: division by zero

During handling of the above exception, another exception occurred:

Traceback (most recent call last):
  File "a.py", line 3, in <module>
    raise ValueError("no")
ValueError: no
"""
NODE = """\
Error: boom
    at Object.<anonymous> (/a.js:1:7)
    at node:internal/main/run_main_module:28:49
"""
JAVA = """\
Exception in thread "main" java.lang.RuntimeException: no
\tat A.main(A.java:3)
Caused by: java.io.IOException: gone
\t... 1 more
"""
JSON = """\
{
  "a": 1
}
"""


def stamp(ms: int) -> str:
    return f"2026-11-25T12:00:{ms // 1000:02d}.{ms % 1000:03d}Z"


def line(ms: int, text: str, stream: str = "err") -> LogLine:
    return LogLine(stamp(ms), stream, text.encode())


def blocks(*lines: LogLine) -> list[list[str]]:
    gathered = Blocks("web")
    found = [block for line in lines if (block := gathered.add(line)) is not None]
    last = gathered.end()
    return [[line.text.decode() for line in block.lines] for block in (*found, *([last] if last else []))]


def test_each_line_is_a_block_of_its_own_but_for_what_belongs_together() -> None:
    for text in (PYTHON, NODE, JAVA, JSON):
        whole = text.splitlines()
        lines = [line(place, part) for place, part in enumerate(["before", *whole, "after", "more"])]
        found = blocks(*lines)
        assert found == [["before"], whole, ["after"], ["more"]], text


def test_what_was_read_at_once_is_one_block_and_what_comes_later_another() -> None:
    assert blocks(line(1, "a"), line(1, "b"), line(2, "c")) == [["a", "b"], ["c"]]


def test_the_streams_and_our_own_words_are_apart() -> None:
    lines = (line(1, "a"), line(1, "b", "out"), line(1, " c"), line(1, "d", "log"), line(1, "e", "log"))
    assert blocks(*lines) == [["a"], ["b"], [" c"], ["d"], ["e"]]


def test_what_comes_long_after_a_line_does_not_belong_to_it() -> None:
    assert blocks(line(1, "a"), line(2, " b"), line(10_000, " c"), line(10_001, "")) == [["a", " b"], [" c", ""]]


def test_a_block_has_an_end() -> None:
    sizes = [len(block) for block in blocks(*[line(1, " x")] * (LINES_MAX + 10))]
    assert sizes == [LINES_MAX, 10]


def written(folder: Path, name: str, *lines: tuple[int, str], stream: str = "err") -> None:
    folder.mkdir(exist_ok=True)
    with (folder / f"{name}.log").open("a") as file:
        file.writelines(f"{stamp(ms)} {stream} {text}\n" for ms, text in lines)


def said(found: list[tuple[str, LogLine]]) -> list[str]:
    return [f"{name} {line.text.decode()}" for name, line in found]


def test_several_logs_come_by_time_and_a_traceback_stays_whole(tmp_path: Path) -> None:
    written(
        tmp_path, "a", (1, "a1"), *((10 + place, part) for place, part in enumerate(PYTHON.splitlines())), (50, "a2")
    )
    written(tmp_path, "b", *((place, f"b{place}") for place in (2, 11, 12, 15, 49, 51)), stream="out")
    with ExitStack() as stack:
        logs = [stack.enter_context(closing(ChildLog(tmp_path, name))) for name in ("a", "b")]
        found = said([(block.name, line) for block in merged(logs) for line in block.lines])
    traceback = [f"a {part}" for part in PYTHON.splitlines()]
    assert found == ["a a1", "b b2", *traceback, "b b11", "b b12", "b b15", "b b49", "a a2", "b b51"]


def test_what_is_followed_is_held_until_it_is_whole(tmp_path: Path) -> None:
    parts = PYTHON.splitlines()
    with ExitStack() as stack:
        following = Following(stack.enter_context(closing(ChildLog(tmp_path, name))) for name in ("a", "b"))
        found: list[tuple[str, LogLine]] = []

        def look() -> None:
            found.extend((block.name, line) for block in following.look() for line in block.lines)

        for place, part in enumerate(parts[:4]):
            written(tmp_path, "a", (10 + 2 * place, part))
            written(tmp_path, "b", (11 + 2 * place, f"b{place}"), stream="out")
            look()
        assert found == []  # it still grows, and what is later waits for it
        written(tmp_path, "a", (20, parts[4]))
        look()
        look()
        look()
        assert said(found) == [*(f"a {part}" for part in parts[:5]), *(f"b b{place}" for place in range(4))]


def test_what_grows_without_end_is_not_held_for_ever(tmp_path: Path) -> None:
    with closing(ChildLog(tmp_path, "a")) as log:
        following = Following([log])
        shown = 0
        for place in range(3 * LOOKS_MAX):
            written(tmp_path, "a", (place, " and more"))
            shown += sum(len(block.lines) for block in following.look())
        assert shown >= 2 * LOOKS_MAX
