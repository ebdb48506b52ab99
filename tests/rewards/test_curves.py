"""What is drawn of an objective: the curve of each component, and the molecules on it."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
import pytest

from moldesign.errors import UsageError
from moldesign.rewards.component import Component, Group
from moldesign.rewards.curves import FORMATS, curve, draw_curves, title
from moldesign.rewards.known import Known, Place
from moldesign.rewards.objective import Objective
from moldesign.rewards.scoring import score
from moldesign.rewards.shaping import Linear, Shaping, Sigmoid, Step, ValueMap

SMILES = ["CCO", "c1ccccc1O", "CC(=O)Nc1ccc(O)cc1", "CCCCCCCC", "NCCO"]


@pytest.fixture(scope="module")
def objective() -> Objective:
    return Objective(
        name="costs $1 <b> & \x07",
        components=[
            Component(reward="qed", weight=2.5),
            Group(
                label="size",
                components=[
                    Component(reward="mw", shaping=Linear(zero=300, one=100)),
                    Component(reward="hbd", shaping=ValueMap(table={"0": 0.5, "1": 1.0})),
                ],
            ),
            Component(reward="logp", role="filter", shaping=Step(low=0, high=2)),
            Component(reward="alerts", role="penalty"),
        ],
    )


@pytest.fixture(scope="module")
def known(objective: Objective) -> Known:
    return Known.of(objective, score(objective, SMILES))


def place(shaping: Shaping | None, reward: str = "mw") -> Place:
    return Place(Component(reward=reward, shaping=shaping), "", "geometric_mean")


def test_a_curve_spans_the_molecules_and_the_limits() -> None:
    x, y = curve(place(Sigmoid(low=200, high=400)), np.array([350.0, 500.0]))
    assert x[0] == pytest.approx(200 - 0.08 * 300)
    assert x[-1] == pytest.approx(500 + 0.08 * 300)
    assert (np.diff(x) > 0).all()
    assert y[x == 400] == pytest.approx(1 / (1 + 10**-2.5))
    assert y[x == 200] == pytest.approx(1 / (1 + 10**2.5))


def test_a_step_jumps_at_its_limit() -> None:
    x, y = curve(place(Step(high=300)), np.array([250.0]))
    at = int(np.flatnonzero(x == 300)[0])
    assert y[at] == 1
    assert y[at + 1] == 0
    assert x[at + 1] - x[at] < 1e-9


def test_without_a_shaping_a_curve_is_the_identity_from_0_to_1() -> None:
    x, y = curve(place(None, "qed"), np.array([0.4]))
    np.testing.assert_array_equal(x, y)
    assert x[0] == pytest.approx(-0.03)
    assert x[-1] == pytest.approx(1.03)


def test_no_molecule_with_a_value_still_leaves_the_curve() -> None:
    x, _ = curve(place(Linear(zero=3, one=1)), np.zeros(0))
    assert x[0] < 1 < 3 < x[-1]


def test_a_title_names_role_weight_shaping_and_group() -> None:
    node = Component(reward="mw", label="light", weight=2.5, shaping=Linear(zero=500, one=300))
    assert title(Place(node, "", "product")) == "light: weight 2.5, linear"
    assert title(Place(node, "size", "product")) == "size / light: weight 2.5, linear"
    assert title(Place(Component(reward="qed", role="penalty"), "", "product")) == "qed: penalty"


def test_the_figure_shows_every_component_group_and_molecule(
    objective: Objective, known: Known, tmp_path: Path
) -> None:
    draw_curves(objective, known, tmp_path / "a.svg")
    drawn = (tmp_path / "a.svg").read_text(encoding="utf-8")
    texts = [re.sub(r"<[^>]*>", "", text) for text in re.findall(r"<text.*?</text>", drawn)]
    assert "costs $1 &lt;b&gt; &amp;  : geometric mean" in texts
    for expected in [
        "qed: weight 2.5",
        "size: weight 1",
        "size / mw: weight 1, linear",
        "size / hbd: weight 1, values",
        "logp: filter, step",
        "alerts: penalty, step",
        "mw (g/mol)",
        "rejected",
        "3: CC(=O)Nc1ccc(O)cc1",
    ]:
        assert expected in texts
    # Molecules at one point share a label: a phenol, an alcohol and an amine raise no alert, octane does.
    assert "1, 2, 5" in texts


def test_many_molecules_are_points_without_labels(objective: Objective, tmp_path: Path) -> None:
    many = Known.of(objective, score(objective, SMILES * 3))
    draw_curves(objective, many, tmp_path / "a.svg")
    assert "CC(=O)Nc1ccc(O)cc1" not in (tmp_path / "a.svg").read_text(encoding="utf-8")


@pytest.mark.parametrize("suffix", FORMATS)
def test_the_same_figure_has_the_same_bytes_whatever_the_user_set(
    objective: Objective, known: Known, tmp_path: Path, suffix: str, monkeypatch: Any
) -> None:
    draw_curves(objective, known, tmp_path / f"a{suffix}")
    content = (tmp_path / f"a{suffix}").read_bytes()
    assert content.startswith({".png": b"\x89PNG", ".svg": b"<?xml", ".pdf": b"%PDF"}[suffix])
    monkeypatch.setitem(mpl.rcParams, "axes.facecolor", "black")
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1")
    draw_curves(objective, known, tmp_path / f"b{suffix}")
    assert (tmp_path / f"b{suffix}").read_bytes() == content
    assert mpl.rcParams["axes.facecolor"] == "black", "the user's own setting stays"
    assert sorted(path.name for path in tmp_path.iterdir()) == [f"a{suffix}", f"b{suffix}"]


def test_a_component_that_always_fails_is_drawn_without_points(tmp_path: Path) -> None:
    objective = Objective(components=[Component(reward="mw", shaping=Linear(zero=3, one=1))])
    nothing = np.full(2, np.nan)
    known = Known(["C", "CC"], nothing, {"mw": nothing}, {"mw": nothing}, ["mw: no", "mw: no"], ["1", "2"])
    draw_curves(objective, known, tmp_path / "a.png")
    assert (tmp_path / "a.png").stat().st_size > 1000


def test_what_cannot_be_written_is_a_usage_error(objective: Objective, known: Known, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="a.gif: unknown kind of figure; use .png, .svg, .pdf"):
        draw_curves(objective, known, tmp_path / "a.gif")
    with pytest.raises(UsageError, match="cannot be written"):
        draw_curves(objective, known, tmp_path / "nowhere" / "a.png")
