"""One file for each question of speed; the answers are in README.md."""
