"""The engines that came before, each in an environment of its own, against the same oracle."""
