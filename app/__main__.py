"""Lets `python -m app` do what `oriel` does."""

from app.cli import main

if __name__ == "__main__":
    main()
