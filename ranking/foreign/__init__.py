"""Judgements in other people's formats, read as ours. One module a format. PURE."""
