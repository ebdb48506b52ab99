import lzma
import random
import re

import hypothesis.strategies as st
import pytest
from hypothesis import given

from moldesign.assets import corpora
from moldesign.chem import molecules
from moldesign.errors import DataError
from moldesign.language.tokenizer import END_INDEX, MEDICINAL_TOKENS, SPECIALS, Tokenizer, tokenize

SHIPPED = ("zinc250k", "chembl_sample")


def lines(name: str) -> list[str]:
    return lzma.open(corpora()[name], "rt", encoding="ascii").read().splitlines()


@pytest.mark.parametrize("name", SHIPPED)
def test_every_line_of_a_shipped_corpus_comes_back(name: str) -> None:
    tokenizer = Tokenizer.for_corpus([])
    smiles = lines(name)
    assert len(smiles) > 200_000
    wrong = [text for text in smiles if tokenizer.decode(tokenizer.encode(text)) != text]
    assert wrong == []


def test_randomised_smiles_of_the_corpora_come_back() -> None:
    tokenizer = Tokenizer.for_corpus([])
    chosen = random.Random(0).sample([text for name in SHIPPED for text in lines(name)], 2000)
    written: set[str] = set()
    for text in chosen:
        mol = molecules.read(text)
        written.update(molecules.randomised(mol, seed) for seed in range(11))
    assert len(written) > 20_000
    assert [text for text in written if tokenizer.decode(tokenizer.encode(text)) != text] == []


@pytest.mark.parametrize(
    ("smiles", "tokens"),
    [
        ("ClCBr", "Cl C Br"),
        ("CN1C=NC2=C1C(=O)N", "C N 1 C = N C 2 = C 1 C ( = O ) N"),
        ("F/C=C\\F", "F / C = C \\ F"),
        ("C%10CC%10", "C %10 C C %10"),
        ("C%(123)CC%(123)", "C %(123) C C %(123)"),
        ("N[C@@H](C)C(=O)[O-].[Na+]", "N [C@@H] ( C ) C ( = O ) [O-] . [Na+]"),
        ("[13CH3:2]~[se]$*:b#p", "[13CH3:2] ~ [se] $ * : b # p"),
    ],
)
def test_tokens(smiles: str, tokens: str) -> None:
    assert tokenize(smiles) == tokens.split()


@pytest.mark.parametrize(
    ("smiles", "where"),
    [
        ("CCX", r"character 3 \('X'\)"),
        ("C[NH", r"character 2 \('\['\)"),
        ("C C", r"character 2 \(' '\)"),
        ("C%1", r"character 2 \('%'\)"),
        ("CC\n", r"character 3"),
        ("lC", r"character 1 \('l'\)"),
    ],
)
def test_what_is_no_token_is_named_with_its_place(smiles: str, where: str) -> None:
    with pytest.raises(DataError, match=where):
        tokenize(smiles)
    tokenizer = Tokenizer.for_corpus(["C", "CCX", "C[NH"])
    assert not tokenizer.knows(smiles)
    with pytest.raises(DataError, match=rf"line 7: .*{where}"):
        tokenizer.encode(smiles, line=7)


def test_an_unknown_token_is_named_with_its_smiles_and_line() -> None:
    tokenizer = Tokenizer.for_corpus(["CCO"])
    assert not tokenizer.knows("C[Fe]C")
    with pytest.raises(DataError, match=r"line 12: token '\[Fe\]' of 'C\[Fe\]C' is not in the vocabulary"):
        tokenizer.encode("C[Fe]C", line=12)
    with pytest.raises(DataError, match=r"^token '\[Fe\]'"):
        tokenizer.encode("C[Fe]C")


