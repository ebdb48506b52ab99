import torch

from moldesign.language.tokenizer import END_INDEX, PAD_INDEX, START_INDEX
from moldesign.policy.prefixes import PrefixTree

C, N, O = 3, 4, 5  # noqa: E741 - oxygen


def test_equal_beginnings_are_one_node() -> None:
    tokens = torch.tensor(
        [
            [C, N, END_INDEX, PAD_INDEX],
            [C, N, O, END_INDEX],
            [END_INDEX, PAD_INDEX, PAD_INDEX, PAD_INDEX],
            [C, O, N, O],
            [C, N, O, N],
        ]
    )
    tree = PrefixTree.of(tokens)
    # '', C, CN, CO, CNO, CON: each once, level by level.
    assert tree.levels == [slice(0, 1), slice(1, 2), slice(2, 4), slice(4, 6)]
    assert tree.tokens.tolist() == [START_INDEX, C, N, O, O, N]
    assert [parents.tolist() for parents in tree.parents] == [[], [0], [0, 0], [0, 1]]
    assert tree.valid.tolist() == [
        [True, True, True, False],
        [True] * 4,
        [True, False, False, False],
        [True] * 4,
        [True] * 4,
    ]
    assert tree.nodes.tolist() == [[0, 1, 2, 0], [0, 1, 2, 4], [0, 0, 0, 0], [0, 1, 3, 5], [0, 1, 2, 4]]
    assert len(tree) == 6


def test_every_action_stands_on_its_own_beginning() -> None:
    tokens = torch.randint(2, 6, (60, 9), generator=torch.Generator().manual_seed(2))
    ended = (tokens == END_INDEX).cumsum(1) - (tokens == END_INDEX).long() > 0
    tokens[ended] = PAD_INDEX
    tree = PrefixTree.of(tokens)
    begins = [slice_.start for slice_ in tree.levels]

    def beginning(node: int) -> list[int]:
        level = max(i for i, begin in enumerate(begins) if begin <= node)
        if level == 0:
            return []
        above = begins[level - 1] + int(tree.parents[level][node - begins[level]])
        return [*beginning(above), int(tree.tokens[node])]

    for row, nodes, valid in zip(tokens.tolist(), tree.nodes.tolist(), tree.valid.tolist(), strict=True):
        for step, node in enumerate(nodes):
            if valid[step]:
                assert beginning(node) == row[:step]
    assert len({tuple(beginning(node)) for node in range(len(tree))}) == len(tree)


def test_no_action_and_no_sequence_leave_the_empty_beginning() -> None:
    for tokens in (torch.full((2, 3), PAD_INDEX), torch.zeros((0, 1), dtype=torch.int64)):
        tree = PrefixTree.of(tokens)
        assert tree.tokens.tolist() == [START_INDEX]
        assert not tree.valid.any()
