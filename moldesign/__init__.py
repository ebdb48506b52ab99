"""Design molecules with a recurrent SMILES policy and policy gradients.

The public API; what is heavy (torch, rdkit, pandas) is imported when it is first used.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from moldesign.policy.sampling import sample as sample
    from moldesign.rewards.component import Component as Component
    from moldesign.rewards.objective import Objective as Objective
    from moldesign.rewards.scoring import score as score
    from moldesign.rl.optimize import optimize as optimize
    from moldesign.rl.optimize import resume as resume

__version__ = "0.1.0"
__all__ = ["Component", "Objective", "__version__", "optimize", "resume", "sample", "score"]

_HOME = {
    "Component": "moldesign.rewards.component",
    "Objective": "moldesign.rewards.objective",
    "optimize": "moldesign.rl.optimize",
    "resume": "moldesign.rl.optimize",
    "sample": "moldesign.policy.sampling",
    "score": "moldesign.rewards.scoring",
}


def __getattr__(name: str) -> Any:
    if name in _HOME:
        return getattr(import_module(_HOME[name]), name)
    raise AttributeError(f"module 'moldesign' has no attribute '{name}'")
