"""The run directory: ledger, journal, candidates, structures and figures. Plain data in, files out."""
