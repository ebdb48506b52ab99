"""Structural alerts: substructures that interfere with assays or react with proteins."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Literal, get_args

from rdkit import RDConfig
from rdkit.Chem.FilterCatalog import (
    FilterCatalog,
    FilterCatalogEntry,
    FilterCatalogParams,
    SmartsMatcher,
)

from moldesign.chem.molecules import Mol
from moldesign.chem.substructures import InvalidSmarts, count_matches, has_match, pattern
from moldesign.files import read_text

#: PAINS, also as its families A, B and C: Baell and Holloway, J. Med. Chem. 53, 2719 (2010). BRENK: Brenk et
#: al., ChemMedChem 3, 435 (2008). NIH: Jadhav et al., J. Med. Chem. 53, 37 (2010), and Doveston et al., Org.
#: Biomol. Chem. 13, 859 (2015). ZINC: the filter of that database. NIBR: what Novartis flags or excludes in
#: its screening deck, Schuffenhauer et al., J. Med. Chem. 63, 14425 (2020).
#: CHEMBL: all the sets that ChEMBL 23 keeps.
Collection = Literal[
    "PAINS", "PAINS_A", "PAINS_B", "PAINS_C", "BRENK", "NIH", "ZINC", "NIBR", "CHEMBL", "CHEMBL_BMS",
    "CHEMBL_Dundee", "CHEMBL_Glaxo", "CHEMBL_Inpharmatica", "CHEMBL_LINT", "CHEMBL_MLSMR",
    "CHEMBL_SureChEMBL",
]  # fmt: skip
COLLECTIONS: tuple[Collection, ...] = get_args(Collection)

#: Those asked for where nobody names any.
DEFAULT: tuple[Collection, ...] = ("PAINS", "BRENK")

#: Columns of a file of alerts by the names that their headers have.
_COLUMNS = {
    "smarts": "smarts",
    "name": "name", "description": "name",
    "max": "allowed", "max_count": "allowed",
}  # fmt: skip


class InvalidAlertFile(ValueError):
    """A file of alerts that cannot be used; the message names the file and the line."""


@dataclass(frozen=True)
class Alert:
    """A user's alert: raised by a molecule with more than `allowed` matches."""

    name: str
    query: Mol
    allowed: int = 0

    def __call__(self, mol: Mol) -> bool:
        if self.allowed == 0:
            return has_match(mol, self.query)
        return count_matches(mol, self.query) > self.allowed


@cache
def _catalogue(collection: Collection) -> FilterCatalog:
    if collection == "NIBR":
        return _nibr()
    parameters = FilterCatalogParams()
    parameters.AddCatalog(getattr(FilterCatalogParams.FilterCatalogs, collection))
    return FilterCatalog(parameters)


def _nibr() -> FilterCatalog:
    """The filters of RDKit's Contrib directory that flag a molecule (severity 1) or exclude it (2).

    Each is raised by a molecule with at least so many matches as its row says. Rows of severity 0 only
    annotate, and are no alerts. The paper excludes a molecule with one filter of severity 2, or ten of 1.
    """
    folder = Path(RDConfig.RDContribDir) / "NIBRSubstructureFilters"
    catalogue = FilterCatalog()
    path = folder / "SubstructureFilter_HitTriaging_wPubChemExamples.csv"
    with path.open(encoding="utf-8", newline="") as lines:
        for row in csv.DictReader(lines):
            if row["SEVERITY_SCORE"] != "0":
                name = row["PATTERN_NAME"]
                matcher = SmartsMatcher(name, row["SMARTS"], max(1, int(row["MIN_COUNT"])))
                catalogue.AddEntry(FilterCatalogEntry(name, matcher))
    return catalogue


@cache
def _apart(collections: tuple[Collection, ...]) -> tuple[Collection, ...]:
    """The same alerts as collections that share none: CHEMBL as its sets, no family beside all PAINS."""
    apart: list[Collection] = []
    for collection in collections:
        if collection == "CHEMBL":
            apart += [part for part in COLLECTIONS if part.startswith("CHEMBL_")]
        elif not (collection.startswith("PAINS_") and "PAINS" in collections):
            apart.append(collection)
    return tuple(dict.fromkeys(apart))


