"""docs/metrics.md names what there is."""

from __future__ import annotations

import re
from pathlib import Path

from quarterdeck.server.metrics import METRICS

PAGE = Path(__file__).parents[2] / "docs" / "metrics.md"


def test_every_metric_that_is_named_exists_with_the_labels_that_it_is_named_with() -> None:
    labels = {metric.name: metric.labels for metric in METRICS}
    named = re.findall(r"`((?:quarterdeck|process)_[a-z_]+)(?:\{([a-z]+)=)?", PAGE.read_text())
    assert len(named) > len(labels)
    for name, label in named:
        assert name in labels
        assert not label or label in labels[name]
