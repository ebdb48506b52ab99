"""`python -m moldesign`: the command, for where it is not on the path, and for torchrun."""

import os
import sys

# Python looks for modules in the folder that it is started in first: from here on none that somebody left
# there is imported in the place of another, as for the command `moldesign`. Those above are there before.
if not sys.flags.safe_path and sys.path and sys.path[0] in ("", os.getcwd()):  # noqa: PTH109
    del sys.path[0]

from moldesign.cli.app import main

if __name__ == "__main__":
    main()
