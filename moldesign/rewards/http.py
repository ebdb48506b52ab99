"""An HTTP endpoint as a reward: SMILES are posted to it, it answers with a number for each."""

from __future__ import annotations

import json
import os
import string
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, urlsplit

import numpy as np
from pydantic import Field, field_validator

from moldesign.chem.molecules import Mol, to_smiles
from moldesign.errors import RewardError
from moldesign.rewards.entry import Entry
from moldesign.rewards.external import (
    MAX_FAILURES,
    Patience,
    ScorerError,
    ScorerTimeoutError,
    read_answer,
    shorten,
)
from moldesign.rewards.extras import extra
from moldesign.rewards.reward import Reward, Values
from moldesign.rewards.strict import Strict
from moldesign.rewards.trust import here, require_address
from moldesign.text import is_secret

if TYPE_CHECKING:
    import httpx

#: The longest answer, in bytes. A longer one is an endpoint gone wild.
MAX_ANSWER = 64_000_000

#: The longest wait between two tries, seconds. An endpoint that asks for more is not waited for.
MAX_WAIT_S = 300.0

#: Only these variables of the environment can be named in headers: an objective that somebody else
#: wrote could otherwise send any secret of its reader's to any address.
PREFIX = "MOLDESIGN_"


class HttpParameters(Strict):
    """An endpoint and how patiently it is asked."""

    url: str = Field(description='http or https; gets {"smiles": [...]} by POST, answers {"scores": [...]}')
    headers: dict[str, str] = Field(
        {}, description=f"sent along; ${PREFIX}X in a value stands for that variable of the environment"
    )
    timeout_s: float = Field(60.0, gt=0, description="seconds for one answer")
    retries: int = Field(3, ge=0, le=20, description="tries after the first one that failed")
    backoff_s: float = Field(
        0.5,
        gt=0,
        le=60,
        description="seconds before the first of them, then twice as many; or Retry-After",
    )
    batch_size: int = Field(256, ge=1, description="molecules of one request at most")

    @field_validator("url")
    @classmethod
    def _address(cls, url: str) -> str:
        try:
            parts = urlsplit(url)
            _ = parts.port  # raises for one that is no number
        except ValueError as error:
            raise ValueError(f"url {url!a} is no address: {error}") from None
        if not url.isascii() or " " in url or not url.isprintable():
            raise ValueError(f"url {url!a} must be printable ASCII without spaces")
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ValueError(f"url must begin with http:// or https:// and name a host, got {url!a}")
        if parts.username is not None or parts.password is not None:
            raise ValueError("url must not hold a user or password: put them into a header")
        # A run keeps the url and shows it in messages.
        for name, _ in parse_qsl(parts.query, keep_blank_values=True):
            if is_secret(name):
                raise ValueError(f"url must not hold '{name}', as a run keeps it: put it into a header")
        return url

    @field_validator("headers")
    @classmethod
    def _sendable(cls, headers: dict[str, str]) -> dict[str, str]:
        for name, value in headers.items():
            if not name or set(name) - set(string.ascii_letters + string.digits + "-_"):
                raise ValueError(f"{name!a} is no name of a header")
            if not (value.isascii() and value.isprintable()):
                raise ValueError(f"the value of header {name} is not printable ASCII")
            template = string.Template(value)
            if not template.is_valid():
                raise ValueError(f"header {name}: a variable is written $NAME, a dollar $$")
            if is_secret(name) and not template.get_identifiers():
                raise ValueError(
                    f"header {name}: a run keeps the objective, so that no secret may stand in it: put it"
                    f" into a variable of the environment and write ${PREFIX}TOKEN"
                )
            for variable in template.get_identifiers():
                if not variable.startswith(PREFIX):
                    raise ValueError(
                        f"header {name}: only variables named {PREFIX}... are sent, not {variable}"
                    )
                if variable not in os.environ:
                    raise ValueError(f"header {name}: {variable} is not set in the environment")
            # Later a library would say so, and show the secret.
            sent = template.substitute(os.environ)
            if not (sent.isascii() and sent.isprintable()) or sent != sent.strip():
                names = ", ".join(template.get_identifiers()) or "it"
                raise ValueError(
                    f"header {name}: with {names} the value is not printable ASCII without spaces around it; "
                    "is there the end of a line in a variable?"
                )
        return headers


def http(parameters: HttpParameters) -> Reward:
    """What the endpoint answers, whatever its unit.

    Raises:
        UsageError: the user does not trust the host, and it is another machine.
        RewardError: httpx is not installed.
    """
    require_address(parameters.url, "reward 'http'")
    with extra("http"):
        import httpx  # noqa: F401
    return Endpoint(parameters)


