import torch

from moldesign.policy.trajectories import Trajectories, valid_steps


def test_steps_are_valid_up_to_the_end_token() -> None:
    tokens = torch.tensor([[3, 2, 0, 0], [3, 4, 5, 3], [2, 0, 0, 0], [3, 3, 3, 2], [3, 2, 2, 3]])
    assert valid_steps(tokens).tolist() == [
        [True, True, False, False],
        [True, True, True, True],
        [True, False, False, False],
        [True, True, True, True],
        [True, True, False, False],
    ]


def test_nll_is_minus_the_sum_of_the_policy_s_own_log_probs() -> None:
    log_probs = torch.tensor([[-1.0, -2.0], [-0.5, 0.0]])
    batch = Trajectories(
        tokens=torch.tensor([[3, 2], [2, 0]]),
        reshaped_log_probs=torch.full((2, 2), -9.0),
        log_probs=log_probs,
    )
    assert len(batch) == 2
    assert batch.nll.tolist() == [3.0, 0.5]
