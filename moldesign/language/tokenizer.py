"""SMILES to tokens to indices, and back."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from itertools import chain

from moldesign.errors import DataError

PAD, START, END = "<pad>", "<start>", "<end>"
PAD_INDEX, START_INDEX, END_INDEX = 0, 1, 2
SPECIALS = (PAD, START, END)

# The OpenSMILES grammar (opensmiles.org, section 3): a bracket atom is one token, since its
# isotope, chirality, hydrogens and charge mean nothing apart; %nn is one ring label.
_TOKEN = re.compile(
    r"\[[^\[\]]+\]"  # bracket atom
    r"|Br|Cl|[BCNOPSFI]"  # aliphatic organic subset
    r"|[bcnops]"  # aromatic organic subset
    r"|%\d\d|%\(\d+\)|\d"  # ring labels
    r"|[-=#$:/\\~]"  # bonds
    r"|[().*]"  # branches, dot, wildcard
)

#: What a medicinal chemist writes, whether or not a corpus happens to hold it.
MEDICINAL_TOKENS: tuple[str, ...] = tuple(
    chain(
        "B C N O P S F Cl Br I b c n o p s".split(),
        "- = # : / \\ . ( )".split(),
        "1 2 3 4 5 6 7 8 9 0".split(),
        (f"%{n}" for n in range(10, 30)),
        "[C@] [C@@] [C@H] [C@@H] [CH] [CH2] [C-] [CH-] [CH2-] [C+] [CH+] [CH2+] [c-] [cH-] [c+]".split(),
        "[nH] [n+] [nH+] [n-] [N+] [N-] [NH+] [NH2+] [NH3+] [NH-]".split(),
        "[N@] [N@@] [N@+] [N@@+] [N@H+] [N@@H+]".split(),
        "[O-] [O+] [OH+] [o+] [OH-] [F-] [Cl-] [Br-] [I-] [I+] [Cl+3]".split(),
        "[S-] [S+] [s+] [SH+] [S@] [S@@] [S@+] [S@@+] [SH] [SH-]".split(),
        "[P@] [P@@] [P+] [P-] [PH] [PH+] [P@H] [P@@H] [P@+] [P@@+] [PH2] [p+] [pH]".split(),
        "[B-] [BH-] [BH2-] [BH3-] [b-] [B@-] [B@@-]".split(),
        "[Si] [SiH] [SiH2] [SiH3] [Si@] [Si@@] [Si@H] [Si@@H]".split(),
        "[Se] [se] [SeH] [Se+] [se+] [Se-] [Se@] [Se@@]".split(),
        "[H] [2H] [3H] [11C] [13C] [11CH3] [13CH3] [14C] [18F] [123I] [125I]".split(),
    )
)


def tokenize(smiles: str) -> list[str]:
    """The tokens of a SMILES, in order; joined they give the SMILES back.

    Raises:
        DataError: a character that no token of the OpenSMILES grammar begins with.
    """
    tokens = _TOKEN.findall(smiles)
    if sum(map(len, tokens)) != len(smiles):
        position = 0
        while match := _TOKEN.match(smiles, position):
            position = match.end()
        raise DataError(f"{smiles!r}: no SMILES token at character {position + 1} ({smiles[position]!r})")
    return tokens


class Tokenizer:
    """A vocabulary, and the way from SMILES to indices and back."""

    def __init__(self, vocabulary: Sequence[str]) -> None:
        """Take the vocabulary in order, the specials first.

        Raises:
            ValueError: the specials are not first, or a token stands twice.
        """
        if tuple(vocabulary[: len(SPECIALS)]) != SPECIALS:
            raise ValueError(f"a vocabulary begins with {SPECIALS}")
        if len(set(vocabulary)) != len(vocabulary):
            raise ValueError("a token stands twice in the vocabulary")
        self.vocabulary = tuple(vocabulary)
        self._index = {token: index for index, token in enumerate(vocabulary)}

    @classmethod
    def for_corpus(cls, smiles: Iterable[str]) -> Tokenizer:
        """A vocabulary of the medicinal tokens and, after them, whatever else the corpus holds."""
        known = set(MEDICINAL_TOKENS)
        found: set[str] = set()
        for text in smiles:
            found.update(_TOKEN.findall(text))
        return cls([*SPECIALS, *MEDICINAL_TOKENS, *sorted(found - known)])

    def __len__(self) -> int:
        return len(self.vocabulary)

    def encode(self, smiles: str, *, line: int | None = None) -> list[int]:
        """The indices of the tokens of a SMILES, with the end token last.

        Raises:
            DataError: a token that is not in the vocabulary; the message names token, SMILES and line.
        """
        try:
            indices = [self._index[token] for token in tokenize(smiles)]
        except KeyError as error:
            where = "" if line is None else f"line {line}: "
            raise DataError(
                f"{where}token {error.args[0]!r} of {smiles!r} is not in the vocabulary of the prior; "
                "remove the molecule, or pretrain a prior on a corpus that holds it"
            ) from None
        except DataError as error:
            raise DataError(str(error) if line is None else f"line {line}: {error}") from None
        indices.append(END_INDEX)
        return indices

    def knows(self, smiles: str) -> bool:
        """Whether every token of the SMILES is in the vocabulary."""
        try:
            return all(token in self._index for token in tokenize(smiles))
        except DataError:
            return False

    def decode(self, indices: Iterable[int]) -> str:
        """The SMILES of a row of indices, up to its end token."""
        tokens = []
        for index in indices:
            if index == END_INDEX:
                break
            tokens.append(self.vocabulary[index])
        return "".join(tokens)
