"""How alike two molecules are in three dimensions: overlays of their shapes."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from rdkit import Chem
from rdkit.Chem import rdMolAlign, rdMolDescriptors, rdShapeAlign, rdShapeHelpers

from moldesign.chem.molecules import MAX_ATOMS, Mol, quiet_rdkit
from moldesign.errors import DataError

#: - shape_align: overlap of Gaussian volumes and of pharmacophore features (PubChem's shape overlay);
#: - open3dalign: atoms laid upon atoms of like logP contribution (Tosco et al., J. Comput. Aided Mol. Des.
#:   25, 777, 2011), then overlap of the volumes.
Method = Literal["shape_align", "open3dalign"]

#: Coordinates (angstrom) closer to a plane than this are those of a drawing.
_FLAT = 1e-3


def read_conformers(path: Path) -> list[Mol]:
    """The molecules of an SDF or MOL file, with the coordinates that they have there.

    Raises:
        DataError: no such file, no molecule in it, or a record that is no molecule or has no 3D coordinates.
    """
    quiet_rdkit()
    path = Path(path)
    if path.suffix.lower() not in (".sdf", ".sd", ".mol"):
        raise DataError(f"{path}: a conformer is read from .sdf or .mol")
    if not path.is_file():
        raise DataError(f"{path}: no such file")
    try:
        mols = list(Chem.SDMolSupplier(str(path), removeHs=False))
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({' '.join(str(error).split())[:200]})") from None
    if not mols:
        raise DataError(f"{path}: no molecule")
    for number, mol in enumerate(mols, start=1):
        place = f"{path}, molecule {number}"
        if mol is None or mol.GetNumAtoms() == 0:
            raise DataError(f"{place}: no molecule")
        conformer = mol.GetConformer()
        if not conformer.Is3D() or abs(conformer.GetPositions()[:, 2]).max() < _FLAT:
            raise DataError(f"{place}: coordinates of a drawing (2D); needs a conformer in three dimensions")
    return mols


class Overlay:
    """Lays molecules upon a reference and says how alike they are, 0 to 1. Hydrogens do not count.

    Args:
        reference: a molecule with one conformer.
        method: see Method.
        colour_weight: of the pharmacophore features ("colour") in shape_align, 0 to 1; the shape has
            the rest.

    Raises:
        ValueError: a reference that has no shape, or no colour where colour counts.
    """

    def __init__(self, reference: Mol, method: Method = "shape_align", *, colour_weight: float = 0.5) -> None:
        self._reference = _heavy(reference)
        self._method = method
        self._colour_weight = colour_weight if method == "shape_align" else 0.0
        if method == "shape_align":
            self._shape: Any = rdShapeAlign.PrepareConformer(self._reference)
            # Nothing has a colour in common with what has none: no score could come near 1.
            colour = self._align(Chem.Mol(self._reference), -1)[1] if colour_weight else 1.0
            if colour < 0.5:
                raise ValueError("has no pharmacophore feature: set colour_weight = 0")
        else:
            self._contributions = rdMolDescriptors._CalcCrippenContribs(self._reference)

    def similarity(self, mol: Mol) -> float:
        """The best similarity over the conformers of a molecule.

        shape_align: (1 - w) x Tanimoto of the volumes + w x Tanimoto of the colours, with w the
        colour_weight; the overlay maximises the same. open3dalign: Tanimoto of the volumes.

        Raises:
            ValueError: a molecule without a conformer, with several fragments, without heavy atoms, or with
                an element of unknown size.
        """
        heavy = _heavy(mol)
        numbers = [conformer.GetId() for conformer in heavy.GetConformers()]
        if self._method == "shape_align":
            weight = self._colour_weight
            overlaps = (self._align(heavy, number) for number in numbers)
            return max((1.0 - weight) * shape + weight * colour for shape, colour in overlaps)
        contributions = rdMolDescriptors._CalcCrippenContribs(heavy)
        return max(self._open3d(heavy, contributions, number) for number in numbers)

    def _align(self, mol: Mol, conformer: int) -> tuple[float, float]:
        shape, colour = rdShapeAlign.AlignMol(
            self._shape,
            mol,
            probeConfId=conformer,
            useColors=self._colour_weight > 0,
            opt_param=1.0 - self._colour_weight,
        )
        return float(shape), float(colour)

    def _open3d(self, mol: Mol, contributions: Any, conformer: int) -> float:
        alignment = rdMolAlign.GetCrippenO3A(
            mol, self._reference, contributions, self._contributions, conformer, -1
        )
        alignment.Align()
        return 1.0 - float(rdShapeHelpers.ShapeTanimotoDist(mol, self._reference, conformer, -1))


def _heavy(mol: Mol) -> Mol:
    """A copy of a molecule with conformers, without hydrogens. What crashes RDKit's overlays is refused."""
    if mol.GetNumConformers() == 0:
        raise ValueError("has no conformer")
    if mol.GetNumHeavyAtoms() == 0 or any(atom.GetAtomicNum() == 0 for atom in mol.GetAtoms()):
        raise ValueError("has no heavy atoms, or dummy atoms, which have no size")
    if mol.GetNumHeavyAtoms() > MAX_ATOMS:
        raise ValueError(f"has more than {MAX_ATOMS} heavy atoms")
    if len(Chem.GetMolFrags(mol)) > 1:
        raise ValueError("has several fragments, which have no common shape")
    heavy: Mol = Chem.RemoveAllHs(mol)
    return heavy
