"""Rules of thumb of medicinal chemistry: what an oral or a brain-penetrant drug usually looks like."""

from __future__ import annotations

import math
from functools import cache

from rdkit.Chem import rdMolDescriptors

from moldesign.chem.charges import standing_charges
from moldesign.chem.descriptors import logp, molar_refractivity, mw, rotatable_bonds, tpsa
from moldesign.chem.molecules import Mol, largest_fragment, uncharged
from moldesign.chem.substructures import has_match, pattern


def lipinski_violations(mol: Mol) -> float:
    """Number of Lipinski's limits that the molecule breaks, 0 to 4; an oral drug rarely breaks two.

    Molecular weight over 500 g/mol, log P over 5, more than 5 hydrogens on N and O, more than 10 N and O.
    log P is Crippen's where the paper has CLOGP. Lipinski et al., Adv. Drug Deliv. Rev. 23, 3 (1997).
    """
    return float(
        (mw(mol) > 500)
        + (logp(mol) > 5)
        + (rdMolDescriptors.CalcNumLipinskiHBD(mol) > 5)
        + (rdMolDescriptors.CalcNumLipinskiHBA(mol) > 10)
    )


def veber_violations(mol: Mol) -> float:
    """Number of Veber's limits for oral bioavailability that the molecule breaks, 0 to 2.

    More than 10 rotatable bonds, polar surface area over 140 square angstroms.
    Veber et al., J. Med. Chem. 45, 2615 (2002).
    """
    return float((rotatable_bonds(mol) > 10) + (tpsa(mol) > 140))


def ghose_violations(mol: Mol) -> float:
    """Number of Ghose's qualifying ranges that the molecule leaves, 0 to 4.

    log P -0.4 to 5.6, molar refractivity 40 to 130, molecular weight 160 to 480 g/mol, 20 to 70 atoms,
    hydrogens included. log P and refractivity are Crippen's where the paper has its own.
    Ghose, Viswanadhan and Wendoloski, J. Comb. Chem. 1, 55 (1999).
    """
    return float(
        (not -0.4 <= logp(mol) <= 5.6)
        + (not 40 <= molar_refractivity(mol) <= 130)
        + (not 160 <= mw(mol) <= 480)
        + (not 20 <= rdMolDescriptors.CalcNumAtoms(mol) <= 70)
    )


def egan_violations(mol: Mol) -> float:
    """Number of Egan's limits for absorption from the gut that the molecule breaks, 0 to 2.

    Polar surface area over 131.6 square angstroms, log P over 5.88: the extent of the paper's ellipse.
    log P is Crippen's where the paper has AlogP98. Egan, Merz and Baldwin, J. Med. Chem. 43, 3867 (2000).
    """
    return float((tpsa(mol) > 131.6) + (logp(mol) > 5.88))


def falling(x: float, one: float, zero: float) -> float:
    """1 up to `one`, 0 from `zero` on, straight between."""
    return min(1.0, max(0.0, (zero - x) / (zero - one)))


def cns_logp(x: float) -> float:
    """Desirability of log P: 1 up to 3, 0 from 5 on."""
    return falling(x, one=3, zero=5)


def cns_logd(x: float) -> float:
    """Desirability of log D at pH 7.4: 1 up to 2, 0 from 4 on."""
    return falling(x, one=2, zero=4)


def cns_mw(x: float) -> float:
    """Desirability of molecular weight: 1 up to 360 g/mol, 0 from 500 on."""
    return falling(x, one=360, zero=500)


def cns_tpsa(x: float) -> float:
    """Desirability of polar surface area: 1 from 40 to 90 square angstroms, 0 up to 20 and from 120 on."""
    return min(falling(-x, one=-40, zero=-20), falling(x, one=90, zero=120))


def cns_hbd(x: float) -> float:
    """Desirability of the number of hydrogens on N and O: 1 up to 0.5, 0 from 3.5 on."""
    return falling(x, one=0.5, zero=3.5)


def cns_pka(x: float) -> float:
    """Desirability of the pKa of the most basic group: 1 up to 8, 0 from 10 on."""
    return falling(x, one=8, zero=10)


