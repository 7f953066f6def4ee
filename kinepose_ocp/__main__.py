"""``python -m kinepose_ocp`` is the command line."""

from kinepose_ocp.cli import main

main()
