"""Each warning fires where the objective is wrong, and holds its tongue where it is not."""

from __future__ import annotations

import lzma
from collections.abc import Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from moldesign.assets import corpus_path
from moldesign.rewards import trust
from moldesign.rewards.advice import Warn, limits
from moldesign.rewards.component import Component, Group, combined
from moldesign.rewards.explanation import explain
from moldesign.rewards.known import Known, places
from moldesign.rewards.objective import Objective
from moldesign.rewards.objectives import READY_MADE
from moldesign.rewards.scoring import score
from moldesign.rewards.shaping import (
    Clip,
    DoubleSigmoid,
    ExponentialDecay,
    Gaussian,
    Linear,
    ReverseSigmoid,
    Shaping,
    Sigmoid,
    Step,
    ValueMap,
)

RANDOM = np.random.default_rng(0)


def objective(*components: dict[str, Any], **keys: Any) -> Objective:
    return Objective.model_validate({"components": list(components), **keys})


def known(of: Objective, **raw: Any) -> Known:
    """What the objective says of molecules with these raw values, by label."""
    values = {label: np.asarray(column, dtype=np.float64) for label, column in raw.items()}
    shaped = {leaf.label: leaf.shape(values[leaf.label]) for leaf in of.leaves}
    for place in reversed(places(of)):
        if isinstance(place.node, Group):
            values[place.label] = combined(place.node.combination, place.node.components, shaped)
            shaped[place.label] = place.node.shape(values[place.label])
    n = len(next(iter(values.values())))
    return Known(
        smiles=["C" * (i + 1) for i in range(n)],
        score=combined(of.combination, of.components, shaped),
        raw=values,
        shaped=shaped,
        reasons=[""] * n,
        names=[str(i + 1) for i in range(n)],
    )


def warned(of: Objective, **raw: Any) -> list[tuple[str, str]]:
    return [(warn.kind, warn.component) for warn in explain(of, known(of, **raw)).warnings]


def text(of: Objective, **raw: Any) -> str:
    (warn,) = explain(of, known(of, **raw)).warnings
    return warn.text


def ramp(low: float, high: float, n: int = 40) -> Any:
    return np.linspace(low, high, n)


QED = {"reward": "qed"}


def mw(shaping: dict[str, Any], **keys: Any) -> dict[str, Any]:
    return {"reward": "mw", "shaping": shaping, **keys}


def sa(zero: float, one: float, **keys: Any) -> dict[str, Any]:
    return {"reward": "sa", "shaping": {"kind": "linear", "zero": zero, "one": one}, **keys}


# --- the ready-made ones ---


@pytest.fixture(scope="module")
def drug_like() -> list[str]:
    with lzma.open(corpus_path("chembl_sample"), "rt") as lines:
        return [line.strip() for line in islice(lines, 100)]


@pytest.mark.parametrize("name", ["qed", "druglike", "lead_like", "cns"])
def test_ready_made_objectives_raise_no_alarm_on_drug_like_molecules(name: str, drug_like: list[str]) -> None:
    of = READY_MADE[name]()
    explanation = explain(of, Known.of(of, score(of, drug_like)))
    assert explanation.warnings == []
    assert [component.label for component in explanation.components] == list(of.labels)


# --- the table ---


def test_a_summary_is_of_the_molecules_that_have_a_value() -> None:
    of = objective(
        {**mw({"kind": "linear", "zero": 500, "one": 300}), "weight": 2.0},
        {
            "label": "easy",
            "role": "penalty",
            "combination": "arithmetic_mean",
            "components": [QED, sa(5, 1)],
        },
    )
    facts = known(of, mw=[300, 400, 500, np.nan], qed=[1, 1, 0, 0], sa=[1, 3, 5, 5])
    first, group, qed, _ = explain(of, facts).components
    assert (first.label, first.reward, first.unit, first.role, first.weight) == (
        "mw", "mw", "g/mol", "score", 2.0,
    )  # fmt: skip
    assert (first.raw_min, first.raw_median, first.raw_max, first.shaped_mean) == (300, 400, 500, 0.5)
    assert [first.at_zero, first.at_one, first.failed] == pytest.approx([1 / 3, 1 / 3, 1])
    assert (group.label, group.reward, group.group, group.weight) == ("easy", "arithmetic_mean", "", None)
    assert (qed.group, qed.at_zero, qed.at_one) == ("easy", 0.5, 0.5)
    assert group.shaped_mean == pytest.approx((1 + 0.75 + 0 + 0) / 4)


