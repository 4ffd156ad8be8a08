"""``python -m sparseact``: the command line."""

from sparseact.discovery.cli import main

main(prog_name="sparseact")
