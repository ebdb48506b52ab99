from __future__ import annotations

import numpy as np
import pytest

from moldesign.assets import corpus_path
from moldesign.chem.molecules import read
from moldesign.chem.profile import PROPERTIES, properties
from moldesign.language import corpus


def test_properties_are_those_of_the_molecule_in_deviations() -> None:
    found, other = (np.array(properties(read(smiles))) for smiles in ("CC(=O)Oc1ccccc1C(=O)O", "c1ccccc1Cl"))
    assert len(found) == PROPERTIES == 18
    # Thirteen heavy atoms for 23 give or take 4.5; 180.159 g/mol; nine carbons, four oxygens.
    assert found[0] == pytest.approx((13 - 23.0) / 4.5)
    assert found[1] == pytest.approx((180.159 - 330.0) / 62.0)
    assert found[7] == pytest.approx((1 - 1.9) / 1.0)  # aromatic rings
    assert found[10] == pytest.approx((9 - 17.0) / 3.8)
    assert found[12] == pytest.approx((4 - 2.3) / 1.3)
    # Chlorine is the seventh element, and all else of chlorobenzene differs too.
    assert (other - found)[16] == pytest.approx(1 / 0.45)


def test_the_constants_are_those_of_the_corpus() -> None:
    values = np.array([properties(read(smiles)) for smiles in corpus.load(corpus_path("zinc250k"))[:2000]])
    assert np.abs(values.mean(0)).max() < 0.2
    # But for phosphorus and bromine, whose deviations are widened.
    common = np.delete(values, [14, 17], axis=1)
    assert np.abs(np.log(common.std(0))).max() < 0.2
