"""Trying out a trained model: in a notebook (`limner.playground`) and in the browser (`limner demo`).

`studio` decides what is painted and said, `pages` writes it as HTML, and the two interfaces are thin.

May import `limner.models`, `limner.data`, `limner.recipes` and the root; Gradio and ipywidgets only when one opens.
"""
