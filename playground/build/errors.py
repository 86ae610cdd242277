"""What goes wrong for a person who runs the playground; the command line prints it without a traceback."""


class PlaygroundError(Exception):
    """Something that the reader can act on: what happened, to what, and what to do about it."""
