"""What a person is told in one line. PURE."""


class RunError(Exception):
    """A run, or scoring, cannot go on; the message is one clear line for a person."""