def cns_mpo(mol: Mol) -> float:
    """Desirability for the central nervous system, 0 to 6; two of its six parts rest on estimates.

    The sum of the six ramps of Wager et al., ACS Chem. Neurosci. 1, 435 (2010). The paper takes log P,
    log D and pKa from commercial programs. Here log P is Crippen's, the pKa is that of the simple compound
    that the most basic group resembles (`basic_pka`), and log D follows from both (`logd`). Compare values
    with one another, not with published ones. Of a salt the largest fragment is taken, and that neutral.

    Raises:
        ValueError: a charge that no proton can take away, as in choline and in betaine: the ramps are not
            made for it.
    """
    neutral = uncharged(largest_fragment(mol))
    if standing_charges(neutral):
        raise ValueError("CNS MPO has no value for a permanently charged molecule")
    pka = basic_pka(neutral)
    return (
        cns_logp(logp(neutral))
        + cns_logd(logd(neutral))
        + cns_mw(mw(neutral))
        + cns_tpsa(tpsa(neutral))
        + cns_hbd(rdMolDescriptors.CalcNumLipinskiHBD(neutral))
        + (1.0 if pka is None else cns_pka(pka))
    )


#: A neutral nitrogen whose neighbours are all hydrogens and tetrahedral carbons: an amine.
_AMINE = "[NX3;+0;!$(N-[!#1;!$([CX4])])]"

#: What takes the basicity from a nitrogen beside it.
_ACYL = "$([#6]=[O,S])"
_STRONG = "$(C#N),$([#15,#16]=O),$([N+]),$(N=O)"

#: The nitrogen of an amidine or guanidine that takes the proton; no amidoxime, no hydrazone.
_IMINE = "[NX2;+0;!$(N[!#6;!#1])]"
_AMINO = "[NX3;+0;!$(N[!#6;!#1])]"

#: SMARTS of a basic group, its proton on the first atom; the pKa of the conjugate acid of a simple compound
#: that holds it, in water at 25 degrees, as handbooks list it (Perrin, Dissociation Constants of Organic
#: Bases in Aqueous Solution, 1965 and 1972; for fluorine Morgenthaler et al., ChemMedChem 2, 1100, 2007);
#: the compound. The first row that matches an atom counts for it. Bases below 6, such as pyridine, anilines
#: and amides, are not there (None takes one out): they are neutral at pH 7.4, and no ramp sees them.
BASES: tuple[tuple[str, float | None, str], ...] = (
    (f"{_IMINE}=[CX3][NX3][{_STRONG}]", None, "cyanoguanidine"),
    (f"[NX2]([{_STRONG}])=[CX3][NX3]", None, "nitroguanidine"),
    (f"{_IMINE}=[CX3]({_AMINO})[NX3][{_ACYL}]", 8.3, "acetylguanidine"),
    (f"{_IMINE}([{_ACYL}])=[CX3]({_AMINO}){_AMINO}", 8.3, "acetylguanidine"),
    (f"{_IMINE}=[CX3]({_AMINO}){_AMINO}c", 10.8, "phenylguanidine"),
    (f"{_IMINE}(c)=[CX3]({_AMINO}){_AMINO}", 10.8, "phenylguanidine"),
    (f"{_IMINE}=[CX3]({_AMINO}){_AMINO}", 13.6, "guanidine"),
    (f"{_IMINE}=[CX3]{_AMINO}[c,{_ACYL}]", None, "an aryl or acyl amidine"),
    (f"{_IMINE}([c,{_ACYL}])=[CX3]{_AMINO}", None, "an aryl or acyl amidine"),
    (f"{_IMINE}=[CX3](c){_AMINO}", 11.6, "benzamidine"),
    (f"{_IMINE}=[CX3;!$(C[!#6;!#7])]{_AMINO}", 12.4, "acetamidine"),
    (f"{_AMINE}[CX4]C(F)(F)F", None, "2,2,2-trifluoroethylamine"),
    (f"{_AMINE}[CX4][CX4](F)F", 7.3, "2,2-difluoroethylamine"),
    (f"{_AMINE}[CX4][CX4]F", 9.0, "2-fluoroethylamine"),
    (f"{_AMINE}[CX4]C#N", None, "aminoacetonitrile"),
    (f"{_AMINE}[CX4]C(=O)N", 8.0, "glycinamide"),
    (f"{_AMINE}[CX4]C(=O)O[#6]", 7.7, "glycine ethyl ester"),
    (f"{_AMINE}[CX4]C(=O)[OX2H]", 9.8, "glycine"),
    ("[NX3;H0]1([CX4])[CX4][CX4]O[CX4][CX4]1", 7.4, "4-methylmorpholine"),
    ("[NX3;H1]1[CX4][CX4]O[CX4][CX4]1", 8.5, "morpholine"),
    (f"{_AMINE}1[CX4][CX4]N([{_ACYL},{_STRONG}])[CX4][CX4]1", 7.9, "1-acetylpiperazine"),
    (f"{_AMINE}1[CX4][CX4]N([c,$(C=N)])[CX4][CX4]1", 8.8, "1-phenylpiperazine"),
    (f"{_AMINE}1[CX4][CX4]{_AMINE}[CX4][CX4]1", 9.1, "1-methylpiperazine"),
    (f"{_AMINE}1[CX4][CX4]1", 8.0, "aziridine"),
    (f"{_AMINE}[CX4]C#C", 8.2, "propargylamine"),
    (f"{_AMINE}[CX4]c", 9.3, "benzylamine"),
    (f"{_AMINE}[CX4]C=C", 9.5, "allylamine"),
    (f"{_AMINE}[CX4][CX4]O", 9.5, "ethanolamine"),
    (f"{_AMINE}[CX4][CX4]{_AMINE}", 9.9, "ethylenediamine"),
    ("[NX3;H0]([CX4])([CX4])[CX4]", 9.8, "trimethylamine"),
    ("[NX3;H1]([CX4])[CX4]", 10.8, "diethylamine"),
    ("[NX3;H2][CX4]", 10.7, "ethylamine"),
    ("[NX3;H3]", 9.2, "ammonia"),
    ("[nX2;+0]1[cR1][nX3][cR1][cR1]1", 7.0, "imidazole"),
    (f"[nX2;+0]1ccc([NX3;!$(N[{_ACYL},{_STRONG}]);!$(N(c)c)])cc1", 9.1, "4-aminopyridine"),
    (f"[nX2;+0]1c([NX3;!$(N[{_ACYL},{_STRONG}]);!$(N(c)c)])cccc1", 6.9, "2-aminopyridine"),
)

