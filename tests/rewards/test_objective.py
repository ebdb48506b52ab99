import math
import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from moldesign.chem.molecules import Mol, read, to_smiles
from moldesign.errors import UsageError
from moldesign.rewards.combining import Combination
from moldesign.rewards.component import Component, Group, Role
from moldesign.rewards.guacamol import REFERENCES
from moldesign.rewards.loading import load_objective
from moldesign.rewards.objective import Objective
from moldesign.rewards.objectives import READY_MADE
from moldesign.rewards.reward import Values
from moldesign.rewards.shaping import Linear, Step
from moldesign.settings import read_text

ETHANOL, PROPANOL, BENZENE = read("CCO"), read("CCCO"), read("c1ccccc1")


def fixed(label: str, *values: float, role: Role = "score", weight: float = 1.0) -> Component:
    def reward(mols: Sequence[Mol], /) -> Values:
        return np.array(values[: len(mols)])

    return Component(reward=reward, label=label, role=role, weight=weight)


def score_of(
    *components: Component | Group, combination: Combination = "geometric_mean", spare: bool = True
) -> list[float]:
    objective = Objective(components=list(components), combination=combination, spare=spare)
    return list(objective.evaluate([ETHANOL, PROPANOL]).score)


def test_weighted_means() -> None:
    a, b = fixed("a", 0.25, 0.0, weight=3), fixed("b", 1.0, 1.0)
    assert score_of(a, b) == pytest.approx([0.25**0.75, 0.0])
    assert score_of(a, b, combination="arithmetic_mean") == pytest.approx([0.4375, 0.25])


def test_a_penalty_multiplies_by_its_value_and_a_filter_by_0_or_1() -> None:
    a = fixed("a", 0.8, 0.8)
    assert score_of(a, fixed("p", 0.5, 1.0, role="penalty")) == pytest.approx([0.4, 0.8])
    assert score_of(a, fixed("f", 0.0, 1.0, role="filter")) == pytest.approx([0.0, 0.8])
    assert score_of(a, fixed("f", 0.49, 0.5, role="filter")) == pytest.approx([0.0, 0.8])
    everything = (
        a,
        fixed("b", 0.2, 0.2),
        fixed("p", 0.5, 0.5, role="penalty"),
        fixed("f", 1, 0, role="filter"),
    )
    assert score_of(*everything) == pytest.approx([0.4 * 0.5, 0.0])


def test_the_other_combinations() -> None:
    a, b = fixed("a", 0.25, 0.5, weight=2), fixed("b", 0.5, 0.5)
    assert score_of(a, b, combination="product") == pytest.approx([0.25**2 * 0.5, 0.125])
    plain = fixed("a", 0.25, 0.9), fixed("b", 0.5, 0.3)
    assert score_of(*plain, combination="minimum") == pytest.approx([0.25, 0.3])
    # Shortfalls 1.5 and 0.5; (1.5 + 0.05 x 2) / (2 + 0.05 x 3) of the way to the worst.
    assert score_of(a, b, combination="chebyshev")[0] == pytest.approx(1 - 1.6 / 2.15)
    ideal = fixed("a", 1.0, 0.0), fixed("b", 1.0, 0.0)
    assert score_of(*ideal, combination="chebyshev") == pytest.approx([1.0, 0.0])
    with pytest.raises(ValueError, match="a minimum has no weights"):
        score_of(a, b, combination="minimum")


def test_the_augmented_chebyshev_score_tells_molecules_of_one_worst_value_apart() -> None:
    better, worse = score_of(fixed("a", 0.2, 0.2), fixed("b", 0.9, 0.5), combination="chebyshev")
    assert better > worse


