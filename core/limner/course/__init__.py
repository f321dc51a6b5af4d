"""The lessons, exercises that check answers, and the scaffold of a new plugin.

May import the root of `limner` only.
"""
