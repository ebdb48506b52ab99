"""Every reference counts: with several, a program of this kind is known to use only the first."""

import itertools
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError
from rdkit import Chem, DataStructs

from moldesign.chem.fingerprints import KINDS, Kind, fingerprint, tanimoto
from moldesign.chem.molecules import read
from moldesign.errors import DataError, UsageError
from moldesign.rewards.component import Component
from moldesign.rewards.objective import Objective
from moldesign.rewards.similarity import (
    ScaffoldSimilarityParameters,
    SimilarityParameters,
    scaffold_similarity,
    similarity,
)

REFERENCES = ["CCO", "c1ccccc1C(=O)O", "CCCCN"]
CELECOXIB = "Cc1ccc(cc1)c1cc(nn1c1ccc(cc1)S(N)(=O)=O)C(F)(F)F"
INDOLE_AMIDE = "O=C(Nc1ccccc1)c1cc2ccccc2[nH]1"


def alone(reference: str, smiles: str) -> float:
    return float(tanimoto(fingerprint(read(smiles)), [fingerprint(read(reference))])[0])


def values(smiles: list[str], **parameters: Any) -> list[float]:
    reward = similarity(SimilarityParameters.model_validate(parameters))
    return [float(value) for value in reward([read(one) for one in smiles])]


def scaffold_values(smiles: list[str], **parameters: Any) -> list[float]:
    reward = scaffold_similarity(ScaffoldSimilarityParameters.model_validate(parameters))
    return [float(value) for value in reward([read(one) for one in smiles])]


@pytest.mark.parametrize("order", list(itertools.permutations(REFERENCES)))
@pytest.mark.parametrize("aggregation", ["max", "mean", "min"])
def test_every_reference_is_used_in_any_order(order: tuple[str, ...], aggregation: str) -> None:
    queries = [*REFERENCES, "CCCO"]
    found = values(queries, references=list(order), aggregation=aggregation)
    for smiles, value in zip(queries, found, strict=True):
        single = [alone(reference, smiles) for reference in REFERENCES]
        expected = {"max": max(single), "min": min(single), "mean": sum(single) / 3}[aggregation]
        assert value == pytest.approx(expected)
    if aggregation == "max":
        assert found[:3] == [1, 1, 1]


def test_components_keep_their_own_references() -> None:
    table = {
        "combination": "arithmetic_mean",
        "components": [
            {"reward": "similarity", "label": "alcohol", "parameters": {"references": ["CCO", "CCCO"]}},
            {
                "reward": "similarity",
                "label": "amine",
                "parameters": {"references": ["CCN"], "counts": False},
            },
            {"reward": "similarity", "label": "acid", "parameters": {"references": ["c1ccccc1C(=O)O"]}},
        ],
    }
    queries = ["CCO", "CCCO", "CCN", "c1ccccc1C(=O)O"]
    scores = Objective.model_validate(table).evaluate([read(smiles) for smiles in queries])
    for label, references in [("alcohol", ["CCO", "CCCO"]), ("acid", ["c1ccccc1C(=O)O"])]:
        expected = [max(alone(reference, smiles) for reference in references) for smiles in queries]
        assert scores.raw[label].tolist() == pytest.approx(expected)
    assert scores.raw["alcohol"][:2].tolist() == [1, 1]
    assert [label for label in scores.raw if scores.raw[label][2] == 1] == ["amine"]
    assert [label for label in scores.raw if scores.raw[label][3] == 1] == ["acid"]


@pytest.mark.parametrize("kind", KINDS)
def test_every_fingerprint_works_without_further_parameters(kind: Kind) -> None:
    itself, other = values([CELECOXIB, "CCCCO"], references=[CELECOXIB], fingerprint=kind)
    assert itself == 1
    assert other < 0.5


def test_counts_tell_chains_apart_that_bits_do_not() -> None:
    chain = ["CCCCCCCCCCCC"]
    assert values(chain, references=["CCCCCCCC"], counts=False) == [1]
    assert values(chain, references=["CCCCCCCC"])[0] < 0.8
    assert values(chain, references=["CCCCCCCC"], counts=True) == values(chain, references=["CCCCCCCC"])


