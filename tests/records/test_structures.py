from pathlib import Path

import pandas as pd
from rdkit import Chem

from moldesign.chem.drawing import mol_block
from moldesign.chem.molecules import read
from moldesign.records.structures import write_sdf


def test_an_sdf_holds_the_molecules_in_2d_with_their_properties(tmp_path: Path) -> None:
    table = pd.DataFrame(
        {
            "rank": [1, 2, 3],
            "smiles": ["C[C@H](N)C(=O)O", "cannot be drawn", "*CC"],
            "score": [0.123456789, 0.1, float("nan")],
            "alerts": ["one\n\ntwo", "", ""],
            "<odd>": ["x", "y", "z"],
        }
    )
    blocks = [mol_block(read("C[C@H](N)C(=O)O")), None, mol_block(read("*CC"))]
    assert write_sdf(table, tmp_path / "candidates.sdf", blocks) == 2
    alanine, dummy = list(Chem.SDMolSupplier(str(tmp_path / "candidates.sdf")))
    assert Chem.MolToSmiles(alanine) == "C[C@H](N)C(=O)O"
    assert alanine.GetProp("_Name") == "candidate 1"
    assert alanine.GetPropsAsDict()["score"] == 0.123457
    assert alanine.GetProp("alerts") == "one two"
    assert alanine.GetProp("(odd)") == "x"
    conformer = alanine.GetConformer()
    assert not conformer.Is3D()
    places = {tuple(conformer.GetAtomPosition(i)) for i in range(alanine.GetNumAtoms())}
    assert len(places) == alanine.GetNumAtoms()
    assert set(dummy.GetPropNames()) == {"rank", "smiles", "(odd)"}
    assert dummy.GetAtomWithIdx(0).GetAtomicNum() == 0
