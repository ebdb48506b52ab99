from __future__ import annotations

import math

import pytest

from moldesign.chem import rules
from moldesign.chem.descriptors import logp
from moldesign.chem.molecules import Mol, read

ATORVASTATIN = read(
    "CC(C)c1c(C(=O)Nc2ccccc2)c(-c2ccccc2)c(-c2ccc(F)cc2)n1CC[C@@H](O)C[C@@H](O)CC(=O)O"
)  # MW 558.6, log P 6.3, TPSA 111.8, MR 157, 12 rotatable bonds, 76 atoms, 4 NH and OH
CAFFEINE = read("Cn1cnc2c1c(=O)n(C)c(=O)n2C")  # MW 194.2, log P -1.03, TPSA 61.8, MR 51, 24 atoms
SUCROSE = read("OC[C@H]1O[C@@](CO)(O[C@H]2O[C@H](CO)[C@@H](O)[C@H](O)[C@H]2O)[C@@H](O)[C@@H]1O")
# MW 342.3, log P -5.4, TPSA 189.5, MR 68.6, 8 OH, 11 O, 45 atoms, 5 rotatable bonds
OCTADECANE = read("C" * 18)  # MW 254.5, log P 7.3, TPSA 0, MR 85, 15 rotatable bonds, 56 atoms


@pytest.mark.parametrize(
    ("mol", "lipinski", "veber", "ghose", "egan"),
    [
        (ATORVASTATIN, 2, 1, 4, 1),
        (CAFFEINE, 0, 0, 1, 0),
        (SUCROSE, 2, 1, 1, 1),
        (OCTADECANE, 1, 1, 1, 1),
        (read("CC(=O)Oc1ccccc1C(=O)O"), 0, 0, 0, 0),
        (read("O"), 0, 0, 4, 0),  # log P -0.8, MR 3, MW 18, 3 atoms
    ],
)
def test_violations(mol: Mol, lipinski: int, veber: int, ghose: int, egan: int) -> None:
    assert rules.lipinski_violations(mol) == lipinski
    assert rules.veber_violations(mol) == veber
    assert rules.ghose_violations(mol) == ghose
    assert rules.egan_violations(mol) == egan


def test_a_limit_itself_is_kept() -> None:
    tridecane = read("C" * 13)  # 10 rotatable bonds
    assert rules.veber_violations(tridecane) == 0
    assert rules.veber_violations(read("C" * 14)) == 1
    # Xylitol has five hydroxyls, sorbitol six; an amine counts twice.
    assert rules.lipinski_violations(read("OCC(O)C(O)C(O)CO")) == 0
    assert rules.lipinski_violations(read("OCC(O)C(O)C(O)C(O)CO")) == 1
    assert rules.lipinski_violations(read("NCC(N)CN")) == 1


@pytest.mark.parametrize(
    ("ramp", "values"),
    [
        (rules.cns_logp, {-2: 1, 3: 1, 4: 0.5, 4.5: 0.25, 5: 0, 7: 0}),
        (rules.cns_logd, {-2: 1, 2: 1, 3: 0.5, 3.5: 0.25, 4: 0, 6: 0}),
        (rules.cns_mw, {100: 1, 360: 1, 430: 0.5, 465: 0.25, 500: 0, 900: 0}),
        (
            rules.cns_tpsa,
            {0: 0, 20: 0, 25: 0.25, 30: 0.5, 40: 1, 65: 1, 90: 1, 105: 0.5, 112.5: 0.25, 120: 0, 200: 0},
        ),
        (rules.cns_hbd, {0: 1, 0.5: 1, 1: 5 / 6, 2: 0.5, 3: 1 / 6, 3.5: 0, 8: 0}),
        (rules.cns_pka, {2: 1, 8: 1, 9: 0.5, 9.5: 0.25, 10: 0, 13: 0}),
    ],
)
def test_the_six_ramps_of_cns_mpo(ramp: object, values: dict[float, float]) -> None:
    assert callable(ramp)
    for x, desirability in values.items():
        assert ramp(x) == pytest.approx(desirability), x


