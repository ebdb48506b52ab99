"""An external scorer for moldesign: an oracle of the Therapeutics Data Commons, by its name.

In an environment with PyTDC (prove.sh beside this file makes one):
    python tdc_scorer.py celecoxib_rediscovery
"""

import json
import os
import sys

# Only answers may go to standard output: PyTDC prints there what it downloads.
answers = os.fdopen(os.dup(1), "w")
os.dup2(2, 1)

from tdc import Oracle  # noqa: E402


def say(message):
    """One line to moldesign, sent at once."""
    answers.write(json.dumps(message) + "\n")
    answers.flush()


oracle = Oracle(name=sys.argv[1])
say({"ready": True})
for line in sys.stdin:
    request = json.loads(line)
    if request.get("cmd") == "quit":
        break
    try:
        say({"scores": [float(score) for score in oracle(request["smiles"])]})
    except Exception as error:  # the molecules are then sent one by one, and only the culprits fail
        say({"error": f"{type(error).__name__}: {error}"})
