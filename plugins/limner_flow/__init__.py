"""Flow matching: a model that is not adversarial, behind the same interfaces and under the same judge."""
