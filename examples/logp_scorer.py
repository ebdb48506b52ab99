"""An external scorer: Crippen's logP over JSON lines. Copy it, and put your own score in `score`.

moldesign optimize --oracle-cmd "python examples/logp_scorer.py" --budget 500 -o runs/logp
"""

import json
import sys

from rdkit import Chem
from rdkit.Chem.rdMolDescriptors import CalcCrippenDescriptors


def score(smiles: str) -> float | None:
    """The score of one molecule; None if it cannot be scored."""
    mol = Chem.MolFromSmiles(smiles)
    return None if mol is None else float(CalcCrippenDescriptors(mol)[0])


def say(message: dict[str, object]) -> None:
    """One line to moldesign, sent at once."""
    sys.stdout.write(json.dumps(message) + "\n")
    sys.stdout.flush()


say({"ready": True})
for line in sys.stdin:
    request = json.loads(line)
    if request.get("cmd") == "quit":
        break
    say({"scores": [score(smiles) for smiles in request["smiles"]]})
