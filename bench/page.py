"""Write what docs/speed.md says was measured, and its picture, from the figures that are kept beside this file.

    python bench/page.py                             from bench/published.json
    python bench/page.py bench/results/latest.json   keep these figures as bench/published.json first
    python bench/page.py --check                     only say whether page and picture are current (exit code 1 if not)

A test does the last, so that neither can say what was not measured. The words around the tables are written by hand.
"""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

if __package__ in {None, ""}:  # run as a script: the folder above is not searched yet
    sys.path[0] = str(Path(__file__).resolve().parent.parent)

from bench.picture import draw
from bench.report import Results, cell, goals, preface, served, table
from bench.workloads import SERVERS, Figure

ROOT = Path(__file__).resolve().parent.parent
FIGURES = ROOT / "bench" / "published.json"
PAGE = ROOT / "docs" / "speed.md"
PICTURE = ROOT / "docs" / "pictures" / "speed.svg"
BEGIN = "<!-- From here to the next comment: written by bench/page.py from bench/published.json. -->"
END = "<!-- From here on: written by hand. -->"


def main() -> int:
    """Write, or check; 1 if something is not current."""
    words = sys.argv[1:]
    if words and words != ["--check"]:
        shutil.copyfile(words[0], FIGURES)
    stale = [path for path, text in written().items() if not path.exists() or path.read_text(encoding="utf-8") != text]
    if words == ["--check"]:
        for path in stale:
            print(f"{path.relative_to(ROOT)} is not what bench/page.py writes", file=sys.stderr)
        return 1 if stale else 0
    for path, text in written().items():
        path.write_text(text, encoding="utf-8")
    return 0


def written() -> dict[Path, str]:
    """Page and picture as they should be."""
    results = Results.from_json(FIGURES.read_text(encoding="utf-8"))
    before, _, rest = PAGE.read_text(encoding="utf-8").partition(BEGIN)
    after = rest.partition(END)[2]
    return {PAGE: "\n".join([before + BEGIN, "", *_measured(results), "", END]) + after, PICTURE: draw(results)}


def _measured(results: Results) -> list[str]:
    rows = [[figure.words, *(_cell(results, figure, peer) for peer in SERVERS)] for figure in results.figures()]
    return [
        "## Side by side",
        "",
        *table(["", *SERVERS], rows),
        "",
        "## What it takes of a processor",
        "",
        "The server's own processor time for each operation, in microseconds, of all its threads. It depends",
        "less on what else the machine does than waiting does: where it was busy, this tells more than the rates.",
        "",
        *served(results, SERVERS),
        "",
        "## The goals",
        "",
        *goals(results),
        "",
        "## The machine",
        "",
        *preface(results.machine),
        *([] if not results.faults else ["", "Faults in this run:", "", *(f"- {fault}" for fault in results.faults)]),
    ]


def _cell(results: Results, figure: Figure, peer: str) -> str:
    """In the column of what C can do, the figure of SQLite from C stands where no server is asked."""
    found = cell(results, figure, peer)
    return cell(results, figure, "sqlite") if peer == "limit" and found == "-" else found


if __name__ == "__main__":
    sys.exit(main())
