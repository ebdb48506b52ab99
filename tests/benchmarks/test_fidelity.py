import pytest
import torch

from moldesign.assets import prior_path
from moldesign.benchmarks.fidelity import fidelity
from moldesign.policy.checkpoint import load_policy
from moldesign.policy.network import autocast_dtype
from moldesign.policy.policy import Policy


@pytest.fixture(scope="module")
def policy() -> Policy:
    return load_policy(prior_path("druglike"))[0]


def test_the_same_precision_changes_nothing(policy: Policy, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("moldesign.policy.inference.autocast_dtype", lambda _: None)
    found = fidelity(policy, 40, read=20)
    assert found["valid_half"] == found["valid_full"] > 0.8
    assert (found["kl_a_token"], found["log_prob_difference"], found["equal"]) == (0.0, 0.0, 1.0)


def test_half_precision_changes_little(policy: Policy) -> None:
    if autocast_dtype(torch.device("cpu")) is None:
        pytest.skip("no bfloat16 in hardware")
    found = fidelity(policy, 100, read=50)
    assert 0 < found["kl_a_token"] < 1e-3
    assert 0 < found["log_prob_difference"] < 0.3
    assert 0.4 < found["equal"] < 1
