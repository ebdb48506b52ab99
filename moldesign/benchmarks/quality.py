"""What a chemist would say of the best molecules of a run: optimisers cheat."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from moldesign.chem import alerts, descriptors
from moldesign.chem.fingerprints import fingerprint, tanimoto
from moldesign.chem.molecules import parse
from moldesign.chem.rings import ring_systems
from moldesign.chem.scaffolds import murcko
from moldesign.language.occurrences import shipped_occurrences


def quality(smiles: Sequence[str]) -> dict[str, float | int]:
    """Figures of molecules; what is no molecule is left out. Empty for none.

    - `molecules`: how many.
    - `without_alerts`: share that no PAINS or BRENK alert matches.
    - `known_rings`: share whose every ring system is in the shipped list of known chemistry.
    - `sa`, `mw`: mean synthetic accessibility, 1 to 10, and molar mass.
    - `diversity`: mean of 1 - Tanimoto similarity, by ECFP4 bits, over all pairs.
    - `scaffolds`: different Murcko scaffolds.
    """
    mols = [mol for mol in map(parse, smiles) if mol is not None]
    if not mols:
        return {}
    known = shipped_occurrences("ring_systems")
    known_rings = [all(known[ring] for ring in ring_systems(mol)) for mol in mols]
    bits = [fingerprint(mol, counts=False) for mol in mols]
    apart = [1.0 - tanimoto(bits[i], bits[i + 1 :]) for i in range(len(bits) - 1)]
    return {
        "molecules": len(mols),
        "without_alerts": round(float(np.mean([not alerts.matches(mol) for mol in mols])), 4),
        "known_rings": round(float(np.mean(known_rings)), 4),
        "sa": round(float(np.mean([descriptors.sa_score(mol) for mol in mols])), 3),
        "mw": round(float(np.mean([descriptors.mw(mol) for mol in mols])), 1),
        "diversity": round(float(np.concatenate(apart).mean()), 4) if apart else 0.0,
        "scaffolds": len({murcko(mol) for mol in mols}),
    }
