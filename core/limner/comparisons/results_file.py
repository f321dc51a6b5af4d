"""What results.json holds: how a comparison was made, and every run."""

import json
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from itertools import chain, count
from pathlib import Path, PureWindowsPath
from typing import Any

from pydantic import TypeAdapter

from limner.errors import LimnerError, shortened
from limner.files import reading, replace_file, writing
from limner.shell import shell_quote

RESULTS_FILE = "results.json"
MACHINE, VERSIONS = ("processor", "cores", "threads", "device"), ("limner", "python", "torch")
"""The keys of two of its tables."""


@dataclass(frozen=True)
class RunResult:
    """One run of a comparison: a variant trained with one seed, and measured."""

    variant: str
    settings: dict[str, Any]  # the varied keys of the recipe, and their values
    seed: int
    steps: int
    seconds: float
    images_per_second: float  # "images/s" in the file
    precision: str
    scores: dict[str, float]  # empty if training failed
    folder: str | None  # within that of the comparison; None if nothing is written
    problem: str | None = None  # the error if training failed; otherwise not in the file

    @classmethod
    def failed(cls, variant: str, settings: dict[str, Any], seed: int, problem: str) -> "RunResult":
        """A run that failed before its first step."""
        return cls(variant, settings, seed, 0, 0.0, 0.0, "auto", {}, None, problem)

    @property
    def key(self) -> tuple[str, int]:
        """The variant and the seed; a comparison holds one run of each."""
        return self.variant, self.seed

    @classmethod
    def from_json(cls, table: dict[str, Any]) -> "RunResult":
        """Read a run of results.json."""
        table = {"problem": None, **table, "images_per_second": table["images/s"]}
        return cls(**{each.name: table[each.name] for each in fields(cls)})

    def to_json(self) -> dict[str, Any]:
        """The run as it stands in results.json."""
        table = {"images/s" if name == "images_per_second" else name: value for name, value in vars(self).items()}
        return table if self.problem else {name: value for name, value in table.items() if name != "problem"}


@dataclass
class Results:
    """How a comparison was made, and its finished runs."""

    command: str  # the command line that makes these results
    date: str
    source: str  # the recipe's name or file; "RECIPE" for a dict
    overrides: list[str]
    vary: dict[str, list[Any]]
    seeds: int
    budget: dict[str, int | float]  # of each run: {"steps": 2000} or {"seconds": 60}
    recipe: dict[str, Any]
    recipes: dict[str, dict[str, Any]]  # by value of the key "recipe", if that is varied
    machine: dict[str, Any]
    versions: dict[str, Any]
    missing: int  # number of runs that are not finished
    runs: list[RunResult]
    other_machines: dict[str, dict[str, Any]] = field(default_factory=dict)  # by seed, if another one trained it

    @property
    def finished(self) -> set[tuple[str, int]]:
        """The keys of the finished runs."""
        return {run.key for run in self.runs}

    @property
    def budget_text(self) -> str:
        """The budget of each run, such as "2000 steps"."""
        return " ".join(f"{amount:.10g} {unit}" for unit, amount in self.budget.items())

    @property
    def precisions(self) -> str:
        """The precisions of the runs, such as "bfloat16 and float32"."""
        return " and ".join(dict.fromkeys(run.precision for run in self.runs))

    @property
    def trained_on(self) -> str:
        """The machines in words, such as "AMD EPYC (...), seed 2 on Apple M2 (...)"."""
        others = [f"seed {seed} on {machine_text(about)}" for seed, about in self.other_machines.items()]
        return ", ".join([machine_text(self.machine), *others])

    def machine_of(self, seed: int) -> dict[str, Any]:
        """The machine that trains the runs of a seed: all of them, so that they can be compared."""
        return self.other_machines.get(str(seed), self.machine)

    def ordered_runs(self) -> list[RunResult]:
        """The runs in the order of the varied values, and of the seeds within each variant."""
        place = {key: values.index for key, values in self.vary.items()}
        return sorted(self.runs, key=lambda run: ([place[k](v) for k, v in run.settings.items()], run.seed))

    @classmethod
    def from_json(cls, table: dict[str, Any]) -> "Results":
        """Read results.json."""
        table = {
            "recipes": {},
            "other_machines": {},
            **table,
            "runs": [RunResult.from_json(run) for run in table["runs"]],
        }
        return cls(**{each.name: table[each.name] for each in fields(cls)})

    def to_json(self) -> dict[str, Any]:
        """The results as they stand in results.json."""
        table = vars(self) | {"runs": [run.to_json() for run in self.runs]}
        return table if self.other_machines else {key: table[key] for key in table if key != "other_machines"}

    def write(self, folder: Path) -> None:
        """Write results.json into a folder, which is created if needed."""
        with writing(folder):
            folder.mkdir(parents=True, exist_ok=True)
        replace_file(folder / RESULTS_FILE, json.dumps(self.to_json(), indent=1, ensure_ascii=False).encode())


