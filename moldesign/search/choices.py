"""What a search can be made of, by name: apart from its code, which a command line need not wait for."""

from __future__ import annotations

from typing import Literal, get_args

#: - policy: what the agent writes;
#: - prefix: what it writes on from the beginning of a scored molecule;
#: - crossover: ends, or halves of a ring, of two scored molecules joined;
#: - recombination: ends of two at a link of a third;
#: - graft: a part of what the agent wrote in place of one of a scored molecule;
#: - edit: one atom, one bond or one ring of a scored molecule changed, or a branch moved;
#: - ring: a known ring system in place of one of a scored molecule.
Origin = Literal["policy", "prefix", "crossover", "recombination", "graft", "edit", "ring"]
ORIGINS: tuple[Origin, ...] = get_args(Origin)


def operator_shares(text: str) -> dict[Origin, float | None]:
    """The operators of a list like `policy,edit`, or `policy:4,edit:1`, in which each has a fixed share.

    Returns:
        name -> what it has of the proposals, in any unit; None for all where a bandit says.

    Raises:
        ValueError: an unknown name, one twice, a share that is no positive number, or shares for some only.
    """
    found: dict[Origin, float | None] = {}
    for part in text.split(","):
        name, colon, share = (piece.strip() for piece in part.partition(":"))
        known = next((origin for origin in ORIGINS if origin == name), None)
        if known is None:
            raise ValueError(
                f"should be some of {', '.join(ORIGINS)}, such as policy,edit or policy:4,edit:1"
            )
        if known in found:
            raise ValueError(f"names {name} twice")
        found[known] = _share(share) if colon else None
    if len({share is None for share in found.values()}) > 1:
        raise ValueError("gives a share to some and not to all")
    return found


def _share(text: str) -> float:
    try:
        share = float(text)
    except ValueError:
        share = 0.0
    if not 0 < share < float("inf"):
        raise ValueError(f"has a share that is no positive number ({text})")
    return share


def property_shares(text: str) -> tuple[float, ...]:
    """The numbers of a list like `0,0.75`, each what properties have of a kernel of their own.

    Raises:
        ValueError: one that is no number from 0 to 1, or one twice.
    """
    try:
        shares = tuple(float(part) for part in text.split(","))
    except ValueError:
        shares = ()
    if not shares or not all(0 <= share <= 1 for share in shares) or len({*shares}) < len(shares):
        raise ValueError("should be different numbers from 0 to 1, such as 0.75 or 0,0.75")
    return shares


#: - greedy: the largest mean;
#: - ucb: mean + beta sd, with another beta for each choice, so that a batch holds sure and bold ones;
#: - improvement: expected improvement on the best so far;
#: - thompson: the largest of a sample, each molecule's by itself;
#: - information: what the scores of the batch would tell of all candidates;
#: - random: any.
Acquisition = Literal["greedy", "ucb", "improvement", "thompson", "information", "random"]
ACQUISITIONS: tuple[Acquisition, ...] = get_args(Acquisition)

#: - any: whatever is a molecule;
#: - known: atoms with such neighbours, and ring systems, as the shipped corpora have, or it is not proposed;
#: - strict: that, and no PAINS or BRENK alert; what has one, or a ring system that they have not, scores 0.
Chemistry = Literal["any", "known", "strict"]

#: Kinds of fingerprints that a surrogate can look at: those that count.
SurrogateKind = Literal["ecfp4", "ecfp6", "fcfp4", "fcfp6", "atom_pair", "topological_torsion"]
SURROGATE_KINDS: tuple[SurrogateKind, ...] = get_args(SurrogateKind)

#: - scores: themselves;
#: - ranks: as normal quantiles, so that neither outliers nor many scores of 0 count for more;
#: - both: the mean of the two.
Targets = Literal["scores", "ranks", "both"]
