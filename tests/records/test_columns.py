import pytest

from moldesign.records.columns import component_columns


def test_raw_and_shaped_columns_of_a_component() -> None:
    assert component_columns(["activity", "weight"]) == [
        ("activity", "activity_score"),
        ("weight", "weight_score"),
    ]


def test_a_component_never_takes_the_name_of_a_fixed_column_or_of_another() -> None:
    assert component_columns(["qed", "score"]) == [("qed_raw", "qed_score"), ("score_raw", "score_score")]
    names = [name for pair in component_columns(["a", "a_score", "a_score_raw"]) for name in pair]
    assert len(set(names)) == 6


def test_two_components_need_two_labels() -> None:
    with pytest.raises(ValueError, match="two components with one label"):
        component_columns(["a", "a"])
