"""What is recorded: cells, a run, timings, the gate's rounds, the rule that ends them; all that reports may know."""
