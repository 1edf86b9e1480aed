"""Training, evaluation and the synthetic world. Never imported by the core or the nodes."""