def test_cns_mpo_by_hand() -> None:
    # Caffeine sits on every plateau.
    assert rules.cns_mpo(CAFFEINE) == 6
    # Cholesterol: log P and log D 7.39, MW 386.66, TPSA 20.23, one hydroxyl, no base.
    cholesterol = read("C[C@H](CCCC(C)C)[C@H]1CC[C@H]2[C@@H]3CC=C4C[C@@H](O)CC[C@]4(C)[C@H]3CC[C@]12C")
    by_hand = 0 + 0 + (500 - 386.66) / 140 + (20.23 - 20) / 20 + (3.5 - 1) / 3 + 1
    assert rules.cns_mpo(cholesterol) == pytest.approx(by_hand, abs=1e-3)
    # Propranolol: MW 259.35, TPSA 41.49, 2 NH and OH, log P 2.58; as ethanolamine, pKa 9.5, so log D 0.47.
    propranolol = read("CC(C)NCC(O)COc1cccc2ccccc12")
    assert rules.cns_mpo(propranolol) == pytest.approx(1 + 1 + 1 + 1 + 0.5 + 0.25, abs=1e-3)


def test_cns_mpo_of_a_salt_is_that_of_its_largest_fragment() -> None:
    assert rules.cns_mpo(read("CCCCCC(=O)[O-].[Na+]")) == pytest.approx(rules.cns_mpo(read("CCCCCC(=O)O")))
    amine = rules.cns_mpo(read("CNCCC(c1ccccc1)Oc1ccccc1"))
    for salt in ("CNCCC(c1ccccc1)Oc1ccccc1.Cl", "C[NH2+]CCC(c1ccccc1)Oc1ccccc1.[Cl-]"):
        assert rules.cns_mpo(read(salt)) == pytest.approx(amine)
    assert rules.cns_mpo(read("[NH3+]CCC(=O)[O-]")) == pytest.approx(rules.cns_mpo(read("NCCC(=O)O")))


@pytest.mark.parametrize(
    "smiles", ["C[N+](C)(C)CC(=O)[O-]", "C[N+](C)(C)CCO.[Cl-]", "C[n+]1ccccc1CCS(=O)(=O)[O-]"]
)
def test_cns_mpo_of_a_permanent_charge_is_none_also_where_the_molecule_is_neutral(smiles: str) -> None:
    with pytest.raises(ValueError, match="permanently charged"):
        rules.cns_mpo(read(smiles))


def test_cns_mpo_takes_the_molecule_neutral() -> None:
    base, salt = read("CNCCC(c1ccccc1)Oc1ccccc1"), read("C[NH2+]CCC(c1ccccc1)Oc1ccccc1")
    assert rules.cns_mpo(salt) == pytest.approx(rules.cns_mpo(base))
    assert math.isfinite(rules.cns_mpo(read("C[N+](=O)[O-]")))  # neutral as a whole
    with pytest.raises(ValueError, match="permanently charged"):
        rules.cns_mpo(read("C[N+](C)(C)CCO"))


#: The compound that each row of the table names, as SMILES.
BASES = {
    "cyanoguanidine": "N#CNC(N)=N",
    "nitroguanidine": "NC(N)=N[N+](=O)[O-]",
    "acetylguanidine": "CC(=O)NC(N)=N",
    "phenylguanidine": "N=C(N)Nc1ccccc1",
    "guanidine": "NC(N)=N",
    "an aryl or acyl amidine": "CC(N)=Nc1ccccc1",
    "benzamidine": "NC(=N)c1ccccc1",
    "acetamidine": "CC(N)=N",
    "2,2,2-trifluoroethylamine": "NCC(F)(F)F",
    "2,2-difluoroethylamine": "NCC(F)F",
    "2-fluoroethylamine": "NCCF",
    "aminoacetonitrile": "NCC#N",
    "glycinamide": "NCC(N)=O",
    "glycine ethyl ester": "CCOC(=O)CN",
    "glycine": "NCC(=O)O",
    "4-methylmorpholine": "CN1CCOCC1",
    "morpholine": "C1COCCN1",
    "1-acetylpiperazine": "CC(=O)N1CCNCC1",
    "1-phenylpiperazine": "c1ccccc1N1CCNCC1",
    "1-methylpiperazine": "CN1CCNCC1",
    "aziridine": "C1CN1",
    "propargylamine": "NCC#C",
    "benzylamine": "NCc1ccccc1",
    "allylamine": "NCC=C",
    "ethanolamine": "NCCO",
    "ethylenediamine": "NCCN",
    "trimethylamine": "CN(C)C",
    "diethylamine": "CCNCC",
    "ethylamine": "CCN",
    "ammonia": "N",
    "imidazole": "c1c[nH]cn1",
    "4-aminopyridine": "Nc1ccncc1",
    "2-aminopyridine": "Nc1ccccn1",
}
ACIDS = {
    "methanesulfonic acid": "CS(=O)(=O)O",
    "methylphosphonic acid": "CP(=O)(O)O",
    "acetic acid": "CC(=O)O",
    "tetrazole": "c1nnn[nH]1",
    "sulfacetamide": "CC(=O)NS(=O)(=O)c1ccc(N)cc1",
}


