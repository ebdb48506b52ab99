from __future__ import annotations

from typing import cast

import numpy as np
import pytest

from moldesign.chem.fingerprints import fingerprint, tanimoto
from moldesign.chem.molecules import Mol, read, to_smiles
from moldesign.search.brood import Brood
from moldesign.search.choices import Origin
from moldesign.search.operators import OPERATORS, Breeding, children, graft
from moldesign.search.relatives import Relatives
from moldesign.search.stock import Stock

GOOD = ["CC(=O)Oc1ccccc1C(=O)O", "CN1CCC(c2ccccc2)CC1", "COc1ccc(CCNC(C)=O)cc1", "O=C(NC1CC1)c1ccncc1"]


@pytest.mark.parametrize("name", [*OPERATORS])
def test_children_are_new_wanted_and_like_their_parents(name: str) -> None:
    relatives, stock = Relatives(), Stock()
    stock.add(["CCCCBr", "C1CCSC1", "N#CCCC#N"])
    population = Brood(GOOD, 10, family=0, relatives=relatives)

    def wanted(smiles: str) -> bool:
        return smiles not in GOOD and "F" not in smiles

    def fits(mol: Mol) -> bool:
        return not mol.HasSubstructMatch(read("OO"))

    def bred() -> dict[str, Mol]:
        among = Breeding(population, stock, relatives, np.random.default_rng(0))
        return children(cast("Origin", name), 60, among, wanted, fits)

    made = bred()
    assert 25 < len(made) <= 60
    assert all(to_smiles(mol) == smiles and wanted(smiles) and fits(mol) for smiles, mol in made.items())
    parents = [fingerprint(read(smiles)) for smiles in GOOD]
    alike = [tanimoto(fingerprint(mol), parents).max() for mol in made.values()]
    strangers = [
        tanimoto(fingerprint(read(smiles)), parents).max() for smiles in ("CCCCBr", "C1CCSC1", "N#CC#N")
    ]
    # A ring system is more of these small molecules than what other operators take away.
    assert np.mean(alike) > (0.25 if name == "ring" else 0.3)
    assert max(strangers) < 0.3
    assert [*bred()] == [*made]


def test_a_graft_has_what_no_good_molecule_has() -> None:
    relatives, stock = Relatives(), Stock()
    brood = Brood(GOOD, 10, family=0, relatives=relatives)
    among = Breeding(brood, stock, relatives, np.random.default_rng(0))
    assert graft(among) is None
    stock.add(["FC(F)(F)CCBr"])
    made = [to_smiles(mol) for mol in (graft(among) for _ in range(60)) if mol is not None]
    assert len(made) > 40
    assert sum("F" in smiles or "Br" in smiles for smiles in made) > 30


def test_the_stock_is_of_late_and_comes_back() -> None:
    stock, other, generator = Stock(), Stock(), np.random.default_rng(0)
    assert stock.pick(generator) is None
    stock.add(f"old{i}" for i in range(2000))
    stock.add(f"new{i}" for i in range(2500))
    picked = {stock.pick(generator) for _ in range(4000)}
    assert "new2499" in {*stock.state()}
    assert "old0" not in picked
    assert len(stock) == 3000
    other.restore(stock.state())
    assert [other.pick(np.random.default_rng(i)) for i in range(9)] == [
        stock.pick(np.random.default_rng(i)) for i in range(9)
    ]
