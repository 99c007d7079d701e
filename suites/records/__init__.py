"""What is recorded: cells, a run, its timings, the gate's rounds, the rule that ends them: all that reports may know."""
