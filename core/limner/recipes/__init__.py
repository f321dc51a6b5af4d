"""What a recipe is, how it merges, and the components that it names.

Imports the root of `limner` only.
"""