def test_known_takes_the_valid_rows_of_a_table_whatever_the_labels() -> None:
    of = objective({**QED, "label": "score"}, {**QED, "label": "score_score", "role": "penalty"})
    table = score(of, ["CCO", "C1CC", "c1ccccc1"])
    table.insert(0, "line", [4, 5, 6])
    facts = Known.of(of, table)
    assert facts.names == ["4", "6"]
    assert facts.smiles == ["CCO", "c1ccccc1"]
    assert facts.raw["score"].tolist() == facts.shaped["score_score"].tolist()
    np.testing.assert_allclose(facts.score, facts.raw["score"] ** 2)
    assert Known.of(of, table.drop(columns="line")).names == ["1", "3"]


@pytest.mark.parametrize(
    ("shaping", "expected"),
    [
        (Sigmoid(low=1, high=3), (1, 3)),
        (Linear(zero=4, one=2), (2, 4)),
        (Gaussian(mean=5, sd=2), (3, 7)),
        (Step(high=5), (5,)),
        (ExponentialDecay(k=0.5), (0, 2)),
        (ValueMap(table={"2": 1.0, "-1": 0.5}), (-1, 2)),
        (Clip(), (0, 1)),
    ],
)
def test_limits_are_where_the_curve_turns(shaping: Shaping, expected: tuple[float, ...]) -> None:
    assert limits(shaping) == expected


# --- saturated ---


def test_a_component_that_is_always_1_cannot_guide() -> None:
    of = objective(QED, sa(10, 6))
    assert warned(of, qed=ramp(0.2, 0.9), sa=ramp(2, 4)) == [("saturated", "sa")]
    said = text(of, qed=ramp(0.2, 0.9), sa=ramp(2, 4))
    assert "'sa' is 1 for all 40 molecules (raw values 2 to 4)" in said
    assert "move the limits of its shaping (6 and 10)" in said


def test_two_in_forty_that_differ_are_nearly_none() -> None:
    of = objective(QED, sa(10, 6))
    varied = ramp(2, 4)
    varied[:2] = 8
    assert ("saturated", "sa") in warned(of, qed=ramp(0.2, 0.9), sa=varied)
    varied[:3] = 8
    assert ("saturated", "sa") not in warned(of, qed=ramp(0.2, 0.9), sa=varied)


@pytest.mark.parametrize(
    "shaping",
    [
        Linear(zero=500, one=360),  # an upper limit that all keep
        DoubleSigmoid(low=200, high=400, coef_si=20, coef_se=20),
        ReverseSigmoid(low=390, high=450),
    ],
)
def test_a_limit_that_is_kept_and_near_is_no_mistake(shaping: Shaping) -> None:
    of = objective(QED, {"reward": "mw", "shaping": shaping.model_dump()})
    assert warned(of, qed=ramp(0.2, 0.9), mw=ramp(250, 350)) == []


def test_a_limit_that_no_molecule_comes_near_says_nothing() -> None:
    of = objective(QED, mw({"kind": "linear", "zero": 2500, "one": 2000}))
    assert warned(of, qed=ramp(0.2, 0.9), mw=ramp(250, 350)) == [("saturated", "mw")]


def test_a_few_good_molecules_may_all_be_good() -> None:
    of = objective(QED, sa(10, 6))
    assert warned(of, qed=ramp(0.2, 0.9, 12), sa=ramp(2, 4, 12)) == []


def test_not_to_be_like_a_drug_is_kept_by_what_is_not_like_it() -> None:
    unlike = {
        "reward": "similarity",
        "parameters": {"references": ["CCO"]},
        "shaping": {"kind": "linear", "zero": 0.9, "one": 0.7},
    }
    assert warned(objective(QED, unlike), qed=ramp(0.2, 0.9), similarity=ramp(0.05, 0.2)) == []


# --- always zero ---


def test_a_component_that_is_always_0_makes_every_score_0_in_a_geometric_mean() -> None:
    of = objective(QED, sa(2, 1))
    assert warned(of, qed=ramp(0.2, 0.9), sa=ramp(2.5, 4)) == [("zero", "sa")]
    said = text(of, qed=ramp(0.2, 0.9), sa=ramp(2.5, 4))
    assert "'sa' is 0 for all 40 molecules" in said
    assert "in the geometric mean the score is 0 too" in said


