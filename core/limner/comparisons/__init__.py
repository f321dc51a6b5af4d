"""Many trainings on equal budgets: variants, tables, charts, and diversity against consistency.

May import `limner.training` and what that may import.
"""
