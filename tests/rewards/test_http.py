"""Endpoints: a real server on a real socket, and what it may do wrong."""

import contextlib
import json
import re
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError

from moldesign.chem.descriptors import qed
from moldesign.chem.molecules import read
from moldesign.errors import RewardError, UsageError
from moldesign.rewards import http as module
from moldesign.rewards import trust
from moldesign.rewards.external import ScorerError
from moldesign.rewards.http import HttpParameters, http
from moldesign.rewards.objective import Objective
from moldesign.rewards.reward import Reward

ROOT = Path(__file__).parents[2]
MOLS = [read("CCO"), read("CCBr"), read("CCN")]

#: Status, headers and body of the answer to a list of SMILES.
Answer = Callable[[list[str]], tuple[int, dict[str, str], bytes]]


def scores(values: object, status: int = 200, **headers: str) -> Answer:
    return lambda _: (status, headers, json.dumps({"scores": values}).encode())


def says(status: int, text: str = "", headers: dict[str, str] | None = None) -> Answer:
    return lambda _: (status, headers or {}, text.encode())


def lengths(smiles: list[str]) -> tuple[int, dict[str, str], bytes]:
    return 200, {}, json.dumps({"scores": [len(one) for one in smiles]}).encode()


class Server:
    """Answers as the list says, the last one for ever, and keeps what it was asked."""

    def __init__(self) -> None:
        self.answers: list[Answer] = []
        self.asked: list[list[str]] = []
        self.times: list[float] = []
        self.headers: list[dict[str, str]] = []
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                outer.asked.append(body["smiles"])
                outer.times.append(time.monotonic())
                outer.headers.append({**self.headers, "path": self.path})
                answer = outer.answers.pop(0) if len(outer.answers) > 1 else outer.answers[0]
                status, headers, text = answer(body["smiles"])
                self.send_response(status)
                for name, value in {"Content-Length": str(len(text)), **headers}.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(text)

            def log_message(self, *_: object) -> None:
                pass

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.http.server_address[1]}/score"
        threading.Thread(target=self.http.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()

    def reward(self, *answers: Answer, **parameters: Any) -> Reward:
        self.answers = list(answers)
        return http(HttpParameters.model_validate({"url": self.url, "backoff_s": 0.01, **parameters}))


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")


@pytest.fixture
def server() -> Iterator[Server]:
    started = Server()
    yield started
    started.http.shutdown()
    started.http.server_close()


def test_smiles_out_and_scores_back(server: Server) -> None:
    reward = server.reward(scores([1.5, None, 3]))
    np.testing.assert_array_equal(reward(MOLS), [1.5, np.nan, 3])
    assert server.asked == [["CCO", "CCBr", "CCN"]]
    assert server.headers[0]["path"] == "/score"
    assert server.headers[0]["Content-Type"] == "application/json"
    assert reward([]).shape == (0,)
    assert len(server.asked) == 1


def test_large_batches_go_in_parts(server: Server) -> None:
    reward = server.reward(lengths, batch_size=2)
    np.testing.assert_array_equal(reward(MOLS), [3, 4, 3])
    assert server.asked == [["CCO", "CCBr"], ["CCN"]]


def test_the_example_serves_the_objective_in_the_document(monkeypatch: pytest.MonkeyPatch) -> None:
    page = (ROOT / "docs" / "external-scorers.md").read_text(encoding="utf-8")
    (toml,) = [block for block in re.findall(r"```toml\n(.*?)```", page, re.DOTALL) if '"http"' in block]
    monkeypatch.setenv("MOLDESIGN_TOKEN", "s3cret")
    # Port 0 is any free one; the kernel knows which.
    command = [sys.executable, str(ROOT / "examples" / "http_scorer.py"), "0"]
    with subprocess.Popen(command) as process:
        try:
            toml = toml.replace("8901", str(_listening(process.pid)))
            scores = Objective.from_toml(toml).evaluate(MOLS)
            np.testing.assert_allclose(scores.score, [qed(mol) for mol in MOLS])
        finally:
            process.kill()


def _listening(pid: int) -> int:
    """The port on which a process listens."""
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        sockets = _sockets(pid)
        for line in Path("/proc/net/tcp").read_text().splitlines()[1:]:
            cells = line.split()
            if cells[3] == "0A" and cells[9] in sockets:
                return int(cells[1].split(":")[1], 16)
        time.sleep(0.05)
    raise AssertionError("the example never listened")


def _sockets(pid: int) -> set[str]:
    """The numbers of a process's sockets; what it closes while they are read is left out."""
    found = set()
    for link in Path(f"/proc/{pid}/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):
            found.add(link.readlink().as_posix())
    return {target[8:-1] for target in found if target.startswith("socket:")}


# Secrets


def test_secrets_come_from_the_environment(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MOLDESIGN_TOKEN", "s3cret")
    headers = {"Authorization": "Bearer $MOLDESIGN_TOKEN", "X-Price": "5$$"}
    reward = server.reward(scores([1, 2, 3]), headers=headers)
    reward(MOLS)
    assert server.headers[0]["Authorization"] == "Bearer s3cret"
    assert server.headers[0]["X-Price"] == "5$"
    refusing = server.reward(says(401, "who are you?"), headers=headers)
    with pytest.raises(RewardError) as caught:
        refusing(MOLS)
    assert "answered 401: who are you?" in str(caught.value)
    assert "s3cret" not in str(caught.value)


@pytest.mark.parametrize(
    ("headers", "message"),
    [
        ({"X": "$AWS_SECRET_ACCESS_KEY"}, "only variables named MOLDESIGN_... are sent"),
        ({"X": "$MOLDESIGN_NOT_THERE"}, "MOLDESIGN_NOT_THERE is not set in the environment"),
        ({"X": "5$ a call"}, "a variable is written $NAME, a dollar $$"),
        ({"X: Y": "1"}, "is no name of a header"),
        ({"X": "a\r\nY: b"}, "not printable ASCII"),
        ({"Authorization": "Bearer s3cret"}, "no secret may stand in it: put it into a variable"),
        ({"x-api-key": "s3cret"}, "no secret may stand in it: put it into a variable"),
    ],
)
def test_headers_that_cannot_be(headers: dict[str, str], message: str) -> None:
    with pytest.raises(ValidationError) as caught:
        HttpParameters(url="http://127.0.0.1/", headers=headers)
    assert message in caught.value.errors()[0]["msg"]
    assert "s3cret" not in caught.value.errors()[0]["msg"]


@pytest.mark.parametrize("secret", ["s3cret\n", "s3\r\nX: cret", "s3crét", " s3cret"])
def test_a_secret_that_cannot_be_sent_is_not_shown(secret: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MOLDESIGN_TOKEN", secret)
    headers = {"Authorization": "$MOLDESIGN_TOKEN"}
    with pytest.raises(ValidationError) as caught:
        HttpParameters(url="http://127.0.0.1/", headers=headers)
    assert "header Authorization: with MOLDESIGN_TOKEN the value is not printable ASCII" in str(caught.value)
    assert "s3" not in str(caught.value)


def test_molecules_go_to_no_other_machine_unasked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trust, "_addresses", set())
    toml = '[[components]]\nreward = "http"\nshaping = { kind = "linear", zero = 0, one = 1 }\n'
    toml += 'parameters = { url = "https://scores.example.org:8443/v1/score" }'
    with pytest.raises(UsageError, match=r"add --trust-plugin https://scores\.example\.org:8443$"):
        Objective.from_toml(toml)
    trust.trust(["https://scores.example.org:8443"])
    assert Objective.from_toml(toml).labels == ("http",)


@pytest.mark.parametrize(
    "url",
    ["ftp://host/x", "file:///etc/passwd", "host/score", "http://", "http://h:port/", "http://a b/", ""],
)
def test_urls_that_cannot_be(url: str) -> None:
    with pytest.raises(ValidationError, match="url"):
        HttpParameters(url=url)


def test_no_password_stands_in_a_url() -> None:
    with pytest.raises(ValidationError, match="must not hold a user or password"):
        HttpParameters(url="http://me:pw@host/")
    with pytest.raises(ValidationError, match="must not hold 'api_key', as a run keeps it"):
        HttpParameters(url="http://host/score?model=3&api_key=s3cret")
    assert HttpParameters(url="http://host/score?model=3&key_count=2").url


def test_what_is_for_this_machine_goes_through_no_proxy(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("NO_PROXY")
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    assert server.reward(scores([1, 2, 3]))(MOLS).tolist() == [1, 2, 3]


# Retries


def test_what_may_pass_is_tried_again(server: Server) -> None:
    reward = server.reward(says(503), says(500), says(429), scores([1, 2, 3]), retries=3)
    np.testing.assert_array_equal(reward(MOLS), [1, 2, 3])
    assert len(server.asked) == 4


def test_waits_double_and_retry_after_goes_first(server: Server) -> None:
    reward = server.reward(says(500), says(500), scores([1, 2, 3]), backoff_s=0.2)
    reward(MOLS)
    waits = np.diff(server.times)
    assert waits[0] >= 0.2
    assert waits[1] >= 0.4
    reward = server.reward(says(503, headers={"Retry-After": "1"}), scores([1, 2, 3]))
    server.times.clear()
    reward(MOLS)
    assert np.diff(server.times)[0] >= 1


def test_retry_after_may_be_a_date() -> None:
    soon = format_datetime(datetime.now(UTC) + timedelta(seconds=90), usegmt=True)
    assert module._retry_after(soon) == pytest.approx(90, abs=5)
    assert module._retry_after("Wed, 21 Oct 2015 07:28:00 GMT") == 0
    assert module._retry_after("120") == 120
    assert module._retry_after("soon") is None
    assert module._retry_after(None) is None


def test_one_that_asks_to_wait_for_hours_is_not_waited_for(server: Server) -> None:
    reward = server.reward(says(429, headers={"Retry-After": "7200"}))
    with pytest.raises(RewardError, match="answered 429 and asks to wait for 7200 s"):
        reward(MOLS)
    assert len(server.asked) == 1


def test_a_molecule_on_which_it_fails_fails_alone(server: Server) -> None:
    def answer(smiles: list[str]) -> tuple[int, dict[str, str], bytes]:
        return (500, {}, b"no bromine") if "CCBr" in smiles else lengths(smiles)

    result = Objective.of(server.reward(answer, retries=1)).evaluate(MOLS)
    np.testing.assert_array_equal(result.score, [3, np.nan, 3])
    assert result.reasons[1] is not None
    assert "endpoint answered 500: no bromine" in result.reasons[1]
    assert len(server.asked) == 2 + 1 + 2 + 1


def test_one_that_only_fails_is_given_up(server: Server) -> None:
    objective = Objective.of(server.reward(says(500, "out of memory"), retries=0))
    message = "failed for 32 molecules in a row: endpoint answered 500: out of memory"
    with pytest.raises(RewardError, match=message):
        objective.evaluate([read("C" * n) for n in range(1, 34)])
    assert len(server.asked) == 33
    with pytest.raises(RewardError, match="answered 429"):
        server.reward(says(429), retries=1)(MOLS)


def test_several_molecules_on_which_it_fails_do_not_end_the_run(server: Server) -> None:
    def answer(smiles: list[str]) -> tuple[int, dict[str, str], bytes]:
        return (500, {}, b"no bromine") if any("Br" in one for one in smiles) else lengths(smiles)

    mols = [*(read("C" * n + "Br") for n in range(1, 6)), read("CCO")]
    result = Objective.of(server.reward(answer, retries=0)).evaluate(mols)
    np.testing.assert_array_equal(result.score, [np.nan] * 5 + [3])


def test_one_that_is_always_too_slow_is_given_up(server: Server) -> None:
    def answer(smiles: list[str]) -> tuple[int, dict[str, str], bytes]:
        time.sleep(0.5)
        return lengths(smiles)

    objective = Objective.of(server.reward(answer, timeout_s=0.1, retries=0))
    with pytest.raises(RewardError, match=r"failed for 3 molecules in a row: no answer within 0.1 s"):
        objective.evaluate([read("C" * n) for n in range(1, 9)])


def test_one_that_is_too_slow(server: Server) -> None:
    def answer(smiles: list[str]) -> tuple[int, dict[str, str], bytes]:
        time.sleep(1.0)
        return lengths(smiles)

    with pytest.raises(ScorerError, match=r"no answer within 0.2 s"):
        server.reward(answer, timeout_s=0.2, retries=0)(MOLS)


def test_one_that_answers_drop_by_drop_is_too_slow(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    handler = server.http.RequestHandlerClass

    def drip(self: Any) -> None:
        self.send_response(200)
        self.send_header("Content-Length", "1000")
        self.end_headers()
        for _ in range(100):
            try:
                self.wfile.write(b" ")
                self.wfile.flush()
            except OSError:
                return
            time.sleep(0.05)

    monkeypatch.setattr(handler, "do_POST", drip)
    with pytest.raises(ScorerError, match=r"no answer within 0.5 s"):
        server.reward(lengths, timeout_s=0.5, retries=0)(MOLS)


def test_one_that_is_not_there(server: Server) -> None:
    url = server.url
    server.http.server_close()
    reward = http(HttpParameters(url=url, retries=1, backoff_s=0.01))
    with pytest.raises(RewardError, match=f"endpoint {url} cannot be reached"):
        reward(MOLS)


# Answers


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (scores([1, 2]), "answered in another format: 2 scores for 3 molecules"),
        (scores([1, 2, "3"]), "score 3 is no number"),
        (says(200, "<html>login</html>"), "answered no JSON: '<html>login</html>'"),
        (says(200, '{"values": []}'), '"scores" or "error" expected'),
        (says(404, "no such path"), "answered 404: no such path"),
        (says(422), "answered 422"),
        (
            says(302, headers={"Location": "http://127.0.0.1/other"}),
            "a redirection to http://127.0.0.1/other",
        ),
        (says(204), "answered 204"),
    ],
)
def test_an_answer_in_another_format_ends_the_run(server: Server, answer: Answer, message: str) -> None:
    reward = server.reward(answer)
    with pytest.raises(RewardError) as caught:
        reward(MOLS)
    assert message in str(caught.value)
    assert server.url in str(caught.value)
    assert len(server.asked) == 1


def test_it_may_say_that_it_cannot(server: Server) -> None:
    with pytest.raises(ScorerError, match="no licence"):
        server.reward(says(200, '{"error": "no licence"}'))(MOLS)


def test_an_endless_answer_is_cut_off(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_ANSWER", 1000)
    with pytest.raises(RewardError, match="answered more than 1000 bytes"):
        server.reward(says(200, " " * 5000))(MOLS)
