"""The plot: what is drawn, in which files, and what it needs."""

from __future__ import annotations

import re
import sys
from xml.etree import ElementTree

import numpy as np
import pytest

from evolve.errors import RunError, UsageError
from evolve.lineage.compare import Objective, compare
from evolve.lineage.plot import check, draw, save
from tests.lineage.rows import a_run


@pytest.fixture
def comparison(store):
    runs = [
        a_run(store, f"{n}-{seed}", [0.0, n, n + seed], seed=seed, usd=1.0, config={"selection": {"n": n}})
        for n in (1, 2)
        for seed in (1, 2, 3)
    ]
    return compare(runs)


def test_a_panel_for_each_axis_with_medians_bands_and_the_best_known(comparison):
    object.__setattr__(comparison, "objective", Objective(name="score", best=9.0))
    figure = draw(comparison)
    assert [panel.get_xlabel() for panel in figure.axes] == ["candidates", "evaluations", "US dollars", "seconds"]
    panel = figure.axes[0]
    assert [line.get_label() for line in panel.lines] == [
        "selection.n=2 (3 seeds)",
        "selection.n=1 (3 seeds)",
        "best known",
    ]
    assert list(panel.lines[0].get_ydata()) == [0, 2, 4] and list(panel.lines[2].get_ydata()) == [9, 9]
    assert len(panel.collections) == 2 and panel.collections[0].get_paths()[0].get_extents().ymax == 5
    assert panel.get_ylabel() == "score (larger is better)"


def test_the_picture_has_the_colours_of_the_groups(comparison, tmp_path):
    from matplotlib.colors import to_rgb
    from matplotlib.image import imread

    save(comparison, tmp_path / "plot.png")
    pixels = imread(tmp_path / "plot.png")[..., :3]
    for colour in ("C0", "C1"):
        assert (np.abs(pixels - to_rgb(colour)).max(axis=-1) < 0.01).sum() > 500


def test_the_same_comparison_gives_the_same_bytes(comparison, tmp_path):
    for name in ("a", "b"):
        save(comparison, tmp_path / f"{name}.svg")
    assert (tmp_path / "a.svg").read_bytes() == (tmp_path / "b.svg").read_bytes()
    assert re.search(r"<!-- selection\.n=1 \(3 seeds\) -->", (tmp_path / "a.svg").read_text())


def test_one_seed_is_a_line_and_what_is_not_finite_is_not_drawn(store):
    alone = draw(compare([a_run(store, "a", [None, 2.0])]))
    assert not alone.axes[0].collections and np.isnan(alone.axes[0].lines[0].get_ydata()[0])
    assert not draw(compare([a_run(store, "b", [None])])).axes


def test_words_that_look_like_formulas_and_values_near_the_largest_are_drawn(store, tmp_path):
    words = [["llm.api_base=${oc.env:A}${oc.env:B}$\\frac$\x1b"], ["llm.api_base=x"]]
    runs = [a_run(store, f"{n}", [n, 1e308 * (1 - 2 * n)], words=words[n], config={"llm": n}) for n in (0, 1)]
    save(compare(runs), tmp_path / "plot.svg")
    ElementTree.parse(tmp_path / "plot.svg")


def test_a_run_draws_its_own(store):
    assert len(a_run(store, "a", [1.0, 2.0]).plot_progress().axes) == 3  # nothing was spent


def test_names_and_places_that_can_not_be_written(comparison, tmp_path):
    with pytest.raises(UsageError, match=r"must end in \.png or \.svg"):
        check(tmp_path / "plot.jpg")
    with pytest.raises(RunError, match="can't be written: No such file"):
        save(comparison, tmp_path / "gone" / "plot.png")


def test_without_matplotlib_the_extra_is_named(comparison, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(UsageError, match=r"pip install 'evolve-engine\[plot\]'"):
        draw(comparison)
