import numpy as np
import pytest
from pydantic import ValidationError

from moldesign.chem import conformers
from moldesign.chem.conformers import embed
from moldesign.chem.molecules import read
from moldesign.rewards.conformers import ENTRIES, ConformerParameters
from moldesign.rewards.reward import SomeFailed

MOL = read("C[C@H](N)C(=O)NCCc1ccccc1")


@pytest.mark.parametrize("name", ENTRIES)
def test_the_value_is_the_mean_over_the_conformers(name: str) -> None:
    embedded = embed(MOL, n=4, seed=11)
    single = [getattr(conformers, name)(embedded, number) for number in range(4)]
    (value,) = ENTRIES[name].build(ConformerParameters(conformers=4, seed=11))([MOL])
    assert value == pytest.approx(sum(single) / 4)
    assert max(single) > min(single), "conformers of a flexible molecule differ"


def test_one_conformer_and_one_seed_by_default() -> None:
    reward = ENTRIES["npr1"].build(ConformerParameters())
    (value,) = reward([MOL])
    assert value == conformers.npr1(embed(MOL, n=1, seed=0))
    conformers._embedded.cache_clear()
    assert reward([read("c1ccccc1CCNC(=O)[C@@H](N)C")])[0] == value, "however it is written"
    assert ENTRIES["npr1"].build(ConformerParameters(seed=1))([MOL])[0] != value


def test_a_molecule_without_a_conformer_is_a_failure() -> None:
    with pytest.raises(SomeFailed, match="NoConformer: .*several fragments"):
        ENTRIES["mol_volume"].build(ConformerParameters())([MOL, read("CCO.Cl")])


def test_the_unit_interval_holds() -> None:
    mols = [read(smiles) for smiles in ("C", "C#C", "c1ccccc1", "C12C3C4C1C5C2C3C45", "CCCCCCCCCC", "O")]
    for name, entry in ENTRIES.items():
        values = entry.build(ConformerParameters())(mols)
        assert np.isfinite(values).all()
        if entry.unit_interval:
            assert ((values >= 0) & (values <= 1)).all(), name


def test_dear_rewards_are_kept_and_run_apart() -> None:
    for entry in ENTRIES.values():
        assert entry.isolated
        assert entry.cached
        assert entry.limit_s > conformers.TIMEOUT_S


@pytest.mark.parametrize("wrong", [{"conformers": 0}, {"conformers": 51}, {"seed": -1}, {"seed": 2**31}])
def test_parameters_out_of_range(wrong: dict[str, int]) -> None:
    with pytest.raises(ValidationError):
        ConformerParameters.model_validate(wrong)
