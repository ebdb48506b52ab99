"""The benchmark objectives of GuacaMol and of PMO, as published.

GuacaMol: Brown, Fiscato, Segler and Vaucher, J. Chem. Inf. Model. 59, 1096 (2019), as version 0.5.5 of its
package defines the 20 goal-directed benchmarks of its suite v2. PMO: Gao, Fu, Sun and Coley, NeurIPS Datasets
and Benchmarks (2022), as TDC 1.1.14 defines its oracles; drd2, gsk3b and jnk3, which need trained models, are
not among these. Where both suites have a task, the two definitions are one.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

from moldesign.chem import descriptors
from moldesign.chem.fingerprints import Kind
from moldesign.chem.molecules import read
from moldesign.rewards.combining import Combination
from moldesign.rewards.component import Component
from moldesign.rewards.objective import Objective
from moldesign.rewards.shaping import Gaussian, Linear, Shaping

#: Names of PMO's tasks, here and there.
PMO: tuple[str, ...] = (
    "albuterol_similarity",
    "amlodipine_mpo",
    "celecoxib_rediscovery",
    "deco_hop",
    "fexofenadine_mpo",
    "isomers_c7h8n2o2",
    "isomers_c9h10n2o2pf2cl",
    "median1",
    "median2",
    "mestranol_similarity",
    "osimertinib_mpo",
    "perindopril_mpo",
    "qed",
    "ranolazine_mpo",
    "scaffold_hop",
    "sitagliptin_mpo",
    "thiothixene_rediscovery",
    "troglitazone_rediscovery",
    "valsartan_smarts",
    "zaleplon_mpo",
)

#: Names here of GuacaMol's tasks, in the order of its suite v2.
GUACAMOL: tuple[str, ...] = (
    "celecoxib_rediscovery",
    "troglitazone_rediscovery",
    "thiothixene_rediscovery",
    "aripiprazole_similarity",
    "albuterol_similarity",
    "mestranol_similarity",
    "isomers_c11h24",
    "isomers_c9h10n2o2pf2cl",
    "median1",
    "median2",
    "osimertinib_mpo",
    "fexofenadine_mpo",
    "ranolazine_mpo",
    "perindopril_mpo",
    "amlodipine_mpo",
    "sitagliptin_mpo",
    "zaleplon_mpo",
    "valsartan_smarts",
    "deco_hop",
    "scaffold_hop",
)

#: What the tasks are about, written as in GuacaMol. Stereochemistry matters to none of the fingerprints.
REFERENCES = {
    "albuterol": "CC(C)(C)NCC(O)c1ccc(O)c(CO)c1",
    "amlodipine": "Clc1ccccc1C2C(=C(/N/C(=C2/C(=O)OCC)COCCN)C)\\C(=O)OC",
    "aripiprazole": "Clc4cccc(N3CCN(CCCCOc2ccc1c(NC(=O)CC1)c2)CC3)c4Cl",
    "camphor": "CC1(C)C2CCC1(C)C(=O)C2",
    "celecoxib": "CC1=CC=C(C=C1)C1=CC(=NN1C1=CC=C(C=C1)S(N)(=O)=O)C(F)(F)F",
    "fexofenadine": "CC(C)(C(=O)O)c1ccc(cc1)C(O)CCCN2CCC(CC2)C(O)(c3ccccc3)c4ccccc4",
    "menthol": "CC(C)C1CCC(C)CC1O",
    "mestranol": "COc1ccc2[C@H]3CC[C@@]4(C)[C@@H](CC[C@@]4(O)C#C)[C@@H]3CCc2c1",
    "osimertinib": "COc1cc(N(C)CCN(C)C)c(NC(=O)C=C)cc1Nc2nccc(n2)c3cn(C)c4ccccc34",
    "perindopril": "O=C(OCC)C(NC(C(=O)N1C(C(=O)O)CC2CCCCC12)C)CCC",
    "ranolazine": "COc1ccccc1OCC(O)CN2CCN(CC(=O)Nc3c(C)cccc3C)CC2",
    "sildenafil": "CCCC1=NN(C2=C1N=C(NC2=O)C3=C(C=CC(=C3)S(=O)(=O)N4CCN(CC4)C)OCC)C",
    "sitagliptin": "Fc1cc(c(F)cc1F)CC(N)CC(=O)N3Cc2nnc(n2CC3)C(F)(F)F",
    "tadalafil": "O=C1N(CC(N2C1CC3=C(C2C4=CC5=C(OCO5)C=C4)NC6=C3C=CC=C6)=O)C",
    "thiothixene": "CN(C)S(=O)(=O)c1ccc2Sc3ccccc3C(=CCCN4CCN(C)CC4)c2c1",
    "troglitazone": "Cc1c(C)c2OC(C)(COc3ccc(CC4SC(=O)NC4=O)cc3)CCc2c(C)c1O",
    "zaleplon": "O=C(C)N(CC)C1=CC=CC(C2=CC=NC3=C(C=NN23)C#N)=C1",
    # Deco hop keeps its scaffold, scaffold hop its decorations.
    "hop_start": "CCCOc1cc2ncnc(Nc3ccc4ncsc4c3)c2cc1S(=O)(=O)C(C)(C)C",
}

VALSARTAN_SMARTS = "CN(C=O)Cc1ccc(c2ccccc2)cc1"
QUINAZOLINE = "[#7]-c1n[c;h1]nc2[c;h1]c(-[#8])[c;h0][c;h1]c12"
BENZOTHIAZOLE = "[#7]-c1ccc2ncsc2c1"
SULFONE = "CS([#6])(=O)=O"
PROPOXY_TO_BENZOTHIAZOLE = "[#6]-[#6]-[#6]-[#8]-[#6]~[#6]~[#6]~[#6]~[#6]-[#7]-c1ccc2ncsc2c1"


def _like(name: str, fingerprint: Kind, shaping: Shaping | None = None, *, label: str = "") -> Component:
    """Tanimoto similarity of fingerprint counts to a reference, shaped or as it is."""
    return Component(
        reward="similarity",
        label=label or f"like_{name}",
        parameters={"references": [REFERENCES[name]], "fingerprint": fingerprint},
        shaping=shaping,
    )


def _full_at(similarity: float) -> Linear:
    """From 0 straight up to full marks at that similarity."""
    return Linear(zero=0.0, one=similarity)


def _isomer(formula: str) -> Component:
    return Component(reward="isomer", label=f"formula_{formula.lower()}", parameters={"formula": formula})


def _with(label: str, smarts: str) -> Component:
    return Component(reward="substructures", label=label, parameters={"required": [smarts]})


def _without(label: str, smarts: str) -> Component:
    return Component(reward="substructures", label=label, parameters={"forbidden": [smarts]})


def _osimertinib_mpo() -> list[Component]:
    return [
        _like("osimertinib", "fcfp4", _full_at(0.8)),
        _like(
            "osimertinib",
            "ecfp6",
            Gaussian(mean=0.85, sd=0.1, flat="below"),
            label="not_too_like_osimertinib",
        ),
        Component(reward="tpsa", shaping=Gaussian(mean=100, sd=10, flat="above")),
        Component(reward="logp", shaping=Gaussian(mean=1, sd=1, flat="below")),
    ]


def _fexofenadine_mpo() -> list[Component]:
    return [
        _like("fexofenadine", "atom_pair", _full_at(0.8)),
        Component(reward="tpsa", shaping=Gaussian(mean=90, sd=10, flat="above")),
        Component(reward="logp", shaping=Gaussian(mean=4, sd=1, flat="below")),
    ]


def _ranolazine_mpo() -> list[Component]:
    return [
        _like("ranolazine", "atom_pair", _full_at(0.7)),
        Component(reward="logp", shaping=Gaussian(mean=7, sd=1, flat="above")),
        Component(
            reward="element_count",
            label="fluorine",
            parameters={"element": "F"},
            shaping=Gaussian(mean=1, sd=1),
        ),
        Component(reward="tpsa", shaping=Gaussian(mean=95, sd=20, flat="above")),
    ]


def _perindopril_mpo() -> list[Component]:
    return [
        _like("perindopril", "ecfp4"),
        Component(reward="aromatic_rings", shaping=Gaussian(mean=2, sd=0.5)),
    ]


def _amlodipine_mpo() -> list[Component]:
    return [_like("amlodipine", "ecfp4"), Component(reward="rings", shaping=Gaussian(mean=3, sd=0.5))]


def _properties_of_sitagliptin() -> list[Component]:
    sitagliptin = read(REFERENCES["sitagliptin"])
    return [
        Component(reward="logp", shaping=Gaussian(mean=descriptors.logp(sitagliptin), sd=0.2)),
        Component(reward="tpsa", shaping=Gaussian(mean=descriptors.tpsa(sitagliptin), sd=5)),
    ]


def _sitagliptin_mpo() -> list[Component]:
    return [
        _like("sitagliptin", "ecfp4", Gaussian(mean=0, sd=0.1), label="unlike_sitagliptin"),
        *_properties_of_sitagliptin(),
        _isomer("C16H15F6N5O"),
    ]


def _zaleplon_mpo() -> list[Component]:
    return [_like("zaleplon", "ecfp4"), _isomer("C19H17N3O2")]


def _valsartan_smarts() -> list[Component]:
    complexity = descriptors.bertz(read(REFERENCES["sitagliptin"]))
    return [
        _with("valsartan_smarts", VALSARTAN_SMARTS),
        *_properties_of_sitagliptin(),
        Component(reward="bertz", shaping=Gaussian(mean=complexity, sd=30)),
    ]


def _deco_hop() -> list[Component]:
    return [
        _like("hop_start", "gobbi", _full_at(0.85)),
        _without("without_sulfone", SULFONE),
        _without("without_benzothiazole", BENZOTHIAZOLE),
        _with("with_quinazoline", QUINAZOLINE),
    ]


def _scaffold_hop() -> list[Component]:
    return [
        _like("hop_start", "gobbi", _full_at(0.75)),
        _with("with_decorations", PROPOXY_TO_BENZOTHIAZOLE),
        _without("without_quinazoline", QUINAZOLINE),
    ]


@dataclass(frozen=True)
class _Task:
    """What an objective is made of; its components are built when it is asked for."""

    description: str
    components: Callable[[], Sequence[Component]]
    combination: Combination = "geometric_mean"


def _rediscovery(name: str) -> _Task:
    return _Task(f"rediscover {name}", lambda: [_like(name, "ecfp4")])


def _similarity(name: str, fingerprint: Kind) -> _Task:
    return _Task(f"similarity of 0.75 to {name}", lambda: [_like(name, fingerprint, _full_at(0.75))])


def _isomers(formula: str) -> _Task:
    return _Task(f"isomers of {formula}", lambda: [_isomer(formula)])


def _median(first: str, second: str, fingerprint: Kind) -> _Task:
    return _Task(
        f"like both {first} and {second}", lambda: [_like(first, fingerprint), _like(second, fingerprint)]
    )


_TASKS: dict[str, _Task] = {
    "celecoxib_rediscovery": _rediscovery("celecoxib"),
    "troglitazone_rediscovery": _rediscovery("troglitazone"),
    "thiothixene_rediscovery": _rediscovery("thiothixene"),
    # ECFP4 as in the suite v2; in v1, and as TDC has it outside PMO, it is FCFP4.
    "aripiprazole_similarity": _similarity("aripiprazole", "ecfp4"),
    "albuterol_similarity": _similarity("albuterol", "fcfp4"),
    "mestranol_similarity": _similarity("mestranol", "atom_pair"),
    "isomers_c11h24": _isomers("C11H24"),
    "isomers_c7h8n2o2": _isomers("C7H8N2O2"),
    "isomers_c9h10n2o2pf2cl": _isomers("C9H10N2O2PF2Cl"),
    "median1": _median("camphor", "menthol", "ecfp4"),
    "median2": _median("tadalafil", "sildenafil", "ecfp6"),
    "osimertinib_mpo": _Task(
        "like osimertinib but not too much, TPSA from 100, logP up to 1", _osimertinib_mpo
    ),
    "fexofenadine_mpo": _Task("like fexofenadine, TPSA from 90, logP up to 4", _fexofenadine_mpo),
    "ranolazine_mpo": _Task("like ranolazine, logP from 7, TPSA from 95, one fluorine", _ranolazine_mpo),
    "perindopril_mpo": _Task("like perindopril with two aromatic rings", _perindopril_mpo),
    "amlodipine_mpo": _Task("like amlodipine with three rings", _amlodipine_mpo),
    "sitagliptin_mpo": _Task("formula, logP and TPSA of sitagliptin, but unlike it", _sitagliptin_mpo),
    "zaleplon_mpo": _Task("like zaleplon with the formula C19H17N3O2", _zaleplon_mpo),
    "valsartan_smarts": _Task(
        "a part of valsartan; logP, TPSA and Bertz complexity of sitagliptin", _valsartan_smarts
    ),
    "deco_hop": _Task(
        "keep a quinazoline scaffold and the pharmacophore, change the decorations",
        _deco_hop,
        "arithmetic_mean",
    ),
    "scaffold_hop": _Task(
        "keep the decorations and the pharmacophore, change the quinazoline scaffold",
        _scaffold_hop,
        "arithmetic_mean",
    ),
    "qed": _Task("QED as it is", lambda: [Component(reward="qed")]),
}


def _objective(name: str) -> Objective:
    task = _TASKS[name]
    suites = [title for title, names in (("GuacaMol", GUACAMOL), ("PMO", PMO)) if name in names]
    return Objective(
        name=name,
        description=f"{task.description} ({', '.join(suites)})",
        combination=task.combination,
        components=list(task.components()),
    )


#: Every task of the two suites by name.
BENCHMARKS: dict[str, Callable[[], Objective]] = {name: partial(_objective, name) for name in _TASKS}
