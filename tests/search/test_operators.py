from __future__ import annotations

from typing import cast

import numpy as np
import pytest

from moldesign.chem.fingerprints import fingerprint, tanimoto
from moldesign.chem.molecules import read, to_smiles
from moldesign.search.brood import Brood
from moldesign.search.choices import Origin
from moldesign.search.operators import OPERATORS, children
from moldesign.search.relatives import Relatives

GOOD = ["CC(=O)Oc1ccccc1C(=O)O", "CN1CCC(c2ccccc2)CC1", "COc1ccc(CCNC(C)=O)cc1", "O=C(NC1CC1)c1ccncc1"]


@pytest.mark.parametrize("name", [*OPERATORS])
def test_children_are_new_wanted_and_like_their_parents(name: str) -> None:
    relatives = Relatives()
    population = Brood(GOOD, 10, family=0, relatives=relatives)
    generator = np.random.default_rng(0)

    def wanted(smiles: str) -> bool:
        return smiles not in GOOD and "F" not in smiles

    made = children(cast("Origin", name), 60, population, relatives, generator, wanted)
    assert 30 < len(made) <= 60
    assert all(to_smiles(mol) == smiles and wanted(smiles) for smiles, mol in made.items())
    parents = [fingerprint(read(smiles)) for smiles in GOOD]
    alike = [tanimoto(fingerprint(mol), parents).max() for mol in made.values()]
    strangers = [
        tanimoto(fingerprint(read(smiles)), parents).max() for smiles in ("CCCCBr", "C1CCSC1", "N#CC#N")
    ]
    assert np.mean(alike) > 0.3 > max(strangers)
    again = children(cast("Origin", name), 60, population, relatives, np.random.default_rng(0), wanted)
    assert [*again] == [*made]
