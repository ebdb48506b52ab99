"""The three classifiers of PMO as ONNX files, which no code is loaded with: drd2, gsk3b and jnk3.

They are pickles of old versions of scikit-learn, which newer ones read wrongly or not at all, and a pickle
runs whatever it likes when it is read. So they are read once, here, in an environment of their own, and only
if they are the very files. `make pmo-classifiers` makes the environment and runs:

    python convert_classifiers.py MOLSCORE.whl CORPUS... -o ~/.cache/moldesign/pmo

Of a hundred molecules of each corpus it keeps what the original says, beside the file: `moldesign benchmark
pmo` holds the converted ones against that before it uses them.
"""

from __future__ import annotations

import argparse
import csv
import hashlib
import lzma
import pickle
import sys
import warnings
import zipfile
from pathlib import Path

import numpy as np
from rdkit import Chem, RDLogger
from rdkit.Chem import rdMolDescriptors
from skl2onnx import to_onnx
from skl2onnx.common.data_types import FloatTensorType

#: SHA-256 of the files in the wheel of MolScore 1.9.5, as they come from TDC.
FILES = {
    "drd2": "ef1f00e47d5e4670a45b0a4178db3c41b2e1aa9dad7113ac9d0f58e3f9d67532",
    "gsk3b": "d3a20701b80e5179c88c3ad4dc3483dd7ab35c50dc055c6773a7f5b63e89b6d5",
    "jnk3": "cde8576fb4fa3f60b9f258ff9cf1b9ff346eb50d196d5cbbe25965efc1864889",
}
FOLDER = "molscore/data/models/molopt"
BITS = 2048
MOLECULES = 100


def features(name: str, mol: Chem.Mol) -> np.ndarray:
    """(BITS,) what the classifier was trained on: TDC's fingerprints."""
    row = np.zeros(BITS, dtype=np.float32)
    if name == "drd2":
        counted = rdMolDescriptors.GetMorganFingerprint(mol, 3, useCounts=True, useFeatures=True)
        for feature, count in counted.GetNonzeroElements().items():
            row[feature % BITS] += count
    else:
        bits = rdMolDescriptors.GetMorganFingerprintAsBitVect(mol, 2, nBits=BITS)
        row[list(bits.GetOnBits())] = 1
    return row


def main() -> int:
    """The exit code: 1 for a file that is another one."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("wheel", type=Path)
    parser.add_argument("corpus", type=Path, nargs="+", help="SMILES, a line each, packed with xz")
    parser.add_argument("-o", "--out", type=Path, required=True)
    arguments = parser.parse_args()
    RDLogger.DisableLog("rdApp.*")
    # Read with another version of scikit-learn than it was written with, and with RDKit's older calls.
    warnings.simplefilter("ignore")
    smiles = []
    for path in arguments.corpus:
        lines = lzma.decompress(path.read_bytes()).decode().split("\n")
        step = len(lines) // (MOLECULES + 1)
        smiles += [line.split()[0] for line in lines[step : step * MOLECULES + 1 : step]]
    mols = [Chem.MolFromSmiles(text) for text in smiles]
    arguments.out.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(arguments.wheel) as wheel:
        for name, wanted in FILES.items():
            content = wheel.read(f"{FOLDER}/{name}_current.pkl")
            if hashlib.sha256(content).hexdigest() != wanted:
                sys.stderr.write(f"{arguments.wheel}: {name} is not the file that it should be\n")
                return 1
            model = pickle.loads(content)
            # Of versions that did not keep it.
            model.n_features_in_ = BITS
            kind = [("features", FloatTensorType([None, BITS]))]
            converted = to_onnx(model, initial_types=kind, options={id(model): {"zipmap": False}})
            rows = np.stack([features(name, mol) for mol in mols])
            values = model.predict_proba(rows)[:, 1]
            with (arguments.out / f"{name}.csv").open("w", newline="") as handle:
                writer = csv.writer(handle)
                writer.writerow(["smiles", "probability"])
                writer.writerows(zip(smiles, map(float, values), strict=True))
            (arguments.out / f"{name}.onnx").write_bytes(converted.SerializeToString())
            span = f"{values.min():.3f} to {values.max():.3f}"
            sys.stdout.write(f"{name}: {len(smiles)} molecules, probabilities {span}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
