"""An HTTP endpoint that scores: {"smiles": [...]} is posted to it, it answers {"scores": [...]}.

python examples/http_scorer.py 8901
"""

import json
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from rdkit import Chem
from rdkit.Chem.QED import qed


def score(smiles: str) -> float | None:
    """QED; None if it cannot be scored."""
    mol = Chem.MolFromSmiles(smiles)
    return None if mol is None else float(qed(mol))


class Scorer(BaseHTTPRequestHandler):
    """Answers POST."""

    protocol_version = "HTTP/1.1"  # the connection stays open for the next batch

    def do_POST(self) -> None:
        request = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        answer = json.dumps({"scores": [score(smiles) for smiles in request["smiles"]]}).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


if __name__ == "__main__":
    ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Scorer).serve_forever()
