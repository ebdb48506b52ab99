"""Workers that die or stall lose nothing but the text that did it."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from moldesign.errors import ResourceError
from moldesign.language.workers import Answer, Workers


@pytest.fixture
def functions(monkeypatch: pytest.MonkeyPatch) -> Iterator[object]:
    """The module of failing functions, importable by name here and in workers."""
    monkeypatch.syspath_prepend(str(Path(__file__).parent))
    import failing_functions  # type: ignore[import-not-found]

    yield failing_functions
    sys.modules.pop("failing_functions")


def doubled(texts: list[str]) -> list[Answer]:
    return [(text + text, None) for text in texts]


def test_answers_come_in_order_for_any_number_of_workers(functions: object) -> None:
    batches = [[f"{i}-{j}" for j in range(i % 7)] for i in range(60)]
    for count in (1, 3):
        with Workers(functions.double, count=count) as workers:  # type: ignore[attr-defined]
            assert list(workers.map(iter(batches))) == [doubled(batch) for batch in batches]


def test_texts_that_end_or_stall_a_worker_are_isolated(functions: object) -> None:
    bad = {"segfault": "signal 11", "exit": "exit code 3", "spin": "longer than 0.2 s",
           "sleep": "longer than 0.2 s", "raise": "ValueError"}  # fmt: skip
    texts = ["a", *[text for name in bad for text in (name, f"after {name}")], "print", "z"]
    with Workers(functions.double, count=2, seconds=0.2) as workers:  # type: ignore[attr-defined]
        answers = [answer for batch in workers.map([texts, ["segfault"], texts]) for answer in batch]
    assert len(answers) == 2 * len(texts) + 1
    for text, (result, reason) in zip([*texts, "segfault", *texts], answers, strict=True):
        if text in bad:
            assert result is None
            assert bad[text] in str(reason)
        else:
            assert (result, reason) == (text + text, None)


def test_a_death_that_does_not_repeat_costs_nothing(functions: object, tmp_path: Path) -> None:
    flag = str(tmp_path / "flag")
    with Workers(functions.once, count=1) as workers:  # type: ignore[attr-defined]
        assert list(workers.map([["a", flag, "b"]])) == [[("a", None), (flag, None), ("b", None)]]
    assert Path(flag).exists()


def test_a_worker_that_cannot_start_says_why(
    functions: object, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    with Workers(functions.double, count=1) as workers:  # type: ignore[attr-defined]
        # The worker is told another search path, on which the function's module is missing.
        workers._setup = workers._setup.replace(str(Path(__file__).parent).encode(), b"/nowhere")
        with pytest.raises(ResourceError, match=r"does not start: .*failing_functions"):
            list(workers.map([["a"]]))
