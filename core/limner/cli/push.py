"""The command `limner push`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

import limner
from limner.cli.options import RunFolder
from limner.errors import printable

if TYPE_CHECKING:
    from limner.models.report import Report

app = typer.Typer()


@app.command(
    epilog="Examples: `limner push runs/first ann/limner-red-circles`, then "
    '`limner paint hf://ann/limner-red-circles "a red circle"`'
)
def push(
    run: RunFolder,
    name: Annotated[str, typer.Argument(metavar="NAME/REPOSITORY", help="The repository on the hub, yours or new.")],
    private: Annotated[bool, typer.Option(help="Make a new repository private.")] = False,
    license: Annotated[str, typer.Option(help="The license under which you publish the model.")] = "apache-2.0",
) -> None:
    """Publish a trained model on the hub of Hugging Face, with a model card that is made from the run.

    The card has the scores of `limner evaluate`. For a run of a comparison, it has the mean and the standard deviation
    over the seeds.
    """
    model = limner.load(run)
    print(printable(model.push_to_hub(name, private=private, license=license, report=report_of_variant(run))))


def report_of_variant(run: Path) -> "Report | None":
    """The scores of all seeds of the variant of a comparison that a run belongs to; None for any other run."""
    from limner.comparisons.results_file import RESULTS_FILE
    from limner.models.report import Report

    for folder in run.resolve().parents[:2]:
        if (folder / RESULTS_FILE).is_file():
            comparison = limner.load_comparison(folder)
            found = [r for r in comparison.results.runs if r.folder and (folder / r.folder) == run.resolve()]
            if not found:
                continue
            seeds = comparison.loc[comparison["variant"] == found[0].variant, comparison.metrics].dropna()
            if len(seeds) < 2:
                return None
            means, spreads = seeds.mean().to_dict(), seeds.std().to_dict()
            note = f"Over {len(seeds)} seeds of {found[0].variant}; this model is the one of seed {found[0].seed}."
            return Report(means, spreads, [note])
    return None
