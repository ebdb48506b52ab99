"""An external scorer for moldesign: a metric of MolScore's molecular descriptors, by its name.

In an environment with MolScore (prove.sh beside this file makes one):
    python molscore_scorer.py QED
Its other scoring functions are called the same way.
"""

import json
import os
import sys
import tempfile

# Only answers may go to standard output, whatever a package prints.
answers = os.fdopen(os.dup(1), "w")
os.dup2(2, 1)

from molscore.scoring_functions.descriptors import MolecularDescriptors  # noqa: E402


def say(message):
    """One line to moldesign, sent at once."""
    answers.write(json.dumps(message) + "\n")
    answers.flush()


metric = sys.argv[1]
if metric not in MolecularDescriptors.return_metrics:
    sys.exit(f"no metric '{metric}' (known: {', '.join(MolecularDescriptors.return_metrics)})")
scoring_function = MolecularDescriptors(prefix="ours")
say({"ready": True})
with tempfile.TemporaryDirectory() as directory:
    for line in sys.stdin:
        request = json.loads(line)
        if request.get("cmd") == "quit":
            break
        smiles = request["smiles"]
        files = [f"0_{i}" for i in range(len(smiles))]  # names for what docking writes, say
        rows = scoring_function(smiles=smiles, directory=directory, file_names=files)
        values = {row["smiles"]: row.get(f"ours_{metric}") for row in rows}
        say({"scores": [values.get(one) for one in smiles]})
