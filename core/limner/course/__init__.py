"""The lessons for a learner, exercises that check answers, and the scaffold of a new plugin.

Imports the root of `limner` only.
"""