def test_in_an_arithmetic_mean_it_only_cannot_guide() -> None:
    of = objective(QED, sa(2, 1), combination="arithmetic_mean")
    said = text(of, qed=ramp(0.2, 0.9), sa=ramp(2.5, 4))
    assert "score is 0" not in said
    assert "it cannot guide the search" in said


def test_a_sigmoid_is_nearly_0_and_does_not_make_the_score_0() -> None:
    of = objective(QED, mw({"kind": "sigmoid", "low": 600, "high": 900}))
    said = text(of, qed=ramp(0.2, 0.9), mw=ramp(250, 350))
    assert "'mw' is nearly 0" in said
    assert "score is 0" not in said


def test_a_penalty_that_is_always_0_is_told_and_one_that_never_bites_is_not() -> None:
    of = objective(QED, mw({"kind": "linear", "zero": 300, "one": 200}, role="penalty"))
    assert warned(of, qed=ramp(0.2, 0.9), mw=ramp(310, 400)) == [("zero", "mw")]
    assert warned(of, qed=ramp(0.2, 0.9), mw=ramp(100, 190)) == []


def test_a_component_within_a_group_is_blamed_for_the_group() -> None:
    of = objective(QED, {"label": "parts", "components": [sa(2, 1), mw({"kind": "step", "high": 300})]})
    found = warned(of, qed=ramp(0.2, 0.9), sa=ramp(2.5, 4), mw=ramp(250, 350))
    assert found == [("zero", "sa")]
    assert "the group 'parts' is 0 too" in text(of, qed=ramp(0.2, 0.9), sa=ramp(2.5, 4), mw=ramp(250, 350))


def test_molecules_that_all_score_0_for_different_reasons_are_told() -> None:
    of = objective(QED, sa(3, 1), mw({"kind": "step", "high": 300}))
    easy = np.where(np.arange(40) % 2, 2.0, 4.0)
    light = np.where(np.arange(40) % 2, 350.0, 250.0)
    assert ("all_zero", "") in warned(of, qed=ramp(0.2, 0.9), sa=easy, mw=light)
    light[1] = 250.0
    assert ("all_zero", "") not in warned(of, qed=ramp(0.2, 0.9), sa=easy, mw=light)


def test_raw_values_of_0_that_are_the_score_itself_have_no_ends() -> None:
    of = objective({"reward": "substructure_count", "parameters": {"smarts": "F"}, "label": "x",
                    "shaping": {"kind": "linear", "zero": 0, "one": 3}})  # fmt: skip
    assert warned(of, x=np.zeros(5)) == [("zero", "x")]
    assert of.open_ended is False
    bare = objective(QED)
    assert bare.open_ended
    assert warned(bare, qed=np.zeros(5)) == []
    assert warned(bare, qed=np.zeros(40)) == [("constant", "qed")]


# --- wrong direction ---


def test_what_is_better_when_small_must_not_rise() -> None:
    assert warned(objective(QED, sa(1, 5)), qed=ramp(0.2, 0.9), sa=RANDOM.uniform(1, 5, 40)) == [
        ("direction", "sa")
    ]
    said = text(objective(QED, sa(1, 5)), qed=ramp(0.2, 0.9), sa=RANDOM.uniform(1, 5, 40))
    assert "swap zero and one" in said
    assert warned(objective(QED, sa(5, 1)), qed=ramp(0.2, 0.9), sa=RANDOM.uniform(1, 5, 40)) == []


def test_what_is_better_when_large_must_not_fall_unless_it_may_be_avoided() -> None:
    falling = {"kind": "linear", "zero": 0.9, "one": 0.2}
    of = objective({**QED, "shaping": falling})
    assert warned(of, qed=ramp(0.2, 0.9)) == [("direction", "qed")]
    unlike = {"reward": "similarity", "parameters": {"references": ["CCO"]}, "shaping": falling}
    assert warned(objective(unlike), similarity=ramp(0.2, 0.9)) == []


def test_a_reward_without_a_usual_direction_may_go_either_way() -> None:
    for zero, one in [(500, 200), (200, 500)]:
        of = objective(mw({"kind": "linear", "zero": zero, "one": one}))
        assert warned(of, mw=ramp(210, 490)) == []


# --- one order ---


