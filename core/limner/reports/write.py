"""Writing the report of a run or a comparison as one page of HTML."""

from pathlib import Path

from limner.comparisons.results import load_comparison
from limner.comparisons.results_file import RESULTS_FILE
from limner.errors import LimnerError
from limner.files import replace_file, writing
from limner.models.run_files import RECIPE_FILE
from limner.models.run_summary import read_summary, run_path
from limner.plugins import host
from limner.reports.comparison_sections import comparison_intro, comparison_sections
from limner.reports.html import page
from limner.reports.run_sections import run_intro, run_sections
from limner.shell import shell_quote


def report(run: str | Path, out: str | Path = "report.html") -> Path:
    """Write all that is known of a run, or of a comparison, as one page that needs no other file.

    Args:
        run: a run folder, the name of a trained model, or the folder of a comparison.
        out: the file to write (.html). An older one is replaced.

    Returns:
        The file.

    Raises:
        LimnerError: if there is no such run, or nothing of it can be read, or the file cannot be written.
    """
    run, out = Path(run), Path(out)
    if out.suffix not in (".html", ".htm"):
        raise LimnerError(f"{out}: a report is a page of HTML; give it the ending .html.")
    if (run / RESULTS_FILE).is_file():
        found = load_comparison(run)
        content = page(f"Comparison {run}", comparison_intro(found), list(comparison_sections(found, run)))
    else:
        folder = run_path(run, host())
        if not (folder / RECIPE_FILE).is_file():
            raise LimnerError(
                f"{run} is neither a run nor a comparison: it has no {RECIPE_FILE} and no {RESULTS_FILE}."
            )
        summary, place = read_summary(folder), shell_quote(str(run))
        content = page(f"Run {run}", run_intro(summary, place), list(run_sections(summary, place)))
    with writing(out):
        out.parent.mkdir(parents=True, exist_ok=True)
    replace_file(out, content.encode(errors="replace"))
    return out
