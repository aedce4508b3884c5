"""Standard output: colours and tables on a terminal, plain lines when piped, quiet when the reader has gone.

Rules: everything shown passes `text.safe` here, whatever was done before; nothing is read as markup. Each line is
flushed, so that who reads a pipe sees it when it happened. rich is imported for a terminal only.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence
from typing import TextIO

from quarterdeck.ui.text import columns, safe, safe_json


class Screen:
    """Where a command shows what it has to say."""

    def __init__(self, stream: TextIO) -> None:
        self.stream = stream
        self.is_terminal = stream.isatty()
        self._codes: dict[str, tuple[str, str]] = {}

    def line(self, text: str, style: str = "") -> None:
        """Show one line; `style` is a colour or `bold`, for terminals."""
        self.parts((text, style))

    def parts(self, *parts: tuple[str, str]) -> None:
        """Show one line of several parts, each with its style."""
        self.stream.write("".join([self._styled(safe(text), style) for text, style in parts]) + "\n")
        self.stream.flush()

    def raw(self, line: bytes) -> None:
        """Write one line of JSON, given without its newline: as it is when piped, on a terminal made safe, and still
        the same JSON.
        """
        self._written(line, safe_json)

    def output(self, line: bytes) -> None:
        """Write a line of a program, given without its newline: as it is when piped, on a terminal made safe."""
        self._written(line, safe)

    def _written(self, line: bytes, made_safe: Callable[[str], str]) -> None:
        if self.is_terminal:
            self.line(made_safe(line.decode("utf-8", "replace")))
        else:
            self.stream.buffer.write(line + b"\n")
            self.stream.flush()

    def table(self, headings: Sequence[str], rows: Sequence[Sequence[str]], styles: Sequence[str] = ()) -> None:
        """Show rows in aligned columns; `styles` has one a row, for terminals."""
        rows = [[safe(cell) for cell in row] for row in rows]
        widths = [max(map(columns, column)) for column in zip(headings, *rows, strict=True)]
        self.line(_aligned(headings, widths), "bold")
        for number, row in enumerate(rows):
            self.line(_aligned(row, widths), styles[number] if styles else "")

    def _styled(self, text: str, style: str) -> str:
        if not style or not self.is_terminal:
            return text
        if style not in self._codes:
            self._codes[style] = self._codes_of(style)
        begin, end = self._codes[style]
        return f"{begin}{text}{end}"

    def _codes_of(self, style: str) -> tuple[str, str]:
        """What this terminal needs before and behind a text in that style."""
        from rich.console import Console
        from rich.text import Text

        console = Console(file=self.stream, highlight=False, markup=False, emoji=False)
        with console.capture() as shown:
            console.print(Text("x", style=style), end="")
        begin, _, end = shown.get().partition("x")
        return begin, end


def close_quietly(stream: TextIO) -> None:
    """Turn a stream whose reader has gone to nowhere, so that the last flush at exit does not fail again."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, stream.fileno())
    os.close(nowhere)


def standard_output() -> Screen:
    """The process's own."""
    return Screen(sys.stdout)


def _aligned(cells: Sequence[str], widths: Sequence[int]) -> str:
    return "  ".join(cell + " " * (width - columns(cell)) for cell, width in zip(cells, widths, strict=True)).rstrip()
