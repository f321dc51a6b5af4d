"""A trained model: painting, sampling, scoring, explaining, ensembles, and pictures of what it paints.

May import `limner.data`, `limner.recipes` and the root.
"""
