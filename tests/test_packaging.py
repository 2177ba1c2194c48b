"""The packages: imported from this tree, and whole in the wheel."""

import importlib
import zipfile
from pathlib import Path

import pytest
from hatchling.builders.wheel import WheelBuilder


ROOT = Path(__file__).parents[1]
PACKAGES = ("events", "projections", "services", "infra")


@pytest.mark.parametrize("name", [*PACKAGES, "tests"])
def test_a_package_comes_from_this_tree(name: str) -> None:
    # The names are common: another distribution could stand in front.
    module = importlib.import_module(name)
    assert module.__file__ is not None
    assert Path(module.__file__).resolve().is_relative_to(ROOT / name)


def test_the_wheel_holds_every_file_of_the_packages_and_nothing_else(
    tmp_path: Path,
) -> None:
    (wheel,) = WheelBuilder(str(ROOT)).build(directory=str(tmp_path))
    with zipfile.ZipFile(wheel) as archive:
        packed = {name for name in archive.namelist() if ".dist-info/" not in name}
        entry_points = next(
            archive.read(name).decode()
            for name in archive.namelist()
            if name.endswith(".dist-info/entry_points.txt")
        )
    owned = {
        path.relative_to(ROOT).as_posix()
        for package in PACKAGES
        for path in (ROOT / package).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    assert any(name.endswith(".sql") for name in packed)
    assert packed == owned
    assert "rehearsal = infra.cli:main" in entry_points