def test_two_components_of_one_order_are_one_too_many() -> None:
    of = objective(
        mw({"kind": "linear", "zero": 600, "one": 100}),
        {"reward": "heavy_atoms", "shaping": {"kind": "linear", "zero": 45, "one": 5}},
    )
    weight = ramp(200, 500)
    assert warned(of, mw=weight, heavy_atoms=np.round(weight / 14)) == [("superfluous", "heavy_atoms")]
    assert "'mw' and 'heavy_atoms'" in text(of, mw=weight, heavy_atoms=np.round(weight / 14))
    assert warned(of, mw=weight, heavy_atoms=RANDOM.permutation(np.round(weight / 14))) == []


def test_too_few_molecules_make_no_order() -> None:
    of = objective(
        mw({"kind": "linear", "zero": 600, "one": 100}),
        {"reward": "heavy_atoms", "shaping": {"kind": "linear", "zero": 45, "one": 5}},
    )
    weight = ramp(200, 500, 9)
    assert warned(of, mw=weight, heavy_atoms=weight / 14) == []


def test_one_component_that_makes_the_order_alone_is_told() -> None:
    of = objective(QED, sa(10, 1))
    varied, flat = RANDOM.uniform(0.1, 0.9, 60), RANDOM.uniform(2.0, 2.1, 60)
    assert warned(of, qed=varied, sa=flat) == [("dominant", "qed")]
    assert "50% of the weight" in text(of, qed=varied, sa=flat)
    assert warned(of, qed=varied, sa=RANDOM.uniform(1, 8, 60)) == []


def test_one_that_has_the_weight_may_make_the_order() -> None:
    of = objective({**QED, "weight": 4.0}, sa(10, 1))
    assert warned(of, qed=RANDOM.uniform(0.1, 0.9, 60), sa=RANDOM.uniform(2.0, 2.1, 60)) == []


def test_a_weight_that_is_not_felt_is_told() -> None:
    of = objective({**QED, "weight": 100.0}, sa(10, 1), combination="arithmetic_mean")
    qed, easy = RANDOM.uniform(0.1, 0.9, 60), RANDOM.uniform(1, 8, 60)
    assert warned(of, qed=qed, sa=easy) == [("without_influence", "sa")]
    assert "1.0% of the weight" in text(of, qed=qed, sa=easy)
    felt = objective({**QED, "weight": 3.0}, sa(10, 1), combination="arithmetic_mean")
    assert warned(felt, qed=qed, sa=easy) == []


def test_a_small_weight_in_a_geometric_mean_is_felt_where_it_makes_the_score_0() -> None:
    of = objective({**QED, "weight": 100.0}, sa(6, 1))
    assert warned(of, qed=RANDOM.uniform(0.1, 0.9, 60), sa=RANDOM.uniform(1, 8, 60)) == []


@pytest.mark.parametrize(
    "keys", [{"combination": "pareto"}, {"weighting": {"kind": "drawn"}}, {"weighting": None}]
)
def test_weights_that_move_make_no_order(keys: dict[str, Any]) -> None:
    of = objective(QED, sa(10, 1), **keys)
    found = warned(of, qed=RANDOM.uniform(0.1, 0.9, 60), sa=RANDOM.uniform(2.0, 2.1, 60))
    assert found == ([("dominant", "qed")] if keys == {"weighting": None} else [])


# --- constant, filters, failures ---


def test_a_constant_raw_value_tells_nothing_apart() -> None:
    of = objective(QED, mw({"kind": "linear", "zero": 500, "one": 200}))
    assert warned(of, qed=ramp(0.2, 0.9), mw=np.full(40, 300.0)) == [("constant", "mw")]
    assert warned(of, qed=ramp(0.2, 0.9, 12), mw=np.full(12, 300.0)) == []
    assert warned(of, qed=ramp(0.2, 0.9), mw=RANDOM.uniform(200, 500, 40)) == []


def test_a_filter_of_all_or_none_is_told() -> None:
    of = objective(QED, mw({"kind": "step", "high": 300}, role="filter"))
    assert warned(of, qed=ramp(0.2, 0.9), mw=ramp(310, 400)) == [("rejects_all", "mw")]
    assert warned(of, qed=ramp(0.2, 0.9), mw=ramp(200, 290)) == [("rejects_none", "mw")]
    assert warned(of, qed=ramp(0.2, 0.9), mw=ramp(200, 400)) == []
    assert warned(of, qed=ramp(0.2, 0.9, 5), mw=ramp(310, 400, 5)) == [("rejects_all", "mw")]
    assert warned(of, qed=ramp(0.2, 0.9, 5), mw=ramp(200, 290, 5)) == [], "known ones ought to pass"


