"""From captioned images to batches: the COCO layout, the tokenizer, the export.

May import `limner.recipes` and the root.
"""