class Endpoint:
    """The reward that asks an endpoint. The protocol is in docs/external-scorers.md."""

    def __init__(self, parameters: HttpParameters) -> None:
        self._parameters = parameters
        self._headers = {
            name: string.Template(value).substitute(os.environ) for name, value in parameters.headers.items()
        }
        self._client: httpx.Client | None = None
        # One that answers with an error is alive: it is proven from the start.
        self._patience = Patience(unproven=MAX_FAILURES)

    def __call__(self, mols: Sequence[Mol], /) -> Values:
        """Values (n,), NaN where the endpoint answered null.

        Raises:
            ScorerError: after all retries it failed or was too slow, or it said that it cannot score these.
            RewardError: it cannot be reached, refused the request, failed for too many molecules in a row,
                or its answer is not in the format.
        """
        smiles = [to_smiles(mol) for mol in mols]
        size = self._parameters.batch_size
        parts = [self._scores(smiles[start : start + size]) for start in range(0, len(smiles), size)]
        return np.concatenate([np.zeros(0), *parts])

    def _scores(self, smiles: list[str]) -> Values:
        try:
            text = self._ask(smiles)
        except ScorerError as error:
            self._patience.failed("endpoint", error, len(smiles))
            raise
        self._patience.answered()
        try:
            answer = json.loads(text)
        except (ValueError, RecursionError):
            raise self._broken(f"answered no JSON: {shorten(text.decode(errors='replace'))!r}") from None
        try:
            return read_answer(answer, len(smiles))
        except ValueError as error:
            raise self._broken(f"answered in another format: {error}") from None

    def _ask(self, smiles: list[str]) -> bytes:
        """The body of the answer, after as many tries as it takes and the parameters allow."""
        import httpx

        parameters = self._parameters
        for attempt in range(parameters.retries + 1):
            wait = parameters.backoff_s * 2**attempt
            last = attempt == parameters.retries
            try:
                status, headers, body = self._post(smiles)
            except httpx.ConnectError as error:
                if last:
                    raise self._broken(f"cannot be reached: {error}") from None
            except (httpx.TransportError, TimeoutError) as error:
                if last:
                    if isinstance(error, TimeoutError | httpx.TimeoutException):
                        why = f"no answer within {parameters.timeout_s:g} s"
                        raise ScorerTimeoutError(why) from None
                    raise ScorerError(shorten(str(error)) or type(error).__name__) from None
            else:
                if status == 200:
                    return body
                said = shorten(body.decode(errors="replace"))
                what = f"answered {status}{': ' + said if said else ''}"
                if status != 429 and status < 500:
                    if 300 <= status < 400:
                        what = f"answered {status}, a redirection to {shorten(headers.get('location', '?'))}"
                    raise self._broken(what)
                if last and status == 429:
                    raise self._broken(what)
                if last:
                    raise ScorerError(f"endpoint {what}")
                asked = _retry_after(headers.get("retry-after"))
                wait = wait if asked is None else asked
                if asked is not None and asked > MAX_WAIT_S:
                    raise self._broken(f"answered {status} and asks to wait for {asked:.0f} s")
            time.sleep(min(wait, MAX_WAIT_S))
        raise AssertionError("the last try returns or raises")

    def _post(self, smiles: list[str]) -> tuple[int, Any, bytes]:
        """Status, headers and body of one answer. The whole of it must come in time."""
        import httpx

        limit_s = self._parameters.timeout_s
        if self._client is None:
            # What goes to this machine goes through no proxy, which is another.
            proxied = not here(self._parameters.url)
            self._client = httpx.Client(headers=self._headers, timeout=limit_s, trust_env=proxied)
        deadline = time.monotonic() + limit_s
        body = bytearray()
        with self._client.stream("POST", self._parameters.url, json={"smiles": smiles}) as response:
            for chunk in response.iter_bytes():
                body += chunk
                if len(body) > MAX_ANSWER:
                    raise self._broken(f"answered more than {MAX_ANSWER} bytes")
                if time.monotonic() > deadline:
                    raise TimeoutError
            return response.status_code, response.headers, bytes(body)

    def _broken(self, what: str) -> RewardError:
        return RewardError(f"endpoint {self._parameters.url} {what}")


def _retry_after(value: str | None) -> float | None:
    """Seconds that a Retry-After header asks for (RFC 9110, 10.2.3); None where it says nothing."""
    if value is None:
        return None
    if value.strip().isdigit():
        return float(value)
    try:
        moment = parsedate_to_datetime(value)
    except ValueError:
        return None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return max(0.0, (moment - datetime.now(UTC)).total_seconds())


ENTRIES: dict[str, Entry] = {
    "http": Entry(
        "What an HTTP endpoint of your own says of each molecule",
        "the endpoint's",
        http,
        HttpParameters,
        group="external",
        example={"url": "http://127.0.0.1:8901/score"},
        cost_us=10_000.0,
        limit_s=3_600.0,
    ),
}
