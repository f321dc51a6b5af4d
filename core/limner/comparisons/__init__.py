"""Comparisons of many trainings on equal budgets: variants, tables, charts, and the diversity-consistency trade-off.

May import `limner.training` and whatever that may import.
"""
