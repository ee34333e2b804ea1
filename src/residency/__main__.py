"""`python -m residency`: the same as the command `residency`."""

from residency.commands import main

if __name__ == "__main__":
    main()
