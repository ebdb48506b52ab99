"""A command that scores through files: SMILES in, a CSV table out.

python examples/file_scorer.py molecules.smi scores.csv
"""

import csv
import sys
from pathlib import Path

from rdkit import Chem
from rdkit.Chem.rdMolDescriptors import CalcExactMolWt

source, target = Path(sys.argv[1]), Path(sys.argv[2])
with target.open("w", newline="") as handle:
    table = csv.writer(handle)
    table.writerow(["smiles", "mass"])
    for smiles in source.read_text().split():
        mol = Chem.MolFromSmiles(smiles)
        # An empty cell: could not be scored.
        table.writerow([smiles, "" if mol is None else CalcExactMolWt(mol)])