def machine_text(about: Mapping[str, Any]) -> str:
    """A machine in words, such as "AMD EPYC (AVX2, 2 cores, 1 thread, cpu)"."""
    threads = f"{about['threads']} {'thread' if about['threads'] == 1 else 'threads'}"
    known = [about["instructions"]] if "instructions" in about else []  # older results do not tell them
    details = ", ".join([*known, f"{about['cores']} cores", threads, about["device"]])
    return f"{about['processor']} ({details})"


def _check(results: Results) -> None:
    """Check what a file holds before anything uses it: types, the keys that are shown, and the folders of runs.

    Raises:
        ValueError, KeyError or TypeError: if it is damaged.
    """
    TypeAdapter(Results).validate_python(asdict(results))
    results.ordered_runs()
    machines = [(about, MACHINE) for about in (results.machine, *results.other_machines.values())]
    for table, keys in (*machines, (results.versions, VERSIONS)):
        if missing := [key for key in keys if key not in table]:
            raise KeyError(missing[0])
    for run in results.runs:
        if run.folder and (PureWindowsPath(run.folder).anchor or ".." in PureWindowsPath(run.folder).parts):
            raise ValueError(f"the folder {run.folder} is not within the comparison")


def read_results(path: Path) -> Results:
    """Read the results.json of a folder, or that file itself.

    Raises:
        LimnerError: if there is none, or it is damaged.
    """
    file = path if path.suffix == ".json" else path / RESULTS_FILE
    with reading(file):
        found = file.is_file()
    if not found:
        made = f"'limner compare RECIPE --vary ... --out {shell_quote(str(path))}' makes one"
        raise LimnerError(f"There is no comparison {file}; {made}.")
    try:
        results = Results.from_json(json.loads(file.read_text(encoding="utf-8")))
        _check(results)
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        cause = shortened(" ".join(str(error).split()), 200)
        raise LimnerError(f"{file} is damaged: {type(error).__name__}: {cause}.") from None
    return results


def is_sampling(key: str) -> bool:
    """Whether a key of the recipe says how images are sampled, so that no training depends on it."""
    return key.split(".")[0] == "sampling"


def weights_key(settings: Mapping[str, Any], seed: int) -> str:
    """What the weights of a run depend on: its seed, and its settings apart from those of sampling."""
    return json.dumps([{key: value for key, value in settings.items() if not is_sampling(key)}, seed])


def file_name(label: str) -> str:
    """A variant's label as a name that every file system allows, without an ending."""
    return re.sub(r"[^\w.+-]+", "-", label.lower()).strip("-.")[:60] or "variant"


def free_place(label: str, seed: int, runs: Sequence[RunResult], taken: Collection[str | None] = ()) -> str:
    """The folder of a run within that of the comparison: a name that every file system allows and no run has."""
    name = file_name(label)
    places = chain([f"runs/{name}-{seed}"], (f"runs/{name}-{number}-{seed}" for number in count(2)))
    taken = {run.folder for run in runs}.union(taken)
    return next(place for place in places if place not in taken)
