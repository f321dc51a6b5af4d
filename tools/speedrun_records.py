"""Write the table of records into docs/speedrun.md, from the logs in comparisons/speedrun.

    python tools/speedrun_records.py

A record is an entry of comparisons/speedrun/records.json: its date, who made it, what is new in it, and its log.
"""

import json
import re
from pathlib import Path
from statistics import mean

from limner import Speedrun
from limner.comparisons.results import mean_and_spread
from limner.comparisons.results_file import machine_text
from limner.models.report import markdown_table

ROOT = Path(__file__).parents[1]
RECORDS, PAGE = ROOT / "comparisons/speedrun", ROOT / "docs/speedrun.md"
MARKS = "<!-- records: written by tools/speedrun_records.py -->", "<!-- end of records -->"


def table(folder: Path) -> str:
    """The records as a table, fewest steps first."""
    rows = []
    for record in json.loads((folder / "records.json").read_text(encoding="utf-8")):
        log = Speedrun.read(folder / record["log"])
        steps, _ = log.figures()
        seeds = f"{len(steps)} of {len(log.seeds)}"
        link = f"[{record['log']}](../comparisons/speedrun/{record['log']})"
        figures = map(mean_and_spread, log.figures())
        row = [record["date"], record["new"], *figures, seeds, machine_text(log.machine), record["by"], link]
        rows.append((mean(steps) if steps else float("inf"), row))
    columns = ["date", "what is new", "steps", "seconds", "seeds", "machine", "by", "log"]
    return markdown_table(columns, [row for _, row in sorted(rows)]) if rows else "There is no record yet."


def with_table(page: str, records: str) -> str:
    """The page with this table."""
    start, end = map(re.escape, MARKS)
    return re.sub(f"({start}\n).*?({end})", lambda marks: f"{marks[1]}\n{records}\n\n{marks[2]}", page, flags=re.DOTALL)


if __name__ == "__main__":
    PAGE.write_text(with_table(PAGE.read_text(encoding="utf-8"), table(RECORDS)), encoding="utf-8")
