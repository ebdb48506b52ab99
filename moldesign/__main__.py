"""`python -m moldesign`: the command, for where it is not on the path, and for torchrun."""

from moldesign.cli.app import main

if __name__ == "__main__":
    main()