def test_groups_are_components_made_of_components() -> None:
    inner = Group(
        label="inner",
        combination="arithmetic_mean",
        weight=3,
        components=[fixed("a", 0.2, 1.0), fixed("b", 0.6, 1.0), fixed("f", 1.0, 0.0, role="filter")],
    )
    objective = Objective(components=[inner, fixed("c", 0.8, 0.8)], combination="arithmetic_mean")
    assert objective.labels == ("inner", "a", "b", "f", "c")
    scores = objective.evaluate([ETHANOL, PROPANOL])
    assert scores.shaped["inner"] == pytest.approx([0.4, 0.0])
    assert scores.score == pytest.approx([(3 * 0.4 + 0.8) / 4, 0.2])
    shaped = inner.model_copy(update={"shaping": Linear(zero=0, one=0.5)})
    assert score_of(shaped, combination="arithmetic_mean") == pytest.approx([0.8, 0.0])


def test_a_group_in_a_group_from_toml_and_back() -> None:
    text = """
combination = "minimum"

[[components]]
label = "outer"
combination = "arithmetic_mean"

[[components.components]]
reward = "qed"

[[components.components]]
label = "inner"
weight = 2.0

[[components.components.components]]
reward = "fraction_sp3"

[[components]]
reward = "heavy_atoms"
shaping = { kind = "linear", zero = 0, one = 4 }
"""
    objective = Objective.from_toml(text)
    assert objective.labels == ("outer", "qed", "inner", "fraction_sp3", "heavy_atoms")
    scores = objective.evaluate([ETHANOL])
    expected = (scores.raw["qed"][0] + 2 * scores.raw["fraction_sp3"][0]) / 3
    assert scores.score[0] == pytest.approx(min(expected, 0.75))
    assert Objective.from_toml(objective.to_toml()).spec() == objective.spec()


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"combination": "pareto"}, "two or more components of the role score"),
        ({"weighting": {"kind": "drawn"}}, "two or more components of the role score"),
        ({"components": [{"label": "g", "components": []}]}, "at least 1 item"),
        ({"components": [{"label": "g", "components": [{"reward": "qed", "role": "filter"}]}]}, "role score"),
        ({"components": [{"components": [{"reward": "qed"}]}]}, "label ''"),
    ],
)
def test_objectives_that_mean_nothing_are_refused(changes: dict[str, object], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        Objective.model_validate({"components": [{"reward": "qed"}], **changes})


def test_a_dear_component_is_spared_where_the_score_is_known() -> None:
    asked: list[str] = []

    def dear(mols: Sequence[Mol], /) -> Values:
        asked.extend(to_smiles(mol) for mol in mols)
        return np.full(len(mols), 0.5)

    components = [
        Component(reward=dear, label="dear"),
        Component(reward="heavy_atoms", role="filter", shaping=Step(low=4)),
    ]
    scores = Objective(components=components).evaluate([ETHANOL, PROPANOL])
    assert asked == ["CCCO"]
    assert scores.score.tolist() == [0.0, 0.5]
    assert math.isnan(scores.raw["dear"][0])
    assert scores.reasons == [None, None]
    assert scores.asked == {"heavy_atoms": 2, "dear": 1}
    Objective(components=components, spare=False).evaluate([ETHANOL, PROPANOL])
    assert asked == ["CCCO", "CCO", "CCCO"]
    # In an arithmetic mean a 0 settles nothing.
    zero = [components[0], fixed("zero", 0.0, 0.0)]
    assert score_of(*zero, combination="arithmetic_mean") == pytest.approx([0.25, 0.25])
    assert len(asked) == 5


def test_no_component_is_asked_for_a_molecule_that_failed() -> None:
    asked: list[str] = []

    def dear(mols: Sequence[Mol], /) -> Values:
        asked.extend(to_smiles(mol) for mol in mols)
        return np.full(len(mols), 0.5)

    scores = Objective(
        components=[fixed("ill", math.nan, 1.0), Component(reward=dear, label="dear")]
    ).evaluate([ETHANOL, PROPANOL])
    assert asked == ["CCCO"]
    assert scores.reasons == ["ill: gave no value", None]


def test_raw_and_shaped_values_by_label() -> None:
    heavy = Component(reward="heavy_atoms", shaping=Linear(zero=0, one=4))
    scores = Objective(components=[heavy]).evaluate([ETHANOL, PROPANOL])
    assert scores.raw["heavy_atoms"].tolist() == [3, 4]
    assert scores.shaped["heavy_atoms"].tolist() == [0.75, 1]
    assert scores.reasons == [None, None]


@pytest.mark.parametrize("role", ["score", "penalty", "filter"])
@pytest.mark.parametrize("missing", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("combination", ["geometric_mean", "arithmetic_mean"])
def test_a_component_without_a_value_fails_the_molecule(
    role: Role, missing: float, combination: Combination
) -> None:
    # Never 0, and never the mean of what is left: 0.9 would be a reward for breaking a scorer.
    objective = Objective(
        components=[fixed("good", 0.9, 0.9), fixed("ill", missing, 1.0, role=role)], combination=combination
    )
    scores = objective.evaluate([ETHANOL, PROPANOL])
    assert math.isnan(scores.score[0])
    assert math.isnan(scores.raw["ill"][0])
    assert math.isnan(scores.shaped["ill"][0])
    assert scores.reasons[0] is not None
    assert scores.reasons[0].startswith("ill: gave ")
    assert scores.score[1] == pytest.approx(0.9 if role != "score" else scores.score[1])
    assert scores.reasons[1] is None


def test_a_failure_beside_a_zero_is_a_failure() -> None:
    scores = score_of(fixed("zero", 0.0, 0.0), fixed("ill", math.nan, 1.0), spare=False)
    assert math.isnan(scores[0])
    assert scores[1] == 0
    filtered = score_of(fixed("ill", math.nan, 1.0), fixed("shut", 0.0, 0.0, role="filter"), spare=False)
    assert math.isnan(filtered[0])


def test_only_the_culprit_of_a_batch_that_raises_fails() -> None:
    def touchy(smiles: list[str]) -> list[float]:
        if "CCCO" in smiles:
            raise ValueError("no propanol,\nplease")
        return [0.5] * len(smiles)

    scores = load_objective(touchy).evaluate([ETHANOL, PROPANOL, BENZENE])
    np.testing.assert_array_equal(scores.score, [0.5, math.nan, 0.5])
    assert scores.reasons == [None, "touchy: ValueError: no propanol, please", None]


def test_a_value_outside_0_to_1_fails_unless_it_is_the_whole_objective() -> None:
    scores = Objective(components=[fixed("a", 0.5, 0.5), fixed("b", 1.5, 1.0)]).evaluate([ETHANOL, PROPANOL])
    np.testing.assert_array_equal(np.isnan(scores.score), [True, False])
    assert scores.reasons[0] == "b: value 1.5 outside 0 to 1 needs a shaping"
    docking = load_objective(lambda smiles: [-9.5 for _ in smiles])
    assert docking.evaluate([ETHANOL]).score.tolist() == [-9.5]
    assert docking.labels == ("score",)


def test_a_wrong_number_of_values_is_asked_again_one_by_one() -> None:
    objective = load_objective(lambda smiles: [1.0])
    assert objective.evaluate([ETHANOL, PROPANOL]).score.tolist() == [1.0, 1.0]
    twice = load_objective(lambda smiles: [1.0, 1.0]).evaluate([ETHANOL])
    assert twice.reasons == ["score: ValueError: gave 2 values for 1 molecules"]


def test_no_molecules_no_scores() -> None:
    for name in ("druglike", "qed"):
        scores = load_objective(name).evaluate([])
        assert scores.score.shape == (0,)
        assert scores.reasons == []


@pytest.mark.parametrize("name", READY_MADE)
def test_ready_made_objectives_score_and_survive_toml(name: str, tmp_path: Path) -> None:
    objective = load_objective(name)
    assert objective.name == name
    assert objective.description
    (tmp_path / "again.toml").write_text(objective.to_toml())
    again = load_objective(tmp_path / "again.toml")
    assert again.spec() == objective.spec()
    mols = [ETHANOL, read("Cc1ccc(cc1)c1cc(nn1c1ccc(cc1)S(N)(=O)=O)C(F)(F)F")]
    scores = objective.evaluate(mols)
    assert ((scores.score >= 0) & (scores.score <= 1)).all()
    np.testing.assert_array_equal(scores.score, again.evaluate(mols).score)


def test_targets_of_the_ready_made_score_1() -> None:
    for name in ("celecoxib", "troglitazone", "thiothixene"):
        assert load_objective(f"{name}_rediscovery").evaluate([read(REFERENCES[name])]).score[0] == 1


def test_druglike_by_hand() -> None:
    celecoxib = read("Cc1ccc(cc1)c1cc(nn1c1ccc(cc1)S(N)(=O)=O)C(F)(F)F")
    benzaldehyde = read("O=Cc1ccccc1")
    scores = load_objective("druglike").evaluate([celecoxib, benzaldehyde])
    # QED 0.7541, SA 2.1444
    expected = math.sqrt((0.7541 - 0.4) / 0.55 * (4.5 - 2.1444) / 3)
    assert scores.score[0] == pytest.approx(expected, abs=1e-3)
    assert scores.score[1] == 0


def test_a_file_without_a_name_is_called_like_the_file(tmp_path: Path) -> None:
    (tmp_path / "mine.toml").write_text('[[components]]\nreward = "qed"\n')
    assert load_objective(str(tmp_path / "mine.toml")).name == "mine"


def test_a_python_function_cannot_be_written() -> None:
    objective = load_objective(lambda smiles: [1.0 for _ in smiles])
    assert not objective.portable
    assert objective.spec()["components"][0]["reward"] == "python"
    with pytest.raises(UsageError, match="Python function"):
        objective.to_toml()


QED = '[[components]]\nreward = "qed"\n'


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (f'nme = "x"\n{QED}', "o.toml, line 1: unknown key 'nme'; did you mean 'name'?"),
        (
            f"\n{QED}wieght = 2\n",
            "o.toml, line 4: components[0]: unknown key 'wieght'; did you mean 'weight'?",
        ),
        (
            f'{QED}[[components]]\nreward = "qde"\n',
            "o.toml, line 4: components[1]: unknown reward 'qde'; did you mean 'qed'?",
        ),
        (
            f'{QED}[[components]]\nreward = "mw"\n',
            "o.toml, line 3: components[1]: mw (g/mol) does not lie between 0 and 1: give it a shaping",
        ),
        (
            '[[components]]\nreward = "mw"\nshaping = { kind = "sigmid", low = 1, high = 2 }\n',
            "o.toml, line 3: components[0].shaping: unknown kind 'sigmid'; did you mean 'sigmoid'?",
        ),
        (
            '[[components]]\nreward = "mw"\n[components.shaping]\nkind = "sigmoid"\nlow = 1\nhihg = 2\n',
            "o.toml, line 6: components[0].shaping: unknown key 'hihg'; did you mean 'high'?",
        ),
        (
            '[[components]]\nreward = "substructures"\nparameters = { required = ["C(("] }\n',
            "o.toml, line 3: components[0]: parameters.required[0]: SMARTS that does not parse: 'C(('",
        ),
        (
            '[[components]]\nreward = "similarity"\nparameters = { references = ["CCO", "C1C"] }\n',
            "o.toml, line 3: components[0]: parameters.references[1]: 'C1C' is no molecule: "
            "not a SMILES (grammar)",
        ),
        (f'{QED}weight = "3"\n', "o.toml, line 3: components[0].weight: should be a valid number"),
        (f"{QED}weight = nan\n", "o.toml, line 3: components[0].weight: should be a finite number"),
        (f'{QED}role = "filter"\nweight = 2\n', "o.toml, line 1: components[0]: a filter has no weight"),
        (f"{QED}{QED}", "o.toml, line 2: two components are called 'qed': give one a label"),
        (f'{QED}role = "penalty"\n', "o.toml: at least one component needs the role score"),
        (f'{QED}label = "=cmd"\n', "label '=cmd' must be a letter"),
        ('[[components]]\nlabel = "x"\n', "o.toml, line 1: components[0].reward: missing"),
        ("components = []\n", "o.toml, line 1: components: value should have at least 1 item"),
        ("", "o.toml: components: missing"),
        ("x = = 1\n", "o.toml: not valid TOML: Invalid value (at line 1, column 5)"),
        ("x = " + "[" * 100_000, "o.toml: not valid TOML: nested too deeply"),
        ("x = " + "9" * 5000, "o.toml: not valid TOML: Exceeds the limit"),
        ('[[components]]\nreward = "qed"\nlimit_s = 1e999\n', "o.toml, line 3: "),
        # What would fill the memory or the stack, or is read otherwise by others.
        ("\n".join(f"[[{'.'.join(['components'] * n)}]]" for n in range(1, 300)), "o.toml"),
        ("components = 1\ncomponents = 2\n", "o.toml: not valid TOML: Cannot overwrite a value"),
        (f'{QED}label = "' + "x" * 17_000_000 + '"', "o.toml: cannot be read (longer than 16,777,216 bytes)"),
    ],
)
def test_a_file_that_is_no_objective_says_where_and_why(text: str, message: str, tmp_path: Path) -> None:
    path = tmp_path / "o.toml"
    path.write_text(text)
    with pytest.raises(UsageError) as caught:
        load_objective(path)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_names_and_files_that_are_not_there(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="'celecoxb'; did you mean 'celecoxib_rediscovery'?"):
        load_objective("celecoxb")
    with pytest.raises(UsageError, match="objective file not found: .*none.toml"):
        load_objective(tmp_path / "none.toml")
    (tmp_path / "binary.toml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(UsageError, match=r"binary.toml: is not UTF-8 text \(invalid start byte at byte 0\)"):
        load_objective(tmp_path / "binary.toml")
    os.mkfifo(tmp_path / "pipe.toml")
    for name in ("pipe.toml", "."):
        with pytest.raises(UsageError, match="is no file but a folder, a pipe or a device"):
            read_text(tmp_path / name)
    with pytest.raises(UsageError, match="pipe.toml: is no file"):
        load_objective(tmp_path / "pipe.toml")


def test_a_byte_order_mark_is_no_fault(tmp_path: Path) -> None:
    (tmp_path / "notepad.toml").write_bytes(b'\xef\xbb\xbf[[components]]\r\nreward = "qed"\r\n')
    assert load_objective(tmp_path / "notepad.toml").labels == ("qed",)


def test_a_filter_with_a_shaping_of_its_own() -> None:
    objective = Objective(
        components=[
            Component(reward="qed"),
            Component(reward="rings", role="filter", shaping=Step(low=1)),
        ]
    )
    scores = objective.evaluate([ETHANOL, BENZENE])
    assert scores.score[0] == 0
    assert scores.score[1] == scores.raw["qed"][1] > 0.4
    assert to_smiles(BENZENE) == "c1ccccc1"


def test_a_cached_component_is_asked_once_for_a_molecule(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MOLDESIGN_HOME", str(tmp_path))
    spec = {"components": [{"reward": "heavy_atoms", "cache": True, "shaping": {"kind": "step", "low": 4}}]}
    first = Objective.model_validate(spec).evaluate([ETHANOL, PROPANOL])
    assert first.asked == {"heavy_atoms": 2}
    second = Objective.model_validate(spec).evaluate([BENZENE, PROPANOL, ETHANOL])
    assert second.asked == {"heavy_atoms": 1}
    assert second.raw["heavy_atoms"].tolist() == [6, 4, 3]
    assert second.score.tolist() == [1, 1, 0]


def test_the_cache_of_a_component_begins_anew_when_a_file_that_it_reads_changes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MOLDESIGN_HOME", str(tmp_path))
    alerts = tmp_path / "alerts.csv"
    spec = {"reward": "alerts", "cache": True, "parameters": {"collections": [], "file": str(alerts)}}
    keys = []
    for text in ("O,oxygen\n", "N,nitrogen\n", "O,oxygen\n"):
        alerts.write_text(text)
        keys.append(Component.model_validate(spec).cache_key)
    assert keys[0] == keys[2] != keys[1]
