"""Structural alerts: those of known collections and the user's own."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field, field_validator, model_validator

from moldesign.chem import alerts
from moldesign.chem.molecules import Mol
from moldesign.rewards.entry import Entry
from moldesign.rewards.reward import Reward, per_molecule
from moldesign.rewards.shaping import Step
from moldesign.rewards.strict import Strict


class AlertsParameters(Strict):
    """Which collections of alerts, and a file of more."""

    collections: list[alerts.Collection] = Field(
        list(alerts.DEFAULT),
        description=f"any of {', '.join(alerts.COLLECTIONS)}; [] with a file for the file alone",
    )
    file: str | None = Field(
        None, description="your alerts, one a line: SMARTS, name, number of matches still allowed (default 0)"
    )

    @field_validator("file")
    @classmethod
    def _readable(cls, file: str | None) -> str | None:
        if file is not None:
            alerts.read_alerts(Path(file))
        return file

    @model_validator(mode="after")
    def _something(self) -> AlertsParameters:
        if not self.collections and self.file is None:
            raise ValueError("give collections, a file or both")
        return self


def structural_alerts(parameters: AlertsParameters) -> Reward:
    """Number of different alerts that the molecule raises."""
    collections = tuple(dict.fromkeys(parameters.collections))
    own = () if parameters.file is None else alerts.read_alerts(Path(parameters.file))

    def value(mol: Mol) -> float:
        return float(len(alerts.matches(mol, collections)) + len(alerts.raised(mol, own)))

    return per_molecule(value)


ENTRIES: dict[str, Entry] = {
    "alerts": Entry(
        "Number of structural alerts, PAINS and BRENK or others; shaped to 1 without any, else 0",
        "count",
        structural_alerts,
        AlertsParameters,
        group="structure",
        direction="smaller",
        example={"collections": ["PAINS", "BRENK", "NIH"]},
        shaping=Step(high=0.0),
        cost_us=2_000,
    ),
}