def short(smiles: Sequence[str]) -> list[float]:
    """1 / length of a SMILES; nothing for oxygen, too much for nitrogen."""
    if any("O" in one for one in smiles):
        raise ValueError("no oxygen here")
    return [5.0 if "N" in one else 1 / len(one) for one in smiles]


def failures(*smiles: str) -> list[Warn]:
    from moldesign.rewards.reward import from_smiles_function

    of = Objective(
        components=[Component(reward=from_smiles_function(short), label="short"), Component(reward="qed")]
    )
    return list(explain(of, Known.of(of, score(of, list(smiles)))).warnings)


def test_a_failing_component_is_told_with_a_molecule_and_the_reason() -> None:
    (warn,) = failures("CC", "CCC", "CO", "CCO")
    assert (warn.kind, warn.component) == ("failing", "short")
    assert "'short' fails for 2 of 4 molecules, as CO: ValueError: no oxygen here; " in warn.text
    assert failures("CC", "CCC") == []


def test_a_value_beyond_0_to_1_fails_for_want_of_a_shaping() -> None:
    (warn,) = failures("CC", "CN")
    assert "'short' fails for 1 of 2 molecules, as CN: value 5 outside 0 to 1" in warn.text
    assert warn.text.endswith("give it a shaping that brings its raw values to 0..1")


def test_molecules_that_were_lost_are_not_laid_on_every_component() -> None:
    of = objective(QED, sa(5, 1))
    facts = known(of, qed=[0.5, np.nan, 0.6], sa=[2, np.nan, 3])
    lost = Known(
        facts.smiles, facts.score, facts.raw, facts.shaped, ["", "took longer than 60 s", ""], facts.names
    )
    (warn,) = explain(of, lost).warnings
    assert (warn.kind, warn.component) == ("failing", "")
    assert warn.text == "1 of 3 molecules could not be scored at all, as CC: took longer than 60 s"


# --- SMARTS ---


@pytest.mark.parametrize(
    ("reward", "parameters"),
    [
        ("substructures", {"required": ["[NX3]", "C1=CC=CC=C1"]}),
        ("substructures", {"forbidden": ["C1=CC=CC=C1"]}),
        ("substructure_count", {"smarts": "C1=CC=CC=C1"}),
    ],
)
def test_a_smarts_that_was_meant_as_a_smiles_is_told(reward: str, parameters: dict[str, Any]) -> None:
    shaping = {"kind": "linear", "zero": 0, "one": 3}
    of = objective(QED, {"reward": reward, "parameters": parameters, "label": "ring", "shaping": shaping})
    assert warned(of, qed=ramp(0.2, 0.9), ring=np.zeros(40)) == [("smarts", "ring")]
    assert text(of, qed=ramp(0.2, 0.9), ring=np.zeros(40)).endswith("write c1ccccc1")


def test_a_smarts_that_means_what_it_says_is_not() -> None:
    parameters = {"required": ["c1ccccc1", "[CX3](=O)[NX3]"], "forbidden": ["[N+](=O)[O-]"]}
    of = objective(QED, {"reward": "substructures", "parameters": parameters, "label": "ring"})
    values = (np.arange(40) % 2).astype(float)
    assert warned(of, qed=RANDOM.uniform(0.2, 0.9, 40), ring=values) == []


# --- units ---


@pytest.mark.parametrize(
    "shaping",
    [
        {"kind": "sigmoid", "low": 0.3, "high": 0.5},  # kg/mol
        {"kind": "double_sigmoid", "low": 0.0, "high": 1.0},
        {"kind": "gaussian", "mean": 300_000, "sd": 50_000},  # mg/mol
    ],
)
def test_limits_in_another_unit_are_told_with_the_range_the_unit_and_the_limits(
    shaping: dict[str, Any],
) -> None:
    of = objective(QED, mw(shaping))
    assert warned(of, qed=ramp(0.2, 0.9), mw=ramp(250, 350)) == [("unit", "mw")]
    said = text(of, qed=ramp(0.2, 0.9), mw=ramp(250, 350))
    assert "'mw' has raw values 250 to 350 (g/mol)" in said
    assert "far from the limits" in said
    assert f"its shaping ({shaping['kind']})" in said


