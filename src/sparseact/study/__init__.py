"""The study's own layer: its configuration, datasets, experiments, ledger and reports."""