def test_measures_are_those_of_rdkit() -> None:
    a, b = (fingerprint(read(smiles), counts=False) for smiles in (CELECOXIB, "Cc1ccccc1"))
    given: dict[str, Any] = {"references": [CELECOXIB], "counts": False}
    found = [values(["Cc1ccccc1"], **given, measure=measure)[0] for measure in ("dice", "cosine")]
    assert found == pytest.approx([DataStructs.DiceSimilarity(a, b), DataStructs.CosineSimilarity(a, b)])
    # alpha weighs what only the molecule has, beta what only the reference has.
    own, lacking = (
        values(["Cc1ccccc1"], **given, measure="tversky", alpha=alpha, beta=beta)[0]
        for alpha, beta in [(1.0, 0.0), (0.0, 1.0)]
    )
    common = (a & b).GetNumOnBits()
    assert own == pytest.approx(common / b.GetNumOnBits())
    assert lacking == pytest.approx(common / a.GetNumOnBits())
    assert own > 2 * lacking


@pytest.mark.parametrize("kind", ["ecfp4", "maccs", "gobbi"])
def test_tversky_weights_above_1_also_of_bits(kind: Kind) -> None:
    a, b = (fingerprint(read(smiles), kind, counts=False) for smiles in ("Cc1ccccc1CCO", CELECOXIB))
    common = (a & b).GetNumOnBits()
    own, lacking = a.GetNumOnBits() - common, b.GetNumOnBits() - common
    given: dict[str, Any] = {"references": [CELECOXIB], "fingerprint": kind, "counts": False}
    for alpha, beta in [(2.0, 0.5), (0.0, 3.0), (0.3, 0.7)]:
        (found,) = values(["Cc1ccccc1CCO"], **given, measure="tversky", alpha=alpha, beta=beta)
        assert found == pytest.approx(common / (common + alpha * own + beta * lacking))


def test_tversky_without_anything_in_common_is_0() -> None:
    # With a weight of 0 on what the molecule alone has, a molecule of no feature has no denominator either.
    given: dict[str, Any] = {"references": ["CCCCO"], "fingerprint": "topological_torsion", "counts": False}
    assert values(["CC", "CCCCN"], **given, measure="tversky", alpha=2.0, beta=0.0)[0] == 0


def test_distance_is_what_is_missing_to_1() -> None:
    for aggregation in ("max", "mean", "min"):
        given: dict[str, Any] = {"references": REFERENCES, "aggregation": aggregation}
        near = values(["CCO", CELECOXIB], **given)
        far = values(["CCO", CELECOXIB], **given, distance=True)
        assert np.add(near, far).tolist() == pytest.approx([1, 1])


