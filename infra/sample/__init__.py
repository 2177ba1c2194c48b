"""A small recording that ships with the project: a library's desk agent at work."""

from importlib.resources import files


def recorded() -> bytes:
    """Return tau-bench trajectories: 8 tasks with 4 trials each."""
    return files(__name__).joinpath("recorded.json").read_bytes()
