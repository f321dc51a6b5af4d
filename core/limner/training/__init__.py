"""Training a model: the loop, the two players, checkpoints, callbacks, and starting from another run.

May import `limner.models` and what that may import.
"""
