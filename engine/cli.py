"""The front door: one function a command; it parses, calls and prints. No logic lives here."""

from __future__ import annotations

import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, NoReturn

import click

from engine.errors import EngineError, Interrupted
from engine.files import file_sentence, refusal, write_text
from engine.memory import keep_freed_memory
from engine.shortage import telling_shortage
from engine.signals import stop_as_at_ctrl_c
from engine.threads import wait_politely

SPEC = click.argument("spec", type=click.Path(path_type=Path))
OVERRIDES = click.option("--set", "overrides", multiple=True, metavar="KEY=VALUE", help="Override a value of the spec.")
PREPARED = click.option(
    "--prepared", type=click.Path(path_type=Path), default=Path("prepared"), show_default=True, help="Prepared data."
)
OUT = click.option(
    "--out", type=click.Path(path_type=Path), default=Path("runs"), show_default=True, help="Where runs are kept."
)
DEVICE = click.option("--device", default="auto", show_default=True, help="auto, cpu, cuda or cuda:N.")
WORKERS = click.option(
    "--workers", type=click.IntRange(1), default=None, help="Processes that read or write data files."
)


class Program(click.Group):
    """Lists the commands in the order of the work, and tells errors as sentences."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(self.commands)

    def invoke(self, ctx: click.Context) -> Any:
        try:
            with telling_shortage():
                return super().invoke(ctx)
        except EngineError as error:
            _fail(error)
        except KeyboardInterrupt:
            _fail(Interrupted("interrupted"))
        except BrokenPipeError:
            sys.stderr.close()
            sys.exit(1)
        except OSError as error:
            _fail(refusal(error)(file_sentence(error)))


def _fail(error: EngineError) -> NoReturn:
    with suppress(OSError):  # of a terminal that is gone
        click.echo(str(error), err=True)
    sys.exit(error.exit_code)


@click.group(cls=Program, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="engine")
def main() -> None:
    """Train networks of particle physics, declared in YAML.

    \b
    engine new calratio                        a spec to start from
    engine simulate calratio -o data/calratio  files to try it on
    engine validate specs/calratio.yaml        every mistake, with line and column
    engine run specs/calratio.yaml             prepare, train, evaluate, export
    engine predict runs/calratio/latest FILE.root -o scored.root
    """
    stop_as_at_ctrl_c()
    wait_politely()
    keep_freed_memory()


@main.command()
@click.argument("name", required=False)
@click.option("-o", "--output", type=click.Path(path_type=Path), default=Path("specs"), show_default=True)
def new(name: str | None, output: Path) -> None:
    """Copy a shipped spec, to be changed. Without NAME: list them.

    What a spec includes is found in the program; copy it too (`engine new parts/smartbkg_data`) to change it.
    """
    from engine import shipped

    if name is None:
        for shipped_name, title in shipped.titles().items():
            click.echo(f"{shipped_name:38} {title}")
        return
    click.echo(f"{shipped.copy(name, output)} written")


@main.command()
@click.argument("specs", nargs=-1, required=True, type=click.Path(path_type=Path))
@OVERRIDES
@click.option("--schema-only", is_flag=True, help="Check the YAML and the schema alone.")
@click.option("--no-data", is_flag=True, help="Do not open the files that the spec names.")
def validate(specs: tuple[Path, ...], overrides: tuple[str, ...], schema_only: bool, no_data: bool) -> None:
    """Tell every mistake of SPECS at once, with line and column, and show the graph with shapes and parameters."""
    from engine import validation

    worst = 0
    for path in specs:
        try:
            click.echo(validation.validate(path, overrides, schema_only=schema_only, data=not no_data))
        except EngineError as error:
            click.echo(str(error), err=True)
            worst = max(worst, error.exit_code)
    sys.exit(worst)


@main.command()
@click.argument("model", type=click.Path(path_type=Path))
@OVERRIDES
@click.option(
    "-o", "--output", type=click.Path(path_type=Path), default=None, help="Draw the graph into this SVG file."
)
@click.option("--deep", is_flag=True, help="Also list what the blocks that are written in YAML consist of.")
def inspect(model: Path, overrides: tuple[str, ...], output: Path | None, deep: bool) -> None:
    """List the layers of MODEL, a spec, a run or an ONNX file, with shapes and parameters, and draw its graph."""
    from engine import inspection

    inspection.check_picture(output)
    table, picture = inspection.inspect(model, overrides, deep)
    click.echo(table)
    if output is not None:
        write_text(output, picture)
        click.echo(f"{output} written")


@main.command()
@SPEC
@OVERRIDES
@PREPARED
@WORKERS
def prepare(spec: Path, overrides: tuple[str, ...], prepared: Path, workers: int | None) -> None:
    """Read the files of SPEC once into a dataset that is fast to train from."""
    from engine import pipeline

    _finish(pipeline.prepare, spec, overrides, prepared, workers)


@main.command()
@SPEC
@OVERRIDES
@OUT
@PREPARED
@DEVICE
@WORKERS
@click.option("--repeat", type=click.IntRange(1), default=None, help="Train N times with other seeds, in one group.")
def run(
    spec: Path,
    overrides: tuple[str, ...],
    out: Path,
    prepared: Path,
    device: str,
    workers: int | None,
    repeat: int | None,
) -> None:
    """Prepare, train, evaluate and export SPEC in a new run directory.

    With --repeat N: N runs with the seeds seed, seed + 1, ... on the same prepared data, in a directory
    RUNS/NAME/NUMBER-repeat, with mean and spread of their results; one that fails does not stop the others.
    """
    from engine import pipeline

    _finish(pipeline.run, spec, overrides, out, prepared, device, workers, repeat)


@main.command()
@click.argument("run_directory", metavar="RUN", type=click.Path(path_type=Path))
@DEVICE
@WORKERS
def resume(run_directory: Path, device: str, workers: int | None) -> None:
    """Continue RUN from its last checkpoint, as if it had never stopped; or all runs of a group of repeated ones."""
    from engine import pipeline

    _finish(pipeline.resume, run_directory, device, workers)


@main.command()
@click.argument("run_directory", metavar="RUN", type=click.Path(path_type=Path))
@OVERRIDES
@DEVICE
def evaluate(run_directory: Path, overrides: tuple[str, ...], device: str) -> None:
    """Compute metrics, plots and report of RUN again.

    With --set evaluation.KEY=VALUE they are others, and go to RUN/evaluations/NUMBER; those of RUN stay as they are.
    """
    from engine import pipeline

    _finish(pipeline.evaluate, run_directory, device, overrides)


@main.command()
@click.argument("runs", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("-o", "--output", required=True, type=click.Path(path_type=Path), help="Directory of the report.")
def compare(runs: tuple[Path, ...], output: Path) -> None:
    """Hold evaluated RUNS, or groups of repeated runs, against the first: numbers, curves, ratios, in one report."""
    from engine import pipeline

    click.echo(f"report {pipeline.compare(runs, output)}")


@main.command()
@click.argument("run_directory", metavar="RUN", type=click.Path(path_type=Path))
def export(run_directory: Path) -> None:
    """Export the best checkpoint of RUN again."""
    from engine import pipeline

    _finish(pipeline.export, run_directory)


@main.command()
@click.argument("run_directory", metavar="RUN", type=click.Path(path_type=Path))
@click.argument("files", nargs=-1, required=True)
@click.option("-o", "--output", required=True, type=click.Path(path_type=Path), help=".root, .parquet or .h5")
@DEVICE
@click.option("--batch", type=click.IntRange(1), default=4096, show_default=True, help="Rows at a time.")
def predict(run_directory: Path, files: tuple[str, ...], output: Path, device: str, batch: int) -> None:
    """Score the rows of FILES (the experiment's own format) with RUN, next to the columns that identify them.

    The columns `file` and `entry` say where a row comes from; the names of the files, in the order in which they were
    given, are kept beside the scores as `files`.
    """
    from engine import pipeline

    _finish(pipeline.predict, run_directory, files, output, device, batch)


@main.command()
@click.argument("kind")
@click.option("-o", "--output", required=True, type=click.Path(path_type=Path), help="Directory of the files.")
@click.option("--events", type=click.IntRange(1), default=3000, show_default=True, help="Of each sort of file or jet.")
@click.option("--generator", default=None, help="What makes the events; by default a toy that needs nothing.")
@click.option("--seed", type=click.IntRange(0), default=1, show_default=True)
@WORKERS
def simulate(kind: str, output: Path, events: int, generator: str | None, seed: int, workers: int | None) -> None:
    """Write stand-in files in the layout of an experiment, for whoever has no data at hand.

    \b
    calratio  displaced jets, in six sorts of files with --events events each
    ndive     light, c and b jets with tracks and vertices, --events jets of each flavour;
              --generator pythia makes them with Pythia 8: pip install 'engine[simulate]'
    smartbkg  Upsilon(4S) decays, --events events together, some of which pass a selection
    """
    from engine import pipeline

    for path in pipeline.simulate(kind, output, events, generator, seed, workers):
        click.echo(path)


@main.command()
@click.argument("name", required=False)
def blocks(name: str | None) -> None:
    """List the blocks that a spec may use, or tell about one of them."""
    from engine import validation

    click.echo(validation.describe_blocks(name))


@main.command()
@click.option("-o", "--output", type=click.Path(path_type=Path), default=None, help="File; without it: print.")
def schema(output: Path | None) -> None:
    """Write the whole JSON Schema of a spec as one file, for editors."""
    from engine import validation

    text = validation.schema_text()
    if output is None:
        click.echo(text)
    else:
        write_text(output, text + "\n")


@main.command()
def doctor() -> None:
    """Tell which kernels, devices and formats are in use here, and why."""
    from engine import diagnosis

    click.echo(diagnosis.describe())


def _finish(action: Callable[..., Any], *arguments: Any) -> None:
    """Run a command of the pipeline; print what it has to say and end with its exit code."""
    outcome = action(*arguments)
    click.echo(outcome.text)
    sys.exit(outcome.exit_code)