#: As BASES: SMARTS of an acidic group and the pKa of a simple compound that holds it. Acids above 7, such as
#: phenols and thiols, are left out.
ACIDS: tuple[tuple[str, float, str], ...] = (
    ("[SX4](=O)(=O)[OX2H]", -1.9, "methanesulfonic acid"),
    ("[PX4](=O)[OX2H]", 2.4, "methylphosphonic acid"),
    ("[CX3](=O)[OX2H]", 4.8, "acetic acid"),
    ("[#7;H1]1~[#7]~[#7]~[#7]~[#6]~1", 4.9, "tetrazole"),
    ("[#7;H1]1~[#7]~[#7]~[#6]~[#7]~1", 4.9, "tetrazole"),
    ("[NX3;H1](C=O)S(=O)=O", 5.4, "sulfacetamide"),
)

PH_OF_BLOOD = 7.4


@cache
def _first_atom(smarts: str) -> Mol:
    """The query for the first atom of a SMARTS alone, so that a symmetric molecule gives every such atom."""
    return pattern(f"[$({smarts})]")


def basic_pka(mol: Mol) -> float | None:
    """Estimated pKa of the most basic group of a neutral molecule; None without a base above 6.

    That of the simple compound in BASES which the group resembles, blind to all that is further away: an
    error of 1 is common.
    """
    found: dict[int, float | None] = {}
    for smarts, pka, _ in BASES:
        for (atom,) in mol.GetSubstructMatches(_first_atom(smarts)):
            found.setdefault(atom, pka)
    return max((pka for pka in found.values() if pka is not None), default=None)


def acidic_pka(mol: Mol) -> float | None:
    """Estimated pKa of the most acidic group of a neutral molecule (ACIDS); None without an acid below 7."""
    found = (pka for smarts, pka, _ in ACIDS if has_match(mol, _first_atom(smarts)))
    return min(found, default=None)


def logd(mol: Mol) -> float:
    """Estimated log D at pH 7.4 of a neutral molecule: its log P, less what ionisation takes into water.

    log P - log10(1 + 10^(pKa of the base - 7.4) + 10^(7.4 - pKa of the acid)): only the neutral form
    enters octanol. log P is Crippen's, the pKa are estimated.
    """
    base, acid = basic_pka(mol), acidic_pka(mol)
    ionised = 0.0 if base is None else 10 ** (base - PH_OF_BLOOD)
    ionised += 0.0 if acid is None else 10 ** (PH_OF_BLOOD - acid)
    return logp(mol) - math.log10(1 + ionised)
