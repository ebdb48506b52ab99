import lzma
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError

from moldesign.chem.fingerprints import fingerprint, tanimoto
from moldesign.chem.molecules import read
from moldesign.errors import DataError, UsageError
from moldesign.rewards.neighbours import (
    ENTRIES,
    NearestNeighbour,
    NearestNeighbourParameters,
    UnusualBits,
    UnusualBitsParameters,
)

CELECOXIB = "Cc1ccc(cc1)c1cc(nn1c1ccc(cc1)S(N)(=O)=O)C(F)(F)F"


@pytest.fixture(autouse=True)
def own_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("MOLDESIGN_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


@pytest.fixture(scope="module")
def actives() -> list[str]:
    """300 molecules of ZINC250k."""
    with lzma.open(str(files("moldesign.corpora") / "zinc250k.smi.xz"), "rt") as handle:
        return [line.split()[0] for line, _ in zip(handle, range(301), strict=False)][1:]


def values(smiles: list[str], **parameters: Any) -> list[float]:
    reward = NearestNeighbour(NearestNeighbourParameters.model_validate(parameters))
    return [float(value) for value in reward([read(one) for one in smiles])]


def similarities(smiles: str, references: list[str], kind: Any = "ecfp4") -> list[float]:
    bits = [fingerprint(read(reference), kind, counts=False) for reference in references]
    return sorted(tanimoto(fingerprint(read(smiles), kind, counts=False), bits).tolist(), reverse=True)


@pytest.mark.parametrize("k", [1, 4])
@pytest.mark.parametrize("kind", ["ecfp4", "fcfp6"])
def test_the_mean_over_the_k_nearest_of_a_file(tmp_path: Path, actives: list[str], k: int, kind: str) -> None:
    path = tmp_path / "actives.smi"
    path.write_text("\n".join(actives))
    queries = [CELECOXIB, actives[200], "CCO"]
    expected = [sum(similarities(smiles, actives, kind)[:k]) / k for smiles in queries]
    assert values(queries, file=str(path), k=k, fingerprint=kind) == pytest.approx(expected)
    novelty = values(queries, file=str(path), k=k, fingerprint=kind, distance=True)
    assert novelty == pytest.approx([1 - value for value in expected])
    if k == 1:
        assert expected[1] == 1


def test_a_relative_path_is_taken_from_the_current_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("actives.csv").write_text("id,smiles\n1,CCO\n2,C1=CC=CC=C1C\n")
    # Written by hand in Kekule form, and found all the same; references of both places count.
    assert values(["Cc1ccccc1", "CCN"], references=["NCC"], file="actives.csv") == [1, 1]


def test_fingerprints_of_a_file_are_kept_and_those_of_a_list_are_not(own_home: Path, tmp_path: Path) -> None:
    assert values(["CCO"], references=["CCO", "CCN"]) == [1]
    assert not own_home.exists()
    path = tmp_path / "actives.smi"
    path.write_text("CCO\nCCN\n")
    assert values(["CCO"], file=str(path)) == values(["CCO"], file=str(path)) == [1]
    assert len(list((own_home / "fingerprints").iterdir())) == 1


def test_a_file_is_known_by_what_is_in_it(tmp_path: Path) -> None:
    path = tmp_path / "actives.smi"
    prints = []
    for text in ("CCO\n", "CCN\n"):
        path.write_text(text)
        prints.append(NearestNeighbour(NearestNeighbourParameters(file=str(path))).fingerprint)
    assert prints[0] != prints[1]


def test_a_line_that_is_no_molecule_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "actives.smi"
    path.write_text("smiles\nCCO\n\nC1CC\nCCN\nc1cccc1\n")
    with pytest.raises(DataError, match="actives.smi, line 4: 'C1CC' is no molecule .the first of 2.; clean"):
        values(["CCO"], file=str(path))
    path.write_text("CCO\nnan\n")
    with pytest.raises(DataError, match="actives.smi, line 2: missing value"):
        values(["CCO"], file=str(path))


def test_wrong_parameters(tmp_path: Path) -> None:
    for parameters in ({}, {"references": ["C1CC"]}, {"references": ["CCO"], "k": 0}):
        with pytest.raises(ValidationError):
            NearestNeighbourParameters.model_validate(parameters)
    with pytest.raises(UsageError, match="k = 3 nearest of 2 references"):
        values(["CCO"], references=["CCO", "CCN"], k=3)
    with pytest.raises(UsageError, match="no corpus named 'zinc25'; did you mean 'zinc250k'"):
        values(["CCO"], file="zinc25")


def unusual(smiles: list[str], **parameters: Any) -> list[float]:
    reward = UnusualBits(UnusualBitsParameters.model_validate(parameters))
    return [float(value) for value in reward([read(one) for one in smiles])]


def bits(smiles: str, kind: Any = "ecfp4") -> set[int]:
    return set(fingerprint(read(smiles), kind, counts=True).GetNonzeroElements())


@pytest.mark.parametrize("kind", ["ecfp4", "ecfp6", "fcfp4"])
def test_the_share_of_bits_that_no_molecule_of_a_file_has(
    own_home: Path, tmp_path: Path, actives: list[str], kind: str
) -> None:
    path = tmp_path / "actives.smi"
    neutral = [smiles for smiles in actives if not {"+", "-"} & set(smiles)]
    path.write_text("\n".join(neutral))
    known = set().union(*(bits(smiles, kind) for smiles in neutral))
    queries = [CELECOXIB, neutral[100], "N=NOSF"]
    expected = [len(bits(smiles, kind) - known) / len(bits(smiles, kind)) for smiles in queries]
    for _ in range(2):
        assert unusual(queries, file=str(path), fingerprint=kind) == pytest.approx(expected)
    assert expected[1] == 0 < expected[0] < expected[2]
    assert len(list((own_home / "fingerprints").iterdir())) == 1
    both = unusual(queries, file=str(path), references=[CELECOXIB], fingerprint=kind)
    assert both == pytest.approx([0, 0, expected[2]])


def test_without_references_the_bits_are_those_of_chembl() -> None:
    assert UnusualBitsParameters().file == "chembl_sample"
    assert UnusualBitsParameters(references=["CCO"]).file is None
    assert UnusualBitsParameters(file="zinc250k").file == "zinc250k"
    with pytest.raises(ValidationError, match="give references or a file"):
        UnusualBitsParameters(references=[])
    assert UnusualBits(UnusualBitsParameters(references=["CCO"])).fingerprint == ""


def test_unusual_bits_are_worth_less() -> None:
    shaping = ENTRIES["unusual_bits"].shaping
    assert shaping is not None
    assert shaping(np.array([0.0, 0.15, 0.3, 1.0])).tolist() == [1, 0.5, 0, 0]


def test_a_line_of_the_file_without_a_molecule_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "actives.smi"
    path.write_text("smiles\nCCO\n\nC1CC\nCCN\nc1cccc1\n")
    with pytest.raises(DataError, match="actives.smi, line 4: 'C1CC' is no molecule; clean"):
        unusual(["CCO"], file=str(path))
