"""The documentation of every component, hook, interface and command, read off the code.

May import `limner.recipes` and the root.
"""
