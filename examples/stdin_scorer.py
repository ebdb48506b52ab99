"""A command that scores: SMILES one a line on standard input, one JSON list on standard output.

echo CCO | python examples/stdin_scorer.py
"""

import json
import sys

from rdkit import Chem
from rdkit.Chem.rdMolDescriptors import CalcTPSA


def score(smiles: str) -> float | None:
    """Polar surface area; None if it cannot be scored."""
    mol = Chem.MolFromSmiles(smiles)
    return None if mol is None else float(CalcTPSA(mol))


json.dump([score(line.strip()) for line in sys.stdin], sys.stdout)