def matches(mol: Mol, collections: Sequence[Collection] = DEFAULT) -> list[str]:
    """The alerts that the molecule raises, as in `BRENK aldehyde`; sorted, each once.

    Those of CHEMBL are named by their set, as in `CHEMBL_Dundee aldehyde`. Of NIBR, flags and exclusions are
    alerts, each where its pattern matches as often as it says there; annotations are none. A rule that two
    collections have (BRENK and CHEMBL_Dundee, NIH and CHEMBL_BMS are nearly the same) is one alert of each.
    """
    return sorted(
        {
            f"{collection} {entry.GetDescription()}"
            for collection in _apart(tuple(collections))
            for entry in _catalogue(collection).GetMatches(mol)
        }
    )


def has_alert(mol: Mol, collections: Sequence[Collection] = DEFAULT) -> bool:
    """Whether the molecule raises any alert; stops at the first."""
    # BRENK has 105 patterns and PAINS 480: asked first, the short one saves most of the time.
    ordered = sorted(collections, key=lambda collection: collection != "BRENK")
    return any(bool(_catalogue(collection).HasMatch(mol)) for collection in ordered)


def read_alerts(path: Path) -> tuple[Alert, ...]:
    """The alerts of a file, in order.

    A line is a SMARTS, a name (left out: the SMARTS) and the number of matches that is still allowed
    (left out: 0). A `.csv` has commas between them, quotes around a SMARTS that holds a comma, and no
    comment; any other file has tabs, or a blank after the SMARTS and then the name, and `#` before a
    comment. Columns stand in that order unless a first line names them: `smarts`, `name` or
    `description`, `max` or `max_count`; other columns are passed over.

    Raises:
        InvalidAlertFile: no such file, no text, no alert, or a line that is none.
    """
    path = Path(path)
    try:
        lines = read_text(path).removeprefix("\ufeff").splitlines()
    except OSError as error:
        raise InvalidAlertFile(f"{path}: cannot be read ({error.strerror or error})") from None
    except UnicodeDecodeError:
        raise InvalidAlertFile(f"{path}: is not UTF-8 text") from None
    columns: list[str | None] | None = None
    alerts: list[Alert] = []
    for number, line in enumerate(lines, start=1):
        if not line.strip() or (line.startswith("#") and path.suffix.lower() != ".csv"):
            continue
        try:
            cells = _cells(line, comma=path.suffix.lower() == ".csv")
            if columns is None:
                columns = _header(cells)
                if columns is not None:
                    continue
                columns = ["smarts", "name", "allowed"]
            alerts.append(_alert(cells, columns))
        except ValueError as error:
            raise InvalidAlertFile(f"{path}, line {number}: {error}") from None
    if not alerts:
        raise InvalidAlertFile(f"{path}: no alert in it; write one SMARTS a line")
    return tuple(alerts)


def _cells(line: str, *, comma: bool) -> list[str]:
    if comma:
        try:
            cells = next(csv.reader([line], strict=True))
        except csv.Error as error:
            raise ValueError(f"stray quote ({error})") from None
    elif "\t" in line:
        cells = line.split("\t")
    else:
        cells = line.split(maxsplit=1)
    return [cell.strip() for cell in cells]


def _header(cells: list[str]) -> list[str | None] | None:
    """What each column holds, None for one to pass over; None if the line does not name columns."""
    names = [_COLUMNS.get(cell.casefold()) for cell in cells]
    return names if "smarts" in names else None


def _alert(cells: list[str], columns: list[str | None]) -> Alert:
    while cells and not cells[-1] and len(cells) > len(columns):
        cells.pop()
    if len(cells) > len(columns):
        raise ValueError(
            f"{len(cells)} columns where there should be {len(columns)};"
            " in a .csv put a SMARTS that holds a comma in double quotes"
        )
    fields = {column: cell for column, cell in zip(columns, cells, strict=False) if column and cell}
    try:
        query = pattern(fields.get("smarts", ""))
    except InvalidSmarts as error:
        hint = "; put a SMARTS that holds a comma in double quotes" if _cut_at_comma(cells) else ""
        raise ValueError(f"{error}{hint}") from None
    allowed = fields.get("allowed", "0")
    if not (allowed.isascii() and allowed.isdigit()):
        raise ValueError(f"allowed number of matches {allowed!a} is not 0, 1, 2, ...")
    return Alert(fields.get("name", fields["smarts"]), query, int(allowed))


def _cut_at_comma(cells: list[str]) -> bool:
    return any(cell.count("[") != cell.count("]") for cell in cells)


def raised(mol: Mol, alerts: Sequence[Alert]) -> list[str]:
    """Names of the user's alerts that the molecule raises; sorted, each once."""
    return sorted({alert.name for alert in alerts if alert(mol)})
