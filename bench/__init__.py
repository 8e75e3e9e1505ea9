"""What the laboratory and the ledger cost, as ratios measured in one run; nothing here is imported by anything else."""
