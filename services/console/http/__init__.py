"""HTTP: what requests say and what they are answered."""
