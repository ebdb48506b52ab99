"""The shipped corpora, each a `.smi.xz` with a card: importable so that an installed package finds them."""
