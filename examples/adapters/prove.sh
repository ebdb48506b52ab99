#!/bin/sh
# Proof that packages which cannot share moldesign's environment score for it from environments of their own.
#
#   examples/adapters/prove.sh [FOLDER]
#
# FOLDER, a temporary one if left out, gets an environment each for GuacaMol 0.5.5, PyTDC 1.1.14 and
# MolScore 1.9.5 (2.8 GB with the CPU build of torch). Their scores of some drugs are compared with
# moldesign's own, and each is the oracle of a short optimisation. It needs Python 3.11, and a network.
#
#   MOLDESIGN=.venv/bin/moldesign   the command
#   PYTHON=python3.11               of the environments
#   TORCH_SPEC=torch==2.13.0 PIP_EXTRA="--extra-index-url https://download.pytorch.org/whl/cpu"   which torch
set -eu

here=$(cd "$(dirname "$0")" && pwd)
moldesign=$(command -v "${MOLDESIGN:-$here/../../.venv/bin/moldesign}")
python=${PYTHON:-python3.11}
folder=${1:-$(mktemp -d)}
mkdir -p "$folder"
folder=$(cd "$folder" && pwd)
cd "$folder"

# The packages themselves without their requirements, then only what their scoring functions need: with
# all of them two of the three environments would hold several GB that nothing here uses.
environment() {
    name=$1 package=$2
    shift 2
    if [ ! -e "$name/made" ]; then
        "$python" -m venv "$name"
        # shellcheck disable=SC2086
        "$name/bin/pip" install --quiet --disable-pip-version-check ${PIP_EXTRA:-} "$@"
        "$name/bin/pip" install --quiet --disable-pip-version-check --no-deps "$package"
        touch "$name/made"
    fi
}
environment guacamol guacamol==0.5.5 'numpy<2' 'scipy<1.12' rdkit-pypi==2022.9.5 joblib tqdm
environment tdc PyTDC==1.1.14 'rdkit>=2023.9.5,<2024.3.1' 'numpy>=1.26.4,<2' 'pandas<3' scikit-learn==1.2.2 \
    'setuptools<81' fuzzywuzzy tqdm requests huggingface_hub networkx
environment molscore molscore==1.9.5 rdkit numpy scipy pandas scikit-learn 'dask[distributed]' dask-jobqueue \
    func_timeout levenshtein flask requests tqdm molbloom matplotlib seaborn six "${TORCH_SPEC:-torch}"

cat >drugs.smi <<'SMILES'
CC(=O)Nc1ccc(O)cc1
CC(C)Cc1ccc(cc1)C(C)C(=O)O
Cn1cnc2c1c(=O)n(C)c(=O)n2C
Cc1ccc(cc1)-c1cc(nn1-c1ccc(cc1)S(N)(=O)=O)C(F)(F)F
Cc1ccc(cc1)-c1cc(nn1-c1ccc(cc1)S(N)(=O)=O)C(F)F
N[C@@H](CC(=O)N1CCn2c(C1)nnc2C(F)(F)F)Cc1cc(F)c(F)cc1F
CN1CCN(CC1)Cc1ccc(cc1)C(=O)Nc1ccc(C)c(c1)Nc1nccc(n1)-c1cccnc1
COc1cc(N(C)CCN(C)C)c(NC(=O)C=C)cc1Nc1nccc(n1)-c1cn(C)c2ccccc12
SMILES

# compare PACKAGE NAME OBJECTIVE COLUMN: scores by the package against those of moldesign's objective, and then
# a short optimisation of the package's scores.
compare() {
    package=$1 name=$2 objective=$3 column=$4
    cat >theirs.toml <<TOML
[[components]]
reward = "command"
label = "theirs"
parameters = { command = ["$folder/$package/bin/python", "$here/${package}_scorer.py", "$name"] }
shaping = { kind = "clip" }
TOML
    "$moldesign" score drugs.smi --objective theirs.toml -o theirs.csv --force \
        --trust-plugin "$folder/$package/bin/python" --trust-plugin "$here/${package}_scorer.py"
    "$moldesign" score drugs.smi --objective "$objective" -o ours.csv --force
    rm -rf "run_$package"
    "$moldesign" optimize --oracle-cmd "$folder/$package/bin/python $here/${package}_scorer.py '$name'" \
        --budget 64 --batch-size 32 --seed 0 -o "run_$package" >/dev/null
    "$(dirname "$moldesign")/python" - "$package: $name" "$objective" "$column" "run_$package" <<'PY'
import sys

import pandas as pd

what, objective, column, run = sys.argv[1:]
theirs, ours = pd.read_csv("theirs.csv")["theirs"], pd.read_csv("ours.csv")[column]
assert theirs.notna().all() and ours.notna().all()
gap = (theirs - ours).abs().max()
best = pd.read_csv(f"{run}/candidates.csv")["score"].max()
print(f"PROOF {what} = moldesign {objective}: {len(ours)} values from {ours.min():.4f} to {ours.max():.4f},"
      f" largest difference {gap:.1e}; optimised to {best:.4f} in 64 calls")
assert gap < 1e-6
PY
}

cat >sa.toml <<TOML
[[components]]
reward = "sa"
shaping = { kind = "linear", zero = 10, one = 1 }
TOML
compare guacamol "Celecoxib rediscovery" celecoxib_rediscovery score
compare guacamol "Osimertinib MPO" osimertinib_mpo score
compare tdc celecoxib_rediscovery celecoxib_rediscovery score
compare tdc zaleplon_mpo zaleplon_mpo score
compare molscore QED qed score
compare molscore SAscore sa.toml sa
echo "proven in $folder"