def test_the_tables_are_tested_whole() -> None:
    assert {compound for _, _, compound in rules.BASES} == BASES.keys()
    assert {compound for _, _, compound in rules.ACIDS} == ACIDS.keys()


@pytest.mark.parametrize(("smiles", "compound"), [(smiles, name) for name, smiles in BASES.items()])
def test_a_base_of_the_table_has_the_pka_of_the_table(smiles: str, compound: str) -> None:
    (pka,) = {pka for _, pka, name in rules.BASES if name == compound}
    assert rules.basic_pka(read(smiles)) == pka


@pytest.mark.parametrize(("smiles", "compound"), [(smiles, name) for name, smiles in ACIDS.items()])
def test_an_acid_of_the_table_has_the_pka_of_the_table(smiles: str, compound: str) -> None:
    (pka,) = {pka for _, pka, name in rules.ACIDS if name == compound}
    assert rules.acidic_pka(read(smiles)) == pka


@pytest.mark.parametrize(
    "smiles",
    [
        "c1ccncc1",  # pyridine
        "Nc1ccccc1",  # aniline
        "CN(C)C(C)=O",
        "NC(N)=O",
        "CS(N)(=O)=O",
        "COC(N)=N",
        "CC(N)=NO",  # an amidoxime
        "NO",
        "Nc1ccncn1",  # 4-aminopyrimidine
        "c1ccc2[nH]cnc2c1",  # benzimidazole
        "CC#N",
        "C[N+](=O)[O-]",
        "CCO",
    ],
)
def test_what_is_no_base_above_6(smiles: str) -> None:
    assert rules.basic_pka(read(smiles)) is None


@pytest.mark.parametrize(
    ("smiles", "measured"),
    [
        ("CC(C)NCC(O)COc1cccc2ccccc12", 9.4),  # propranolol
        ("CN(C)CCCN1c2ccccc2CCc2ccccc21", 9.4),  # imipramine
        ("COc1cc2c(cc1OC)C(=O)C(CC1CCN(Cc3ccccc3)CC1)C2", 8.9),  # donepezil
        ("COc1cc2ncnc(Nc3ccc(F)c(Cl)c3)c2cc1OCCCN1CCOCC1", 7.2),  # gefitinib
        ("Cc1[nH]cnc1CSCCNC(=NC)NC#N", 6.8),  # cimetidine: the imidazole, not the cyanoguanidine
        ("CNCCC(c1ccccc1)Oc1ccc(cc1)C(F)(F)F", 10.1),  # fluoxetine
    ],
)
def test_drugs_come_within_a_unit_of_their_measured_pka(smiles: str, measured: float) -> None:
    assert rules.basic_pka(read(smiles)) == pytest.approx(measured, abs=1.0)


def test_logd_falls_with_ionisation() -> None:
    assert rules.logd(read("CCCCO")) == pytest.approx(logp(read("CCCCO")))
    # Base of pKa 10.7 and acid of 4.8 at pH 7.4: 3.3 and 2.6 units, nearly.
    amine, acid, both = read("CCCCCN"), read("CCCCCC(=O)O"), read("NCCCCCC(=O)O")
    assert rules.logd(amine) - logp(amine) == pytest.approx(-math.log10(1 + 10**3.3))
    assert rules.logd(acid) - logp(acid) == pytest.approx(-math.log10(1 + 10**2.6))
    assert rules.logd(both) - logp(both) == pytest.approx(-math.log10(1 + 10**3.3 + 10**2.6))
