"""What can differ between two models: conventions of layers, losses, statistics and optimizers, each tried."""
