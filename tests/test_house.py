"""The rules of the house that tools outside a single file have to check."""

import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import msgspec
import pytest
from importlinter.cli import lint_imports


ROOT = Path(__file__).parents[1]
MAKEFILE: Final = (ROOT / "Makefile").read_text(encoding="utf-8")
IMPORTED: Final = (
    "import sys, infra.api, infra.roles, infra.commands.runs, infra.commands.data"
)
MADE = {"__pycache__", "build", "dist", "node_modules"}
HIDDEN = {".ci", ".gitignore"}

REGISTRIES = ("pypi", "pythonhosted", "npmjs", "crates")
BANNED = [
    re.compile(r"(?<![\w.*])/(work|root|tmp)/"),
    re.compile("|".join(rf"{name}[.](org|io)" for name in REGISTRIES)),
    re.compile(r"(?i)--(extra-)?index[-]url|\bfind-links\b *="),
]


def test_imports_point_downwards(capsys: pytest.CaptureFixture[str]) -> None:
    broken = lint_imports(config_filename=str(ROOT / "pyproject.toml"), no_cache=True)
    assert not broken, capsys.readouterr().out


@pytest.mark.parametrize("package", ["events", "services"])
def test_every_context_is_under_the_import_rules(package: str) -> None:
    rules = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]
    independent = {
        module
        for contract in rules["contracts"]
        if contract["type"] == "independence"
        for module in contract["modules"]
    }
    contexts = {path.parent.name for path in (ROOT / "events").glob("*/__init__.py")}
    missing = {
        f"{package}.{name}" for name in contexts if (ROOT / package / name).is_dir()
    } - independent
    assert not missing


def test_no_file_names_this_machine_or_a_registry() -> None:
    found = [
        f"{path.relative_to(ROOT)}:{number}: {line.strip()}"
        for path in _files()
        for number, line in enumerate(_lines(path), start=1)
        if any(pattern.search(line) for pattern in BANNED)
    ]
    assert found == []


@pytest.mark.parametrize("name", ["run", "dev"])
def test_every_library_is_pinned_with_its_hash(name: str) -> None:
    text = (ROOT / f"infra/requirements/{name}.txt").read_text().replace("\\\n", " ")
    pinned = [line for line in text.splitlines() if line]
    assert len(pinned) > 50
    loose = [
        line.split()[0]
        for line in pinned
        if not re.match(r"\S+==\S+ .*--hash=sha256:[0-9a-f]{64}", line)
    ]
    assert loose == []


def test_the_bill_of_materials_names_every_library_with_its_version_and_hashes(
    tmp_path: Path,
) -> None:
    recipe = re.search(r"^\t\$\(BIN\)/cyclonedx-py (.*)$", MAKEFILE, re.MULTILINE)
    assert recipe is not None
    file = tmp_path / "sbom.json"
    words = recipe[1].replace("build/sbom.json", str(file)).split()
    subprocess.run(  # noqa: S603 - our own recipe
        [sys.executable, "-W", "ignore", "-m", "cyclonedx_py", *words],
        cwd=ROOT,
        check=True,
    )
    made = msgspec.json.decode(file.read_bytes())
    assert (made["bomFormat"], made["metadata"]["component"]["name"]) == (
        "CycloneDX",
        "rehearsal",
    )
    listed = {
        (each["name"], each["version"]): each["externalReferences"][0]["hashes"]
        for each in made["components"]
    }
    run = (ROOT / "infra/requirements/run.txt").read_text()
    assert listed.keys() == set(
        re.findall(r"^([\w.-]+)==([\w.+-]+)", run, re.MULTILINE)
    )
    assert sum(map(len, listed.values())) == run.count("--hash=sha256:")


def test_every_sql_file_holds_text_and_ends_its_line() -> None:
    wrong = [
        path.name
        for path in _files()
        if path.suffix == ".sql" and not path.read_text(encoding="utf-8").endswith("\n")
    ]
    assert wrong == []


def _files() -> Iterator[Path]:
    for path in sorted(ROOT.rglob("*")):
        parts = path.relative_to(ROOT).parts
        kept = parts[0] in HIDDEN or not parts[0].startswith(".")
        made = MADE.intersection(parts) or any(
            one.endswith(".egg-info") for one in parts
        )
        if path.is_file() and kept and not made:
            yield path


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text(encoding="utf-8").splitlines()
    except UnicodeDecodeError:
        return []


def test_a_role_holds_nothing_large_that_it_may_never_use() -> None:
    large = ("numpy", "scipy", "statsmodels", "aio_pika", "alembic", "sqlalchemy")
    assert imported(IMPORTED, large) == []


def test_only_the_api_holds_what_speaks_http() -> None:
    assert imported("import sys, infra.roles", ("aiohttp", "jinja2", "jwt")) == []


def imported(importing: str, some: tuple[str, ...]) -> list[str]:
    told = subprocess.run(  # noqa: S603 - our own words
        [sys.executable, "-c", f"{importing}\nprint(*set({some}) & set(sys.modules))"],
        capture_output=True,
        text=True,
        check=True,
    )
    return told.stdout.split()
