"""`python -m simulator` is the command `openrelay-simulator`."""

if __name__ == "__main__":
    from simulator.adapters.cli import main

    main()
