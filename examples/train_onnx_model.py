"""Train a model of logP on 500 molecules and save it as ONNX, with the molecules it was trained on.

python examples/train_onnx_model.py logp.onnx     # also writes logp.smi
"""

import itertools
import lzma
import sys
from pathlib import Path

import numpy as np
from rdkit import Chem
from rdkit.Chem.rdFingerprintGenerator import GetMorganGenerator
from rdkit.Chem.rdMolDescriptors import CalcCrippenDescriptors
from skl2onnx import to_onnx
from sklearn.linear_model import RidgeCV
from sklearn.metrics import r2_score

from moldesign.assets import corpus_path

path = Path(sys.argv[1])
with lzma.open(corpus_path("zinc250k"), "rt") as handle:
    smiles = [line.split()[0] for line in itertools.islice(handle, 0, 60_000, 100)]
mols = [Chem.MolFromSmiles(one) for one in smiles]

# What the parameters of the reward say: fingerprint = "ecfp4", counts = true, bits = 1024.
generator = GetMorganGenerator(radius=2, fpSize=1024)
x = np.array([generator.GetCountFingerprintAsNumPy(mol) for mol in mols], dtype=np.float32)
# Put your measured values here.
y = np.array([CalcCrippenDescriptors(mol)[0] for mol in mols])

train, test = slice(0, 500), slice(500, None)
model = RidgeCV(alphas=np.logspace(-1, 3, 9)).fit(x[train], y[train])
sys.stdout.write(f"R2 on {len(y[test])} other molecules: {r2_score(y[test], model.predict(x[test])):.2f}\n")

path.write_bytes(to_onnx(model, x[:1]).SerializeToString())
path.with_suffix(".smi").write_text("\n".join(smiles[train]) + "\n")
