"""What runs a suite: the plan, the workers, the laboratory that records what they answer, the machine."""
