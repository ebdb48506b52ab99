"""The SMILES of a molecule as a tree: what hangs on a bond outside rings is one stretch of the text.

Cutting text takes a tenth of the time of cutting a graph and writing the pieces.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from moldesign.chem.molecules import Mol, to_smiles

_TOKEN = re.compile(r"\[[^\]]+\]|Br|Cl|%\d\d|.")
_BONDS = frozenset("-=#:")


@dataclass(frozen=True)
class _Span:
    """What hangs on a bond: tokens first to last, and all that goes with them, from begin to end.

    Attributes:
        stem: the token that it hangs on.
    """

    stem: int
    first: int
    last: int
    begin: int
    end: int


class Spans:
    """Texts of the pieces that a molecule in one piece falls into without some of its bonds.

    Args:
        mol: without stereo.
    """

    def __init__(self, mol: Mol) -> None:
        self._tokens: list[str] = _TOKEN.findall(to_smiles(mol))
        order = mol.GetPropsAsDict(includePrivate=True, includeComputed=True)["_smilesAtomOutputOrder"]
        atoms = [i for i, token in enumerate(self._tokens) if token[0] == "[" or token[0].isalpha()]
        #: Of each atom its token.
        self._place = dict(zip(order, atoms, strict=True))
        self._ends = _ends(self._tokens)

    def pieces(self, bonds: Sequence[tuple[int, int]], marks: Sequence[str]) -> list[str]:
        """The texts without one or two bonds, each mark behind the atoms on both sides of its bond.

        Args:
            bonds: two atoms each, neither of them a ring bond.
        """
        spans = [self._span(*bond) for bond in bonds]
        behind: dict[int, str] = {}
        for span, mark in zip(spans, marks, strict=True):
            for place in (span.stem, span.first):
                behind[place] = behind.get(place, "") + mark
        whole = _Span(-1, 0, len(self._tokens), 0, len(self._tokens))
        return [self._text(piece, spans, behind) for piece in (whole, *spans)]

    def _text(self, piece: _Span, spans: Sequence[_Span], behind: Mapping[int, str]) -> str:
        """The text of a piece without what hangs on it at the cuts."""
        inner = sorted(
            (one.begin, one.end)
            for one in spans
            if piece.first <= one.begin and one.end <= piece.last and one is not piece
        )
        found: list[str] = []
        place = piece.first
        for begin, end in [*inner, (piece.last, piece.last)]:
            # A span within another one that is left out too begins before where this one ended.
            for i in range(place, begin):
                found.append(self._tokens[i])
                if i in behind:
                    found.append(behind[i])
            place = max(place, end)
        return "".join(found)

    def _span(self, one: int, other: int) -> _Span:
        stem, first = sorted((self._place[one], self._place[other]))
        last, begin = self._ends[first], first
        if self._tokens[begin - 1] in _BONDS:
            begin -= 1
        if self._tokens[begin - 1] == "(":
            return _Span(stem, first, last, begin - 1, last + 1)
        return _Span(stem, first, last, begin, last)


def _ends(tokens: Sequence[str]) -> list[int]:
    """Of each token where the branch that it is in ends."""
    ends, open_ = [0] * len(tokens), [len(tokens)]
    for i in reversed(range(len(tokens))):
        if tokens[i] == ")":
            open_.append(i)
        ends[i] = open_[-1]
        if tokens[i] == "(":
            open_.pop()
    return ends
