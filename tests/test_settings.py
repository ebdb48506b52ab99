import pytest

from moldesign.errors import UsageError
from moldesign.policy.settings import Architecture, PretrainSettings
from moldesign.settings import build


def test_given_values_replace_the_defaults() -> None:
    settings = build(PretrainSettings, {"epochs": 3, "randomise": True})
    assert settings == PretrainSettings(epochs=3, randomise=True)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"epoch": 3}, r"^run.toml: unknown setting 'epoch'; did you mean 'epochs'\?$"),
        ({"qqqqqq": 3}, r"^run.toml: unknown setting 'qqqqqq'$"),
        ({"epochs": 0}, r"^run.toml: setting 'epochs': .*greater than or equal to 1 \(given: 0\)$"),
        ({"optimizer": "sgd"}, r"^run.toml: setting 'optimizer': .*'muon' or 'adamw' \(given: 'sgd'\)$"),
        ({"seed": "x"}, r"^run.toml: setting 'seed': "),
    ],
)
def test_a_wrong_setting_is_one_line_that_names_it(values: dict[str, object], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        build(PretrainSettings, values, where="run.toml")


def test_without_a_file_the_message_begins_with_the_setting() -> None:
    with pytest.raises(UsageError, match=r"^setting 'cell'"):
        build(Architecture, {"cell": "rnn"})