@pytest.mark.parametrize(
    ("parameters", "said"),
    [
        ({}, "give references or a file of them"),
        ({"references": []}, "give references or a file of them"),
        ({"references": ["CCO", "C1CC"]}, "'C1CC' is no molecule"),
        ({"references": [""]}, "empty SMILES"),
        ({"references": ["CCO"], "column": "smiles"}, "column belongs to a file"),
        ({"references": ["CCO"], "fingerprint": "maccs", "counts": True}, "'maccs' has only bits"),
        ({"references": ["CCO"], "measure": "tversky"}, "tversky needs alpha and beta"),
        ({"references": ["CCO"], "measure": "tversky", "alpha": 0, "beta": 0}, "cannot both be 0"),
        ({"references": ["CCO"], "measure": "tversky", "alpha": -1, "beta": 1}, "greater than or equal to 0"),
        ({"references": ["CCO"], "alpha": 0.5}, "belong to tversky, not to tanimoto"),
        ({"references": ["CCO"], "fingerprint": "ecfp5"}, "ecfp4"),
    ],
)
def test_wrong_parameters(parameters: dict[str, Any], said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        SimilarityParameters.model_validate(parameters)


def test_a_reference_that_the_fingerprint_does_not_see_is_refused() -> None:
    # Ethanol has no chain of four atoms: nothing would ever be similar to it.
    parameters = SimilarityParameters(references=["CCCCO", "CCO"], fingerprint="topological_torsion")
    with pytest.raises(UsageError, match="reference 'CCO': has no feature for fingerprint 'topological_t"):
        similarity(parameters)
    with pytest.raises(ValidationError, match="reference 'CCO': has no feature"):
        Component(reward="similarity", parameters=parameters.model_dump(exclude_none=True))
    assert values(["CCO"], references=["CCCCO"], fingerprint="topological_torsion") == [0]


def test_references_of_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("actives.smi").write_text("c1ccccc1C(=O)O benzoic acid\n\nCCCCN\n")
    Path("actives.csv").write_text("name,structure_of_it\nacid,c1ccccc1C(=O)O\namine,CCCCN\n")
    queries = [*REFERENCES, "CCCO"]
    expected = values(queries, references=REFERENCES)
    assert values(queries, references=["CCO"], file="actives.smi") == expected
    assert values(queries, references=["CCO"], file="actives.csv", column="structure_of_it") == expected
    assert values(queries, file="actives.smi") == values(queries, references=REFERENCES[1:])


def test_a_file_is_known_by_what_is_in_it(tmp_path: Path) -> None:
    path = tmp_path / "actives.smi"
    prints = []
    for text in ("CCO\n", "CCN\n", "CCO\n"):
        path.write_text(text)
        prints.append(similarity(SimilarityParameters(file=str(path))).fingerprint)
    assert prints[0] == prints[2] != prints[1]
    assert similarity(SimilarityParameters(references=["CCO"])).fingerprint == ""


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("CCO\nC1CC\n", "actives.smi, line 2: not a SMILES"),
        ("smiles\nCCO\nNone\n", "actives.smi, line 3: missing value"),
        ("CCO\n" + "C" * 1001 + "\n", "actives.smi, line 2: longer than 1000 characters"),
        ("", "actives.smi: the file is empty"),
        ("smiles\n\n", "actives.smi: no line with a molecule"),
    ],
)
def test_a_wrong_file_is_refused_with_its_line(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "actives.smi"
    path.write_text(text)
    with pytest.raises((UsageError, DataError), match=re.escape(str(tmp_path)) + "/" + said):
        similarity(SimilarityParameters(file=str(path)))


def test_a_file_that_is_not_there() -> None:
    with pytest.raises(DataError, match="nowhere.smi: does not exist"):
        similarity(SimilarityParameters(file="nowhere.smi"))
    with pytest.raises(DataError, match="nowhere.smi: does not exist"):
        Component(reward="similarity", parameters={"file": "nowhere.smi"})


def test_scaffolds_are_compared_without_side_chains() -> None:
    decorated = "COc1ccc(NC(=O)c2cc3cc(Cl)ccc3[nH]2)cc1"
    other = "O=C(Nc1ccncc1)c1cc2ccccc2o1"  # the same graph of other atoms
    found = scaffold_values([decorated, other, "c1ccccc1"], references=[INDOLE_AMIDE])
    scaffolds = ["O=C(Nc1ccncc1)c1cc2ccccc2o1", "c1ccccc1"]
    assert found == pytest.approx([1, *(alone(INDOLE_AMIDE, smiles) for smiles in scaffolds)])
    assert found[1] < 0.6
    graphs = scaffold_values([decorated, other, "c1ccccc1"], references=[INDOLE_AMIDE], generic=True)
    assert graphs[:2] == [1, 1]
    graph = "C1CCCCC1CCC2CC3CCCCC3C2"  # of the amide: C, N and C=O between the rings, without the oxygen
    assert graphs[2] == pytest.approx(alone(graph, "C1CCCCC1"))


def test_stereo_of_a_scaffold_does_not_count() -> None:
    cis, trans = "C1CC[C@H]2CCCC[C@H]2C1", "C1CC[C@H]2CCCC[C@@H]2C1"
    assert scaffold_values([cis], references=[trans]) == [1]


@pytest.mark.parametrize("generic", [False, True])
def test_acyclic_molecules_have_a_defined_value(generic: bool) -> None:
    queries = ["CCO", "CCCCCC(=O)O", "c1ccccc1"]
    assert scaffold_values(queries, references=["c1ccccc1CC"], generic=generic) == [0, 0, 1]
    assert scaffold_values(queries, references=["CCN"], generic=generic) == [1, 1, 0]
    both: dict[str, Any] = {"references": ["CCN", "c1ccccc1CC"], "generic": generic}
    assert scaffold_values(queries, **both) == [1, 1, 1]
    assert scaffold_values(queries, **both, aggregation="mean") == [0.5, 0.5, 0.5]
    assert scaffold_values(queries, **both, aggregation="min", distance=True) == [1, 1, 1]


def test_an_own_molecule_is_valued_not_changed() -> None:
    mol = read("C[C@H](O)c1ccccc1")
    before = Chem.MolToCXSmiles(mol)
    for kind in KINDS:
        similarity(SimilarityParameters(references=[CELECOXIB], fingerprint=kind))([mol])
    scaffold_similarity(ScaffoldSimilarityParameters(references=[CELECOXIB]))([mol])
    assert Chem.MolToCXSmiles(mol) == before
