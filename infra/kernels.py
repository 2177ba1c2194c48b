"""Where the machine code of the population engine is kept between processes."""

from hashlib import blake2b
from pathlib import Path
from typing import Final

import services.engines.population
from events.experiments import vocabulary


VARIABLE: Final = "NUMBA_CACHE_DIR"


def kernel_directory(base: Path) -> Path:
    """Return a directory that belongs to the engine's sources as they are now.

    What is compiled depends on functions of other modules too, so that other sources
    need another directory.
    """
    (engine,) = services.engines.population.__path__
    digest = blake2b(digest_size=8)
    for path in [Path(vocabulary.__file__), *sorted(Path(engine).glob("*.py"))]:
        digest.update(path.read_bytes())
    return base / digest.hexdigest()
