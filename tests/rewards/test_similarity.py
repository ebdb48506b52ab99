"""Every reference counts: with several, a program of this kind is known to use only the first."""

import itertools

import pytest
from pydantic import ValidationError

from moldesign.chem.fingerprints import fingerprint, tanimoto
from moldesign.chem.molecules import read
from moldesign.rewards.similarity import SimilarityParameters, similarity

REFERENCES = ["CCO", "c1ccccc1C(=O)O", "CCCCN"]


def alone(reference: str, smiles: str) -> float:
    return float(tanimoto(fingerprint(read(smiles)), [fingerprint(read(reference))])[0])


@pytest.mark.parametrize("order", list(itertools.permutations(REFERENCES)))
@pytest.mark.parametrize("aggregation", ["max", "mean", "min"])
def test_every_reference_is_used_in_any_order(order: tuple[str, ...], aggregation: str) -> None:
    queries = [*REFERENCES, "CCCO"]
    parameters = SimilarityParameters.model_validate({"references": list(order), "aggregation": aggregation})
    values = similarity(parameters)([read(smiles) for smiles in queries])
    for smiles, value in zip(queries, values, strict=True):
        single = [alone(reference, smiles) for reference in REFERENCES]
        expected = {"max": max(single), "min": min(single), "mean": sum(single) / 3}[aggregation]
        assert value == pytest.approx(expected)
    if aggregation == "max":
        assert values[:3].tolist() == [1, 1, 1]


def test_counts_tell_chains_apart_that_bits_do_not() -> None:
    mols = [read("CCCCCCCCCCCC")]
    by_counts = similarity(SimilarityParameters(references=["CCCCCCCC"]))(mols)
    by_bits = similarity(SimilarityParameters(references=["CCCCCCCC"], counts=False))(mols)
    assert by_bits[0] == 1
    assert by_counts[0] < 0.8


@pytest.mark.parametrize("references", [[], ["CCO", "C1CC"], [""]])
def test_references_must_be_molecules(references: list[str]) -> None:
    with pytest.raises(ValidationError):
        SimilarityParameters(references=references)
