"""An external scorer for moldesign: a goal-directed benchmark of GuacaMol, by its name.

In an environment with GuacaMol (prove.sh beside this file makes one):
    python guacamol_scorer.py "Celecoxib rediscovery"
"""

import json
import os
import sys
import types

# FCD, and torch with it, serves the distribution benchmarks only: none of these needs it.
sys.modules.setdefault("fcd", types.ModuleType("fcd"))
from guacamol.benchmark_suites import goal_directed_benchmark_suite  # noqa: E402

# Only answers may go to standard output, whatever a package prints.
answers = os.fdopen(os.dup(1), "w")
os.dup2(2, 1)


def say(message):
    """One line to moldesign, sent at once."""
    answers.write(json.dumps(message) + "\n")
    answers.flush()


benchmarks = {benchmark.name: benchmark for benchmark in goal_directed_benchmark_suite("v2")}
if sys.argv[1] not in benchmarks:
    sys.exit(f"no benchmark '{sys.argv[1]}' (known: {', '.join(benchmarks)})")
scoring_function = benchmarks[sys.argv[1]].objective
say({"ready": True})
for line in sys.stdin:
    request = json.loads(line)
    if request.get("cmd") == "quit":
        break
    scores = scoring_function.score_list(request["smiles"])
    # What GuacaMol could not score is no score.
    say({"scores": [None if score == scoring_function.corrupt_score else float(score) for score in scores]})
