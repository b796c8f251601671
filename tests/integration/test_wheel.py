"""The wheel installs `millrace` and nothing else, and works beside a user's own packages."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from zipfile import ZipFile

import pytest

REPOSITORY = Path(__file__).parents[2]
_LIMIT_SECONDS = 120

PIPELINE = """
from millrace import Pipeline, fields
from models.mine import fresh
from schemas import SCHEMA
from streams import LABEL

pipeline = Pipeline(
    name="mine", schema=SCHEMA, event_id="id", label=LABEL, task="binary",
    features=[fields("a")], models={"mine": fresh},
)
"""


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the wheel from the repository."""
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps"]
    subprocess.run(
        [*command, "--no-build-isolation", "--wheel-dir", str(folder), str(REPOSITORY)],
        check=True,
        timeout=_LIMIT_SECONDS,
    )
    (built,) = folder.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def run(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[..., str]:
    """Run Python with the wheel installed, in a folder with a user's own packages."""
    installed, home = tmp_path_factory.mktemp("installed"), tmp_path_factory.mktemp("home")
    ZipFile(wheel).extractall(installed)
    (home / "models").mkdir()
    (home / "models" / "mine.py").write_text(
        "from river import linear_model\n\n\ndef fresh():\n"
        "    return linear_model.LogisticRegression()\n"
    )
    fields = '[{"name": "id", "type": "string"}, {"name": "a", "type": "double"},'
    fields += ' {"name": "y", "type": "boolean"}]'
    (home / "schemas.py").write_text(
        f'SCHEMA = {{"type": "record", "name": "R", "fields": {fields}}}\n'
    )
    (home / "streams").mkdir()
    (home / "streams" / "__init__.py").write_text('LABEL = "y"\n')
    (home / "pipeline.py").write_text(PIPELINE)

    def start(*arguments: str, path: str = "") -> str:
        environment = {
            **os.environ,
            "PYTHONPATH": os.pathsep.join(filter(None, [str(installed), path])),
        }
        done = subprocess.run(
            [sys.executable, *arguments],
            cwd=home,
            env=environment,
            capture_output=True,
            text=True,
            timeout=_LIMIT_SECONDS,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    return start


def test_nothing_else_at_the_top(wheel: Path) -> None:
    """Every file is under `millrace`, the schemas', the examples' and the page's among them."""
    names = ZipFile(wheel).namelist()
    tops = {name.partition("/")[0] for name in names}
    assert {each for each in tops if not each.endswith(".dist-info")} == {"millrace"}
    for name in (
        *("py.typed", "schemas/prediction.avsc", "schemas/versions/example.1.avsc"),
        *("models/pipelines/loans.avsc", "streams/app.py", "streams/kafka/fakes/broker.py"),
        *("streams/serve/page/index.html", "streams/serve/page/views/models.js"),
        *("streams/serve/page/vendor/README.md", "streams/serve/page/vendor/LICENSE.uPlot"),
    ):
        assert f"millrace/{name}" in names


@pytest.mark.parametrize(
    ("spec", "path"),
    [("pipeline.py", ""), ("pipeline", ""), ("pipeline", "."), ("pipeline.py", ".")],
)
def test_a_pipeline_beside_packages_of_the_same_names(
    spec: str, path: str, run: Callable[..., str]
) -> None:
    """By file, by module and with PYTHONPATH=., a user's models, schemas and streams are theirs."""
    out = run("-P", "-m", "millrace.streams.cli", "check", spec, path=path)
    assert "mine is a valid pipeline." in out


def test_the_installed_package_is_the_wheels(run: Callable[..., str]) -> None:
    """It is the wheel that was tried, not the repository."""
    where = run("-c", "import millrace; print(millrace.__file__)").strip()
    assert not Path(where).is_relative_to(REPOSITORY)
