from __future__ import annotations

from moldesign.search.archive import Archive


def filled(scores: list[float]) -> Archive:
    archive = Archive()
    for i, score in enumerate(scores):
        archive.add("C" * (i + 3), score)
    return archive


def test_ranks_are_those_of_the_scores() -> None:
    archive = Archive()
    assert [archive.add("C" * (i + 1), score) for i, score in enumerate([0.2, 0.5, 0.2, 0.9, 0.1])] == [
        0, 0, 2, 0, 4,
    ]  # fmt: skip
    assert archive.ranked == [3, 1, 2, 0, 4]  # of equals the later first
    assert len(archive) == 5
    assert "CC" in archive
    assert "CCCCCC" not in archive
    archive.add_failed("CCCCCC")
    assert "CCCCCC" in archive
    assert len(archive) == 5


def test_a_state_is_gone_back_to() -> None:
    archive, other = filled([0.3, 0.1, 0.3, 0.8]), Archive()
    archive.add_failed("N")
    other.restore(archive.state())
    assert (other.smiles, other.scores, other.ranked) == (archive.smiles, archive.scores, archive.ranked)
    assert "N" in other
