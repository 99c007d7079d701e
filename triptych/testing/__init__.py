"""What proves the package: the wheel in environments of its own."""
