import itertools

import numpy as np
import pytest

from moldesign.chem.molecules import read
from moldesign.rewards.reward import SomeFailed, as_values, each, from_smiles_function


def test_a_function_gets_canonical_isomeric_smiles_and_none_is_nan() -> None:
    seen: list[str] = []

    def function(smiles: list[str]) -> list[float | None]:
        seen.extend(smiles)
        return [1.0, None]

    values = from_smiles_function(function)([read("OCC"), read("N[C@@H](C)C(O)=O")])
    assert seen == ["CCO", "C[C@H](N)C(=O)O"]
    np.testing.assert_array_equal(values, [1.0, np.nan])


@pytest.mark.parametrize(
    "given", [[1, 2], (1.0, 2.0), np.array([1, 2]), np.array([1, 2], dtype=np.float32), (x for x in (1, 2))]
)
def test_what_numbers_come_in(given: object) -> None:
    values = as_values(given, 2)
    assert values.dtype == np.float64
    assert values.tolist() == [1.0, 2.0]


@pytest.mark.parametrize("given", [[1.0], [1.0, 2.0, 3.0], 1.0, None, "12", {"a": 1, "b": 2}])
def test_not_one_value_a_molecule_is_an_error(given: object) -> None:
    with pytest.raises(ValueError, match="2"):
        as_values(given, 2)


def test_values_without_end_are_not_waited_for() -> None:
    with pytest.raises(ValueError, match="gave more than 2 values for 2 molecules"):
        as_values(itertools.count(), 2)


@pytest.mark.parametrize("number", [1j, np.complex128(1 + 2j), np.complex64(0)])
def test_a_complex_number_is_none_that_can_be_compared(number: complex) -> None:
    with pytest.raises(TypeError, match="gave a complex number"):
        as_values([0.5, number], 2)
    with pytest.raises(TypeError, match="gave a complex number"):
        as_values(np.array([0.5, number]), 2)


def test_text_is_no_number() -> None:
    with pytest.raises(TypeError, match="gave text where a number belongs: '0.5'"):
        as_values([0.5, "0.5"], 2)


def test_one_that_fails_does_not_cost_the_others_a_second_time() -> None:
    asked: list[str] = []

    def value(item: str) -> float:
        asked.append(item)
        if item == "exit":
            raise SystemExit(2)
        return float(item)

    with pytest.raises(SomeFailed) as caught:
        each(value, ["1", "a", "exit", "4"])
    assert asked == ["1", "a", "exit", "4"]
    np.testing.assert_array_equal(caught.value.values, [1, np.nan, np.nan, 4])
    assert caught.value.why == {
        1: "ValueError: could not convert string to float: 'a'",
        2: "RuntimeError: called sys.exit(2)",
    }