def test_vocabulary_covers_what_a_medicinal_chemist_meets() -> None:
    tokenizer = Tokenizer.for_corpus([])
    drugs = [
        "CC(C)C[C@@H](NC(=O)[C@H](Cc1ccccc1)NC(=O)c1cnccn1)B(O)O",  # bortezomib
        "OB1OCc2cc(Oc3ccc(C#N)cc3)ccc12",  # crisaborole
        "C[Si]1(C)CCN(CC1)C(=O)c1ccccc1",
        "O=c1n(-c2ccccc2)[se]c2ccccc12",  # ebselen
        "C[N+](C)(C)CC(O)CC(=O)[O-]",  # carnitine
        "COP(=O)(O)OP(=O)(O)O",
        "C[S@](=O)c1ccccc1",
        "C[S@@+]([O-])c1ccccc1",
        "O=[N+]([O-])c1ccc[n+]([O-])c1",
        "[2H]C([2H])([2H])Oc1ccc(I)cc1Br",
        "F/C(Cl)=C(\\F)Cl",
        "C12C3C4C5C6C7C8C9C%10C1C2C3C4C5C6C7C8C9C%10",
        "c1cc2c(cc1)[nH]cn2",
    ]
    assert [text for text in drugs if not tokenizer.knows(text)] == []
    assert all(tokenizer.knows(f"C%{label}CCCC%{label}") for label in range(10, 30))


def test_vocabulary_of_a_corpus_adds_its_own_tokens_after_the_usual_ones() -> None:
    usual = Tokenizer.for_corpus([])
    grown = Tokenizer.for_corpus(["C[Fe]C", "[Pt]", "CCO"])
    assert grown.vocabulary == (*usual.vocabulary, "[Fe]", "[Pt]")
    assert usual.vocabulary[:3] == SPECIALS
    assert grown.encode("C[Pt]")[-2:] == [len(grown) - 1, END_INDEX]


def test_decoding_stops_at_the_end_token() -> None:
    tokenizer = Tokenizer([*SPECIALS, "C", "O"])
    assert tokenizer.decode([3, 4, END_INDEX, 3, 0]) == "CO"
    assert tokenizer.decode([END_INDEX]) == ""


@pytest.mark.parametrize("vocabulary", [["C", "O"], [*SPECIALS, "C", "C"], []])
def test_a_vocabulary_without_specials_or_with_a_token_twice_is_refused(vocabulary: list[str]) -> None:
    with pytest.raises(ValueError, match="vocabulary"):
        Tokenizer(vocabulary)


#: Text of what SMILES are made of, and of anything.
TEXTS = st.one_of(
    st.lists(st.sampled_from([*MEDICINAL_TOKENS, "[Fe]", "%(123)", "*", "~", "$"])).map("".join),
    st.text(alphabet="CNOclBr[]()%1230=@H+-/ l\n\0\u0421\udcff", max_size=40),
    st.text(max_size=20),
)


@given(TEXTS)
def test_any_text_is_tokens_that_join_to_it_or_is_refused_at_its_first_wrong_character(text: str) -> None:
    try:
        tokens = tokenize(text)
    except DataError as error:
        message = str(error)
    else:
        message = ""
    if message:
        said = re.fullmatch(r".*no SMILES token at character (\d+) .*", message)
        assert said is not None
        place = int(said[1]) - 1
        assert "".join(tokenize(text[:place])) == text[:place]
        # What follows makes no token of the wrong character.
        for end in range(place + 1, len(text) + 1):
            with pytest.raises(DataError):
                tokenize(text[:end])
        return
    assert "".join(tokens) == text
    for count in range(len(tokens)):
        assert tokenize("".join(tokens[:count])) == tokens[:count], "a beginning has the same tokens"


@given(TEXTS, st.integers(min_value=1))
def test_what_is_known_comes_back_and_what_is_not_is_named_with_its_line(text: str, line: int) -> None:
    tokenizer = Tokenizer.for_corpus([])
    if tokenizer.knows(text):
        indices = tokenizer.encode(text)
        assert tokenizer.decode(indices) == text
        assert indices.index(END_INDEX) == len(indices) - 1
    else:
        with pytest.raises(DataError, match=rf"^line {line}: "):
            tokenizer.encode(text, line=line)


@given(st.lists(st.integers(min_value=len(SPECIALS), max_value=len(SPECIALS) + len(MEDICINAL_TOKENS) - 1)))
def test_what_a_policy_writes_is_read_as_the_tokens_that_it_wrote(indices: list[int]) -> None:
    tokenizer = Tokenizer.for_corpus([])
    assert tokenizer.encode(tokenizer.decode(indices)) == [*indices, END_INDEX]
