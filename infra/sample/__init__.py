"""Small samples that ship with the project: a library's desk, and a parcel desk."""

from importlib.resources import files

from events.message import Command
from services.decoding import command_decoder, split_json
from services.routing import COMMANDS


def recorded() -> bytes:
    """Return tau-bench trajectories: 8 tasks with 4 trials each."""
    return files(__name__).joinpath("recorded.json").read_bytes()


def desk() -> list[Command]:
    """Return what makes a set of three unit tests with 100 live trials each."""
    decode = command_decoder(COMMANDS.values())
    whole = files(__name__).joinpath("desk.json").read_bytes()
    return [decode(each) for each in split_json(whole)]
