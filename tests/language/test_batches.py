import numpy as np
import torch

from moldesign.language.batches import EncodedCorpus, bucketed_batches, pad

ROWS = [[3, 4, 2], [5, 2], [3, 3, 3, 3, 2], [2]]


def test_packed_rows_come_back_padded() -> None:
    for vocabulary_size in (200, 300):
        corpus = EncodedCorpus(ROWS, vocabulary_size)
        assert len(corpus) == 4
        assert corpus.token_count == 11
        assert corpus.lengths.tolist() == [3, 2, 5, 1]
        out = corpus.padded([2, 0, 3])
        assert out.dtype == torch.int64
        assert out.tolist() == [[3, 3, 3, 3, 2], [3, 4, 2, 0, 0], [2, 0, 0, 0, 0]]
    assert torch.equal(pad(ROWS), corpus.padded(range(4)))


def test_indices_beyond_one_byte_are_kept() -> None:
    assert EncodedCorpus([[299, 2]], 300).padded([0]).tolist() == [[299, 2]]


def test_an_epoch_holds_every_row_once_in_an_order_fixed_by_the_generator() -> None:
    lengths = np.random.default_rng(0).integers(5, 80, size=1003)

    def epoch(*seed: int) -> list[list[int]]:
        return [rows.tolist() for rows in bucketed_batches(lengths, 8, np.random.default_rng(seed))]

    batches = epoch(0, 2, 0)
    assert sorted(i for rows in batches for i in rows) == list(range(1003))
    assert sorted(map(len, batches))[1:] == [8] * 125  # one batch holds the rest
    assert batches == epoch(0, 2, 0)
    assert batches != epoch(0, 2, 1)


def test_rows_of_a_batch_have_about_one_length_and_batches_are_shuffled() -> None:
    lengths = np.random.default_rng(0).integers(5, 80, size=4000)
    batches = list(bucketed_batches(lengths, 16, np.random.default_rng(0)))
    padded = sum(len(rows) * lengths[rows].max() for rows in batches)
    assert padded < 1.03 * lengths.sum()
    longest = [lengths[rows].max() for rows in batches[:40]]
    assert longest != sorted(longest)
