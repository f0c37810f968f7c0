"""`python -m rivalry` and `torchrun -m rivalry`: the command line."""

from rivalry.cli import main

main()
