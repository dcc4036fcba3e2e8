"""Frozen datasets as files.

What is read (`reading` → `held`) becomes one order a prompt where that is asked for
(`one_order`), then rows of the kind that is asked for (`kinds`), as columns of few
distinct values (`columns`), which are written in the format that is asked for
(`formats`, `parquet`) into a folder with its manifest and card (`folder`). Each step
knows nothing of the others' choices; `choice` says which of them go together.
"""
