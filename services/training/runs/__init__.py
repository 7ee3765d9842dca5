"""Training runs: from a dataset's rows to calibrated, exported, judged programs."""
