"""The reference of every component, hook, interface, setting and command, generated from the code.

May import `limner.recipes` and the root.
"""
