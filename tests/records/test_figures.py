import math
from pathlib import Path

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest

from moldesign.records.figures import draw_learning_curve, learning_curve


def rows(scores: list[float]) -> pd.DataFrame:
    status = ["failed" if math.isnan(score) else "scored" for score in scores]
    return pd.DataFrame({"call": range(1, len(scores) + 1), "status": status, "score": scores})


def test_the_curve_is_the_mean_of_the_last_hundred_and_of_the_ten_best() -> None:
    curve = learning_curve(rows([float(i) for i in range(1, 251)]))
    assert curve["mean_last_100"].iloc[0] == 1.0
    assert curve["mean_last_100"].iloc[1] == 1.5
    assert curve["mean_last_100"].iloc[249] == pytest.approx(200.5)  # 151 .. 250
    assert curve["mean_best_10"].iloc[4] == 3.0
    assert curve["mean_best_10"].iloc[249] == pytest.approx(245.5)  # 241 .. 250


def test_a_failed_call_is_no_zero() -> None:
    curve = learning_curve(rows([math.nan, 0.5, math.nan, 1.0]))
    np.testing.assert_allclose(curve["mean_last_100"], [math.nan, 0.5, 0.5, 0.75])
    np.testing.assert_allclose(curve["mean_best_10"], [math.nan, 0.5, 0.5, 0.75])


def test_the_figure_is_a_png_and_the_same_each_time(tmp_path: Path) -> None:
    table = rows([0.1, math.nan, 0.4, 0.3])
    draw_learning_curve(table, tmp_path / "a.png")
    draw_learning_curve(table, tmp_path / "b.png")
    content = (tmp_path / "a.png").read_bytes()
    assert content.startswith(b"\x89PNG")
    assert content == (tmp_path / "b.png").read_bytes()


def test_settings_in_the_folder_of_the_run_change_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    draw_learning_curve(rows([0.1, 0.4]), tmp_path / "a.png")
    monkeypatch.setitem(mpl.rcParams, "text.usetex", True)
    monkeypatch.setitem(mpl.rcParams, "axes.facecolor", "red")
    draw_learning_curve(rows([0.1, 0.4]), tmp_path / "b.png")
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()


def test_a_run_without_calls_still_gets_its_figure(tmp_path: Path) -> None:
    draw_learning_curve(rows([]), tmp_path / "a.png")
    assert (tmp_path / "a.png").stat().st_size > 1000
