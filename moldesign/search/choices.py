"""What a search can be made of, by name: apart from its code, which a command line need not wait for."""

from __future__ import annotations

from typing import Literal, get_args

#: - policy: what the agent writes;
#: - prefix: what it writes on from the beginning of a scored molecule;
#: - crossover: ends, or halves of a ring, of two scored molecules joined;
#: - recombination: ends of two at a link of a third;
#: - edit: one atom, one bond or one ring of a scored molecule changed.
Origin = Literal["policy", "prefix", "crossover", "recombination", "edit"]
ORIGINS: tuple[Origin, ...] = get_args(Origin)

#: - greedy: the largest mean;
#: - ucb: mean + beta sd, with another beta for each choice, so that a batch holds sure and bold ones;
#: - improvement: expected improvement on the best so far;
#: - thompson: the largest of a sample, each molecule's by itself;
#: - information: what the scores of the batch would tell of all candidates;
#: - random: any.
Acquisition = Literal["greedy", "ucb", "improvement", "thompson", "information", "random"]
ACQUISITIONS: tuple[Acquisition, ...] = get_args(Acquisition)

#: Kinds of fingerprints that a surrogate can look at: those that count.
SurrogateKind = Literal["ecfp4", "ecfp6", "fcfp4", "fcfp6", "atom_pair", "topological_torsion"]
SURROGATE_KINDS: tuple[SurrogateKind, ...] = get_args(SurrogateKind)
