"""What others have published on PMO: area under the ten best of each task, means over seeds."""

from __future__ import annotations

#: Methods that look at no molecule with the oracle before their 10,000 calls, all of three decimals.
#:
#: - REINVENT, as run again by Kim et al. 2024 with the oracles as they are since August 2022;
#: - Genetic GFN: Kim et al. 2024, Genetic-guided GFlowNets for sample efficient molecular optimization;
#: - GP-BO: Tripp et al. 2021, A fresh look at de novo molecular design benchmarks, with Tanimoto kernel;
#: - SynGBO: the same with a genetic algorithm over synthesis routes;
#: - InVirtuoGen: discrete flows over fragmented SMILES (2025), without prescreening.
METHODS = ("REINVENT", "Genetic GFN", "GP-BO", "SynGBO", "InVirtuoGen")

_TABLE = """
albuterol_similarity 0.881 0.949 0.964 0.947 0.950
amlodipine_mpo 0.644 0.761 0.720 0.670 0.733
celecoxib_rediscovery 0.717 0.802 0.860 0.856 0.798
deco_hop 0.662 0.733 0.672 0.831 0.748
drd2 0.957 0.974 0.902 0.981 0.985
fexofenadine_mpo 0.781 0.856 0.806 0.833 0.845
gsk3b 0.885 0.881 0.877 0.924 0.952
isomers_c7h8n2o2 0.942 0.969 0.911 0.975 0.968
isomers_c9h10n2o2pf2cl 0.838 0.897 0.828 0.875 0.874
jnk3 0.782 0.764 0.785 0.910 0.825
median1 0.363 0.379 0.415 0.357 0.342
median2 0.281 0.294 0.408 0.349 0.288
mestranol_similarity 0.634 0.708 0.930 0.759 0.797
osimertinib_mpo 0.834 0.860 0.833 0.856 0.870
perindopril_mpo 0.535 0.595 0.651 0.774 0.645
qed 0.941 0.942 0.947 0.940 0.942
ranolazine_mpo 0.770 0.819 0.810 0.839 0.848
scaffold_hop 0.551 0.615 0.529 0.541 0.589
sitagliptin_mpo 0.470 0.634 0.474 0.454 0.709
thiothixene_rediscovery 0.544 0.583 0.727 0.647 0.625
troglitazone_rediscovery 0.458 0.511 0.756 0.579 0.595
valsartan_smarts 0.182 0.135 0.000 0.238 0.210
zaleplon_mpo 0.533 0.552 0.499 0.529 0.536
"""

#: Task -> what METHODS have, in their order.
PUBLISHED: dict[str, tuple[float, ...]] = {
    name: tuple(map(float, values)) for name, *values in map(str.split, _TABLE.strip().splitlines())
}