def test_per_cent_for_a_fraction_is_told() -> None:
    of = objective(QED, {"reward": "fraction_sp3", "shaping": {"kind": "sigmoid", "low": 20, "high": 60}})
    said = text(of, qed=ramp(0.2, 0.9), fraction_sp3=ramp(0, 1))
    assert "give fractions, not per cent" in said
    fraction = {"reward": "fraction_sp3", "shaping": {"kind": "sigmoid", "low": 0.2, "high": 0.6}}
    assert (
        warned(objective(QED, fraction), qed=ramp(0.2, 0.9), fraction_sp3=RANDOM.permutation(ramp(0, 1)))
        == []
    )


def test_nobody_promised_that_a_plain_function_gives_fractions(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trust, "_trusted", {})
    path = tmp_path / "plain.py"
    path.write_text("def score(smiles):\n    return [7.0 for _ in smiles]\n")
    trust.trust([path])
    component = {"reward": f"{path}:score", "label": "x", "shaping": {"kind": "linear", "zero": 0, "one": 50}}
    said = text(objective(QED, component), qed=ramp(0.2, 0.9), x=RANDOM.permutation(ramp(0, 1)))
    assert "'x' has raw values 0 to 1, far from the limits 0 and 50" in said
    assert "put them where the raw values lie" in said
    # At most 20 of something, and the molecules have up to 2.
    component = {**component, "shaping": {"kind": "step", "high": 20}}
    assert warned(objective(QED, component), qed=ramp(0.2, 0.9), x=np.arange(40) % 3) == [("saturated", "x")]


def test_limits_of_the_other_sign_are_told() -> None:
    docked = {"reward": "logp", "label": "affinity", "shaping": {"kind": "linear", "zero": 5, "one": 10}}
    assert warned(objective(docked), affinity=ramp(-11, -6)) == [("unit", "affinity")]
    assert "check the sign" in text(objective(docked), affinity=ramp(-11, -6))
    right = {**docked, "shaping": {"kind": "linear", "zero": -5, "one": -12}}
    assert warned(objective(right), affinity=ramp(-11, -6)) == []


@pytest.mark.parametrize("raw", [ramp(-0.9, -0.2), ramp(-0.09, -0.02)])
def test_a_quantity_of_both_signs_that_is_only_too_small_has_no_wrong_sign(raw: Any) -> None:
    natural = {"reward": "np_likeness", "shaping": {"kind": "linear", "zero": 1, "one": 3}}
    assert warned(objective(natural), np_likeness=raw) == [("zero", "np_likeness")]
    assert "move the limits of its shaping (1 and 3)" in text(objective(natural), np_likeness=raw)


@pytest.mark.parametrize(
    ("component", "raw"),
    [
        # A low similarity is far from its limits, and in the right unit.
        (
            {
                "reward": "similarity",
                "label": "x",
                "parameters": {"references": ["CCO"]},
                "shaping": {"kind": "linear", "zero": 0.5, "one": 1.0},
            },
            ramp(0.02, 0.09),
        ),
        # None at all of what is counted.
        ({"reward": "macrocycles", "label": "x", "shaping": {"kind": "step", "low": 20}}, np.zeros(40)),
        # No alert allowed, and each has some.
        ({"reward": "alerts", "label": "x"}, np.arange(40) % 4 + 1.0),
        # Few where up to 15 are allowed.
        (
            {"reward": "rotatable_bonds", "label": "x", "shaping": {"kind": "step", "high": 15}},
            np.arange(40) % 2,
        ),
    ],
)
def test_values_that_only_miss_or_keep_a_limit_are_in_the_right_unit(
    component: dict[str, Any], raw: Any
) -> None:
    assert "unit" not in [kind for kind, _ in warned(objective(QED, component), qed=ramp(0.2, 0.9), x=raw)]


def test_warnings_come_in_the_order_of_the_components() -> None:
    of = objective(sa(2, 1), mw({"kind": "step", "high": 100}, role="filter"), {**QED, "label": "zeta"})
    found = warned(of, sa=ramp(2.5, 4), mw=ramp(300, 400), zeta=ramp(0.2, 0.9))
    assert found == [("zero", "sa"), ("rejects_all", "mw")]
