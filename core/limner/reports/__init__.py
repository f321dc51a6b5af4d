"""Reports: all that is known of a run or a comparison, as one page that needs no other file.

May import `limner.play`, `limner.comparisons`, `limner.models`, `limner.recipes` and the root.
"""
