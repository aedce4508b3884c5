"""The figures as a picture: one panel a workload, one bar a server.

Rules: plain SVG without a script or a font of its own, legible on a light and on a dark page; the launcher's bars stand
out by colour; every bar bears its figure, so that the scale, which begins at zero, needs no axis.
"""

from __future__ import annotations

from statistics import median
from xml.sax.saxutils import escape

from bench.report import Results
from bench.workloads import OWN, SERVERS

PANELS = {
    "w1 p50": "One ping, us",
    "w2 1": "Pipelined pings, 1 client, thousands/s",
    "w3 100/256": "Told to 100 readers, in bursts, thousands/s",
    "w3 100/1": "Told to 100 readers, one by one, thousands/s",
    "w4": "Connect, register, leave, thousands/s",
    "w5": "A kill -9 to its notice, ms",
    "w6": "Memory per idle connection, KB",
    "w8": "Process start to first reply, ms",
}
PER_THOUSAND = ("w2 1", "w3 100/256", "w3 100/1", "w4")
UNCOMPARED = {"w2 1": ("echo", "limit")}
"""Left out of a panel: who echoes whole reads without looking at them would leave the others no length."""
COLUMNS = 2
WIDTH, NAME, BAR, ROW, HEAD, GAP = 860, 104, 200, 17, 30, 22

STYLE = """
  text { font: 12px system-ui, sans-serif; fill: #1f2328 }
  .title { font-weight: 600 } .name { text-anchor: end }
  .own { fill: #0969da } .peer { fill: #afb8c1 }
  @media (prefers-color-scheme: dark) { text { fill: #e6edf3 } .own { fill: #58a6ff } .peer { fill: #57606a } }
"""


def draw(results: Results) -> str:
    """The whole picture."""
    panels = [key for key in PANELS if any(key == figure.key for figure in results.figures())]
    height = HEAD + ROW * len(SERVERS) + GAP
    lines = -(-len(panels) // COLUMNS)
    size = f'width="{WIDTH}" height="{height * lines}" viewBox="0 0 {WIDTH} {height * lines}"'
    parts = [f'<svg xmlns="http://www.w3.org/2000/svg" {size} role="img">', f"<style>{STYLE}</style>"]
    for number, key in enumerate(panels):
        line, column = divmod(number, COLUMNS)
        parts += [
            f'<g transform="translate({column * WIDTH // COLUMNS} {line * height})">',
            *_panel(results, key),
            "</g>",
        ]
    return "\n".join([*parts, "</svg>"]) + "\n"


def _panel(results: Results, key: str) -> list[str]:
    medians = {peer: _median(results, key, peer) for peer in SERVERS if peer not in UNCOMPARED.get(key, ())}
    most = max((value for value in medians.values() if value is not None), default=0.0) or 1.0
    figure = next(one for one in results.figures() if one.key == key)
    title = PANELS[key] + (": less is better" if figure.less_is_better else "")
    parts = [f'<text class="title" x="{NAME}" y="18">{escape(title)}</text>']
    for number, (peer, value) in enumerate(medians.items()):
        y = HEAD + ROW * number
        parts.append(f'<text class="name" x="{NAME - 6}" y="{y + 11}">{escape(peer)}</text>')
        width = 0.0 if value is None else BAR * value / most
        kind = "own" if peer in OWN else "peer"
        if value is not None:
            parts.append(f'<rect class="{kind}" x="{NAME}" y="{y}" width="{width:.1f}" height="13" rx="2"/>')
        parts.append(f'<text x="{NAME + width + 6:.1f}" y="{y + 11}">{"-" if value is None else _number(value)}</text>')
    return parts


def _median(results: Results, key: str, peer: str) -> float | None:
    good = [value for value in results.values(key, peer) if value is not None]
    return median(good) / (1000 if key in PER_THOUSAND else 1) if good else None


def _number(value: float) -> str:
    digits = 0 if value >= 100 else 1 if value >= 10 else 2
    return f"{value:,.{digits}f}".replace(",", " ")
